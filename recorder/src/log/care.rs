//! What is done with logs from time to time: they are copied, and deleted when their time is over.

use std::{collections::HashMap, io, path::PathBuf, time::Duration};

use audit::{LogChange, log::Checkpoint};
use jiff::Timestamp;
use process::{certificate::chain, checkpoints::Checkpoints, storage::Storage};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Logs, Shard,
    copying::{Copied, copy},
    keeping::{clear, delete, expired},
};
use crate::Journal;

/// Between copies.
const COPY_EVERY: Duration = Duration::from_secs(600);
/// Between looks for what is old.
const DELETE_EVERY: Duration = Duration::from_secs(3600);

/// How logs are taken care of.
pub struct Care {
    /// The journal that what happens is recorded in.
    pub journal: Journal,
    /// The logs.
    pub logs: Logs,
    /// Where they are copied to.
    pub storage: Option<Storage>,
    /// How long records are kept.
    pub retention: Duration,
    /// Where the ConfigMap is that says what is held.
    pub client: kube::Client,
    /// OpenTeam's own namespace.
    pub namespace: String,
}

impl Care {
    /// Takes care until `ended`.
    pub async fn run(self, ended: CancellationToken) {
        let (mut copies, mut deletions) = (interval(COPY_EVERY), interval(DELETE_EVERY));
        copies.set_missed_tick_behavior(MissedTickBehavior::Delay);
        deletions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut copied = HashMap::new();
        loop {
            tokio::select! {
                _ = copies.tick() => self.copy(&mut copied).await,
                _ = deletions.tick() => self.delete().await,
                () = ended.cancelled() => return,
            }
        }
    }

    async fn copy(&self, copied: &mut HashMap<Shard, Copied>) {
        let Some(storage) = &self.storage else { return };
        let shards = match self.logs.shards() {
            Ok(shards) => shards,
            Err(error) => return tracing::error!(%error, "the logs cannot be listed"),
        };
        let mut is_current = true;
        for shard in shards {
            let before = copied.get(&shard).copied();
            match copy(&self.logs, shard, self.journal.pod(), storage, before).await {
                Ok(now) => drop(copied.insert(shard, now)),
                Err(error) => {
                    is_current = false;
                    tracing::error!(error = chain(&error), %shard, "the log is not copied; it is tried again");
                }
            }
        }
        if is_current {
            self.journal.metrics().log_copied.set(Timestamp::now().as_second());
        }
    }

    async fn delete(&self) {
        let held = match Checkpoints::read(&self.client, &self.namespace).await {
            Ok(checkpoints) => checkpoints.held,
            Err(error) => {
                return tracing::warn!(error = chain(&error), "nothing is deleted: what is held is not known");
            }
        };
        match held.as_deref() {
            Some("") => {}
            Some(incidents) => return tracing::info!(incidents, "nothing is deleted while an incident is open"),
            None => return tracing::info!("nothing is deleted: the operator has not said yet what is held"),
        }
        if let Err(error) = self.delete_expired(Timestamp::now()).await {
            tracing::error!(%error, "old logs could not be deleted; it is tried again");
        }
    }

    async fn delete_expired(&self, now: Timestamp) -> io::Result<()> {
        let (root, retention) = (self.root(), self.retention);
        let old = super::blocking(move || {
            clear(&root)?;
            expired(&root, retention, now)
        })
        .await?;
        for log in old {
            let origin = log.origin.parse().map_err(io::Error::other)?;
            let time = |millis| Timestamp::from_millisecond(millis).map_err(io::Error::other);
            let deleted = LogChange::Deleted { origin, from: time(log.from)?, to: time(log.to)? };
            self.journal.record(deleted).await.map_err(io::Error::other)?;
            let root = self.root();
            super::blocking(move || delete(&root, log.shard)).await?;
            tracing::info!(log = log.origin, "deleted: all of it is older than the retention");
        }
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.journal.dir().to_owned()
    }
}

/// What the recorder knows of its logs from elsewhere, once the ConfigMap is there. Without it nothing is served: a disk that
/// was put back would be signed once more.
pub(crate) async fn outside(client: &kube::Client, namespace: &str) -> (String, Vec<Checkpoint>) {
    loop {
        match Checkpoints::read(client, namespace).await {
            Ok(read) => return (read.cluster.clone(), read.remembered()),
            Err(error) => tracing::warn!(error = chain(&error), "the log is not opened yet"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
