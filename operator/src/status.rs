//! Writing a status: only what changed, only our own conditions; and telling about what changed.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use access::Containment;
use audit::{Change, EntityChange};
use crds::{
    NamespacedReference,
    condition::{
        AUTHORIZED, CLIENT_SECRET_CURRENT, CONSENT_REQUESTED, CONTAINED, CREDENTIAL_CURRENT, OLD_TOKEN_STILL_ACCEPTED,
        READY, find,
    },
};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{core::v1::ObjectReference, events::v1::Event as PublishedEvent},
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::object::HasStatus,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    controller::Context,
    error::{ReconcileError, namespace_leaves},
    subject::{Subject, entity, reference, target},
};

/// As a `Time` is kept: with a fraction it would differ from itself once it was written.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// As a `MicroTime` is kept, likewise.
pub(crate) fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// The field manager of everything the operator applies.
pub(crate) const MANAGER: &str = "openteam-operator";

/// The conditions that are the operator's. `Refreshed` is the gateway's.
pub(crate) const OURS: [&str; 7] = [
    READY,
    AUTHORIZED,
    CONTAINED,
    CREDENTIAL_CURRENT,
    CONSENT_REQUESTED,
    OLD_TOKEN_STILL_ACCEPTED,
    CLIENT_SECRET_CURRENT,
];

/// Writes a status of conditions where it differs, and tells about the transitions: as Kubernetes Events, and in the
/// record where something became contained or free.
pub(crate) async fn write<K: Subject>(
    context: &Context,
    object: &K,
    new: &K::Status,
    contained_by: &[Containment],
) -> Result<(), ReconcileError> {
    let old = object.status().cloned().unwrap_or_default();
    if old == *new {
        context.applied.forget(&reference(object.meta()), &K::kind(&()));
        return Ok(());
    }
    if !apply(context, object, &ours::<K>(new)).await? {
        return Ok(());
    }
    let transitions: Vec<_> = transitions(K::conditions(&old), K::conditions(new)).collect();
    if transitions.iter().any(|transition| transition.type_ == CONTAINED) {
        record_containment(context, object, contained_by);
    }
    for transition in worth_telling(&transitions) {
        publish(context, object, event(transition)).await;
    }
    Ok(())
}

/// What of a status is the operator's to apply: the rest is the gateways', and applying it would take it over.
pub(crate) fn ours<K: Subject>(status: &K::Status) -> K::Status {
    let mut ours = status.clone();
    K::conditions_mut(&mut ours).retain(|condition| OURS.contains(&condition.type_.as_str()));
    K::leave_to_gateways(&mut ours);
    ours
}

/// Applies a status. An object that went meanwhile needs none. Tells whether it did: what was applied to this very version
/// of an object is not applied again while the watch has not brought it.
pub(crate) async fn apply<K>(context: &Context, object: &K, status: &impl Serialize) -> Result<bool, ReconcileError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasStatus
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let (name, kind) = (reference(object.meta()), K::kind(&()));
    let body = body(object, status);
    let mark = Applied::mark(object.meta(), &body["status"]);
    if context.applied.has(&name, &kind, mark) {
        return Ok(false);
    }
    let applied = patch(context, object, body).await?;
    if applied.is_some() {
        context.applied.keep(&name, &kind, mark);
    }
    Ok(applied.is_some())
}

/// Applies a status that holds its own past to the version of the object that it was made from, and to no other: made from
/// an older one it would lose what came since. Tells whether it changed the object.
pub(crate) async fn apply_to_version<K>(
    context: &Context,
    object: &K,
    status: &impl Serialize,
) -> Result<bool, ReconcileError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let version = &object.meta().resource_version;
    let changed = swap(context, object, status).await?.is_some_and(|now| now.meta().resource_version != *version);
    if changed {
        let mark = Applied::mark(object.meta(), &serde_json::Value::Null);
        context.applied.keep(&reference(object.meta()), &K::kind(&()), mark);
    }
    Ok(changed)
}

/// Applies a status to the version of the object that was looked at, and to no other. The object as it is then; `None` where
/// it went meanwhile.
///
/// # Errors
///
/// [`ReconcileError::Conflict`], where it is another version.
pub(crate) async fn swap<K>(context: &Context, object: &K, status: &impl Serialize) -> Result<Option<K>, ReconcileError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let mut body = body(object, status);
    body["metadata"]["resourceVersion"] = json!(object.meta().resource_version);
    patch(context, object, body).await
}

/// Whether [`apply_to_version`] has changed the object since this version.
pub(crate) fn is_outdated<K: Resource<DynamicType = ()>>(context: &Context, object: &K) -> bool {
    let mark = Applied::mark(object.meta(), &serde_json::Value::Null);
    context.applied.has(&reference(object.meta()), &K::kind(&()), mark)
}

fn body<K: Resource<DynamicType = ()>>(object: &K, status: &impl Serialize) -> serde_json::Value {
    let name = reference(object.meta());
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // With the UID, so that a status never lands on an object that was made anew under the name.
        "metadata": { "namespace": name.namespace, "name": name.name, "uid": object.meta().uid },
        "status": status,
    })
}

/// The object with its new status; `None` where it went meanwhile.
async fn patch<K>(context: &Context, object: &K, body: serde_json::Value) -> Result<Option<K>, ReconcileError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let name = reference(object.meta());
    let api: Api<K> = Api::namespaced(context.client.clone(), &name.namespace);
    match api.patch_status(&name.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(body)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(ReconcileError::about(format!("status of {} {name}", K::kind(&())))(error)),
        Ok(object) => Ok(Some(object)),
    }
}

/// What was applied and has not come back by the watch yet.
#[derive(Default)]
pub(crate) struct Applied(Mutex<HashMap<String, u64>>);

impl Applied {
    /// Stands for one status applied to one version of an object. The times in conditions are when a pass was made, so
    /// they do not count.
    fn mark(meta: &ObjectMeta, status: &serde_json::Value) -> u64 {
        let mut status = status.clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            condition["lastTransitionTime"].take();
        }
        let mut hasher = DefaultHasher::new();
        (&meta.uid, &meta.resource_version, status.to_string()).hash(&mut hasher);
        hasher.finish()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(name: &NamespacedReference, kind: &str) -> String {
        format!("{kind} {name}")
    }

    fn has(&self, name: &NamespacedReference, kind: &str, mark: u64) -> bool {
        self.map().get(&Self::key(name, kind)) == Some(&mark)
    }

    fn keep(&self, name: &NamespacedReference, kind: &str, mark: u64) {
        self.map().insert(Self::key(name, kind), mark);
    }

    /// It came back.
    pub(crate) fn forget(&self, name: &NamespacedReference, kind: &str) {
        self.map().remove(&Self::key(name, kind));
    }
}

/// Conditions of ours whose status or reason is new. That a new object is not contained is no news, and what is not
/// known is told by what `Ready` says.
fn transitions<'a>(old: &'a [Condition], new: &'a [Condition]) -> impl Iterator<Item = &'a Condition> {
    let ours = new.iter().filter(|condition| OURS.contains(&condition.type_.as_str()));
    ours.filter(|condition| condition.status != "Unknown").filter(|condition| match find(old, &condition.type_) {
        None => condition.type_ != CONTAINED || condition.status == "True",
        Some(before) => before.status != condition.status || before.reason != condition.reason,
    })
}

/// The transitions that need an Event: `Ready` speaks for the others where it says the same, and where all is well.
fn worth_telling<'a>(transitions: &[&'a Condition]) -> Vec<&'a Condition> {
    let ready = transitions.iter().find(|it| it.type_ == READY);
    let said = |it: &Condition| ready.is_some_and(|ready| it.reason == ready.reason || is_well(it));
    transitions.iter().copied().filter(|it| it.type_ == READY || !said(it)).collect()
}

/// Whether nobody has to do anything. A condition may hold and still have a reason that warns.
fn is_well(condition: &Condition) -> bool {
    ["Ready", "Authorized", "NotContained", "Current", "Consented", "RefusedByAmazon", "Rotating"]
        .contains(&condition.reason.as_str())
}

/// What an Event tells.
#[derive(Debug)]
pub(crate) struct Event {
    /// Whether somebody should do something.
    pub(crate) warns: bool,
    pub(crate) reason: String,
    pub(crate) note: Option<String>,
    pub(crate) action: String,
}

fn event(condition: &Condition) -> Event {
    Event {
        warns: !is_well(condition),
        reason: condition.reason.clone(),
        note: Some(format!("{}={}. {}", condition.type_, condition.status, condition.message)),
        action: condition.type_.clone(),
    }
}

/// Publishes a Kubernetes Event. They are a convenience: a failure is logged and stops nothing.
///
/// Not with kube's recorder, which keeps what it published for six minutes and looks through all of it at each event, to
/// count repetitions: events here tell of transitions and do not repeat.
pub(crate) async fn publish<K: Resource<DynamicType = ()>>(context: &Context, object: &K, event: Event) {
    let now = Timestamp::now();
    // As Kubernetes' own are named.
    let mark = format!("{:x}", now.as_nanosecond());
    create_event(context, published(&context.pod, object.object_ref(&()), event, &mark, now)).await;
}

/// Publishes a Kubernetes Event once for a version of an object, whoever leads.
pub(crate) async fn publish_once<K: Resource<DynamicType = ()>>(context: &Context, object: &K, event: Event) {
    publish_about(context, object.object_ref(&()), object.meta().resource_version.as_deref(), event).await;
}

/// The same for an object that is only named. One of each reason.
pub(crate) async fn publish_about(context: &Context, regarding: ObjectReference, version: Option<&str>, event: Event) {
    let mark = format!("{}.{}", version.unwrap_or_default(), event.reason.to_ascii_lowercase());
    create_event(context, published(&context.pod, regarding, event, &mark, Timestamp::now())).await;
}

async fn create_event(context: &Context, event: PublishedEvent) {
    let events: Api<PublishedEvent> =
        Api::namespaced(context.client.clone(), event.metadata.namespace.as_deref().unwrap_or_default());
    let exists = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 409);
    if let Err(error) = events.create(&PostParams::default(), &event).await
        && !namespace_leaves(&error)
        && !exists(&error)
    {
        tracing::warn!(%error, event = event.metadata.name, "event not published");
    }
}

fn published(pod: &str, regarding: ObjectReference, event: Event, mark: &str, now: Timestamp) -> PublishedEvent {
    // The apiserver takes notes of up to 1 KiB.
    let note = event.note.map(|mut note| {
        note.truncate(note.floor_char_boundary(1000));
        note
    });
    PublishedEvent {
        metadata: ObjectMeta {
            namespace: regarding.namespace.clone(),
            name: Some(format!("{}.{mark}", regarding.name.as_deref().unwrap_or_default())),
            ..ObjectMeta::default()
        },
        action: Some(event.action),
        event_time: Some(MicroTime(now)),
        note,
        reason: Some(event.reason),
        regarding: Some(regarding),
        reporting_controller: Some(MANAGER.to_owned()),
        reporting_instance: Some(pod.to_owned()),
        type_: Some(if event.warns { "Warning" } else { "Normal" }.to_owned()),
        ..PublishedEvent::default()
    }
}

/// Recorded by the operator for every object that stops or works again; who annotated is the webhook's to record.
fn record_containment<K: Subject>(context: &Context, object: &K, contained_by: &[Containment]) {
    let change = if contained_by.is_empty() {
        Change::Restored
    } else {
        let incidents = contained_by.iter().flat_map(|by| &by.incidents);
        Change::Contained(incidents.map(|name| audit::Name::spelt(name)).collect())
    };
    match (entity(K::KIND, object.meta()), target(object)) {
        (Ok(entity), Ok(target)) => {
            context.recorder.record_later(EntityChange { correlation: None, target, entity, change });
        }
        _ => {
            tracing::error!(kind = %K::kind(&()), object = %reference(object.meta()), "containment cannot be recorded under this name")
        }
    }
}

#[cfg(test)]
mod tests {
    use crds::condition::{State, set};

    use super::*;

    fn conditions(states: impl IntoIterator<Item = State>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for state in states {
            set(&mut conditions, state, None, Timestamp::UNIX_EPOCH);
        }
        conditions
    }

    fn told(old: &[Condition], new: &[Condition]) -> Vec<(String, bool)> {
        transitions(old, new).map(|condition| (condition.reason.clone(), event(condition).warns)).collect()
    }

    #[test]
    fn ready_speaks_for_the_others_where_it_says_the_same_or_all_is_well() {
        let news = |states: &[State]| {
            let new = conditions(states.iter().cloned());
            let transitions: Vec<_> = transitions(&[], &new).collect();
            let told = worth_telling(&transitions);
            told.iter().map(|it| (it.reason.clone(), event(it).warns)).collect::<Vec<_>>()
        };
        let told = |reason: &str, warns| (reason.to_owned(), warns);
        let authorized = State::yes(AUTHORIZED, "Authorized", "");
        let current = State::yes(CREDENTIAL_CURRENT, "Current", "");
        let ready = State::yes(READY, "Ready", "");
        assert_eq!(news(&[ready.clone(), authorized.clone(), current.clone()]), [told("Ready", false)]);
        let partly = State::yes(READY, "PartlyParticipating", "");
        assert_eq!(news(&[partly, authorized.clone()]), [told("PartlyParticipating", true)]);
        let revoked = |type_| State::no(type_, "AuthorizationRevoked", "");
        assert_eq!(news(&[revoked(READY), revoked(AUTHORIZED)]), [told("AuthorizationRevoked", true)]);
        let contained = [State::no(READY, "Contained", ""), State::yes(CONTAINED, "Disabled", "")];
        assert_eq!(news(&contained), [told("Contained", true), told("Disabled", true)]);
        let expires = State::yes(AUTHORIZED, "ExpiresWithin7Days", "");
        assert_eq!(news(&[ready, expires.clone()]), [told("Ready", false), told("ExpiresWithin7Days", true)]);
        assert_eq!(news(&[expires]), [told("ExpiresWithin7Days", true)]);
        assert_eq!(news(&[authorized]), [told("Authorized", false)]);
    }

    #[test]
    fn what_gateways_write_is_never_applied() {
        let status = crds::AmazonConnectionStatus {
            conditions: conditions([State::yes(READY, "Ready", ""), State::no("Refreshed", "AmazonRefused", "")]),
            refreshed_with: Some(crds::ProvenCredentials::default()),
            proven: Some(crds::ProvenCredentials::default()),
            ..Default::default()
        };
        let applied = serde_json::to_value(ours::<crds::AmazonConnection>(&status)).unwrap();
        assert_eq!(applied["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(applied["conditions"][0]["type"], READY);
        assert!(applied.get("refreshedWith").is_none() && applied.get("proven").is_some(), "{applied}");
    }

    #[test]
    fn only_a_new_status_or_reason_is_told() {
        let ready = || State::yes(READY, "Ready", "one");
        let missing = || State::no(READY, "TeamNotFound", "");
        let free = || State::no(CONTAINED, "NotContained", "");
        let contained = || State::yes(CONTAINED, "Disabled", "");
        assert_eq!(told(&[], &conditions([missing(), free()])), [("TeamNotFound".to_owned(), true)]);
        assert_eq!(told(&conditions([missing()]), &conditions([ready()])), [("Ready".to_owned(), false)]);
        assert_eq!(told(&conditions([free()]), &conditions([contained()])), [("Disabled".to_owned(), true)]);
        assert_eq!(told(&conditions([contained()]), &conditions([free()])), [("NotContained".to_owned(), false)]);
        assert_eq!(told(&[], &conditions([contained()])), [("Disabled".to_owned(), true)]);
        let reworded = State::yes(READY, "Ready", "two");
        assert_eq!(told(&conditions([ready()]), &conditions([reworded])), []);
        assert_eq!(told(&[], &conditions([State::unknown(AUTHORIZED, "TeamNotFound", "")])), []);
        assert_eq!(told(&[], &conditions([State::yes("Refreshed", "Refreshed", "")])), [], "the gateway's");
    }
}
