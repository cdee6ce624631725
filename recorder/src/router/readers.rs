//! What people and their tools read, as `audit::wire::records` describes it.

mod door;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use audit::{
    Name, ObjectName,
    wire::{
        CONTENT_TYPE,
        logs::LOGS_PATH,
        reading::Outcome,
        records::{Asked, RECORDS_PATH, Rest},
    },
};
use axum::{
    Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE as CONTENT_TYPE_HEADER},
    response::{IntoResponse, Response},
    routing::get,
};
use kube::Client;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    Journal,
    log::{Logs, Shard},
    query,
};
use door::{Door, Refusal};

/// Answers that are made at once. It is the disk that calls wait for.
const AT_ONCE: usize = 2;
/// How long one more waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// A longer text than this is searched for by nobody.
const LONGEST_TEXT: usize = 1024;

struct Shared {
    journal: Journal,
    logs: Logs,
    door: Door,
    turns: Arc<Semaphore>,
}

/// The API for readers. `client` is asked about their tokens and rights.
pub fn router(journal: Journal, logs: Logs, client: Client) -> Router {
    let door = Door::new(client, journal.clone());
    let shared = Shared { journal, logs, door, turns: Arc::new(Semaphore::new(AT_ONCE)) };
    Router::new()
        .route(RECORDS_PATH, get(records))
        .route(LOGS_PATH, get(list))
        .route(&format!("{LOGS_PATH}/{{shard}}/{{*path}}"), get(file))
        .with_state(Arc::new(shared))
}

async fn records(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let caller = shared.door.caller(&headers).await?;
    let Query(asked) = asked.map_err(|_| Refusal::Question)?;
    let query = query_of(&asked)?;
    let reader = shared.door.may_read(caller, query.namespace.as_ref()).await?;
    let turn = tokio::time::timeout(PATIENCE, shared.turns.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else { return Err(Refusal::Busy) };
    shared.door.record(&reader, query.namespace.as_ref(), query.team.as_ref()).await?;
    let journal = shared.journal.clone();
    let made = tokio::task::spawn_blocking(move || {
        // Until the work is done, whether or not anybody waits for it.
        let _turn = turn;
        query::page(journal.dir(), &query, asked.before, asked.limit)
    });
    let (lines, rest) = match made.await {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => {
            tracing::error!(%error, "the record cannot be read");
            return Err(Refusal::Unread);
        }
        Err(_) => return Err(Refusal::Failed),
    };
    let mut body: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    body += &serde_json::to_string(&Rest { rest }).map_err(|_| Refusal::Failed)?;
    body.push('\n');
    Ok(([(CONTENT_TYPE_HEADER, CONTENT_TYPE)], body).into_response())
}

/// What is asked for, if it makes sense.
fn query_of(asked: &Asked) -> Result<query::Query, Refusal> {
    let name = |text: &String| Name::parse(text).map_err(|_| Refusal::Question);
    let namespace = asked.namespace.as_ref().map(name).transpose()?;
    let object = |text: &Option<String>| match (text, &namespace) {
        (None, _) => Ok(None),
        (Some(text), Some(namespace)) => Ok(Some(ObjectName { namespace: namespace.clone(), name: name(text)? })),
        (Some(_), None) => Err(Refusal::Question),
    };
    let words = |text: &Option<String>| match text {
        Some(text) if text.is_empty() || text.len() > LONGEST_TEXT => Err(Refusal::Question),
        text => Ok(text.clone()),
    };
    let outcome = |text: &str| serde_json::from_value::<Outcome>(Value::from(text)).map_err(|_| Refusal::Question);
    let class = |uid: u64| audit::Class::from_uid(uid).ok_or(Refusal::Question);
    Ok(query::Query {
        team: object(&asked.team)?,
        connection: object(&asked.connection)?,
        actor: words(&asked.actor)?,
        class: asked.class.map(class).transpose()?,
        outcomes: asked.outcome.iter().flat_map(|all| all.split(',')).map(outcome).collect::<Result<_, _>>()?,
        text: words(&asked.text)?,
        since: asked.since,
        until: asked.until,
        namespace,
    })
}

async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let caller = shared.door.caller(&headers).await?;
    let reader = shared.door.may_read(caller, None).await?;
    shared.door.record_logs(&reader, None).await?;
    Ok(super::logs::listed(shared.logs.clone()).await.into_response())
}

async fn file(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path((shard, path)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let caller = shared.door.caller(&headers).await?;
    let reader = shared.door.may_read(caller, None).await?;
    let known = shard.parse::<Shard>().map_err(|_| Refusal::Nothing)?;
    let turn = tokio::time::timeout(PATIENCE, shared.turns.clone().acquire_owned()).await;
    let Ok(Ok(_turn)) = turn else { return Err(Refusal::Busy) };
    shared.door.record_logs(&reader, Some(known)).await?;
    let found = super::logs::file(shared.logs.clone(), &shard, path).await;
    if matches!(&found, Err(refusal) if refusal.0 == StatusCode::NOT_FOUND) {
        return Err(Refusal::Nothing);
    }
    Ok(found.into_response())
}
