//! What decisions look at: every object, as the watches last saw it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crds::{AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, Team};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rpds::RedBlackTreeMapSync;

/// The kinds that decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Team
    Team,
    /// AmazonApplication
    AmazonApplication,
    /// AmazonConnection
    AmazonConnection,
    /// AgentGrant
    AgentGrant,
    /// RuntimeToken
    RuntimeToken,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An object of the index.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<K> {
    /// It was read.
    Read(Arc<K>),
    /// It exists and does not parse: whatever depends on it is refused, nothing else.
    Unreadable(Arc<ObjectMeta>),
}

impl<K> Entry<K> {
    /// The object, where it could be read.
    #[must_use]
    pub fn read(&self) -> Option<&Arc<K>> {
        match self {
            Self::Read(object) => Some(object),
            Self::Unreadable(_) => None,
        }
    }
}

/// All objects of one kind, those of a namespace beside each other. A copy shares all that does not change.
pub type Objects<K> = RedBlackTreeMapSync<NamespacedReference, Entry<K>>;

/// Every object that decisions look at.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Teams by namespace and name.
    pub teams: Objects<Team>,
    /// AmazonApplications by namespace and name.
    pub applications: Objects<AmazonApplication>,
    /// AmazonConnections by namespace and name.
    pub connections: Objects<AmazonConnection>,
    /// AgentGrants by namespace and name.
    pub grants: Objects<AgentGrant>,
    /// RuntimeTokens by namespace and name.
    pub runtime_tokens: Objects<RuntimeToken>,
    /// Labels of namespaces, by name; for `allowedNamespaces`.
    pub namespaces: RedBlackTreeMapSync<String, BTreeMap<String, String>>,
}

/// The objects of one namespace that could be read, by name.
pub fn within<'a, K>(
    objects: &'a Objects<K>,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a NamespacedReference, &'a Arc<K>)> {
    objects
        .range(named(namespace, "")..)
        .take_while(move |(name, _)| name.namespace == namespace)
        .filter_map(|(name, entry)| Some((name, entry.read()?)))
}

/// The name of an object in `namespace`.
pub(crate) fn named(namespace: &str, name: &str) -> NamespacedReference {
    NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() }
}
