//! What a connection's status must say, and whether Amazon must be asked first. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use access::{Addresses, Containment, Entry, Index, addresses, scope};
use crds::{
    AmazonApplication, AmazonConnection, AmazonConnectionStatus, NamespacedReference, Participation, ProvenCredentials,
    RefusedCredentials, StoredCredential, StoredRotation, Team, annotation,
    condition::{AUTHORIZED, READY, REFRESHED, State, find, set},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::{Resource, core::DeserializeGuard};
use seal::Keyset;

use super::{
    mail,
    rotation::{self, Tried},
};
use crate::{
    consent, credential,
    status::{micros, whole_seconds},
    subject::{contained_states, reference},
};

/// Amazon wants a public application's authorization renewed after so long (SP-API documentation, "Renew
/// authorizations").
const AUTHORIZATION_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// What `Ready` says where no refresh token or no client secret is stored.
const CREDENTIAL_LACKS: [&str; 2] = ["CredentialMissing", "ClientSecretMissing"];

/// A status held back is looked at again after so long, should no change come.
const HELD: Duration = Duration::from_secs(60);

/// What one pass looks at. No plaintext.
pub(crate) struct Observed<'a> {
    pub(crate) connection: &'a AmazonConnection,
    pub(crate) team: Option<&'a DeserializeGuard<Team>>,
    pub(crate) application: Option<&'a DeserializeGuard<AmazonApplication>>,
    pub(crate) namespace_labels: &'a BTreeMap<String, String>,
    pub(crate) refresh_token: Option<&'a StoredCredential>,
    pub(crate) client_secret: Option<&'a StoredCredential>,
    pub(crate) keyset: &'a Keyset,
    pub(crate) allow_endpoints: bool,
    /// A missing credential may be among the inputs that wait to be opened.
    pub(crate) input_under_way: bool,
    /// Amazon is not asked before this, where it is known.
    pub(crate) ask_not_before: Option<Timestamp>,
    /// The refresh token that was rotated away is not tried before this, where it is known.
    pub(crate) try_not_before: Option<Timestamp>,
    /// When the newest RuntimeToken of the connection was created, by the apiserver's clock.
    pub(crate) newest_token: Option<Timestamp>,
    /// Whether there is a server to send mail by.
    pub(crate) mail_configured: bool,
    /// What Amazon has just said.
    pub(crate) answer: Option<&'a Answer>,
    /// And of the refresh token that was rotated away.
    pub(crate) tried: Option<&'a Tried>,
    pub(crate) now: Timestamp,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// Its refresh token must be rotated away before anything else.
    pub(crate) rotate: Option<StoredRotation>,
    /// Amazon must be asked about the refresh token that was rotated away.
    pub(crate) try_old: Option<Question>,
    /// The mail that asks for a consent must be sent, once the status is written.
    pub(crate) mail: bool,
    /// What of the stored refresh token is of no use any more, once the status is written.
    pub(crate) tidy: Option<Tidy>,
    /// Amazon must be asked before the status is written.
    pub(crate) ask: Option<Question>,
    pub(crate) status: AmazonConnectionStatus,
    pub(crate) contained_by: Vec<Containment>,
    /// The status is not worth writing: it will be another in a moment, of which a change tells.
    pub(crate) hold: bool,
    /// When to look again, sooner than usual.
    pub(crate) recheck: Option<Duration>,
}

/// What to take out of a StoredCredential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tidy {
    /// What was rotated away: Amazon refuses it.
    Destroy,
    /// The one before the newest: its time is over.
    DropPrevious,
}

/// What to ask Amazon, and with what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) addresses: Addresses,
    pub(crate) client_id: String,
    pub(crate) refresh_token: StoredCredential,
    pub(crate) client_secret: StoredCredential,
    /// The client secret before, tried second while Amazon may still honour it.
    pub(crate) second_secret: Option<StoredCredential>,
    /// The annotation `openteam.dev/test`, where it has a new value.
    pub(crate) test: Option<String>,
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
    pub(crate) test: Option<String>,
    pub(crate) verdict: Verdict,
    /// The newest credentials, where Amazon refused those and accepted others that may still be used.
    pub(crate) passed_over: Option<RefusedCredentials>,
}

impl Answer {
    /// The credentials that were to be proven.
    fn about(&self) -> &ProvenCredentials {
        self.passed_over.as_ref().map_or(&self.asked_with, |refused| &refused.with)
    }
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

    /// As a status keeps it of credentials that others serve for.
    pub(crate) fn refusal(&self, with: ProvenCredentials) -> RefusedCredentials {
        let State { reason, message, .. } = self.state();
        RefusedCredentials { with, reason, message }
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

/// Decides.
pub(crate) fn plan(seen: &Observed<'_>) -> Plan {
    let connection = seen.connection;
    let generation = connection.metadata.generation;
    let contained_by = contained_by(connection, seen.team, seen.application);
    let (contained, stopped) = contained_states(&contained_by);
    let team = seen.team.map(Resource::meta);
    // No clock that is behind the apiserver's lets a token outlive a rotation.
    let at = micros(seen.newest_token.map_or(seen.now, |newest| newest.max(seen.now)));
    let leaves = connection.metadata.deletion_timestamp.is_some();
    let rotate = rotation::due(connection, team, seen.refresh_token, at).filter(|_| !leaves);
    let usable = usable(seen);
    let wanted = usable.as_ref().ok().map(Question::credentials);

    let mut status = connection.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    status.incidents = incidents(&contained_by);
    status.rotation = rotation::told(connection, team, seen.refresh_token, at);
    let consented = seen.refresh_token.and_then(|stored| stored.spec.selling_partner_id.clone());
    status.selling_partner_id = consented.filter(|_| connection.spec.selling_partner_id.is_none());
    let endpoint = application_addresses(seen).map(|found| trimmed(found.selling_partner_api.as_str()));
    status.endpoint = endpoint;
    let before = serving(seen, &status, wanted.as_ref());
    take_answer(&mut status, seen.answer, wanted.as_ref(), before.is_some());
    // What serves for the newest credentials, until Amazon accepts those.
    let stand_in = status.proven.clone().filter(|it| Some(it) != wanted.as_ref());
    let stand_in =
        stand_in.filter(|it| before.as_ref() == Some(it) || seen.answer.is_some_and(|by| by.asked_with == *it));
    let in_use = seen.refresh_token.and_then(|stored| match &stand_in {
        Some(proven) => stored.usable(proven.refresh_token, seen.now),
        None => Some(stored.clone()),
    });
    status.authorized_at = in_use.map(|stored| Time(whole_seconds(stored.spec.sealed_at.0)));
    status.authorization_expires_at = status.authorized_at.as_ref().map(|at| Time(at.0 + AUTHORIZATION_LIFE));

    status.refused.take_if(|refused| Some(&refused.with) != wanted.as_ref());
    let refused = status.refused.as_ref().map(|it| State::no(AUTHORIZED, &it.reason, it.message.clone()));
    let known = known(&status, wanted.as_ref()).or(refused);
    let answer = seen.answer.filter(|answer| Some(answer.about()) == wanted.as_ref());
    // A test that Amazon does not answer takes nothing away.
    let answered =
        answer.map(|it| &it.verdict).filter(|verdict| verdict.lasts() || known.is_none()).map(Verdict::state);
    let question = usable.as_ref().ok().filter(|it| known.is_none() || it.test.is_some());
    let question = question.filter(|_| stopped.is_none() && answer.is_none());
    let too_early = seen.ask_not_before.filter(|&then| then > seen.now);
    let ask = question.filter(|_| too_early.is_none()).cloned();
    let authorized = match (answered.or(known), &usable) {
        _ if stand_in.is_some() => Verdict::Authorized(Vec::new()).state(),
        (Some(state), _) => state,
        (None, Err(missing)) => State::unknown(AUTHORIZED, &missing.reason, missing.message.clone()),
        (None, Ok(_)) => waiting(&status.conditions, stopped.as_ref()),
    };
    let authorized = match (&stand_in, &status.refused) {
        (Some(_), Some(refused)) => passed_over(refused),
        _ => told_of_expiry(authorized, status.authorization_expires_at.as_ref(), seen.now),
    };
    let lacks = usable.as_ref().err().is_some_and(|it| CREDENTIAL_LACKS.contains(&it.reason.as_str()));
    // An input waits until a rotation is told.
    let rotation_told = status.rotation == connection.status.as_ref().and_then(|before| before.rotation.clone());
    let hold = lacks && seen.input_under_way && stopped.is_none() && rotation_told;
    let ready = stopped.unwrap_or_else(|| match &usable {
        Err(missing) => missing.clone(),
        Ok(_) => ready(connection, &authorized, &status.participations),
    });
    let current = credential::current(seen.refresh_token, seen.keyset, "refresh token");
    for state in [ready, authorized, contained, current] {
        set(&mut status.conditions, state, generation, seen.now);
    }
    let accepted = rotation::newest_is_accepted(&status, seen.refresh_token);
    status.renewal = rotation::renewal(connection, seen.refresh_token, accepted, seen.now);
    let application = seen.application.and_then(|it| it.0.as_ref().ok());
    let consent =
        rotation::consent_requested(&status, connection, application, seen.allow_endpoints, seen.refresh_token);
    let old = rotation::old_token(&mut status, seen.refresh_token, seen.tried, seen.now);
    for state in consent.into_iter().chain(old) {
        set(&mut status.conditions, state, generation, seen.now);
    }
    status.consent_mail = mail::told(connection, &status, seen.mail_configured, seen.now);
    // What belongs to another refresh token says nothing about this one's seller.
    let proven = status.proven.as_ref().map(|proven| proven.refresh_token);
    if stand_in.is_none() && proven != seen.refresh_token.map(|it| it.spec.generation) {
        status.participations.clear();
    }
    let to_try = rotation::to_try(connection, &status, seen.refresh_token, seen.now).filter(|_| !leaves);
    let to_try = to_try.and_then(|(old, test)| Some(Question { test, ..with(seen, old).ok()? }));
    let try_too_early = seen.try_not_before.filter(|&then| then > seen.now);
    let tidy = if rotation::to_destroy(&status, seen.refresh_token) {
        Some(Tidy::Destroy)
    } else {
        seen.refresh_token.filter(|stored| rotation::is_over(stored, seen.now)).map(|_| Tidy::DropPrevious)
    };
    let mail_at = mail::due(&status).filter(|_| !leaves);
    let early = [
        too_early.filter(|_| question.is_some()),
        try_too_early.filter(|_| to_try.is_some()),
        mail_at.filter(|&then| then > seen.now),
    ];
    let recheck = early
        .into_iter()
        .flatten()
        .min()
        .map(|then| Duration::try_from(then.duration_since(seen.now)).unwrap_or_default() + Duration::from_millis(50))
        .or(hold.then_some(HELD));
    let try_old = to_try.filter(|_| try_too_early.is_none());
    let mail = mail_at.is_some_and(|then| then <= seen.now);
    Plan { rotate, try_old, mail, tidy: tidy.filter(|_| !leaves), ask, status, contained_by, hold, recheck }
}

/// What contains a connection: itself, its Team, its application.
pub(crate) fn contained_by(
    connection: &AmazonConnection,
    team: Option<&DeserializeGuard<Team>>,
    application: Option<&DeserializeGuard<AmazonApplication>>,
) -> Vec<Containment> {
    let name = reference(&connection.metadata);
    let index = Index {
        teams: team.map(|team| entry_of(team.meta())).into_iter().collect(),
        applications: application.map(|it| entry_of(it.meta())).into_iter().collect(),
        ..Index::default()
    };
    access::contained(&index, &name, connection)
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
    let application = seen.reach()?.0;
    let seal = consent::seal(seen.connection);
    let stored = seen
        .refresh_token
        .ok_or_else(|| State::no(READY, CREDENTIAL_LACKS[0], format!("no refresh token yet: seal one with {seal}")))?;
    let newest = stored.newest().ok_or_else(|| {
        let how = consent::how(seen.connection, Some(application), seen.allow_endpoints);
        State::no(READY, "ConsentRequired", format!("its refresh token was rotated away: {how}"))
    })?;
    with(seen, newest)
}

/// The question of this refresh token.
fn with(seen: &Observed<'_>, refresh_token: StoredCredential) -> Result<Question, State> {
    let (application, addresses) = seen.reach()?;
    let client_secret = newest_secret(seen.connection, seen.client_secret)?;
    Ok(Question {
        addresses,
        client_id: application.spec.client_id.clone(),
        refresh_token,
        client_secret,
        second_secret: seen.client_secret.and_then(|stored| stored.previous_usable(seen.now)),
        test: new_test(seen.connection),
    })
}

/// The newest client secret of a connection's application, or that there is none.
pub(crate) fn newest_secret(
    connection: &AmazonConnection,
    stored: Option<&StoredCredential>,
) -> Result<StoredCredential, State> {
    stored.and_then(StoredCredential::newest).ok_or_else(|| {
        let name = &connection.spec.application_ref;
        let message = format!("no client secret yet: seal one with `openteam seal --for amazonapplication/{name}`");
        State::no(READY, CREDENTIAL_LACKS[1], message)
    })
}

impl<'a> Observed<'a> {
    fn reach(&self) -> Result<(&'a AmazonApplication, Addresses), State> {
        reach(self.connection, self.team, self.application, self.namespace_labels, self.allow_endpoints)
    }
}

/// The application and where Amazon is, or what is missing for that.
pub(crate) fn reach<'a>(
    connection: &AmazonConnection,
    team: Option<&DeserializeGuard<Team>>,
    application: Option<&'a DeserializeGuard<AmazonApplication>>,
    namespace_labels: &BTreeMap<String, String>,
    allow_endpoints: bool,
) -> Result<(&'a AmazonApplication, Addresses), State> {
    let spec = &connection.spec;
    let namespace = reference(&connection.metadata).namespace;
    let no = |reason: &str, message: String| State::no(READY, reason, message);
    if team.is_none_or(|team| team.0.is_err()) {
        let message = format!("Team {namespace}/{} does not exist or cannot be read", spec.team_ref.name);
        return Err(no("TeamNotFound", message));
    }
    let name = &spec.application_ref;
    let application = application.and_then(|it| it.0.as_ref().ok()).ok_or_else(|| {
        no("ApplicationNotFound", format!("AmazonApplication {name} does not exist or cannot be read"))
    })?;
    let selected = || {
        let selector = application.spec.allowed_namespaces.as_ref();
        selector.is_some_and(|selector| access::selects(selector, namespace_labels))
    };
    if name.namespace != namespace && !selected() {
        let message = format!(
            "AmazonApplication {name} is not for namespace {namespace}: its spec.allowedNamespaces does not select it"
        );
        return Err(no("ApplicationNotAllowed", message));
    }
    let addresses = addresses(spec, application, allow_endpoints)
        .map_err(|fault| no(fault.reason(), format!("AmazonApplication {name}: {fault}")))?;
    Ok((application, addresses))
}

/// The annotation `openteam.dev/test`, where it was not acted on yet.
fn new_test(connection: &AmazonConnection) -> Option<String> {
    let tested = connection.status.as_ref().and_then(|status| status.tested.as_deref());
    annotation::test(&connection.metadata).filter(|value| Some(*value) != tested).map(str::to_owned)
}

/// The credentials that serve while the newest are not proven: those that Amazon accepted before, as long as they may be
/// used and it has not refused them since.
fn serving(
    seen: &Observed<'_>,
    status: &AmazonConnectionStatus,
    wanted: Option<&ProvenCredentials>,
) -> Option<ProvenCredentials> {
    let wanted = wanted?;
    let proven = status.proven.as_ref().filter(|it| *it != wanted && it.client_id == wanted.client_id)?;
    let usable = |stored: Option<&StoredCredential>, generation| stored?.usable(generation, seen.now);
    usable(seen.refresh_token, proven.refresh_token)?;
    usable(seen.client_secret, proven.client_secret)?;
    known(status, Some(proven)).filter(|state| state.status == Some(true)).map(|_| proven.clone())
}

/// `Authorized` where Amazon refused the newest credentials and those before serve.
fn passed_over(refused: &RefusedCredentials) -> State {
    let message = format!(
        "the credentials before the newest serve, for some days only. Of the newest: {} ({})",
        refused.message, refused.reason
    );
    State::yes(AUTHORIZED, "NewCredentialRefused", message)
}

/// Keeps what lasts of an answer, if it is about the newest credentials. Others that serve are not given up for a refusal.
fn take_answer(
    status: &mut AmazonConnectionStatus,
    answer: Option<&Answer>,
    wanted: Option<&ProvenCredentials>,
    others_serve: bool,
) {
    let Some(answer) = answer.filter(|answer| Some(answer.about()) == wanted && answer.verdict.lasts()) else {
        return;
    };
    if others_serve && !matches!(answer.verdict, Verdict::Authorized(_)) {
        status.refused = Some(answer.verdict.refusal(answer.asked_with.clone()));
        status.tested = answer.test.clone().or(status.tested.take());
        return;
    }
    status.refused.clone_from(&answer.passed_over);
    status.proven = Some(answer.asked_with.clone());
    // The connection was read anew before Amazon was asked: what gateways had seen by then is older than this answer.
    status.refreshed_before = find(&status.conditions, REFRESHED)
        .filter(|_| status.refreshed_with.as_ref() == Some(&answer.asked_with))
        .map(|refreshed| refreshed.last_transition_time.clone());
    if let Some(test) = &answer.test {
        status.tested = Some(test.clone());
    }
    if let Verdict::Authorized(participations) = &answer.verdict {
        status.participations.clone_from(participations);
        status.participations.sort_by(|a, b| a.marketplace_id.cmp(&b.marketplace_id));
    }
}

/// The newest verdict on the very credentials in use, without asking: what a gateway saw since Amazon last answered us,
/// else that answer.
fn known(status: &AmazonConnectionStatus, wanted: Option<&ProvenCredentials>) -> Option<State> {
    let wanted = wanted?;
    let news = find(&status.conditions, REFRESHED)
        .filter(|_| status.refreshed_with.as_ref() == Some(wanted))
        .filter(|refreshed| status.refreshed_before.as_ref() != Some(&refreshed.last_transition_time));
    if let Some(refused) = news.filter(|refreshed| refreshed.status == "False") {
        return match refused.reason.as_str() {
            "AuthorizationRevoked" => Some(Verdict::Revoked.state()),
            "ApplicationSecretRejected" => Some(Verdict::ApplicationSecretRejected.state()),
            // Amazon's word for neither: perhaps a passing fault, which must not need a person. We ask ourselves.
            _ => None,
        };
    }
    let verdict = find(&status.conditions, AUTHORIZED).filter(|it| it.status != "Unknown");
    let verdict = verdict.filter(|_| status.proven.as_ref() == Some(wanted))?;
    // Served again after a refusal, by a gateway that had not heard of it.
    let honoured = news.is_some_and(|refreshed| refreshed.status == "True");
    let good = verdict.status == "True" || honoured;
    Some(if good { Verdict::Authorized(Vec::new()).state() } else { restated(verdict) })
}

/// How long before the end of an authorization people are told, the nearest first, and the reason that tells them.
const EXPIRY_STAGES: [(i64, &str); 4] =
    [(0, "ExpiryPassed"), (7, "ExpiresWithin7Days"), (30, "ExpiresWithin30Days"), (60, "ExpiresWithin60Days")];

/// `Authorized`, with a reason of its own once the authorization nears its end: each stage is one transition, so it is
/// written and told once.
fn told_of_expiry(authorized: State, expires_at: Option<&Time>, now: Timestamp) -> State {
    let Some(Time(at)) = expires_at.filter(|_| authorized.status == Some(true)) else { return authorized };
    let left = at.duration_since(now);
    match EXPIRY_STAGES.iter().find(|(days, _)| left <= SignedDuration::from_hours(days * 24)) {
        Some((_, reason)) => State::yes(
            AUTHORIZED,
            reason,
            format!(
                "the seller's authorization ends at {at}, 365 days after its refresh token was sealed: have the seller \
                 authorize the application again and seal the new refresh token"
            ),
        ),
        None => authorized,
    }
}

/// A condition as it stands.
fn restated(condition: &Condition) -> State {
    restated_as(AUTHORIZED)(condition)
}

/// The same of this type.
pub(super) const fn restated_as(type_: &'static str) -> impl Fn(&Condition) -> State {
    move |condition| State {
        type_,
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
        let message = format!("the seller does not take part in {list}; calls naming them will fail");
        State::yes(READY, "PartlyParticipating", message)
    }
}
