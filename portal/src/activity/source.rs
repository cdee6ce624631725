//! The recorders, as the portal asks them.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use audit::{Recorded, wire::reading::Asked};
use jiff::Timestamp;
use process::journals::{Cursor, Events, Journals, NoAnswer};

use super::EVENTS;
use crate::portal::Membership;

/// How long one page goes on asking recorders that stop looking before it is full.
const PATIENCE: Duration = Duration::from_secs(2);

/// The recorders, as they are asked.
pub(crate) struct Source {
    journals: Journals,
}

/// When RuntimeTokens were last used.
pub(crate) struct Uses {
    last: HashMap<String, Timestamp>,
    /// From when on nothing is missing; `None` where nothing is at all.
    since: Option<Timestamp>,
}

/// What is known of a token's last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Then.
    At(Timestamp),
    /// It was not.
    Never,
    /// The record that was looked at begins after the token.
    Unknown,
}

impl Uses {
    /// Of the token with this name that was created then: a use before that is one of a token that had the name before.
    pub(crate) fn of(&self, name: &str, created: Timestamp) -> Use {
        // A second is for the clock of whoever created it.
        match self.last.get(name).filter(|at| **at >= created - jiff::SignedDuration::from_secs(1)) {
            Some(at) => Use::At(*at),
            None if self.since.is_some_and(|since| since > created) => Use::Unknown,
            None => Use::Never,
        }
    }
}

impl Source {
    pub(crate) const fn new(journals: Journals) -> Self {
        Self { journals }
    }

    /// When the RuntimeTokens of the Team's namespace were last used; `None` where no recorder answers.
    pub(crate) async fn last_use(&self, membership: &Membership) -> Option<Uses> {
        let told = self.journals.last_use(&membership.team.namespace).await.ok()?;
        let time = |at: i64| Timestamp::from_millisecond(at).ok();
        Some(Uses {
            last: told.runtime_tokens.into_iter().filter_map(|(name, at)| Some((name, time(at)?))).collect(),
            since: told.is_partial.then(|| time(told.since)).flatten(),
        })
    }

    /// A part of the record, from `from` on, as [`Journals::activity`] gives it.
    pub(super) async fn part(&self, read: &Recorded, asked: &Asked, from: Option<&Cursor>) -> Result<Events, NoAnswer> {
        self.journals.activity(read, asked, from).await
    }

    /// A page: a part, and for a while more of it where recorders stop looking before it is full.
    pub(super) async fn page(&self, read: &Recorded, asked: &Asked, from: Option<&Cursor>) -> Result<Events, NoAnswer> {
        let (begun, limit) = (Instant::now(), asked.limit.unwrap_or(EVENTS));
        let mut found = self.part(read, asked, from).await?;
        while found.is_partial && found.events.len() < limit && begun.elapsed() < PATIENCE {
            let asked = Asked { limit: Some(limit - found.events.len()), ..asked.clone() };
            let Some(older) = &found.older else { break };
            let Ok(more) = self.part(read, &asked, Some(older)).await else { break };
            if more.older.as_ref() == Some(older) {
                break;
            }
            found.events.extend(more.events);
            (found.older, found.is_partial) = (more.older, more.is_partial);
        }
        // What came late may be newer than what was there.
        found.events.sort_by_key(|event| Reverse(event.time));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_was_never_used_only_where_the_record_would_know() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let whole = Uses { last: [("laptop".to_owned(), at(100))].into(), since: None };
        assert_eq!(whole.of("laptop", at(50)), Use::At(at(100)));
        assert_eq!(whole.of("laptop", at(200)), Use::Never, "another one had the name");
        assert_eq!(whole.of("other", at(50)), Use::Never);
        let part = Uses { since: Some(at(60)), ..whole };
        assert_eq!((part.of("other", at(50)), part.of("other", at(70))), (Use::Unknown, Use::Never));
    }
}
