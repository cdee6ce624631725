//! What the kernel knows of this process, asked at each scrape.

use std::fs;

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};

/// The metrics `process_…`. One that the kernel does not tell is left out: 0 would be a lie.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    start: f64,
}

impl Process {
    /// Made within milliseconds of the process's start, which is near enough to tell a restart by.
    pub(super) fn started_now() -> Self {
        Self { start: Timestamp::now().as_duration().as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = ConstCounter::new(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        // The library adds the unit and `_total`.
        let metric = encoder.encode_descriptor(
            "process_cpu_seconds",
            "Time on a CPU, user and system",
            None,
            cpu.metric_type(),
        )?;
        cpu.encode(metric)?;
        gauge(
            &mut encoder,
            "process_start_time_seconds",
            "When the process started, in seconds since 1970",
            self.start,
        )?;
        if let Some(bytes) = resident_memory() {
            gauge(&mut encoder, "process_resident_memory_bytes", "Memory that the process holds", bytes)?;
        }
        if let Some(count) = open_files() {
            gauge(&mut encoder, "process_open_fds", "Open file descriptors", count)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(value);
    let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(metric)
}

/// The second field of `/proc/self/statm`, in pages (proc_pid_statm(5)).
fn resident_memory() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages as f64 * page_size() as f64)
}

fn open_files() -> Option<f64> {
    // One of them is the directory itself, being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}
