//! What a connection's status must say, and whether Amazon must be asked first. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use access::{Addresses, Containment, Entry, Index, addresses};
use crds::{
    AmazonApplication, AmazonConnection, AmazonConnectionStatus, NamespacedReference, Participation, ProvenCredentials,
    StoredCredential, Team,
    condition::{AUTHORIZED, READY, State, find, set},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::{Resource, core::DeserializeGuard};
use seal::KeyId;

use crate::{
    credential, scope,
    subject::{contained_states, reference},
};

/// Amazon wants a public application's authorization renewed after so long (SP-API documentation, "Renew
/// authorizations").
const AUTHORIZATION_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// What one pass looks at. No plaintext.
pub(crate) struct Observed<'a> {
    pub(crate) connection: &'a AmazonConnection,
    pub(crate) team: Option<&'a DeserializeGuard<Team>>,
    pub(crate) application: Option<&'a DeserializeGuard<AmazonApplication>>,
    pub(crate) namespace_labels: &'a BTreeMap<String, String>,
    pub(crate) refresh_token: Option<&'a StoredCredential>,
    pub(crate) client_secret: Option<&'a StoredCredential>,
    /// The keyset's key that seals now.
    pub(crate) active_key: KeyId,
    pub(crate) allow_endpoints: bool,
    /// Amazon is not asked before this, where it is known.
    pub(crate) ask_not_before: Option<Timestamp>,
    /// What Amazon has just said.
    pub(crate) answer: Option<&'a Answer>,
    pub(crate) now: Timestamp,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// Amazon must be asked before the status is written.
    pub(crate) ask: Option<Question>,
    pub(crate) status: AmazonConnectionStatus,
    pub(crate) contained_by: Vec<Containment>,
    /// When to look again, sooner than usual.
    pub(crate) recheck: Option<Duration>,
}

/// What to ask Amazon, and with what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) addresses: Addresses,
    pub(crate) client_id: String,
    pub(crate) refresh_token: StoredCredential,
    pub(crate) client_secret: StoredCredential,
}

impl Question {
    /// The generations of what is asked with.
    pub(crate) fn credentials(&self) -> ProvenCredentials {
        ProvenCredentials {
            refresh_token: self.refresh_token.spec.generation,
            client_secret: self.client_secret.spec.generation,
            client_id: self.client_id.clone(),
        }
    }
}

/// What became of a question.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) asked_with: ProvenCredentials,
    pub(crate) verdict: Verdict,
}

/// What Amazon said of the credentials, or why it said nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// They are good; the seller has accounts in these marketplaces.
    Authorized(Vec<Participation>),
    /// The seller took the authorization back, or it ran out.
    Revoked,
    /// The application's id or secret is wrong, or has expired.
    ApplicationSecretRejected,
    /// Refused for a reason that asking again does not change.
    Refused(String),
    /// Amazon gave no answer; a later one may differ.
    Unreachable(String),
    /// The stored credential of this name does not open.
    Unopenable(String),
}

impl Verdict {
    /// Whether it holds until the credentials change. What does not is asked for again.
    fn lasts(&self) -> bool {
        match self {
            Self::Authorized(_) | Self::Revoked | Self::ApplicationSecretRejected | Self::Refused(_) => true,
            Self::Unreachable(_) | Self::Unopenable(_) => false,
        }
    }

    /// The condition `Authorized`.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Authorized(_) => State::yes(AUTHORIZED, "Authorized", "Amazon accepted the refresh token"),
            Self::Revoked => State::no(
                AUTHORIZED,
                "AuthorizationRevoked",
                "Amazon refuses the refresh token: it is not one of this application's, the seller took the \
                 authorization back, or it ran out. Check what was sealed; else have the seller authorize the \
                 application again and seal the new refresh token",
            ),
            Self::ApplicationSecretRejected => State::no(
                AUTHORIZED,
                "ApplicationSecretRejected",
                "Amazon refuses the application's client id or client secret. Correct spec.clientId of the \
                 AmazonApplication where it is wrong, and seal its current client secret anew",
            ),
            Self::Refused(why) => State::no(AUTHORIZED, "AmazonRefused", why),
            Self::Unreachable(why) => {
                State::unknown(AUTHORIZED, "AmazonUnreachable", format!("{why}. It is asked again by itself"))
            }
            Self::Unopenable(name) => State::unknown(
                AUTHORIZED,
                "CredentialUnreadable",
                format!("StoredCredential {name} does not open under this cluster's keyset: seal the credential anew"),
            ),
        }
    }
}

/// As a `Time` is kept: with a fraction it would differ from itself once it was written.
fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Decides.
pub(crate) fn plan(seen: &Observed<'_>) -> Plan {
    let connection = seen.connection;
    let generation = connection.metadata.generation;
    let contained_by = contained_by(seen);
    let (contained, stopped) = contained_states(&contained_by);
    let usable = usable(seen);
    let wanted = usable.as_ref().ok().map(Question::credentials);

    let mut status = connection.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    status.incidents = incidents(&contained_by);
    let endpoint = application_addresses(seen).map(|found| trimmed(found.selling_partner_api.as_str()));
    status.endpoint = endpoint;
    status.authorized_at = seen.refresh_token.map(|stored| whole_seconds(stored.spec.sealed_at.0));
    status.authorization_expires_at = status.authorized_at.as_ref().map(|at| Time(at.0 + AUTHORIZATION_LIFE));
    take_answer(&mut status, seen.answer, wanted.as_ref());

    // Without a verdict on the very credentials in use there is none.
    let verdict = find(&status.conditions, AUTHORIZED)
        .filter(|condition| condition.status != "Unknown" && wanted.is_some() && status.proven == wanted)
        .cloned();
    let answered = seen.answer.filter(|answer| Some(&answer.asked_with) == wanted.as_ref()).map(|a| a.verdict.state());
    let unsettled = verdict.is_none() && stopped.is_none() && answered.is_none();
    let too_early = seen.ask_not_before.filter(|&then| then > seen.now);
    let ask = usable.as_ref().ok().filter(|_| unsettled && too_early.is_none()).cloned();
    let authorized = match (&answered, &verdict, &usable) {
        (Some(state), ..) => state.clone(),
        (None, Some(verdict), _) => restated(verdict),
        (None, None, Err(missing)) => State::unknown(AUTHORIZED, &missing.reason, missing.message.clone()),
        (None, None, Ok(_)) => waiting(&status.conditions, stopped.as_ref()),
    };
    let ready = stopped.unwrap_or_else(|| match &usable {
        Err(missing) => missing.clone(),
        Ok(_) => ready(connection, &authorized, &status.participations),
    });
    let current = credential::current(seen.refresh_token, seen.active_key, "refresh token");
    for state in [ready, authorized, contained, current] {
        set(&mut status.conditions, state, generation, seen.now);
    }
    // What belongs to another refresh token says nothing about this one's seller.
    if status.proven.as_ref().map(|proven| proven.refresh_token) != seen.refresh_token.map(|it| it.spec.generation) {
        status.participations.clear();
    }
    let recheck = too_early
        .filter(|_| usable.is_ok())
        .map(|then| Duration::try_from(then.duration_since(seen.now)).unwrap_or_default() + Duration::from_millis(50));
    Plan { ask, status, contained_by, recheck }
}

fn contained_by(seen: &Observed<'_>) -> Vec<Containment> {
    let name = reference(&seen.connection.metadata);
    let index = Index {
        teams: Arc::new(seen.team.map(|team| entry_of(team.meta())).into_iter().collect()),
        applications: Arc::new(seen.application.map(|it| entry_of(it.meta())).into_iter().collect()),
        ..Index::default()
    };
    access::contained(&index, &name, seen.connection)
}

/// Only metadata count for containment, parsed or not, so the objects themselves need not be copied.
fn entry_of<K>(meta: &ObjectMeta) -> (NamespacedReference, Entry<K>) {
    (reference(meta), Entry::Unreadable(Arc::new(meta.clone())))
}

fn incidents(by: &[Containment]) -> Vec<String> {
    let mut incidents: Vec<String> = by.iter().flat_map(|by| by.incidents.clone()).collect();
    incidents.sort_unstable();
    incidents.dedup();
    incidents
}

fn application_addresses(seen: &Observed<'_>) -> Option<Addresses> {
    let application = seen.application?.0.as_ref().ok()?;
    addresses(&seen.connection.spec, application, seen.allow_endpoints).ok()
}

fn trimmed(address: &str) -> String {
    address.trim_end_matches('/').to_owned()
}

/// Everything a call to Amazon needs, or the first thing that is missing, as `Ready` says it.
fn usable(seen: &Observed<'_>) -> Result<Question, State> {
    let spec = &seen.connection.spec;
    let namespace = reference(&seen.connection.metadata).namespace;
    let no = |reason: &str, message: String| State::no(READY, reason, message);
    if seen.team.is_none_or(|team| team.0.is_err()) {
        let message = format!("Team {namespace}/{} does not exist or cannot be read", spec.team_ref.name);
        return Err(no("TeamNotFound", message));
    }
    let name = &spec.application_ref;
    let application = seen.application.and_then(|it| it.0.as_ref().ok()).ok_or_else(|| {
        no("ApplicationNotFound", format!("AmazonApplication {name} does not exist or cannot be read"))
    })?;
    let selected = || {
        let selector = application.spec.allowed_namespaces.as_ref();
        selector.is_some_and(|selector| access::selects(selector, seen.namespace_labels))
    };
    if name.namespace != namespace && !selected() {
        let message = format!(
            "AmazonApplication {name} is not for namespace {namespace}: its spec.allowedNamespaces does not select it"
        );
        return Err(no("ApplicationNotAllowed", message));
    }
    let addresses = addresses(spec, application, seen.allow_endpoints)
        .map_err(|fault| no(fault.reason(), format!("AmazonApplication {name}: {fault}")))?;
    let refresh_token = seen.refresh_token.ok_or_else(|| {
        let own = reference(&seen.connection.metadata).name;
        let message =
            format!("no refresh token yet: seal one with `openteam seal --for amazonconnection/{namespace}/{own}`");
        no("CredentialMissing", message)
    })?;
    let client_secret = seen.client_secret.ok_or_else(|| {
        let message = format!("no client secret yet: seal one with `openteam seal --for amazonapplication/{name}`");
        no("ClientSecretMissing", message)
    })?;
    Ok(Question {
        addresses,
        client_id: application.spec.client_id.clone(),
        refresh_token: refresh_token.clone(),
        client_secret: client_secret.clone(),
    })
}

/// Keeps what lasts of an answer, if it is about the credentials in use.
fn take_answer(status: &mut AmazonConnectionStatus, answer: Option<&Answer>, wanted: Option<&ProvenCredentials>) {
    let Some(answer) = answer.filter(|answer| Some(&answer.asked_with) == wanted && answer.verdict.lasts()) else {
        return;
    };
    status.proven = Some(answer.asked_with.clone());
    if let Verdict::Authorized(participations) = &answer.verdict {
        status.participations.clone_from(participations);
        status.participations.sort_by(|a, b| a.marketplace_id.cmp(&b.marketplace_id));
    }
}

/// A condition as it stands.
fn restated(condition: &Condition) -> State {
    State {
        type_: AUTHORIZED,
        status: match condition.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        },
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    }
}

/// Nothing is missing and nothing is known: what kept Amazon from answering before, or that it is still to be asked.
fn waiting(conditions: &[Condition], stopped: Option<&State>) -> State {
    let before = find(conditions, AUTHORIZED)
        .filter(|before| ["AmazonUnreachable", "CredentialUnreadable"].contains(&before.reason.as_str()));
    match (stopped, before) {
        (Some(_), _) => {
            State::unknown(AUTHORIZED, "Contained", "Amazon is not asked while the connection is contained")
        }
        (None, Some(before)) => restated(before),
        (None, None) => State::unknown(AUTHORIZED, "Verifying", "Amazon is asked within a minute"),
    }
}

fn ready(connection: &AmazonConnection, authorized: &State, participations: &[Participation]) -> State {
    if authorized.status != Some(true) {
        return State::no(READY, &authorized.reason, authorized.message.clone());
    }
    // A name that stands for nothing allows nothing, and denies nothing either.
    if let Some(state) = scope::operations("spec.operations", connection.spec.operations.as_ref()) {
        return state;
    }
    let takes_part = |id: &&String| participations.iter().any(|it| it.marketplace_id == **id && it.is_participating);
    let absent: Vec<&str> =
        connection.spec.marketplace_ids.iter().filter(|id| !takes_part(id)).map(String::as_str).collect();
    let list = absent.join(", ");
    if absent.is_empty() {
        State::yes(READY, "Ready", "")
    } else if absent.len() == connection.spec.marketplace_ids.len() {
        State::no(READY, "NotParticipating", format!("the seller takes part in none of spec.marketplaceIds: {list}"))
    } else {
        State::yes(READY, "Ready", format!("the seller does not take part in {list}; calls naming them will fail"))
    }
}
