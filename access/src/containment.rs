//! Containment: whether an incident stops a connection, by itself or by what it hangs from.

use std::fmt;

use crds::{AmazonConnection, NamespacedReference, annotation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    index::{Entry, Index, Kind, Objects, named},
    refusal::Refusal,
};

/// An object that an incident contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Containment {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub object: NamespacedReference,
    /// The incidents that its annotation names.
    pub incidents: Vec<String>,
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} is contained by {}", self.kind, self.object, self.incidents.join(", "))
    }
}

/// The containment of one object, by its own annotation.
pub(crate) fn of(kind: Kind, object: &NamespacedReference, meta: &ObjectMeta) -> Option<Containment> {
    annotation::incidents(meta).map(|incidents| Containment { kind, object: object.clone(), incidents })
}

/// Everything that contains a connection: the connection, its Team, its application.
///
/// Of an unreadable object the metadata are known, so its annotation counts too.
#[must_use]
pub fn contained(index: &Index, name: &NamespacedReference, connection: &AmazonConnection) -> Vec<Containment> {
    let team = named(&name.namespace, &connection.spec.team_ref.name);
    [
        of(Kind::AmazonConnection, name, &connection.metadata),
        meta(&index.teams, &team, |team| &team.metadata).and_then(|meta| of(Kind::Team, &team, meta)),
        meta(&index.applications, &connection.spec.application_ref, |application| &application.metadata)
            .and_then(|meta| of(Kind::AmazonApplication, &connection.spec.application_ref, meta)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Refuses where anything contains the connection.
pub(crate) fn check(index: &Index, name: &NamespacedReference, connection: &AmazonConnection) -> Result<(), Refusal> {
    let found = contained(index, name, connection);
    if found.is_empty() { Ok(()) } else { Err(Refusal::Contained { by: found }) }
}

fn meta<'a, K>(
    objects: &'a Objects<K>,
    name: &NamespacedReference,
    of_object: impl Fn(&'a K) -> &'a ObjectMeta,
) -> Option<&'a ObjectMeta> {
    match objects.get(name)? {
        Entry::Read(object) => Some(of_object(object)),
        Entry::Unreadable(meta) => Some(meta),
    }
}
