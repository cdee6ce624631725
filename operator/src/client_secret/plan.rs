//! When a client secret is rotated, what is to be done for it now, and what people are told of it. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use crds::{
    AmazonApplication, SecretRotationCause, SecretRotationPhase, SecretRotationStatus, SecretVerdict, StoredCredential,
    annotation,
    condition::{CLIENT_SECRET_CURRENT, State},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::subject::reference;

/// How long Amazon accepts a client secret (SP-API documentation, "Rotate your application's LWA credentials").
pub(super) const LIFE: SignedDuration = SignedDuration::from_hours(180 * 24);
/// How long before its end a secret is rotated; half its life where that is less.
const LEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Applications of one age are not all rotated on one day.
const SPREAD_SECONDS: u64 = 3 * 24 * 3600;
/// Amazon makes one new secret a minute (0.0167 a second, no burst).
const ASKED_EVERY: SignedDuration = SignedDuration::from_secs(65);
/// How long the notice is waited for after a question of which nobody knows whether Amazon heard it.
/// Should both be heard, both new secrets come, and the newer is kept as such.
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_secs(90);
/// A notice that has not come after so long is told of: Amazon's come within minutes.
const OVERDUE: SignedDuration = SignedDuration::from_hours(1);
/// And then Amazon is asked once more: perhaps somebody has mended the queue. Some days before the old secret dies.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_hours(24);
/// Between questions that Amazon refused or did not answer: doubled from the first to the last.
const RETRY: [i64; 5] = [120, 300, 900, 1800, 3600];

/// What is known of the queue that new secrets come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueueState {
    /// The application names none.
    None,
    /// It was not read yet.
    Unknown,
    /// It can be read.
    Open,
    /// It cannot, and why.
    Fault(String),
}

/// What one pass looks at. No plaintext.
pub(crate) struct Observed<'a> {
    pub(crate) application: &'a AmazonApplication,
    /// The client secret as it is stored.
    pub(crate) stored: Option<&'a StoredCredential>,
    pub(crate) queue: &'a QueueState,
    pub(crate) now: Timestamp,
}

/// What to do. The status is to be written before the step is made.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) status: SecretRotationStatus,
    pub(crate) state: State,
    pub(crate) step: Option<Step>,
    /// When to look again, sooner than usual.
    pub(crate) recheck: Option<Duration>,
}

/// What to do beyond a status.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Amazon is to be asked whether this secret is right.
    Prove(Box<StoredCredential>),
    /// Amazon is to be asked for a new secret, with this one.
    Request(Box<StoredCredential>),
    /// The secret before the newest has died at Amazon, and is to be destroyed here.
    Destroy,
}

/// What came of a step that asked Amazon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It accepts the secret.
    Accepted,
    /// It makes a new one.
    Requested,
    /// It refuses the secret.
    Rejected,
    /// It does not let the application do this.
    NotAllowed,
    /// It knows no queue for the application.
    NotEnrolled,
    /// It refuses for another reason.
    Refused,
    /// It could not be asked, and has done nothing.
    Unreachable,
    /// Nobody knows whether it heard.
    Unknown,
    /// The stored secret does not open.
    Unopenable,
}

impl Outcome {
    /// A fixed word, for metrics.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Requested => "requested",
            Self::Rejected => "rejected",
            Self::NotAllowed => "not_allowed",
            Self::NotEnrolled => "not_enrolled",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Unopenable => "unopenable",
        }
    }

    /// The same, in metrics from the start.
    pub(crate) const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Requested,
        Self::Rejected,
        Self::NotAllowed,
        Self::NotEnrolled,
        Self::Refused,
        Self::Unreachable,
        Self::Unknown,
        Self::Unopenable,
    ];
}

/// As a `Time` is kept: with a fraction it would differ from itself once it was written.
fn whole(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Until when Amazon accepts a stored secret: as it told, else at the latest so long after it was sealed.
fn expires_at(stored: &StoredCredential) -> Timestamp {
    let told = stored.spec.told.as_ref().and_then(|told| told.expires_at.as_ref());
    told.map_or_else(|| later(stored.spec.sealed_at.0, LIFE), |at| at.0)
}

/// When a secret is rotated without anybody's asking.
fn due_at(application: &AmazonApplication, stored: &StoredCredential) -> Timestamp {
    let mut hasher = DefaultHasher::new();
    application.metadata.uid.hash(&mut hasher);
    let spread = SignedDuration::from_secs(i64::try_from(hasher.finish() % SPREAD_SECONDS).unwrap_or_default());
    let (sealed, end) = (stored.spec.sealed_at.0, expires_at(stored));
    let half = end.duration_since(sealed) / 2;
    later(end, -(LEAD + spread).min(half.max(SignedDuration::ZERO)))
}

/// Whether one of these verdicts is about a secret.
fn is_about<'a>(
    verdicts: impl IntoIterator<Item = &'a SecretVerdict>,
    secret: &StoredCredential,
    client_id: &str,
) -> bool {
    verdicts.into_iter().any(|verdict| verdict.is_of(secret.spec.generation, client_id))
}

/// The secret to ask Amazon for a new one with: one that it knows, as far as we do. The newest, or while that may be used the
/// one before.
fn known(seen: &Observed<'_>, stored: &StoredCredential, status: &SecretRotationStatus) -> Option<StoredCredential> {
    let client_id = &seen.application.spec.client_id;
    [stored.newest(), stored.previous_usable(seen.now)].into_iter().flatten().find(|secret| {
        !is_about(&status.rejected, secret, client_id)
            && is_about(status.proven.iter().chain(&status.not_allowed), secret, client_id)
    })
}

/// Whether whoever holds this application's stored secret may be given Amazon's newer one: Amazon has once accepted it, or
/// the one before, for this very client id. So nobody gets at another's secret by naming its client id and queue, and one
/// that died before the newer was taken is no hindrance.
pub(crate) fn is_entitled(application: &AmazonApplication, stored: &StoredCredential) -> bool {
    let status = application.status.as_ref().and_then(|status| status.secret_rotation.as_ref());
    let proven = status.and_then(|status| status.proven.as_ref());
    let generations = [Some(stored.spec.generation), stored.spec.previous.as_ref().map(|before| before.generation)];
    let is_of = |generation| proven.is_some_and(|proven| proven.is_of(generation, &application.spec.client_id));
    generations.into_iter().flatten().any(is_of)
}

/// Decides.
pub(crate) fn plan(seen: &Observed<'_>) -> Plan {
    let before = seen.application.status.as_ref().and_then(|status| status.secret_rotation.clone());
    let mut status = before.unwrap_or_default();
    let Some(stored) = seen.stored else {
        let state = State::unknown(CLIENT_SECRET_CURRENT, "ClientSecretMissing", "no client secret is stored");
        status.secret_expires_at = None;
        status.old_secret_until = None;
        return Plan { status, state, step: None, recheck: None };
    };
    let generation = stored.spec.generation;
    if status.replaces.is_some_and(|replaced| replaced < generation) {
        status.rotated_at = Some(whole(seen.now));
        finish(&mut status);
    }
    let previous = stored.spec.previous.as_ref().and_then(|previous| previous.until.as_ref());
    status.secret_expires_at = Some(whole(expires_at(stored)));
    status.old_secret_until = previous.filter(|until| until.0 > seen.now).map(|until| whole(until.0));
    let previous_generation = stored.spec.previous.as_ref().map(|previous| previous.generation);
    status.rejected.retain(|it| {
        it.client_id == seen.application.spec.client_id
            && (it.generation == generation || Some(it.generation) == previous_generation)
    });
    status.last_notice_at = stored.spec.told.as_ref().and_then(|told| told.notice_at.clone());

    let step = if previous.is_some_and(|until| until.0 <= seen.now) {
        Some(Step::Destroy)
    } else {
        step(seen, stored, &mut status)
    };
    let state = state(seen, stored, &status);
    let due = due_at(seen.application, stored);
    let asked_again = status.requested_at.as_ref().map(|at| later(at.0, ASKED_EVERY));
    let times = [
        status.retry_at.as_ref().map(|at| at.0),
        status.requested_at.as_ref().map(|at| later(at.0, OVERDUE)),
        previous.map(|until| until.0),
        Some(due),
        asked_again,
    ];
    let next = times.into_iter().flatten().filter(|time| *time > seen.now).min();
    let recheck = next.and_then(|time| Duration::try_from(time.duration_since(seen.now)).ok());
    Plan { status, state, step, recheck: recheck.map(|wait| wait + Duration::from_millis(50)) }
}

/// Nothing is outstanding any more.
fn finish(status: &mut SecretRotationStatus) {
    status.phase = None;
    status.cause = None;
    status.replaces = None;
    status.attempts = None;
    status.retry_at = None;
    status.failure = None;
}

/// The step, after which the status says that it is being made.
fn step(seen: &Observed<'_>, stored: &StoredCredential, status: &mut SecretRotationStatus) -> Option<Step> {
    use SecretRotationPhase::{ByHand, Requesting};
    let value = annotation::rotate(&seen.application.metadata);
    let acted_on = status.value.as_deref().or_else(|| stored.spec.rotation.as_ref()?.value.as_deref());
    let new_value = value.filter(|value| Some(*value) != acted_on);
    if *seen.queue == QueueState::None {
        if let Some(value) = new_value {
            begin(status, stored, SecretRotationCause::Annotation, Some(value));
            status.phase = Some(ByHand);
        } else if status.phase.is_some_and(|phase| phase != ByHand) {
            // Whoever took the queue away does the rest.
            status.phase = Some(ByHand);
            status.retry_at = None;
            status.failure = None;
        }
        return None;
    }
    if let Some(unproven) = unproven(seen, stored, status) {
        return Some(Step::Prove(Box::new(unproven)));
    }
    let usable = known(seen, stored, status)?;
    // Where the queue cannot be read nothing is begun: the new secret would lie there while the old one dies.
    if *seen.queue != QueueState::Open {
        return None;
    }
    if status.requested_at.as_ref().is_some_and(|at| later(at.0, ASKED_EVERY) > seen.now) {
        return None;
    }
    let cause = match (new_value, status.phase) {
        (Some(_), _) => SecretRotationCause::Annotation,
        (None, Some(ByHand)) => status.cause?,
        (None, Some(_)) => {
            mark_unknown(status);
            let due = status.retry_at.as_ref().is_none_or(|at| at.0 <= seen.now);
            status.cause.filter(|_| due)?
        }
        (None, None) if stored.spec.told.as_ref().is_some_and(|told| told.warned_at.is_some()) => {
            SecretRotationCause::Notice
        }
        (None, None) if due_at(seen.application, stored) <= seen.now => SecretRotationCause::Schedule,
        (None, None) => return None,
    };
    begin(status, stored, cause, new_value);
    status.phase = Some(Requesting);
    status.requested_at = Some(whole(seen.now));
    status.attempts = Some(status.attempts.unwrap_or_default().saturating_add(1));
    Some(Step::Request(Box::new(usable)))
}

fn begin(
    status: &mut SecretRotationStatus,
    stored: &StoredCredential,
    cause: SecretRotationCause,
    value: Option<&str>,
) {
    if value.is_some() {
        status.attempts = None;
        status.value = value.map(str::to_owned);
    }
    status.cause = Some(cause);
    status.replaces = Some(stored.spec.generation);
    status.retry_at = None;
    status.failure = None;
}

/// A question that an operator began and did not come back from: its notice may be on its way.
fn mark_unknown(status: &mut SecretRotationStatus) {
    if status.phase == Some(SecretRotationPhase::Requesting) && status.retry_at.is_none() {
        status.retry_at = status.requested_at.as_ref().map(|at| whole(later(at.0, UNKNOWN_FOR)));
    }
}

/// The secret that Amazon is to be asked about: the newest, then the one before.
fn unproven(seen: &Observed<'_>, stored: &StoredCredential, status: &SecretRotationStatus) -> Option<StoredCredential> {
    let client_id = &seen.application.spec.client_id;
    let known = || status.proven.iter().chain(&status.not_allowed);
    let newest = stored.newest()?;
    if !is_about(&status.rejected, &newest, client_id) {
        return (!is_about(known(), &newest, client_id)).then_some(newest);
    }
    let before = stored.previous_usable(seen.now)?;
    (!is_about(known().chain(&status.rejected), &before, client_id)).then_some(before)
}

/// The status after a step was made.
pub(crate) fn after(
    status: &SecretRotationStatus,
    client_id: &str,
    asked_with: i64,
    outcome: &Outcome,
    now: Timestamp,
) -> SecretRotationStatus {
    let mut status = status.clone();
    let verdict = || Some(SecretVerdict { generation: asked_with, client_id: client_id.to_owned() });
    match outcome {
        // Both are answers to a secret that was accepted.
        Outcome::Accepted | Outcome::Requested => {
            status.proven = verdict();
            status.not_allowed.take_if(|it| it.is_of(asked_with, client_id));
            status.rejected.retain(|it| !it.is_of(asked_with, client_id));
        }
        Outcome::Rejected => {
            status.rejected.retain(|it| !it.is_of(asked_with, client_id));
            status.rejected.extend(verdict());
        }
        Outcome::NotAllowed => status.not_allowed = verdict(),
        _ => {}
    }
    if status.phase != Some(SecretRotationPhase::Requesting) {
        return status;
    }
    let asked = status.attempts.unwrap_or(1).max(1);
    let last = RETRY.len() - 1;
    let pause = RETRY[usize::try_from(asked - 1).unwrap_or(last).min(last)];
    let retry = |pause| Some(whole(later(now, pause)));
    match outcome {
        Outcome::Requested => {
            status.phase = Some(SecretRotationPhase::Requested);
            status.retry_at = retry(ASKED_AGAIN);
        }
        Outcome::Unknown => status.retry_at = retry(UNKNOWN_FOR),
        _ => {
            status.phase = Some(SecretRotationPhase::Failed);
            status.retry_at = retry(SignedDuration::from_secs(pause));
            status.failure = Some(failure(outcome).to_owned());
        }
    }
    status
}

/// The word for what kept Amazon from making a new secret.
const fn failure(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::NotEnrolled => "NotEnrolled",
        Outcome::NotAllowed => "RotationNotAllowed",
        Outcome::Rejected => "ClientSecretRejected",
        Outcome::Unopenable => "CredentialUnreadable",
        Outcome::Unreachable | Outcome::Unknown => "AmazonUnreachable",
        Outcome::Accepted | Outcome::Requested | Outcome::Refused => "AmazonRefused",
    }
}

/// The windows before a secret's end that are told, the nearest first.
const STAGES: [(i64, &str); 3] = [(7, "ExpiresWithin7Days"), (30, "ExpiresWithin30Days"), (60, "ExpiresWithin60Days")];

/// The condition `ClientSecretCurrent`.
fn state(seen: &Observed<'_>, stored: &StoredCredential, status: &SecretRotationStatus) -> State {
    use SecretRotationPhase::{ByHand, Failed, Requested, Requesting};
    let no = |reason: &str, message: String| State::no(CLIENT_SECRET_CURRENT, reason, message);
    let yes = |reason: &str, message: String| State::yes(CLIENT_SECRET_CURRENT, reason, message);
    let name = reference(&seen.application.metadata);
    let by_hand = format!(
        "rotate it in Amazon's Developer Console, and seal the new one within 7 days: `openteam seal --for \
         amazonapplication/{name} --field client-secret`"
    );
    let end = expires_at(stored);
    let told = stored.spec.told.as_ref().is_some_and(|told| told.expires_at.is_some());
    let until = if told { format!("until {end}") } else { format!("until {end} at the latest") };
    let client_id = &seen.application.spec.client_id;
    let again = status.retry_at.as_ref().map_or_else(String::new, |at| format!("; Amazon is asked again at {}", at.0));
    if status.phase == Some(ByHand) {
        return no(
            "RotateByHand",
            format!("a new client secret is wanted, and spec.secretRotation names no queue: {by_hand}"),
        );
    }
    if is_about(&status.rejected, stored, client_id) && *seen.queue != QueueState::None {
        return no(
            "ClientSecretRejected",
            format!("Amazon refuses the newest client secret, or spec.clientId. If it died there {by_hand}"),
        );
    }
    if status.phase == Some(Failed) {
        let failure = status.failure.as_deref().unwrap_or("AmazonRefused");
        let what = match failure {
            "NotEnrolled" => {
                "Amazon knows no queue for this application: register that of spec.secretRotation in its Developer Console, \
                 under the application's credential rotation"
            }
            "AmazonUnreachable" => "Amazon could not be asked for a new client secret",
            "CredentialUnreadable" => {
                "the stored client secret does not open under this cluster's keyset: seal it anew"
            }
            _ => "Amazon made no new client secret",
        };
        return no(failure, format!("{what}{again}. Or {by_hand}"));
    }
    if end <= seen.now {
        return no("ClientSecretExpired", format!("the client secret was good {until}: {by_hand}"));
    }
    if let QueueState::Fault(why) = seen.queue {
        return no(
            "QueueUnreadable",
            format!("{why}. Until then no new client secret is asked for; the present one is good {until}"),
        );
    }
    let asked = status.requested_at.as_ref().map(|at| at.0);
    if status.phase == Some(Requested) && asked.is_some_and(|at| later(at, OVERDUE) <= seen.now) {
        let old = asked.map(|at| later(at, SignedDuration::from_hours(7 * 24)));
        let old = old.map_or_else(String::new, |at| format!(", the old one dies about {at}"));
        return no(
            "NewSecretOverdue",
            format!(
                "Amazon was asked for a new client secret, which has not come by the queue{old}: look whether the queue is the \
                 one registered at Amazon, and lets Amazon send (docs/install.md){again}. Or {by_hand}"
            ),
        );
    }
    if is_about(&status.not_allowed, stored, client_id) {
        return no(
            "RotationNotAllowed",
            format!(
                "Amazon does not let this application rotate its client secret; the present one is good {until}: {by_hand}"
            ),
        );
    }
    let left = end.duration_since(seen.now);
    let within = |days: i64| left <= SignedDuration::from_hours(days * 24);
    let stages = if *seen.queue == QueueState::None { &STAGES[..] } else { &STAGES[..1] };
    if let Some((_, reason)) =
        stages.iter().find(|(days, _)| within(*days)).filter(|_| told || *seen.queue == QueueState::None)
    {
        return yes(reason, format!("the client secret is good {until}: {by_hand}"));
    }
    if matches!(status.phase, Some(Requesting | Requested)) {
        return yes("Rotating", format!("Amazon was asked for a new client secret; the present one is good {until}"));
    }
    let how = match seen.queue {
        QueueState::None => "before that it must be rotated by hand: spec.secretRotation names no queue".to_owned(),
        _ => format!("it is rotated by itself from {} on", due_at(seen.application, stored)),
    };
    yes("Current", format!("the client secret is good {until}; {how}"))
}
