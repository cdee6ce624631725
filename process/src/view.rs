//! The index that decisions look at, kept current by watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use access::{Entry, Index, Objects};
use arc_swap::ArcSwap;
use crds::{AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, Team};
use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, ResourceExt, core::DeserializeGuard};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::MetricType,
};
use rpds::RedBlackTreeMapSync;
use serde::de::DeserializeOwned;
use tokio::{sync::watch as channel, task::JoinSet};

use crate::{
    currency::Currency,
    watch::{Change, Seen, watch},
};

/// The view is older than it may be, or nothing was seen yet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the view of {kind} is {}", age.map_or("not loaded yet".to_owned(), |age| format!("{} s old", age.as_secs())))]
pub struct Stale {
    /// The kind whose view is the oldest.
    pub kind: &'static str,
    /// How old it is at most; `None` before it was first seen.
    pub age: Option<Duration>,
}

/// What one process knows of the cluster.
pub struct View {
    index: ArcSwap<Index>,
    /// One writer at a time; readers never wait.
    writing: Mutex<()>,
    currencies: Mutex<Vec<(&'static str, Arc<Currency>)>>,
    changes: channel::Sender<u64>,
}

impl View {
    /// Starts to watch everything that decisions depend on, in tasks of `tasks`.
    pub fn start(client: &Client, tasks: &mut JoinSet<()>) -> Arc<Self> {
        let view = Arc::new(Self {
            index: ArcSwap::default(),
            writing: Mutex::new(()),
            currencies: Mutex::default(),
            changes: channel::Sender::new(0),
        });
        view.objects::<Team>(client, tasks, "Team", |index| &mut index.teams);
        view.objects::<AmazonApplication>(client, tasks, "AmazonApplication", |index| &mut index.applications);
        view.objects::<AmazonConnection>(client, tasks, "AmazonConnection", |index| &mut index.connections);
        view.objects::<AgentGrant>(client, tasks, "AgentGrant", |index| &mut index.grants);
        view.objects::<RuntimeToken>(client, tasks, "RuntimeToken", |index| &mut index.runtime_tokens);
        let shared = view.clone();
        view.follow::<Namespace>(client, tasks, "Namespace", move |change| {
            shared.update(|index| apply_namespaces(&mut index.namespaces, change));
        });
        view
    }

    /// Watches one more kind, whose currency counts like the others'.
    pub fn follow<K>(
        &self,
        client: &Client,
        tasks: &mut JoinSet<()>,
        kind: &'static str,
        changed: impl FnMut(Change<K>) + Send + 'static,
    ) where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.follow_by(Api::all(client.clone()), tasks, kind, changed);
    }

    /// The same of what an `api` reaches, such as one namespace.
    pub fn follow_by<K>(
        &self,
        api: Api<DeserializeGuard<K>>,
        tasks: &mut JoinSet<()>,
        kind: &'static str,
        changed: impl FnMut(Change<K>) + Send + 'static,
    ) where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let currency = Arc::new(Currency::default());
        self.currencies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((kind, currency.clone()));
        tasks.spawn(watch(api, currency, changed));
    }

    fn objects<K>(
        self: &Arc<Self>,
        client: &Client,
        tasks: &mut JoinSet<()>,
        kind: &'static str,
        of: fn(&mut Index) -> &mut Objects<K>,
    ) where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let view = self.clone();
        self.follow::<K>(client, tasks, kind, move |change| {
            view.update(|index| apply(kind, of(index), change));
        });
    }

    fn update(&self, change: impl FnOnce(&mut Index)) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut index = Index::clone(&self.index.load());
        change(&mut index);
        self.index.store(Arc::new(index));
        self.changes.send_modify(|n| *n += 1);
    }

    /// The index, if every kind was proven current within `limit`.
    ///
    /// # Errors
    /// The kind that is the furthest behind.
    pub fn current(&self, limit: Duration) -> Result<Arc<Index>, Stale> {
        let oldest = {
            let now = Instant::now();
            let currencies = self.currencies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            currencies
                .iter()
                .map(|(kind, currency)| (*kind, currency.age(now)))
                .max_by_key(|(_, age)| age.unwrap_or(Duration::MAX))
        };
        match oldest {
            // Loaded after the ages were read, so that it holds all that they were proven by. The other way round a
            // thread that was held up in between would answer from an old index with the age of a new one.
            Some((_, Some(age))) if age <= limit => Ok(self.index.load_full()),
            Some((kind, age)) => Err(Stale { kind, age }),
            None => Err(Stale { kind: "everything", age: None }),
        }
    }

    /// The index, however old; for what is no decision.
    #[must_use]
    pub fn latest(&self) -> Arc<Index> {
        self.index.load_full()
    }

    /// Tells when anything changed; for answers that stream while an incident begins.
    #[must_use]
    pub fn changes(&self) -> channel::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKindParsed {
    kind: &'static str,
    parsed: &'static str,
}

/// How many of these were read, and how many were not.
fn counted<K>(objects: &Objects<K>) -> (usize, usize) {
    let read = objects.values().filter(|entry| entry.read().is_some()).count();
    (read, objects.size() - read)
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("View")
    }
}

/// How old the view of each kind is, and what is in it, worked out at each scrape.
impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = Instant::now();
        let watched: Vec<_> = {
            let currencies = self.currencies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            currencies.iter().map(|(kind, currency)| (*kind, currency.age(now), currency.version())).collect()
        };
        let mut family = encoder.encode_descriptor(
            "view_age_seconds",
            "How old the view of a kind is at most; infinite before it was first seen",
            None,
            MetricType::Gauge,
        )?;
        for (kind, age, _) in &watched {
            let seconds = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
            family.encode_family(&OfKind { kind })?.encode_gauge(&seconds)?;
        }
        let mut family = encoder.encode_descriptor(
            "view_version",
            "The resourceVersion up to which the view of a kind has every change",
            None,
            MetricType::Gauge,
        )?;
        for (kind, _, version) in &watched {
            let version = i64::try_from(*version).unwrap_or(i64::MAX);
            family.encode_family(&OfKind { kind })?.encode_gauge(&version)?;
        }
        let index = self.latest();
        let mut family = encoder.encode_descriptor(
            "view_objects",
            "Objects in the view; what depends on one that does not parse is refused",
            None,
            MetricType::Gauge,
        )?;
        for (kind, (read, unreadable)) in [
            ("Team", counted(&index.teams)),
            ("AmazonApplication", counted(&index.applications)),
            ("AmazonConnection", counted(&index.connections)),
            ("AgentGrant", counted(&index.grants)),
            ("RuntimeToken", counted(&index.runtime_tokens)),
        ] {
            for (parsed, count) in [("true", read), ("false", unreadable)] {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                family.encode_family(&OfKindParsed { kind, parsed })?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }
}

fn apply<K: kube::Resource<DynamicType = ()>>(kind: &'static str, objects: &mut Objects<K>, change: Change<K>) {
    match change.without_leaving() {
        Change::All(all) => *objects = all.into_iter().filter_map(|seen| entry(kind, seen)).collect(),
        Change::Applied(seen) => {
            if let Some((name, entry)) = entry(kind, seen) {
                objects.insert_mut(name, entry);
            }
        }
        Change::Deleted(seen) => {
            if let Some((name, _)) = entry(kind, seen) {
                objects.remove_mut(&name);
            }
        }
    }
}

fn entry<K: kube::Resource<DynamicType = ()>>(
    kind: &'static str,
    seen: Seen<K>,
) -> Option<(NamespacedReference, Entry<K>)> {
    match seen {
        Ok(object) => Some((name(object.meta())?, Entry::Read(Arc::new(object)))),
        Err(invalid) => {
            let name = name(&invalid.metadata)?;
            tracing::error!(kind, object = %name, error = %invalid.error, "object does not parse: what depends on it is refused");
            Some((name, Entry::Unreadable(Arc::new(invalid.metadata))))
        }
    }
}

fn name(meta: &ObjectMeta) -> Option<NamespacedReference> {
    Some(NamespacedReference { namespace: meta.namespace.clone()?, name: meta.name.clone()? })
}

fn apply_namespaces(namespaces: &mut RedBlackTreeMapSync<String, BTreeMap<String, String>>, change: Change<Namespace>) {
    let labels = |seen: Seen<Namespace>| {
        let meta = match seen {
            Ok(namespace) => namespace.metadata,
            Err(invalid) => invalid.metadata,
        };
        Some((meta.name?, meta.labels.unwrap_or_default()))
    };
    match change {
        Change::All(all) => *namespaces = all.into_iter().filter_map(labels).collect(),
        Change::Applied(seen) => {
            if let Some((name, labels)) = labels(seen) {
                namespaces.insert_mut(name, labels);
            }
        }
        Change::Deleted(seen) => {
            if let Ok(namespace) = &seen {
                namespaces.remove_mut(&namespace.name_any());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crds::AgentGrantSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn grant(leaving: bool) -> AgentGrant {
        let mut grant = AgentGrant::new("agent", AgentGrantSpec::default());
        grant.metadata.namespace = Some("acme".to_owned());
        if leaving {
            // Deleted, and held by a finalizer that anyone who may update it can set.
            grant.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
            grant.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
        }
        grant
    }

    fn seen(changes: Vec<Change<AgentGrant>>) -> usize {
        let mut objects = Objects::default();
        changes.into_iter().for_each(|change| apply("AgentGrant", &mut objects, change));
        objects.size()
    }

    #[test]
    fn an_object_that_is_being_deleted_is_gone_whatever_holds_it() {
        assert_eq!(seen(vec![Change::Applied(Ok(grant(false)))]), 1);
        assert_eq!(seen(vec![Change::Applied(Ok(grant(true)))]), 0);
        assert_eq!(seen(vec![Change::Applied(Ok(grant(false))), Change::Applied(Ok(grant(true)))]), 0);
        assert_eq!(seen(vec![Change::All(vec![Ok(grant(true)), Ok(grant(false))])]), 1);
    }

    #[test]
    fn a_view_answers_with_nothing_older_than_what_it_was_proven_by() {
        let currency = Arc::new(Currency::default());
        let view = Arc::new(View {
            index: ArcSwap::default(),
            writing: Mutex::new(()),
            currencies: Mutex::new(vec![("AgentGrant", currency.clone())]),
            changes: channel::Sender::new(0),
        });
        let old = view.index.load_full();
        // A reader is held up where it looks at the ages; meanwhile a change arrives and is proven.
        let held_up = view.currencies.lock().unwrap();
        let (begin, begun) = std::sync::mpsc::channel();
        let reader = {
            let view = view.clone();
            std::thread::spawn(move || {
                begin.send(()).unwrap();
                view.current(Duration::from_secs(3600)).unwrap()
            })
        };
        begun.recv().unwrap();
        for _ in 0..10_000 {
            // Seen only where the reader takes the index first, which is the fault.
            if Arc::strong_count(&old) > 2 {
                break;
            }
            std::thread::yield_now();
        }
        view.update(|index| apply("AgentGrant", &mut index.grants, Change::Applied(Ok(grant(false)))));
        currency.answered(currency.question(Instant::now()), 1);
        currency.reached(1);
        drop(held_up);
        assert_eq!(reader.join().unwrap().grants.size(), 1);
    }

    #[test]
    fn a_scrape_tells_how_old_the_view_is_and_what_does_not_parse() {
        let seen = Arc::new(Currency::default());
        let view = Arc::new(View {
            index: ArcSwap::default(),
            writing: Mutex::new(()),
            currencies: Mutex::new(vec![("AgentGrant", seen.clone()), ("Team", Arc::default())]),
            changes: channel::Sender::new(0),
        });
        view.update(|index| apply("AgentGrant", &mut index.grants, Change::Applied(Ok(grant(false)))));
        let asked = Instant::now() - Duration::from_secs(3);
        seen.answered(seen.question(asked), 1);
        seen.reached(1);
        let metrics = crate::metrics::Metrics::new(audit::Role::Gateway);
        metrics.collect(view);
        let text = metrics.text();
        for line in [
            "openteam_view_age_seconds{kind=\"AgentGrant\"} 3.",
            "openteam_view_age_seconds{kind=\"Team\"} inf",
            "openteam_view_version{kind=\"AgentGrant\"} 1",
            "openteam_view_version{kind=\"Team\"} 0",
            "openteam_view_objects{kind=\"AgentGrant\",parsed=\"true\"} 1",
            "openteam_view_objects{kind=\"AgentGrant\",parsed=\"false\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
