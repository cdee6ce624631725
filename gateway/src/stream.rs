//! An answer on its way to the caller, cut off when what allowed it no longer holds.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use access::Authorized;
use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::{sync::watch, time::interval};

use crate::gateway::Gateway;

/// Also without a change the view's age must be looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

struct State {
    chunks: Chunks,
    gateway: Arc<Gateway>,
    authorized: Authorized,
    changes: watch::Receiver<u64>,
    look: tokio::time::Interval,
}

/// Passes `answer`'s body on while the decision holds. When it does not, or Amazon breaks off, the connection to the
/// caller is broken off too: an answer cut short must not look complete.
pub(crate) fn guarded(gateway: Arc<Gateway>, authorized: Authorized, answer: reqwest::Response) -> Body {
    let mut changes = gateway.view.changes();
    changes.mark_unchanged();
    let chunks: Chunks = Box::pin(answer.bytes_stream());
    let state = State { chunks, gateway, authorized, changes, look: interval(LOOK_EVERY) };
    Body::from_stream(stream::unfold(Some(state), |state| async {
        let mut state = state?;
        match state.next().await {
            Some(Ok(chunk)) => Some((Ok(chunk), Some(state))),
            Some(Err(error)) => Some((Err(error), None)),
            None => None,
        }
    }))
}

impl State {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            tokio::select! {
                biased;
                changed = self.changes.changed() => {
                    if changed.is_err() || !self.holds() {
                        return Some(Err(io::Error::other("the call is no longer allowed")));
                    }
                }
                _ = self.look.tick() => {
                    if !self.holds() {
                        return Some(Err(io::Error::other("the call is no longer allowed")));
                    }
                }
                chunk = self.chunks.next() => {
                    return chunk.map(|chunk| chunk.map_err(|_| io::Error::other("Amazon broke off its answer")));
                }
            }
        }
    }

    fn holds(&self) -> bool {
        let held =
            self.gateway.index().and_then(|index| Ok(access::still_holds(&index, &self.authorized, Timestamp::now())?));
        if let Err(denial) = &held {
            tracing::info!(connection = %self.authorized.name, reason = denial.reason(), "answer cut off");
        }
        held.is_ok()
    }
}
