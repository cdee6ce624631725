//! `UnusualVolume`: a connection is called far more than in any hour of the week before.

use std::collections::BTreeMap;

use audit::DetectionKind;

use super::{Evidence, Finding, MINUTE, novelty::HISTORY, recent::Recent, seen::Seen, window::Counted};

/// Calls of an hour that are worth a look at all.
pub(crate) const LEAST: u64 = 1_000;
/// Times the busiest hour of the past. A new report a day doubles it; somebody who copies everything does more.
pub(crate) const TIMES: u64 = 5;
const HOUR: i64 = 60 * MINUTE;
/// Connections that are counted.
const MOST: usize = 4_096;

/// Calls by the hour since 1970, of a week.
#[derive(Debug)]
struct Hours {
    since: i64,
    calls: BTreeMap<i64, u64>,
}

/// Calls of each connection.
#[derive(Debug)]
pub(crate) struct Volume {
    connections: Recent<String, Hours>,
}

impl Default for Volume {
    fn default() -> Self {
        Self { connections: Recent::new(MOST) }
    }
}

impl Volume {
    /// In any order.
    pub(crate) fn see(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        let Some(connection) = seen.event.unmapped.connection.as_ref().filter(|_| seen.event.is_granted_call()) else {
            return;
        };
        let connection = connection.key();
        let hour = seen.time.div_euclid(HOUR);
        let hours = self.connections.entry(connection.clone(), || Hours { since: seen.time, calls: BTreeMap::new() });
        hours.since = hours.since.min(seen.time);
        let now = hours.calls.entry(hour).or_default();
        *now += 1;
        let now = *now;
        if now < LEAST || seen.time - hours.since < HISTORY {
            return;
        }
        hours.calls.retain(|other, _| *other >= hour - HISTORY / HOUR);
        let busiest = hours.calls.range(..hour).map(|(_, calls)| *calls).max().unwrap_or(0);
        if now > TIMES * busiest {
            let counted = Counted { count: now, first: hour * HOUR };
            // It is all callers together.
            let evidence = Evidence { suspect: None, source: None, ..seen.evidence() };
            found.push(Finding::counted(DetectionKind::UnusualVolume, connection, evidence, counted, seen.time));
        }
    }
}
