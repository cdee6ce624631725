//! What the portal changes in the cluster: it makes objects, annotates, renames, and deletes what it made.
//!
//! As the portal's ServiceAccount; policies (manifests/policies/portal.yaml) hold it to this.

use std::{fmt::Debug, sync::Arc, time::Duration};

use access::Index;
use audit::{Activity, Change, Entity, EntityChange, Kind, Name, ObjectName, Target};
use crds::{MANAGED_BY, NamespacedReference, PORTAL};
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{answer::Refusal, page::Problem, portal::Portal};

/// How long the apiserver may take: a person waits.
const LIMIT: Duration = Duration::from_secs(10);
/// Name of the portal among field managers.
const MANAGER: &str = "openteam-portal";

/// An object of ours as the record names it.
pub(crate) fn entity(kind: Kind, name: &NamespacedReference, uid: Option<&str>) -> Option<Entity> {
    Some(Entity {
        kind,
        namespace: Some(Name::parse(&name.namespace).ok()?),
        name: Name::parse(&name.name).ok()?,
        uid: uid.and_then(|uid| uid.parse().ok()),
    })
}

/// A Team as what an event belongs to.
pub(crate) fn target(team: &NamespacedReference) -> Option<Target> {
    let team = ObjectName::parse(&team.namespace, &team.name).ok()?;
    Some(Target { team, team_uid: None, connection: None })
}

/// An event about an object of a Team.
pub(crate) fn event(
    kind: Kind,
    name: &NamespacedReference,
    uid: Option<&str>,
    team: &str,
    change: Change,
) -> Result<EntityChange, Refusal> {
    let object = |name: &str, namespace: &str| ObjectName::parse(namespace, name).ok();
    let connection = (kind == Kind::AmazonConnection).then(|| object(&name.name, &name.namespace)).flatten();
    let target = object(team, &name.namespace).map(|team| Target { team, team_uid: None, connection });
    let entity = entity(kind, name, uid).ok_or(Refusal::Bug)?;
    Ok(EntityChange { correlation: None, target, entity, change })
}

/// Whether the portal made an object; what came by YAML is read-only here.
pub(crate) fn is_ours(meta: &ObjectMeta) -> bool {
    meta.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|found| found == PORTAL)
}

/// The metadata of what the portal makes.
pub(crate) fn made(name: &NamespacedReference) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        labels: Some([(MANAGED_BY.to_owned(), PORTAL.to_owned())].into()),
        ..ObjectMeta::default()
    }
}

/// The owner reference by which what belongs to an object goes with it, and with no other of its name.
pub(crate) fn owned_by<K: Resource<DynamicType = ()>>(owner: &K) -> Option<Vec<OwnerReference>> {
    let reference = owner.controller_owner_ref(&())?;
    // Not blocking its deletion: that would need rights on its finalizers.
    Some(vec![OwnerReference { block_owner_deletion: None, controller: None, ..reference }])
}

impl Portal {
    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes an object.
    pub(crate) async fn create<K>(&self, what: &'static str, object: &K) -> Result<K, Refusal>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let api = self.api::<K>(&namespace);
        finish(what, api.create(&parameters, object)).await
    }

    /// Deletes the very object that was looked at.
    pub(crate) async fn delete<K>(&self, what: &'static str, object: &K) -> Result<(), Refusal>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let meta = object.meta();
        let preconditions = Preconditions { uid: meta.uid.clone(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let api = self.api::<K>(meta.namespace.as_deref().unwrap_or_default());
        let name = meta.name.clone().unwrap_or_default();
        finish(what, api.delete(&name, &parameters)).await.map(drop)
    }

    /// Changes something of the very object that was looked at.
    async fn patch<K>(&self, what: &'static str, object: &K, patch: serde_json::Value) -> Result<(), Refusal>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let meta = object.meta();
        let api = self.api::<K>(meta.namespace.as_deref().unwrap_or_default());
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let name = meta.name.clone().unwrap_or_default();
        finish(what, api.patch(&name, &parameters, &Patch::Merge(patch))).await.map(drop)
    }

    /// Sets an annotation. With the object's UID: another one of that name is not meant.
    pub(crate) async fn annotate<K>(
        &self,
        what: &'static str,
        object: &K,
        key: &str,
        value: &str,
    ) -> Result<(), Refusal>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let patch = json!({ "metadata": { "uid": object.meta().uid, "annotations": { key: value } } });
        self.patch(what, object, patch).await
    }

    /// Contains: adds an incident to those that the object has, whatever came meanwhile. `newest` finds the object in an
    /// index. `false` where it was contained by that incident before.
    pub(crate) async fn contain<K>(
        &self,
        what: &'static str,
        object: &K,
        incident: &str,
        newest: impl Fn(&Index) -> Option<Arc<K>>,
    ) -> Result<bool, Refusal>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let mut meta = object.meta().clone();
        let mut last = Refusal::Unavailable;
        for _ in 0..10 {
            let before = crds::annotation::incidents(&meta);
            let value = match &before {
                None => incident.to_owned(),
                Some(others) if others.iter().any(|other| other == incident) => return Ok(false),
                Some(others) => format!("{},{incident}", others.join(",")),
            };
            let patch = json!({ "metadata": {
                "uid": meta.uid,
                // Another incident must not get lost, and none may be there that is not seen here.
                "resourceVersion": meta.resource_version,
                "annotations": { crds::annotation::DISABLE: value },
            } });
            match self.patch(what, object, patch).await {
                Err(refusal @ Refusal::Problem(Problem::Conflict { .. })) => last = refusal,
                other => return other.map(|()| true),
            }
            // The watch brings what came in between in a moment.
            sleep(Duration::from_millis(100)).await;
            let found = newest(&self.view.latest()).ok_or(Refusal::NotFound)?;
            if found.meta().uid != meta.uid {
                return Err(Refusal::NotFound);
            }
            meta = found.meta().clone();
        }
        Err(last)
    }

    /// Gives a connection another display name.
    pub(crate) async fn rename(&self, connection: &crds::AmazonConnection, name: &str) -> Result<(), Refusal> {
        let patch = json!({ "metadata": { "uid": connection.metadata.uid }, "spec": { "displayName": name } });
        self.patch("rename", connection, patch).await
    }

    /// Records what a person is about to do, and waits until it is on disk.
    pub(crate) async fn recorded(&self, event: impl Into<Activity>) -> Result<(), Refusal> {
        let _on_disk = self.recorder.record(event).await?;
        Ok(())
    }
}

/// Waits for the apiserver, so long as a person would.
pub(crate) async fn finish<T>(
    what: &'static str,
    work: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Refusal> {
    match timeout(LIMIT, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Refusal::api(what, &error)),
        Err(_) => {
            tracing::warn!(what, "the apiserver did not answer in time");
            Err(Refusal::Unavailable)
        }
    }
}
