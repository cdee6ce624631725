//! The directory of one cluster, and that nothing of it outlives its owner.
//!
//! Three things see to that. Children carry a parent-death signal ([`crate::spawn`]). A guardian, a small shell script,
//! waits for the end of a pipe that only the owner holds: the kernel closes it when the owner dies, by whatever signal,
//! and the guardian removes cgroups and files. Should the guardian have been killed too, the next start sweeps.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Error;

const PREFIX: &str = "openteam-cluster-";
const CLEAN: &str = include_str!("clean.sh");

/// A cluster's directory, removed on drop together with what it lists.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    guardian: Child,
}

impl State {
    /// A new directory under the system's temporary one, readable by this user only, after sweeping what dead owners left.
    pub(crate) fn create() -> Result<Self, Error> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(base: &Path) -> Result<Self, Error> {
        let base = base.canonicalize().map_err(Error::file("find", base))?;
        sweep(&base)?;
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&base)
            .map_err(Error::file("create a directory in", &base))?
            .keep();
        let me = std::process::id();
        let mut owner = format!("{me} ");
        owner.push_str(&began(me).unwrap_or_default());
        write(&dir.join("owner"), owner)?;
        let guardian = clean(&dir, Stdio::piped())?;
        let state = Self { dir, guardian };
        for sub in ["logs", "pki"] {
            fs::create_dir(state.path(sub)).map_err(Error::file("create", state.path(sub)))?;
        }
        Ok(state)
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Has the process ended with this cluster, should the parent-death signal not reach it.
    pub(crate) fn list_process(&self, pid: u32) -> Result<(), Error> {
        let Some(began) = began(pid) else {
            return Ok(());
        };
        self.append("processes", &format!("{pid} {began}"))
    }

    /// Has the cgroup directory removed with this cluster.
    pub(crate) fn list_cgroup(&self, dir: &Path) -> Result<(), Error> {
        self.append("cgroups", &dir.display().to_string())
    }

    fn append(&self, list: &str, line: &str) -> Result<(), Error> {
        let path = self.path(list);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(Error::file("append to", &path))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        // Nothing is left to be done here if it fails: the next start sweeps.
        drop(self.guardian.wait());
    }
}

/// Writes a file of the state directory.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file("write", path))
}

/// Cleans up after owners under `base` that are dead.
fn sweep(base: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(base).map_err(Error::file("list", base))?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Another user's, or one that is being made or removed right now: not ours to judge.
        let Ok(owner) = fs::read_to_string(entry.path().join("owner")) else {
            continue;
        };
        let Some((pid, then)) = owner.split_once(' ') else {
            continue;
        };
        let alive = pid.parse().ok().and_then(began).is_some_and(|now| now == then);
        if !alive {
            drop(clean(&entry.path(), Stdio::null())?.wait());
        }
    }
    Ok(())
}

/// Starts the cleaning script; it acts when `stdin` ends.
fn clean(dir: &Path, stdin: Stdio) -> Result<Child, Error> {
    Command::new("sh")
        .args(["-c", CLEAN, "clean"])
        .arg(dir)
        .current_dir("/")
        .process_group(0)
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Start { program: "sh".to_owned(), source })
}

/// When the process started, in clock ticks since boot (proc_pid_stat(5), field 22); none if there is no such process.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name in parentheses may itself hold spaces and parentheses.
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_a_state_removes_its_directory() {
        let base = tempfile::tempdir().unwrap();
        let state = State::create_in(base.path()).unwrap();
        let dir = state.dir().to_owned();
        assert!(dir.join("owner").exists());
        drop(state);
        assert!(!dir.exists());
    }

    #[test]
    fn a_dead_owners_directory_is_swept_and_its_process_ended() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        let mut left = Command::new("sleep").arg("600").spawn().unwrap();
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(dead.join("processes"), format!("{} {}\n{} 1\n", left.id(), began(left.id()).unwrap(), other.id()))
            .unwrap();
        // This process's pid, but not its start: the owner died and its number came round again.
        fs::write(dead.join("owner"), format!("{} 1", std::process::id())).unwrap();
        sweep(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(!left.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "a process that only has the same number was ended");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn what_a_living_owner_has_is_not_swept() {
        let base = tempfile::tempdir().unwrap();
        let state = State::create_in(base.path()).unwrap();
        sweep(base.path()).unwrap();
        assert!(state.dir().exists());
    }

    #[test]
    fn a_directory_of_another_name_is_never_removed() {
        let base = tempfile::tempdir().unwrap();
        let other = base.path().join("precious");
        fs::create_dir(&other).unwrap();
        let status = clean(&other, Stdio::null()).unwrap().wait().unwrap();
        assert_eq!(status.code(), Some(2));
        assert!(other.exists());
    }
}
