//! What happens to OpenTeam's own processes (OCSF 6002, Application Lifecycle; 6008, Application Error).

use serde::Serialize;

use super::{
    EventName, LogOrigin, Origin, Product, Reason, Target,
    ocsf::{Body, Shape, Unmapped},
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
        Shape::of(match self {
            Self::Started => EventName::Started,
            Self::Stopped => EventName::Stopped,
        })
    }

    pub(super) fn body(self, origin: &Origin) -> (Body<'_>, Unmapped<'_>) {
        (Body::Lifecycle(LifecycleBody::of(origin)), Unmapped::default())
    }
}

/// What an event of the class has besides what all have.
#[derive(Serialize)]
pub(super) struct LifecycleBody<'a> {
    app: Product<'a>,
    status_id: u64,
}

impl<'a> LifecycleBody<'a> {
    pub(super) fn of(origin: &'a Origin) -> Self {
        Self { app: origin.product(), status_id: 1 }
    }
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
    /// A log on disk is smaller than what was signed or witnessed of it: an old copy of the disk came back.
    LogRolledBack {
        /// The log.
        origin: LogOrigin,
        /// The size that somebody remembers.
        remembered: u64,
        /// Its size on disk.
        found: u64,
    },
    /// A log on disk has another root than was signed or witnessed of this size.
    LogRewritten {
        /// The log.
        origin: LogOrigin,
        /// The size.
        size: u64,
    },
    /// The disk is nearly full: what is left is kept for events that must not wait.
    DiskReserved {
        /// How many bytes are free.
        bytes: u64,
    },
}

impl Fault {
    pub(super) fn shape(&self) -> Shape<'_> {
        let (name, target) = match self {
            Self::Unexpected { target, .. } => (EventName::Unexpected, target.as_ref()),
            Self::EventsLost { .. } => (EventName::EventsLost, None),
            Self::JournalCut { .. } => (EventName::JournalCut, None),
            Self::JournalDamaged { .. } => (EventName::JournalDamaged, None),
            Self::LogRolledBack { .. } => (EventName::LogRolledBack, None),
            Self::LogRewritten { .. } => (EventName::LogRewritten, None),
            Self::DiskReserved { .. } => (EventName::DiskReserved, None),
        };
        Shape { target, ..Shape::of(name) }
    }

    pub(super) fn body(&self) -> (Body<'_>, Unmapped<'_>) {
        let none = Unmapped::default;
        let (reason, count, more) = match self {
            Self::Unexpected { reason, .. } => (reason.as_str(), None, none()),
            Self::EventsLost { count } => ("EventsLost", Some(*count), none()),
            Self::JournalCut { bytes } => ("JournalCut", None, Unmapped { bytes: Some(*bytes), ..none() }),
            Self::JournalDamaged { bytes } => ("JournalDamaged", None, Unmapped { bytes: Some(*bytes), ..none() }),
            Self::LogRolledBack { origin, remembered, found } => (
                "LogRolledBack",
                None,
                Unmapped { log: Some(origin), remembered: Some(*remembered), found: Some(*found), ..none() },
            ),
            Self::LogRewritten { origin, size } => {
                ("LogRewritten", None, Unmapped { log: Some(origin), size: Some(*size), ..none() })
            }
            Self::DiskReserved { bytes } => ("DiskReserved", None, Unmapped { bytes: Some(*bytes), ..none() }),
        };
        (Body::Fault(FaultBody { status_id: 2, status_detail: reason, count }), more)
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
