//! What the recorders tell the portal, of all of them: `audit::wire::reading`.
//!
//! Each has a journal of its own, so a page is put together by time, and where to go on is one sequence a recorder
//! ([`Cursor`]). One that does not answer makes an answer partial; only where none does there is none.

use std::{cmp::Reverse, fmt, str::FromStr, time::Duration};

use audit::{
    Recorded,
    wire::reading::{ACTIVITY_PATH, Asked, LAST_USE_PATH, LastUse, MOST_EVENTS, Page, Told},
};
use futures::future::join_all;
use serde::de::DeserializeOwned;
use thiserror::Error;
use url::Url;

use crate::{answer, certificate::chain, record};

/// How long an answer may take: a recorder looks for half a second, after it let one wait for a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// The longest answer that is read: last uses of as many names as a recorder keeps.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Most recorders of an installation, so that a cursor has an end.
const MOST_RECORDERS: usize = 16;

/// No recorder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no recorder tells what it has")]
pub struct NoAnswer;

/// Where a page ends, in each journal: the sequence, or nothing where it was read to its beginning. Its text goes into
/// addresses: numbers and `x`, separated by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<Option<u64>>);

/// A text that is no [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a place in the record")]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, next) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "." })?;
            match next {
                Some(next) => write!(f, "{next}")?,
                None => f.write_str("x")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let next = |part: &str| match part {
            "x" => Ok(None),
            _ if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().map(Some).map_err(|_| NotACursor),
            _ => Err(NotACursor),
        };
        let parts: Vec<_> = text.split('.').take(MOST_RECORDERS + 1).map(next).collect::<Result<_, _>>()?;
        if parts.len() <= MOST_RECORDERS { Ok(Self(parts)) } else { Err(NotACursor) }
    }
}

/// A page of the record, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The events.
    pub events: Vec<Told>,
    /// Where older ones are; `None` where there are none.
    pub older: Option<Cursor>,
    /// Whether a recorder did not answer, or stopped looking before the page was full.
    pub is_partial: bool,
}

/// All recorders.
pub struct Journals {
    all: Vec<(String, Url)>,
    client: Box<dyn Fn() -> reqwest::Client + Send + Sync>,
}

impl Journals {
    /// Those at `base`, their Service, of a StatefulSet of so many replicas; see [`record::clients`] for `client`.
    pub fn new(
        base: &Url,
        namespace: &str,
        replicas: u32,
        client: impl Fn() -> reqwest::Client + Send + Sync + 'static,
    ) -> Self {
        let mut all = record::replicas(base, namespace, replicas);
        all.truncate(MOST_RECORDERS);
        Self { all, client: Box::new(client) }
    }

    /// A page of what `asked` says ([`Asked::before`] is not looked at), from `from` on, or the newest. That somebody reads is
    /// recorded first: `_read` is the proof, of an `audit::Change::RecordReadBy`; one reading may take several pages.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn activity(&self, _read: &Recorded, asked: &Asked, from: Option<&Cursor>) -> Result<Events, NoAnswer> {
        let limit = asked.limit.unwrap_or(MOST_EVENTS).clamp(1, MOST_EVENTS);
        let asks = self.all.iter().enumerate().map(|(index, (pod, url))| async move {
            let before = match from.map(|from| from.0.get(index).copied()) {
                // Read to its beginning; one that a cursor does not have is newer than it.
                Some(Some(None)) => return Some((Page::default(), None)),
                Some(Some(Some(before))) => Some(before),
                Some(None) | None => None,
            };
            let asked = Asked { before, limit: Some(limit), ..asked.clone() };
            self.ask(pod, url, ACTIVITY_PATH, &query(&asked)).await.map(|page| (page, before))
        });
        let pages: Vec<Option<(Page, Option<u64>)>> = join_all(asks).await;
        if pages.iter().all(Option::is_none) {
            return Err(NoAnswer);
        }
        Ok(merge(pages, from, limit))
    }

    /// When tokens and accounts of a namespace were last used.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn last_use(&self, namespace: &str) -> Result<LastUse, NoAnswer> {
        let asked = [("namespace", namespace.to_owned())];
        let asks = self.all.iter().map(|(pod, url)| self.ask::<LastUse>(pod, url, LAST_USE_PATH, &asked));
        let answers = join_all(asks).await;
        let is_partial = answers.iter().any(Option::is_none);
        let mut answers = answers.into_iter().flatten();
        let mut all = answers.next().ok_or(NoAnswer)?;
        all.is_partial |= is_partial;
        for one in answers {
            all.is_partial |= one.is_partial;
            all.since = all.since.max(one.since);
            for (them, more) in
                [(&mut all.runtime_tokens, one.runtime_tokens), (&mut all.service_accounts, one.service_accounts)]
            {
                for (name, time) in more {
                    let last = them.entry(name).or_insert(time);
                    *last = time.max(*last);
                }
            }
        }
        Ok(all)
    }

    async fn ask<T: DeserializeOwned>(&self, pod: &str, url: &Url, path: &str, query: &[Pair]) -> Option<T> {
        match self.try_ask(url, path, query).await {
            Ok(answer) => Some(answer),
            Err(why) => {
                tracing::warn!(recorder = pod, why, "a recorder does not tell what it has");
                None
            }
        }
    }

    async fn try_ask<T: DeserializeOwned>(&self, url: &Url, path: &str, query: &[Pair]) -> Result<T, String> {
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut url = url.join(path).map_err(|error| error.to_string())?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = (self.client)().get(url).timeout(ANSWER_LIMIT).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(answer.status().to_string());
        }
        let body = answer::read(answer, MAX_ANSWER_BYTES).await.map_err(failed)?;
        let body = body.ok_or("its answer is too long")?;
        serde_json::from_slice(&body).map_err(|_| "its answer is none".to_owned())
    }
}

impl fmt::Debug for Journals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|(pod, _)| pod)).finish()
    }
}

/// A part of a query.
type Pair = (&'static str, String);

fn query(asked: &Asked) -> Vec<Pair> {
    let Asked { namespace, team, team_uid, before, limit, connection, topic, outcome, who, text, since, until } = asked;
    let pairs = [
        ("namespace", Some(namespace.clone())),
        ("team", team.clone()),
        ("teamUid", team_uid.map(|uid| uid.to_string())),
        ("before", before.map(|before| before.to_string())),
        ("limit", limit.map(|limit| limit.to_string())),
        ("connection", connection.clone()),
        ("topic", topic.map(|topic| format!("{topic:?}"))),
        ("outcome", outcome.map(|outcome| format!("{outcome:?}"))),
        ("who", who.clone().map(String::from)),
        ("text", text.clone().map(String::from)),
        ("since", since.map(|since| since.to_string())),
        ("until", until.map(|until| until.to_string())),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// One page of several, each with where it was asked from; `None` of a recorder that did not answer. What such a recorder
/// has, or one that stopped looking, comes late, on an older page, and is not lost.
fn merge(pages: Vec<Option<(Page, Option<u64>)>>, from: Option<&Cursor>, limit: usize) -> Events {
    let is_partial = pages.iter().any(|page| page.as_ref().is_none_or(|(page, _)| page.is_partial));
    let of = |(index, page): (usize, &Option<(Page, Option<u64>)>)| {
        let events = page.iter().flat_map(|(page, _)| page.events.clone());
        events.map(|event| (index, event)).collect::<Vec<_>>()
    };
    let mut all: Vec<(usize, Told)> = pages.iter().enumerate().flat_map(of).collect();
    // Stable: events of one recorder and millisecond stay in their order.
    all.sort_by_key(|(_, event)| Reverse(event.time));
    all.truncate(limit);
    let next = |(index, page): (usize, &Option<(Page, Option<u64>)>)| {
        let newest = Some(u64::MAX);
        let Some((page, before)) = page else {
            return from.map_or(newest, |from| from.0.get(index).copied().unwrap_or(newest));
        };
        let mut taken = all.iter().filter(|(of, _)| *of == index).map(|(_, event)| event.sequence);
        match taken.next_back() {
            last if last == page.events.last().map(|event| event.sequence) => page.next,
            None => before.or(newest),
            last => last,
        }
    };
    let cursor = Cursor(pages.iter().enumerate().map(next).collect());
    let older = cursor.0.iter().any(Option::is_some).then_some(cursor);
    Events { events: all.into_iter().map(|(_, event)| event).collect(), older, is_partial }
}

#[cfg(test)]
mod tests {
    use audit::wire::reading::{Outcome, Sought, Topic};

    use super::*;

    fn told(time: i64, sequence: u64) -> Told {
        Told {
            sequence,
            time,
            class: 3004,
            activity: 1,
            message: "created by".to_owned(),
            outcome: Outcome::Succeeded,
            reason: None,
            actor: None,
            connection: None,
            operation: None,
            marketplaces: vec![],
            entity: None,
        }
    }

    /// What a recorder with events of these times, one a sequence from 1, answers.
    fn page(times: &[i64], before: Option<u64>, limit: usize) -> Page {
        let all =
            times.iter().zip(1..).map(|(time, sequence)| told(*time, sequence)).collect::<Vec<_>>().into_iter().rev();
        let mut left: Vec<Told> = all.filter(|event| before.is_none_or(|before| event.sequence < before)).collect();
        left.truncate(limit);
        let next = (left.len() == limit).then(|| left.last().map(|event| event.sequence)).flatten();
        Page { events: left, next, is_partial: false }
    }

    #[test]
    fn every_filter_is_asked_in_the_words_that_recorders_read() {
        let sought = |words: &str| Sought::new(words, vec!["hmac-sha256:1".to_owned()], vec!["na".to_owned()]).ok();
        let mut asked = Asked {
            namespace: "acme".to_owned(),
            team: Some("acme".to_owned()),
            team_uid: Some("01950000-0000-7000-8000-000000000001".parse().unwrap()),
            before: Some(3),
            limit: Some(5),
            connection: Some("acme-na".to_owned()),
            topic: None,
            outcome: None,
            who: sought("ada & ben"),
            text: sought("é=1"),
            since: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            until: Some("2026-02-01T00:00:00Z".parse().unwrap()),
        };
        for topic in Topic::ALL {
            for outcome in [Outcome::Intended, Outcome::Succeeded, Outcome::Failed, Outcome::Refused] {
                (asked.topic, asked.outcome) = (Some(topic), Some(outcome));
                // As JSON, of which no text is left out; a recorder's own tests read the same from addresses.
                let mut said: serde_json::Map<_, _> =
                    query(&asked).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
                for number in ["before", "limit"] {
                    let value: u64 = said[number].as_str().unwrap().parse().unwrap();
                    said.insert(number.to_owned(), value.into());
                }
                assert_eq!(serde_json::from_value::<Asked>(said.into()).unwrap(), asked);
            }
        }
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        for text in ["1", "x", "18446744073709551615.x.0", "7.8"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        let long = ["1"; 17].join(".");
        for text in ["", ".", "1.", "-1", "+1", "1,2", "X", "18446744073709551616", " 1", &long, "1.x.y"] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
    }

    #[test]
    fn pages_of_several_recorders_follow_one_another_by_time_without_a_gap_or_an_overlap() {
        let recorders: [&[i64]; 4] = [&[1, 3, 5, 7, 9, 11, 13], &[2, 2, 2], &[], &[100, 101, 102, 103]];
        for limit in 1..=20 {
            let (mut from, mut all): (Option<Cursor>, Vec<i64>) = (None, Vec::new());
            for _ in 0..100 {
                let asked = recorders.iter().enumerate().map(|(index, times)| {
                    let before = match from.as_ref().map(|from| from.0[index]) {
                        Some(None) => return Some((Page::default(), None)),
                        Some(before) => before,
                        None => None,
                    };
                    Some((page(times, before, limit), before))
                });
                let Events { events, older, is_partial } = merge(asked.collect(), from.as_ref(), limit);
                assert!(events.len() <= limit && !is_partial);
                all.extend(events.iter().map(|event| event.time));
                from = older;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(from, None);
            assert_eq!(all, [103, 102, 101, 100, 13, 11, 9, 7, 5, 3, 2, 2, 2, 1], "{limit}");
        }
    }

    #[test]
    fn what_a_recorder_that_is_away_has_comes_when_it_is_back() {
        let from: Cursor = "4.2".parse().unwrap();
        let first = merge(vec![Some((page(&[1, 2, 3], Some(4), 2), Some(4))), None], Some(&from), 2);
        assert!(first.is_partial);
        assert_eq!(first.older.unwrap().to_string(), "2.2");
        let newest = merge(vec![None, Some((page(&[7], None, 2), None))], None, 2);
        assert_eq!(newest.older.unwrap().to_string(), "18446744073709551615.x");
    }
}
