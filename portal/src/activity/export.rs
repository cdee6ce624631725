//! What a filter shows, as a file. It is made page by page while it is taken, so that nobody holds all of it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use audit::{
    Recorded,
    wire::reading::{Asked, MOST_EVENTS},
};
use axum::{
    body::{Body, Bytes},
    http::{Response, StatusCode, header},
};
use futures::stream;
use jiff::Timestamp;
use process::journals::Cursor;
use tokio::time::Instant;

use super::{
    BEFORE,
    filter::Filter,
    line::{End, Format},
    names::Names,
    of_the_team, read_recorded, wrong,
};
use crate::{
    answer::{self, Refusal},
    pace::Place,
    page::Problem,
    portal::{Ask, Membership, Portal},
};

/// The parameter that says what a file is made of.
const AS: &str = "as";
/// Events of a file.
const MOST: usize = 10_000;
/// How long a file is made. Less than the minute after which proxies give up what says nothing, as a search may that finds
/// nothing for long.
const LONGEST: Duration = Duration::from_secs(45);
/// How often a record that does not answer is asked again, and how long after.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

const FULL: &str = "a file has 10,000 events at most";
const SLOW: &str = "a file is made for 45 seconds at most";
const NO_ANSWER: &str = "the record, or a part of it, does not answer now";
const NOT_ALLOWED: &str = "whoever asked is signed out or no longer a member";
const STOPPED: &str = "the portal was restarted";

/// `GET …/activity/export`.
pub(crate) async fn export(ask: &Ask, membership: &Membership) -> Result<Response<Body>, Refusal> {
    let fields = ask.parameters();
    let names = Names::of(ask, membership);
    let filter = Filter::read(&fields, &names);
    if filter.is_wrong() {
        return Ok(wrong(ask, membership, &filter, &names));
    }
    let bad = |text: &str| Refusal::Problem(Problem::BadRequest { text: text.to_owned() });
    let format = Format::of(&fields.text(AS)).ok_or_else(|| bad("A file is csv or jsonl. Follow a link to one."))?;
    let from = match fields.text(BEFORE) {
        text if text.is_empty() => None,
        text => Some(text.parse::<Cursor>().map_err(|_| bad("This is no place in the record."))?),
    };
    let place = ask.portal.paces.export(&membership.visitor.name);
    let place = place.ok_or(Refusal::Problem(Problem::TooMany { seconds: Some(30) }))?;
    let read = read_recorded(ask, membership).await?;
    let making = Making {
        portal: ask.portal.clone(),
        asked: filter.asked(of_the_team(membership)),
        membership: membership.clone(),
        filter,
        names,
        format,
        from,
        read,
        events: 0,
        until: Instant::now() + LONGEST,
        stage: Stage::Begins,
        _place: place,
    };
    let body = Body::from_stream(stream::unfold(making, Making::next));
    let mut response = answer::text(StatusCode::OK, format.media_type(), body);
    // Both names are DNS names: nothing in them ends the quotes.
    let file = format!("openteam-{}-activity.{}", membership.team.name, format.extension());
    answer::set(&mut response, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{file}\""));
    Ok(response)
}

#[derive(PartialEq, Eq)]
enum Stage {
    Begins,
    GoesOn,
    Over,
}

/// A file that is being made.
struct Making {
    portal: Arc<Portal>,
    membership: Membership,
    filter: Filter,
    names: Names,
    asked: Asked,
    format: Format,
    /// That somebody reads; one reading, however many pages.
    read: Recorded,
    from: Option<Cursor>,
    events: usize,
    until: Instant,
    stage: Stage,
    _place: Place,
}

impl Making {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut text = match self.stage {
            Stage::Begins => self.format.head(),
            Stage::GoesOn => String::new(),
            Stage::Over => return None,
        };
        if let Some(why) = self.part(&mut text).await {
            self.stage = Stage::Over;
            text += &self.format.end(&self.end(why));
        } else {
            self.stage = Stage::GoesOn;
        }
        Some((Ok(text.into()), self))
    }

    /// Adds the next events; why there are no more in this file, if so: `None` within, where the record has no more.
    async fn part(&mut self, text: &mut String) -> Option<Option<&'static str>> {
        let asked = Asked { limit: Some(MOST_EVENTS.min(MOST - self.events)), ..self.asked.clone() };
        let mut tries = 0;
        loop {
            if let Some(why) = self.hindrance() {
                return Some(Some(why));
            }
            let found = self.portal.activity.part(&self.read, &asked, self.from.as_ref()).await;
            // Of a recorder that does not answer the place stays where it is, in the end as the only one.
            let found = found.ok().filter(|found| !found.is_partial || found.older != self.from);
            let Some(found) = found else {
                tries += 1;
                if tries >= TRIES {
                    return Some(Some(NO_ANSWER));
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            self.events += found.events.len();
            let lines = found.events.iter().filter_map(|event| self.names.tell(event));
            lines.for_each(|event| text.push_str(&self.format.line(&event)));
            self.from = found.older;
            return match self.from {
                None => Some(None),
                Some(_) => (self.events >= MOST).then_some(Some(FULL)),
            };
        }
    }

    /// Why no more may be read. Who leaves the Team meanwhile gets no more of it.
    fn hindrance(&self) -> Option<&'static str> {
        if self.portal.shutdown.is_cancelled() {
            return Some(STOPPED);
        }
        // Who asks was looked at a moment ago, and by what this replica may not have seen yet.
        if self.stage == Stage::Begins {
            return None;
        }
        if Instant::now() >= self.until {
            return Some(SLOW);
        }
        let Ok(index) = self.portal.index() else { return Some(NO_ANSWER) };
        let still = self.portal.still(&index, &self.membership, Timestamp::now());
        still.is_none().then_some(NOT_ALLOWED)
    }

    fn end(&self, why: Option<&'static str>) -> End {
        let next = self.from.as_ref().filter(|_| why.is_some_and(|why| why != NOT_ALLOWED)).map(|from| {
            let path = format!("{}{}/activity/export", self.portal.public_url, self.membership.path());
            self.filter.address(&path, &[(AS, self.format.extension()), (BEFORE, &from.to_string())])
        });
        End { events: self.events, why, next }
    }
}

/// The addresses of the files of a filter, whatever page of it is looked at.
pub(super) fn addresses(filter: &Filter, path: &str) -> [String; 2] {
    [Format::Csv, Format::Json].map(|format| filter.address(&format!("{path}/export"), &[(AS, format.extension())]))
}
