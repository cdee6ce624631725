//! What the recorder tells Prometheus.

use std::path::PathBuf;

use process::metrics::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::{Journal, room::Space};

/// Publishes what the journal counts, and its disk as it is at each scrape.
pub(crate) fn publish(journal: &Journal, metrics: &Metrics) {
    let told = journal.metrics().clone();
    metrics.register("recorder_events", "Events on disk since the start", told.events);
    metrics.register("recorder_append_failures", "Group commits that the disk refused", told.failures);
    metrics.register("recorder_sync_seconds", "How long a group commit took", told.sync);
    metrics.register("recorder_log_size", "Leaves of the newest signed checkpoint", told.log_size);
    metrics.register("recorder_log_lag_records", "Records on disk that are not in the log yet", told.log_lag);
    metrics.register("recorder_log_failures", "Times that the log could not be written", told.log_failures);
    metrics.register(
        "recorder_log_faults",
        "Logs found at a start otherwise than they were signed or witnessed",
        told.log_faults,
    );
    metrics.register(
        "recorder_log_copied_timestamp_seconds",
        "When all logs were copied to auditUrl last, in seconds since 1970; 0 before, and without that setting",
        told.log_copied,
    );
    metrics.collect(Disk(journal.dir().to_owned()));
}

/// The file system of a directory.
#[derive(Debug)]
struct Disk(PathBuf);

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Left out when the disk does not say: 0 bytes would be a false alarm.
        let Some(Space { free, size }) = Space::of(&self.0) else { return Ok(()) };
        for (name, help, bytes) in [
            ("recorder_disk_free_bytes", "What the journal's file system has left", free),
            ("recorder_disk_size_bytes", "The journal's file system", size),
        ] {
            let gauge = ConstGauge::new(bytes as f64);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
