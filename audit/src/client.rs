//! Bringing events to the recorders.
//!
//! Two lanes, so that a backlog of the one never holds up the other: events that something waits for
//! ([`Recorder::record`]), sent by two workers, and events nothing waits for ([`Recorder::record_later`]), sent
//! by one. While a worker waits for the disk of a recorder the next batch gathers, which is what makes a group
//! commit there worth its name.
//!
//! After a lost answer an event is sent again, perhaps to another recorder: copies are known by their
//! `metadata.uid`.

mod delivery;
mod metrics;
mod queue;
mod transport;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Url;
use thiserror::Error;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

pub use delivery::Delivery;
pub use metrics::Metrics;
use queue::Queue;
pub use transport::{Failure, Https, Posted, Transport};

use crate::{Activity, Event, Origin, Run};

/// How long [`Recorder::record`] waits.
pub(crate) const ACKNOWLEDGEMENT_LIMIT: Duration = Duration::from_secs(2);

/// Events that may wait to be sent, per lane. An event has about 1 KB, 16 KiB at most.
const QUEUE_LENGTH: usize = 4096;

/// What a [`Recorder`] needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The process that records.
    pub origin: Origin,
    /// The recorders' addresses (`https://HOST:PORT`), in the order they are tried at first; later the one that
    /// answered last comes first.
    pub recorders: Vec<Url>,
    /// What brings events to them; [`Https`], but for a bench that compares with recording nothing.
    pub transport: Arc<dyn Transport>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("origin", &self.origin)
            .field("recorders", &self.recorders)
            .finish_non_exhaustive()
    }
}

/// The handle through which a process records. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    /// Numbers the events of this process.
    run: Run,
    awaited: Queue<Awaited>,
    later: Queue<Event>,
    metrics: Metrics,
    /// Which of `settings.recorders` answered last.
    preferred: AtomicUsize,
    /// Whether any of them did.
    available: AtomicBool,
    /// Events accepted for later and not yet delivered or given up.
    undelivered: AtomicU64,
    /// Cancelled when [`Delivery`] has ended, however.
    finished: CancellationToken,
    /// Cancelled to make it end with events undelivered.
    abandon: CancellationToken,
}

/// An event somebody waits for.
struct Awaited {
    event: Event,
    deadline: Instant,
    answer: oneshot::Sender<Result<Recorded, NotRecorded>>,
}

/// Proof that an event is on a recorder's disk. What may only happen once it is recorded asks for one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what was recorded may now happen"]
pub struct Recorded {
    uid: Uuid,
}

impl Recorded {
    /// The event's `metadata.uid`.
    pub fn uid(&self) -> Uuid {
        self.uid
    }
}

/// Why there is no [`Recorded`]. What needed one must not happen.
///
/// The event may still be in the record, when only the acknowledgement was lost.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotRecorded {
    /// No recorder acknowledged within 2 s.
    #[error("no recorder acknowledged the event in time")]
    NotAcknowledged,
    /// Too many events are waiting already.
    #[error("too many events wait to be recorded")]
    Overloaded,
    /// A recorder found fault with the event: a bug, or a recorder older than this process.
    #[error("recorder refused the event: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// The process is ending.
    #[error("recording has ended")]
    Ended,
}

/// [`Recorder::drain`] ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{events} events were not delivered to any recorder")]
pub struct Undelivered {
    /// How many events given to [`Recorder::record_later`] are lost.
    pub events: u64,
}

impl Recorder {
    /// A recorder, and the task that must run for it to deliver anything: await [`Delivery::run`].
    pub fn new(settings: Settings) -> (Self, Delivery) {
        let metrics = Metrics::default();
        let shared = Arc::new(Shared {
            run: Run::new(settings.origin.clone()),
            settings,
            awaited: Queue::new(QUEUE_LENGTH, metrics.queue.clone()),
            later: Queue::new(QUEUE_LENGTH, metrics.queue.clone()),
            metrics,
            preferred: AtomicUsize::new(0),
            available: AtomicBool::new(true),
            undelivered: AtomicU64::new(0),
            finished: CancellationToken::new(),
            abandon: CancellationToken::new(),
        });
        (Self { shared: shared.clone() }, Delivery::new(shared))
    }

    /// Whether a recorder took what it was last given.
    pub fn is_available(&self) -> bool {
        self.shared.available.load(Ordering::Relaxed)
    }

    /// Records what is about to happen, and waits until it is on disk.
    ///
    /// Dropping the future takes back an event that has not been sent yet.
    ///
    /// # Errors
    /// [`NotRecorded`], at the latest after 2 s.
    pub async fn record(&self, activity: impl Into<Activity>) -> Result<Recorded, NotRecorded> {
        let asked = Instant::now();
        // For traces: the target is that of `process::traces`, which this crate does not know.
        let span = tracing::info_span!(target: "openteam_trace", "record append", otel.status_code = Empty);
        let waiting = self.wait_for_record(activity.into(), asked + ACKNOWLEDGEMENT_LIMIT);
        let recorded = waiting.instrument(span.clone()).await;
        if recorded.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        self.shared.metrics.wait.observe(asked.elapsed().as_secs_f64());
        recorded.inspect_err(|error| self.shared.metrics.failed(error))
    }

    async fn wait_for_record(&self, activity: Activity, deadline: Instant) -> Result<Recorded, NotRecorded> {
        let (answer, answered) = oneshot::channel();
        let awaited = Awaited { event: self.shared.event(&activity), deadline, answer };
        match self.shared.awaited.offer(awaited) {
            Ok(()) => {}
            Err(queue::Rejected::Full) => return Err(NotRecorded::Overloaded),
            Err(queue::Rejected::Closed) => return Err(NotRecorded::Ended),
        }
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotRecorded::Ended),
            Err(_) => Err(NotRecorded::NotAcknowledged),
        }
    }

    /// Records a refusal, containment or revocation: never waits, and tries until it is delivered.
    ///
    /// When 4096 events wait already the oldest is dropped, and an event says later how many were.
    pub fn record_later(&self, activity: impl Into<Activity>) {
        let event = self.shared.event(&activity.into());
        self.shared.undelivered.fetch_add(1, Ordering::Relaxed);
        match self.shared.later.push_over(event) {
            Ok(queue::Room::Was) => {}
            Ok(queue::Room::Made) => {
                self.shared.metrics.dropped.inc();
                self.shared.undelivered.fetch_sub(1, Ordering::Relaxed);
            }
            Err(queue::Closed) => {
                self.shared.undelivered.fetch_sub(1, Ordering::Relaxed);
                tracing::error!("an event came after recording had ended and is lost");
            }
        }
    }

    /// What this process tells about its recording.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Takes no more events and waits until those accepted are delivered. Then [`Delivery::run`] ends.
    ///
    /// # Errors
    /// [`Undelivered`] when that takes longer than `within`; what is left is given up.
    pub async fn drain(&self, within: Duration) -> Result<(), Undelivered> {
        self.shared.awaited.close();
        self.shared.later.close();
        if tokio::time::timeout(within, self.shared.finished.cancelled()).await.is_err() {
            self.shared.abandon.cancel();
        }
        match self.shared.undelivered.load(Ordering::Relaxed) {
            0 => Ok(()),
            events => Err(Undelivered { events }),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Shared {
    fn event(&self, activity: &Activity) -> Event {
        self.run.event(activity)
    }
}

#[cfg(test)]
mod tests;
