//! Container images made of files of this machine, without a daemon.
//!
//! The layer holds what it is given and what that links to, and nothing else: no shell, no package manager. The same
//! inputs give the same bytes: entries in order of their names, owned by root, dated 1970.

mod layout;
mod oci;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, packages};

/// An image in the making. Nothing is read before [`Self::write`] or [`Self::write_rootfs`].
#[derive(Debug, Clone)]
pub struct Image {
    reference: String,
    entrypoint: Vec<String>,
    env: BTreeMap<String, String>,
    user: String,
    parts: Vec<Part>,
}

/// Something to be put in an image.
#[derive(Debug, Clone)]
enum Part {
    /// One file, with or without the execute bit as it is here.
    File { from: PathBuf, to: PathBuf },
    /// All files below a directory but those of which a name on the way is to be left out.
    Tree { from: PathBuf, to: PathBuf, leave_out: fn(&str) -> bool },
    /// A dynamically linked program without its debug information, with the libraries it names.
    Program { from: PathBuf, to: PathBuf },
    /// The libraries that a program or library names.
    Libraries { of: PathBuf },
}

impl Image {
    /// An image named `reference` (`localhost/NAME:TAG`; a tag other than `latest`, or the kubelet wants to pull it), run as
    /// user and group 65532.
    pub fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            entrypoint: Vec::new(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
            user: "65532:65532".to_owned(),
            parts: Vec::new(),
        }
    }

    /// What runs when a container starts.
    #[must_use]
    pub fn entrypoint<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.entrypoint = words.map(str::to_owned).to_vec();
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Who runs it: `UID:GID`, in digits, so that `runAsNonRoot` can be checked.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// A program of this machine, stripped of debug information, with the libraries it links to (found by `ldd`) and what
    /// programs expect: name resolution, CA certificates, a user name, `/tmp`.
    #[must_use]
    pub fn program(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.parts.push(Part::Program { from: from.into(), to: to.into() });
        self
    }

    /// One file.
    #[must_use]
    pub fn file(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.parts.push(Part::File { from: from.into(), to: to.into() });
        self
    }

    /// All files below a directory; symbolic links become what they point to.
    #[must_use]
    pub fn tree(self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.tree_without(from, to, |_| false)
    }

    /// As [`Self::tree`], but for files and directories whose name is to be left out.
    #[must_use]
    pub(crate) fn tree_without(
        mut self,
        from: impl Into<PathBuf>,
        to: impl Into<PathBuf>,
        leave_out: fn(&str) -> bool,
    ) -> Self {
        self.parts.push(Part::Tree { from: from.into(), to: to.into(), leave_out });
        self
    }

    /// The libraries that a program or a library loaded by it links to.
    #[must_use]
    pub(crate) fn libraries(mut self, of: impl Into<PathBuf>) -> Self {
        self.parts.push(Part::Libraries { of: of.into() });
        self
    }

    /// The name it will have where it is imported.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Writes an OCI archive (image layout 1.0.0 in a tar) with one uncompressed layer: it is read a moment later on the
    /// same machine. Replaces `out` in one step.
    ///
    /// # Errors
    /// A file is not there, a library was not found, `out` cannot be written.
    pub fn write(&self, out: &Path) -> Result<(), Error> {
        let archive = oci::archive(self, &self.layout()?);
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let draft = tempfile::NamedTempFile::new_in(parent).map_err(Error::file("write in", parent))?;
        fs::write(draft.path(), archive).map_err(Error::file("write", draft.path()))?;
        draft.persist(out).map_err(|refused| Error::file("write", out)(refused.error)).map(drop)
    }

    /// Lays the files out in the directory `dir`, which must not exist, for a builder of images: `FROM scratch` and a copy.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_rootfs(&self, dir: &Path) -> Result<(), Error> {
        let entries = self.layout()?;
        fs::create_dir(dir).map_err(Error::file("create", dir))?;
        for (name, entry) in &entries {
            let path = dir.join(name);
            match &entry.bytes {
                None => fs::create_dir(&path).map_err(Error::file("create", &path))?,
                Some(bytes) => fs::write(&path, bytes).map_err(Error::file("write", &path))?,
            }
            // After the fact, because a mask would take bits off the mode of what is made.
            fs::set_permissions(&path, Permissions::from_mode(entry.mode))
                .map_err(Error::file("set the mode of", &path))?;
        }
        Ok(())
    }

    fn layout(&self) -> Result<layout::Entries, Error> {
        if self.parts.iter().any(|part| matches!(part, Part::Program { .. })) {
            packages::require(packages::IMAGE)?;
        }
        layout::lay_out(&self.parts)
    }
}
