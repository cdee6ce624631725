//! Which records are wanted: first by what their bytes hold, then by what they say.

use std::ops::Range;

use audit::{Class, Name, ObjectName, wire::reading::Outcome};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    activity::{is_of, outcome},
    log::Stamp,
};

/// Which records are wanted. What is `None` or empty does not matter.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Those that its readers may be told: of this namespace alone.
    pub namespace: Option<Name>,
    /// Those of this Team.
    pub team: Option<ObjectName>,
    /// Those of this AmazonConnection.
    pub connection: Option<ObjectName>,
    /// Those whose actor's name holds this text.
    pub actor: Option<String>,
    /// Those of this class.
    pub class: Option<Class>,
    /// Those that ended in one of these ways.
    pub outcomes: Vec<Outcome>,
    /// Those with this text in them, as it is written there.
    pub text: Option<String>,
    /// Those stored at this time or later.
    pub since: Option<Timestamp>,
    /// Those stored before this time.
    pub until: Option<Timestamp>,
}

/// A record that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) stamp: Stamp,
    /// As it is stored.
    pub(crate) line: String,
    /// What it says.
    pub(crate) record: Value,
}

/// A query that is asked of many records.
pub(crate) struct Filter<'a> {
    query: &'a Query,
    pub(crate) times: Range<i64>,
    /// What the bytes of every wanted record hold, the rarest first as a rule.
    needles: Vec<String>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        let named = |object: &Option<ObjectName>| Some(format!("\"{}\"", object.as_ref()?.name));
        let inner = |text: &String| {
            // As JSON writes it, without its quotes.
            let quoted = Value::from(text.as_str()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let needles = [
            named(&query.connection),
            named(&query.team),
            query.actor.as_ref().map(inner),
            query.text.as_ref().map(inner),
            query.class.map(|class| class.uid().to_string()),
            query.namespace.as_ref().map(ToString::to_string),
        ];
        let milliseconds = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
        let times = milliseconds(query.since).unwrap_or(i64::MIN)..milliseconds(query.until).unwrap_or(i64::MAX);
        Self { query, times, needles: needles.into_iter().flatten().collect() }
    }

    /// The text of a payload, if by its bytes and its time the record may be wanted. Of most records this is all that is
    /// looked at.
    pub(crate) fn maybe<'p>(&self, payload: &'p [u8]) -> Option<(Stamp, &'p str)> {
        let line = std::str::from_utf8(payload).ok()?;
        if !self.needles.iter().all(|needle| line.contains(needle)) {
            return None;
        }
        let stamp = stamp_of(payload)?;
        self.times.contains(&stamp.time).then_some((stamp, line))
    }

    /// The record of a payload, if it is wanted.
    pub(crate) fn hit(&self, payload: &[u8]) -> Option<Hit> {
        let (stamp, line) = self.maybe(payload)?;
        let record: Value = serde_json::from_str(line).ok()?;
        self.passes(&record["event"]).then(|| Hit { stamp, line: line.to_owned(), record })
    }

    /// What the bytes say already is said here by the right member.
    fn passes(&self, event: &Value) -> bool {
        let Query { namespace, team, connection, actor, class, outcomes, .. } = self.query;
        let unmapped = &event["unmapped"];
        let is = |wanted: &Option<ObjectName>, member: &str| {
            wanted.as_ref().is_none_or(|wanted| {
                let name = &unmapped[member];
                name["namespace"] == wanted.namespace.as_str() && name["name"] == wanted.name.as_str()
            })
        };
        let may_be_told = namespace.as_ref().is_none_or(|namespace| {
            let entity = &event["entity"];
            let object = entity.is_object().then(|| (text(&entity["type"]), text(&entity["name"])));
            let names = ["team", "connection"].map(|member| unmapped[member]["namespace"].as_str());
            is_of(namespace.as_str(), object, names)
        });
        let id = |member: &str| event[member].as_u64();
        may_be_told
            && is(team, "team")
            && is(connection, "connection")
            && class.is_none_or(|class| id("class_uid") == Some(class.uid()))
            && (outcomes.is_empty() || outcomes.contains(&outcome(id("action_id"), id("status_id"))))
            && actor.as_ref().is_none_or(|actor| actor_of(event).contains(actor))
    }
}

/// The name of whoever did it; of a sign-in, of whom it is about.
pub(super) fn actor_of(event: &Value) -> &str {
    let user = &event["actor"]["user"]["name"];
    text(if user.is_string() { user } else { &event["user"]["name"] })
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Time and number of a record.
pub(crate) fn stamp_of(payload: &[u8]) -> Option<Stamp> {
    std::str::from_utf8(payload).ok().and_then(stamp).or_else(|| Stamp::of(payload))
}

/// Time and number of a record as recorders write it (`frame::Record::write`), without reading what the event holds; none
/// where it is not written so.
fn stamp(line: &str) -> Option<Stamp> {
    let writer = line.strip_prefix(r#"{"writer":{"#)?;
    let (_, rest) = writer.split_once(r#"},"time":"#)?;
    let (time, rest) = rest.split_once(r#","sequence":"#)?;
    let (sequence, _) = rest.split_once(r#","event":"#)?;
    Some(Stamp { time: time.parse().ok()?, sequence: sequence.parse().ok()? })
}

/// The class of a text: its `class_uid` or its name, such as `ApiActivity`.
#[must_use]
pub fn class(text: &str) -> Option<Class> {
    Class::ALL
        .into_iter()
        .find(|class| class_name(*class).eq_ignore_ascii_case(text) || class.uid().to_string() == text)
}

/// OCSF's name of a class, which is ours for it.
pub(crate) fn class_name(class: Class) -> String {
    format!("{class:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_number_are_read_from_the_front_of_a_record_alone() {
        let line = r#"{"writer":{"role":"gateway","pod":"g-0"},"time":5,"sequence":7,"event":{"time":1,"sequence":2}}"#;
        assert_eq!(stamp(line), Some(Stamp { time: 5, sequence: 7 }));
        assert_eq!(stamp(line), Stamp::of(line.as_bytes()));
        for other in [
            r#"{"log":{"time":5}}"#,
            r#"{"time":5,"sequence":7,"event":{}}"#,
            r#"{"writer":{},"time":x,"sequence":7,"event":{}}"#,
            "",
        ] {
            assert_eq!(stamp(other), None, "{other}");
        }
    }

    #[test]
    fn a_class_is_found_by_its_number_and_its_name() {
        for known in Class::ALL {
            assert_eq!(class(&known.uid().to_string()), Some(known));
            assert_eq!(class(&class_name(known).to_lowercase()), Some(known));
        }
        assert_eq!((class(""), class("6004"), class("Api")), (None, None, None));
    }
}
