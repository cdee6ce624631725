//! The record as tiled logs (C2SP tlog-tiles), one a quarter, made of the journal after it.
//!
//! A task follows the journal: what is durable there becomes leaves, at most once a second everything taken in is signed,
//! and segments of the journal that are in full bundles as a whole are deleted. Nobody waits for it.

mod building;
mod care;
mod copying;
mod files;
mod follow;
mod growing;
mod keeping;
mod live;
mod shard;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use audit::log::Checkpoint;
use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

pub(crate) use building::{Opened, Opening};
pub use care::Care;
pub(crate) use care::outside;
pub(crate) use files::{DIRECTORY, begins, shards, sync, times, write_once};
pub(crate) use follow::{Follower, Stamp, Stopped};
pub use live::{Live, Logs, Reading};
pub use shard::{NotAShard, Shard};

use growing::Growing;

use crate::{Journal, background::Background};

/// Between checkpoints.
const SIGN_EVERY: Duration = Duration::from_secs(1);
/// Before what became durable is looked at: whoever waits for the disk alone would else share the processor with this at every
/// commit.
const REST: Duration = Duration::from_millis(50);

/// What is known of a recorder's logs where it keeps nothing itself.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The cluster's id, part of every log's name.
    pub cluster: String,
    /// The newest checkpoints that the witness cosigned, of whatever logs.
    pub remembered: Vec<Checkpoint>,
}

/// The task that makes logs of a journal.
pub struct Keeper {
    journal: Journal,
    outside: Outside,
    durable: watch::Receiver<u64>,
    live: Arc<ArcSwapOption<Live>>,
    background: Background,
    /// `None` after an error: everything is opened anew then.
    growing: Option<Growing>,
}

impl Keeper {
    /// Opens the logs of a journal; what was wrong with them is recorded.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn open(journal: Journal, outside: Outside) -> io::Result<Self> {
        let durable = journal.durable();
        let background = Background::start("log")?;
        let mut keeper = Self { journal, outside, durable, live: Arc::default(), background, growing: None };
        keeper.reopen().await?;
        Ok(keeper)
    }

    /// The logs, to be read.
    pub fn logs(&self) -> Logs {
        Logs::new(self.root(), self.live.clone())
    }

    fn root(&self) -> PathBuf {
        self.journal.dir().to_owned()
    }

    async fn reopen(&mut self) -> io::Result<()> {
        let (root, outside, pod) = (self.root(), self.outside.clone(), self.journal.pod().to_owned());
        let durable = *self.durable.borrow_and_update();
        let (growing, troubles) =
            self.background.run(move || Growing::open(&root, &outside, &pod, durable, Timestamp::now())).await?;
        for trouble in troubles {
            tracing::error!(?trouble, "the log that was signed is not the one on this disk; another one is begun");
            self.journal.metrics().log_faults.inc();
            self.record(trouble.fault().map_err(io::Error::other)?).await;
        }
        self.growing = Some(growing);
        self.step(true).await
    }

    async fn record(&self, activity: impl Into<audit::Activity>) {
        if let Err(error) = self.journal.record(activity).await {
            tracing::error!(%error, "what happened to the log could not be recorded");
        }
    }

    /// Runs until `ended`, then signs what is left.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut ticks = interval(SIGN_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let durable = &mut self.durable;
            let grown = async {
                let changed = durable.changed().await;
                sleep(REST).await;
                changed
            };
            let (sign, last) = tokio::select! {
                changed = grown => (false, changed.is_err()),
                _ = ticks.tick() => (true, false),
                () = ended.cancelled() => (true, true),
            };
            let done = match self.growing {
                Some(_) => self.step(sign || last).await,
                None if sign => self.reopen().await,
                None => Ok(()),
            };
            if let Err(error) = done {
                self.journal.metrics().log_failures.inc();
                tracing::error!(%error, "the log could not be written; it is tried again");
            }
            if last {
                return;
            }
        }
    }

    async fn step(&mut self, sign: bool) -> io::Result<()> {
        let Some(mut growing) = self.growing.take() else { return Ok(()) };
        let durable = *self.durable.borrow_and_update();
        let work = move || {
            growing.follow(durable, Timestamp::now())?;
            // Neither at every commit: what was bundled leaves the journal a second later as well.
            if !sign {
                return Ok((growing, None));
            }
            growing.trim()?;
            let snapshot = growing.sign()?.or_else(|| growing.snapshot());
            Ok((growing, snapshot))
        };
        let (mut growing, snapshot) = self.background.run(work).await?;
        if let Some(snapshot) = snapshot {
            let (shard, dir) = growing.shard();
            self.journal.metrics().log_size.set(snapshot.checkpoint.checkpoint().size.cast_signed());
            self.live.store(Some(Arc::new(Live::new(shard, dir.to_owned(), snapshot))));
        }
        // They become leaves of the log that they tell of.
        for change in growing.take_changes() {
            self.record(change).await;
        }
        self.journal.metrics().log_lag.set(durable.saturating_sub(growing.next()).cast_signed());
        self.growing = Some(growing);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
