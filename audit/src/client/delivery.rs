//! The workers that send what is queued.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::{Awaited, Failure, NotRecorded, Recorded, Shared};
use crate::{Event, Fault, wire::MAX_BATCH_EVENTS};

/// How long a request for events that nothing waits for may take.
const LATER_LIMIT: Duration = Duration::from_secs(10);
/// Pause after every recorder has failed once; doubles for events that nothing waits for.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long events that nothing waits for gather after a request, so that calls in quick succession do not cost one each.
const GATHERING: Duration = Duration::from_millis(10);

/// Sends what a [`super::Recorder`] is given.
pub struct Delivery {
    shared: Arc<Shared>,
    _finished: DropGuard,
}

impl Delivery {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let finished = shared.finished.clone().drop_guard();
        Self { shared, _finished: finished }
    }

    /// Delivers until [`super::Recorder::drain`] ends it. The process awaits this among its long-lived tasks.
    pub async fn run(self) {
        let shared = &*self.shared;
        let workers = async { tokio::join!(shared.serve_awaited(), shared.serve_awaited(), shared.serve_later()) };
        tokio::select! {
            _ = workers => {}
            () = shared.abandon.cancelled() => {}
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Shared {
    async fn serve_awaited(&self) {
        while let Some(taken) = self.awaited.take(MAX_BATCH_EVENTS).await {
            self.deliver_awaited(taken.items).await;
        }
    }

    pub(super) async fn deliver_awaited(&self, mut batch: Vec<Awaited>) {
        loop {
            // Whoever has stopped waiting does not act, so there is nothing to record any more.
            batch.retain(|awaited| !awaited.answer.is_closed());
            let Some(deadline) = batch.iter().map(|awaited| awaited.deadline).max() else {
                return;
            };
            if deadline <= Instant::now() {
                // Told, not just dropped: whoever waits may not have noticed the time yet.
                for Awaited { answer, .. } in batch {
                    let _ = answer.send(Err(NotRecorded::NotAcknowledged));
                }
                return;
            }
            let sent = self.send(batch.iter().map(|awaited| &awaited.event), deadline).await;
            match sent {
                Ok(()) => {
                    for Awaited { event, answer, .. } in batch {
                        // Nobody may be waiting any more: the event stands, as an intent without an outcome.
                        let _ = answer.send(Ok(Recorded { uid: event.uid() }));
                    }
                    return;
                }
                Err(Failure::Event { index, reason } | Failure::NoRoom { index, reason }) => {
                    let Awaited { answer, .. } = batch.remove(index);
                    let _ = answer.send(Err(NotRecorded::Refused { reason }));
                }
                Err(Failure::Unavailable) => tokio::time::sleep(FIRST_PAUSE).await,
            }
        }
    }

    async fn serve_later(&self) {
        while let Some(taken) = self.later.take(MAX_BATCH_EVENTS - 1).await {
            let mut batch = taken.items;
            let full = batch.len() + 1 >= MAX_BATCH_EVENTS;
            if taken.dropped > 0 {
                self.undelivered.fetch_add(1, Ordering::Relaxed);
                batch.insert(0, self.event(&Fault::EventsLost { count: taken.dropped }.into()));
            }
            self.deliver_later(batch).await;
            if !full {
                tokio::time::sleep(GATHERING).await;
            }
        }
    }

    async fn deliver_later(&self, mut batch: Vec<Event>) {
        let mut pause = FIRST_PAUSE;
        while !batch.is_empty() {
            match self.send(batch.iter(), Instant::now() + LATER_LIMIT).await {
                Ok(()) => {
                    self.undelivered.fetch_sub(batch.len() as u64, Ordering::Relaxed);
                    return;
                }
                Err(Failure::Event { index, reason } | Failure::NoRoom { index, reason }) => {
                    let event = batch.remove(index);
                    self.undelivered.fetch_sub(1, Ordering::Relaxed);
                    tracing::error!(uid = %event.uid(), reason, "a recorder refused an event, which is lost");
                }
                Err(Failure::Unavailable) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Sends events as one request to each recorder in turn, until one has stored them. The time left is shared
    /// out among the recorders not yet tried, so one that hangs leaves enough for the next.
    async fn send(&self, events: impl Iterator<Item = &Event>, deadline: Instant) -> Result<(), Failure> {
        let mut body = String::new();
        let mut count = 0;
        for event in events {
            body.push_str(event.as_line());
            body.push('\n');
            count += 1;
        }

        let body = Bytes::from(body);
        let recorders = &self.settings.recorders;
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut full = None;
        for tried in 0..recorders.len() {
            let index = (preferred + tried) % recorders.len();
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = left / (recorders.len() - tried) as u32;
            match self.settings.transport.post(&recorders[index], body.clone(), count, limit).await {
                Err(Failure::Unavailable) => {}
                Err(no_room @ Failure::NoRoom { .. }) => full = Some(no_room),
                answered => {
                    self.preferred.store(index, Ordering::Relaxed);
                    if !self.available.swap(true, Ordering::Relaxed) {
                        tracing::info!("a recorder answers again");
                    }
                    return answered;
                }
            }
        }
        if let Some(no_room) = full {
            return Err(no_room);
        }
        // Said once per outage; every attempt is only worth a line when debugging.
        if self.available.swap(false, Ordering::Relaxed) {
            tracing::warn!("no recorder acknowledges events");
        }
        Err(Failure::Unavailable)
    }
}
