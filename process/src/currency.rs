//! How current a watched view is, proven by the stream itself.
//!
//! Each second a consistent, empty list says which resourceVersion the apiserver is at; once the watch has shown
//! everything up to that version, the view is as current as the moment that list was sent. A half-dead stream, a
//! stopped apiserver or etcd, and a partition all end the proof.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// The proof for one kind.
#[derive(Debug, Default)]
pub struct Currency(Mutex<Proof>);

#[derive(Debug, Default)]
struct Proof {
    reached: u64,
    /// (list sent at, version it told), oldest first, not yet reached.
    asked: Vec<(Instant, u64)>,
    current_as_of: Option<Instant>,
}

impl Currency {
    fn proof(&self) -> std::sync::MutexGuard<'_, Proof> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The stream has shown everything up to `version`.
    pub fn reached(&self, version: u64) {
        let mut proof = self.proof();
        proof.reached = proof.reached.max(version);
        proof.settle();
    }

    /// A list sent at `sent` told that the apiserver was at `version`.
    pub fn asked(&self, sent: Instant, version: u64) {
        let mut proof = self.proof();
        // A stream that stands still must not make this grow: a later question is as good as an earlier one.
        if proof.asked.len() >= 600 {
            proof.asked.remove(0);
        }
        proof.asked.push((sent, version));
        proof.settle();
    }

    /// The view was listed anew at `version`, which is lower than before on an apiserver that was restored from a backup.
    pub fn listed(&self, version: u64) {
        let mut proof = self.proof();
        proof.reached = version;
        proof.settle();
    }

    /// How old the view is at most, `None` while nothing was proven yet.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.proof().current_as_of.map(|then| now.saturating_duration_since(then))
    }
}

impl Proof {
    fn settle(&mut self) {
        if let Some(last) = self.asked.iter().rposition(|(_, version)| *version <= self.reached) {
            self.current_as_of = Some(self.asked[last].0);
            self.asked.drain(..=last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nothing_is_current_before_it_is_proven() {
        let currency = Currency::default();
        let start = Instant::now();
        assert_eq!(currency.age(start), None);
        currency.reached(10);
        assert_eq!(currency.age(start), None);
        currency.asked(start, 11);
        assert_eq!(currency.age(start), None);
        currency.reached(11);
        assert_eq!(currency.age(start + SECOND), Some(SECOND));
    }

    #[test]
    fn the_view_is_as_old_as_the_newest_list_that_the_stream_covers() {
        let currency = Currency::default();
        let start = Instant::now();
        currency.reached(5);
        currency.asked(start, 5);
        currency.asked(start + SECOND, 7);
        currency.asked(start + 2 * SECOND, 9);
        assert_eq!(currency.age(start + 3 * SECOND), Some(3 * SECOND));
        currency.reached(8);
        assert_eq!(currency.age(start + 3 * SECOND), Some(2 * SECOND));
    }

    #[test]
    fn a_restored_apiserver_is_not_taken_for_a_current_one() {
        let currency = Currency::default();
        let start = Instant::now();
        currency.asked(start, 900);
        currency.listed(900);
        assert_eq!(currency.age(start), Some(Duration::ZERO));
        // From a backup: versions begin again at 400. What was reached before proves nothing now.
        currency.listed(400);
        currency.asked(start + 2 * SECOND, 410);
        assert_eq!(currency.age(start + 3 * SECOND), Some(3 * SECOND));
        currency.reached(410);
        assert_eq!(currency.age(start + 3 * SECOND), Some(SECOND));
    }

    #[test]
    fn a_stream_that_stands_still_ages_and_keeps_little() {
        let currency = Currency::default();
        let start = Instant::now();
        currency.reached(1);
        currency.asked(start, 1);
        for second in 1..5000_u32 {
            currency.asked(start + second * SECOND, 2);
        }
        assert_eq!(currency.age(start + 5000 * SECOND), Some(5000 * SECOND));
        assert!(currency.proof().asked.len() <= 600);
    }
}
