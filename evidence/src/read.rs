//! Reading a bundle, from an archive or a directory that anybody may have written.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{MANIFEST, MAX_BYTES, MAX_FILES, SIGNATURE};

/// How an archive ends: two blocks of zeroes (POSIX.1-2024, pax, "ustar Interchange Format").
const END: usize = 1024;
/// Directories in a directory; ours has three.
const DEPTH: usize = 8;

/// Why something is no bundle.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The disk, or whoever keeps it, said so.
    #[error("{path} cannot be read")]
    Disk {
        /// File or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no tar archive, or only the beginning of one.
    #[error("the archive is damaged or cut off")]
    Cut,
    /// Something stands behind the archive's end.
    #[error("the archive goes on behind its end")]
    Trailing,
    /// A link, a device or anything else that is no plain file.
    #[error("{path}: not a plain file")]
    NotAFile {
        /// Where.
        path: String,
    },
    /// A path that leads out of the bundle, or has a second spelling.
    #[error("{path:?}: not a path of a bundle")]
    Path {
        /// What it says.
        path: String,
    },
    /// One path twice.
    #[error("{path}: there twice")]
    Twice {
        /// Where.
        path: String,
    },
    /// More than a bundle has.
    #[error("larger than a bundle: at most {MAX_BYTES} bytes and {MAX_FILES} files")]
    TooLarge,
    /// It has no manifest or no signature.
    #[error("{0} is not there")]
    Without(&'static str),
}

/// Whether a text is a path in a bundle: relative, of plain words, each with one spelling.
pub(crate) fn is_path(path: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'))
    };
    path.len() <= 600 && path.split('/').all(word)
}

/// The files of what may be a bundle. Nothing in it is believed yet: [`Bundle::verify`].
#[derive(Debug)]
pub struct Bundle {
    pub(crate) manifest: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// All others.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Their order in the archive; none in a directory.
    pub(crate) order: Option<Vec<String>>,
}

impl Bundle {
    /// Reads an archive, or a directory with its files.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let failed = |source| Unreadable::Disk { path: path.to_owned(), source };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            return Self::read_directory(path);
        }
        let mut tar = Vec::new();
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut tar).map_err(failed)?;
        Self::read_tar(&tar)
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read_tar(tar: &[u8]) -> Result<Self, Unreadable> {
        if tar.len() > MAX_BYTES {
            return Err(Unreadable::TooLarge);
        }
        let mut archive = tar::Archive::new(tar);
        let (mut files, mut order, mut end) = (BTreeMap::new(), Vec::new(), 0);
        for entry in archive.entries().map_err(|_| Unreadable::Cut)? {
            let mut entry = entry.map_err(|_| Unreadable::Cut)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type() != tar::EntryType::Regular {
                return Err(Unreadable::NotAFile { path });
            }
            if !is_path(&path) {
                return Err(Unreadable::Path { path });
            }
            let size = usize::try_from(entry.size()).ok().filter(|size| *size <= tar.len()).ok_or(Unreadable::Cut)?;
            let mut content = Vec::with_capacity(size);
            entry.read_to_end(&mut content).map_err(|_| Unreadable::Cut)?;
            if content.len() != size {
                return Err(Unreadable::Cut);
            }
            end = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX).saturating_add(size);
            if files.len() >= MAX_FILES + 2 {
                return Err(Unreadable::TooLarge);
            }
            if files.insert(path.clone(), content).is_some() {
                return Err(Unreadable::Twice { path });
            }
            order.push(path);
        }
        let rest = tar.get(end.next_multiple_of(512)..).ok_or(Unreadable::Cut)?;
        if rest.len() < END {
            return Err(Unreadable::Cut);
        }
        if rest.len() % 512 != 0 || rest.iter().any(|byte| *byte != 0) {
            return Err(Unreadable::Trailing);
        }
        Self::of(files, Some(order))
    }

    fn read_directory(root: &Path) -> Result<Self, Unreadable> {
        let (mut files, mut left) = (BTreeMap::new(), MAX_BYTES as u64);
        collect(root, "", DEPTH, &mut left, &mut files)?;
        Self::of(files, None)
    }

    fn of(mut files: BTreeMap<String, Vec<u8>>, order: Option<Vec<String>>) -> Result<Self, Unreadable> {
        let manifest = files.remove(MANIFEST).ok_or(Unreadable::Without(MANIFEST))?;
        let signature = files.remove(SIGNATURE).ok_or(Unreadable::Without(SIGNATURE))?;
        Ok(Self { manifest, signature, files, order })
    }

    /// The digest of its manifest.
    #[must_use]
    pub fn digest(&self) -> String {
        crate::manifest::digest(&self.manifest)
    }

    /// Every file, with its path, manifest and signature first.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let own = [(MANIFEST, self.manifest.as_slice()), (SIGNATURE, self.signature.as_slice())];
        own.into_iter().chain(self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice())))
    }
}

/// Reads the plain files below a directory; follows no link.
fn collect(
    directory: &Path,
    prefix: &str,
    depth: usize,
    left: &mut u64,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), Unreadable> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Unreadable::Disk { path, source }
    };
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let entry = entry.map_err(failed(directory))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if !is_path(&path) {
            return Err(Unreadable::Path { path });
        }
        let at = entry.path();
        let meta = fs::symlink_metadata(&at).map_err(failed(&at))?;
        if meta.is_dir() && depth > 0 {
            collect(&at, &path, depth - 1, left, files)?;
            continue;
        }
        if !meta.is_file() {
            return Err(Unreadable::NotAFile { path });
        }
        if files.len() >= MAX_FILES + 2 {
            return Err(Unreadable::TooLarge);
        }
        let mut content = Vec::new();
        let file = fs::File::open(&at).map_err(failed(&at))?;
        // What it says of its length may change while it is read.
        file.take(*left + 1).read_to_end(&mut content).map_err(failed(&at))?;
        *left = left.checked_sub(content.len() as u64).ok_or(Unreadable::TooLarge)?;
        files.insert(path, content);
    }
    Ok(())
}
