//! What becomes of the code of a seller's consent. Pure.
//!
//! Amazon takes a code once, within five minutes. So who sends one claims it first, in the input's status; a claim whose
//! answer nobody has says that the code is spent, whatever became of it: sent again, it might end what it gave (RFC 6749
//! section 4.1.2).

use std::time::Duration;

use access::Addresses;
use amazon::{LwaError, RefusedCode, RetryCause};
use crds::{
    AmazonApplication, Consent, CredentialField, ExchangeClaim, MANAGED_BY, PORTAL, SealedCredential,
    SealedCredentialState, StoredCredential, condition::State,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::plan::{
    ACCEPTED, CONTAINED, NOT_A_CREDENTIAL, Observed, Plan, ROTATING, TARGET_NOT_FOUND, accepted, came_from, next,
    settled,
};

/// How long a code is good for (SP-API documentation, "Website authorization workflow").
const LIFE: SignedDuration = SignedDuration::from_mins(5);
/// What a code waits for is looked for so often: it does not wait long.
const LOOK_EVERY: Duration = Duration::from_secs(3);

pub(super) const INTERRUPTED: &str = "ConsentInterrupted";
pub(super) const EXPIRED: &str = "ConsentExpired";
pub(super) const REJECTED: &str = "ConsentRejected";
pub(super) const SELLER_MISMATCH: &str = "SellerMismatch";
pub(super) const DUPLICATE_SELLER: &str = "DuplicateSeller";
pub(super) const CLIENT_SECRET_REJECTED: &str = "ClientSecretRejected";
pub(super) const REDIRECT_URI_MISMATCH: &str = "RedirectUriMismatch";
const EXCHANGING: &str = "Exchanging";
const UNREACHABLE: &str = "AmazonUnreachable";
const UNREADABLE: &str = "CredentialUnreadable";
const TOO_OFTEN: &str = "AskedTooOften";

/// What an exchange rests on besides the input.
pub(super) struct Code {
    /// None where the connection is not there.
    pub(super) way: Option<Way>,
    pub(super) outcome: Option<Outcome>,
    /// No code of the connection is sent before this, where it is known.
    pub(super) not_before: Option<Timestamp>,
    /// The claim to be made.
    pub(super) claim: ExchangeClaim,
}

/// What is between a code and Amazon.
pub(super) struct Way {
    /// The seller that the connection is known to be of.
    pub(super) seller: Option<String>,
    /// What contains it, in words.
    pub(super) contained: Option<String>,
    pub(super) twin: Option<Twin>,
    /// The application and where Amazon is, or what is missing for that.
    pub(super) reach: Result<(AmazonApplication, Addresses), State>,
    /// The newest client secret.
    pub(super) client_secret: Result<StoredCredential, State>,
    pub(super) second_secret: Option<StoredCredential>,
}

/// Another authorized connection of the same application, region and sandbox for the seller of the consent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Twin {
    /// In the same namespace, by its name.
    Beside(String),
    /// Where this namespace may not look.
    Elsewhere,
}

/// What to send to Amazon, and with what.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exchange {
    pub(super) addresses: Addresses,
    pub(super) client_id: String,
    pub(super) client_secret: StoredCredential,
    /// The client secret before, tried second while Amazon may still honour it.
    pub(super) second_secret: Option<StoredCredential>,
    pub(super) redirect_uri: Option<String>,
}

/// What became of an exchange.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Amazon gave a refresh token.
    Granted,
    /// Nothing was sent, for this reason.
    NotSent(String),
    /// Nothing was sent: the client secret of this name does not open.
    Unopenable(String),
    /// Amazon refused, or nobody knows what it did.
    Refused(&'static str, String),
}

impl Outcome {
    /// Of Amazon's answer.
    pub(super) fn of(error: &LwaError) -> Self {
        let again = "have the seller consent again";
        match error {
            LwaError::InvalidGrant => Self::Refused(
                REJECTED,
                format!(
                    "Amazon refused the code: it was used before, is older than five minutes, or was given for another \
                     application: {again}"
                ),
            ),
            LwaError::InvalidClient => Self::Refused(
                CLIENT_SECRET_REJECTED,
                format!(
                    "Amazon refuses the application's client id or client secret: correct spec.clientId of the \
                     AmazonApplication where it is wrong, seal its current client secret, then {again}"
                ),
            ),
            LwaError::Refused(RefusedCode::RedirectUri) => Self::Refused(
                REDIRECT_URI_MISMATCH,
                format!(
                    "Amazon does not take the redirect URI: spec.redirectUri of the AmazonApplication must be one that is \
                     registered with Amazon, letter for letter; correct it, then {again}"
                ),
            ),
            LwaError::Refused(code) => Self::Refused(REJECTED, format!("Amazon refused the code ({code}): {again}")),
            LwaError::Retry(cause @ RetryCause::Connect(_)) => Self::NotSent(cause.to_string()),
            LwaError::Retry(cause) => Self::Refused(
                INTERRUPTED,
                format!("the code was sent, but {cause}: a code is good once, so it is not sent again; {again}"),
            ),
        }
    }
}

/// Whether everything is said of a code: it is good once, so its verdict stays. An exchange that was given up for lost may
/// have been another operator's, that ended well.
pub(super) fn is_settled(sealed: &SealedCredential, input: &str, stored: Option<&StoredCredential>) -> bool {
    let Some(status) = sealed.status.as_ref().filter(|it| it.observed_generation == sealed.metadata.generation) else {
        return false;
    };
    match status.state {
        Some(SealedCredentialState::Accepted | SealedCredentialState::Superseded) => true,
        Some(SealedCredentialState::Refused) => !stored.is_some_and(|stored| came_from(stored, input)),
        Some(SealedCredentialState::Waiting | SealedCredentialState::Exchanging) | None => false,
    }
}

/// How long a code that is of no use any more is kept, from when its input was made: so long that people can read what became
/// of it.
const ACCEPTED_KEPT: SignedDuration = SignedDuration::from_hours(1);
const OTHERS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// When a settled code is to be deleted: one that the portal made. Others are somebody's in Git.
pub(super) fn deleted_at(sealed: &SealedCredential) -> Option<Timestamp> {
    let meta = &sealed.metadata;
    let label = meta.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    label.filter(|by| *by == PORTAL && sealed.spec.field == CredentialField::AuthorizationCode)?;
    let kept = match sealed.status.as_ref()?.state? {
        SealedCredentialState::Accepted => ACCEPTED_KEPT,
        SealedCredentialState::Refused | SealedCredentialState::Superseded => OTHERS_KEPT,
        SealedCredentialState::Waiting | SealedCredentialState::Exchanging => return None,
    };
    meta.creation_timestamp.as_ref()?.0.checked_add(kept).ok()
}

/// The claim on the code as it is now.
pub(super) fn claim<'a>(sealed: &'a SealedCredential, input: &str) -> Option<&'a ExchangeClaim> {
    sealed.status.as_ref()?.claim.as_ref().filter(|claim| claim.input == input)
}

/// Decides about a code that is newer than what is stored.
pub(super) fn decide(seen: &Observed<'_>, code: &Code, sealed_at: Timestamp) -> Plan {
    use SealedCredentialState::{Accepted, Exchanging, Refused, Waiting};
    let of = &seen.sealed.spec.r#for;
    let (kind, name) = (of.kind.as_str(), &of.name);
    let claim = claim(seen.sealed, seen.input);
    let granted = code.outcome == Some(Outcome::Granted);
    let refused = |reason: &str, message: String| settled(seen, Refused, reason, message, Some(sealed_at));
    let expires = sealed_at.saturating_add(LIFE).unwrap_or(sealed_at);
    let waiting = |reason: &str, message: String| {
        let state = if granted { Exchanging } else { Waiting };
        let mut plan = settled(seen, state, reason, message, Some(sealed_at));
        // Given back: nothing was sent.
        plan.status.claim.take_if(|_| !granted);
        let left = Duration::try_from(expires.duration_since(seen.now)).unwrap_or_default();
        Plan { recheck: Some(LOOK_EVERY.min(left + Duration::from_millis(50))), ..plan }
    };
    let again = "have the seller consent again";
    let Some(consent) = &seen.sealed.spec.consent else {
        return refused(NOT_A_CREDENTIAL, format!("spec.consent is missing: {again}"));
    };
    match (claim, &code.outcome) {
        (Some(claim), None) => {
            let by = &claim.by;
            return refused(
                INTERRUPTED,
                format!("{by} began to exchange the code and ended before Amazon's answer was kept: {again}"),
            );
        }
        (_, Some(Outcome::Refused(reason, message))) => return refused(reason, message.clone()),
        _ => {}
    }
    if !granted && seen.now >= expires {
        return refused(EXPIRED, format!("Amazon's code is good for five minutes, until {expires}: {again}"));
    }
    let Some(way) = &code.way else {
        return if granted {
            refused(INTERRUPTED, format!("{kind} {name} was deleted meanwhile: connect the seller anew"))
        } else {
            waiting(TARGET_NOT_FOUND, format!("{kind} {name} does not exist in this namespace"))
        };
    };
    if let Some(fault) = other_seller(consent, way, name, granted) {
        return refused(fault.0, fault.1);
    }
    if seen.history.rotating {
        return waiting(ROTATING, format!("{kind} {name} is being rotated: looked at again right after"));
    }
    match &way.contained {
        // What it holds is evidence, and there is nowhere else to keep what Amazon gave.
        Some(by) if granted => {
            return refused(
                INTERRUPTED,
                format!(
                    "{by}, since the code was sent; what Amazon gave was thrown away: once it is restored, {again}"
                ),
            );
        }
        Some(by) => {
            let message = format!("{by}: restored by {expires} the code is taken, later {again}");
            return waiting(CONTAINED, message);
        }
        None => {}
    }
    if granted {
        let new = next(seen, sealed_at, Some(consent.selling_partner_id.clone()));
        let plan = settled(seen, Accepted, ACCEPTED, accepted(kind, name, new.generation), Some(sealed_at));
        return Plan { store: Some(new), ..plan };
    }
    let (application, addresses) = match &way.reach {
        Ok(reach) => reach,
        Err(state) => return waiting(&state.reason, state.message.clone()),
    };
    let client_secret = match &way.client_secret {
        Ok(secret) => secret,
        Err(state) => return waiting(&state.reason, state.message.clone()),
    };
    if consent.redirect_uri.is_some() && consent.redirect_uri != application.spec.redirect_uri {
        let message = format!(
            "spec.consent.redirectUri is not spec.redirectUri of AmazonApplication {}: correct that, then {again}",
            application.metadata.name.as_deref().unwrap_or_default()
        );
        return refused(REDIRECT_URI_MISMATCH, message);
    }
    match &code.outcome {
        Some(Outcome::NotSent(why)) => {
            return waiting(UNREACHABLE, format!("{why}; the code was not sent, and that is tried until {expires}"));
        }
        Some(Outcome::Unopenable(name)) => {
            let message = format!("StoredCredential {name} does not open: seal the client secret anew");
            return waiting(UNREADABLE, message);
        }
        Some(Outcome::Granted | Outcome::Refused(..)) | None => {}
    }
    if code.not_before.is_some_and(|then| then > seen.now) {
        // What it waits for stays as it was said.
        let before = seen.sealed.status.as_ref().filter(|it| it.reason.as_deref() == Some(UNREACHABLE));
        return match before.and_then(|it| it.message.clone()) {
            Some(message) => waiting(UNREACHABLE, message),
            None => waiting(TOO_OFTEN, format!("many codes came for {kind} {name}: this one is sent a little later")),
        };
    }
    let mut plan = settled(seen, Exchanging, EXCHANGING, "Amazon is being asked".to_owned(), Some(sealed_at));
    plan.status.claim = Some(code.claim.clone());
    let exchange = Exchange {
        addresses: addresses.clone(),
        client_id: application.spec.client_id.clone(),
        client_secret: client_secret.clone(),
        second_secret: way.second_secret.clone(),
        redirect_uri: consent.redirect_uri.clone(),
    };
    Plan { exchange: Some(exchange), ..plan }
}

/// Whether the seller of the consent is one that the connection cannot be of. Nothing is stored then. Of other namespaces
/// nothing is told before Amazon has `granted`: a made-up code must not tell who is connected there.
fn other_seller(consent: &Consent, way: &Way, name: &str, granted: bool) -> Option<(&'static str, String)> {
    let seller = &consent.selling_partner_id;
    if let Some(known) = way.seller.as_ref().filter(|known| *known != seller) {
        let message = format!(
            "seller {seller} consented, but AmazonConnection {name} is of seller {known}: have that one consent, signed in \
             to its own Seller Central account, or connect {seller} by a connection of its own"
        );
        return Some((SELLER_MISMATCH, message));
    }
    let other = match way.twin.as_ref()? {
        Twin::Beside(other) => format!("AmazonConnection {other}"),
        Twin::Elsewhere if !granted => return None,
        Twin::Elsewhere => "a connection of another namespace".to_owned(),
    };
    let message = format!(
        "{other} is authorized for seller {seller} by the same application in the same region already: use that one, or have \
         it deleted, then have the seller consent again"
    );
    Some((DUPLICATE_SELLER, message))
}

/// When it is claimed, as a `MicroTime` is kept.
pub(super) fn claim_time(now: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
}

#[cfg(test)]
mod tests;
