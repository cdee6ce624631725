//! What happened in a Team, as far as the recorders tell it.

mod export;
mod filter;
mod line;
mod names;
mod source;

use audit::{Change, Kind, Recorded, wire::reading::Asked};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use process::journals::Cursor;

pub(crate) use export::export;
pub(crate) use source::{Source, Use};

use crate::{
    act,
    answer::{Refusal, page, page_with},
    page::{Activity, Loosened},
    portal::{Ask, Membership},
    shown,
};
use filter::Filter;
use names::Names;

/// Events of a page.
pub(crate) const EVENTS: usize = 50;
/// The parameter that says where a page begins.
const BEFORE: &str = "before";

/// `GET …/activity`.
pub(crate) async fn show(ask: &Ask, membership: &Membership) -> Result<Response<Body>, Refusal> {
    let fields = ask.parameters();
    let names = Names::of(ask, membership);
    let filter = Filter::read(&fields, &names);
    if filter.is_wrong() {
        return Ok(wrong(ask, membership, &filter, &names));
    }
    let from = fields.text(BEFORE).parse::<Cursor>().ok();
    let asked = Asked { limit: Some(EVENTS), ..filter.asked(of_the_team(membership)) };
    let found = match read_recorded(ask, membership).await {
        Ok(read) => ask.portal.activity.page(&read, &asked, from.as_ref()).await.ok(),
        Err(Refusal::Unavailable) => None,
        Err(refusal) => return Err(refusal),
    };
    let path = path(membership);
    let mut shows = Activity {
        unavailable: found.is_none(),
        newer: from.map(|_| filter.address(&path, &[])),
        ..around(ask, membership, &filter, &names)
    };
    if let Some(found) = found {
        shows.events = found.events.iter().filter_map(|event| names.tell(event)).collect();
        shows.is_partial = found.is_partial && found.older.is_some();
        shows.older = found.older.map(|older| filter.address(&path, &[(BEFORE, &older.to_string())]));
        shows.exports = Some(export::addresses(&filter, &path));
    }
    Ok(page(&shows))
}

fn path(membership: &Membership) -> String {
    format!("{}/activity", membership.path())
}

/// The events of a Team.
fn of_the_team(membership: &Membership) -> Asked {
    let uid = membership.object.metadata.uid.as_deref();
    Asked {
        namespace: membership.team.namespace.clone(),
        team: Some(membership.team.name.clone()),
        team_uid: uid.and_then(|uid| uid.parse().ok()),
        ..Asked::default()
    }
}

/// Records that somebody reads. What cannot be recorded is not read.
async fn read_recorded(ask: &Ask, membership: &Membership) -> Result<Recorded, Refusal> {
    let team = &membership.team;
    let uid = membership.object.metadata.uid.as_deref();
    let by = membership.visitor.requester(ask);
    let event = act::event(Kind::Team, team, uid, &team.name, Change::RecordReadBy(by))?;
    Ok(ask.portal.recorder.record(event).await?)
}

/// The page without events.
fn around(ask: &Ask, membership: &Membership, filter: &Filter, names: &Names) -> Activity {
    let path = path(membership);
    let loosened = filter.loosened(&path, names).into_iter().map(|(words, path)| Loosened { words, path });
    Activity {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        filter: filter.form(names),
        loosened: loosened.collect(),
        ..Activity::default()
    }
}

/// The page of a filter that cannot be read: nothing is looked for.
fn wrong(ask: &Ask, membership: &Membership, filter: &Filter, names: &Names) -> Response<Body> {
    page_with(StatusCode::UNPROCESSABLE_ENTITY, &around(ask, membership, filter, names), &Vec::new())
}
