//! Asking Amazon whether credentials are good: one refresh, one reading of the participations.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use amazon::{ApplicationsClient, LwaClient, LwaError, RetryCause, SellersClient, SpApiError, Unauthorized};
use audit::{Act, Actor, Call, Change, Correlation, EntityChange, Operation, Phase, Reason, Source, Target};
use crds::{AmazonConnection, NamespacedReference, Participation, StoredCredential};
use jiff::{SignedDuration, Timestamp};
use seal::Secret;
use secrecy::SecretString;

use super::plan::{Answer, Question, Verdict};
use crate::{
    controller::Context,
    credential,
    error::{ReconcileError, delay},
    subject::{Subject, entity, reference, target},
};

const PARTICIPATIONS: Operation =
    Operation { api: "sellers", version: "v1", id: "getMarketplaceParticipations", act: Act::Read };

/// Amazon lets a seller's participations be read about once a minute, and some more at once (SP-API documentation,
/// "Sellers API rate limits": 0.016 a second, burst 15). A credential replaced twice must not wait; a third of the burst
/// is left to whoever else calls for this seller. A question that ends at Login with Amazon counts just so: whoever may
/// replace credentials or annotate must not be able to make us ask without end.
const ASKED_EVERY: SignedDuration = SignedDuration::from_secs(60);
const ASKED_AT_ONCE: i32 = 10;
/// More than any pause between two questions; see [`delay`] for the longest one.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(600);

/// Clients that trust one CA bundle.
pub(crate) struct Clients {
    pub(crate) lwa: LwaClient,
    sellers: SellersClient,
    pub(crate) applications: ApplicationsClient,
}

impl Clients {
    pub(crate) fn new(ca_bundle: Option<&[u8]>) -> Result<Self, amazon::ClientError> {
        Ok(Self {
            lwa: LwaClient::new(ca_bundle)?,
            sellers: SellersClient::new(ca_bundle)?,
            applications: ApplicationsClient::new(ca_bundle)?,
        })
    }
}

/// When each connection may be asked for again. Lost with the process, which costs one call.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<NamespacedReference, Pace>>);

/// How calls for one connection are spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    failures: u32,
    not_before: Timestamp,
    /// When all questions asked so far would have been asked, one each [`ASKED_EVERY`].
    asked_until: Timestamp,
}

impl Calls {
    /// Until when nothing is asked for this connection.
    pub(crate) fn not_before(&self, connection: &NamespacedReference) -> Option<Timestamp> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(connection).and_then(|pace| pace.not_before(Timestamp::now()))
    }

    pub(crate) fn called(&self, connection: NamespacedReference, verdict: &Verdict) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        let pace = calls.get(&connection).copied().unwrap_or_else(|| Pace::new(now));
        let pace = pace.after(verdict, now, fastrand::f64());
        // What is free to be asked for again needs no entry: so the map holds only what is in flux. Looked through only
        // when it has grown, so that asking for very many costs each little.
        if calls.len() == calls.capacity() {
            calls.retain(|_, pace| pace.not_before.max(pace.asked_until) > now || pace.failures > 0);
        }
        calls.insert(connection, pace);
    }
}

impl Pace {
    /// Of a connection that was not asked for yet.
    const fn new(now: Timestamp) -> Self {
        Self { failures: 0, not_before: now, asked_until: now }
    }

    /// Until when nothing is asked. A time that no pause reaches was worked out while the clock was wrong.
    fn not_before(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.not_before).filter(|then| then.duration_since(now) <= LONGEST_PAUSE)
    }

    /// After one more question.
    fn after(self, verdict: &Verdict, now: Timestamp, jitter: f64) -> Self {
        let failures = match verdict {
            Verdict::Unreachable(_) | Verdict::Unopenable(_) => self.failures.saturating_add(1),
            _ => 0,
        };
        let retry = if failures > 0 { delay(failures, jitter) } else { Duration::ZERO };
        let retry = SignedDuration::try_from(retry).unwrap_or(SignedDuration::MAX);
        let later = |then: Timestamp, by: SignedDuration| then.saturating_add(by).unwrap_or(Timestamp::MAX);
        let so_far = self.asked_until.max(now).min(later(now, ASKED_EVERY * ASKED_AT_ONCE));
        let asked_until = later(so_far, ASKED_EVERY);
        let room = later(asked_until, -ASKED_EVERY * (ASKED_AT_ONCE - 1));
        Self { failures, not_before: later(now, retry).max(room), asked_until }
    }
}

/// Asks. Every use of a credential is recorded before it happens: where that fails nothing has happened.
pub(super) async fn ask(
    context: &Context,
    connection: &AmazonConnection,
    question: &Question,
) -> Result<Answer, ReconcileError> {
    let target = target(connection)?;
    let exchange = async |client_secret| exchange(context, question, client_secret, target.as_ref()).await;
    let mut asked_with = question.credentials();
    let (mut verdict, mut passed_over) = (exchange(&question.client_secret).await?, None);
    if verdict == Verdict::ApplicationSecretRejected
        && let Some(second) = &question.second_secret
    {
        match exchange(second).await? {
            accepted @ Verdict::Authorized(_) => {
                passed_over = Some(verdict.refusal(asked_with.clone()));
                asked_with.client_secret = second.spec.generation;
                verdict = accepted;
            }
            // Perhaps it would have been accepted.
            later @ (Verdict::Unreachable(_) | Verdict::Unopenable(_)) => verdict = later,
            Verdict::Revoked | Verdict::ApplicationSecretRejected | Verdict::Refused(_) => {}
        }
    }
    let name = reference(&connection.metadata);
    tracing::info!(kind = "AmazonConnection", object = %name, verdict = verdict.state().reason, "amazon was asked");
    context.calls.called(name, &verdict);
    let change = match verdict {
        Verdict::Authorized(_) => Some(Change::Authorized),
        Verdict::Revoked => Some(Change::Unauthorized(Reason::new("AuthorizationRevoked"))),
        Verdict::ApplicationSecretRejected => Some(Change::Unauthorized(Reason::new("ApplicationSecretRejected"))),
        Verdict::Refused(_) => Some(Change::Unauthorized(Reason::new("AmazonRefused"))),
        Verdict::Unreachable(_) | Verdict::Unopenable(_) => None,
    };
    if let Some(change) = change {
        let entity = entity(AmazonConnection::KIND, &connection.metadata)?;
        context.recorder.record_later(EntityChange { correlation: None, target, entity, change });
    }
    Ok(Answer { asked_with, test: question.test.clone(), verdict, passed_over })
}

/// The calls.
pub(super) async fn exchange(
    context: &Context,
    question: &Question,
    client_secret: &StoredCredential,
    target: Option<&Target>,
) -> Result<Verdict, ReconcileError> {
    let correlation = Correlation::random();
    let clients = context.amazon.of(question.addresses.ca_bundle.clone())?;
    let call = |operation, phase| Call {
        correlation,
        actor: Actor::Itself,
        source: Source::Itself,
        target: target.cloned(),
        operation,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase,
    };

    let _recorded = context.recorder.record(call(Operation::LWA_REFRESH, Phase::Intent)).await?;
    let open = async |stored: &StoredCredential| {
        let secret = credential::open(context, stored, correlation, target).await?;
        Ok::<_, ReconcileError>(secret.as_ref().and_then(text).ok_or_else(|| reference(&stored.metadata).name))
    };
    let (refresh_token, client_secret) = futures::try_join!(open(&question.refresh_token), open(client_secret))?;
    let (refresh_token, client_secret) = match (refresh_token, client_secret) {
        (Ok(token), Ok(secret)) => (token, secret),
        (Err(name), _) | (_, Err(name)) => {
            let reason = Reason::new("CredentialUnreadable");
            context.recorder.record_later(call(Operation::LWA_REFRESH, Phase::Failed { reason }));
            return Ok(Verdict::Unopenable(name));
        }
    };
    let sent = Instant::now();
    let refreshed =
        clients.lwa.refresh(&question.addresses.lwa, &question.client_id, &client_secret, &refresh_token).await;
    drop((refresh_token, client_secret));
    context.metrics.refreshed(&refreshed);
    let latency = sent.elapsed();
    let phase = match &refreshed {
        Ok(_) => Phase::Outcome { status: 200, latency },
        Err(error) => lwa_phase(error, latency),
    };
    context.recorder.record_later(call(Operation::LWA_REFRESH, phase));
    let token = match refreshed {
        Ok(granted) => granted.token,
        Err(error) => return Ok(lwa_verdict(&error)),
    };

    let _recorded = context.recorder.record(call(PARTICIPATIONS, Phase::Intent)).await?;
    let sent = Instant::now();
    let answered = clients.sellers.participations(&question.addresses.selling_partner_api, &token).await;
    let latency = sent.elapsed();
    let phase = match &answered {
        Ok(_) => Phase::Outcome { status: 200, latency },
        Err(error) => sp_api_phase(error, latency),
    };
    context.recorder.record_later(call(PARTICIPATIONS, phase));
    Ok(match answered {
        Ok(participations) => Verdict::Authorized(participations.into_iter().map(participation).collect()),
        Err(error) => sp_api_verdict(&error),
    })
}

fn text(secret: &Secret) -> Option<SecretString> {
    secret.expose_text().ok().map(SecretString::from)
}

fn participation(told: amazon::Participation) -> Participation {
    Participation {
        marketplace_id: told.marketplace_id.into(),
        country_code: told.country_code,
        is_participating: told.is_participating,
        has_suspended_listings: told.has_suspended_listings,
    }
}

pub(crate) fn lwa_phase(error: &LwaError, latency: Duration) -> Phase {
    match error {
        LwaError::InvalidGrant | LwaError::Refused(_) => Phase::Outcome { status: 400, latency },
        LwaError::InvalidClient => Phase::Outcome { status: 401, latency },
        LwaError::Retry(cause) => retry_phase(cause, latency),
    }
}

pub(crate) fn sp_api_phase(error: &SpApiError, latency: Duration) -> Phase {
    match error {
        SpApiError::Unauthorized(_) => Phase::Outcome { status: 403, latency },
        SpApiError::Throttled => Phase::Outcome { status: 429, latency },
        SpApiError::Refused(status) => Phase::Outcome { status: *status, latency },
        SpApiError::Retry(cause) => retry_phase(cause, latency),
    }
}

pub(crate) fn retry_phase(cause: &RetryCause, latency: Duration) -> Phase {
    match cause {
        RetryCause::Server(status) => Phase::Outcome { status: *status, latency },
        RetryCause::Throttled => Phase::Outcome { status: 429, latency },
        _ => Phase::Failed { reason: Reason::new("AmazonUnreachable") },
    }
}

fn lwa_verdict(error: &LwaError) -> Verdict {
    match error {
        LwaError::InvalidGrant => Verdict::Revoked,
        LwaError::InvalidClient => Verdict::ApplicationSecretRejected,
        LwaError::Refused(_) => Verdict::Refused(error.to_string()),
        LwaError::Retry(cause) => Verdict::Unreachable(cause.to_string()),
    }
}

fn sp_api_verdict(error: &SpApiError) -> Verdict {
    match error {
        SpApiError::Unauthorized(Unauthorized::Invalid) => Verdict::Revoked,
        SpApiError::Unauthorized(Unauthorized::SecretExpired) => Verdict::ApplicationSecretRejected,
        // Of a token that is seconds old this says that something is wrong at Amazon, or with a clock.
        SpApiError::Unauthorized(Unauthorized::Expired) | SpApiError::Throttled => {
            Verdict::Unreachable(error.to_string())
        }
        SpApiError::Unauthorized(Unauthorized::Role | Unauthorized::Other) | SpApiError::Refused(_) => {
            Verdict::Refused(error.to_string())
        }
        SpApiError::Retry(cause) => Verdict::Unreachable(cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazon_is_asked_some_times_at_once_and_then_once_a_minute_whatever_it_says() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for verdict in [Verdict::Authorized(vec![]), Verdict::Revoked, Verdict::ApplicationSecretRejected] {
            let mut pace = Pace::new(now);
            for _ in 1..ASKED_AT_ONCE {
                pace = pace.after(&verdict, now, 0.0);
                assert!(pace.not_before <= now, "{verdict:?}");
            }
            for _ in 0..5 {
                pace = pace.after(&verdict, pace.not_before.max(now), 0.0);
            }
            assert_eq!(pace.not_before, now + ASKED_EVERY * 5, "{verdict:?}");
            let rested = pace.after(&verdict, now + ASKED_EVERY * 60, 0.0);
            assert_eq!(rested.not_before, now + ASKED_EVERY * 60, "what was long ago holds nothing up");
        }
    }

    #[test]
    fn failures_are_repeated_at_growing_distances_and_forgotten_with_an_answer() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let verdict = Verdict::Unreachable(String::new());
        let mut pace = Pace::new(now);
        let mut last = SignedDuration::ZERO;
        for _ in 0..10 {
            pace = pace.after(&verdict, now, 1.0);
            let wait = pace.not_before.duration_since(now);
            assert!(wait > last, "{wait} after {last}");
            last = wait;
        }
        assert_eq!(pace.after(&Verdict::Revoked, now, 1.0).failures, 0);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_while_stops_no_question() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ahead = now + SignedDuration::from_hours(24);
        let pace = (0..20).fold(Pace::new(ahead), |pace, _| pace.after(&Verdict::Revoked, ahead, 0.0));
        assert!(pace.not_before(ahead).is_some_and(|then| then > ahead), "while it is ahead it paces");
        assert_eq!(pace.not_before(now), None);
        let pace = pace.after(&Verdict::Revoked, now, 0.0);
        assert!(pace.asked_until <= now + ASKED_EVERY * (ASKED_AT_ONCE + 1));
    }

    #[test]
    fn a_connection_is_paced_by_its_name_and_no_other_waits_for_it() {
        let calls = Calls::default();
        let name = |name: &str| NamespacedReference { namespace: "acme".into(), name: name.into() };
        for _ in 0..ASKED_AT_ONCE {
            calls.called(name("na"), &Verdict::Revoked);
        }
        assert!(calls.not_before(&name("na")).unwrap() > Timestamp::now());
        assert_eq!(calls.not_before(&name("eu")), None);
        // Made anew under the same name it is no fresher.
        calls.called(name("eu"), &Verdict::Revoked);
        assert!(calls.not_before(&name("na")).unwrap() > Timestamp::now());
    }

    #[test]
    fn what_amazon_says_becomes_one_verdict() {
        let unreachable = |verdict: Verdict| matches!(verdict, Verdict::Unreachable(_));
        let refused = |verdict: Verdict| matches!(verdict, Verdict::Refused(_));
        assert_eq!(lwa_verdict(&LwaError::InvalidGrant), Verdict::Revoked);
        assert_eq!(lwa_verdict(&LwaError::InvalidClient), Verdict::ApplicationSecretRejected);
        assert!(refused(lwa_verdict(&LwaError::Refused(amazon::RefusedCode::InvalidRequest))));
        assert!(unreachable(lwa_verdict(&LwaError::Retry(RetryCause::Server(503)))));
        let unauthorized = |why| sp_api_verdict(&SpApiError::Unauthorized(why));
        assert_eq!(unauthorized(Unauthorized::Invalid), Verdict::Revoked);
        assert_eq!(unauthorized(Unauthorized::SecretExpired), Verdict::ApplicationSecretRejected);
        assert!(refused(unauthorized(Unauthorized::Role)));
        assert!(unreachable(unauthorized(Unauthorized::Expired)));
        assert!(unreachable(sp_api_verdict(&SpApiError::Throttled)));
        assert!(refused(sp_api_verdict(&SpApiError::Refused(404))));
    }
}
