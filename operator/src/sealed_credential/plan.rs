//! What becomes of an input. Pure.

use std::time::Duration;

use crds::{
    PreviousCredential, SealedCredential, SealedCredentialState, SealedCredentialStatus, StoredCredential,
    StoredCredentialSpec, StoredRotation, StoredTold,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use seal::{Admission, KeyId, MAX_CLOCK_LEAD_MS, admit};

use super::{INPUT, code};

/// What one pass looks at. No plaintext.
pub(super) struct Observed<'a> {
    pub(super) sealed: &'a SealedCredential,
    /// Digest of its ciphertext.
    pub(super) input: &'a str,
    pub(super) target: &'a Target,
    pub(super) stored: Option<&'a StoredCredential>,
    pub(super) history: &'a History,
    /// Of an authorization code.
    pub(super) code: Option<&'a code::Code>,
    /// When it was sealed (Unix milliseconds), where it opened.
    pub(super) opened: Result<u64, Fault>,
    pub(super) now: Timestamp,
}

/// What an input is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// It does not exist (yet), or is on its way out.
    Absent,
    /// An incident contains it; the text says what by.
    Contained(String),
    /// It is there.
    Free,
}

/// What is known of the credentials that a target has, or had.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    /// The generation that Amazon accepted last.
    pub(super) accepted: Option<i64>,
    /// A rotation is to be acted on first.
    pub(super) rotating: bool,
    /// The rotations that there were.
    pub(super) rotation: Option<StoredRotation>,
    /// The seller that consented last.
    pub(super) seller: Option<String>,
}

/// Why an input cannot be used, whatever its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    InvalidText,
    UnknownSealingKey(KeyId),
    CannotOpen,
    NotACredential,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// Must be stored before the status is written.
    pub(super) store: Option<NewCredential>,
    /// A code must be sent to Amazon, once the status is written to the very version that was looked at.
    pub(super) exchange: Option<code::Exchange>,
    pub(super) status: SealedCredentialStatus,
    /// When to look again, sooner than usual.
    pub(super) recheck: Option<Duration>,
}

/// The frame of a StoredCredential to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NewCredential {
    pub(super) generation: i64,
    pub(super) sealed_at: MicroTime,
    /// The resourceVersion it replaces; none where there is none yet.
    pub(super) replaces: Option<String>,
    /// What is kept beside it.
    pub(super) previous: Option<PreviousCredential>,
    pub(super) rotation: Option<StoredRotation>,
    /// The seller that consented.
    pub(super) seller: Option<String>,
    /// What outlives the credential that Amazon told it of.
    pub(super) told: Option<StoredTold>,
}

/// How long the credential before a new one may be used, until Amazon has accepted the new one: as long as Amazon honours a
/// client secret after its rotation (SP-API documentation, "Rotating your app's LWA credentials").
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) const TARGET_NOT_FOUND: &str = "TargetNotFound";
pub(super) const CONTAINED: &str = "Contained";
pub(super) const ROTATING: &str = "Rotating";
const FROM_THE_FUTURE: &str = "FromTheFuture";
const SUPERSEDED: &str = "Superseded";
pub(super) const ACCEPTED: &str = "Accepted";
const INVALID_TEXT: &str = "InvalidText";
const UNKNOWN_SEALING_KEY: &str = "UnknownSealingKey";
const CANNOT_OPEN: &str = "CannotOpen";
pub(super) const NOT_A_CREDENTIAL: &str = "NotACredential";

/// The reason of a refusal as one of the program's own words, which is all that events hold.
pub(super) fn word(reason: &str) -> &'static str {
    const OF_ANY: [&str; 5] = [INVALID_TEXT, UNKNOWN_SEALING_KEY, CANNOT_OPEN, NOT_A_CREDENTIAL, FROM_THE_FUTURE];
    const OF_CODES: [&str; 7] = [
        code::INTERRUPTED,
        code::EXPIRED,
        code::REJECTED,
        code::SELLER_MISMATCH,
        code::DUPLICATE_SELLER,
        code::CLIENT_SECRET_REJECTED,
        code::REDIRECT_URI_MISMATCH,
    ];
    OF_ANY.into_iter().chain(OF_CODES).find(|word| *word == reason).unwrap_or("Refused")
}

/// Decides.
pub(super) fn plan(seen: &Observed<'_>) -> Plan {
    use SealedCredentialState::{Accepted, Refused, Superseded, Waiting};
    let of = &seen.sealed.spec.r#for;
    let (kind, name) = (of.kind.as_str(), &of.name);
    let sealed_at_ms = match seen.opened {
        Ok(ms) => ms,
        Err(fault) => {
            let (reason, message) = explain(fault, seen.sealed);
            return settled(seen, Refused, reason, message, None);
        }
    };
    let sealed_at = i64::try_from(sealed_at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let now_ms = u64::try_from(seen.now.as_millisecond()).unwrap_or_default();
    let not_before = seen.stored.map_or(0, |stored| millis(&stored.spec.not_before));
    // Nothing was stored yet when it was rotated: what was sealed by then is as old.
    let rotated_at = seen.history.rotation.as_ref().and_then(|rotation| rotation.at.as_ref());
    let not_before_ms = not_before.max(rotated_at.map_or(0, millis));
    let Some(sealed_at) = sealed_at else {
        return settled(seen, Refused, FROM_THE_FUTURE, "its sealed time is no time".to_owned(), None);
    };
    match (admit(sealed_at_ms, not_before_ms, now_ms), seen.code) {
        (Admission::FromTheFuture, _) => {
            let wait = sealed_at_ms.saturating_sub(MAX_CLOCK_LEAD_MS).saturating_sub(now_ms);
            let message = format!("sealed at {sealed_at}, which is still to come: correct the clock and seal it again");
            let plan = settled(seen, Refused, FROM_THE_FUTURE, message, Some(sealed_at));
            Plan { recheck: Some(Duration::from_millis(wait.clamp(1000, 600_000))), ..plan }
        }
        (Admission::Superseded, _) => {
            let stored =
                seen.stored.filter(|stored| stored.spec.sealed_at.0 == sealed_at && came_from(stored, seen.input));
            match stored {
                Some(stored) => {
                    let message = accepted(kind, name, stored.spec.generation);
                    settled(seen, Accepted, ACCEPTED, message, Some(sealed_at))
                }
                // Nobody who keeps it in Git has to do anything.
                None if seen.stored.is_some_and(|stored| came_from(stored, seen.input) && has_newer(stored)) => {
                    let message =
                        format!("was in use until Amazon made a newer client secret, which {kind} {name} has now");
                    settled(seen, Accepted, ACCEPTED, message, Some(sealed_at))
                }
                None => {
                    let way_out = match seen.code {
                        Some(_) => "have the seller consent again",
                        None => "seal it again if it is the right one",
                    };
                    let message = format!("sealed at {sealed_at}, not after what {kind} {name} already has: {way_out}");
                    settled(seen, Superseded, SUPERSEDED, message, Some(sealed_at))
                }
            }
        }
        (Admission::Use, Some(code)) => code::decide(seen, code, sealed_at),
        (Admission::Use, None) => match seen.target {
            Target::Absent => {
                let message = format!("{kind} {name} does not exist in this namespace");
                settled(seen, Waiting, TARGET_NOT_FOUND, message, Some(sealed_at))
            }
            _ if seen.history.rotating => {
                let message = format!("{kind} {name} is being rotated: looked at again right after");
                settled(seen, Waiting, ROTATING, message, Some(sealed_at))
            }
            // What was rotated away is not evidence that a new one would destroy: it stays beside it.
            Target::Contained(by) if !seen.stored.is_some_and(|stored| stored.spec.retired) => {
                let message = format!("{by}: its credential does not change until it is restored");
                settled(seen, Waiting, CONTAINED, message, Some(sealed_at))
            }
            Target::Free | Target::Contained(_) => {
                let store = next(seen, sealed_at, seen.history.seller.clone());
                let plan = settled(seen, Accepted, ACCEPTED, accepted(kind, name, store.generation), Some(sealed_at));
                Plan { store: Some(store), ..plan }
            }
        },
    }
}

/// The credential after the one that is stored.
pub(super) fn next(seen: &Observed<'_>, sealed_at: Timestamp, seller: Option<String>) -> NewCredential {
    let told = seen.stored.and_then(|stored| stored.spec.told.clone());
    NewCredential {
        generation: seen.stored.map_or(0, |stored| stored.spec.generation) + 1,
        sealed_at: MicroTime(sealed_at),
        replaces: seen.stored.and_then(|stored| stored.metadata.resource_version.clone()),
        previous: seen.stored.and_then(|stored| previous(stored, seen.history, seen.now)),
        rotation: seen.history.rotation.clone(),
        seller,
        told: told.map(|told| StoredTold { notice_at: told.notice_at, ..StoredTold::default() }),
    }
}

/// What is kept beside a new credential: what a rotation took out of use, until Amazon refuses it; else the one that may
/// still serve.
fn previous(stored: &StoredCredential, history: &History, now: Timestamp) -> Option<PreviousCredential> {
    let kept = |of: &StoredCredentialSpec, until| PreviousCredential {
        generation: of.generation,
        sealed_at: of.sealed_at.clone(),
        data: of.data.clone(),
        wrap: of.wrap.clone(),
        until,
    };
    if let Some(tested) = stored.only_tested() {
        return Some(kept(&tested.spec, None));
    }
    if stored.spec.retired {
        return None;
    }
    // One that was pasted in between and never worked takes the place of none that does.
    let works = stored.previous_usable(now).filter(|before| Some(before.spec.generation) == history.accepted);
    match works {
        Some(_) => stored.spec.previous.clone(),
        None => Some(kept(&stored.spec, now.checked_add(KEPT).ok().map(MicroTime))),
    }
}

pub(super) fn settled(
    seen: &Observed<'_>,
    state: SealedCredentialState,
    reason: &str,
    message: String,
    sealed_at: Option<Timestamp>,
) -> Plan {
    let status = SealedCredentialStatus {
        state: Some(state),
        reason: Some(reason.to_owned()),
        message: Some(message),
        sealed_at: sealed_at.map(MicroTime),
        // A code that was claimed stays so, whatever is said of it.
        claim: seen.code.and_then(|_| code::claim(seen.sealed, seen.input)).cloned(),
        observed_generation: seen.sealed.metadata.generation,
    };
    Plan { store: None, exchange: None, status, recheck: None }
}

pub(super) fn accepted(kind: &str, name: &str, generation: i64) -> String {
    format!("in use as credential {generation} of {kind} {name}")
}

fn millis(time: &MicroTime) -> u64 {
    u64::try_from(time.0.as_millisecond()).unwrap_or_default()
}

/// Whether the newest credential came from Amazon itself.
fn has_newer(stored: &StoredCredential) -> bool {
    let told = stored.spec.told.as_ref().and_then(|told| told.notice_at.as_ref());
    told.is_some_and(|at| *at >= stored.spec.sealed_at)
}

pub(super) fn came_from(stored: &StoredCredential, input: &str) -> bool {
    !stored.spec.retired
        && stored.metadata.annotations.as_ref().and_then(|them| them.get(INPUT)).is_some_and(|have| have == input)
}

fn explain(fault: Fault, sealed: &SealedCredential) -> (&'static str, String) {
    match fault {
        Fault::InvalidText => (INVALID_TEXT, "spec.ciphertext is not what `openteam seal` prints".to_owned()),
        Fault::UnknownSealingKey(id) => (
            UNKNOWN_SEALING_KEY,
            format!("sealed for key {id}, which this cluster does not have: seal it again with a current key"),
        ),
        Fault::CannotOpen => {
            let of = &sealed.spec.r#for;
            let namespace = sealed.metadata.namespace.as_deref().unwrap_or_default();
            let binding = format!("{} {namespace}/{} field {}", of.kind.as_str(), of.name, sealed.spec.field.as_str());
            (CANNOT_OPEN, format!("changed, or sealed for something else than {binding}: seal it for just that"))
        }
        Fault::NotACredential => (
            NOT_A_CREDENTIAL,
            "what was sealed is empty or holds other than printable ASCII characters: seal the credential alone"
                .to_owned(),
        ),
    }
}
