//! Reviews of the record: every fortnight a person looks at a digest of it and signs that off, in ConfigMap `openteam-review`
//! ([`process::review`]).
//!
//! The operator makes the digest, mails that it is there, and records who signed it off. What to do next is decided in [`plan`];
//! everything it decides on is in the ConfigMap, so that whoever leads next goes on.

mod access;
mod digest;
mod letter;
mod plan;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use audit::{Requester, Review, ReviewStage};
use crds::{MailState, MailStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use process::{
    certificate::chain,
    checkpoints,
    mail::{Mail, MailKind},
    review::{Kept, NAME, NOTE, SIGNED_OFF, SignedOff},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::plan::{Seen, Step};
use crate::{controller::Context, mailing, status::MANAGER};

/// Between looks at the ConfigMap: nobody waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Before recorders are asked again for a digest after one gave none: each reads all of its record for it.
const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// What reviews are made with.
pub(crate) struct Reviews {
    pub(crate) context: Arc<Context>,
    /// Pods and their addresses.
    pub(crate) recorders: Vec<(String, Url)>,
    pub(crate) http: Arc<dyn Fn() -> reqwest::Client + Send + Sync>,
    pub(crate) metrics: Metrics,
}

/// What they tell.
#[derive(Clone)]
pub(crate) struct Metrics {
    due: Gauge,
    signed_off: Gauge,
}

impl Metrics {
    pub(crate) fn register(metrics: &process::metrics::Metrics) -> Self {
        Self {
            due: metrics.register(
                "review_due_timestamp_seconds",
                "Until when a person must have signed off a review of the record, in seconds since 1970",
                Gauge::default(),
            ),
            signed_off: metrics.register(
                "review_signed_off_timestamp_seconds",
                "When a person signed off a review of the record last, in seconds since 1970",
                Gauge::default(),
            ),
        }
    }
}

/// Why a step was not done; it is tried again.
#[derive(Debug, thiserror::Error)]
enum ReviewError {
    #[error("ConfigMap {0} cannot be read")]
    Read(&'static str, #[source] Box<kube::Error>),
    #[error("ConfigMap {NAME} could not be written")]
    Write(#[source] Box<kube::Error>),
    #[error(transparent)]
    Checkpoints(#[from] checkpoints::CheckpointsError),
    #[error("the review could not be recorded")]
    Record(#[from] audit::NotRecorded),
    #[error("digest cannot be made")]
    Digest(#[from] digest::DigestError),
}

/// Sees to it that the record is reviewed, until `shutdown`.
pub(crate) async fn run(reviews: Reviews, shutdown: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        // What it waits for, a digest of everything, may take minutes.
        let passed = tokio::select! {
            passed = reviews.pass(Timestamp::now(), failed.is_none_or(|at| at.elapsed() >= ASK_AGAIN)) => passed,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = passed {
            if let ReviewError::Digest(_) = error {
                failed = Some(Instant::now());
            }
            tracing::warn!(error = chain(&error), "the review of the record is not as it should be; it is tried again");
        }
    }
}

impl Reviews {
    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.context.client.clone(), &self.context.stores.system)
    }

    /// One step, if there is one to take. `may_ask`: recorders may be asked for a digest.
    async fn pass(&self, now: Timestamp, may_ask: bool) -> Result<(), ReviewError> {
        let read = async |name| self.maps().get_opt(name).await.map_err(|it| ReviewError::Read(name, Box::new(it)));
        let Some(installed) = read(checkpoints::NAME).await?.and_then(|map| map.metadata.creation_timestamp) else {
            return Ok(());
        };
        let map = read(NAME).await?;
        let kept = map.as_ref().and_then(|map| match Kept::parse(&map.data.clone().unwrap_or_default()) {
            Ok(kept) => Some(kept),
            Err(error) => {
                tracing::error!(%error, "another digest is made in its place");
                None
            }
        });
        let annotations = map.as_ref().and_then(|map| map.metadata.annotations.as_ref());
        let seen = Seen {
            installed: installed.0,
            is_damaged: map.is_some() && kept.is_none(),
            kept: kept.as_ref(),
            annotation: annotations.and_then(|all| all.get(SIGNED_OFF)).map(String::as_str),
            now,
        };
        self.tell(&seen);
        let step = plan::next(&seen);
        match (step, map, &kept) {
            (Step::Make { from, may_lack }, map, kept) if may_ask => {
                self.make(map, kept.as_ref(), from, may_lack, now).await
            }
            (Step::SignOff { by }, Some(map), Some(kept)) => self.signed_off(map, kept, &by, now).await,
            (_, Some(map), Some(kept)) => self.mail(map, kept, now).await,
            (Step::SignOff { .. } | Step::Make { .. } | Step::Wait, ..) => Ok(()),
        }
    }

    fn tell(&self, seen: &Seen<'_>) {
        self.metrics.due.set(plan::due(seen).as_second());
        let signed_off = seen.kept.and_then(|kept| kept.signed_off.as_ref());
        if let Some(SignedOff { at, .. }) = signed_off {
            self.metrics.signed_off.set(at.as_second());
        }
    }

    /// Makes a digest of what was recorded from a time on. `may_lack`: a recorder that does not answer is not waited for any more.
    async fn make(
        &self,
        map: Option<ConfigMap>,
        before: Option<&Kept>,
        from: Timestamp,
        may_lack: bool,
        now: Timestamp,
    ) -> Result<(), ReviewError> {
        let known = checkpoints::Checkpoints::read(&self.context.client, &self.context.stores.system).await?;
        let recorders = digest::ask(&self.recorders, &*self.http, from, may_lack).await?;
        let access = access::access(&self.context.stores, &|address| self.context.digests.email(address), now);
        let (content, json) = digest::made(from, now, recorders, &known, access)?;
        let kept = plan::kept(content, json, before, now);
        let _recorded = self.context.recorder.record(review(&kept, ReviewStage::Made)).await?;
        let mut map = map.unwrap_or_else(|| ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(self.context.stores.system.clone()),
                labels: Some([("app.kubernetes.io/part-of".to_owned(), "openteam".to_owned())].into()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        });
        // Those are about the digest before.
        if let Some(annotations) = &mut map.metadata.annotations {
            annotations.retain(|key, _| ![SIGNED_OFF, NOTE].contains(&key.as_str()));
        }
        self.write(map, &kept).await?;
        tracing::info!(digest = kept.digest(), due_by = %kept.due_by, "the record is to be reviewed");
        Ok(())
    }

    /// Takes note of who signed it off.
    async fn signed_off(&self, map: ConfigMap, kept: &Kept, by: &str, now: Timestamp) -> Result<(), ReviewError> {
        let _recorded = self.context.recorder.record(review(kept, ReviewStage::SignedOffBy(Requester::of(by)))).await?;
        let signed_off = Some(SignedOff { by: by.to_owned(), at: now });
        self.write(map, &Kept { signed_off, ..kept.clone() }).await?;
        self.metrics.signed_off.set(now.as_second());
        Ok(())
    }

    /// Mails that there is a digest: `Pending` is written before it is first tried, as of all mails.
    async fn mail(&self, mut map: ConfigMap, kept: &Kept, now: Timestamp) -> Result<(), ReviewError> {
        let context = &self.context;
        let before = kept.mail.as_deref().and_then(|mail| serde_json::from_str::<MailStatus>(mail).ok());
        // Once somebody has signed it off nobody need be told.
        let wanted = context.contacts.incidents.is_some() && kept.signed_off.is_none();
        let id = format!("review/{}", kept.content.uid);
        let Some(status) =
            mailing::next(before.clone(), wanted.then(|| id.clone()), context.mailer.is_configured(), now)
        else {
            return Ok(());
        };
        let mut kept = kept.clone();
        if before.as_ref() != Some(&status) {
            kept.mail = serde_json::to_string(&status).ok();
            map = self.write(map, &kept).await?;
        }
        if mailing::due(Some(&status)).is_none_or(|due| due > now) || status.state != MailState::Pending {
            return Ok(());
        }
        let letter::Letter { subject, text } = letter::letter(&kept, &context.stores.system);
        let to = context.contacts.incidents.iter().cloned().collect();
        let mail = Mail { id, kind: MailKind::Review, to, subject, text, html: None };
        let error = context.mailer.send(&mail).await.err();
        if let Some(error) = error {
            tracing::warn!(reason = error.reason(), %error, "mail about the review of the record not sent");
        }
        kept.mail = serde_json::to_string(&mailing::tried(status, error, now)).ok();
        self.write(map, &kept).await.map(drop)
    }

    /// Over what was read: a conflict is tried again with what is there then. What is not there is applied by name, since RBAC
    /// allows no other making of it.
    async fn write(&self, mut map: ConfigMap, kept: &Kept) -> Result<ConfigMap, ReviewError> {
        map.data = Some(kept.data());
        let failed = |error| ReviewError::Write(Box::new(error));
        if map.metadata.resource_version.is_some() {
            return self.maps().replace(NAME, &PostParams::default(), &map).await.map_err(failed);
        }
        let parameters = PatchParams::apply(MANAGER).force();
        self.maps().patch(NAME, &parameters, &Patch::Apply(&map)).await.map_err(failed)
    }
}

/// As it is recorded.
fn review(kept: &Kept, stage: ReviewStage) -> Review {
    let content = &kept.content;
    let logs = content.witnessed.iter().filter_map(|log| {
        let checkpoint = audit::Digest::of_unguessable(log.checkpoint().as_bytes());
        Some(audit::ReviewedLog { origin: log.origin.parse().ok()?, size: log.size, checkpoint })
    });
    Review { uid: content.uid, from: content.from, to: content.to, logs: logs.collect(), stage }
}

#[cfg(test)]
mod tests;
