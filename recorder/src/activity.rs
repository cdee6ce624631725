//! What the portal's page of the record is made of: [`audit::wire::reading`].

use std::{collections::HashSet, io, ops::ControlFlow, path::Path, time::Duration};

use audit::{
    Class, ObjectName,
    wire::reading::{Asked, MOST_EVENTS, Outcome, Page, Told, ToldActor, ToldEntity, Topic},
};
use uuid::Uuid;

use crate::{
    backwards::{Budget, Ended, backwards, backwards_within},
    query::{Filter, Query, stamp_of},
    view::{Named, Unmapped, View, text},
};

/// What is looked at for one page.
const BUDGET: Budget = Budget { bytes: 32 * 1024 * 1024, time: Duration::from_millis(500) };
/// How far beyond a page it is looked for what came of the calls on it: a call ends within seconds.
const AHEAD: u64 = 4_096;
/// What is looked at for that.
const BUDGET_AHEAD: Budget = Budget { bytes: 8 * 1024 * 1024, time: Duration::from_millis(100) };
/// What reaches across tenants, and people's accounts: not told, even to a Team in OpenTeam's own namespace.
const KEPT: [&str; 2] = ["Incident", "PortalUser"];

/// A page of the journal of `dir`. Blocks on the disk.
pub(crate) fn page(dir: &Path, asked: &Asked) -> io::Result<Page> {
    page_within(dir, asked, BUDGET)
}

fn page_within(dir: &Path, asked: &Asked, budget: Budget) -> io::Result<Page> {
    let limit = asked.limit.unwrap_or(MOST_EVENTS).clamp(1, MOST_EVENTS);
    // Of what is not in a namespace there is nothing.
    let Some(query) = query_of(asked) else { return Ok(Page::default()) };
    let filter = Filter::new(&query);
    let mut events = Vec::new();
    let mut answered = match asked.before {
        Some(before) => answered_after(dir, asked, before)?,
        None => HashSet::new(),
    };
    let ended = backwards_within(dir, asked.before, &filter.times, budget, &mut |payload| {
        let wanted = filter.maybe(payload).and_then(|(_, line)| told(line, asked));
        if let Some((event, step)) = wanted {
            // An intent is older than what came of it, and says nothing more then: also where that is not asked for.
            let is_known =
                event.outcome == Outcome::Intended && step.as_ref().is_some_and(|step| answered.contains(step));
            answered.extend(step.filter(|_| event.outcome != Outcome::Intended));
            events.extend((!is_known && is_asked_for(&event, asked)).then_some(event));
        }
        if events.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let (next, is_partial) = match ended {
        Ended::AtTheBeginning => (None, false),
        Ended::Enough => (events.last().map(|event| event.sequence), false),
        Ended::Bounded(next) => (Some(next), true),
    };
    Ok(Page { events, next, is_partial })
}

/// The steps that ended shortly after where a page begins: their intents are no news on it.
fn answered_after(dir: &Path, asked: &Asked, before: u64) -> io::Result<HashSet<Step>> {
    // One that is asked for may have ended after the times that are.
    let anytime = Asked { since: None, until: None, ..asked.clone() };
    let Some(query) = query_of(&anytime) else { return Ok(HashSet::new()) };
    let filter = Filter::new(&query);
    let mut answered = HashSet::new();
    backwards(dir, Some(before.saturating_add(AHEAD)), BUDGET_AHEAD, &mut |payload| {
        if stamp_of(payload).is_some_and(|stamp| stamp.sequence < before) {
            return ControlFlow::Break(());
        }
        let ended = filter.maybe(payload).and_then(|(_, line)| told(line, asked));
        answered.extend(ended.and_then(|(event, step)| step.filter(|_| event.outcome != Outcome::Intended)));
        ControlFlow::Continue(())
    })?;
    Ok(answered)
}

/// What is asked for, as far as the bytes of a record tell it: an intent and its end have this in common, but for the time.
fn query_of(asked: &Asked) -> Option<Query> {
    let connection = asked.connection.as_ref().map(|name| ObjectName::parse(&asked.namespace, name));
    Some(Query {
        namespace: Some(audit::Name::parse(&asked.namespace).ok()?),
        connection: connection.transpose().ok()?,
        since: asked.since,
        until: asked.until,
        ..Query::default()
    })
}

/// Whether an event of the namespace and Team is asked for.
fn is_asked_for(event: &Told, asked: &Asked) -> bool {
    let Asked { connection, topic, outcome, who, text, .. } = asked;
    connection.as_ref().is_none_or(|name| event.connection.as_ref() == Some(name))
        && topic.is_none_or(|topic| Topic::of(event.class, event.activity) == Some(topic))
        && outcome.is_none_or(|outcome| event.outcome == outcome)
        && who.as_ref().is_none_or(|who| who.did(event))
        && text.as_ref().is_none_or(|text| text.is_told_in(event))
}

/// What the steps of one call have in common: what ties them together, and what is called.
type Step = (Uuid, String);

/// What is told of a record, and the call it is a step of; `None` where it is not of the namespace and Team.
fn told(line: &str, asked: &Asked) -> Option<(Told, Option<Step>)> {
    let View { time, sequence, event, .. } = View::of(line.as_bytes())?;
    let Unmapped { team, connection, .. } = event.unmapped;
    let entity = event.entity;
    let namespace = |name: &Option<Named<'_>>| name.as_ref().map(|name| name.namespace.to_string());
    let object = entity.as_ref().map(|entity| (&*entity.r#type, &*entity.name));
    if !is_of(&asked.namespace, object, [namespace(&team).as_deref(), namespace(&connection).as_deref()]) {
        return None;
    }
    let named = object.and_then(|(_, name)| Some(name.split_once('/')?.1));
    let other_team = |wanted: &String| team.as_ref().is_some_and(|team| team.name != *wanted);
    let other_uid = |wanted: Uuid| event.metadata.tenant_uid.is_some_and(|uid| uid != wanted);
    if asked.team.as_ref().is_some_and(other_team) || asked.team_uid.is_some_and(other_uid) {
        return None;
    }
    let member = event.user.filter(|_| event.class_uid == Class::UserAccess.uid());
    let operation = event.api.and_then(|api| text(&api.operation));
    let step = event.metadata.correlation_uid.zip(operation.clone());
    let told = Told {
        sequence,
        time,
        class: event.class_uid,
        activity: event.activity_id,
        message: text(&event.message)?,
        outcome: outcome(event.action_id, event.status_id),
        reason: event.status_detail.as_deref().and_then(text),
        actor: event.actor.and_then(|actor| {
            let kind = match (actor.user.r#type.as_deref(), actor.user.type_id) {
                (Some(kind), _) => text(kind)?,
                (None, 3) => "System".to_owned(),
                (None, 1) => "User".to_owned(),
                (None, _) => return None,
            };
            Some(ToldActor { kind, name: text(&actor.user.name)? })
        }),
        connection: connection.and_then(|connection| text(&connection.name)),
        operation,
        marketplaces: event
            .resources
            .iter()
            .filter(|resource| resource.r#type == "Marketplace")
            .filter_map(|resource| text(&resource.uid))
            .collect(),
        entity: match (&entity, named, &member) {
            (Some(entity), Some(name), _) => Some(ToldEntity { kind: text(&entity.r#type)?, name: text(name)? }),
            (None, _, Some(member)) => Some(ToldEntity { kind: "Person".to_owned(), name: text(&member.name)? }),
            _ => None,
        },
    };
    Some((told, step))
}

/// Whether an event may be told to readers of a namespace: everything that it names is in that one. `object` is the entity's
/// type and name, `names` the namespaces of Team and connection.
pub(crate) fn is_of(namespace: &str, object: Option<(&str, &str)>, names: [Option<&str>; 2]) -> bool {
    let is_ours = |(kind, name): (&str, &str)| {
        let of = if kind == "Namespace" { Some(name) } else { name.split_once('/').map(|(of, _)| of) };
        !KEPT.contains(&kind) && of == Some(namespace)
    };
    let is_named = object.is_some() || names.iter().any(Option::is_some);
    is_named && object.is_none_or(is_ours) && names.iter().flatten().all(|of| *of == namespace)
}

/// How an event ended, by OCSF's `action_id` and `status_id`.
pub(crate) fn outcome(action: Option<u64>, status: Option<u64>) -> Outcome {
    match (action, status) {
        (Some(2), _) => Outcome::Refused,
        (_, Some(2)) => Outcome::Failed,
        (_, Some(99)) => Outcome::Intended,
        _ => Outcome::Succeeded,
    }
}

#[cfg(test)]
mod tests;
