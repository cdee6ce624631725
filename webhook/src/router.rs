//! What the apiserver asks, and its answers.
//!
//! A review's body is never logged, nor any part of it: it may hold whatever people write into objects.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use audit::{Change, Recorder, Requester};
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Request as HttpRequest, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{Api, Client};
use process::{admission::Entry, view::View};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant as Moment, timeout, timeout_at},
};

use crate::{
    claims::{Claim, Claims, What},
    door::Door,
    judge::{Subject, World, judge},
    metrics::{Counts, Outcome},
    restoration::{added, asked, freed},
    review::{Operation, Refusal, Request, Verdict},
    sealing_keys::{self, SealingKeys},
    thing::{Thing, spelt},
};

/// Twice what the apiserver takes as a request (3 MiB), since a review may hold the old object too, and objects of ours are
/// far smaller.
const MOST_BYTES: usize = 6 * 1024 * 1024;
/// Reviews that are looked at together; others wait. With [`MOST_BYTES`] it bounds the memory.
const TOGETHER: usize = 16;
/// A watch is up to so much behind: what was applied just before is not said to be absent.
const BEHIND: Duration = Duration::from_millis(100);
/// What the apiserver is asked besides is only for a warning.
const QUESTION_LIMIT: Duration = Duration::from_millis(300);

/// The webhook's parts. One a process.
pub(crate) struct Webhook {
    pub(crate) client: Client,
    /// The namespace OpenTeam runs in.
    pub(crate) namespace: String,
    pub(crate) door: Door,
    pub(crate) view: Arc<View>,
    pub(crate) staleness_limit: Duration,
    pub(crate) allow_endpoints: bool,
    pub(crate) sealing_keys: ArcSwapOption<SealingKeys>,
    pub(crate) claims: Claims,
    pub(crate) recorder: Recorder,
    pub(crate) counts: Counts,
    pub(crate) places: Semaphore,
}

impl Webhook {
    pub(crate) fn places() -> Semaphore {
        Semaphore::new(TOGETHER)
    }
}

/// All paths look alike to who has not the key.
pub(crate) fn router(webhook: Arc<Webhook>) -> Router {
    Router::new().route("/{entry}/{key}", any(review)).fallback(nothing).with_state(webhook)
}

async fn nothing(State(webhook): State<Arc<Webhook>>) -> StatusCode {
    webhook.counts.stranger();
    StatusCode::NOT_FOUND
}

async fn review(
    State(webhook): State<Arc<Webhook>>,
    Path((entry, key)): Path<(String, String)>,
    request: HttpRequest,
) -> Response {
    let began = Instant::now();
    let entry = Entry::named(&entry).filter(|_| request.method() == Method::POST);
    // Before anything of the body is read: a stranger takes no memory.
    let entry = match entry {
        Some(entry) if webhook.door.opens(&key).await => entry,
        _ => return nothing(State(webhook)).await.into_response(),
    };
    let (outcome, response) = match answer(&webhook, entry, request).await {
        Ok((outcome, response)) => (outcome, response),
        Err((status, why)) => (Outcome::Malformed, (status, why).into_response()),
    };
    webhook.counts.reviewed(entry, outcome, began);
    response
}

type Malformed = (StatusCode, String);

async fn answer(webhook: &Webhook, entry: Entry, request: HttpRequest) -> Result<(Outcome, Response), Malformed> {
    if !is_json(request.headers()) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "a review is application/json".to_owned()));
    }
    // Closed is what it never is.
    let _place = webhook.places.acquire().await;
    let body = read(request.into_body()).await?;
    let request = Request::read(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    drop(body);
    let verdict = match entry {
        Entry::Validate => validate(webhook, &request).await,
        Entry::Record => record(webhook, &request),
        Entry::Restore => restore(webhook, &request).await,
    };
    let outcome = match &verdict.refusal {
        Some(Refusal::Invalid(_)) => Outcome::Refused,
        Some(Refusal::Unavailable(_)) => Outcome::Unavailable,
        None if verdict.warnings.is_empty() => Outcome::Allowed,
        None => Outcome::Warned,
    };
    Ok((outcome, Json(verdict.answer(request.uid)).into_response()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let type_ = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = type_.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !headers.contains_key(header::CONTENT_ENCODING)
}

async fn read(body: Body) -> Result<axum::body::Bytes, Malformed> {
    let too_long = || (StatusCode::PAYLOAD_TOO_LARGE, format!("a review has at most {MOST_BYTES} bytes"));
    to_bytes(body, MOST_BYTES).await.map_err(|_| too_long())
}

fn refused(refusal: Refusal) -> Verdict {
    Verdict { refusal: Some(refusal), warnings: Vec::new() }
}

/// For what cannot be read although the apiserver took it: most likely it has newer definitions than this process.
fn unreadable(kind: &str) -> Verdict {
    let kind: String = kind.chars().take(63).collect();
    refused(Refusal::Invalid(format!(
        "this {kind} cannot be read by the webhook: it is of another release than the definitions; look at its rollout"
    )))
}

fn not_current(why: &impl std::fmt::Display) -> Verdict {
    refused(Refusal::Unavailable(format!("{why}, so nothing can be said of this: try again in a moment")))
}

async fn validate(webhook: &Webhook, request: &Request) -> Verdict {
    if matches!(request.operation, Operation::Delete | Operation::Connect) {
        return Verdict::default();
    }
    let Some(new) = Subject::read(&request.kind.kind, &request.object) else { return unreadable(&request.kind.kind) };
    let old = Subject::read(&request.kind.kind, &request.old_object);
    let account_exists = account_exists(webhook, &new).await;
    let sealing_keys = sealing_keys(webhook, &new).await;
    let until = Moment::now() + BEHIND;
    let mut changes = webhook.view.changes();
    loop {
        let index = match webhook.view.current(webhook.staleness_limit) {
            Ok(index) => index,
            Err(stale) => return not_current(&stale),
        };
        let world = World {
            index: &index,
            sealing_keys: sealing_keys.as_deref(),
            account_exists,
            allow_endpoints: webhook.allow_endpoints,
            now: Timestamp::now(),
        };
        let verdict = judge(&world, &new, old.as_ref());
        let all_is_well = verdict == Verdict::default();
        if all_is_well || timeout_at(until, changes.changed()).await.is_err() {
            return verdict;
        }
    }
}

/// Whether the ServiceAccount of a grant is there; unknown where the apiserver does not say so at once.
async fn account_exists(webhook: &Webhook, subject: &Subject) -> Option<bool> {
    let account = subject.account()?;
    let api: Api<ServiceAccount> = Api::namespaced(webhook.client.clone(), &account.namespace);
    let found = timeout(QUESTION_LIMIT, api.get_metadata_opt(&account.name)).await;
    found.ok()?.ok().map(|found| found.is_some())
}

/// The sealing keys, looked up anew for an input that names another than is known or is current.
async fn sealing_keys(webhook: &Webhook, subject: &Subject) -> Option<Arc<SealingKeys>> {
    let known = webhook.sealing_keys.load_full();
    let named = subject.sealing_key()?;
    if known.as_ref().is_some_and(|keys| keys.current == named) {
        return known;
    }
    let api: Api<ConfigMap> = Api::namespaced(webhook.client.clone(), &webhook.namespace);
    if let Ok(Ok(found)) = timeout(QUESTION_LIMIT, api.get_opt(sealing_keys::NAME)).await {
        webhook.sealing_keys.store(found.as_ref().and_then(SealingKeys::read).map(Arc::new));
    }
    webhook.sealing_keys.load_full()
}

/// Who contained, who deleted, who had a credential rotated: recorded once it is seen to have happened, and never waited for.
fn record(webhook: &Webhook, request: &Request) -> Verdict {
    // A view that does not know what is there would take every deletion for done.
    if let Err(stale) = webhook.view.current(webhook.staleness_limit) {
        return not_current(&stale);
    }
    let deleted = request.operation == Operation::Delete;
    let object: &Value = match request.operation {
        Operation::Delete => &request.old_object,
        Operation::Create | Operation::Update => &request.object,
        Operation::Connect => return Verdict::default(),
    };
    let Ok(thing) = Thing::read(&request.kind.kind, object) else { return unreadable(&request.kind.kind) };
    let mut happens = Vec::new();
    if deleted {
        happens.push(What::Deleted);
    } else {
        let old = Thing::read(&request.kind.kind, &request.old_object).ok();
        let old = old.as_ref().map(|old| &old.meta);
        let added = added(old, &thing.meta);
        happens.extend((!added.is_empty()).then_some(What::Contained(added)));
        happens.extend(asked(old, &thing.meta).into_iter().map(|(key, value)| What::Asked(key, value)));
    }
    for what in happens.into_iter().filter(|_| !request.dry_run) {
        let by = Requester::of(&request.user_info.username);
        webhook.claims.add(Claim::new(thing.clone(), what, by), &webhook.counts);
    }
    Verdict::default()
}

/// Who restores: recorded before it takes effect, or it does not.
async fn restore(webhook: &Webhook, request: &Request) -> Verdict {
    if request.operation != Operation::Update {
        return Verdict::default();
    }
    let read = |object| Thing::read(&request.kind.kind, object);
    let (Ok(new), Ok(old)) = (read(&request.object), read(&request.old_object)) else {
        return unreadable(&request.kind.kind);
    };
    let freed = freed(&old.meta, &new.meta);
    if freed.is_empty() || request.dry_run {
        return Verdict::default();
    }
    let by = Requester::of(&request.user_info.username);
    let Ok(event) = old.event(Change::RestoringBy(by, spelt(&freed))) else {
        return refused(Refusal::Invalid("metadata.name: an object of this name cannot be recorded".to_owned()));
    };
    match webhook.recorder.record(event).await {
        Ok(_recorded) => Verdict::default(),
        Err(error) => {
            tracing::warn!(%error, "a restoration was refused: it could not be recorded");
            refused(Refusal::Unavailable(format!(
                "metadata.annotations[openteam.dev/disable]: a restoration is recorded before it takes effect, and it could \
                 not be ({error}): look at `kubectl get pods -n {} -l app.kubernetes.io/component=recorder`, then try again",
                webhook.namespace
            )))
        }
    }
}
