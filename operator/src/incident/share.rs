//! Which Teams an incident concerns, and what of it is theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::NamespacedReference;
use jiff::Timestamp;
use kube::Resource;

use super::notice::{Application, Reached, Seller};
use crate::{
    dependents::Name,
    stores::{Guarded, Kind, Stores, read},
    subject::reference,
};

/// A Team, and what of an incident concerns it. There is nothing of anybody else's in it: it is mailed to its contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// The contained objects that stop something of it, its own and the applications that its connections use.
    pub(super) contained: Vec<Name>,
    /// What stops.
    pub(super) connections: BTreeSet<String>,
    pub(super) grants: BTreeSet<String>,
    pub(super) tokens: BTreeSet<String>,
    /// Connections of which a token was handed out, and until when Amazon honours it.
    pub(super) exposed: BTreeMap<String, Timestamp>,
}

/// By Team.
pub(super) type Shares = BTreeMap<NamespacedReference, Share>;

/// What these objects stop, and whose it is.
pub(super) fn shares(stores: &Stores, contained: &[Name]) -> Shares {
    let mut shares = Shares::new();
    for name in contained {
        Reaching { stores, name, shares: &mut shares }.all();
    }
    shares
}

struct Reaching<'a> {
    stores: &'a Stores,
    name: &'a Name,
    shares: &'a mut Shares,
}

impl Reaching<'_> {
    fn all(&mut self) {
        let Name { kind, namespace, name } = self.name.clone();
        let itself = NamespacedReference { namespace, name };
        match kind {
            Kind::Team => {
                self.share(&itself);
                for connection in self.stores.connections.looking_at(self.name) {
                    self.connection(&connection);
                }
                for grant in self.stores.grants.looking_at(self.name) {
                    self.share(&itself).grants.insert(grant.name.clone());
                }
                for token in self.stores.runtime_tokens.looking_at(self.name) {
                    self.share(&itself).tokens.insert(token.name.clone());
                }
            }
            Kind::AmazonApplication => {
                for connection in self.stores.connections.looking_at(self.name) {
                    self.connection(&connection);
                }
            }
            Kind::AmazonConnection => self.connection(&itself),
            Kind::AgentGrant => {
                let object = self.stores.grants.get(&itself.namespace, &itself.name);
                for team in self.teams(&itself, object.as_ref(), |grant| &grant.spec.team_ref.name) {
                    self.share(&team).grants.insert(itself.name.clone());
                }
            }
            Kind::RuntimeToken => {
                let object = self.stores.runtime_tokens.get(&itself.namespace, &itself.name);
                for team in self.teams(&itself, object.as_ref(), |token| &token.spec.team_ref.name) {
                    self.share(&team).tokens.insert(itself.name.clone());
                }
            }
            _ => {}
        }
    }

    fn connection(&mut self, itself: &NamespacedReference) {
        let object = self.stores.connection(&itself.namespace, &itself.name);
        let status = read(object.as_ref()).and_then(|connection| connection.status.as_ref());
        let exposed = status.and_then(|status| status.exposed_until.as_ref()).map(|until| until.0);
        let name = Name::new(Kind::AmazonConnection, Some(&itself.namespace), &itself.name);
        let grants = self.stores.grants.looking_at(&name);
        let tokens = self.stores.runtime_tokens.looking_at(&name);
        for team in self.teams(itself, object.as_ref(), |connection| &connection.spec.team_ref.name) {
            let share = self.share(&team);
            share.connections.insert(itself.name.clone());
            share.exposed.extend(exposed.map(|until| (itself.name.clone(), until)));
            share.grants.extend(grants.iter().map(|it| it.name.clone()));
            share.tokens.extend(tokens.iter().map(|it| it.name.clone()));
        }
    }

    /// The share of a Team, with the object among what contains it.
    fn share(&mut self, team: &NamespacedReference) -> &mut Share {
        let share = self.shares.entry(team.clone()).or_default();
        if share.contained.last() != Some(self.name) {
            share.contained.push(self.name.clone());
        }
        share
    }

    /// The Team of an object; of one that does not parse every Team of its namespace, which is one tenancy.
    fn teams<K: Resource<DynamicType = ()>>(
        &self,
        itself: &NamespacedReference,
        object: Option<&Arc<Guarded<K>>>,
        team: impl Fn(&K) -> &String,
    ) -> Vec<NamespacedReference> {
        match read(object) {
            Some(object) => {
                vec![NamespacedReference { namespace: itself.namespace.clone(), name: team(object).clone() }]
            }
            None => self.stores.teams_in(&itself.namespace).iter().map(|team| reference(team.meta())).collect(),
        }
    }
}

/// The applications and sellers that these objects, contained or not any more, give access to.
pub(super) fn reached<'a>(stores: &Stores, names: impl Iterator<Item = &'a Name>) -> Reached {
    let mut connections: BTreeSet<NamespacedReference> = BTreeSet::new();
    let mut applications: BTreeSet<NamespacedReference> = BTreeSet::new();
    for name in names {
        let itself = NamespacedReference { namespace: name.namespace.clone(), name: name.name.clone() };
        let of_scope = |scope: &crds::Scope| -> Vec<NamespacedReference> {
            let named = scope.connections.iter().cloned();
            named.map(|name| NamespacedReference { namespace: itself.namespace.clone(), name }).collect()
        };
        match name.kind {
            Kind::AmazonConnection => drop(connections.insert(itself)),
            Kind::AgentGrant => {
                let grant = stores.grants.get(&itself.namespace, &itself.name);
                connections.extend(read(grant.as_ref()).map(|it| of_scope(&it.spec.scope)).unwrap_or_default());
            }
            Kind::RuntimeToken => {
                let token = stores.runtime_tokens.get(&itself.namespace, &itself.name);
                connections.extend(read(token.as_ref()).map(|it| of_scope(&it.spec.scope)).unwrap_or_default());
            }
            Kind::Team | Kind::AmazonApplication => {
                connections.extend(stores.connections.looking_at(name).iter().map(|it| (**it).clone()));
                if name.kind == Kind::AmazonApplication {
                    applications.insert(itself);
                }
            }
            _ => {}
        }
    }
    let mut reached = Reached::default();
    for name in connections {
        let object = stores.connection(&name.namespace, &name.name);
        let Some(connection) = read(object.as_ref()) else { continue };
        applications.insert(connection.spec.application_ref.clone());
        reached.sellers.push(Seller::of(name, connection));
    }
    for name in applications {
        let object = stores.application(&name);
        let Some(application) = read(object.as_ref()) else { continue };
        reached.applications.push(Application { name, id: application.spec.application_id.clone() });
    }
    reached
}
