//! Which files an image holds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Part;
use crate::spawn::{self, tethered};
use crate::{Error, packages};

/// What is at a path: a file's bytes, or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// None for a directory.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) mode: u32,
}

/// By path without the leading `/`; a directory comes before what is in it.
pub(super) type Entries = BTreeMap<PathBuf, Entry>;

const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// glibc loads these by name when it looks up a host, so that `ldd` does not show them.
const RESOLVERS: [&str; 3] = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/// Reads every part.
pub(super) fn lay_out(parts: &[Part]) -> Result<Entries, Error> {
    let mut entries = Entries::new();
    for part in parts {
        match part {
            Part::File { from, to } => add_file(&mut entries, from, to)?,
            Part::Tree { from, to, leave_out } => add_tree(&mut entries, from, to, *leave_out)?,
            Part::Program { from, to } => add_program(&mut entries, from, to)?,
            Part::Libraries { of } => add_libraries(&mut entries, of)?,
        }
    }
    Ok(entries)
}

fn add_program(entries: &mut Entries, from: &Path, to: &Path) -> Result<(), Error> {
    let dir = tempfile::tempdir().map_err(Error::file("create a directory in", std::env::temp_dir()))?;
    let stripped = dir.path().join("program");
    let mut objcopy = tethered("objcopy");
    objcopy.arg("--strip-debug").arg(from).arg(&stripped);
    spawn::run(objcopy)?;
    let bytes = fs::read(&stripped).map_err(Error::file("read", &stripped))?;
    add(entries, to, bytes, 0o755);
    add_libraries(entries, from)?;

    add(entries, Path::new("/etc/passwd"), PASSWD.into(), 0o644);
    add(entries, Path::new("/etc/group"), GROUP.into(), 0o644);
    add(entries, Path::new("/etc/nsswitch.conf"), NSSWITCH.into(), 0o644);
    add_file(entries, Path::new(CERTIFICATES), Path::new(CERTIFICATES))?;
    entries.insert("tmp".into(), Entry { bytes: None, mode: 0o1777 });
    Ok(())
}

/// Libraries at the very paths where the loader looked for them, which are symbolic links more often than not.
fn add_libraries(entries: &mut Entries, of: &Path) -> Result<(), Error> {
    for library in libraries(of)? {
        add_file(entries, &library, &library)?;
        let beside = library.parent().filter(|_| library.ends_with("libc.so.6"));
        for resolver in RESOLVERS.iter().filter_map(|name| beside.map(|dir| dir.join(name))) {
            if resolver.exists() {
                add_file(entries, &resolver, &resolver)?;
            }
        }
    }
    Ok(())
}

fn add_tree(entries: &mut Entries, from: &Path, to: &Path, leave_out: fn(&str) -> bool) -> Result<(), Error> {
    for entry in fs::read_dir(from).map_err(Error::file("list", from))? {
        let name = entry.map_err(Error::file("list", from))?.file_name();
        if leave_out(&name.to_string_lossy()) {
            continue;
        }
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            add_tree(entries, &from, &to, leave_out)?;
        } else {
            add_file(entries, &from, &to)?;
        }
    }
    Ok(())
}

fn add_file(entries: &mut Entries, from: &Path, to: &Path) -> Result<(), Error> {
    let bytes = fs::read(from).map_err(Error::file("read", from))?;
    let mode = fs::metadata(from).map_err(Error::file("read", from))?.permissions().mode();
    add(entries, to, bytes, if mode & 0o111 == 0 { 0o644 } else { 0o755 });
    Ok(())
}

fn add(entries: &mut Entries, to: &Path, bytes: Vec<u8>, mode: u32) {
    let to = to.strip_prefix("/").unwrap_or(to);
    for dir in to.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
        entries.entry(dir.to_owned()).or_insert(Entry { bytes: None, mode: 0o755 });
    }
    entries.insert(to.to_owned(), Entry { bytes: Some(bytes), mode });
}

fn libraries(of: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut ldd: Command = tethered("ldd");
    ldd.arg(of).env("LC_ALL", "C");
    let line = spawn::line(&ldd);
    let output = spawn::output(ldd)?;
    if String::from_utf8_lossy(&output.stderr).contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    let text = spawn::checked(line, &output)?;
    named(&text).map_err(|missing| Error::Missing {
        missing: format!("{missing} (of {})", of.display()),
        packages: packages::IMAGE.iter().map(|package| package.name).collect::<Vec<_>>().join(" "),
    })
}

/// Paths in what `ldd` writes: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader; the kernel's own has no path.
fn named(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        if place.trim() == "not found" {
            return Err(name.to_owned());
        }
        let path = place.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_at_the_paths_they_are_named() {
        let text = "\tlinux-vdso.so.1 (0x7ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(named(text).unwrap(), expected);
        assert!(named("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_library_that_is_not_found_is_an_error_with_its_name() {
        assert_eq!(named("\tliblost.so.1 => not found\n").unwrap_err(), "liblost.so.1");
    }

    #[test]
    fn every_directory_on_the_way_is_an_entry() {
        let mut entries = Entries::new();
        add(&mut entries, Path::new("/a/b/c"), b"x".to_vec(), 0o644);
        let names: Vec<_> = entries.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c"]);
    }
}
