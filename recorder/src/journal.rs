//! The journal: append-only, stored past `fdatasync` before anything is acknowledged.
//!
//! One thread writes. It takes all batches that wait, writes them with one call, syncs once, and then answers
//! each (group commit). A batch is stored as a whole or not at all.

mod disk;
mod metrics;
mod recovery;
mod writer;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use audit::{Activity, Checked, Fault, Origin, Peer, Run};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

pub use recovery::Recovery;
pub(crate) use recovery::segments;

use disk::Disk;
use metrics::Metrics;
use writer::{Append, Writer};

/// Batches that may wait for the disk; each client has three requests under way at most.
const QUEUE_LENGTH: usize = 256;

/// A directory that events are appended to. Cheap to clone; closed, and its thread joined, with the last clone.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    appends: Option<mpsc::Sender<Append>>,
    thread: Option<JoinHandle<()>>,
    recovery: Recovery,
    metrics: Metrics,
    durable: watch::Receiver<u64>,
    /// Numbers the recorder's own events.
    run: Run,
    dir: PathBuf,
    /// Held as long as the journal is open.
    _lock: File,
}

/// Events that are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// How many.
    pub count: usize,
    /// The sequence number of the last of them; theirs are consecutive.
    pub last_sequence: u64,
}

/// Why a journal cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("journal {dir} is open elsewhere")]
    Locked {
        /// Its directory.
        dir: PathBuf,
    },
    /// The disk failed.
    #[error("cannot open journal {dir}")]
    Disk {
        /// Its directory.
        dir: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Why events were not stored. None of the batch is.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// There is nothing to append.
    #[error("batch holds no event")]
    Empty,
    /// With what the recorder adds, an event is longer than a frame takes.
    #[error("event {index} of the batch is too long to store")]
    TooLong {
        /// Which, from 0.
        index: usize,
    },
    /// The disk is full.
    #[error("journal's disk is full")]
    Full,
    /// The disk failed. The journal tries to open its segment anew at the next append.
    #[error("journal's disk failed")]
    Disk(#[source] Arc<io::Error>),
    /// The journal's thread has ended.
    #[error("journal is closed")]
    Closed,
}

impl Journal {
    /// Opens the journal in `dir`, which is made if absent, cutting off the incomplete end that a crash left.
    /// Whatever was found wrong is the journal's next event. `origin` is the recorder itself.
    ///
    /// Blocks on the disk: it reads the last segment, 64 MiB at most.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, origin: Origin) -> Result<Self, OpenError> {
        Self::open_on(dir, origin, Disk::default())
    }

    fn open_on(dir: &Path, origin: Origin, disk: Disk) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Disk { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed)?;
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
            TryLockError::Error(source) => failed(source),
        })?;
        let (recovery, end) = recovery::recover(dir).map_err(failed)?;
        let run = Run::new(origin);
        let owed = recovery.faults().into_iter().map(|fault| run.event(&fault.into()).into_checked()).collect();
        let metrics = Metrics::default();
        let (tell, durable) = watch::channel(end.next_sequence);
        let writer = Writer::new(dir.to_owned(), disk, end, peer(run.origin()), owed, metrics.clone(), tell);
        let (appends, queue) = mpsc::channel(QUEUE_LENGTH);
        let thread =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(queue)).map_err(failed)?;
        let dir = dir.to_owned();
        let (appends, thread) = (Some(appends), Some(thread));
        let inner = Inner { appends, thread, recovery, metrics, durable, run, dir, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Appends a batch and waits until it is on disk.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the batch is stored then.
    pub async fn append(&self, writer: Peer, events: Vec<Checked>) -> Result<Appended, AppendError> {
        if events.is_empty() {
            return Err(AppendError::Empty);
        }
        let (answer, answered) = oneshot::channel();
        let appends = self.inner.appends.as_ref().ok_or(AppendError::Closed)?;
        appends.send(Append { writer, events, answer }).await.map_err(|_| AppendError::Closed)?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Appends an event of the recorder's own.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub async fn record(&self, activity: impl Into<Activity>) -> Result<Appended, AppendError> {
        let run = &self.inner.run;
        let event = run.event(&activity.into()).into_checked();
        self.append(peer(run.origin()), vec![event]).await
    }

    /// What opening found wrong.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// The number of the first record that is not on disk, past `fdatasync`, as it grows.
    pub(crate) fn durable(&self) -> watch::Receiver<u64> {
        self.inner.durable.clone()
    }

    /// What it tells about its disk.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The pod it is in.
    pub(crate) fn pod(&self) -> &str {
        self.inner.run.origin().pod.as_str()
    }

    /// How many batches wait for the disk.
    #[cfg(test)]
    fn queued(&self) -> usize {
        self.inner.appends.as_ref().map_or(0, |appends| appends.max_capacity() - appends.capacity())
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread ends once nothing can be sent to it, after at most one more commit.
        drop(self.appends.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

fn peer(origin: &Origin) -> Peer {
    Peer { role: origin.role, pod: origin.pod.clone() }
}

impl Recovery {
    fn faults(&self) -> Vec<Fault> {
        let found = |bytes: u64| (bytes > 0).then_some(bytes);
        let cut = found(self.cut_bytes).map(|bytes| Fault::JournalCut { bytes });
        let damaged = found(self.damaged_bytes).map(|bytes| Fault::JournalDamaged { bytes });
        damaged.into_iter().chain(cut).collect()
    }
}

#[cfg(test)]
mod tests;
