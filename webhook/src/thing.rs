//! An object that can be contained, as far as records need it: its metadata, and whose it is.

use access::{Entry, Index, Kind, Objects};
use audit::{Change, Entity, EntityChange, Name, NotAName, ObjectName, Target};
use crds::NamespacedReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// Why an object of a review cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAThing {
    /// Of another kind than those that can be contained.
    #[error("no kind that can be contained")]
    Kind,
    /// Without metadata, or with such as no object has.
    #[error("object has no right metadata")]
    Metadata,
}

#[derive(Clone)]
pub(crate) struct Thing {
    pub(crate) kind: Kind,
    pub(crate) meta: ObjectMeta,
    team: Option<String>,
}

impl Thing {
    /// The object of a review.
    pub(crate) fn read(kind: &str, object: &Value) -> Result<Self, NotAThing> {
        let kind = match kind {
            "Team" => Kind::Team,
            "AmazonApplication" => Kind::AmazonApplication,
            "AmazonConnection" => Kind::AmazonConnection,
            "AgentGrant" => Kind::AgentGrant,
            "RuntimeToken" => Kind::RuntimeToken,
            _ => return Err(NotAThing::Kind),
        };
        let meta: ObjectMeta = serde_json::from_value(object["metadata"].clone()).map_err(|_| NotAThing::Metadata)?;
        if meta.name.is_none() || meta.namespace.is_none() {
            return Err(NotAThing::Metadata);
        }
        let team = match kind {
            Kind::Team => meta.name.clone(),
            _ => object["spec"]["teamRef"]["name"].as_str().map(str::to_owned),
        };
        Ok(Self { kind, meta, team })
    }

    pub(crate) fn name(&self) -> NamespacedReference {
        NamespacedReference {
            namespace: self.meta.namespace.clone().unwrap_or_default(),
            name: self.meta.name.clone().unwrap_or_default(),
        }
    }

    /// The event of a change of it.
    pub(crate) fn event(&self, change: Change) -> Result<EntityChange, NotAName> {
        let NamespacedReference { namespace, name } = self.name();
        let kind = match self.kind {
            Kind::Team => audit::Kind::Team,
            Kind::AmazonApplication => audit::Kind::AmazonApplication,
            Kind::AmazonConnection => audit::Kind::AmazonConnection,
            Kind::AgentGrant => audit::Kind::AgentGrant,
            Kind::RuntimeToken => audit::Kind::RuntimeToken,
        };
        let object = ObjectName::parse(&namespace, &name)?;
        let connection = (self.kind == Kind::AmazonConnection).then(|| object.clone());
        let team = self.team.as_deref().map(|team| ObjectName::parse(&namespace, team)).transpose()?;
        let uid = self.meta.uid.as_deref().and_then(|uid| uid.parse().ok());
        Ok(EntityChange {
            correlation: None,
            target: team.map(|team| Target { team, team_uid: None, connection }),
            entity: Entity { kind, namespace: Some(object.namespace), name: object.name, uid },
            change,
        })
    }

    /// The metadata of the object of this kind and name that is there now.
    pub(crate) fn now<'a>(&self, index: &'a Index) -> Option<&'a ObjectMeta> {
        let name = self.name();
        match self.kind {
            Kind::Team => meta(&index.teams, &name),
            Kind::AmazonApplication => meta(&index.applications, &name),
            Kind::AmazonConnection => meta(&index.connections, &name),
            Kind::AgentGrant => meta(&index.grants, &name),
            Kind::RuntimeToken => meta(&index.runtime_tokens, &name),
        }
    }
}

fn meta<'a, K: kube::Resource>(objects: &'a Objects<K>, name: &NamespacedReference) -> Option<&'a ObjectMeta> {
    match objects.get(name)? {
        Entry::Read(object) => Some(object.meta()),
        Entry::Unreadable(meta) => Some(meta),
    }
}

/// Incidents as the record spells them.
pub(crate) fn spelt(incidents: &[String]) -> Vec<Name> {
    incidents.iter().map(|incident| Name::spelt(incident)).collect()
}
