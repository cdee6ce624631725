//! What happens to OpenTeam's own processes (OCSF 6002, Application Lifecycle; 6008, Application Error).

use serde::Serialize;

use super::{
    Class, Origin, Product, Reason, Target,
    ocsf::{Body, Severity, Shape, Unmapped},
};

/// A process came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is about to serve.
    Started,
    /// It was told to end and has drained.
    Stopped,
}

impl Lifecycle {
    pub(super) fn shape(self) -> Shape<'static> {
        let (activity, message) = match self {
            Self::Started => (3, "started"),
            Self::Stopped => (4, "stopped"),
        };
        Shape {
            class: Class::ApplicationLifecycle,
            activity,
            severity: Severity::Informational,
            message,
            correlation: None,
            target: None,
            truncated: false,
            profiles: &[],
        }
    }

    pub(super) fn body(self, origin: &Origin) -> (Body<'_>, Unmapped<'_>) {
        (Body::Lifecycle(LifecycleBody { app: origin.product(), status_id: 1 }), Unmapped::default())
    }
}

/// What an event of the class has besides what all have.
#[derive(Serialize)]
pub(super) struct LifecycleBody<'a> {
    app: Product<'a>,
    status_id: u64,
}

/// Something that should not happen did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A bug, or a part of the system that broke a promise.
    Unexpected {
        /// Which.
        reason: Reason,
        /// Whose work it hit.
        target: Option<Target>,
    },
    /// Events given to [`crate::Recorder::record_later`] fell out of its full queue.
    EventsLost {
        /// How many.
        count: u64,
    },
    /// A journal ended in the middle of a write and was cut there. Nothing acknowledged was in it, unless the
    /// disk lost what it had confirmed.
    JournalCut {
        /// How many bytes.
        bytes: u64,
    },
    /// A journal has unreadable bytes between readable records. They are left as they are.
    JournalDamaged {
        /// How many bytes.
        bytes: u64,
    },
}

impl Fault {
    pub(super) fn shape(&self) -> Shape<'_> {
        let (severity, message) = match self {
            Self::Unexpected { .. } => (Severity::Medium, "unexpected error"),
            Self::EventsLost { .. } => (Severity::High, "events lost before they were recorded"),
            Self::JournalCut { .. } => (Severity::Medium, "incomplete end of the journal cut off"),
            Self::JournalDamaged { .. } => (Severity::High, "unreadable bytes inside the journal"),
        };
        let target = match self {
            Self::Unexpected { target, .. } => target.as_ref(),
            _ => None,
        };
        Shape {
            class: Class::ApplicationError,
            activity: 1,
            severity,
            message,
            correlation: None,
            target,
            truncated: false,
            profiles: &[],
        }
    }

    pub(super) fn body(&self) -> (Body<'_>, Unmapped<'_>) {
        let (reason, count, bytes) = match self {
            Self::Unexpected { reason, .. } => (reason.as_str(), None, None),
            Self::EventsLost { count } => ("EventsLost", Some(*count), None),
            Self::JournalCut { bytes } => ("JournalCut", None, Some(*bytes)),
            Self::JournalDamaged { bytes } => ("JournalDamaged", None, Some(*bytes)),
        };
        let body = FaultBody { status_id: 2, status_detail: reason, count };
        (Body::Fault(body), Unmapped { bytes, ..Unmapped::default() })
    }
}

/// What an event of the class has besides what all have.
#[derive(Serialize)]
pub(super) struct FaultBody {
    status_id: u64,
    status_detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}
