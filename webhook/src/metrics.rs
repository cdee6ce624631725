//! What the webhook counts.

use std::time::Instant;

use process::{admission::Entry, metrics::Metrics};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Warned,
    Refused,
    /// Refused because it could not be looked at or recorded now.
    Unavailable,
    /// No review.
    Malformed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
        }
    }
}

/// What became of what the apiserver told to be recorded once it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// It happened.
    Recorded,
    /// It did not, within the time that is waited for it.
    NotSeen,
    /// Too many were waited for.
    Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reviewed {
    entry: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEntry {
    entry: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Became {
    outcome: &'static str,
}

/// Half a millisecond to two seconds, after which the apiserver waits no more.
const SECONDS: [f64; 10] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.0];

pub(crate) struct Counts {
    reviews: Family<Reviewed, Counter>,
    durations: Family<OfEntry, Histogram>,
    strangers: Counter,
    claims: Family<Became, Counter>,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            reviews: metrics.register("webhook_reviews", "Reviews, by what became of them", Family::default()),
            durations: metrics.register(
                "webhook_review_duration_seconds",
                "How long reviews took",
                Family::new_with_constructor(|| Histogram::new(SECONDS)),
            ),
            strangers: metrics.register(
                "webhook_strangers",
                "Requests without the key that only the apiserver is told",
                Counter::default(),
            ),
            claims: metrics.register(
                "webhook_records",
                "Containments and deletions that the apiserver told, by whether they were seen to happen",
                Family::default(),
            ),
        }
    }

    pub(crate) fn reviewed(&self, entry: Entry, outcome: Outcome, began: Instant) {
        let entry = entry.as_str();
        self.reviews.get_or_create(&Reviewed { entry, outcome: outcome.as_str() }).inc();
        self.durations.get_or_create(&OfEntry { entry }).observe(began.elapsed().as_secs_f64());
    }

    pub(crate) fn stranger(&self) {
        self.strangers.inc();
    }

    pub(crate) fn claimed(&self, became: Claimed) {
        let outcome = match became {
            Claimed::Recorded => "recorded",
            Claimed::NotSeen => "not_seen",
            Claimed::Dropped => "dropped",
        };
        self.claims.get_or_create(&Became { outcome }).inc();
    }
}
