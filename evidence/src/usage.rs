//! Who used which connection since when: `use.json`, made from records of the journal.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Calls that were allowed and not answered yet, as far as they are remembered: enough for what is under way at once.
const MOST_UNDER_WAY: usize = 100_000;

/// The part of a record that is looked at. Everything is optional: a record of another version counts as far as it is
/// understood.
#[derive(Deserialize)]
struct Record<'a> {
    time: i64,
    #[serde(borrow)]
    event: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default)]
    class_uid: u64,
    #[serde(default)]
    action_id: u64,
    #[serde(default)]
    status_id: u64,
    #[serde(default)]
    status: Option<&'a str>,
    #[serde(default)]
    time: i64,
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    unmapped: Unmapped<'a>,
    #[serde(borrow, default)]
    actor: Option<EventActor<'a>>,
    #[serde(borrow, default)]
    api: Option<Api<'a>>,
    #[serde(borrow, default)]
    src_endpoint: Option<Source<'a>>,
    #[serde(borrow, default)]
    resources: Vec<Resource<'a>>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(default)]
    correlation_uid: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Unmapped<'a> {
    #[serde(borrow, default)]
    connection: Option<Name<'a>>,
}

#[derive(Deserialize)]
struct Name<'a> {
    namespace: &'a str,
    name: &'a str,
}

#[derive(Deserialize)]
struct EventActor<'a> {
    #[serde(borrow)]
    user: User<'a>,
    #[serde(default)]
    app_name: Option<&'a str>,
}

#[derive(Deserialize)]
struct User<'a> {
    name: &'a str,
    #[serde(default)]
    r#type: Option<&'a str>,
}

#[derive(Deserialize)]
struct Api<'a> {
    operation: &'a str,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(default)]
    ip: Option<&'a str>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(default)]
    r#type: Option<&'a str>,
    #[serde(default)]
    uid: Option<&'a str>,
}

/// Somebody who acts, as `actor.user` of events names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Actor {
    /// `ServiceAccount` or `RuntimeToken`; for OpenTeam's own roles none.
    pub r#type: Option<String>,
    /// Its name: `system:serviceaccount:NAMESPACE:NAME`, `NAMESPACE/NAME` of a RuntimeToken, `openteam:ROLE`.
    pub name: String,
}

/// What one actor did with one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// Who.
    pub actor: Actor,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// Calls that were allowed, whatever became of them.
    pub calls: u64,
    /// Of these, those that failed or that Amazon answered with an error.
    pub failed: u64,
    /// Calls that were refused: nothing happened.
    pub refused: u64,
    /// How often which operation was called, refused calls too.
    pub operations: BTreeMap<String, u64>,
    /// How often which marketplace was named, likewise.
    pub marketplaces: BTreeMap<String, u64>,
    /// From which addresses, and how often.
    pub addresses: BTreeMap<String, u64>,
    /// From which pods, and how often.
    pub pods: BTreeMap<String, u64>,
}

impl Use {
    fn add(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.calls += other.calls;
        self.failed += other.failed;
        self.refused += other.refused;
        for (to, from) in [
            (&mut self.operations, other.operations),
            (&mut self.marketplaces, other.marketplaces),
            (&mut self.addresses, other.addresses),
            (&mut self.pods, other.pods),
        ] {
            from.into_iter().for_each(|(what, count)| *to.entry(what).or_default() += count);
        }
    }
}

/// Who used a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionUse {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// By whom, in the order of their names.
    pub by: Vec<Use>,
}

/// Counts records, one after the other.
#[derive(Debug, Default)]
pub struct Usage {
    of: BTreeMap<(String, String), BTreeMap<Actor, Use>>,
    under_way: HashSet<String>,
}

impl Usage {
    /// Counts a record, a line of the journal. What is no call of a connection counts for nothing.
    pub fn count(&mut self, line: &[u8]) {
        let Ok(Record { time, event }) = serde_json::from_slice::<Record<'_>>(line) else { return };
        // OCSF's API Activity.
        let (6003, Some(connection), Some(actor), Some(api)) =
            (event.class_uid, &event.unmapped.connection, &event.actor, &event.api)
        else {
            return;
        };
        let time = if event.time > 0 { event.time } else { time };
        let Ok(time) = Timestamp::from_millisecond(time) else { return };
        let who = Actor { r#type: actor.user.r#type.map(str::to_owned), name: actor.user.name.to_owned() };
        let by = self.of.entry((connection.namespace.to_owned(), connection.name.to_owned())).or_default();
        let entry = by.entry(who.clone()).or_insert_with(|| Use {
            actor: who,
            first: time,
            last: time,
            calls: 0,
            failed: 0,
            refused: 0,
            operations: BTreeMap::new(),
            marketplaces: BTreeMap::new(),
            addresses: BTreeMap::new(),
            pods: BTreeMap::new(),
        });
        entry.first = entry.first.min(time);
        entry.last = entry.last.max(time);
        let is_intent = event.status == Some("Intended");
        let correlation = event.metadata.correlation_uid;
        // action_id 2: denied; status_id 2: failure.
        let (is_refused, has_failed) = (event.action_id == 2, event.action_id != 2 && event.status_id == 2);
        if has_failed {
            entry.failed += 1;
        }
        if let (true, Some(correlation)) = (is_intent, correlation)
            && self.under_way.len() < MOST_UNDER_WAY
        {
            self.under_way.insert(correlation.to_owned());
        } else if !is_intent && !is_refused && correlation.is_some_and(|it| self.under_way.remove(it)) {
            // The intent was counted.
            return;
        }
        if is_refused {
            entry.refused += 1;
        } else {
            entry.calls += 1;
        }
        let mut add = |to: fn(&mut Use) -> &mut BTreeMap<String, u64>, what: &str| {
            *to(entry).entry(what.to_owned()).or_default() += 1;
        };
        add(|entry| &mut entry.operations, api.operation);
        for resource in &event.resources {
            if let (Some("Marketplace"), Some(id)) = (resource.r#type, resource.uid) {
                add(|entry| &mut entry.marketplaces, id);
            }
        }
        if let Some(address) = event.src_endpoint.as_ref().and_then(|source| source.ip) {
            add(|entry| &mut entry.addresses, address);
        }
        if let Some(pod) = actor.app_name {
            add(|entry| &mut entry.pods, pod);
        }
    }

    /// Adds what another recorder's records say.
    pub fn add(&mut self, other: Self) {
        for (connection, uses) in other.of {
            let by = self.of.entry(connection).or_default();
            for (actor, new) in uses {
                match by.entry(actor) {
                    Entry::Vacant(place) => drop(place.insert(new)),
                    Entry::Occupied(mut place) => place.get_mut().add(new),
                }
            }
        }
    }

    /// When an actor last used any of the connections, as far as that was counted.
    #[must_use]
    pub fn last_use(&self, r#type: &str, name: &str) -> Option<Timestamp> {
        let actor = Actor { r#type: Some(r#type.to_owned()), name: name.to_owned() };
        self.of.values().filter_map(|by| by.get(&actor)).map(|entry| entry.last).max()
    }

    /// What was counted, in the order of names.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionUse> {
        let one = |((namespace, name), by): (&(String, String), &BTreeMap<Actor, Use>)| ConnectionUse {
            namespace: namespace.clone(),
            name: name.clone(),
            by: by.values().cloned().collect(),
        };
        self.of.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(time: i64, actor: &str, correlation: &str, more: &Value) -> Vec<u8> {
        let mut record = json!({
            "writer": { "role": "gateway", "pod": "openteam-gateway-0" }, "time": time + 5, "sequence": 1,
            "event": {
                "class_uid": 6003, "time": time, "action_id": 1, "status_id": 1,
                "metadata": { "correlation_uid": correlation },
                "unmapped": { "connection": { "namespace": "acme", "name": "na" } },
                "actor": { "user": { "name": actor, "type": "RuntimeToken" } },
                "src_endpoint": { "ip": "192.0.2.1" },
                "api": { "operation": "orders/v0/getOrders" },
                "resources": [{ "type": "Marketplace", "uid": "ATVPDKIKX0DER" }],
            },
        });
        for (key, value) in more.as_object().unwrap() {
            record["event"][key] = value.clone();
        }
        serde_json::to_vec(&record).unwrap()
    }

    #[test]
    fn a_call_counts_once_whether_it_is_one_event_or_two() {
        let mut usage = Usage::default();
        let intent = json!({ "status": "Intended", "status_id": 99 });
        usage.count(&record(1_000, "acme/nightly", "a", &intent));
        usage.count(&record(2_000, "acme/nightly", "a", &json!({ "status_id": 2 })));
        usage.count(&record(3_000, "acme/nightly", "b", &json!({})));
        usage.count(&record(9_000, "acme/nightly", "c", &json!({ "action_id": 2, "status_id": 2 })));
        usage.count(&record(4_000, "acme/other", "d", &intent));
        let all = usage.connections();
        assert_eq!((all.len(), all[0].by.len()), (1, 2));
        let nightly = &all[0].by[0];
        assert_eq!((nightly.calls, nightly.failed, nightly.refused), (2, 1, 1));
        assert_eq!((nightly.first.as_millisecond(), nightly.last.as_millisecond()), (1_000, 9_000));
        assert_eq!(nightly.operations["orders/v0/getOrders"], 3);
        assert_eq!(nightly.marketplaces["ATVPDKIKX0DER"], 3);
        assert_eq!(nightly.addresses["192.0.2.1"], 3);
        assert_eq!(all[0].by[1].calls, 1, "an intent without an outcome may have happened");
        assert_eq!(usage.last_use("RuntimeToken", "acme/other").unwrap().as_millisecond(), 4_000);
        assert_eq!(usage.last_use("RuntimeToken", "acme/none"), None);
    }

    #[test]
    fn what_several_recorders_have_is_added() {
        let (mut one, mut two) = (Usage::default(), Usage::default());
        one.count(&record(1_000, "acme/nightly", "a", &json!({})));
        two.count(&record(500, "acme/nightly", "b", &json!({})));
        two.count(&record(700, "acme/other", "c", &json!({})));
        one.add(two);
        let all = one.connections();
        assert_eq!((all[0].by.len(), all[0].by[0].calls, all[0].by[0].operations["orders/v0/getOrders"]), (2, 2, 2));
        assert_eq!((all[0].by[0].first.as_millisecond(), all[0].by[0].last.as_millisecond()), (500, 1_000));
    }

    #[test]
    fn what_is_no_call_of_a_connection_counts_for_nothing() {
        let mut usage = Usage::default();
        usage.count(b"");
        usage.count(b"{}");
        usage.count(&record(1, "a", "a", &json!({ "class_uid": 3004 })));
        usage.count(&record(1, "a", "a", &json!({ "unmapped": {} })));
        usage.count(&record(1, "a", "a", &json!({ "api": null })));
        assert_eq!(usage.connections(), []);
    }
}
