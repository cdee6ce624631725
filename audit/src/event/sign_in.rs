//! How people get into the portal and out of it (OCSF 3002, Authentication; a lock is 3001, Account Change).

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Digest, EventName, Origin, Person, Reason, RefusedCallers, Source,
    actor::{SourceBody, User},
    call::Counted,
    ocsf::{Body, Shape, Unmapped, millis},
};
use crate::Role;

/// What happened to somebody at the portal's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A code was asked for, and goes out by mail.
    CodeAsked,
    /// A code was asked for, and none goes out.
    CodeRefused(Reason),
    /// The code was right; the session, by [`Digest::of_unguessable`] of its id, lasts until then at most.
    LoggedOn(Digest, Timestamp),
    /// The code was not taken.
    LogonFailed(Reason),
    /// No code of this address is taken until then.
    Locked(Timestamp),
    /// The session ended, for this reason.
    LoggedOff(Digest, Reason),
}

/// A step of somebody who is a member of a Team. Of others nothing is told one by one: [`Strangers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Whose address it is; before the logon not necessarily who acts.
    pub person: Person,
    /// What happened.
    pub step: Step,
}

impl SignIn {
    pub(super) fn shape(&self) -> Shape<'static> {
        Shape::of(match self.step {
            Step::CodeAsked => EventName::CodeAsked,
            Step::CodeRefused(_) => EventName::CodeRefused,
            Step::LoggedOn(..) => EventName::LoggedOn,
            Step::LogonFailed(_) => EventName::LogonFailed,
            Step::Locked(_) => EventName::Locked,
            Step::LoggedOff(..) => EventName::LoggedOff,
        })
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let (status_id, detail, session, until) = match &self.step {
            Step::CodeAsked => (1, None, None, None),
            Step::CodeRefused(reason) | Step::LogonFailed(reason) => (2, Some(*reason), None, None),
            Step::LoggedOn(session, until) => (1, None, Some((session, Some(*until))), None),
            Step::LoggedOff(session, reason) => (1, Some(*reason), Some((session, None)), None),
            Step::Locked(until) => (1, None, None, Some(*until)),
        };
        // Nothing but the code is asked for yet: factor_type_id 8 is e-mail.
        let factors = match self.step {
            Step::LoggedOn(..) | Step::LogonFailed(_) => &[Factor { factor_type_id: 8 }][..],
            _ => &[],
        };
        let body = SignInBody {
            user: self.person.user(),
            // OCSF's account change has no service.
            service: (!matches!(self.step, Step::Locked(_))).then_some(Service { name: origin.role }),
            src_endpoint: self.person.source.body(origin),
            session: session
                .map(|(session, until)| Session { uid: session.as_str(), expiration_time: until.map(millis) }),
            auth_factors: factors,
            status_id,
            status_detail: detail.map(Reason::as_str),
            counted: None,
        };
        (Body::SignIn(body), Unmapped { expires_at: until.map(millis), ..Unmapped::default() })
    }
}

/// Steps of people who belong to no Team, or whose address nobody knows: counted, as [`crate::RefusalCounter`] does it, so
/// that a flood of made-up addresses is a few events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strangers(pub RefusedCallers);

impl Strangers {
    pub(super) fn shape(self) -> Shape<'static> {
        Shape::of(EventName::StrangersRefused)
    }

    pub(super) fn body(self, origin: &Origin) -> (Body<'_>, Unmapped<'_>) {
        let body = SignInBody {
            user: User::of(0, "unknown".to_owned()),
            service: Some(Service { name: origin.role }),
            src_endpoint: Source::Network(self.0.source).body(origin),
            session: None,
            auth_factors: &[],
            status_id: 2,
            status_detail: Some(self.0.reason.as_str()),
            counted: Some(Counted::of(&self.0)),
        };
        (Body::SignIn(body), Unmapped::default())
    }
}

/// What an event of either class has besides what all have.
#[derive(Serialize)]
pub(super) struct SignInBody<'a> {
    user: User<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    src_endpoint: SourceBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    auth_factors: &'static [Factor],
    status_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
    #[serde(flatten)]
    counted: Option<Counted>,
}

#[derive(Serialize)]
struct Service {
    name: Role,
}

/// OCSF's object session.
#[derive(Serialize)]
struct Session<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_time: Option<i64>,
}

/// OCSF's object auth_factor.
#[derive(Serialize)]
struct Factor {
    factor_type_id: u64,
}
