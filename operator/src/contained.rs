//! What annotations contain, of whatever kind, and whether it parses or not.

use std::{collections::BTreeSet, sync::Arc};

use crds::{IncidentReach, NamespacedReference, annotation};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;

use crate::{
    dependents::Name,
    stores::{Guarded, Kind, Objects, Stores},
};

/// The kinds that can be contained.
const KINDS: [Kind; 5] =
    [Kind::Team, Kind::AmazonApplication, Kind::AmazonConnection, Kind::AgentGrant, Kind::RuntimeToken];

/// The kind of this name, if it can be contained.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.as_str() == name)
}

/// An object that an annotation contains.
#[derive(Clone, Debug)]
pub(crate) struct Contained {
    pub(crate) name: Name,
    /// The incidents that the annotation names.
    pub(crate) incidents: Vec<String>,
    /// The object as Events name it.
    pub(crate) reference: ObjectReference,
    pub(crate) version: Option<String>,
}

fn look<K: Resource<DynamicType = ()>>(kind: Kind, object: &Guarded<K>) -> Option<Contained> {
    let meta = object.meta();
    let incidents = annotation::incidents(meta)?;
    let name = Name::new(kind, meta.namespace.as_deref(), meta.name.as_deref().unwrap_or_default());
    Some(Contained { name, incidents, reference: object.object_ref(&()), version: meta.resource_version.clone() })
}

fn all<K: Resource<DynamicType = ()> + Clone + 'static>(kind: Kind, objects: &Objects<Guarded<K>>) -> Vec<Contained> {
    objects.store().state().iter().filter_map(|object| look(kind, object)).collect()
}

/// Does something with the store of a kind that can be contained; `None` for the other kinds.
macro_rules! of_kind {
    (@ $store:expr, $objects:ident, $do:expr) => {{
        let $objects = &$store;
        Some($do)
    }};
    ($stores:expr, $kind:expr, |$objects:ident| $do:expr) => {
        match $kind {
            Kind::Team => of_kind!(@ $stores.teams, $objects, $do),
            Kind::AmazonApplication => of_kind!(@ $stores.applications, $objects, $do),
            Kind::AmazonConnection => of_kind!(@ $stores.connections, $objects, $do),
            Kind::AgentGrant => of_kind!(@ $stores.grants, $objects, $do),
            Kind::RuntimeToken => of_kind!(@ $stores.runtime_tokens, $objects, $do),
            _ => None,
        }
    };
}

impl Stores {
    /// Whether an object of a kind that can be contained is there.
    pub(crate) fn is_there(&self, name: &Name) -> bool {
        of_kind!(self, name.kind, |objects| objects.get(&name.namespace, &name.name).is_some()).unwrap_or_default()
    }

    /// What the annotation of an object says.
    pub(crate) fn contained_at(&self, name: &Name) -> Option<Contained> {
        let found = of_kind!(self, name.kind, |objects| {
            objects.get(&name.namespace, &name.name).and_then(|object| look(name.kind, &object))
        });
        found.flatten()
    }

    /// Everything that is contained.
    pub(crate) fn contained(&self) -> Vec<Contained> {
        KINDS.into_iter().filter_map(|kind| of_kind!(self, kind, |objects| all(kind, objects))).flatten().collect()
    }

    /// What one incident contains, in a fixed order.
    pub(crate) fn contained_by(&self, incident: &str) -> Vec<Name> {
        let incident = Name::incident(incident);
        let mut names = Vec::new();
        for kind in KINDS {
            let mut those = of_kind!(self, kind, |objects| objects.looking_at(&incident)).unwrap_or_default();
            those.sort();
            names.extend(those.iter().map(|it| Name::new(kind, Some(&it.namespace), &it.name)));
        }
        names
    }

    /// How much these are and what is below them.
    pub(crate) fn reach<'a>(&self, names: impl Iterator<Item = &'a Name>) -> IncidentReach {
        let Below { connections, grants, tokens } = self.below(names);
        let count = |them: BTreeSet<_>| i64::try_from(them.len()).unwrap_or(i64::MAX);
        IncidentReach { connections: count(connections), grants: count(grants), tokens: count(tokens) }
    }

    /// What these are and what is below them.
    pub(crate) fn below<'a>(&self, names: impl Iterator<Item = &'a Name>) -> Below {
        let mut below = Below::default();
        for name in names {
            let itself = Arc::new(NamespacedReference { namespace: name.namespace.clone(), name: name.name.clone() });
            match name.kind {
                Kind::AmazonConnection => below.connections.extend([itself]),
                Kind::AgentGrant => below.grants.extend([itself]),
                Kind::RuntimeToken => below.tokens.extend([itself]),
                _ => {
                    below.connections.extend(self.connections.looking_at(name));
                    below.grants.extend(self.grants.looking_at(name));
                    below.tokens.extend(self.runtime_tokens.looking_at(name));
                }
            }
        }
        for connection in &below.connections {
            let name = Name::new(Kind::AmazonConnection, Some(&connection.namespace), &connection.name);
            below.grants.extend(self.grants.looking_at(&name));
            below.tokens.extend(self.runtime_tokens.looking_at(&name));
        }
        below
    }
}

/// What some objects are and what is below them.
#[derive(Debug, Default)]
pub(crate) struct Below {
    pub(crate) connections: BTreeSet<Arc<NamespacedReference>>,
    pub(crate) grants: BTreeSet<Arc<NamespacedReference>>,
    pub(crate) tokens: BTreeSet<Arc<NamespacedReference>>,
}
