//! An event as readers of the record look at it: leniently, since what is stored is stored whatever it holds. With
//! [`Record`]: `Record<IgnoredAny, Event>`.

use std::borrow::Cow;

use audit::Peer;
use serde::{Deserialize, de::IgnoredAny};
use uuid::Uuid;

use crate::frame::Record;

/// Names and words of ours are no longer: the longest is two names of 253 characters.
const LONGEST_TEXT: usize = 512;

/// A record of which it does not matter who wrote it.
pub(crate) type View<'a> = Record<IgnoredAny, Event<'a>>;

/// The part of an event that is looked at (OCSF 1.8.0; `unmapped` as docs/audit.md has it).
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    pub(crate) class_uid: u64,
    #[serde(default)]
    pub(crate) activity_id: u64,
    /// When it happened, in milliseconds since 1970.
    #[serde(default)]
    pub(crate) time: i64,
    #[serde(borrow)]
    pub(crate) message: Cow<'a, str>,
    /// 1 allowed, 2 denied.
    pub(crate) action_id: Option<u64>,
    pub(crate) status_id: Option<u64>,
    #[serde(borrow)]
    pub(crate) status_detail: Option<Cow<'a, str>>,
    /// Of an event that stands for many.
    pub(crate) count: Option<u64>,
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(borrow, default)]
    pub(crate) unmapped: Unmapped<'a>,
    #[serde(borrow)]
    pub(crate) actor: Option<Actor<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<User<'a>>,
    #[serde(borrow)]
    pub(crate) src_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow)]
    pub(crate) api: Option<Api<'a>>,
    #[serde(borrow, default)]
    pub(crate) resources: Vec<Resource<'a>>,
    #[serde(borrow)]
    pub(crate) entity: Option<Entity<'a>>,
    pub(crate) http_response: Option<HttpResponse>,
    #[serde(borrow)]
    pub(crate) finding_info: Option<FindingInfo<'a>>,
    #[serde(borrow, default)]
    pub(crate) evidences: Vec<Evidence<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) sequence: Option<u64>,
    pub(crate) tenant_uid: Option<Uuid>,
    pub(crate) correlation_uid: Option<Uuid>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Unmapped<'a> {
    pub(crate) run: Option<Uuid>,
    #[serde(borrow)]
    pub(crate) team: Option<Named<'a>>,
    #[serde(borrow)]
    pub(crate) connection: Option<Named<'a>>,
    /// Of a finding, the process that it is about.
    pub(crate) writer: Option<Peer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named<'a> {
    #[serde(borrow)]
    pub(crate) namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

impl Named<'_> {
    /// `<namespace>/<name>`
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Actor<'a> {
    #[serde(borrow)]
    pub(crate) user: User<'a>,
    #[serde(borrow)]
    pub(crate) invoked_by: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User<'a> {
    /// 1 user, 3 system.
    #[serde(default)]
    pub(crate) type_id: u64,
    #[serde(borrow)]
    pub(crate) r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) uid: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Endpoint<'a> {
    #[serde(borrow)]
    pub(crate) ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) name: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Api<'a> {
    #[serde(borrow)]
    pub(crate) operation: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resource<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) uid: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Entity<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HttpResponse {
    pub(crate) code: u16,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FindingInfo<'a> {
    pub(crate) uid: Option<Uuid>,
    #[serde(borrow, default)]
    pub(crate) types: Vec<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Evidence<'a> {
    #[serde(borrow)]
    pub(crate) actor: Option<Actor<'a>>,
}

impl<'a, P: Deserialize<'a>> Record<P, Event<'a>> {
    /// A record as it is stored, if it is one.
    pub(crate) fn of(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// A text, if it may be a name or a word of ours.
pub(crate) fn text(text: &str) -> Option<String> {
    (text.len() <= LONGEST_TEXT).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_event_of_ours_is_read() {
        let golden = include_str!("../../audit/src/event/golden.json");
        let golden: BTreeMap<String, Value> = serde_json::from_str(golden).unwrap();
        assert!(golden.len() > 20);
        for (name, value) in golden {
            let text = value.to_string();
            let event: Event<'_> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                (Some(event.class_uid), Some(&*event.message)),
                (value["class_uid"].as_u64(), value["message"].as_str())
            );
            let named = |named: &Option<Named<'_>>| named.as_ref().map(Named::key);
            let known = |member: &str| {
                let object = value["unmapped"][member].as_object()?;
                Some(format!("{}/{}", object["namespace"].as_str()?, object["name"].as_str()?))
            };
            assert_eq!(
                (named(&event.unmapped.team), named(&event.unmapped.connection)),
                (known("team"), known("connection"))
            );
        }
    }

    #[test]
    fn names_are_read_as_they_were_meant() {
        // As a directory writes its users.
        let text = json!({ "time": 1, "sequence": 2, "writer": {}, "event": {
            "class_uid": 3004, "message": "contained by",
            "actor": { "user": { "name": "DOMAIN\\ann \"é\"" } },
        } });
        let text = text.to_string();
        let view = View::of(text.as_bytes()).unwrap();
        assert_eq!(view.event.actor.unwrap().user.name, "DOMAIN\\ann \"é\"");
        assert!(View::of(b"{}").is_none());
    }
}
