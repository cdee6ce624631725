//! The image of an agent: this machine's Python with an unmodified SP-API client, and nothing of ours.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::binaries::cache_dir;
use crate::spawn::{self, tethered};
use crate::{Error, Image};

/// The image's name.
pub const REFERENCE: &str = "localhost/agent:dev";

const ASK: &str = "import json, os, sys, sysconfig\n\
    print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path('stdlib'), sys.version]))";

/// The image [`REFERENCE`]: entry point `python3`, packages as pinned in `tests/clients/requirements.txt`. They are
/// installed by pip once and kept in the user's cache directory, by their list and the version of Python.
///
/// # Errors
/// There is no `python3` with pip, or a package could not be had.
pub fn image() -> Result<Image, Error> {
    let (python, library, packages) = parts()?;

    // Where Python looks for its library, seen from its program: ../lib/pythonX.Y.
    let home = Path::new("/usr/local");
    let inside = home.join("lib").join(library.file_name().unwrap_or_default());
    let mut image = Image::new(REFERENCE)
        .entrypoint(["/usr/local/bin/python3"])
        // Each build of Python has its own idea where the machine keeps them.
        .env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        .env("PYTHONHOME", "/usr/local")
        .env("PYTHONPATH", "/usr/local/lib/agent")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .program(python, "/usr/local/bin/python3")
        .tree_without(&library, inside, leave_out)
        .tree_without(&packages, "/usr/local/lib/agent", |name| name == "__pycache__");
    for dir in [library.join("lib-dynload"), packages] {
        for module in modules(&dir)? {
            image = image.libraries(module);
        }
    }
    Ok(image)
}

/// The same packages for a process of this machine, which finds them by `PYTHONPATH`.
///
/// # Errors
/// As [`image`].
pub fn packages() -> Result<PathBuf, Error> {
    parts().map(|(_, _, packages)| packages)
}

/// This machine's Python, its library, and the directory of installed packages.
fn parts() -> Result<(PathBuf, PathBuf, PathBuf), Error> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/requirements.txt");
    let mut ask = tethered("python3");
    ask.args(["-c", ASK]);
    let said = spawn::run(ask)?;
    let (python, library, version) = serde_json::from_str::<(PathBuf, PathBuf, String)>(&said)
        .map_err(|why| Error::Unsupported(format!("python3 described itself in an unknown way ({why})")))?;
    let packages = installed(&requirements, &version)?;
    Ok((python, library, packages))
}

/// Parts of the standard library that an agent does not import: its tests, graphics, and what builds or installs.
fn leave_out(name: &str) -> bool {
    let whole = [
        "__pycache__",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
    ];
    let start = ["config-", "_ctypes_test", "_test", "_tkinter", "xx"];
    whole.contains(&name) || start.iter().any(|start| name.starts_with(start))
}

/// The directory of installed packages.
fn installed(requirements: &Path, version: &str) -> Result<PathBuf, Error> {
    let list = fs::read(requirements).map_err(Error::file("read", requirements))?;
    let key =
        HEXLOWER.encode(&Sha256::new().chain_update(version).chain_update([0]).chain_update(list).finalize()[..8]);
    let cache = cache_dir()?;
    let dir = cache.join(format!("agent-{key}"));
    if !dir.exists() {
        eprintln!("installing the agent's Python packages into {}", dir.display());
        let draft =
            tempfile::Builder::new().prefix("draft-").tempdir_in(&cache).map_err(Error::file("write in", &cache))?;
        let mut pip = tethered("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
        pip.arg("--target").arg(draft.path()).arg("--requirement").arg(requirements);
        spawn::run(pip)?;
        match fs::rename(draft.path(), &dir) {
            Ok(()) => drop(draft.keep()),
            // Another process was faster; the list is pinned, so it has the same.
            Err(_) if dir.exists() => {}
            Err(why) => return Err(Error::file("move into place", &dir)(why)),
        }
    }
    Ok(dir)
}

/// Compiled modules below `dir` that go into the image.
fn modules(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::file("list", dir))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(modules(&path)?);
        } else if path.extension().is_some_and(|end| end == "so") && !leave_out(&entry.file_name().to_string_lossy()) {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_needs_is_not_left_out() {
        for name in ["os.py", "encodings", "lib-dynload", "_ssl.cpython-311-x86_64-linux-gnu.so", "unittest", "xml"] {
            assert!(!leave_out(name), "{name}");
        }
    }

    #[test]
    fn tests_and_graphics_are_left_out() {
        for name in ["test", "__pycache__", "_tkinter.cpython-311-x86_64-linux-gnu.so", "config-3.11-x86_64-linux-gnu"]
        {
            assert!(leave_out(name), "{name}");
        }
    }
}
