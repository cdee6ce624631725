//! What the portal watches besides what decisions look at: inputs of connections, and Incidents. Ciphertexts are not kept.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crds::{
    CredentialField, CredentialOwnerKind, Incident, NamespacedReference, SealedCredential, SealedCredentialStatus,
};
use jiff::Timestamp;
use kube::ResourceExt;
use process::watch::{Change, Seen};
use tokio::sync::watch as channel;

/// An input of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) field: CredentialField,
    pub(crate) created: Timestamp,
    pub(crate) status: SealedCredentialStatus,
}

/// By connection, then by the input's own name.
type OfConnections = HashMap<NamespacedReference, HashMap<String, Input>>;

/// What was last seen.
#[derive(Default)]
pub(crate) struct Inputs {
    inputs: RwLock<OfConnections>,
    incidents: RwLock<HashMap<String, Arc<Incident>>>,
    changes: channel::Sender<()>,
}

impl Inputs {
    /// The newest input of a connection.
    pub(crate) fn newest(&self, connection: &NamespacedReference) -> Option<Input> {
        let inputs = self.inputs.read().unwrap_or_else(PoisonError::into_inner);
        inputs.get(connection)?.values().max_by_key(|input| input.created).cloned()
    }

    /// Tells when an input changed.
    pub(crate) fn changes(&self) -> channel::Receiver<()> {
        self.changes.subscribe()
    }

    /// An Incident by name.
    pub(crate) fn incident(&self, name: &str) -> Option<Arc<Incident>> {
        self.incidents.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn apply_input(&self, change: Change<SealedCredential>) {
        self.keep(change);
        self.changes.send_replace(());
    }

    fn keep(&self, change: Change<SealedCredential>) {
        let mut inputs = self.inputs.write().unwrap_or_else(PoisonError::into_inner);
        match change.without_leaving() {
            Change::All(all) => {
                inputs.clear();
                all.into_iter().for_each(|seen| keep(&mut inputs, seen));
            }
            Change::Applied(seen) => keep(&mut inputs, seen),
            Change::Deleted(Ok(gone)) => {
                if let Some((connection, name)) = of_connection(&gone)
                    && let Some(own) = inputs.get_mut(&connection)
                {
                    own.remove(&name);
                    if own.is_empty() {
                        inputs.remove(&connection);
                    }
                }
            }
            Change::Deleted(Err(_)) => {}
        }
    }

    pub(crate) fn apply_incident(&self, change: Change<Incident>) {
        let mut incidents = self.incidents.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::All(all) => {
                *incidents = all.into_iter().flatten().map(|one| (one.name_any(), Arc::new(one))).collect();
            }
            Change::Applied(Ok(one)) => drop(incidents.insert(one.name_any(), Arc::new(one))),
            Change::Deleted(Ok(one)) => drop(incidents.remove(&one.name_any())),
            Change::Applied(Err(_)) | Change::Deleted(Err(_)) => {}
        }
    }
}

fn keep(inputs: &mut OfConnections, seen: Seen<SealedCredential>) {
    let Ok(sealed) = seen else { return };
    let Some((connection, name)) = of_connection(&sealed) else { return };
    let created = sealed.creation_timestamp().map(|created| created.0).unwrap_or_default();
    let input = Input { field: sealed.spec.field, created, status: sealed.status.unwrap_or_default() };
    inputs.entry(connection).or_default().insert(name, input);
}

/// The connection that an input is for, and the input's name.
fn of_connection(sealed: &SealedCredential) -> Option<(NamespacedReference, String)> {
    let of = &sealed.spec.r#for;
    let namespace = sealed.namespace()?;
    (of.kind == CredentialOwnerKind::AmazonConnection)
        .then(|| (NamespacedReference { namespace, name: of.name.clone() }, sealed.name_any()))
}
