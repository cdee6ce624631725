//! Metrics of a process, in OpenMetrics' text form (OpenMetrics 1.0) at `/metrics` of the probes' address.
//!
//! Names begin with `openteam_`, but for what every process has, which goes by the names that Prometheus' own clients give
//! it (`process_…`); labels hold fixed words of ours only, never the name of an object or the text of an
//! error: those are without end, and may be secret.

mod process;

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::text::{encode_eof, encode_registry},
    metrics::info::Info,
    registry::{Metric, Registry},
};

use crate::record::VERSION;

/// What a scrape is answered with.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    ours: Arc<Mutex<Registry>>,
    /// Those whose names have no prefix.
    process: Arc<Registry>,
}

impl Metrics {
    /// With `openteam_build_info` and what the kernel knows of the process.
    #[must_use]
    pub fn new(role: audit::Role) -> Self {
        let mut registry = Registry::with_prefix("openteam");
        let build = Info::new([("version", VERSION.to_owned()), ("role", role.to_string())]);
        registry.register("build", "What runs", build);
        let mut unprefixed = Registry::default();
        unprefixed.register_collector(Box::new(process::Process::started_now()));
        Self { ours: Arc::new(Mutex::new(registry)), process: Arc::new(unprefixed) }
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a metric as `openteam_NAME` (a counter gets its `_total` when it is encoded) and hands it back.
    pub fn register<M: Metric + Clone>(&self, name: &'static str, help: &'static str, metric: M) -> M {
        self.registry().register(name, help, metric.clone());
        metric
    }

    /// Adds what is worked out at each scrape.
    pub fn collect(&self, collector: impl Collector) {
        self.registry().register_collector(Box::new(collector));
    }

    /// All of them as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let encoded = encode_registry(&mut text, &self.registry())
            .and_then(|()| encode_registry(&mut text, &self.process))
            .and_then(|()| encode_eof(&mut text));
        if encoded.is_err() {
            // Writing to a String cannot fail, so this is a collector's fault; a scrape must not be the process's end.
            text.clear();
            let _ = text.write_str("# EOF\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn a_metric_is_told_under_the_products_name() {
        let metrics = Metrics::new(audit::Role::Gateway);
        let calls = metrics.register("calls", "Calls", Counter::<u64>::default());
        calls.inc();
        let text = metrics.text();
        assert!(text.contains("openteam_calls_total 1"), "{text}");
        assert!(text.contains("openteam_build_info{version="), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_process_tells_what_it_uses_under_the_names_that_everybody_knows() {
        let text = Metrics::new(audit::Role::Gateway).text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6, "{text}");
        assert!(value("process_cpu_seconds_total") > 0.0, "{text}");
        assert!(value("process_open_fds") >= 3.0, "{text}");
        assert!(value("process_start_time_seconds") > 1.7e9, "{text}");
    }
}
