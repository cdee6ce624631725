//! Which event everything leaves that the operator decides. A condition or a state that is new does not pass until it is here.

use audit::{EventName as E, Role};
use crds::{SealedCredentialState, condition};

use crate::status::OURS;

/// The source of all conditions.
const CONDITIONS: &str = include_str!("../../crds/src/condition.rs");

/// What a transition of a condition leaves. Nothing only for a reason.
const TRANSITIONS: [(&str, &[E], &str); 11] = [
    (condition::CONTAINED, &[E::Contained, E::Restored], ""),
    (condition::AUTHORIZED, &[E::Authorized, E::Unauthorized], ""),
    (condition::CREDENTIAL_CURRENT, &[E::CredentialSealed, E::CredentialDestroyed, E::Rotated], ""),
    (condition::CLIENT_SECRET_CURRENT, &[E::SecretRotationRequested, E::CredentialSealed], ""),
    (condition::CONSENT_REQUESTED, &[E::ConsentMailed], ""),
    (condition::OLD_TOKEN_STILL_ACCEPTED, &[E::OldTokenAccepted, E::OldTokenRefused], ""),
    (condition::NOTIFIED, &[E::Notified, E::NotNotified], ""),
    (condition::EVIDENCE_KEPT, &[E::EvidenceSigned, E::EvidenceCopied], ""),
    (condition::READY, &[], "sums up the others, and what a spec says wrong"),
    (condition::REFRESHED, &[], "the gateway's; it records each refresh as a call"),
    (
        condition::CLOSED,
        &[],
        "derived from spec.closed and from OldTokenStillAccepted; Notified tells who was told of it",
    ),
];

/// What a state of a SealedCredential leaves.
const fn of_state(state: SealedCredentialState) -> Result<E, &'static str> {
    match state {
        SealedCredentialState::Accepted => Ok(E::InputAccepted),
        SealedCredentialState::Superseded => Ok(E::InputSuperseded),
        SealedCredentialState::Refused => Ok(E::InputRefused),
        // The call to Login with Amazon that exchanges the code.
        SealedCredentialState::Exchanging => Ok(E::CallIntended),
        SealedCredentialState::Waiting => Err("nothing was done with it yet"),
    }
}

/// What the operator records besides: of what it does without a condition, and of itself.
const OTHERS: [E; 23] = [
    E::InputDeleted,
    E::CredentialOpened,
    E::CredentialUnopenable,
    E::CredentialResealed,
    E::CertificateIssued,
    E::CertificateRefused,
    E::MemberAssigned,
    E::MemberRoleChanged,
    E::MemberRevoked,
    E::CallIntended,
    E::CallAnswered,
    E::CallAnsweredWithError,
    E::CallFailed,
    E::CallRefused,
    E::Started,
    E::Stopped,
    E::Unexpected,
    E::EventsLost,
    E::ReviewMade,
    E::ReviewSignedOff,
    E::InputAccepted,
    E::InputSuperseded,
    E::InputRefused,
];

#[test]
fn every_transition_leaves_events_or_says_why_not() {
    for (type_, events, why_not) in TRANSITIONS {
        assert_eq!(events.is_empty(), !why_not.is_empty(), "{type_}");
        assert!(events.iter().all(|event| event.row().writers.contains(&Role::Operator)), "{type_}");
    }
    let told = |type_: &str| TRANSITIONS.iter().any(|(told, ..)| *told == type_);
    assert!(OURS.into_iter().all(told));
    let declared = CONDITIONS
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \"")?.1.strip_suffix("\";"));
    let missing: Vec<&str> = declared.filter(|type_| !told(type_)).collect();
    assert!(missing.is_empty(), "{missing:?} are in no row");
}

#[test]
fn every_verdict_on_an_input_leaves_its_event() {
    use SealedCredentialState::{Accepted, Exchanging, Refused, Superseded, Waiting};
    for state in [Accepted, Exchanging, Superseded, Refused, Waiting] {
        match of_state(state) {
            Ok(event) => assert!(event.row().writers.contains(&Role::Operator)),
            Err(why_not) => assert!(!why_not.is_empty()),
        }
    }
}

#[test]
fn nothing_that_the_catalogue_has_of_the_operator_is_left_out() {
    let of_conditions = |event: E| TRANSITIONS.iter().any(|(_, events, _)| events.contains(&event));
    for row in audit::catalog().filter(|row| row.writers.contains(&Role::Operator)) {
        let is_alarm = row.class == audit::Class::DetectionFinding;
        assert!(is_alarm || of_conditions(row.name) || OTHERS.contains(&row.name), "{}", row.name.as_str());
    }
}
