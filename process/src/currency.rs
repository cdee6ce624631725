//! How current a watched view is, proven by the stream itself.
//!
//! Each second a consistent, empty list says which resourceVersion the apiserver is at; once the watch has shown
//! everything up to that version, the view is as current as the moment that list was sent. A half-dead stream, a
//! stopped apiserver or etcd, and a partition all end the proof. So does an etcd that was restored from a backup: it
//! counts on from a lower version than the stream has seen, so that the stream would seem ahead of every question.

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
    /// How often everything was listed.
    lists: u64,
    /// (question sent at, version it was answered with), oldest first, not yet reached.
    asked: Vec<(Instant, u64)>,
    current_as_of: Option<Instant>,
    /// The apiserver is at a lower version than the stream has seen: nothing is proven until everything is listed anew.
    set_back: bool,
}

/// A question under way: when it was sent, and how far the stream was then.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    sent: Instant,
    reached: u64,
    lists: u64,
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

    /// Before a list is sent, at `sent`.
    #[must_use]
    pub fn question(&self, sent: Instant) -> Question {
        let proof = self.proof();
        Question { sent, reached: proof.reached, lists: proof.lists }
    }

    /// The list told that the apiserver was at `version`.
    pub fn answered(&self, question: Question, version: u64) {
        let mut proof = self.proof();
        // The list is consistent, so it is never behind what the same apiserver had shown before it was sent.
        if version < question.reached && question.lists == proof.lists {
            proof.set_back = true;
            proof.current_as_of = None;
            proof.asked.clear();
        }
        // A stream that stands still must not make this grow: a later question is as good as an earlier one.
        if proof.asked.len() >= 600 {
            proof.asked.remove(0);
        }
        proof.asked.push((question.sent, version));
        proof.settle();
    }

    /// Whether the stream must list everything anew, because the apiserver was set back.
    #[must_use]
    pub fn is_set_back(&self) -> bool {
        self.proof().set_back
    }

    /// The view was listed anew at `version`, which is lower than before on an apiserver that was restored from a backup.
    pub fn listed(&self, version: u64) {
        let mut proof = self.proof();
        proof.reached = version;
        proof.lists += 1;
        proof.set_back = false;
        proof.settle();
    }

    /// The version up to which the stream has shown everything; 0 before the first list.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.proof().reached
    }

    /// How old the view is at most, `None` while nothing was proven yet.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.proof().current_as_of.map(|then| now.saturating_duration_since(then))
    }
}

impl Proof {
    fn settle(&mut self) {
        if self.set_back {
            return;
        }
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

    impl Currency {
        fn asked(&self, sent: Instant, version: u64) {
            self.answered(self.question(sent), version);
        }
    }

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
    fn a_stream_that_is_ahead_of_a_restored_apiserver_proves_nothing() {
        let currency = Currency::default();
        let start = Instant::now();
        currency.listed(900);
        currency.asked(start, 900);
        assert_eq!(currency.age(start), Some(Duration::ZERO));
        // The apiserver was restored at 400, the stream's watch from 900 just stays silent: at 410 something may have
        // been contained that it will never show.
        currency.asked(start + SECOND, 410);
        assert_eq!(currency.age(start + SECOND), None);
        assert!(currency.is_set_back());
        currency.asked(start + 2 * SECOND, 420);
        currency.reached(900);
        assert_eq!(currency.age(start + 2 * SECOND), None);
        let before_the_list = currency.question(start + 3 * SECOND);
        currency.listed(430);
        assert!(!currency.is_set_back());
        currency.answered(before_the_list, 425);
        assert!(!currency.is_set_back(), "what was reached before the list no longer counts");
        assert_eq!(currency.age(start + 4 * SECOND), Some(SECOND));
    }

    #[test]
    fn a_stream_that_overtakes_an_answer_on_its_way_is_no_restore() {
        let currency = Currency::default();
        let start = Instant::now();
        currency.listed(10);
        let question = currency.question(start);
        currency.reached(12);
        currency.answered(question, 11);
        assert!(!currency.is_set_back());
        assert_eq!(currency.age(start), Some(Duration::ZERO));
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
