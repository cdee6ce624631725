//! The image of an agent: this machine's Python with an unmodified SP-API client, and nothing of ours.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clients::Library;
use crate::spawn::{self, tethered};
use crate::{Error, Image};

/// The image's name.
pub const REFERENCE: &str = "localhost/agent:dev";

const ASK: &str = "import json, os, sys, sysconfig\n\
    print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path('stdlib')]))";

/// The image [`REFERENCE`]: entry point `python3`, with `python-amazon-sp-api`.
///
/// # Errors
/// There is no `python3` with pip, or a package could not be had.
pub fn image() -> Result<Image, Error> {
    let mut ask = tethered("python3");
    ask.args(["-c", ASK]);
    let said = spawn::run(ask)?;
    let (python, library) = serde_json::from_str::<(PathBuf, PathBuf)>(&said)
        .map_err(|why| Error::Unsupported(format!("python3 described itself in an unknown way ({why})")))?;
    let packages = Library::PythonAmazonSpApi.installed()?;

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
