//! Containing and restoring objects: one annotation each, written only over what was read.

use std::fmt::Debug;

use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, RuntimeToken, Team,
    annotation::{self, DISABLE, RENEW, RESTORED, ROTATE},
};
use jiff::Timestamp;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::target::{Kind, Target};
use crate::cluster;

/// How often an object is looked at again that somebody else wrote meanwhile.
const ATTEMPTS: usize = 10;

/// What is done to an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// Adds the incident.
    Disable(&'a str),
    /// Takes it out.
    Restore(&'a str),
    /// Rotates with this value.
    Rotate(&'a str),
    /// Asks for a renewal with this value.
    Renew(&'a str),
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The incidents that contain it now.
    pub(crate) incidents: Vec<String>,
    /// Whether anything was written.
    pub(crate) changed: bool,
}

impl Change<'_> {
    /// The annotations to write, if any, and the incidents that contain the object then.
    fn plan(self, meta: &ObjectMeta, now: Timestamp) -> Result<(Option<Value>, Vec<String>), String> {
        let mut incidents = annotation::incidents(meta).unwrap_or_default();
        match self {
            Self::Disable(incident) => {
                if incidents.iter().any(|one| one == incident) {
                    return Ok((None, incidents));
                }
                incidents.push(incident.to_owned());
                Ok((Some(json!({ DISABLE: incidents.join(",") })), incidents))
            }
            Self::Restore(incident) => {
                let count = incidents.len();
                incidents.retain(|one| one != incident);
                if incidents.len() == count {
                    return Err(match count {
                        0 => "it is not contained".to_owned(),
                        _ => format!("{incident} does not contain it; {} does", incidents.join(", ")),
                    });
                }
                let rest = if incidents.is_empty() { Value::Null } else { incidents.join(",").into() };
                let restored = annotation::restored(&[incident.to_owned()], &now.to_string());
                Ok((Some(json!({ DISABLE: rest, RESTORED: restored })), incidents))
            }
            Self::Rotate(value) => Ok((once(meta, ROTATE, value), incidents)),
            Self::Renew(value) => Ok((once(meta, RENEW, value), incidents)),
        }
    }

    /// Does it, over the object as it is now, in the name of `manager`.
    ///
    /// # Errors
    /// What the apiserver or a policy says, or that there is nothing to restore.
    pub(crate) async fn apply(self, client: &Client, manager: &str, target: &Target) -> anyhow::Result<Done> {
        match target.kind {
            Kind::AmazonApplication => self.apply_to::<AmazonApplication>(client, manager, target).await,
            Kind::Team => self.apply_to::<Team>(client, manager, target).await,
            Kind::AmazonConnection => self.apply_to::<AmazonConnection>(client, manager, target).await,
            Kind::AgentGrant => self.apply_to::<AgentGrant>(client, manager, target).await,
            Kind::RuntimeToken => self.apply_to::<RuntimeToken>(client, manager, target).await,
        }
    }

    async fn apply_to<K>(self, client: &Client, manager: &str, target: &Target) -> anyhow::Result<Done>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        // Metadata alone: one that does not parse is contained all the same.
        let api: Api<K> = Api::namespaced(client.clone(), &target.object.namespace);
        for attempt in 1.. {
            let meta = api.get_metadata(&target.object.name).await.map_err(|error| cluster::said(&error))?.metadata;
            let (annotations, incidents) = self.plan(&meta, Timestamp::now()).map_err(anyhow::Error::msg)?;
            let Some(annotations) = annotations else { return Ok(Done { incidents, changed: false }) };
            // Only over what was read: of two who contain at once neither takes the other's incident away.
            let patch = json!({ "metadata": { "resourceVersion": meta.resource_version, "annotations": annotations } });
            let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
            match api.patch_metadata(&target.object.name, &parameters, &Patch::Merge(&patch)).await {
                Ok(_) => return Ok(Done { incidents, changed: true }),
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {}
                Err(error) => return Err(cluster::said(&error)),
            }
        }
        unreachable!("the loop has no end but its returns")
    }
}

/// The annotation, unless it has this very value: then it was acted on, or will be.
fn once(meta: &ObjectMeta, key: &str, value: &str) -> Option<Value> {
    let is_so = meta.annotations.as_ref().and_then(|them| them.get(key)).is_some_and(|is| is == value);
    (!is_so).then(|| json!({ key: value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Option<&str>) -> ObjectMeta {
        let annotations = value.map(|value| [(DISABLE.to_owned(), value.to_owned())].into());
        ObjectMeta { annotations, ..ObjectMeta::default() }
    }

    fn planned(change: Change<'_>, value: Option<&str>) -> Result<Option<Value>, String> {
        change.plan(&object(value), Timestamp::UNIX_EPOCH).map(|(annotations, _)| annotations)
    }

    #[test]
    fn an_incident_is_added_to_others_and_not_twice() {
        let change = Change::Disable("inc-7");
        assert_eq!(planned(change, None), Ok(Some(json!({ DISABLE: "inc-7" }))));
        assert_eq!(planned(change, Some("inc-1")), Ok(Some(json!({ DISABLE: "inc-1,inc-7" }))));
        assert_eq!(planned(change, Some("inc-1, inc-7")), Ok(None));
        // Without a name it is contained as well, and stays so.
        assert_eq!(planned(change, Some("")), Ok(Some(json!({ DISABLE: "unnamed,inc-7" }))));
    }

    #[test]
    fn a_value_is_written_once_and_contains_nothing() {
        let annotations = [(ROTATE.to_owned(), "1".to_owned()), (DISABLE.to_owned(), "inc-7".to_owned())].into();
        let meta = ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
        let planned = |change: Change<'_>| change.plan(&meta, Timestamp::UNIX_EPOCH).unwrap();
        let incidents = vec!["inc-7".to_owned()];
        assert_eq!(planned(Change::Rotate("1")), (None, incidents.clone()));
        assert_eq!(planned(Change::Rotate("2")), (Some(json!({ ROTATE: "2" })), incidents.clone()));
        assert_eq!(planned(Change::Renew("1")), (Some(json!({ RENEW: "1" })), incidents));
    }

    #[test]
    fn only_the_incident_that_is_named_is_taken_out_and_the_object_says_so() {
        let change = Change::Restore("inc-7");
        let restored = "inc-7/1970-01-01T00:00:00Z";
        assert_eq!(planned(change, Some("inc-7")), Ok(Some(json!({ DISABLE: null, RESTORED: restored }))));
        assert_eq!(planned(change, Some("inc-1,inc-7")), Ok(Some(json!({ DISABLE: "inc-1", RESTORED: restored }))));
        assert!(planned(change, None).unwrap_err().contains("not contained"));
        assert!(planned(change, Some("inc-1")).unwrap_err().contains("inc-1 does"));
    }
}
