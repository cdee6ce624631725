//! One run of a process that writes events: it numbers them.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Activity, Event, Origin};

/// What tells an event from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `metadata.uid`, a UUIDv7: it is how two copies of an event are known to be one.
    pub uid: Uuid,
    /// `time`.
    pub time: Timestamp,
    /// `unmapped.run`, a UUIDv7: which run of the process it is from. A container that was restarted has its pod's name still.
    pub run: Uuid,
    /// `metadata.sequence`: how many events the run has made with this one, so 1 is the first.
    pub sequence: u64,
}

/// One run of a process. It numbers the events that it makes from 1, without a gap.
///
/// A number is given when an event is made, before anyone tries to deliver it. So a number that no log has is an event that
/// did not get there: it was refused, it fell out of a full queue ([`super::Fault::EventsLost`] says how many did), or no
/// recorder took it in time, and what waited for it did not happen. Numbers may come to a log in another order than they
/// were given: there are several connections and several recorders.
#[derive(Debug)]
pub struct Run {
    origin: Origin,
    uid: Uuid,
    /// Events made so far.
    made: AtomicU64,
}

impl Run {
    /// A new run. A process has one.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self { origin, uid: Uuid::now_v7(), made: AtomicU64::new(0) }
    }

    /// The process.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The event of an activity, now.
    pub fn event(&self, activity: &Activity) -> Event {
        // Nothing else is ordered by it: only that no number is given twice counts.
        let sequence = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let stamp = Stamp { uid: Uuid::now_v7(), time: Timestamp::now(), run: self.uid, sequence };
        activity.event(&self.origin, &stamp)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{Lifecycle, Name, Role};

    #[test]
    fn the_events_of_a_run_are_numbered_from_one_and_those_of_another_run_too() {
        let origin = Origin { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap(), version: "0" };
        let numbers = |run: &Run| {
            let made = std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| (0..25).map(|_| run.event(&Lifecycle::Started.into())).collect::<Vec<_>>())
                });
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            let mut numbers: Vec<u64> = Vec::new();
            for event in made {
                let event: Value = serde_json::from_str(event.as_line()).unwrap();
                assert_eq!(event["unmapped"]["run"], run.uid.to_string());
                numbers.push(event["metadata"]["sequence"].as_u64().unwrap());
            }
            numbers.sort_unstable();
            numbers
        };
        let (one, other) = (Run::new(origin.clone()), Run::new(origin));
        assert_eq!(numbers(&one), (1..=100).collect::<Vec<_>>());
        assert_eq!(numbers(&other), (1..=100).collect::<Vec<_>>());
        assert_ne!(one.uid, other.uid);
    }
}
