//! Programs that are built from Go once and kept in the user's cache directory: Kubernetes, from the module in `kube/`, and
//! what tests bring.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::packages::find;
use crate::spawn::{self, tethered};
use crate::{Error, wait};

/// Every name under which the one program acts.
const NAMES: [&str; 8] = [
    "etcd",
    "coredns",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
];
/// Without the version, clients see `v0.0.0-master+$Format:%H$` and the kubelet is refused as too old.
const FLAGS: [&str; 1] = ["-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.36.1"];

/// A directory with Kubernetes' programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// All of them, from the cache, or built: 6 to 10 minutes on two cores the first time, with a line of progress every
    /// 15 s on standard error. Needs Go.
    ///
    /// # Errors
    /// Go is missing or fails, or the cache cannot be written.
    pub fn ensure() -> Result<Self, Error> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube");
        let dir = cached(&source, "kube", &FLAGS, "Kubernetes (6 to 10 minutes, once)", |draft| {
            go_build(&source, ".", &FLAGS, &draft.join("kube"))?;
            go_build(&source, "./pause", &FLAGS, &draft.join("pause"))?;
            for name in NAMES {
                symlink("kube", draft.join(name)).map_err(Error::file("link", draft.join(name)))?;
            }
            Ok(())
        })?;
        Ok(Self { dir })
    }

    /// What a control plane needs: `KUBEBUILDER_ASSETS` if the environment names it, else [`Self::ensure`].
    ///
    /// # Errors
    /// As [`Self::ensure`], or a program is missing in `KUBEBUILDER_ASSETS`.
    pub fn for_control_plane() -> Result<Self, Error> {
        match std::env::var_os("KUBEBUILDER_ASSETS") {
            Some(dir) => Self::in_assets(dir.into()),
            None => Self::ensure(),
        }
    }

    fn in_assets(dir: PathBuf) -> Result<Self, Error> {
        let dir = dir.canonicalize().map_err(Error::file("find KUBEBUILDER_ASSETS", &dir))?;
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            let path = dir.join(name);
            fs::metadata(&path).map_err(Error::file("find (KUBEBUILDER_ASSETS)", &path))?;
        }
        Ok(Self { dir })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The program of the Go module at `source`, from the cache, or built: seconds, but for what has to be downloaded.
///
/// # Errors
/// Go is missing or fails, or the cache cannot be written.
pub fn go_program(source: &Path, name: &str) -> Result<PathBuf, Error> {
    let flags = ["-trimpath", "-ldflags=-s -w"];
    let dir = cached(source, name, &flags, name, |draft| go_build(source, ".", &flags, &draft.join(name)))?;
    Ok(dir.join(name))
}

/// Programs by others that read transparency logs.
#[derive(Debug, Clone)]
pub struct TlogTools {
    /// The one in `tests/tlog`, over Go's own packages for such logs.
    pub tlog: PathBuf,
    /// Tessera's check of a whole log. It exits with 0 whatever it finds: its standard error says.
    pub fsck: PathBuf,
    /// The log that tessera tests itself with.
    pub testdata: PathBuf,
}

/// Them, from the cache, or built: a minute, but for what has to be downloaded.
///
/// # Errors
/// As [`go_program`].
pub fn tlog_tools() -> Result<TlogTools, Error> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tlog");
    let flags = ["-trimpath", "-ldflags=-s -w"];
    let tessera = "github.com/transparency-dev/tessera";
    let dir = cached(&source, "tlog", &flags, "what reads logs (a minute, once)", |draft| {
        go_build(&source, ".", &flags, &draft.join("tlog"))?;
        go_build(&source, &format!("{tessera}/cmd/fsck"), &flags, &draft.join("fsck"))?;
        let mut list = tethered("go");
        list.args(["list", "-m", "-f", "{{.Dir}}", tessera]).current_dir(&source);
        let testdata = Path::new(spawn::run(list)?.trim()).join("testdata/log");
        copy(&testdata, &draft.join("testdata"))
    })?;
    Ok(TlogTools { tlog: dir.join("tlog"), fsck: dir.join("fsck"), testdata: dir.join("testdata") })
}

/// Copies a directory. Not what was permitted: Go's module cache is read-only, and a draft has to be removable.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir(to).map_err(Error::file("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("list", from))?.flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
            fs::write(&to, bytes).map_err(Error::file("write", &to))?;
        }
    }
    Ok(())
}

/// The directory in the cache with what `build` makes of these inputs, made now if it is not there.
fn cached(
    source: &Path,
    name: &str,
    flags: &[&str],
    called: &str,
    build: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    if find("go").is_none() {
        return Err(Error::Unsupported(format!("{name} is built here and Go 1.26 or later is not installed")));
    }
    let mut version = tethered("go");
    version.arg("version").current_dir(source);
    let key = key(&sources(source)?, flags, &spawn::run(version)?);
    let cache = cache_dir()?;
    let dir = cache.join(format!("{name}-{key}"));
    if !dir.exists() {
        // Whoever waits here finds it built; the lock goes with the file handle, so also when its holder is killed.
        let lock = cache.join(format!("{name}.lock"));
        let lock = File::create(&lock).map_err(Error::file("open", &lock))?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another process that is building {name}");
            lock.lock().map_err(Error::file("lock", &cache))?;
        }
        if !dir.exists() {
            eprintln!("building {called} into {}", dir.display());
            draft(&dir, &cache.join(format!("{name}.draft")), build)?;
        }
    }
    Ok(dir)
}

/// `openteam` in the user's cache directory, made if need be.
///
/// # Errors
/// There is no home directory, or it cannot be written.
pub fn cache_dir() -> Result<PathBuf, Error> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    let no_home = || Error::Unsupported("there is no home directory to keep built programs in".to_owned());
    let dir = base.or_else(home).ok_or_else(no_home)?.join("openteam");
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    Ok(dir)
}

/// Go files and module files under `dir` with their contents, by relative path.
fn sources(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).map_err(Error::file("list", &next))?.flatten() {
            let path = entry.path();
            let wanted = path.extension().is_some_and(|end| end == "go" || end == "mod" || end == "sum");
            if path.is_dir() {
                open.push(path);
            } else if wanted {
                let text = fs::read(&path).map_err(Error::file("read", &path))?;
                let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                found.push((name, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Names what these inputs build: 16 hexadecimal digits of SHA-256 over each part with its length before it.
fn key(sources: &[(String, Vec<u8>)], flags: &[&str], go_version: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (name, text) in sources {
        part(name.as_bytes());
        part(text);
    }
    part(b"flags");
    flags.iter().for_each(|flag| part(flag.as_bytes()));
    part(go_version.trim().as_bytes());
    HEXLOWER.encode(&hash.finalize()[..8])
}

/// Builds beside `dir` and renames, so that a directory of that name is always whole. The caller holds the lock, so a draft
/// that is there is what a killed build left.
fn draft(dir: &Path, draft: &Path, build: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    if draft.exists() {
        fs::remove_dir_all(draft).map_err(Error::file("remove", draft))?;
    }
    fs::create_dir(draft).map_err(Error::file("create", draft))?;
    build(draft)?;
    fs::rename(draft, dir).map_err(Error::file("move into place", dir))
}

fn go_build(source: &Path, package: &str, flags: &[&str], out: &Path) -> Result<(), Error> {
    let mut command = tethered("go");
    command.arg("build").args(flags).arg("-o").arg(out).arg(package);
    command.env("CGO_ENABLED", "0").current_dir(source).stderr(Stdio::piped());
    let line = spawn::line(&command);
    let started = Instant::now();
    let mut child = spawn::spawn(command)?;
    let failed = |source| Error::Start { program: "go".to_owned(), source };
    while !wait::until(Duration::from_secs(15), || child.try_wait().map(|status| status.is_some())).map_err(failed)? {
        eprintln!("  still building, {} s", started.elapsed().as_secs());
    }
    // It writes to standard error only when it fails, and then less than a pipe holds.
    spawn::checked(line, &child.wait_with_output().map_err(failed)?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(String, Vec<u8>)> {
        vec![("go.mod".to_owned(), b"module x".to_vec()), ("main.go".to_owned(), b"package main".to_vec())]
    }

    #[test]
    fn the_key_changes_with_every_input() {
        let base = key(&sample(), &["-a"], "go1.26.0");
        assert_eq!(base, key(&sample(), &["-a"], "go1.26.0\n"));
        let mut text = sample();
        text[1].1.push(b' ');
        let mut name = sample();
        name[1].0 = "other.go".to_owned();
        let mut fewer = sample();
        fewer.pop();
        let others = [
            key(&text, &["-a"], "go1.26.0"),
            key(&name, &["-a"], "go1.26.0"),
            key(&fewer, &["-a"], "go1.26.0"),
            key(&sample(), &["-b"], "go1.26.0"),
            key(&sample(), &[], "go1.26.0"),
            key(&sample(), &["-a"], "go1.26.1"),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_modules_own_sources_are_all_found() {
        let found = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kube")).unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["go.mod", "go.sum", "main.go", "pause/main.go"]);
    }

    #[test]
    fn assets_without_an_apiserver_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("etcd"), "").unwrap();
        let said = Binaries::in_assets(dir.path().to_owned()).unwrap_err().to_string();
        assert!(said.contains("kube-apiserver"), "{said}");
    }

    #[test]
    fn assets_that_are_not_there_are_refused() {
        assert!(Binaries::in_assets("/no/such/directory".into()).is_err());
    }
}
