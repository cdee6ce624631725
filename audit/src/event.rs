//! Typed events, and their form in OCSF 1.8.0.

mod actor;
mod call;
mod change;
mod class;
mod digest;
mod node;
mod ocsf;
mod process;
mod sign_in;
mod value;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

pub use actor::{Actor, Person, Requester, Source};
pub use call::{Act, Call, Operation, Phase, RefusedCallers};
pub use change::{Change, CredentialField, Entity, EntityChange, Granted, Kind};
pub use class::Class;
pub use digest::{Digest, DigestKey};
pub use ocsf::{Checked, Misshapen, check};
pub use process::{Fault, Lifecycle};
pub use sign_in::{SignIn, Step, Strangers};
pub use value::{Correlation, MarketplaceId, Name, Network, NotAMarketplace, NotAName, ObjectName, Reason, Target};

use crate::Role;

/// The process that writes events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What it is.
    pub role: Role,
    /// The pod it runs in.
    pub pod: Name,
    /// OpenTeam's version.
    pub version: &'static str,
}

impl Origin {
    fn product(&self) -> Product<'_> {
        Product {
            name: "OpenTeam operator",
            vendor_name: "OpenTeam",
            version: self.version,
            feature: Feature { name: self.role, uid: &self.pod },
        }
    }
}

/// OCSF's object product.
#[derive(Serialize)]
struct Product<'a> {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
    feature: Feature<'a>,
}

#[derive(Serialize)]
struct Feature<'a> {
    name: Role,
    uid: &'a Name,
}

/// Everything that is recorded.
#[derive(Clone, Debug)]
pub enum Activity {
    /// A call, a refresh or a token handed out.
    Call(Box<Call>),
    /// Unknown callers refused.
    RefusedCallers(RefusedCallers),
    /// An object changed.
    Entity(Box<EntityChange>),
    /// Somebody signs in to the portal, or out of it.
    SignIn(Box<SignIn>),
    /// Strangers refused at the portal's door.
    Strangers(Strangers),
    /// A process came or went.
    Lifecycle(Lifecycle),
    /// Something went wrong.
    Fault(Fault),
}

impl Activity {
    /// The event of this activity, at `time`. `uid` must be a new UUIDv7: it is how two copies of an event are
    /// known to be one.
    pub fn event(&self, origin: &Origin, time: Timestamp, uid: Uuid) -> Event {
        let (shape, (body, more)) = match self {
            Self::Call(call) => (call.shape(), call.body(origin)),
            Self::RefusedCallers(callers) => (callers.shape(), callers.body(origin)),
            Self::Entity(change) => (change.shape(), change.body(origin)),
            Self::SignIn(sign_in) => (sign_in.shape(), sign_in.body(origin)),
            Self::Strangers(strangers) => (strangers.shape(), strangers.body(origin)),
            Self::Lifecycle(lifecycle) => (lifecycle.shape(), lifecycle.body(origin)),
            Self::Fault(fault) => (fault.shape(), fault.body()),
        };
        Event { uid, line: ocsf::event(&shape, more, &body, origin, time, uid) }
    }
}

impl From<Call> for Activity {
    fn from(call: Call) -> Self {
        Self::Call(Box::new(call))
    }
}

impl From<RefusedCallers> for Activity {
    fn from(callers: RefusedCallers) -> Self {
        Self::RefusedCallers(callers)
    }
}

impl From<EntityChange> for Activity {
    fn from(change: EntityChange) -> Self {
        Self::Entity(Box::new(change))
    }
}

impl From<SignIn> for Activity {
    fn from(sign_in: SignIn) -> Self {
        Self::SignIn(Box::new(sign_in))
    }
}

impl From<Strangers> for Activity {
    fn from(strangers: Strangers) -> Self {
        Self::Strangers(strangers)
    }
}

impl From<Lifecycle> for Activity {
    fn from(lifecycle: Lifecycle) -> Self {
        Self::Lifecycle(lifecycle)
    }
}

impl From<Fault> for Activity {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// One event, ready to be recorded. Its lists are bounded, so it is never longer than
/// [`crate::wire::MAX_EVENT_BYTES`].
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    uid: Uuid,
    line: String,
}

impl Event {
    /// `metadata.uid`.
    pub fn uid(&self) -> Uuid {
        self.uid
    }

    /// The event as one line of JSON, without a line end.
    pub fn as_line(&self) -> &str {
        &self.line
    }

    /// For a recorder's own events, which reach its journal without a network.
    pub fn into_checked(self) -> Checked {
        Checked::from_own(self.line)
    }
}
