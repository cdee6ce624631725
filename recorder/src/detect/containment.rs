//! `TokenUsedAfterContainment`: a call was granted although what it used had been contained for longer than gateways take to
//! see it.

use std::time::Duration;

use audit::DetectionKind;

use super::{Finding, MINUTE, recent::Recent, seen::Seen};
use crate::view::Named;

/// Added to `stalenessLimit`, within which a gateway may not have seen it: clocks of nodes differ, and a call that was decided
/// may wait for its recorder.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
/// How long the operator may take to see a restoration that was about to happen: gateways see it at once, and it may be away. If it
/// did not happen, what was contained is so still.
pub(crate) const RESTORING: i64 = 10 * MINUTE;
/// Objects that are known.
const MOST: usize = 65_536;
/// What a call says that it uses. The AmazonApplication and the AgentGrant it does not name; what is under a Team is contained
/// by events of its own.
const KINDS: [&str; 3] = ["Team", "AmazonConnection", "RuntimeToken"];

/// The newest event of each kind about an object, in milliseconds since 1970, as its writer says.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    contained: Option<i64>,
    restoring: Option<i64>,
    restored: Option<i64>,
}

impl State {
    fn is_contained(self, at: i64, grace: i64) -> bool {
        let Some(contained) = self.contained else { return false };
        let is_restored = self.restored.is_some_and(|restored| restored >= contained);
        let is_restoring = self.restoring.is_some_and(|from| from >= contained && at < from + RESTORING);
        at > contained + grace && !is_restored && !is_restoring
    }
}

/// What is contained.
#[derive(Debug)]
pub(crate) struct Containment {
    /// Milliseconds.
    grace: i64,
    objects: Recent<String, State>,
}

impl Containment {
    pub(crate) fn new(staleness_limit: Duration) -> Self {
        let grace = (staleness_limit + GRACE).as_millis() as i64;
        Self { grace, objects: Recent::new(MOST) }
    }

    /// Events about objects in any order, calls as they happen.
    pub(crate) fn see(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        if let Some(entity) = &seen.event.entity {
            if KINDS.contains(&&*entity.r#type) {
                self.changed(&entity.r#type, &entity.name, &seen.event.message, seen.event.time);
            }
        } else if seen.event.is_granted_call() {
            let unmapped = &seen.event.unmapped;
            let used = [
                ("RuntimeToken", seen.event.runtime_token().map(str::to_owned)),
                ("AmazonConnection", unmapped.connection.as_ref().map(Named::key)),
                ("Team", unmapped.team.as_ref().map(Named::key)),
            ];
            let keys = used.into_iter().filter_map(|(kind, name)| Some(format!("{kind} {}", name?)));
            let at = seen.event.time;
            let contained =
                keys.into_iter().find(|key| self.objects.get(key).is_some_and(|it| it.is_contained(at, self.grace)));
            if let Some(key) = contained {
                found.push(Finding::one(DetectionKind::TokenUsedAfterContainment, key, seen.evidence(), seen.time));
            }
        }
    }

    fn changed(&mut self, kind: &str, name: &str, message: &str, at: i64) {
        let key = format!("{kind} {name}");
        let which: fn(&mut State) -> &mut Option<i64> = match message {
            "contained" | "contained by" => |state| &mut state.contained,
            "about to be restored by" => |state| &mut state.restoring,
            "restored" => |state| &mut state.restored,
            _ => return,
        };
        let time = which(self.objects.entry(key, State::default));
        *time = (*time).max(Some(at));
    }
}
