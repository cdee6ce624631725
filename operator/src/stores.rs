//! Everything reconcilers look at: one watch a kind, one store a kind, and word of what changed.
//!
//! The word is given after the store has it. With a watch per controller instead, a Team's event could reach the
//! connections' controller before the Team's store, and nothing would make it look again.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, SealedCredential,
    StoredCredential, Team,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    pin_mut,
    stream::BoxStream,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

/// Name of the ConfigMap that tells clients where the gateway is.
pub(crate) const GATEWAY_CONFIG: &str = "openteam-gateway";

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Team,
    AmazonApplication,
    AmazonConnection,
    AgentGrant,
    RuntimeToken,
    SealedCredential,
    StoredCredential,
    ConfigMap,
    Namespace,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An object that changed, came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) kind: Kind,
    /// Empty for a Namespace.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object that parsed, or what is known of one that did not.
pub(crate) type Guarded<K> = DeserializeGuard<K>;

/// Every watched object.
pub(crate) struct Stores {
    pub(crate) teams: Store<Guarded<Team>>,
    pub(crate) applications: Store<Guarded<AmazonApplication>>,
    pub(crate) connections: Store<Guarded<AmazonConnection>>,
    pub(crate) grants: Store<Guarded<AgentGrant>>,
    pub(crate) runtime_tokens: Store<Guarded<RuntimeToken>>,
    pub(crate) sealed: Store<Guarded<SealedCredential>>,
    pub(crate) stored: Store<Guarded<StoredCredential>>,
    gateway_configs: Store<Guarded<ConfigMap>>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    touched: broadcast::Sender<Option<Touched>>,
}

/// Changes that a slow controller may fall behind by, before it is told to look at everything.
const BACKLOG: usize = 4096;

impl Stores {
    /// The stores, still empty, and what fills them for as long as it is polled.
    pub(crate) fn watch(client: &Client) -> (Self, impl Future<Output = ()> + use<>) {
        let touched = broadcast::Sender::new(BACKLOG);
        let mut feeds = Vec::new();
        let gateway_config = watcher::Config::default().fields(&format!("metadata.name={GATEWAY_CONFIG}"));
        let stores = Self {
            teams: follow(client, Kind::Team, &touched, &mut feeds),
            applications: follow(client, Kind::AmazonApplication, &touched, &mut feeds),
            connections: follow(client, Kind::AmazonConnection, &touched, &mut feeds),
            grants: follow(client, Kind::AgentGrant, &touched, &mut feeds),
            runtime_tokens: follow(client, Kind::RuntimeToken, &touched, &mut feeds),
            sealed: follow(client, Kind::SealedCredential, &touched, &mut feeds),
            stored: follow(client, Kind::StoredCredential, &touched, &mut feeds),
            gateway_configs: {
                let stream = watcher(Api::<Guarded<ConfigMap>>::all(client.clone()), gateway_config);
                fill(stream.boxed(), Kind::ConfigMap, &touched, &mut feeds)
            },
            namespaces: {
                let stream =
                    watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), watcher::Config::default());
                fill(stream.boxed(), Kind::Namespace, &touched, &mut feeds)
            },
            touched,
        };
        (stores, join_all(feeds).map(drop))
    }

    /// Waits until every store has been filled once.
    pub(crate) async fn synced(&self) {
        // An error says that the feeds are gone, which ends the process elsewhere.
        let _ = tokio::join!(
            self.teams.wait_until_ready(),
            self.applications.wait_until_ready(),
            self.connections.wait_until_ready(),
            self.grants.wait_until_ready(),
            self.runtime_tokens.wait_until_ready(),
            self.sealed.wait_until_ready(),
            self.stored.wait_until_ready(),
            self.gateway_configs.wait_until_ready(),
            self.namespaces.wait_until_ready(),
        );
    }

    /// Word of every change from now on; `None` is for "anything".
    pub(crate) fn changes(&self) -> broadcast::Receiver<Option<Touched>> {
        self.touched.subscribe()
    }

    pub(crate) fn team(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<Team>>> {
        self.teams.get(&ObjectRef::new(name).within(namespace))
    }

    pub(crate) fn application(&self, name: &NamespacedReference) -> Option<Arc<Guarded<AmazonApplication>>> {
        self.applications.get(&ObjectRef::new(&name.name).within(&name.namespace))
    }

    pub(crate) fn connection(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<AmazonConnection>>> {
        self.connections.get(&ObjectRef::new(name).within(namespace))
    }

    /// A StoredCredential by its own name.
    pub(crate) fn stored(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<StoredCredential>>> {
        self.stored.get(&ObjectRef::new(name).within(namespace))
    }

    pub(crate) fn gateway_config(&self, namespace: &str) -> Option<Arc<Guarded<ConfigMap>>> {
        self.gateway_configs.get(&ObjectRef::new(GATEWAY_CONFIG).within(namespace))
    }

    /// Labels of a namespace.
    pub(crate) fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.and_then(|namespace| namespace.metadata.labels.clone()).unwrap_or_default()
    }
}

/// The object, where it could be read.
pub(crate) fn read<K>(guarded: Option<&Arc<Guarded<K>>>) -> Option<&K> {
    guarded?.0.as_ref().ok()
}

type Feeds = Vec<BoxFuture<'static, ()>>;

fn follow<K>(
    client: &Client,
    kind: Kind,
    touched: &broadcast::Sender<Option<Touched>>,
    feeds: &mut Feeds,
) -> Store<Guarded<K>>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher(Api::<Guarded<K>>::all(client.clone()), watcher::Config::default());
    fill(stream.boxed(), kind, touched, feeds)
}

fn fill<K>(
    stream: BoxStream<'static, watcher::Result<watcher::Event<K>>>,
    kind: Kind,
    touched: &broadcast::Sender<Option<Touched>>,
    feeds: &mut Feeds,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + Send + Sync + 'static,
{
    let mut writer = Writer::<K>::default();
    let store = writer.as_reader();
    let touched = touched.clone();
    feeds.push(
        async move {
            let stream = stream.default_backoff();
            pin_mut!(stream);
            while let Some(event) = stream.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        tracing::warn!(%kind, %error, "watch broke off and is opened again");
                        continue;
                    }
                };
                writer.apply_watcher_event(&event);
                let word = match &event {
                    watcher::Event::Apply(object) | watcher::Event::Delete(object) => Some(touch(kind, object)),
                    watcher::Event::InitDone => None,
                    watcher::Event::Init | watcher::Event::InitApply(_) => continue,
                };
                // Nobody listens before the controllers start; they look at everything then.
                let _ = touched.send(word);
            }
        }
        .boxed(),
    );
    store
}

fn touch<K: Resource<DynamicType = ()>>(kind: Kind, object: &K) -> Touched {
    let meta = object.meta();
    Touched { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}
