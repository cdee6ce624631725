//! Running a reconciler over every object of a kind that something touched.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crds::NamespacedReference;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Client, Resource,
    runtime::{
        applier,
        controller::{Action, Config, Error, ReconcileReason, ReconcileRequest},
        reflector::{ObjectRef, Store},
    },
};
use process::{
    mail::{EmailAddress, Mailer},
    settings::Settings,
};
use seal::{Keyset, PrivateKey};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    amazon_connection::{Calls, Clients},
    client_secret::queue::Queues,
    error::{Class, Failures, ReconcileError},
    incident::mail::Outbox,
    metrics::Metrics,
    sealed_credential::Exchanges,
    spans::traced,
    status::{Applied, Event, publish_once},
    stores::{Guarded, Kind, Stores, Touched},
    subject::reference,
};

/// What every reconciler has.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) stores: Stores,
    pub(crate) keyset: Keyset,
    pub(crate) sealing_keys: Vec<PrivateKey>,
    pub(crate) recorder: audit::Recorder,
    /// What stands for e-mail addresses in events.
    pub(crate) digests: audit::DigestKey,
    /// The pod, which Events name.
    pub(crate) pod: String,
    /// When this process began to lead.
    pub(crate) leading_since: Timestamp,
    /// PEM of our own certificate authority.
    pub(crate) authority: String,
    /// The gateway's address, as clients use it.
    pub(crate) gateway_url: String,
    /// The portal's address, without a trailing slash.
    pub(crate) portal_url: String,
    /// Whether applications may name other addresses than Amazon's.
    pub(crate) allow_endpoints: bool,
    pub(crate) amazon: amazon::PerBundle<Clients>,
    pub(crate) calls: Calls,
    pub(crate) exchanges: Exchanges,
    pub(crate) queues: Queues,
    pub(crate) failures: Failures,
    pub(crate) unreadable: Unreadable,
    pub(crate) applied: Applied,
    pub(crate) metrics: Metrics,
    pub(crate) mailer: Mailer,
    pub(crate) contacts: Contacts,
    pub(crate) outbox: Outbox,
}

/// Whom the settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contacts {
    /// Is mailed about every incident.
    pub(crate) incidents: Option<EmailAddress>,
    /// Where Amazon wants to be told of one. Not mailed.
    pub(crate) amazon: Option<EmailAddress>,
}

impl Contacts {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { incidents: settings.incident_contact.clone(), amazon: settings.amazon_contact.clone() }
    }
}

/// The version of each object that does not parse, as it was last told.
#[derive(Default)]
pub(crate) struct Unreadable(Mutex<HashMap<String, Option<String>>>);

impl Unreadable {
    /// Whether this version of an object was not told yet; now it was.
    fn is_new(&self, label: &str, meta: &ObjectMeta) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(label.to_owned(), meta.resource_version.clone()).as_ref() != Some(&meta.resource_version)
    }
}

/// Passes over objects at the same time, a kind. Most of a pass that does something is waiting: for the recorder's disk, for
/// Amazon, for the apiserver.
const CONCURRENCY: u16 = 64;

/// Every object is looked at again without a reason so often, all at once: a timer for each would be most of the memory
/// that the operator needs. Looking costs no call to anyone.
pub(crate) const RECHECK: Duration = Duration::from_secs(600);

/// Why an object is left alone that does not parse.
const UNREADABLE: &str = "Unreadable";

/// The objects of a kind that a change of another object concerns.
pub(crate) type Affected = fn(&Stores, &Touched) -> Vec<Arc<NamespacedReference>>;

/// Reconciles every object of a kind at first, then those that a change concerns, until `shutdown`; passes under way are
/// then ended.
pub(crate) async fn run<K, R, F>(
    context: Arc<Context>,
    kind: Kind,
    store: Store<Guarded<K>>,
    affected: Affected,
    reconcile: R,
    shutdown: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    R: Fn(Arc<Context>, K) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Action, ReconcileError>> + Send,
{
    let changes = stream::unfold(context.stores.changes(), |mut changes| async move {
        match changes.recv().await {
            Ok(touched) => Some((touched, changes)),
            Err(RecvError::Lagged(_)) => Some((None, changes)),
            Err(RecvError::Closed) => None,
        }
    });
    let again = stream::unfold((), |()| async { Some((None, tokio::time::sleep(RECHECK).await)) });
    let (selected, stores) = (store.clone(), context.clone());
    let requests = stream::once(async { None })
        .chain(stream::select(again, changes))
        .flat_map(move |touched| stream::iter(requests(&selected, kind, &stores.stores, affected, touched)))
        .take_until(shutdown.cancelled_owned())
        .map(Ok::<_, Infallible>);
    let pass = move |guarded: Arc<Guarded<K>>, context: Arc<Context>| {
        let reconcile = traced(kind, reconcile.clone());
        Box::pin(async move {
            let label = label(kind, &ObjectRef::from_obj(&*guarded));
            match &guarded.0 {
                Ok(object) => {
                    let began = Instant::now();
                    let done = reconcile(context.clone(), object.clone()).await;
                    context.metrics.reconciled(kind, done.as_ref().map(drop), began.elapsed().as_secs_f64());
                    if done.is_ok() {
                        context.failures.forget(&label);
                    }
                    done
                }
                Err(invalid) => {
                    if context.unreadable.is_new(&label, guarded.meta()) {
                        tracing::error!(
                            %kind,
                            object = %reference(guarded.meta()),
                            error = %invalid.error,
                            "object does not parse and is left alone"
                        );
                        let note = Some("it does not have the form its CRD demands: write it anew".to_owned());
                        let (reason, action) = (UNREADABLE.to_owned(), "Read".to_owned());
                        publish_once(&context, &*guarded, Event { warns: true, reason, note, action }).await;
                        // Which object, the Event and the log tell: of one that does not parse not even its Team is known.
                        let reason = audit::Reason::new(UNREADABLE);
                        context.recorder.record_later(audit::Fault::Unexpected { reason, target: None });
                    }
                    Ok(Action::await_change())
                }
            }
        })
    };
    let policy = move |guarded: Arc<Guarded<K>>, error: &ReconcileError, context: Arc<Context>| {
        let object = reference(guarded.meta());
        let class = error.class();
        let again_in = context.failures.count(label(kind, &ObjectRef::from_obj(&*guarded)), class);
        let cause = process::certificate::chain(error);
        if class == Class::Leaving {
            tracing::debug!(%kind, %object, error = cause, "object not reconciled");
        } else {
            tracing::warn!(%kind, %object, class = class.as_str(), ?again_in, error = cause, "object not reconciled");
        }
        Action::requeue(again_in)
    };
    let failures = context.clone();
    let config = Config::default().concurrency(CONCURRENCY);
    let mut passes = pin!(applier(pass, policy, context, store, requests, config));
    while let Some(done) = passes.next().await {
        match done {
            // An error of a pass was logged where its delay was decided.
            Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
            Err(Error::ObjectNotFound(gone)) => {
                let gone =
                    ObjectRef::<Guarded<K>>::new(&gone.name).within(gone.namespace.as_deref().unwrap_or_default());
                failures.failures.forget(&label(kind, &gone));
                let namespace = gone.namespace.clone().unwrap_or_default();
                failures.applied.forget(&NamespacedReference { namespace, name: gone.name }, kind.as_str());
            }
            Err(Error::QueueError(never)) => match never {},
            Err(Error::RunnerError(error)) => return tracing::error!(%kind, %error, "controller ended"),
        }
    }
}

fn label<K: Resource<DynamicType = ()>>(kind: Kind, object: &ObjectRef<K>) -> String {
    format!("{kind} {}/{}", object.namespace.as_deref().unwrap_or_default(), object.name)
}

fn requests<K: Resource<DynamicType = ()> + Clone + 'static>(
    store: &Store<Guarded<K>>,
    own: Kind,
    stores: &Stores,
    affected: Affected,
    touched: Option<Touched>,
) -> Vec<ReconcileRequest<Guarded<K>>> {
    let Some(touched) = touched else {
        let request = |guarded: &Arc<Guarded<K>>| ReconcileRequest {
            obj_ref: ObjectRef::from_obj(&**guarded),
            reason: ReconcileReason::Unknown,
        };
        return store.state().iter().map(request).collect();
    };
    let request = |namespace: &str, name: &str| ReconcileRequest {
        obj_ref: ObjectRef::new(name).within(namespace),
        reason: ReconcileReason::Custom { reason: touched.name.kind.to_string() },
    };
    let mut requests: Vec<_> = affected(stores, &touched).iter().map(|it| request(&it.namespace, &it.name)).collect();
    if touched.name.kind == own {
        requests.push(request(&touched.name.namespace, &touched.name.name));
    }
    requests
}

#[cfg(test)]
mod tests;
