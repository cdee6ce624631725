//! An answer on its way to the caller, cut off when what allowed it no longer holds.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use access::Authorized;
use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::{sync::watch, time::interval};

use crate::{answer::Denial, gateway::Gateway, metrics::InFlight};

/// Also without a change the view's age must be looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// What an answer on its way hangs on.
pub(crate) struct Guard {
    gateway: Arc<Gateway>,
    authorized: Authorized,
    /// When the caller's credential ends; nothing it opened stays open after.
    ends: Option<Timestamp>,
    _in_flight: InFlight,
}

struct State {
    chunks: Chunks,
    guard: Guard,
    changes: watch::Receiver<u64>,
    look: tokio::time::Interval,
}

impl Guard {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        authorized: Authorized,
        ends: Option<Timestamp>,
        in_flight: InFlight,
    ) -> Self {
        Self { gateway, authorized, ends, _in_flight: in_flight }
    }

    /// Passes `answer`'s body on while the decision holds. When it does not, or Amazon breaks off, the connection to the
    /// caller is broken off too: an answer cut short must not look complete.
    pub(crate) fn stream(self, answer: reqwest::Response) -> Body {
        let mut changes = self.gateway.view.changes();
        changes.mark_unchanged();
        let chunks: Chunks = Box::pin(answer.bytes_stream());
        let state = State { chunks, guard: self, changes, look: interval(LOOK_EVERY) };
        Body::from_stream(stream::unfold(Some(state), |state| async {
            let mut state = state?;
            match state.next().await {
                Some(Ok(chunk)) => Some((Ok(chunk), Some(state))),
                Some(Err(error)) => Some((Err(error), None)),
                None => None,
            }
        }))
    }

    fn holds(&self) -> bool {
        let held = self.check();
        if let Err(denial) = &held {
            tracing::info!(connection = %self.authorized.name, reason = denial.reason(), "answer cut off");
        }
        held.is_ok()
    }

    fn check(&self) -> Result<(), Denial> {
        let now = Timestamp::now();
        if self.ends.is_some_and(|end| end <= now) {
            return Err(Denial::TokenExpired);
        }
        Ok(access::still_holds(&*self.gateway.index()?, &self.authorized, now)?)
    }
}

impl State {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            tokio::select! {
                biased;
                changed = self.changes.changed() => {
                    if changed.is_err() || !self.guard.holds() {
                        return Some(Err(io::Error::other("the call is no longer allowed")));
                    }
                }
                _ = self.look.tick() => {
                    if !self.guard.holds() {
                        return Some(Err(io::Error::other("the call is no longer allowed")));
                    }
                }
                chunk = self.chunks.next() => {
                    return chunk.map(|chunk| chunk.map_err(|_| io::Error::other("Amazon broke off its answer")));
                }
            }
        }
    }
}
