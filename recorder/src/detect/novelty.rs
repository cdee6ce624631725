//! `NewSubject` and `NewNetwork`: whoever has been known for a while has something that it never had.

use std::net::IpAddr;

use audit::{DetectionKind, Network};

use super::{DAY, Finding, recent::Recent, seen::Seen};

/// How long something must have been in use before what is new about it is worth a look. A new connection has nothing but new
/// subjects; a week has every kind of day in it.
pub(crate) const HISTORY: i64 = 7 * DAY;
/// Connections, or callers, that are known.
const MOST: usize = 8_192;
/// Subjects of a connection, or networks of a caller, that are told apart. Of one that has more nothing is new.
const MOST_EACH: usize = 128;

/// What has been seen of one connection or caller.
#[derive(Debug)]
struct Known {
    /// Milliseconds since 1970.
    since: i64,
    things: Recent<String, ()>,
}

/// Who uses which connection, and from where.
#[derive(Debug)]
pub(crate) struct Novelty {
    subjects: Recent<String, Known>,
    networks: Recent<String, Known>,
}

impl Default for Novelty {
    fn default() -> Self {
        Self { subjects: Recent::new(MOST), networks: Recent::new(MOST) }
    }
}

impl Novelty {
    /// In any order: what was before it and what comes after it.
    pub(crate) fn see(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        if !seen.event.is_granted_call() {
            return;
        }
        let Some(caller) = seen.event.caller() else { return };
        if let Some(connection) = &seen.event.unmapped.connection {
            let connection = connection.key();
            if is_new(&mut self.subjects, &connection, caller.to_owned(), seen.time) {
                let key = format!("{connection} {caller}");
                found.push(Finding::one(DetectionKind::NewSubject, key, seen.evidence(), seen.time));
            }
        }
        if let Some(place) = seen.event.network().map(place)
            && is_new(&mut self.networks, caller, place.clone(), seen.time)
        {
            let key = format!("{caller} {place}");
            found.push(Finding::one(DetectionKind::NewNetwork, key, seen.evidence(), seen.time));
        }
    }
}

/// Takes note of a thing of an owner's, and says whether it is new although the owner is not.
fn is_new(owners: &mut Recent<String, Known>, owner: &str, thing: String, time: i64) -> bool {
    let known = owners.entry(owner.to_owned(), || Known { since: time, things: Recent::new(MOST_EACH) });
    known.since = known.since.min(time);
    let is_known = known.things.get(&thing).is_some();
    known.things.entry(thing, || ());
    !is_known && !known.things.has_forgotten() && time - known.since >= HISTORY
}

/// What counts as one network. A pod gets another address each time, and each node of a cluster has a network of its own: of
/// private addresses (RFC 1918, RFC 6598) that is the /16, of unique local ones (RFC 4193) the /48.
fn place(network: Network) -> String {
    match network {
        Network::V4([a, b, c]) => {
            let address = std::net::Ipv4Addr::new(a, b, c, 0);
            let is_inside = address.is_private() || (a == 100 && b & 0b1100_0000 == 64);
            if is_inside { format!("{a}.{b}.0.0/16") } else { network.to_string() }
        }
        Network::V6([a, b, c, _]) if a & 0xfe00 == 0xfc00 => {
            format!("{}/48", IpAddr::from([a, b, c, 0, 0, 0, 0, 0]))
        }
        Network::V6(_) | Network::Others => network.to_string(),
    }
}
