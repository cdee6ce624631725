//! Running a reconciler over every object of a kind that something touched.

use std::{convert::Infallible, pin::pin, sync::Arc};

use futures::{StreamExt, stream};
use kube::{
    Client, Resource,
    runtime::{
        applier,
        controller::{Action, Config, Error, ReconcileReason, ReconcileRequest},
        events::{Event, EventType},
        reflector::{ObjectRef, Store},
    },
};
use seal::{Keyset, PrivateKey};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    amazon_connection::Calls,
    error::{Class, Failures, ReconcileError},
    status::publish,
    stores::{Guarded, Kind, Stores, Touched},
};

/// What every reconciler has.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) stores: Stores,
    pub(crate) keyset: Keyset,
    pub(crate) sealing_keys: Vec<PrivateKey>,
    pub(crate) recorder: audit::Recorder,
    pub(crate) events: kube::runtime::events::Recorder,
    /// PEM of our own certificate authority.
    pub(crate) authority: String,
    /// The gateway's address, as clients use it.
    pub(crate) gateway_url: String,
    /// Whether applications may name other addresses than Amazon's.
    pub(crate) allow_endpoints: bool,
    pub(crate) calls: Calls,
    pub(crate) failures: Failures,
}

/// Passes over objects at the same time, a kind.
const CONCURRENCY: u16 = 16;

/// Reconciles every object of a kind at first, then those that a change concerns, until `shutdown`; passes under way are
/// then ended.
pub(crate) async fn run<K, R, F>(
    context: Arc<Context>,
    kind: Kind,
    store: Store<Guarded<K>>,
    concerns: fn(&Touched, &K) -> bool,
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
    let selected = store.clone();
    let requests = stream::once(async { None })
        .chain(changes)
        .flat_map(move |touched| stream::iter(requests(&selected, kind, concerns, touched)))
        .take_until(shutdown.cancelled_owned())
        .map(Ok::<_, Infallible>);
    let pass = move |guarded: Arc<Guarded<K>>, context: Arc<Context>| {
        let reconcile = reconcile.clone();
        Box::pin(async move {
            let label = label(kind, &ObjectRef::from_obj(&*guarded));
            match &guarded.0 {
                Ok(object) => {
                    let action = reconcile(context.clone(), object.clone()).await?;
                    context.failures.forget(&label);
                    Ok(action)
                }
                Err(invalid) => {
                    tracing::error!(object = label, error = %invalid.error, "object does not parse and is left alone");
                    let note = Some("it does not have the form its CRD demands: write it anew".to_owned());
                    let (reason, action) = ("Unreadable".to_owned(), "Read".to_owned());
                    let event = Event { type_: EventType::Warning, reason, note, action, secondary: None };
                    publish(&context, &*guarded, event).await;
                    Ok(Action::await_change())
                }
            }
        })
    };
    let policy = move |guarded: Arc<Guarded<K>>, error: &ReconcileError, context: Arc<Context>| {
        let object = label(kind, &ObjectRef::from_obj(&*guarded));
        let class = error.class();
        let again_in = context.failures.count(object.clone(), class);
        let cause = process::certificate::chain(error);
        if class == Class::Leaving {
            tracing::debug!(object, error = cause, "object not reconciled");
        } else {
            tracing::warn!(object, ?class, ?again_in, error = cause, "object not reconciled");
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
    concerns: fn(&Touched, &K) -> bool,
    touched: Option<Touched>,
) -> Vec<ReconcileRequest<Guarded<K>>> {
    let reason = ReconcileReason::Custom {
        reason: touched
            .as_ref()
            .map_or("anything".to_owned(), |it| format!("{} {}/{}", it.kind, it.namespace, it.name)),
    };
    let request = |obj_ref| ReconcileRequest { obj_ref, reason: reason.clone() };
    let chosen = |guarded: &Guarded<K>| match &touched {
        Some(it) => guarded.0.as_ref().is_ok_and(|object| concerns(it, object)),
        None => true,
    };
    let mut requests: Vec<_> =
        store.state_filter(chosen).iter().map(|guarded| request(ObjectRef::from_obj(&**guarded))).collect();
    if let Some(it) = touched.as_ref().filter(|it| it.kind == own) {
        requests.push(request(ObjectRef::new(&it.name).within(&it.namespace)));
    }
    requests
}
