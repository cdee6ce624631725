//! A bounded queue whose readers take many items at once.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    length: usize,
    /// Counts the items, and perhaps those of other queues.
    waiting: Gauge,
}

struct State<T> {
    items: VecDeque<T>,
    dropped: u64,
    closed: bool,
}

/// Why an item was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    Full,
    Closed,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// Whether there was room for an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    Was,
    /// The oldest item was dropped.
    Made,
}

/// What was waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken<T> {
    pub items: Vec<T>,
    /// How many items were dropped since the last time.
    pub dropped: u64,
}

impl<T> Queue<T> {
    pub(super) fn new(length: usize, waiting: Gauge) -> Self {
        let state = State { items: VecDeque::new(), dropped: 0, closed: false };
        Self { state: Mutex::new(state), changed: Notify::new(), length, waiting }
    }

    /// Adds an item if there is room.
    pub(super) fn offer(&self, item: T) -> Result<(), Rejected> {
        let mut state = self.lock();
        if state.closed {
            return Err(Rejected::Closed);
        }
        if state.items.len() >= self.length {
            return Err(Rejected::Full);
        }
        state.items.push_back(item);
        self.waiting.inc();
        self.changed.notify_one();
        Ok(())
    }

    /// Adds an item, dropping the oldest when there is no room.
    pub(super) fn push_over(&self, item: T) -> Result<Room, Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        let room = if state.items.len() < self.length {
            self.waiting.inc();
            Room::Was
        } else {
            state.items.pop_front();
            state.dropped += 1;
            Room::Made
        };
        state.items.push_back(item);
        self.changed.notify_one();
        Ok(room)
    }

    /// Takes no more items; what is in can still be taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Waits for items and takes up to `most`, oldest first. `None` once the queue is closed and empty.
    pub(super) async fn take(&self, most: usize) -> Option<Taken<T>> {
        loop {
            // Made before looking, so that a change after the look is not missed.
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if !state.items.is_empty() || state.dropped > 0 {
                    let count = most.min(state.items.len());
                    let items: Vec<_> = state.items.drain(..count).collect();
                    self.waiting.dec_by(items.len() as i64);
                    if !state.items.is_empty() {
                        self.changed.notify_one();
                    }
                    return Some(Taken { items, dropped: std::mem::take(&mut state.dropped) });
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
            // Everybody who is ready now may add theirs first: one request for many, at the price of no time.
            tokio::task::yield_now().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No invariant spans a panic: every change is one push, drain or store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_come_out_in_order_and_in_batches() {
        let queue = Queue::new(10, Gauge::default());
        (0..5).for_each(|item| queue.offer(item).unwrap());
        assert_eq!(queue.take(3).await, Some(Taken { items: vec![0, 1, 2], dropped: 0 }));
        assert_eq!(queue.take(3).await, Some(Taken { items: vec![3, 4], dropped: 0 }));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_or_drops_its_oldest_and_counts_it() {
        let queue = Queue::new(2, Gauge::default());
        (0..2).for_each(|item| queue.offer(item).unwrap());
        assert_eq!(queue.offer(2), Err(Rejected::Full));
        assert_eq!(queue.push_over(2), Ok(Room::Made));
        assert_eq!(queue.push_over(3), Ok(Room::Made));
        assert_eq!(queue.take(9).await, Some(Taken { items: vec![2, 3], dropped: 2 }));
        assert_eq!(queue.push_over(4), Ok(Room::Was));
        assert_eq!(queue.take(9).await, Some(Taken { items: vec![4], dropped: 0 }));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_it_has_and_then_ends() {
        let queue = Queue::new(2, Gauge::default());
        queue.offer(1).unwrap();
        queue.close();
        assert_eq!(queue.offer(2), Err(Rejected::Closed));
        assert_eq!(queue.push_over(2), Err(Closed));
        assert!(queue.take(9).await.is_some());
        assert_eq!(queue.take(9).await, None);
    }

    #[tokio::test]
    async fn closing_wakes_everyone_who_waits() {
        let queue = Queue::<u8>::new(2, Gauge::default());
        let close = async {
            tokio::task::yield_now().await;
            queue.close();
        };
        assert_eq!(tokio::join!(queue.take(1), queue.take(1), close), (None, None, ()));
    }
}
