//! Calls: to the gateway, and from OpenTeam to Amazon (OCSF 6003, API Activity).

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Actor, Correlation, Digest, EventName, MarketplaceId, Network, Origin, Reason, Source, Target,
    actor::{ActorBody, SourceBody},
    ocsf::{Body, Shape, Unmapped, millis},
};

/// Most marketplaces, and most resource digests, that one event lists; more set `metadata.is_truncated`.
/// Amazon has 23 marketplaces, its paths at most a handful of parameters.
pub(super) const MOST_LISTED: usize = 32;

/// What a call does to what it names: `activity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// POST.
    Create,
    /// GET, HEAD.
    Read,
    /// PUT, PATCH.
    Update,
    /// DELETE.
    Delete,
    /// Another method.
    Other,
}

impl Act {
    /// What HTTP's method says, in upper case as on the wire.
    pub fn of_method(method: &str) -> Self {
        match method {
            "POST" => Self::Create,
            "GET" | "HEAD" => Self::Read,
            "PUT" | "PATCH" => Self::Update,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    const fn activity(self) -> u64 {
        match self {
            Self::Create => 1,
            Self::Read => 2,
            Self::Update => 3,
            Self::Delete => 4,
            Self::Other => 99,
        }
    }
}

/// What is called: words of the program's own tables, so nothing of a caller's path can be in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The API, such as `orders`.
    pub api: &'static str,
    /// Its version, such as `v0`.
    pub version: &'static str,
    /// The operation's id, such as `getOrders`.
    pub id: &'static str,
    /// What it does.
    pub act: Act,
}

impl Operation {
    /// A refresh token used at Login with Amazon.
    pub const LWA_REFRESH: Self = Self { api: "lwa", version: "o2", id: "refreshToken", act: Act::Create };
    /// A token got with the application's own secret, without a seller.
    pub const LWA_GRANTLESS: Self = Self { api: "lwa", version: "o2", id: "clientCredentials", act: Act::Create };
    /// The code of a seller's consent exchanged for a refresh token.
    pub const LWA_CODE: Self = Self { api: "lwa", version: "o2", id: "authorizationCode", act: Act::Create };
    /// OpenTeam's own token handed out at `/auth/o2/token`.
    pub const TOKEN: Self = Self { api: "openteam", version: "o2", id: "issueToken", act: Act::Create };
    /// Amazon's own access token handed out, where a connection allows that.
    pub const CREDENTIAL: Self = Self { api: "openteam", version: "v1", id: "handOutCredential", act: Act::Read };
    /// `/openteam/v1/connections`.
    pub const CONNECTIONS: Self = Self { api: "openteam", version: "v1", id: "listConnections", act: Act::Read };
    /// A path that is no operation we know.
    pub const UNKNOWN: Self = Self { api: "unknown", version: "unknown", id: "unknown", act: Act::Other };
}

/// How far the call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Allowed, and about to happen. An intent without an outcome may have happened.
    Intent,
    /// Answered.
    Outcome {
        /// The HTTP status; from 400 on it is a failure.
        status: u16,
        /// From sending to the answer's head.
        latency: Duration,
    },
    /// Allowed, but without an answer.
    Failed {
        /// Why, such as `AmazonUnreachable` or `CallerLeft`.
        reason: Reason,
    },
    /// Not allowed; nothing happened.
    Refused {
        /// Why.
        reason: Reason,
        /// The HTTP status the caller got.
        status: u16,
    },
}

/// One step of one call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Shared by all steps of the call.
    pub correlation: Correlation,
    /// Who calls.
    pub actor: Actor,
    /// From where.
    pub source: Source,
    /// Whose connection; none while that is not known.
    pub target: Option<Target>,
    /// What is called.
    pub operation: Operation,
    /// The marketplaces named.
    pub marketplaces: Vec<MarketplaceId>,
    /// Digests of the ids in the path, such as an order's.
    pub resources: Vec<Digest>,
    /// When what was handed out, or refreshed, stops working.
    pub expires_at: Option<Timestamp>,
    /// How far it is.
    pub phase: Phase,
}

impl Call {
    pub(super) fn shape(&self) -> Shape<'_> {
        let name = match self.phase {
            Phase::Intent => EventName::CallIntended,
            Phase::Outcome { status: 400.., .. } => EventName::CallAnsweredWithError,
            Phase::Outcome { .. } => EventName::CallAnswered,
            Phase::Failed { .. } => EventName::CallFailed,
            Phase::Refused { .. } => EventName::CallRefused,
        };
        Shape {
            activity: self.operation.act.activity(),
            correlation: Some(self.correlation),
            target: self.target.as_ref(),
            truncated: self.marketplaces.len() > MOST_LISTED || self.resources.len() > MOST_LISTED,
            profiles: &["security_control"],
            ..Shape::of(name)
        }
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let Operation { api, version, id, .. } = self.operation;
        let marketplaces = self.marketplaces.iter().take(MOST_LISTED);
        let resources = self.resources.iter().take(MOST_LISTED);
        let listed = marketplaces
            .map(|id| Listed { r#type: "Marketplace", uid: id.as_str() })
            .chain(resources.map(|digest| Listed { r#type: "PathParameter", uid: digest.as_str() }));
        // action_id: 1 allowed, 2 denied. status_id: 1 success, 2 failure, 99 other.
        let (action_id, status_id) = match self.phase {
            Phase::Intent => (1, 99),
            Phase::Outcome { status: 400.., .. } | Phase::Failed { .. } => (1, 2),
            Phase::Outcome { .. } => (1, 1),
            Phase::Refused { .. } => (2, 2),
        };
        let body = ApiBody {
            actor: self.actor.body(origin),
            src_endpoint: self.source.body(origin),
            api: Api {
                operation: format!("{api}/{version}/{id}"),
                version: Some(version),
                service: Some(Service { name: api }),
            },
            resources: listed.collect(),
            action_id,
            status_id,
            status: (self.phase == Phase::Intent).then_some("Intended"),
            status_detail: match self.phase {
                Phase::Failed { reason } | Phase::Refused { reason, .. } => Some(reason.as_str()),
                Phase::Intent | Phase::Outcome { .. } => None,
            },
            http_response: match self.phase {
                Phase::Outcome { status, latency } => {
                    Some(HttpResponse { code: status, latency: Some(latency.as_millis() as u64) })
                }
                Phase::Refused { status, .. } => Some(HttpResponse { code: status, latency: None }),
                Phase::Intent | Phase::Failed { .. } => None,
            },
            counted: None,
        };
        (Body::Api(body), Unmapped { expires_at: self.expires_at.map(millis), ..Unmapped::default() })
    }
}

/// What an event of the class has besides what all have.
#[derive(Serialize)]
pub(super) struct ApiBody<'a> {
    actor: ActorBody<'a>,
    src_endpoint: SourceBody<'a>,
    api: Api,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Listed<'a>>,
    action_id: u64,
    status_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_response: Option<HttpResponse>,
    #[serde(flatten)]
    counted: Option<Counted>,
}

#[derive(Serialize)]
struct Api {
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
}

#[derive(Serialize)]
struct Service {
    name: &'static str,
}

#[derive(Serialize)]
struct Listed<'a> {
    r#type: &'static str,
    uid: &'a str,
}

#[derive(Serialize)]
struct HttpResponse {
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<u64>,
}

/// For an event that stands for many.
#[derive(Serialize)]
pub(super) struct Counted {
    count: u64,
    start_time: i64,
    end_time: i64,
}

impl Counted {
    pub(super) fn of(them: &RefusedCallers) -> Self {
        Self { count: them.count, start_time: millis(them.first), end_time: millis(them.last) }
    }
}

/// Callers refused before they were known, counted instead of recorded one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedCallers {
    /// From where.
    pub source: Network,
    /// Why.
    pub reason: Reason,
    /// How many requests.
    pub count: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

impl RefusedCallers {
    pub(super) fn shape(&self) -> Shape<'_> {
        Shape { profiles: &["security_control"], ..Shape::of(EventName::UnknownCallersRefused) }
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let body = ApiBody {
            actor: Actor::Unknown.body(origin),
            src_endpoint: Source::Network(self.source).body(origin),
            api: Api { operation: "unknown".to_owned(), version: None, service: None },
            resources: Vec::new(),
            action_id: 2,
            status_id: 2,
            status: None,
            status_detail: Some(self.reason.as_str()),
            http_response: None,
            counted: Some(Counted::of(self)),
        };
        (Body::Api(body), Unmapped::default())
    }
}
