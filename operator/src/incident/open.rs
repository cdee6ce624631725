//! Makes the Incidents that annotations name and that are missing.
//!
//! Beside the reconcilers, not in them: an object that does not parse is contained too, and no reconciler sees it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crds::{Incident, is_incident_name};
use kube::{Api, api::PostParams};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    contained::Contained,
    controller::{Context, RECHECK},
    dependents::Name,
    error::{Class, ReconcileError},
    status::{Event, MANAGER, publish_about},
    stores::{Kind, Touched},
};

/// Runs until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let changes = context.stores.changes();
    let opener = Opener { context, made: HashSet::new(), told: HashMap::new(), due: Instant::now() };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = opener.run(changes) => {}
    }
}

struct Opener {
    context: Arc<Context>,
    /// Incidents that were made and that the watch has not brought yet.
    made: HashSet<String>,
    /// The version of each object whose annotation names what cannot be an Incident, as it was last told.
    told: HashMap<Name, Option<String>>,
    /// When everything is looked at again: in time, or after a failure.
    due: Instant,
}

impl Opener {
    async fn run(mut self, mut changes: Receiver<Option<Touched>>) {
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = tokio::time::sleep_until(self.due) => Ok(None),
            };
            let contained = match change {
                Ok(Some(touched)) if touched.name.kind == Kind::Incident => {
                    self.made.remove(&touched.name.name);
                    self.named(&touched.name.name)
                }
                Ok(Some(touched)) => self.context.stores.contained_at(&touched.name).into_iter().collect(),
                Ok(None) | Err(RecvError::Lagged(_)) => {
                    self.due = Instant::now() + RECHECK;
                    self.made.clear();
                    self.context.stores.contained()
                }
                Err(RecvError::Closed) => return,
            };
            for object in contained {
                self.open(&object).await;
            }
        }
    }

    /// One of those that name an Incident is enough to make it.
    fn named(&self, incident: &str) -> Vec<Contained> {
        let stores = &self.context.stores;
        stores.contained_by(incident).iter().find_map(|name| stores.contained_at(name)).into_iter().collect()
    }

    /// Makes what an annotation names.
    async fn open(&mut self, object: &Contained) {
        let (names, others): (Vec<_>, Vec<_>) = object.incidents.iter().partition(|name| is_incident_name(name));
        for name in names {
            if self.context.stores.incident(name).is_none() && !self.made.contains(name) {
                self.make(name).await;
            }
        }
        if !others.is_empty() {
            self.tell(object, &others).await;
        }
    }

    async fn make(&mut self, name: &str) {
        let context = &self.context;
        let api: Api<Incident> = Api::namespaced(context.client.clone(), &context.stores.system);
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let label = format!("Incident {}/{name}", context.stores.system);
        match api.create(&parameters, &Incident::new(name, Default::default())).await {
            Ok(_) => tracing::info!(incident = name, "incident opened"),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => {
                let error = ReconcileError::about(label.clone())(error);
                let class = error.class();
                let again_in = context.failures.count(label, class);
                if class != Class::Leaving {
                    let cause = process::certificate::chain(&error);
                    tracing::warn!(incident = name, ?again_in, error = cause, "incident not opened");
                }
                self.due = self.due.min(Instant::now() + again_in);
                return;
            }
        }
        context.failures.forget(&label);
        self.made.insert(name.to_owned());
    }

    /// Tells once a version of the object that no Incident is made, and why.
    async fn tell(&mut self, object: &Contained, names: &[&String]) {
        if self.told.insert(object.name.clone(), object.version.clone()).as_ref() == Some(&object.version) {
            return;
        }
        let note = format!(
            "openteam.dev/disable contains it, but names {names:?}, of which no Incident can be made: name it with lower \
             case letters, digits, '-' and '.', at most 63"
        );
        let (reason, action) = ("IncidentNotMade".to_owned(), "Open".to_owned());
        let event = Event { warns: true, reason, note: Some(note), action };
        publish_about(&self.context, object.reference.clone(), object.version.as_deref(), event).await;
    }
}

#[cfg(test)]
mod tests;
