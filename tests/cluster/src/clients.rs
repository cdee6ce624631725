//! SP-API client libraries, unmodified, moto, OCSF's schema, and what drives a browser: installed by pip and npm, as a user would, in the versions and
//! with the hashes that `tests/clients` and `tests/browser` pin. Installed once and kept in the user's cache directory, by their list and what they are for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::binaries::cache_dir;
use crate::spawn::{self, tethered};

/// A library: its directory has the list of what it needs, and our programs that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// PyPI `python-amazon-sp-api`.
    PythonAmazonSpApi,
    /// PyPI `amzn-sp-api`, Amazon's own.
    AmznSpApi,
    /// npm `amazon-sp-api`.
    AmazonSpApi,
    /// PyPI `moto`: no client, but Amazon SQS for tests.
    Moto,
    /// PyPI `ocsf-json-schema`: no client, but OCSF's own schema, for tests of events.
    OcsfJsonSchema,
    /// npm `playwright-core` and `axe-core`: no client, but a browser for tests.
    Browser,
}

impl Library {
    /// All clients.
    pub const ALL: [Self; 3] = [Self::PythonAmazonSpApi, Self::AmznSpApi, Self::AmazonSpApi];

    /// The library's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PythonAmazonSpApi => "python-amazon-sp-api",
            Self::AmznSpApi => "amzn-sp-api",
            Self::AmazonSpApi => "amazon-sp-api",
            Self::Moto => "moto",
            Self::OcsfJsonSchema => "ocsf-json-schema",
            Self::Browser => "playwright-core",
        }
    }

    /// Its directory: of its name in `tests/clients`, or `tests/browser`.
    pub fn directory(self) -> PathBuf {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        if self == Self::Browser { tests.join("browser") } else { tests.join("clients").join(self.name()) }
    }

    /// Whether npm installs it, and not pip.
    const fn is_of_npm(self) -> bool {
        matches!(self, Self::AmazonSpApi | Self::Browser)
    }

    /// The version that is pinned.
    ///
    /// # Errors
    /// None is.
    pub fn version(self) -> Result<String, Error> {
        let list = if self.is_of_npm() { "package.json" } else { "requirements.txt" };
        let path = self.directory().join(list);
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let version = if self.is_of_npm() {
            let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            package["dependencies"][self.name()].as_str().map(str::to_owned)
        } else {
            let pin = text.lines().find_map(|line| line.strip_prefix(self.name())?.strip_prefix("=="));
            pin.and_then(|rest| rest.split_whitespace().next()).map(str::to_owned)
        };
        version.ok_or_else(|| Error::file("find a pinned version in", path)(io::ErrorKind::InvalidData.into()))
    }

    /// A [`tethered`] command that runs one of our programs in [`Self::directory`], by its name without extension. It finds
    /// the library, and inherits nothing but the PATH.
    ///
    /// # Errors
    /// As [`Self::installed`].
    pub fn program(self, name: &str) -> Result<Command, Error> {
        let packages = self.installed()?;
        let (interpreter, path, extension) =
            if self.is_of_npm() { ("node", "NODE_PATH", "js") } else { ("python3", "PYTHONPATH", "py") };
        let mut command = tethered(interpreter);
        command.arg(self.directory().join(format!("{name}.{extension}")));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env(path, packages).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    /// The directory with the library and what it needs, for `PYTHONPATH` or `NODE_PATH`.
    ///
    /// # Errors
    /// There is no `python3` with pip, or no `npm`, or a package could not be had.
    pub fn installed(self) -> Result<PathBuf, Error> {
        if self.is_of_npm() { self.by_npm() } else { self.by_pip() }
    }

    fn by_pip(self) -> Result<PathBuf, Error> {
        let requirements = self.directory().join("requirements.txt");
        // Compiled modules fit one version of Python.
        let mut version = tethered("python3");
        version.args(["-c", "import sys; print(sys.version)"]);
        self.once(&spawn::run(version)?, &[&requirements], |draft| {
            let mut pip = tethered("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]);
            pip.args(["--require-hashes", "--target"]).arg(draft).arg("--requirement").arg(&requirements);
            spawn::run(pip).map(drop)
        })
    }

    fn by_npm(self) -> Result<PathBuf, Error> {
        let files = ["package.json", "package-lock.json"].map(|name| self.directory().join(name));
        let dir = self.once("", &[&files[0], &files[1]], |draft| {
            for file in &files {
                fs::copy(file, draft.join(file.file_name().unwrap_or_default())).map_err(Error::file("copy", file))?;
            }
            let mut npm = tethered("npm");
            npm.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(draft);
            spawn::run(npm).map(drop)
        })?;
        Ok(dir.join("node_modules"))
    }

    /// The directory that `install` filled, now or before, for `version` and these files.
    fn once(
        self,
        version: &str,
        files: &[&Path],
        install: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let mut hash = Sha256::new_with_prefix(version);
        for file in files {
            hash.update([0]);
            hash.update(fs::read(file).map_err(Error::file("read", file))?);
        }
        let cache = cache_dir()?;
        let dir = cache.join(format!("{}-{}", self.name(), HEXLOWER.encode(&hash.finalize()[..8])));
        if !dir.exists() {
            eprintln!("installing {} into {}", self.name(), dir.display());
            let draft = tempfile::Builder::new()
                .prefix("draft-")
                .tempdir_in(&cache)
                .map_err(Error::file("write in", &cache))?;
            install(draft.path())?;
            match fs::rename(draft.path(), &dir) {
                Ok(()) => drop(draft.keep()),
                // Another process was faster; the list is pinned, so it has the same.
                Err(_) if dir.exists() => {}
                Err(why) => return Err(Error::file("move into place", &dir)(why)),
            }
        }
        Ok(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_users_names_the_pinned_versions() {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients.md")).unwrap();
        for library in Library::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| [{}](", library.name()))).unwrap();
            assert!(row.contains(&format!("| {} |", library.version().unwrap())), "{row}");
        }
    }

    #[test]
    fn every_library_is_pinned_by_version_and_hash() {
        for library in Library::ALL.into_iter().chain([Library::Moto, Library::OcsfJsonSchema, Library::Browser]) {
            let read = |name| fs::read_to_string(library.directory().join(name));
            if library.is_of_npm() {
                let lock: serde_json::Value = serde_json::from_str(&read("package-lock.json").unwrap()).unwrap();
                let packages = lock["packages"].as_object().unwrap();
                assert!(packages.contains_key(&format!("node_modules/{}", library.name())));
                for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
                    assert!(package["integrity"].as_str().unwrap().starts_with("sha512-"), "{name}");
                }
            } else {
                let list = read("requirements.txt").unwrap().replace("\\\n", "");
                let packages: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
                assert!(packages.iter().any(|line| line.starts_with(&format!("{}==", library.name()))));
                for line in packages {
                    assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
                }
            }
        }
    }
}
