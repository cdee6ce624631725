//! What a journal tells about its disk.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

/// Counts and times of a journal, for the process to publish.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Events on disk.
    pub(crate) events: Counter,
    /// Group commits that the disk refused.
    pub(crate) failures: Counter,
    /// Seconds that a group commit took: one write, one `fdatasync`.
    pub(crate) sync: Histogram,
    /// Leaves of the newest checkpoint.
    pub(crate) log_size: Gauge,
    /// Records on disk that are no leaves yet.
    pub(crate) log_lag: Gauge,
    /// Times that the log could not be written.
    pub(crate) log_failures: Counter,
    /// Logs that were found otherwise than they were signed.
    pub(crate) log_faults: Counter,
    /// When all logs were copied last, in seconds since 1970.
    pub(crate) log_copied: Gauge,
}

/// From an SSD of a server to a network disk in trouble; callers wait 2 s.
const SYNC_SECONDS: [f64; 12] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 2.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            failures: Counter::default(),
            sync: Histogram::new(SYNC_SECONDS),
            log_size: Gauge::default(),
            log_lag: Gauge::default(),
            log_failures: Counter::default(),
            log_faults: Counter::default(),
            log_copied: Gauge::default(),
        }
    }
}
