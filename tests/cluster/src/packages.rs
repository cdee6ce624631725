//! Programs of the machine that a cluster needs, and the Debian packages that bring them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::binaries::cache_dir;
use crate::{Error, spawn};

/// A Debian package and what it is needed for: names of programs, or paths of files.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// The package's name.
    pub name: &'static str,
    /// Programs in the PATH, or absolute paths.
    pub brings: &'static [&'static str],
}

const fn package(name: &'static str, brings: &'static [&'static str]) -> Package {
    Package { name, brings }
}

const UTIL_LINUX: Package = package("util-linux", &["setpriv", "unshare", "nsenter", "mount"]);

/// For [`crate::ControlPlane`].
pub const CONTROL_PLANE: &[Package] = &[UTIL_LINUX];

/// For [`crate::Cluster`].
pub const CLUSTER: &[Package] = &[
    UTIL_LINUX,
    package("bash", &["bash"]),
    package("conntrack", &["conntrack"]),
    package("containerd", &["containerd", "ctr"]),
    package("containernetworking-plugins", &["/usr/lib/cni/bridge", "/usr/lib/cni/portmap"]),
    package("ethtool", &["ethtool"]),
    package("iproute2", &["ip"]),
    package("ipset", &["ipset"]),
    package("iptables", &["iptables"]),
    package("runc", &["runc"]),
    package("socat", &["socat"]),
];

/// For what people paste at a prompt.
pub const CURL: &[Package] = &[package("curl", &["curl"])];

/// For [`crate::clients::Library::Browser`], and what people paste from its pages; npm is asked for where it is used, as that of the other library is.
pub const BROWSER: &[Package] = &[
    package("chromium", &["/usr/bin/chromium"]),
    package("curl", &["curl"]),
    package("fonts-liberation", &["/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"]),
    package("fonts-noto-color-emoji", &["/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"]),
    package("libnss3-tools", &["certutil"]),
];

/// For [`crate::Image`].
pub const IMAGE: &[Package] =
    &[package("binutils", &["objcopy"]), package("ca-certificates", &["/etc/ssl/certs/ca-certificates.crt"])];

/// Makes sure of `packages`: installs what is missing when this is root on Debian.
///
/// # Errors
/// Something is missing and cannot be installed; the error names it, the packages, and the way out.
pub fn require(packages: &[Package]) -> Result<(), Error> {
    if missing(packages).is_empty() {
        return Ok(());
    }
    // apt waits for another's installing, but not for its update.
    let _held = one_at_a_time()?;
    let absent = missing(packages);
    if absent.is_empty() {
        return Ok(());
    }
    if is_root() && find("apt-get").is_some() {
        let names: Vec<_> = absent.iter().map(|(package, _)| package.name).collect();
        eprintln!("installing {}", names.join(" "));
        let apt = |args: &[&str]| {
            let mut command = Command::new("apt-get");
            // Another process may be installing something.
            command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]).args(args);
            spawn::run(command)
        };
        apt(&["update", "--quiet"])?;
        let mut install = vec!["install", "--yes", "--no-install-recommends"];
        install.extend(&names);
        apt(&install)?;
    }
    refuse(&missing(packages))
}

/// Held by the one process that installs something; let go with the file.
fn one_at_a_time() -> Result<File, Error> {
    let place = cache_dir()?;
    std::fs::create_dir_all(&place).map_err(Error::file("create", &place))?;
    let path = place.join("packages.lock");
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    file.lock().map_err(Error::file("lock", &path))?;
    Ok(file)
}

/// A program of a Debian package that must not be installed, because that would start a service: from the PATH, or else
/// unpacked into the cache directory, once. Needs no root where apt knows its packages.
///
/// # Errors
/// The package cannot be fetched; the error says what apt said.
pub fn unpacked(package: &str, program: &str) -> Result<PathBuf, Error> {
    // Tests of one binary ask at the same time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(installed) = find(program) {
        return Ok(installed);
    }
    let place = cache_dir()?.join(format!("debian-{package}"));
    let unpacked = place.join("usr/bin").join(program);
    if unpacked.is_file() {
        return Ok(unpacked);
    }
    eprintln!("fetching Debian's package {package} into the cache directory");
    let scratch = cache_dir()?.join(format!("debian-{package}.{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(Error::file("create", &scratch))?;
    let fetched = fetch(package, &scratch);
    if fetched.is_ok() {
        // Another process may have been first; then its copy is as good.
        drop(std::fs::rename(scratch.join("root"), &place));
    }
    drop(std::fs::remove_dir_all(&scratch));
    fetched?;
    let missing = || Error::Missing { missing: program.to_owned(), packages: package.to_owned() };
    unpacked.is_file().then_some(unpacked).ok_or_else(missing)
}

/// Downloads a package and unpacks it into `root` of a directory.
fn fetch(package: &str, scratch: &Path) -> Result<(), Error> {
    let run = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(scratch).args(args);
        spawn::run(command)
    };
    let download = || run("apt-get", &["download", "--quiet", package]);
    if download().is_err() {
        // A fresh machine knows no packages yet.
        run("apt-get", &["update", "--quiet"])?;
        download()?;
    }
    run("sh", &["-c", "dpkg-deb --extract ./*.deb root"]).map(drop)
}

/// The packages of which something is missing, with what.
fn missing(packages: &[Package]) -> Vec<(Package, Vec<&'static str>)> {
    let absent = |package: &Package| {
        let list: Vec<_> = package.brings.iter().copied().filter(|name| find(name).is_none()).collect();
        (!list.is_empty()).then_some((*package, list))
    };
    packages.iter().filter_map(absent).collect()
}

fn refuse(absent: &[(Package, Vec<&str>)]) -> Result<(), Error> {
    if absent.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = absent.iter().flat_map(|(_, list)| list.iter().copied()).collect();
    let packages: Vec<_> = absent.iter().map(|(package, _)| package.name).collect();
    Err(Error::Missing { missing: missing.join(", "), packages: packages.join(" ") })
}

/// Whether this process has user id 0.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Where a program is: in the PATH or where Debian keeps those of the administrator.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Path::new(program).exists().then(|| program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package_and_the_way_out() {
        let packages =
            [package("util-linux", &["sh"]), package("nowhere", &["no-such-program", "sh", "/no/such/file"])];
        let said = refuse(&missing(&packages)).unwrap_err().to_string();
        assert!(said.contains("no-such-program, /no/such/file."), "{said}");
        assert!(said.contains("apt-get install nowhere)"), "{said}");
        assert!(said.contains("--context NAME"), "{said}");
        assert!(!said.contains("util-linux"), "{said}");
    }

    #[test]
    fn nothing_missing_is_no_error() {
        assert!(refuse(&missing(&[package("dash", &["sh"])])).is_ok());
    }
}
