//! One operator leads, by Lease `openteam-operator`.
//!
//! Clocks of other machines are never trusted: a candidate takes the lease over only after it has itself seen no
//! change of it for the whole duration, and a leader stops when it could not renew well before that.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout};

use crate::error::cause;

/// The Lease's name.
pub(crate) const NAME: &str = "openteam-operator";
/// How long others must see no change before they take over.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A leader that could not renew for so long stops. What is left until [`DURATION`] is for its last request to die.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
const CALL_LIMIT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why leadership ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseLost {
    /// Another process holds it.
    #[error("lease {NAME} was taken by {0}")]
    Taken(String),
    /// Someone deleted it.
    #[error("lease {NAME} was deleted")]
    Deleted,
    /// The apiserver did not confirm a renewal in time.
    #[error("lease {NAME} could not be renewed for {} s", GIVE_UP_AFTER.as_secs())]
    NotRenewed,
}

/// A lease that this process holds.
pub(crate) struct Held {
    api: Api<Lease>,
    identity: String,
    lease: Lease,
    /// Just before the last successful renewal was sent.
    renewed_at: Instant,
}

/// Waits until this process holds the lease.
pub(crate) async fn acquire(client: Client, namespace: &str, identity: &str) -> Held {
    let api: Api<Lease> = Api::namespaced(client, namespace);
    let mut seen: Option<(Lease, Instant)> = None;
    loop {
        match timeout(CALL_LIMIT, api.get_opt(NAME)).await {
            Ok(Ok(found)) => {
                let now = Instant::now();
                let unchanged_for = match (&found, &seen) {
                    (Some(lease), Some((last, since))) if last == lease => now - *since,
                    _ => {
                        seen = found.clone().map(|lease| (lease, now));
                        Duration::ZERO
                    }
                };
                if may_take(found.as_ref(), identity, unchanged_for) {
                    let sent = Instant::now();
                    match timeout(CALL_LIMIT, take(&api, found, identity)).await {
                        Ok(Ok(lease)) => {
                            return Held { api, identity: identity.to_owned(), lease, renewed_at: sent };
                        }
                        Ok(Err(error)) => tracing::debug!(%error, "another operator was faster"),
                        Err(_) => tracing::warn!("the apiserver did not answer in time about the lease"),
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(error = %cause(error), "lease cannot be read"),
            Err(_) => tracing::warn!("the apiserver did not answer in time about the lease"),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Whether a candidate may try. A lease of our own name is an earlier process of this very pod, which is gone.
fn may_take(lease: Option<&Lease>, identity: &str, unchanged_for: Duration) -> bool {
    match lease.and_then(holder) {
        None => true,
        Some(holder) => holder == identity || unchanged_for >= DURATION,
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

async fn take(api: &Api<Lease>, found: Option<Lease>, identity: &str) -> kube::Result<Lease> {
    let now = MicroTime(Timestamp::now());
    let transitions = found.as_ref().and_then(|lease| lease.spec.as_ref()?.lease_transitions).unwrap_or(0);
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        lease_transitions: Some(transitions.saturating_add(1)),
        ..LeaseSpec::default()
    };
    match found {
        // Its resourceVersion stays in: of two candidates one gets a 409.
        Some(lease) => api.replace(NAME, &PostParams::default(), &Lease { spec: Some(spec), ..lease }).await,
        None => {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
        }
    }
}

impl Held {
    /// Renews the lease for as long as that works, and tells why it no longer does.
    pub(crate) async fn hold(&mut self) -> LeaseLost {
        loop {
            sleep(RENEW_EVERY).await;
            let deadline = self.renewed_at + GIVE_UP_AFTER;
            // Renewing is cut off in the middle of whatever it waits for.
            match tokio::time::timeout_at(deadline, self.renew()).await {
                Ok(Ok(())) => {}
                Ok(Err(lost)) => return lost,
                Err(_) => return LeaseLost::NotRenewed,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), LeaseLost> {
        loop {
            let sent = Instant::now();
            let renewed = self.with(|spec| spec.renew_time = Some(MicroTime(Timestamp::now())));
            match timeout(CALL_LIMIT, self.api.replace(NAME, &PostParams::default(), &renewed)).await {
                Ok(Ok(lease)) => {
                    self.lease = lease;
                    self.renewed_at = sent;
                    return Ok(());
                }
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Err(LeaseLost::Deleted),
                // Either someone took it, or an answer to ourselves got lost on the way.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => self.look().await?,
                Ok(Err(error)) => tracing::warn!(error = %cause(error), "lease not renewed yet"),
                Err(_) => tracing::warn!("the apiserver did not answer in time about the lease"),
            }
            sleep(RETRY_AFTER).await;
        }
    }

    async fn look(&mut self) -> Result<(), LeaseLost> {
        match timeout(CALL_LIMIT, self.api.get_opt(NAME)).await {
            Ok(Ok(Some(lease))) if holder(&lease) == Some(&self.identity) => {
                self.lease = lease;
                Ok(())
            }
            Ok(Ok(Some(lease))) => Err(LeaseLost::Taken(holder(&lease).unwrap_or("nobody").to_owned())),
            Ok(Ok(None)) => Err(LeaseLost::Deleted),
            // Not known: the caller tries again until its time is over.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Gives it up, so that the next operator need not wait. Failing does no harm: then it waits.
    pub(crate) async fn release(self) {
        let released = self.with(|spec| spec.holder_identity = None);
        let sent = timeout(CALL_LIMIT, self.api.replace(NAME, &PostParams::default(), &released)).await;
        if !matches!(sent, Ok(Ok(_))) {
            tracing::info!("lease not released, the next operator waits until it runs out");
        }
    }

    fn with(&self, change: impl FnOnce(&mut LeaseSpec)) -> Lease {
        let mut lease = self.lease.clone();
        change(lease.spec.get_or_insert_default());
        lease
    }
}

#[cfg(test)]
mod tests;
