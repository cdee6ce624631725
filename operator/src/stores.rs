//! Everything reconcilers look at: one watch a kind, one store a kind, and word of what changed.
//!
//! The word is given after the store has it. With a watch per controller instead, a Team's event could reach the
//! connections' controller before the Team's store, and nothing would make it look again.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, CredentialOwner, CredentialOwnerKind, Incident,
    NamespacedReference, RuntimeToken, SealedCredential, StoredCredential, Team, annotation,
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

use crate::{
    dependents::{Dependents, Name},
    incident, sealed_credential,
    subject::reference,
};

/// Name of the ConfigMap that tells clients where the gateway is.
pub(crate) const GATEWAY_CONFIG: &str = "openteam-gateway";

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Team,
    AmazonApplication,
    AmazonConnection,
    AgentGrant,
    RuntimeToken,
    SealedCredential,
    StoredCredential,
    Incident,
    ConfigMap,
    Namespace,
}

impl Kind {
    /// Its name in metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "Team",
            Self::AmazonApplication => "AmazonApplication",
            Self::AmazonConnection => "AmazonConnection",
            Self::AgentGrant => "AgentGrant",
            Self::RuntimeToken => "RuntimeToken",
            Self::SealedCredential => "SealedCredential",
            Self::StoredCredential => "StoredCredential",
            Self::Incident => "Incident",
            Self::ConfigMap => "ConfigMap",
            Self::Namespace => "Namespace",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An object that changed, came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) name: Name,
    /// What it holds a credential of, in its namespace.
    pub(crate) of: Option<CredentialOwner>,
}

/// What a watch keeps of an object, and whom it concerns.
pub(crate) trait Watched {
    /// The objects whose change concerns it, beside those that hold its credentials.
    fn looks_at(&self) -> Vec<Name> {
        Vec::new()
    }

    /// What it holds a credential of.
    fn of(&self) -> Option<&CredentialOwner> {
        None
    }

    /// Takes off what is long and not needed now.
    fn shorten(&mut self) {}
}

impl Watched for Team {
    /// Teams of a namespace share the ownership of its ConfigMap.
    fn looks_at(&self) -> Vec<Name> {
        vec![Name::namespace(self.metadata.namespace.as_deref())]
    }
}

impl Watched for AmazonApplication {}

impl Watched for AmazonConnection {
    fn looks_at(&self) -> Vec<Name> {
        let (namespace, application) = (self.metadata.namespace.as_deref(), &self.spec.application_ref);
        vec![
            Name::new(Kind::Team, namespace, &self.spec.team_ref.name),
            Name::new(Kind::AmazonApplication, Some(&application.namespace), &application.name),
            Name::namespace(namespace),
        ]
    }
}

/// What a scope in a namespace hangs from.
fn of_scope(namespace: Option<&str>, team: &str, scope: &crds::Scope) -> Vec<Name> {
    let connections = scope.connections.iter().map(|name| Name::new(Kind::AmazonConnection, namespace, name));
    connections.chain([Name::new(Kind::Team, namespace, team)]).collect()
}

impl Watched for AgentGrant {
    fn looks_at(&self) -> Vec<Name> {
        of_scope(self.metadata.namespace.as_deref(), &self.spec.team_ref.name, &self.spec.scope)
    }
}

impl Watched for RuntimeToken {
    fn looks_at(&self) -> Vec<Name> {
        of_scope(self.metadata.namespace.as_deref(), &self.spec.team_ref.name, &self.spec.scope)
    }
}

impl Watched for SealedCredential {
    fn looks_at(&self) -> Vec<Name> {
        vec![owner_name(self.metadata.namespace.as_deref(), &self.spec.r#for)]
    }

    fn of(&self) -> Option<&CredentialOwner> {
        Some(&self.spec.r#for)
    }

    fn shorten(&mut self) {
        sealed_credential::shorten(self);
    }
}

impl Watched for StoredCredential {
    fn of(&self) -> Option<&CredentialOwner> {
        Some(&self.spec.r#for)
    }
}

impl Watched for Incident {
    fn looks_at(&self) -> Vec<Name> {
        self.status.iter().flat_map(|status| &status.targets).filter_map(incident::name_of).collect()
    }
}

impl Watched for ConfigMap {}

impl Watched for PartialObjectMeta<Namespace> {}

impl<K: Watched + Resource<DynamicType = ()>> Watched for Guarded<K> {
    /// Beside what it says itself the Incidents that contain it, which its annotation tells even where the rest does not
    /// parse.
    fn looks_at(&self) -> Vec<Name> {
        let mut names = self.0.as_ref().map(K::looks_at).unwrap_or_default();
        names.extend(annotation::incidents(self.meta()).iter().flatten().map(|name| Name::incident(name)));
        names
    }

    fn of(&self) -> Option<&CredentialOwner> {
        self.0.as_ref().ok()?.of()
    }

    fn shorten(&mut self) {
        if let Ok(object) = &mut self.0 {
            object.shorten();
        }
    }
}

/// The name of what a credential is for.
pub(crate) fn owner_name(namespace: Option<&str>, owner: &CredentialOwner) -> Name {
    let kind = match owner.kind {
        CredentialOwnerKind::AmazonApplication => Kind::AmazonApplication,
        CredentialOwnerKind::AmazonConnection => Kind::AmazonConnection,
    };
    Name::new(kind, namespace, &owner.name)
}

/// An object that parsed, or what is known of one that did not.
pub(crate) type Guarded<K> = DeserializeGuard<K>;

/// The objects of a kind, and which of them look at what.
pub(crate) struct Objects<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    dependents: Arc<Dependents>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Clone for Objects<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), dependents: self.dependents.clone() }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Objects<K> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    pub(crate) fn store(&self) -> &Store<K> {
        &self.store
    }

    /// Those that look at `name`.
    pub(crate) fn looking_at(&self, name: &Name) -> Vec<Arc<NamespacedReference>> {
        self.dependents.of(name)
    }
}

/// Every watched object.
pub(crate) struct Stores {
    pub(crate) teams: Objects<Guarded<Team>>,
    pub(crate) applications: Objects<Guarded<AmazonApplication>>,
    pub(crate) connections: Objects<Guarded<AmazonConnection>>,
    pub(crate) grants: Objects<Guarded<AgentGrant>>,
    pub(crate) runtime_tokens: Objects<Guarded<RuntimeToken>>,
    pub(crate) sealed: Objects<Guarded<SealedCredential>>,
    pub(crate) stored: Objects<Guarded<StoredCredential>>,
    pub(crate) incidents: Objects<Guarded<Incident>>,
    /// OpenTeam's own namespace, where Incidents are.
    pub(crate) system: String,
    gateway_configs: Objects<Guarded<ConfigMap>>,
    namespaces: Objects<PartialObjectMeta<Namespace>>,
    touched: broadcast::Sender<Option<Touched>>,
}

/// Changes that a slow controller may fall behind by, before it is told to look at everything.
const BACKLOG: usize = 4096;

impl Stores {
    /// The stores, still empty, and what fills them for as long as it is polled. `system` is OpenTeam's own namespace.
    pub(crate) fn watch(client: &Client, system: &str) -> (Self, impl Future<Output = ()> + use<>) {
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
            incidents: {
                let api = Api::<Guarded<Incident>>::namespaced(client.clone(), system);
                fill(watcher(api, watcher::Config::default()).boxed(), Kind::Incident, &touched, &mut feeds)
            },
            system: system.to_owned(),
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
            self.teams.store.wait_until_ready(),
            self.applications.store.wait_until_ready(),
            self.connections.store.wait_until_ready(),
            self.grants.store.wait_until_ready(),
            self.runtime_tokens.store.wait_until_ready(),
            self.sealed.store.wait_until_ready(),
            self.stored.store.wait_until_ready(),
            self.incidents.store.wait_until_ready(),
            self.gateway_configs.store.wait_until_ready(),
            self.namespaces.store.wait_until_ready(),
        );
    }

    /// Word of every change from now on; `None` is for "anything".
    pub(crate) fn changes(&self) -> broadcast::Receiver<Option<Touched>> {
        self.touched.subscribe()
    }

    /// Has an object looked at as if it had changed.
    pub(crate) fn look_again(&self, name: Name) {
        // Nobody listens before the controllers start, who look at everything then, nor when the process ends.
        let _ = self.touched.send(Some(Touched { name, of: None }));
    }

    pub(crate) fn team(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<Team>>> {
        self.teams.get(namespace, name)
    }

    pub(crate) fn application(&self, name: &NamespacedReference) -> Option<Arc<Guarded<AmazonApplication>>> {
        self.applications.get(&name.namespace, &name.name)
    }

    pub(crate) fn connection(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<AmazonConnection>>> {
        self.connections.get(namespace, name)
    }

    /// A StoredCredential by its own name.
    pub(crate) fn stored(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<StoredCredential>>> {
        self.stored.get(namespace, name)
    }

    /// An Incident.
    pub(crate) fn incident(&self, name: &str) -> Option<Arc<Guarded<Incident>>> {
        self.incidents.get(&self.system, name)
    }

    /// The inputs for one object.
    pub(crate) fn inputs(&self, namespace: &str, of: &CredentialOwner) -> Vec<Arc<Guarded<SealedCredential>>> {
        let names = self.sealed.looking_at(&owner_name(Some(namespace), of));
        names.iter().filter_map(|name| self.sealed.get(&name.namespace, &name.name)).collect()
    }

    /// When the newest RuntimeToken was created of those that look at a Team or connection, by the apiserver's clock.
    pub(crate) fn newest_token(&self, name: &Name) -> Option<jiff::Timestamp> {
        let names = self.runtime_tokens.looking_at(name);
        let tokens = names.iter().filter_map(|name| self.runtime_tokens.get(&name.namespace, &name.name));
        tokens.filter_map(|token| token.meta().creation_timestamp.as_ref().map(|created| created.0)).max()
    }

    /// The Teams of a namespace.
    pub(crate) fn teams_in(&self, namespace: &str) -> Vec<Arc<Guarded<Team>>> {
        let names = self.teams.looking_at(&Name::namespace(Some(namespace)));
        names.iter().filter_map(|name| self.teams.get(&name.namespace, &name.name)).collect()
    }

    pub(crate) fn gateway_config(&self, namespace: &str) -> Option<Arc<Guarded<ConfigMap>>> {
        self.gateway_configs.get(namespace, GATEWAY_CONFIG)
    }

    /// Labels of a namespace.
    pub(crate) fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let found = self.namespaces.store.get(&ObjectRef::new(namespace));
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
) -> Objects<Guarded<K>>
where
    K: Watched + Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher(Api::<Guarded<K>>::all(client.clone()), watcher::Config::default());
    fill(stream.boxed(), kind, touched, feeds)
}

fn fill<K>(
    stream: BoxStream<'static, watcher::Result<watcher::Event<K>>>,
    kind: Kind,
    touched: &broadcast::Sender<Option<Touched>>,
    feeds: &mut Feeds,
) -> Objects<K>
where
    K: Watched + Resource<DynamicType = ()> + Clone + fmt::Debug + Send + Sync + 'static,
{
    let mut writer = Writer::<K>::default();
    let objects = Objects { store: writer.as_reader(), dependents: Arc::default() };
    let touched = touched.clone();
    let Objects { store, dependents } = objects.clone();
    feeds.push(
        async move {
            let stream = stream.default_backoff().modify(slim);
            pin_mut!(stream);
            while let Some(event) = stream.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        tracing::warn!(%kind, %error, "watch broke off and is opened again");
                        continue;
                    }
                };
                let before = match &event {
                    watcher::Event::Apply(object) | watcher::Event::Delete(object) => {
                        store.get(&ObjectRef::from_obj(object))
                    }
                    _ => None,
                };
                writer.apply_watcher_event(&event);
                let word = match &event {
                    watcher::Event::Apply(object) => {
                        let looked_at = before.as_ref().map(|before| before.looks_at()).unwrap_or_default();
                        dependents.replace(&reference(object.meta()), &looked_at, &object.looks_at());
                        Some(touch(kind, object))
                    }
                    watcher::Event::Delete(object) => {
                        let looked_at = before.as_ref().map(|before| before.looks_at()).unwrap_or_default();
                        dependents.replace(&reference(object.meta()), &looked_at, &[]);
                        Some(touch(kind, object))
                    }
                    watcher::Event::InitDone => {
                        let all = store.state();
                        dependents.rebuild(all.iter().map(|object| (reference(object.meta()), object.looks_at())));
                        None
                    }
                    watcher::Event::Init | watcher::Event::InitApply(_) => continue,
                };
                // Nobody listens before the controllers start; they look at everything then.
                let _ = touched.send(word);
            }
        }
        .boxed(),
    );
    objects
}

fn slim<K: Watched + Resource<DynamicType = ()>>(object: &mut K) {
    object.shorten();
    process::watch::slim(object.meta_mut());
}

fn touch<K: Watched + Resource<DynamicType = ()>>(kind: Kind, object: &K) -> Touched {
    let meta = object.meta();
    let name = Name::new(kind, meta.namespace.as_deref(), meta.name.as_deref().unwrap_or_default());
    Touched { name, of: object.of().cloned() }
}
