//! What rotation and renewal ask of a connection, and how its status tells. Pure.

use crds::{
    AmazonApplication, AmazonConnection, AmazonConnectionStatus, OldToken, Renewal, Rotation, StoredCredential,
    StoredRotation, annotation,
    condition::{CONSENT_REQUESTED, OLD_TOKEN_STILL_ACCEPTED, State, find, is_true},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};

use super::plan::Verdict;
use crate::{
    consent,
    status::{micros, whole_seconds},
};

/// How often a refresh token that was rotated away is tried at Amazon, while it is accepted.
const TRIED_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// What was tried of a refresh token that a rotation took out of use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tried {
    /// Its generation.
    pub(crate) generation: i64,
    pub(crate) test: Option<String>,
    pub(crate) verdict: Verdict,
}

/// The values of `openteam.dev/rotate` on a connection and its Team.
fn values(connection: &AmazonConnection, team: Option<&ObjectMeta>) -> (Option<String>, Option<String>) {
    let text = |value: Option<&str>| value.map(str::to_owned);
    (text(annotation::rotate(&connection.metadata)), text(team.and_then(annotation::rotate)))
}

/// What is acted on once `values` are, of which none is taken back by an annotation that is taken away; `None` where nothing
/// is new.
fn acted_on(
    (own, team): (Option<String>, Option<String>),
    before: (Option<&String>, Option<&String>),
) -> Option<(Option<String>, Option<String>)> {
    let is_new = |value: &Option<String>, before: Option<&String>| value.is_some() && value.as_ref() != before;
    let due = is_new(&own, before.0) || is_new(&team, before.1);
    due.then(|| (own.or_else(|| before.0.cloned()), team.or_else(|| before.1.cloned())))
}

/// The rotation that the stored refresh token is to go through. What it has been through is kept in the same object, so that
/// whatever comes in between it happens once for a value.
pub(super) fn due(
    connection: &AmazonConnection,
    team: Option<&ObjectMeta>,
    stored: Option<&StoredCredential>,
    at: Timestamp,
) -> Option<StoredRotation> {
    let before = stored?.spec.rotation.as_ref();
    let before = (before.and_then(|it| it.value.as_ref()), before.and_then(|it| it.team_value.as_ref()));
    let (value, team_value) = acted_on(values(connection, team), before)?;
    Some(StoredRotation { value, team_value, at: Some(MicroTime(at)) })
}

/// `status.rotation`. Of a stored credential it says what that went through; without one there is nothing to rotate but
/// runtime tokens, and inputs on their way. What was annotated from the start rotates nothing.
pub(super) fn told(
    connection: &AmazonConnection,
    team: Option<&ObjectMeta>,
    stored: Option<&StoredCredential>,
    at: Timestamp,
) -> Option<Rotation> {
    let before = connection.status.as_ref().and_then(|status| status.rotation.clone());
    if let Some(stored) = stored {
        let StoredRotation { value, team_value, at } = match &stored.spec.rotation {
            Some(rotation) => rotation.clone(),
            None => return before,
        };
        return Some(Rotation { value, team_value, at });
    }
    let acted = before.as_ref();
    let acted = (acted.and_then(|it| it.value.as_ref()), acted.and_then(|it| it.team_value.as_ref()));
    match acted_on(values(connection, team), acted) {
        None => before,
        Some((value, team_value)) => {
            let at = connection.status.is_some().then_some(MicroTime(at));
            Some(Rotation { value, team_value, at: at.or(before.and_then(|it| it.at)) })
        }
    }
}

/// `status.renewal`: asked for from when its value is first seen, done once a refresh token that was sealed later is
/// accepted. Of one that was there before anything was stored, nobody is asked.
pub(super) fn renewal(
    connection: &AmazonConnection,
    stored: Option<&StoredCredential>,
    newest_is_accepted: bool,
    now: Timestamp,
) -> Option<Renewal> {
    let before = connection.status.as_ref().and_then(|status| status.renewal.clone());
    let value = annotation::renew(&connection.metadata);
    let mut renewal = match value {
        Some(value) if before.as_ref().is_none_or(|before| before.value != value) => Renewal {
            value: value.to_owned(),
            asked_at: stored.filter(|_| connection.status.is_some()).map(|_| MicroTime(micros(now))),
            done_at: None,
        },
        _ => before?,
    };
    let sealed_since = |asked: &MicroTime| stored.is_some_and(|stored| stored.spec.sealed_at.0 > asked.0);
    if renewal.done_at.is_none() && newest_is_accepted && renewal.asked_at.as_ref().is_some_and(sealed_since) {
        renewal.done_at = Some(Time(whole_seconds(now)));
    }
    Some(renewal)
}

/// Whether the seller is asked to consent again, and what must be done; none where that never was.
pub(super) fn consent_requested(
    status: &AmazonConnectionStatus,
    connection: &AmazonConnection,
    application: Option<&AmazonApplication>,
    allow_endpoints: bool,
    stored: Option<&StoredCredential>,
) -> Option<State> {
    let how = || consent::how(connection, application, allow_endpoints);
    if stored.is_some_and(|stored| stored.spec.retired) {
        let message = format!("its refresh token was rotated away and nothing works without a new one: {}", how());
        return Some(State::yes(CONSENT_REQUESTED, "Rotated", message));
    }
    if status.renewal.as_ref().is_some_and(|renewal| renewal.asked_at.is_some() && renewal.done_at.is_none()) {
        let message = format!("a renewal was asked for, everything goes on meanwhile: {}", how());
        return Some(State::yes(CONSENT_REQUESTED, "RenewalAsked", message));
    }
    find(&status.conditions, CONSENT_REQUESTED)?;
    Some(State::no(CONSENT_REQUESTED, "Consented", "a new refresh token is stored"))
}

/// The refresh token to try at Amazon whether it is still accepted, and the value of `openteam.dev/test` it is tried for:
/// at once, once more after the seller has consented again, each day, and whenever somebody asks.
pub(super) fn to_try(
    connection: &AmazonConnection,
    status: &AmazonConnectionStatus,
    stored: Option<&StoredCredential>,
    now: Timestamp,
) -> Option<(StoredCredential, Option<String>)> {
    let stored = stored?;
    let old = stored.only_tested()?;
    let last = last_tried(status, old.spec.generation);
    let test = annotation::test(&connection.metadata).map(str::to_owned);
    let due = match (last, find(&status.conditions, OLD_TOKEN_STILL_ACCEPTED).map(|it| it.status.as_str())) {
        (None, _) | (_, None | Some("Unknown")) => true,
        (Some(_), Some("False")) => false,
        (Some(last), Some(_)) => {
            let since_consent = !stored.spec.retired && stored.spec.sealed_at.0 > last.tried_at.0;
            let asked_for = test.is_some() && test != last.tested;
            since_consent || asked_for || now.duration_since(last.tried_at.0) >= TRIED_EVERY
        }
    };
    due.then_some((old, test))
}

fn last_tried(status: &AmazonConnectionStatus, generation: i64) -> Option<&OldToken> {
    status.old_token.as_ref().filter(|last| last.generation == generation)
}

/// Keeps what Amazon said of the old refresh token, and tells; none where there is and was none.
pub(super) fn old_token(
    status: &mut AmazonConnectionStatus,
    stored: Option<&StoredCredential>,
    tried: Option<&Tried>,
    now: Timestamp,
) -> Option<State> {
    let old = stored.and_then(StoredCredential::only_tested)?.spec.generation;
    // What was said of an earlier rotation's says nothing of this one's.
    let is_another = status.old_token.take_if(|last| last.generation != old).is_some();
    let before = find(&status.conditions, OLD_TOKEN_STILL_ACCEPTED)
        .filter(|_| last_tried(status, old).is_some())
        .map(super::plan::restated_as(OLD_TOKEN_STILL_ACCEPTED));
    let Some(tried) = tried.filter(|tried| tried.generation == old) else {
        let not_yet =
            || State::unknown(OLD_TOKEN_STILL_ACCEPTED, "NotTriedYet", "it is tried at Amazon within minutes");
        let unknown = find(&status.conditions, OLD_TOKEN_STILL_ACCEPTED)
            .filter(|it| it.status == "Unknown" && !is_another)
            .map(super::plan::restated_as(OLD_TOKEN_STILL_ACCEPTED));
        return Some(before.or(unknown).unwrap_or_else(not_yet));
    };
    let state = match &tried.verdict {
        Verdict::Authorized(_) => State::yes(
            OLD_TOKEN_STILL_ACCEPTED,
            "AcceptedByAmazon",
            "Amazon still accepts the refresh token that was rotated away; a new consent alone does not end it. The seller \
             must disable the application in Seller Central under Manage Your Apps (of a self-authorized application: delete \
             the authorization), and then authorize it again where it is to go on. It is tried each day, and at once with \
             a new value of openteam.dev/test",
        ),
        Verdict::Revoked => State::no(
            OLD_TOKEN_STILL_ACCEPTED,
            "RefusedByAmazon",
            "Amazon refuses the refresh token that was rotated away",
        ),
        other => {
            let State { reason, message, .. } = other.state();
            let message = format!("the refresh token that was rotated away could not be tried: {message}");
            State::unknown(OLD_TOKEN_STILL_ACCEPTED, &reason, message)
        }
    };
    if state.status.is_some() {
        let tried_at = Time(whole_seconds(now));
        status.old_token = Some(OldToken { generation: old, tried_at, tested: tried.test.clone() });
    }
    // What is known is not taken back by an Amazon that does not answer.
    Some(if state.status.is_none() { before.unwrap_or(state) } else { state })
}

/// Whether the old refresh token, which Amazon refuses, is still there to be destroyed.
pub(super) fn to_destroy(status: &AmazonConnectionStatus, stored: Option<&StoredCredential>) -> bool {
    let Some(old) = stored.and_then(StoredCredential::only_tested) else { return false };
    last_tried(status, old.spec.generation).is_some()
        && find(&status.conditions, OLD_TOKEN_STILL_ACCEPTED).is_some_and(|it| it.status == "False")
}

/// Whether the credential before the newest is of no use any more: its time is over.
pub(crate) fn is_over(stored: &StoredCredential, now: Timestamp) -> bool {
    stored.spec.previous.as_ref().and_then(|previous| previous.until.as_ref()).is_some_and(|until| until.0 <= now)
}

/// Whether the newest credentials are those that Amazon accepts.
pub(super) fn newest_is_accepted(status: &AmazonConnectionStatus, stored: Option<&StoredCredential>) -> bool {
    let newest = stored.filter(|stored| !stored.spec.retired).map(|stored| stored.spec.generation);
    let proven = status.proven.as_ref().map(|proven| proven.refresh_token);
    newest.is_some() && newest == proven && is_true(&status.conditions, crds::condition::AUTHORIZED)
}
