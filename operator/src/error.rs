//! How a pass over one object can fail, and when it is tried again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Why a pass over one object did not end. What is wrong with the object itself is a condition, not an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// Someone else wrote it first: read again.
    #[error("{what} changed meanwhile")]
    Conflict {
        /// The object.
        what: String,
    },
    /// The apiserver refused or did not answer.
    #[error("{what} could not be read or written")]
    Api {
        /// The object.
        what: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Its namespace is going: nothing can be written there, and soon it is gone.
    #[error("{what} is in a namespace that is being deleted")]
    Leaving {
        /// The object.
        what: String,
    },
    /// What may only happen once it is recorded did not happen.
    #[error("nothing was done, because it could not be recorded")]
    NotRecorded(#[from] audit::NotRecorded),
    /// A name that no event may hold.
    #[error("object's name or namespace cannot be recorded: rename it")]
    NotRecordable(#[from] audit::NotAName),
    /// The credential cannot be sealed.
    #[error("credential cannot be sealed")]
    Seal(#[from] seal::SealError),
    /// No HTTP client for Amazon could be made.
    #[error("client for Amazon cannot be made")]
    Client(#[from] amazon::ClientError),
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Reading again.
    Conflict,
    /// Time.
    Transient,
    /// A change of the object.
    Invalid,
    /// Nothing.
    Leaving,
}

impl Class {
    /// Its name in metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Invalid => "invalid",
            Self::Leaving => "leaving",
        }
    }
}

/// Why the apiserver was not of help.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What the apiserver said, without kube's rendering of the whole answer around it.
pub(crate) fn cause(error: kube::Error) -> Cause {
    match error {
        kube::Error::Api(status) => status,
        error => Box::new(error),
    }
}

/// Whether something was refused because its namespace is being deleted.
pub(crate) fn namespace_leaves(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}

impl ReconcileError {
    /// For `map_err` of a call about `what`.
    pub(crate) fn about(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| match source {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict { what },
            error if namespace_leaves(&error) => Self::Leaving { what },
            error => Self::Api { what, source: cause(error) },
        }
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Conflict { .. } => Class::Conflict,
            Self::Leaving { .. } => Class::Leaving,
            Self::Api { .. } | Self::NotRecorded(_) => Class::Transient,
            Self::NotRecordable(_) | Self::Seal(_) | Self::Client(_) => Class::Invalid,
        }
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// The watch brings what we lost against within milliseconds.
const AFTER_CONFLICT: Duration = Duration::from_millis(200);

/// How long to wait after so many failures in a row (from 1). `jitter` is 0 to 1; it spreads the second half, so that
/// what failed together is not tried again together.
pub(crate) fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_DELAY).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Failures in a row, by object.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts one more and tells how long to wait.
    pub(crate) fn count(&self, object: String, class: Class) -> Duration {
        match class {
            Class::Conflict => return AFTER_CONFLICT.mul_f64(0.5 + fastrand::f64()),
            Class::Leaving => return LONGEST_DELAY,
            Class::Transient | Class::Invalid => {}
        }
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object).or_default();
        *count = count.saturating_add(1);
        delay(*count, fastrand::f64())
    }

    /// Forgets them.
    pub(crate) fn forget(&self, object: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_minutes_and_spread_over_their_second_half() {
        assert_eq!(delay(1, 1.0), Duration::from_millis(500));
        assert_eq!(delay(1, 0.0), Duration::from_millis(250));
        assert_eq!(delay(3, 1.0), Duration::from_secs(2));
        for failures in [11, 40, u32::MAX] {
            assert_eq!(delay(failures, 1.0), LONGEST_DELAY);
            assert_eq!(delay(failures, 0.0), LONGEST_DELAY / 2);
        }
    }

    #[test]
    fn a_conflict_is_read_again_at_once_and_counts_for_nothing() {
        let failures = Failures::default();
        for _ in 0..50 {
            assert!(failures.count("Team a/b".into(), Class::Conflict) <= Duration::from_millis(300));
        }
        assert!(failures.count("Team a/b".into(), Class::Transient) <= FIRST_DELAY);
        assert!(failures.count("Team a/b".into(), Class::Transient) >= FIRST_DELAY);
        failures.forget("Team a/b");
        assert!(failures.count("Team a/b".into(), Class::Transient) <= FIRST_DELAY);
    }
}
