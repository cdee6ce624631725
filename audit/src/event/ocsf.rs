//! The part of OCSF 1.8.0 that all classes share: written by a client, checked by a recorder.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::{Class, Correlation, Origin, Target};
use crate::{Role, wire::MAX_EVENT_BYTES};

pub(super) const VERSION: &str = "1.8.0";

/// `severity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
}

/// What every activity says about itself, whatever its class.
pub(super) struct Shape<'a> {
    pub class: Class,
    pub activity: u64,
    pub severity: Severity,
    pub message: &'static str,
    pub correlation: Option<Correlation>,
    pub target: Option<&'a Target>,
    pub truncated: bool,
    pub profiles: &'static [&'static str],
}

/// The whole event: what all classes share, around `body`.
///
/// Team and connection stand in `unmapped`, in the same place whatever the class, so that one filter finds them.
pub(super) fn event(shape: &Shape<'_>, body: Value, origin: &Origin, time: Timestamp, uid: Uuid) -> Value {
    let team = shape.target.map(|target| &target.team);
    let mut event = json!({
        "class_uid": shape.class.uid(),
        "category_uid": shape.class.category(),
        "activity_id": shape.activity,
        "type_uid": shape.class.uid() * 100 + shape.activity,
        "severity_id": shape.severity as u64,
        "time": millis(time),
        "message": shape.message,
        "metadata": {
            "version": VERSION,
            "product": origin.product(),
            "uid": uid,
            "tenant_uid": shape.target.and_then(|target| target.team_uid),
            "correlation_uid": shape.correlation.map(|correlation| correlation.0),
            "profiles": if shape.profiles.is_empty() { Value::Null } else { json!(shape.profiles) },
            "is_truncated": if shape.truncated { json!(true) } else { Value::Null },
        },
        "unmapped": {
            "team": team,
            "connection": shape.target.and_then(|target| target.connection.as_ref()),
        },
    });
    merge(&mut event, body);
    without_nulls(&mut event);
    event
}

/// Milliseconds since 1970, as OCSF's `timestamp_t`.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// Puts `more` into `value`, object by object.
pub(super) fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, more) in from {
                merge(into.entry(key).or_insert(Value::Null), more);
            }
        }
        (value, more) => *value = more,
    }
}

/// Takes out absent members, and objects that have none left.
fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(without_nulls);
        members.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|of| !of.is_empty()));
    }
}

/// An event that a recorder may store: of OCSF's shape, not too long, of a class its writer produces.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked(Value);

impl Checked {
    /// The event.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    pub(super) fn from_own(event: Value) -> Self {
        Self(event)
    }
}

/// Checks one line from `writer`.
///
/// # Errors
/// [`Misshapen`], which repeats nothing of the line.
pub fn check(line: &[u8], writer: Role) -> Result<Checked, Misshapen> {
    if line.len() > MAX_EVENT_BYTES {
        return Err(Misshapen::TooLong { bytes: line.len() });
    }
    let event: Value = serde_json::from_slice(line).map_err(|_| Misshapen::NotJson)?;
    let members = event.as_object().ok_or(Misshapen::NotAnObject)?;
    let class_uid = number(members, "class_uid")?;
    let class = Class::from_uid(class_uid).ok_or(Misshapen::UnknownClass { class_uid })?;
    if !class.writers().contains(&writer) {
        return Err(Misshapen::NotItsClass { class_uid, role: writer });
    }
    let activity = number(members, "activity_id")?;
    demand(number(members, "category_uid")? == class.category(), "category_uid")?;
    demand(activity <= 99, "activity_id")?;
    demand(number(members, "type_uid")? == class_uid * 100 + activity, "type_uid")?;
    demand(matches!(number(members, "severity_id")?, 0..=6 | 99), "severity_id")?;
    number(members, "time")?;

    let metadata = object(members, "metadata", "metadata")?;
    demand(metadata.get("version").and_then(Value::as_str) == Some(VERSION), "metadata.version")?;
    let product = object(metadata, "product", "metadata.product")?;
    demand(product.get("name").is_some_and(Value::is_string), "metadata.product.name")?;
    let uid = metadata.get("uid").and_then(Value::as_str).and_then(|uid| Uuid::try_parse(uid).ok());
    demand(uid.is_some_and(|uid| uid.get_version_num() == 7), "metadata.uid")?;

    match class {
        Class::ApiActivity => {
            object(members, "actor", "actor")?;
            object(members, "src_endpoint", "src_endpoint")?;
            let api = object(members, "api", "api")?;
            demand(api.get("operation").is_some_and(Value::is_string), "api.operation")?;
        }
        Class::EntityManagement => {
            object(members, "entity", "entity")?;
        }
        Class::ApplicationLifecycle => {
            object(members, "app", "app")?;
        }
        Class::ApplicationError => {}
    }
    Ok(Checked(event))
}

fn number(members: &Map<String, Value>, name: &'static str) -> Result<u64, Misshapen> {
    members.get(name).and_then(Value::as_u64).ok_or(Misshapen::Member { name })
}

fn object<'a>(
    members: &'a Map<String, Value>,
    key: &str,
    name: &'static str,
) -> Result<&'a Map<String, Value>, Misshapen> {
    members.get(key).and_then(Value::as_object).ok_or(Misshapen::Member { name })
}

fn demand(right: bool, name: &'static str) -> Result<(), Misshapen> {
    if right { Ok(()) } else { Err(Misshapen::Member { name }) }
}

/// Why a recorder does not store an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misshapen {
    /// Longer than [`MAX_EVENT_BYTES`].
    #[error("event has {bytes} bytes, more than {MAX_EVENT_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON.
    #[error("event is not JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("event is not a JSON object")]
    NotAnObject,
    /// A class we do not use.
    #[error("event has the unknown class {class_uid}")]
    UnknownClass {
        /// The class it claims.
        class_uid: u64,
    },
    /// A class of ours, but this role has no such events.
    #[error("event has class {class_uid}, which the {role} does not produce")]
    NotItsClass {
        /// The class it claims.
        class_uid: u64,
        /// Who sent it.
        role: Role,
    },
    /// A member that OCSF or its class demands is absent or wrong.
    #[error("event has no right {name}")]
    Member {
        /// Which.
        name: &'static str,
    },
}
