//! Condition types, and setting one without touching the time of what did not change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The object does what it is for. The reason says what is missing otherwise.
pub const READY: &str = "Ready";
/// Amazon accepted the connection's refresh token.
pub const AUTHORIZED: &str = "Authorized";
/// Amazon honoured the refresh token when a gateway last used it. The only condition that is the gateway's; which
/// credentials it is about is in `status.refreshedWith`. While it is `False` about the credentials in use the operator
/// keeps `Authorized=False`, until Amazon answers otherwise; a refusal after that is news only with a new
/// `lastTransitionTime`.
pub const REFRESHED: &str = "Refreshed";
/// The object, or something above it, is contained by an incident.
pub const CONTAINED: &str = "Contained";
/// The newest accepted credential is stored, under the keyset's active key.
pub const CREDENTIAL_CURRENT: &str = "CredentialCurrent";
/// The application's client secret is good for some time, and rotated before its end. The reason says what is to be done by
/// hand.
pub const CLIENT_SECRET_CURRENT: &str = "ClientSecretCurrent";
/// The seller is asked to consent again: after a rotation, which nothing works without, or for a planned renewal.
pub const CONSENT_REQUESTED: &str = "ConsentRequested";
/// Amazon still accepts the refresh token that a rotation took out of use. `False` once Amazon has refused it.
pub const OLD_TOKEN_STILL_ACCEPTED: &str = "OldTokenStillAccepted";
/// The incident is closed, and nothing is contained by it.
pub const CLOSED: &str = "Closed";

/// Everybody whom the incident concerns was mailed.
pub const NOTIFIED: &str = "Notified";
/// The evidence of what the incident contains, or contained, is kept.
pub const EVIDENCE_KEPT: &str = "EvidenceKept";

/// What a condition says, before it gets its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// One of the condition types above.
    pub type_: &'static str,
    /// `True`, `False`, or `Unknown` when `None`.
    pub status: Option<bool>,
    /// A CamelCase word that programs may act on.
    pub reason: String,
    /// A sentence for people: what, on which object, what to do next.
    pub message: String,
}

impl State {
    /// A condition that holds.
    #[must_use]
    pub fn yes(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { type_, status: Some(true), reason: reason.to_owned(), message: message.into() }
    }

    /// A condition that does not hold.
    #[must_use]
    pub fn no(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { type_, status: Some(false), reason: reason.to_owned(), message: message.into() }
    }

    /// A condition that cannot be told yet.
    #[must_use]
    pub fn unknown(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { type_, status: None, reason: reason.to_owned(), message: message.into() }
    }
}

/// Puts `state` among `conditions`. `lastTransitionTime` moves only when the status does (Kubernetes API conventions,
/// "Typical status properties"), so setting the same state again changes nothing.
pub fn set(conditions: &mut Vec<Condition>, state: State, observed_generation: Option<i64>, now: Timestamp) {
    let status = match state.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let since = find(conditions, state.type_)
        .filter(|old| old.status == status)
        .map_or(Time(now), |old| old.last_transition_time.clone());
    let new = Condition {
        type_: state.type_.to_owned(),
        status: status.to_owned(),
        reason: state.reason,
        message: state.message,
        observed_generation,
        last_transition_time: since,
    };
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

/// The condition of this type, if there is one.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of this type is `True`.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let (early, late) = (Timestamp::from_second(1).unwrap(), Timestamp::from_second(2).unwrap());
        let mut conditions = Vec::new();
        set(&mut conditions, State::no(READY, "TeamNotFound", "no Team acme"), Some(1), early);
        set(&mut conditions, State::no(READY, "ApplicationNotFound", "no application"), Some(2), late);
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time.0, early);
        assert_eq!(conditions[0].reason, "ApplicationNotFound");
        set(&mut conditions, State::yes(READY, "Ready", ""), Some(2), late);
        assert_eq!(conditions[0].last_transition_time.0, late);
        assert!(is_true(&conditions, READY));
    }

    #[test]
    fn another_writers_condition_stays() {
        let now = Timestamp::from_second(1).unwrap();
        let mut conditions = Vec::new();
        set(&mut conditions, State::yes("Refreshed", "Refreshed", ""), None, now);
        set(&mut conditions, State::unknown(READY, "Waiting", ""), None, now);
        assert!(is_true(&conditions, "Refreshed"));
        assert!(!is_true(&conditions, READY));
    }
}
