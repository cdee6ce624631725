//! Looking at processes and waiting on conditions.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// Waits until `condition`, at most a minute.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Command lines of living processes that name `dir`.
pub(crate) fn naming(dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    let line = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok();
    processes().filter_map(line).filter(|line| line.contains(&dir)).map(|line| line.replace('\0', " ")).collect()
}

/// Processes started by `pid`, and by those.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(processes().filter(|&child| parent_of(child) == Some(parent)));
        next += 1;
    }
    found.split_off(1)
}

/// The first line that `child` writes, as a path.
pub(crate) fn first_line(child: &mut Child) -> PathBuf {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "it ended without a word");
    line.trim().into()
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
