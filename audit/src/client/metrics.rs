//! What a process tells about its recording.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::NotRecorded;

/// Counts and times of a [`super::Recorder`], for the process to publish. Labels are fixed words.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Seconds that [`super::Recorder::record`] waited, whatever came of it.
    pub wait: Histogram,
    /// [`NotRecorded`], by `reason`.
    pub failures: Family<[(&'static str, &'static str); 1], Counter>,
    /// Events of [`super::Recorder::record_later`] that were dropped.
    pub dropped: Counter,
    /// Events that nobody has begun to send.
    pub queue: Gauge,
}

/// A commit takes a millisecond or so on a good disk; 2 s is where the wait ends.
const WAIT_SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

impl Default for Metrics {
    fn default() -> Self {
        let failures = Family::default();
        // There from the start, as 0: a rate over a counter that appears with its first failure misses that failure.
        for reason in ["not_acknowledged", "overloaded", "refused", "ended"] {
            drop(failures.get_or_create(&[("reason", reason)]));
        }
        Self { wait: Histogram::new(WAIT_SECONDS), failures, dropped: Counter::default(), queue: Gauge::default() }
    }
}

impl Metrics {
    pub(super) fn failed(&self, error: &NotRecorded) {
        self.failures.get_or_create(&[("reason", error.reason())]).inc();
    }
}

impl NotRecorded {
    /// A fixed word for metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::NotAcknowledged => "not_acknowledged",
            Self::Overloaded => "overloaded",
            Self::Refused { .. } => "refused",
            Self::Ended => "ended",
        }
    }
}
