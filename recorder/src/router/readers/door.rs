//! Who reads, whether they may, and the record of it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use audit::{
    Change, Entity, EntityChange, Kind, Name, ObjectName, Requester,
    wire::{Refused, records::AUDIENCE},
};
use axum::{
    Json,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use kube::Client;
use process::{
    authentication::{Reviewer, ServiceAccount, Unauthenticated},
    authorization::{Authorizer, Question},
};

use crate::{Journal, log::Shard};

const GROUP: &str = "openteam.dev";
/// How long the reading of a log's files is one reading.
const ONE_READING: Duration = Duration::from_secs(60);
/// Most readings that are remembered; of more, each is recorded anew.
const MOST_READINGS: usize = 1024;

/// Whom the apiserver vouches for. What they may do is not known yet.
pub(super) struct Caller(ServiceAccount);

/// Whom RBAC lets read what was asked for. Only [`Door::may_read`] makes one.
pub(super) struct Reader(ServiceAccount);

/// Account and log.
type Reading = (String, Option<Shard>);

pub(super) struct Door {
    reviewer: Reviewer,
    authorizer: Authorizer,
    journal: Journal,
    readings: Mutex<HashMap<Reading, Instant>>,
}

impl Door {
    pub(super) fn new(client: Client, journal: Journal) -> Self {
        let reviewer = Reviewer::new(client.clone(), AUDIENCE);
        Self { reviewer, authorizer: Authorizer::new(client), journal, readings: Mutex::default() }
    }

    /// Who asks, by the one token of the request.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(Refusal::Nobody) };
        let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::Nobody)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("Bearer") || token.is_empty() {
            return Err(Refusal::Nobody);
        }
        self.reviewer.review(token).await.map(Caller).map_err(|error| match error {
            Unauthenticated::Refused { .. } => Refusal::Nobody,
            Unauthenticated::Unavailable => Refusal::Unanswered,
        })
    }

    /// Whether a caller may read what is recorded of a namespace, or all of it.
    pub(super) async fn may_read(&self, caller: Caller, namespace: Option<&Name>) -> Result<Reader, Refusal> {
        let Caller(account) = caller;
        let of_one = namespace.map(|namespace| Question {
            verb: "get",
            group: GROUP,
            resource: "records",
            namespace: Some(namespace.as_str()),
        });
        let of_all = Question { verb: "audit", group: GROUP, resource: "teams", namespace: None };
        for question in of_one.into_iter().chain([of_all]) {
            if self.authorizer.may(&account, question).await.map_err(|_| Refusal::Unanswered)? {
                return Ok(Reader(account));
            }
        }
        Err(Refusal::Forbidden)
    }

    /// Records that somebody is about to read what is recorded of a namespace, or all of it.
    pub(super) async fn record(
        &self,
        reader: &Reader,
        namespace: Option<&Name>,
        team: Option<&ObjectName>,
    ) -> Result<(), Refusal> {
        let entity = match team {
            Some(team) => {
                let namespace = Some(team.namespace.clone());
                Entity { kind: Kind::Team, namespace, name: team.name.clone(), uid: None }
            }
            None => match namespace {
                Some(namespace) => {
                    Entity { kind: Kind::Namespace, namespace: None, name: namespace.clone(), uid: None }
                }
                None => self.whole(),
            },
        };
        self.append(reader, entity).await
    }

    /// Records that somebody is about to read a log's files, or the list of logs: one event for all that are read within a
    /// minute, as a verifier asks for thousands.
    pub(super) async fn record_logs(&self, reader: &Reader, shard: Option<Shard>) -> Result<(), Refusal> {
        let reading = (reader.0.account.to_string(), shard);
        let now = Instant::now();
        {
            let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
            readings.retain(|_, begun| now.duration_since(*begun) < ONE_READING);
            if readings.contains_key(&reading) {
                return Ok(());
            }
        }
        self.append(reader, self.whole()).await?;
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.len() < MOST_READINGS {
            readings.insert(reading, now);
        }
        Ok(())
    }

    /// All that is recorded here, by the pod that keeps it.
    fn whole(&self) -> Entity {
        Entity { kind: Kind::Log, namespace: None, name: Name::spelt(self.journal.pod()), uid: None }
    }

    async fn append(&self, Reader(account): &Reader, entity: Entity) -> Result<(), Refusal> {
        let (namespace, name) = (&account.account.namespace, &account.account.name);
        let by = Requester::of(&format!("system:serviceaccount:{namespace}:{name}"));
        let change = Change::RecordReadBy(by);
        let event = EntityChange { correlation: None, target: None, entity, change };
        match self.journal.record(event).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "nothing is read that is not recorded");
                Err(Refusal::Unread)
            }
        }
    }
}

/// Why a reader is not answered. None tells what exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token that the apiserver vouches for.
    Nobody,
    /// RBAC does not allow it.
    Forbidden,
    /// Not a question.
    Question,
    /// An auditor asked for what is not there.
    Nothing,
    /// Others are answered.
    Busy,
    /// The apiserver does not answer.
    Unanswered,
    /// The disk failed.
    Unread,
    /// We did.
    Failed,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Nobody => {
                (StatusCode::UNAUTHORIZED, "no ServiceAccount token for the audience openteam-recorder was presented")
            }
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "it takes `get` on records.openteam.dev in the namespace, or `audit` on teams.openteam.dev in the cluster",
            ),
            Self::Question => (StatusCode::BAD_REQUEST, "not a question about the record"),
            Self::Nothing => (StatusCode::NOT_FOUND, "no such file of a log"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "others are answered just now"),
            Self::Unanswered => (StatusCode::SERVICE_UNAVAILABLE, "the apiserver could not be asked about the caller"),
            Self::Unread => (StatusCode::SERVICE_UNAVAILABLE, "the record cannot be read or written"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "recorder failed"),
        };
        let mut response = (status, Json(Refused { error: error.to_owned(), line: None })).into_response();
        if self == Self::Nobody {
            response.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
