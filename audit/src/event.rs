//! Typed events, and their form in OCSF 1.8.0.

mod actor;
mod call;
mod catalog;
mod change;
mod class;
mod digest;
mod finding;
mod log;
mod membership;
mod node;
mod ocsf;
mod process;
mod run;
mod sign_in;
mod value;

#[cfg(test)]
mod ocsf_schema;
#[cfg(test)]
mod tests;

use serde::Serialize;
use uuid::Uuid;

pub use actor::{Actor, Person, Requester, Source};
pub use call::{Act, Call, Operation, Phase, RefusedCallers};
pub use catalog::{EventName, Row, catalog};
pub use change::{Change, CredentialField, Entity, EntityChange, Granted, Kind};
pub use class::Class;
pub use digest::{Digest, DigestKey};
pub use finding::{Detection, DetectionKind, DetectionStage, Review, ReviewStage, ReviewedLog, Suspect};
pub use log::{CheckpointNote, LogChange, LogOrigin, NotALog};
pub use membership::{MemberRole, Membership, MembershipChange};
pub use ocsf::{Checked, Misshapen, Severity, check};
pub use process::{Fault, Lifecycle};
pub use run::{Run, Stamp};
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
    /// Who belongs to a Team changed.
    Membership(Box<Membership>),
    /// Something needs a look.
    Detection(Box<Detection>),
    /// The record was reviewed, or is to be.
    Review(Box<Review>),
    /// A process came or went.
    Lifecycle(Lifecycle),
    /// A recorder's log began or ended.
    Log(Box<LogChange>),
    /// Something went wrong.
    Fault(Fault),
}

impl Activity {
    /// The event of this activity, with a stamp that no other has: [`Run::event`] gives it one.
    pub(crate) fn event(&self, origin: &Origin, stamp: &Stamp) -> Event {
        let (shape, (body, more)) = match self {
            Self::Call(call) => (call.shape(), call.body(origin)),
            Self::RefusedCallers(callers) => (callers.shape(), callers.body(origin)),
            Self::Entity(change) => (change.shape(), change.body(origin)),
            Self::SignIn(sign_in) => (sign_in.shape(), sign_in.body(origin)),
            Self::Strangers(strangers) => (strangers.shape(), strangers.body(origin)),
            Self::Membership(membership) => (membership.shape(), membership.body(origin)),
            Self::Detection(detection) => (detection.shape(), detection.body(origin)),
            Self::Review(review) => (review.shape(), review.body(origin)),
            Self::Lifecycle(lifecycle) => (lifecycle.shape(), lifecycle.body(origin)),
            Self::Log(change) => (change.shape(), change.body(origin)),
            Self::Fault(fault) => (fault.shape(), fault.body()),
        };
        Event { uid: stamp.uid, line: ocsf::event(&shape, more, &body, origin, stamp) }
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

impl From<Membership> for Activity {
    fn from(membership: Membership) -> Self {
        Self::Membership(Box::new(membership))
    }
}

impl From<Detection> for Activity {
    fn from(detection: Detection) -> Self {
        Self::Detection(Box::new(detection))
    }
}

impl From<Review> for Activity {
    fn from(review: Review) -> Self {
        Self::Review(Box::new(review))
    }
}

impl From<LogChange> for Activity {
    fn from(change: LogChange) -> Self {
        Self::Log(Box::new(change))
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
