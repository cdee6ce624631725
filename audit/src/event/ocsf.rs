//! The part of OCSF 1.8.0 that all classes share: written by a client, checked by a recorder.

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use super::{
    CheckpointNote, Class, Correlation, EventName, LogOrigin, Name, ObjectName, Origin, Product, Stamp, Target,
    finding::{CheckpointBody, SignedOffBy},
    node::{Members, Node},
};
use crate::{Peer, Role, wire::MAX_EVENT_BYTES};

pub(super) const VERSION: &str = "1.8.0";
/// Most events are no longer.
const USUAL_BYTES: usize = 1536;

/// `severity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nobody need look.
    Informational = 1,
    /// Worth a look if there are many.
    Low = 2,
    /// Somebody should look.
    Medium = 3,
    /// Somebody must look.
    High = 4,
}

/// What every activity says about itself, whatever its class.
pub(super) struct Shape<'a> {
    pub name: EventName,
    /// One of those its row allows.
    pub activity: u64,
    pub correlation: Option<Correlation>,
    pub target: Option<&'a Target>,
    pub truncated: bool,
    pub profiles: &'static [&'static str],
}

impl Shape<'_> {
    /// With the first activity of its row, and nothing more.
    pub(super) fn of(name: EventName) -> Self {
        let activity = name.row().activities.first().copied().unwrap_or_default();
        Self { name, activity, correlation: None, target: None, truncated: false, profiles: &[] }
    }
}

/// The whole event, in the order it is written.
#[derive(Serialize)]
struct Whole<'a> {
    class_uid: u64,
    category_uid: u64,
    activity_id: u64,
    type_uid: u64,
    severity_id: u64,
    time: i64,
    message: &'static str,
    metadata: Metadata<'a>,
    unmapped: &'a Unmapped<'a>,
    #[serde(flatten)]
    body: &'a Body<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    version: &'static str,
    product: Product<'a>,
    uid: Uuid,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_uid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_uid: Option<Uuid>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    profiles: &'static [&'static str],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_truncated: bool,
}

/// What OCSF has no place for. Team and connection stand here whatever the class, so that one filter finds them.
#[derive(Default, Serialize)]
pub(super) struct Unmapped<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<&'a ObjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<&'a ObjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incidents: Option<&'a [Name]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_to: Option<&'a Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<super::change::ScopeBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<&'a Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<&'a LogOrigin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_checkpoint: Option<&'a CheckpointNote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remembered: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<CheckpointBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_off_by: Option<SignedOffBy<'a>>,
}

/// What is of one class only.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Body<'a> {
    Api(super::call::ApiBody<'a>),
    Entity(super::change::EntityBody<'a>),
    SignIn(super::sign_in::SignInBody<'a>),
    Membership(super::membership::MembershipBody<'a>),
    Finding(super::finding::FindingBody<'a>),
    Lifecycle(super::process::LifecycleBody<'a>),
    Fault(super::process::FaultBody),
}

/// The event as one line of JSON. Written at once, with no tree of values in between: a gateway writes two for each call.
pub(super) fn event(shape: &Shape<'_>, more: Unmapped<'_>, body: &Body<'_>, origin: &Origin, stamp: &Stamp) -> String {
    let target = shape.target;
    let row = shape.name.row();
    let unmapped = Unmapped {
        run: Some(stamp.run),
        team: target.map(|target| &target.team),
        connection: target.and_then(|target| target.connection.as_ref()),
        ..more
    };
    let whole = Whole {
        class_uid: row.class.uid(),
        category_uid: row.class.category(),
        activity_id: shape.activity,
        type_uid: row.class.uid() * 100 + shape.activity,
        severity_id: row.severity as u64,
        time: millis(stamp.time),
        message: row.message,
        metadata: Metadata {
            version: VERSION,
            product: origin.product(),
            uid: stamp.uid,
            sequence: stamp.sequence,
            tenant_uid: target.and_then(|target| target.team_uid),
            correlation_uid: shape.correlation.map(|correlation| correlation.0),
            profiles: shape.profiles,
            is_truncated: shape.truncated,
        },
        unmapped: &unmapped,
        body,
    };
    let mut line = Vec::with_capacity(USUAL_BYTES);
    #[expect(clippy::expect_used, reason = "fails only for maps whose keys are no text, and for writers that fail")]
    serde_json::to_writer(&mut line, &whole).expect("an event is JSON");
    String::from_utf8(line).unwrap_or_default()
}

/// Milliseconds since 1970, as OCSF's `timestamp_t`.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// An event that a recorder may store: of OCSF's shape, not too long, of a class its writer produces.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked(String);

impl Checked {
    /// The event, as it came.
    pub fn as_line(&self) -> &str {
        &self.0
    }

    pub(super) fn from_own(line: String) -> Self {
        Self(line)
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
    let line = std::str::from_utf8(line).map_err(|_| Misshapen::NotJson)?;
    let event: Node<'_> = serde_json::from_str(line).map_err(|_| Misshapen::NotJson)?;
    let members = event.object().ok_or(Misshapen::NotAnObject)?;
    let class_uid = number(members, "class_uid")?;
    let class = Class::from_uid(class_uid).ok_or(Misshapen::UnknownClass { class_uid })?;
    if !class.is_of(writer) {
        return Err(Misshapen::NotItsClass { class_uid, role: writer });
    }
    let activity = number(members, "activity_id")?;
    demand(number(members, "category_uid")? == class.category(), "category_uid")?;
    demand(activity <= 99, "activity_id")?;
    if !class.takes(activity, writer) {
        return Err(Misshapen::NotItsActivity { class_uid, activity_id: activity, role: writer });
    }
    demand(number(members, "type_uid")? == class_uid * 100 + activity, "type_uid")?;
    demand(matches!(number(members, "severity_id")?, 0..=6 | 99), "severity_id")?;
    number(members, "time")?;

    let metadata = object(members, "metadata", "metadata")?;
    demand(metadata.get("version").and_then(Node::text) == Some(VERSION), "metadata.version")?;
    let product = object(metadata, "product", "metadata.product")?;
    demand(product.get("name").and_then(Node::text).is_some(), "metadata.product.name")?;
    let uid = metadata.get("uid").and_then(Node::text).and_then(|uid| Uuid::try_parse(uid).ok());
    demand(uid.is_some_and(|uid| uid.get_version_num() == 7), "metadata.uid")?;
    let sequence = metadata.get("sequence").and_then(Node::number);
    demand(sequence.is_some_and(|sequence| sequence > 0), "metadata.sequence")?;
    let run = object(members, "unmapped", "unmapped")?.get("run").and_then(Node::text);
    demand(run.is_some_and(|run| Uuid::try_parse(run).is_ok()), "unmapped.run")?;

    match class {
        Class::ApiActivity => {
            object(members, "actor", "actor")?;
            object(members, "src_endpoint", "src_endpoint")?;
            let api = object(members, "api", "api")?;
            demand(api.get("operation").and_then(Node::text).is_some(), "api.operation")?;
        }
        Class::ComplianceFinding | Class::DetectionFinding => {
            let info = object(members, "finding_info", "finding_info")?;
            demand(info.get("uid").and_then(Node::text).is_some(), "finding_info.uid")?;
            if class == Class::ComplianceFinding {
                object(members, "compliance", "compliance")?;
            }
        }
        Class::AccountChange => {
            object(members, "user", "user")?;
        }
        Class::UserAccess => {
            object(members, "user", "user")?;
            demand(members.get("privileges").is_some(), "privileges")?;
        }
        Class::Authentication => {
            object(members, "user", "user")?;
            object(members, "service", "service")?;
        }
        Class::EntityManagement => {
            object(members, "entity", "entity")?;
        }
        Class::ApplicationLifecycle => {
            object(members, "app", "app")?;
        }
        Class::ApplicationError => {}
    }
    Ok(Checked(line.to_owned()))
}

fn number(members: &Members<'_>, name: &'static str) -> Result<u64, Misshapen> {
    members.get(name).and_then(Node::number).ok_or(Misshapen::Member { name })
}

fn object<'a, 'l>(members: &'a Members<'l>, key: &str, name: &'static str) -> Result<&'a Members<'l>, Misshapen> {
    members.get(key).and_then(Node::object).ok_or(Misshapen::Member { name })
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
    /// A class of this role's, but it has no such activity.
    #[error("event has activity {activity_id} of class {class_uid}, which the {role} does not produce")]
    NotItsActivity {
        /// Its class.
        class_uid: u64,
        /// The activity it claims.
        activity_id: u64,
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
