//! Processes: which core they are on, and what /proc says of them (proc(5)).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context;

use crate::shell;

/// `/proc/PID/stat` counts in these, whatever the kernel's own tick is (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU that a process has used, its ended threads included.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the measured process is gone")?;
    parse_cpu(&text).context("/proc/PID/stat has another form")
}

/// utime and stime are the 14th and 15th; the second is the program's name in brackets, which may hold anything.
fn parse_cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_SECOND)
}

/// MiB of memory that a process has.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmRSS:")
}

/// The most it ever had since [`forget_peak`].
pub(crate) fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmHWM:")
}

/// Lets the peak begin anew (`5` to `clear_refs`).
pub(crate) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak of a process cannot be forgotten")
}

fn status_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the measured process is gone")?;
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc/PID/status has no {field}"))? / 1024.0)
}

/// The words to put before a command line so that it runs on one core only: on a machine with one core, none.
pub(crate) fn on_core(core: usize) -> Vec<String> {
    let cores = fs::read_to_string("/proc/cpuinfo").map_or(1, |text| text.matches("processor\t").count());
    if cores < 2 { Vec::new() } else { ["taskset", "-c", &core.to_string()].map(str::to_owned).to_vec() }
}

/// Moves this process to one core, and with it all that it starts.
pub(crate) fn move_to_core(core: usize) -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    match on_core(core).as_slice() {
        [] => Ok(()),
        _ => shell::run(
            shell::command("taskset").args(["-a", "-p", "-c", &core.to_string(), &own]).stdout(Stdio::null()),
        ),
    }
}

/// Lets everybody else go before the processes of a program below `directory`: Kubernetes' own, which share a core with
/// what is measured and are no part of it.
pub(crate) fn give_way(directory: &Path) -> anyhow::Result<()> {
    for process in fs::read_dir("/proc")?.flatten() {
        let of_program = fs::read_link(process.path().join("exe")).is_ok_and(|program| program.starts_with(directory));
        if !of_program {
            continue;
        }
        // One that ends meanwhile is in nobody's way.
        let Ok(threads) = fs::read_dir(process.path().join("task")) else { continue };
        let threads: Vec<_> = threads.flatten().map(|thread| thread.file_name()).collect();
        shell::run(shell::command("renice").args(["-n", "19", "-p"]).args(threads).stdout(Stdio::null()))?;
    }
    Ok(())
}

/// This program.
pub(crate) fn own_path() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("this program's own path is not known")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(parse_cpu(stat), Some(2.0));
        assert_eq!(parse_cpu("7"), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        assert!(resident_mib(std::process::id()).unwrap() > 0.5);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
