//! Counting refusals of callers that are not known: a flood of them must not become a flood of events.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    time::Duration,
};

use jiff::Timestamp;

use crate::{Network, Reason, RefusedCallers};

/// How long refusals are added up before they become an event.
const WINDOW: Duration = Duration::from_secs(10);

/// How many pairs of network and reason are told apart at a time; the rest is counted under
/// [`Network::Others`]. About 300 KB, and at most 410 events a second.
const MOST_COUNTS: usize = 4096;

/// Adds up refusals per source network and reason.
///
/// The caller gives the time, records what [`RefusalCounter::due`] yields about once a second, and what
/// [`RefusalCounter::all`] yields before the process ends.
#[derive(Debug, Default)]
pub struct RefusalCounter {
    counts: HashMap<(Network, Reason), RefusedCallers>,
}

impl RefusalCounter {
    /// Counts one refusal.
    pub fn add(&mut self, source: IpAddr, reason: Reason, now: Timestamp) {
        let mut source = Network::of(source);
        if self.counts.len() >= MOST_COUNTS && !self.counts.contains_key(&(source, reason)) {
            source = Network::Others;
        }
        match self.counts.entry((source, reason)) {
            Entry::Occupied(mut counted) => {
                let counted = counted.get_mut();
                counted.count += 1;
                counted.last = counted.last.max(now);
            }
            Entry::Vacant(new) => {
                new.insert(RefusedCallers { source, reason, count: 1, first: now, last: now });
            }
        }
    }

    /// Takes out the counts whose window of 10 s has ended.
    pub fn due(&mut self, now: Timestamp) -> Vec<RefusedCallers> {
        let ended = |counted: &RefusedCallers| {
            // A clock set back would else hold a count until it has caught up.
            now < counted.first || now.duration_since(counted.first).unsigned_abs() >= WINDOW
        };
        self.counts.extract_if(|_, counted| ended(counted)).map(|(_, counted)| counted).collect()
    }

    /// Takes out all counts.
    pub fn all(&mut self) -> Vec<RefusedCallers> {
        self.counts.drain().map(|(_, counted)| counted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD_TOKEN: Reason = Reason::new("BadToken");
    const NO_TOKEN: Reason = Reason::new("NoToken");

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn one_network_and_reason_become_one_count_when_ten_seconds_are_over() {
        let mut counter = RefusalCounter::default();
        for (second, host) in [(0, "203.0.113.1"), (3, "203.0.113.2"), (9, "::ffff:203.0.113.3")] {
            counter.add(from(host), BAD_TOKEN, at(second));
        }
        assert_eq!(counter.due(at(9)), []);
        let due = counter.due(at(10));
        assert_eq!(
            due,
            [RefusedCallers {
                source: Network::V4([203, 0, 113]),
                reason: BAD_TOKEN,
                count: 3,
                first: at(0),
                last: at(9)
            }]
        );
        assert_eq!(counter.due(at(100)), [], "a count is taken once");
    }

    #[test]
    fn networks_and_reasons_are_counted_apart() {
        let mut counter = RefusalCounter::default();
        counter.add(from("203.0.113.1"), BAD_TOKEN, at(0));
        counter.add(from("203.0.113.1"), NO_TOKEN, at(0));
        counter.add(from("203.0.114.1"), BAD_TOKEN, at(0));
        counter.add(from("2001:db8::1"), BAD_TOKEN, at(5));
        counter.add(from("2001:db8:0:1::1"), BAD_TOKEN, at(5));
        assert_eq!(counter.due(at(10)).len(), 3);
        assert_eq!(counter.all().len(), 2);
        assert_eq!(counter.all(), []);
    }

    #[test]
    fn a_flood_from_everywhere_stays_bounded_and_nothing_goes_uncounted() {
        let mut counter = RefusalCounter::default();
        for network in 0..2 * MOST_COUNTS as u32 {
            counter.add(from(&std::net::Ipv4Addr::from(network << 8).to_string()), BAD_TOKEN, at(0));
        }
        let all = counter.all();
        assert_eq!(all.len(), MOST_COUNTS + 1);
        assert_eq!(all.iter().map(|counted| counted.count).sum::<u64>(), 2 * MOST_COUNTS as u64);
        assert!(all.iter().any(|counted| counted.source == Network::Others));
    }

    #[test]
    fn a_clock_set_back_does_not_hold_counts() {
        let mut counter = RefusalCounter::default();
        counter.add(from("203.0.113.1"), BAD_TOKEN, at(1000));
        assert_eq!(counter.due(at(0)).len(), 1);
    }
}
