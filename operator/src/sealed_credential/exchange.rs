//! Exchanging the code of a seller's consent for a refresh token at Amazon: claimed before it is sent, kept as the
//! connection's StoredCredential before anything is said of it, and deleted when it is of no use any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use amazon::LwaError;
use audit::{Actor, Call, Change, Correlation, EntityChange, Operation, Phase, Reason, Source};
use crds::{
    AmazonConnection, CredentialOwnerKind, ExchangeClaim, NamespacedReference, SealedCredential,
    SealedCredentialStatus, StoredCredential,
    condition::{AUTHORIZED, is_true},
};
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
    runtime::controller::Action,
};
use seal::OpenedInput;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Found,
    code::{self, Code, Exchange, Outcome, Twin, Way},
    credential_text, digest, find_target, open,
    plan::{Fault, History, Observed, Plan, Target, plan},
    store, stored_of, write_status,
};
use crate::{
    amazon_connection::{Verdict, client_secret_name, contained_by, lwa_phase, newest_secret, reach, stored_token},
    controller::{Context, RECHECK},
    credential,
    dependents::Name,
    error::ReconcileError,
    status,
    stores::{Kind, read},
    subject::{entity, reference},
};

/// What Amazon answered, by claim, until the input's status says it. Only here: what a process takes with it is lost, and the
/// claim tells.
#[derive(Default)]
pub(crate) struct Exchanges(Mutex<HashMap<String, Answer>>);

/// Amazon's answer to one code.
struct Answer {
    outcome: Outcome,
    /// What it gave.
    refresh_token: Option<SecretString>,
    at: Instant,
}

/// An answer whose input went is forgotten after so long.
const ANSWER_KEPT: Duration = Duration::from_secs(3600);

impl Exchanges {
    fn keep(&self, claim: String, outcome: Outcome, refresh_token: Option<SecretString>) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, answer| answer.at.elapsed() < ANSWER_KEPT);
        answers.insert(claim, Answer { outcome, refresh_token, at: Instant::now() });
    }

    fn of(&self, claim: &str) -> Option<(Outcome, Option<SecretString>)> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(claim).map(|answer| (answer.outcome.clone(), answer.refresh_token.clone()))
    }

    fn forget(&self, claim: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(claim);
    }
}

/// One pass over a code.
pub(super) async fn reconcile(context: &Context, sealed: SealedCredential) -> Result<Action, ReconcileError> {
    let is_settled = |sealed: &SealedCredential| {
        code::is_settled(sealed, &digest(sealed), read(stored_of(context, sealed).as_ref()))
    };
    if is_settled(&sealed) {
        return tidy(context, &sealed).await;
    }
    // As it is, not as the watch has it: a claim must not be overlooked, nor what became of one.
    let name = reference(&sealed.metadata);
    let about = format!("SealedCredential {name}");
    let found = inputs(context, &name).get_opt(&name.name).await.map_err(ReconcileError::about(about))?;
    let Some(sealed) = found.filter(|it| it.metadata.deletion_timestamp.is_none()) else {
        return Ok(Action::await_change());
    };
    if is_settled(&sealed) {
        return tidy(context, &sealed).await;
    }
    let opened = open(&context.sealing_keys, &sealed);
    let claim = Correlation::random();
    let seen = look(context, &sealed, &opened, claim, None);
    let (sealed, seen) = match (&seen.plan.exchange, &opened, &seen.found) {
        (Some(exchange), Ok(input), Some(found)) => {
            match claim_and_send(context, &sealed, &seen.plan.status, exchange, input, found, claim).await? {
                Sent::Gone => return Ok(Action::await_change()),
                Sent::NotClaimed(outcome) => {
                    let seen = look(context, &sealed, &opened, claim, Some(outcome));
                    (sealed, seen)
                }
                Sent::Claimed(sealed) => {
                    let seen = look(context, &sealed, &opened, claim, None);
                    (*sealed, seen)
                }
            }
        }
        _ => (sealed, seen),
    };
    let Seen { found, refresh_token, plan } = seen;
    if let (Some(new), Some(found), Some(token)) = (&plan.store, &found, &refresh_token) {
        store(context, &sealed, found, new, token.expose_secret()).await?;
    }
    write_status(context, &sealed, found.as_ref(), &plan.status).await?;
    if let Some(claim) = code::claim(&sealed, &digest(&sealed)) {
        context.exchanges.forget(&claim.id);
    }
    Ok(plan.recheck.map_or_else(Action::await_change, Action::requeue))
}

fn inputs(context: &Context, name: &NamespacedReference) -> Api<SealedCredential> {
    Api::namespaced(context.client.clone(), &name.namespace)
}

/// What was seen, and what to do.
struct Seen {
    found: Option<Found>,
    refresh_token: Option<SecretString>,
    plan: Plan,
}

/// Observes and plans. `outcome` is of what came to its end before anything was claimed.
fn look(
    context: &Context,
    sealed: &SealedCredential,
    opened: &Result<OpenedInput, Fault>,
    claim: Correlation,
    outcome: Option<Outcome>,
) -> Seen {
    let (input, now) = (digest(sealed), Timestamp::now());
    let found = find_target(context, sealed);
    let stored = stored_of(context, sealed);
    let kept = code::claim(sealed, &input).and_then(|claim| context.exchanges.of(&claim.id));
    let (kept, refresh_token) = kept.map_or((None, None), |(outcome, token)| (Some(outcome), token));
    let code = Code {
        way: found.as_ref().and_then(|_| way(context, sealed)),
        outcome: outcome.or(kept),
        not_before: context.calls.not_before(&pace_name(sealed)),
        claim: ExchangeClaim {
            id: claim.0.to_string(),
            by: context.pod.clone(),
            at: code::claim_time(now),
            input: input.clone(),
        },
    };
    let plan = plan(&Observed {
        sealed,
        input: &input,
        target: found.as_ref().map_or(&Target::Absent, |found| &found.target),
        stored: read(stored.as_ref()),
        history: found.as_ref().map_or(&History::default(), |found| &found.history),
        code: Some(&code),
        opened: opened.as_ref().map(|opened| opened.sealed_at_ms).map_err(|&fault| fault),
        now,
    });
    Seen { found, refresh_token, plan }
}

/// How codes of a connection are spaced: beside the questions about it, by a name that none can have. Whoever may make inputs
/// must not be able to have Amazon asked without end.
fn pace_name(sealed: &SealedCredential) -> NamespacedReference {
    let namespace = reference(&sealed.metadata).namespace;
    NamespacedReference { namespace, name: format!("{}/consent", sealed.spec.r#for.name) }
}

fn way(context: &Context, sealed: &SealedCredential) -> Option<Way> {
    let (stores, now) = (&context.stores, Timestamp::now());
    let namespace = sealed.metadata.namespace.as_deref()?;
    if sealed.spec.r#for.kind != CredentialOwnerKind::AmazonConnection {
        return None;
    }
    let connection = stores.connection(namespace, &sealed.spec.r#for.name);
    let connection = read(connection.as_ref())?;
    let name = &connection.spec.application_ref;
    let team = stores.team(namespace, &connection.spec.team_ref.name);
    let application = stores.application(name);
    let secret = stores.stored(&name.namespace, &client_secret_name(&name.name));
    let secret = read(secret.as_ref())
        .filter(|stored| read(application.as_ref()).is_some_and(|found| stored.goes_with(&found.metadata)));
    let contained = contained_by(connection, team.as_deref(), application.as_deref());
    let contained: Vec<String> = contained.iter().map(ToString::to_string).collect();
    let labels = stores.labels(namespace);
    let reach = reach(connection, team.as_deref(), application.as_deref(), &labels, context.allow_endpoints);
    let consented = sealed.spec.consent.as_ref().map(|consent| consent.selling_partner_id.as_str());
    Some(Way {
        seller: connection.spec.selling_partner_id.clone().or_else(|| {
            let stored = stored_token(context, connection);
            read(stored.as_ref()).and_then(|stored| stored.spec.selling_partner_id.clone())
        }),
        contained: (!contained.is_empty()).then(|| contained.join("; ")),
        twin: consented.and_then(|seller| twin(context, connection, seller)),
        reach: reach.map(|(application, addresses)| (application.clone(), addresses)),
        client_secret: newest_secret(connection, secret),
        second_secret: secret.and_then(|stored| stored.previous_usable(now)),
    })
}

/// Another connection that is authorized for the seller, one beside it first.
fn twin(context: &Context, connection: &AmazonConnection, seller: &str) -> Option<Twin> {
    let (own, spec) = (reference(&connection.metadata), &connection.spec);
    let application =
        Name::new(Kind::AmazonApplication, Some(&spec.application_ref.namespace), &spec.application_ref.name);
    let is_twin = |name: &NamespacedReference| {
        let other = context.stores.connection(&name.namespace, &name.name);
        *name != own
            && read(other.as_ref()).is_some_and(|other| {
                let status = other.status.as_ref();
                other.is_for(&spec.application_ref, spec.region, spec.sandbox, seller)
                    && status.is_some_and(|status| is_true(&status.conditions, AUTHORIZED))
            })
    };
    let all = context.stores.connections.looking_at(&application);
    let twins: Vec<Arc<NamespacedReference>> = all.into_iter().filter(|name| is_twin(name)).collect();
    let beside = twins.iter().find(|name| name.namespace == own.namespace);
    beside.map(|name| Twin::Beside(name.name.clone())).or((!twins.is_empty()).then_some(Twin::Elsewhere))
}

/// How far a code came.
enum Sent {
    /// Nowhere: its input went.
    Gone,
    /// Nowhere, for this reason.
    NotClaimed(Outcome),
    /// To Amazon, or as far as that; what became of it is in [`Exchanges`].
    Claimed(Box<SealedCredential>),
}

/// Claims the code and sends it. Recorded before; then claimed, by writing the status to the very version that was looked at;
/// then sent. From the claim on nothing returns early: what Amazon answers must not be lost.
async fn claim_and_send(
    context: &Context,
    sealed: &SealedCredential,
    claimed: &SealedCredentialStatus,
    exchange: &Exchange,
    opened: &OpenedInput,
    found: &Found,
    correlation: Correlation,
) -> Result<Sent, ReconcileError> {
    let clients = context.amazon.of(exchange.addresses.ca_bundle.clone())?;
    let call = |phase| Call {
        correlation,
        actor: Actor::Itself,
        source: Source::Itself,
        target: found.event_target.clone(),
        operation: Operation::LWA_CODE,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase,
    };
    let failed = |reason| {
        context.recorder.record_later(call(Phase::Failed { reason: Reason::new(reason) }));
    };
    let code = SecretString::from(credential_text(opened).unwrap_or_default());
    let _recorded = context.recorder.record(call(Phase::Intent)).await?;
    let open = async |stored: &StoredCredential| {
        let secret = credential::open(context, stored, correlation, found.event_target.as_ref()).await?;
        Ok::<_, ReconcileError>(secret.and_then(|secret| secret.expose_text().ok().map(SecretString::from)))
    };
    let Some(first) = open(&exchange.client_secret).await? else {
        failed("CredentialUnreadable");
        return Ok(Sent::NotClaimed(Outcome::Unopenable(reference(&exchange.client_secret.metadata).name)));
    };
    let second = match &exchange.second_secret {
        Some(second) => open(second).await?,
        None => None,
    };

    let sealed = match status::swap(context, sealed, claimed).await {
        Ok(Some(sealed)) => sealed,
        lost => {
            failed("NotClaimed");
            return lost.map(|_| Sent::Gone);
        }
    };
    let send = async |secret: &SecretString| {
        let sent = Instant::now();
        let (to, client_id) = (&exchange.addresses.lwa, &exchange.client_id);
        let answered = clients.lwa.exchange(to, client_id, secret, &code, exchange.redirect_uri.as_deref()).await;
        let latency = sent.elapsed();
        let phase = match &answered {
            Ok(_) => Phase::Outcome { status: 200, latency },
            Err(error) => lwa_phase(error, latency),
        };
        context.recorder.record_later(call(phase));
        answered
    };
    let mut answered = send(&first).await;
    // The secret is looked at before the code, which is as good as before.
    if let (Err(LwaError::InvalidClient), Some(second)) = (&answered, &second)
        && context.recorder.record(call(Phase::Intent)).await.is_ok()
    {
        answered = send(second).await;
    }
    let (outcome, token) = match answered {
        Ok(token) => (Outcome::Granted, Some(token)),
        Err(error) => (Outcome::of(&error), None),
    };
    let name = reference(&sealed.metadata);
    let word = match &outcome {
        Outcome::Granted => "granted",
        Outcome::NotSent(_) | Outcome::Unopenable(_) => "not sent",
        Outcome::Refused(reason, _) => reason,
    };
    tracing::info!(kind = "SealedCredential", object = %name, outcome = word, "amazon was sent a code");
    let pace = match &outcome {
        Outcome::NotSent(why) => Verdict::Unreachable(why.clone()),
        _ => Verdict::Refused(String::new()),
    };
    context.calls.called(pace_name(&sealed), &pace);
    context.exchanges.keep(correlation.0.to_string(), outcome, token);
    Ok(Sent::Claimed(Box::new(sealed)))
}

/// Deletes a settled code that the portal made, once nobody has to read what became of it.
async fn tidy(context: &Context, sealed: &SealedCredential) -> Result<Action, ReconcileError> {
    let Some(at) = code::deleted_at(sealed) else { return Ok(Action::await_change()) };
    let left = at.duration_since(Timestamp::now());
    if left.is_positive() {
        return Ok(Action::requeue(Duration::try_from(left).unwrap_or(RECHECK)));
    }
    // What belongs to something that is contained stays, which a policy sees to.
    let found = find_target(context, sealed);
    if found.as_ref().is_some_and(|found| matches!(found.target, Target::Contained(_))) {
        return Ok(Action::requeue(RECHECK));
    }
    let name = reference(&sealed.metadata);
    let change = Change::InputDeleted(credential::field(sealed.spec.field));
    let target = found.and_then(|found| found.event_target);
    let entity = entity(audit::Kind::SealedCredential, &sealed.metadata)?;
    let _recorded = context.recorder.record(EntityChange { correlation: None, target, entity, change }).await?;
    let meta = &sealed.metadata;
    let preconditions = Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match inputs(context, &name).delete(&name.name, &parameters).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(ReconcileError::about(format!("SealedCredential {name}"))(error)),
        Ok(_) => tracing::info!(kind = "SealedCredential", object = %name, "deleted"),
    }
    Ok(Action::await_change())
}

#[cfg(test)]
mod tests;
