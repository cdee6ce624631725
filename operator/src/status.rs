//! Writing a status: only what changed, only our own conditions; and telling about what changed.

use access::Containment;
use audit::{Change, EntityChange};
use crds::condition::{AUTHORIZED, CONTAINED, CREDENTIAL_CURRENT, READY, find};
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    core::object::HasStatus,
    runtime::events::{Event, EventType},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    controller::Context,
    error::{ReconcileError, namespace_leaves},
    subject::{Subject, entity, reference, target},
};

/// The field manager of everything the operator applies.
pub(crate) const MANAGER: &str = "openteam-operator";

/// The conditions that are the operator's. `Refreshed` is the gateway's.
const OURS: [&str; 4] = [READY, AUTHORIZED, CONTAINED, CREDENTIAL_CURRENT];

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
        return Ok(());
    }
    let mut ours = new.clone();
    K::conditions_mut(&mut ours).retain(|condition| OURS.contains(&condition.type_.as_str()));
    apply(context, object, &ours).await?;
    for transition in transitions(K::conditions(&old), K::conditions(new)) {
        if transition.type_ == CONTAINED {
            record_containment(context, object, contained_by);
        }
        publish(context, object, event(transition)).await;
    }
    Ok(())
}

/// Applies a status. An object that went meanwhile needs none.
pub(crate) async fn apply<K>(context: &Context, object: &K, status: &impl Serialize) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasStatus
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let name = reference(object.meta());
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // With the UID, so that a status never lands on an object that was made anew under the name.
        "metadata": { "namespace": name.namespace, "name": name.name, "uid": object.meta().uid },
        "status": status,
    });
    let api: Api<K> = Api::namespaced(context.client.clone(), &name.namespace);
    match api.patch_status(&name.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(body)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        written => written.map(drop).map_err(ReconcileError::about(format!("status of {} {name}", K::kind(&())))),
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

fn event(condition: &Condition) -> Event {
    let good = if condition.type_ == CONTAINED { "False" } else { "True" };
    Event {
        type_: if condition.status == good { EventType::Normal } else { EventType::Warning },
        reason: condition.reason.clone(),
        note: Some(format!("{}={}. {}", condition.type_, condition.status, condition.message)),
        action: condition.type_.clone(),
        secondary: None,
    }
}

/// Publishes a Kubernetes Event. They are a convenience: a failure is logged and stops nothing.
pub(crate) async fn publish<K: Resource<DynamicType = ()>>(context: &Context, object: &K, mut event: Event) {
    // The apiserver takes notes of up to 1 KiB.
    if let Some(note) = &mut event.note
        && let Some((end, _)) = note.char_indices().nth(900)
    {
        note.truncate(note.floor_char_boundary(end.min(1000)));
    }
    if let Err(error) = context.events.publish(&event, &object.object_ref(&())).await
        && !namespace_leaves(&error)
    {
        tracing::warn!(%error, kind = %K::kind(&()), object = %reference(object.meta()), "event not published");
    }
}

/// Recorded by the operator for every object that stops or works again; who annotated is the webhook's to record.
/// An incident's name as the record spells it: names are whatever a responder typed in an emergency, the record holds
/// names of Kubernetes' form only, and none is left out. `Incident 42` is told as `incident-42`.
fn spelt(incident: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = incident.chars().map(plain).take(63).collect();
    match text.trim_matches('-') {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

fn record_containment<K: Subject>(context: &Context, object: &K, contained_by: &[Containment]) {
    let change = if contained_by.is_empty() {
        Change::Restored
    } else {
        let incidents = contained_by.iter().flat_map(|by| &by.incidents);
        Change::Contained(incidents.filter_map(|name| audit::Name::parse(&spelt(name)).ok()).collect())
    };
    match (entity(K::KIND, object.meta()), target(object)) {
        (Ok(entity), Ok(target)) => {
            context.recorder.record_later(EntityChange { correlation: None, target, entity, change });
        }
        _ => tracing::error!(object = %reference(object.meta()), "containment cannot be recorded under this name"),
    }
}

#[cfg(test)]
mod tests {
    use crds::condition::{State, set};
    use jiff::Timestamp;

    use super::*;

    fn conditions(states: impl IntoIterator<Item = State>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for state in states {
            set(&mut conditions, state, None, Timestamp::UNIX_EPOCH);
        }
        conditions
    }

    fn told(old: &[Condition], new: &[Condition]) -> Vec<(String, bool)> {
        transitions(old, new)
            .map(|condition| (condition.reason.clone(), matches!(event(condition).type_, EventType::Warning)))
            .collect()
    }

    #[test]
    fn every_incident_is_told_however_it_was_typed() {
        for (typed, told) in [
            ("inc-7", "inc-7"),
            ("Incident 42", "incident-42"),
            ("inc_8", "inc-8"),
            ("\u{1f525}", "unnamed"),
            ("", "unnamed"),
            ("-x-", "x"),
        ] {
            assert_eq!(super::spelt(typed), told, "{typed:?}");
            assert!(audit::Name::parse(&super::spelt(typed)).is_ok(), "{typed:?}");
        }
        assert!(audit::Name::parse(&super::spelt(&"Long ".repeat(100))).is_ok());
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
