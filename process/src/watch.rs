//! Our own watch loop, because a view must prove that it is current (see [`crate::currency`]).
//!
//! kube-runtime's watcher hides bookmarks and says nothing for minutes when the apiserver hangs. Here: short watches,
//! which the server ends after a bookmark; a limit on opening and on every item; a new list after 410 Gone. Objects
//! that do not parse arrive as such and stop nothing.

use std::{fmt::Debug, future, sync::Arc, time::Instant};

use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{sleep, timeout};

use crate::currency::Currency;

/// The server ends a watch after this many seconds, and sends a bookmark two seconds before: proof every ≤ 3 s.
const WATCH_SECONDS: u32 = 3;
const OPEN_LIMIT: Duration = Duration::from_secs(2);
const ITEM_LIMIT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 1);
const LIST_LIMIT: Duration = Duration::from_secs(30);
const QUESTION_EVERY: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// One object as the apiserver sent it: parsed, or what is known of it.
pub type Seen<K> = Result<K, Box<InvalidObject>>;

/// What happened to the objects of a kind.
pub enum Change<K> {
    /// These are all there are.
    All(Vec<Seen<K>>),
    /// This one is new or different.
    Applied(Seen<K>),
    /// This one is gone.
    Deleted(Seen<K>),
}

impl<K: kube::Resource> Change<K> {
    /// The same with objects that are being deleted taken for gone: a finalizer, which anyone who may update an object
    /// can set, must not keep alive what it lets someone do.
    #[must_use]
    pub fn without_leaving(self) -> Self {
        let leaves = |seen: &Seen<K>| {
            let meta = match seen {
                Ok(object) => object.meta(),
                Err(invalid) => &invalid.metadata,
            };
            meta.deletion_timestamp.is_some()
        };
        match self {
            Self::All(all) => Self::All(all.into_iter().filter(|seen| !leaves(seen)).collect()),
            Self::Applied(seen) if leaves(&seen) => Self::Deleted(seen),
            other => other,
        }
    }
}

/// Watches all objects of a kind for as long as the future is polled, and keeps `currency` proven meanwhile.
pub async fn watch<K>(api: Api<DeserializeGuard<K>>, currency: Arc<Currency>, mut changed: impl FnMut(Change<K>))
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stream = async {
        loop {
            let Some(version) = list(&api, &currency, &mut changed).await else {
                sleep(RETRY_AFTER).await;
                continue;
            };
            follow(&api, &currency, &mut changed, version).await;
        }
    };
    tokio::join!(stream, ask(&api, &currency));
}

/// All objects, in pages; `None` when that failed.
async fn list<K>(
    api: &Api<DeserializeGuard<K>>,
    currency: &Currency,
    changed: &mut impl FnMut(Change<K>),
) -> Option<u64>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let kind = K::kind(&());
    let mut objects = Vec::new();
    let mut page = ListParams::default().limit(500);
    let version = loop {
        let listed = match timeout(LIST_LIMIT, api.list(&page)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => {
                tracing::warn!(%kind, %error, "list failed");
                return None;
            }
            Err(_) => {
                tracing::warn!(%kind, "list timed out");
                return None;
            }
        };
        objects.extend(listed.items.into_iter().map(seen));
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break version(listed.metadata.resource_version.as_deref())?,
        }
    };
    changed(Change::All(objects));
    currency.listed(version);
    Some(version)
}

/// Takes off what no role reads and is often longer than the object itself: who wrote which field, and what
/// `kubectl apply` applied last.
pub fn slim(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

fn seen<K: kube::Resource>(guard: DeserializeGuard<K>) -> Seen<K> {
    match guard.0 {
        Ok(mut object) => {
            slim(object.meta_mut());
            Ok(object)
        }
        Err(mut invalid) => {
            slim(&mut invalid.metadata);
            Err(Box::new(invalid))
        }
    }
}

/// Follows the changes after `version` until they must be listed anew.
async fn follow<K>(
    api: &Api<DeserializeGuard<K>>,
    currency: &Currency,
    changed: &mut impl FnMut(Change<K>),
    mut version: u64,
) where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = K::kind(&());
    let parameters = WatchParams::default().timeout(WATCH_SECONDS);
    loop {
        // A watch from a version that the apiserver has not reached yet stays silent and breaks nothing off.
        if currency.is_set_back() {
            tracing::warn!(%kind, "the apiserver is behind what it had told before, as after a restore: listing anew");
            return;
        }
        let from = version.to_string();
        let stream = match timeout(OPEN_LIMIT, api.watch(&parameters, &from)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::warn!(%kind, %error, "watch did not open");
                if is_gone(&error) {
                    return;
                }
                sleep(RETRY_AFTER).await;
                continue;
            }
            Err(_) => {
                tracing::warn!(%kind, "watch did not open in time");
                continue;
            }
        };
        pin_mut!(stream);
        loop {
            let event = match timeout(ITEM_LIMIT, stream.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%kind, %error, "watch broke off");
                    if is_gone(&error) {
                        return;
                    }
                    sleep(RETRY_AFTER).await;
                    break;
                }
                Err(_) => {
                    tracing::warn!(%kind, "watch fell silent");
                    break;
                }
            };
            let reached = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let reached = version_of(&object);
                    changed(Change::Applied(seen(object)));
                    reached
                }
                WatchEvent::Deleted(object) => {
                    let reached = version_of(&object);
                    changed(Change::Deleted(seen(object)));
                    reached
                }
                WatchEvent::Bookmark(bookmark) => self::version(Some(&bookmark.metadata.resource_version)),
                // 410 Gone: the version is too old, or the apiserver forgot it.
                WatchEvent::Error(status) => {
                    tracing::info!(%kind, code = status.code, "watch must be listed anew");
                    // An apiserver in trouble may say so at every watch; each list costs it more.
                    sleep(RETRY_AFTER).await;
                    return;
                }
            };
            // A version that is no number cannot be compared: nothing would ever be proven. List anew.
            let Some(reached) = reached else { return };
            version = version.max(reached);
            currency.reached(version);
        }
    }
}

/// Asks each second how far the stream must be. An empty list without a resourceVersion is served consistently, so
/// that it also proves that the apiserver and etcd agree.
async fn ask<K>(api: &Api<DeserializeGuard<K>>, currency: &Currency)
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let nothing = ListParams::default().fields("metadata.name=none").limit(1);
    futures::stream::repeat(())
        .for_each(|()| async {
            let question = currency.question(Instant::now());
            match timeout(OPEN_LIMIT, api.list_metadata(&nothing)).await {
                Ok(Ok(list)) => {
                    if let Some(version) = version(list.metadata.resource_version.as_deref()) {
                        currency.answered(question, version);
                    }
                }
                Ok(Err(error)) => tracing::debug!(kind = %K::kind(&()), %error, "question failed"),
                Err(_) => tracing::debug!(kind = %K::kind(&()), "question timed out"),
            }
            sleep(QUESTION_EVERY).await;
        })
        .await;
    future::pending::<()>().await;
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

fn version_of<K: kube::Resource<DynamicType = ()>>(object: &DeserializeGuard<K>) -> Option<u64> {
    version(object.resource_version().as_deref())
}

fn version(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}
