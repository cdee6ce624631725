//! What the portal counts.

use std::time::Instant;

use process::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u32,
}

/// A millisecond to ten seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// The portal's counts.
pub(crate) struct Counts {
    requests: Family<Request, Counter>,
    durations: Histogram,
    live: Gauge,
    locks: Counter,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.register("portal_requests", "Requests, by route and HTTP status", Family::default()),
            durations: metrics.register(
                "portal_request_duration_seconds",
                "Until the head of the answer, but for sign-in codes, whose answer is held back on purpose",
                Histogram::new(SECONDS),
            ),
            live: metrics.register("portal_live_pages", "Pages that follow a status", Gauge::default()),
            locks: metrics.register("portal_locks", "Addresses that were locked after wrong codes", Counter::default()),
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: &'static str, status: u16, began: Instant) {
        self.requests.get_or_create(&Request { route, status: status.into() }).inc();
        if route != "sign-in-code" {
            self.durations.observe(began.elapsed().as_secs_f64());
        }
    }

    /// An address was locked.
    pub(crate) fn locked(&self) {
        self.locks.inc();
    }

    /// A page follows a status, until what is returned is dropped.
    pub(crate) fn follows(&self) -> Following {
        self.live.inc();
        Following(self.live.clone())
    }
}

/// A page that follows.
pub(crate) struct Following(Gauge);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.dec();
    }
}
