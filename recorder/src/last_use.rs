//! When each RuntimeToken and ServiceAccount last made a call that was answered.

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use audit::wire::reading::LastUse;

use crate::{
    backwards::{Budget, Ended, backwards},
    view::{Event, View},
};

/// What of the journal is looked at after the start.
const BUDGET: Budget = Budget { bytes: 512 * 1024 * 1024, time: Duration::from_secs(30) };
/// Most names that are kept, some 10 MiB; of more, those used least recently are forgotten.
const MOST: usize = 65_536;

/// A kind of caller, its namespace and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct User {
    namespace: String,
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RuntimeToken,
    ServiceAccount,
}

/// What is known of last uses.
pub(crate) struct Uses {
    known: Mutex<Known>,
    most: usize,
}

struct Known {
    /// Milliseconds since 1970.
    last: BTreeMap<User, i64>,
    /// From when on the journal was looked at.
    since: i64,
    /// Whether that is all of it.
    is_whole: bool,
    /// Up to when some were forgotten.
    forgotten: Option<i64>,
}

impl Uses {
    /// Of a journal that is opened at `now`, in milliseconds since 1970.
    pub(crate) fn new(now: i64) -> Self {
        let known = Known { last: BTreeMap::new(), since: now, is_whole: false, forgotten: None };
        Self { known: Mutex::new(known), most: MOST }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of whose calls were answered, by events that are stored at `now`.
    pub(crate) fn note(&self, users: Vec<User>, now: i64) {
        if !users.is_empty() {
            let mut known = self.known();
            users.into_iter().for_each(|user| known.add(user, now, self.most));
        }
    }

    /// What is known of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> LastUse {
        let known = self.known();
        let mut answer = LastUse {
            is_partial: !known.is_whole || known.forgotten.is_some(),
            since: known.forgotten.map_or(known.since, |forgotten| known.since.max(forgotten + 1)),
            ..LastUse::default()
        };
        let first = User { namespace: namespace.to_owned(), kind: Kind::RuntimeToken, name: String::new() };
        for (user, time) in known.last.range(first..).take_while(|(user, _)| user.namespace == namespace) {
            let them = match user.kind {
                Kind::RuntimeToken => &mut answer.runtime_tokens,
                Kind::ServiceAccount => &mut answer.service_accounts,
            };
            them.insert(user.name.clone(), *time);
        }
        answer
    }
}

impl Known {
    fn add(&mut self, user: User, time: i64, most: usize) {
        let last = self.last.entry(user).or_insert(time);
        *last = time.max(*last);
        if self.last.len() > most {
            // Half at once, so that it is seldom.
            let mut times: Vec<i64> = self.last.values().copied().collect();
            let middle = times.len() / 2;
            let (_, oldest, _) = times.select_nth_unstable(middle);
            let oldest = *oldest;
            self.last.retain(|_, time| *time > oldest);
            self.forgotten = self.forgotten.max(Some(oldest));
        }
    }
}

/// Reads what was before the start, as long as there is somebody to be told. Blocks on the disk, for half a minute at most.
pub(crate) fn rebuild(uses: &Weak<Uses>, dir: &Path) -> io::Result<()> {
    rebuild_within(uses, dir, BUDGET)
}

fn rebuild_within(uses: &Weak<Uses>, dir: &Path, budget: Budget) -> io::Result<()> {
    let mut oldest = None;
    let ended = backwards(dir, None, budget, &mut |payload| {
        let Some(uses) = uses.upgrade() else { return ControlFlow::Break(()) };
        if let Some(View { time, event, .. }) = View::of(payload) {
            oldest = Some(time);
            if let Some(user) = user(&event) {
                uses.known().add(user, time, uses.most);
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(uses) = uses.upgrade() {
        let mut known = uses.known();
        known.is_whole = ended == Ended::AtTheBeginning;
        known.since = oldest.map_or(known.since, |oldest| oldest.min(known.since));
    }
    Ok(())
}

/// Whose calls were answered, by these events.
pub(crate) fn used(events: &[Event<'_>]) -> Vec<User> {
    events.iter().filter_map(user).collect()
}

/// Whose call it tells that was answered.
fn user(event: &Event<'_>) -> Option<User> {
    let served = event.action_id == Some(1) && event.http_response.is_some();
    let actor = &event.actor.as_ref().filter(|_| served)?.user;
    let (kind, (namespace, name)) = match actor.r#type.as_deref()? {
        "RuntimeToken" => (Kind::RuntimeToken, actor.name.split_once('/')?),
        "ServiceAccount" => (Kind::ServiceAccount, actor.name.strip_prefix("system:serviceaccount:")?.split_once(':')?),
        _ => return None,
    };
    Some(User { namespace: namespace.to_owned(), kind, name: name.to_owned() })
}

#[cfg(test)]
mod tests;
