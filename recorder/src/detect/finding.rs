//! A finding, and how often it is told.

use std::collections::HashMap;

use audit::{Detection, DetectionKind, DetectionStage, Peer, Source, Suspect, Target};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    MINUTE,
    recent::Recent,
    window::{Counted, Window},
};

/// Before the same is told again.
pub(crate) const QUIET: i64 = 60 * MINUTE;
/// Findings of one kind in [`QUIET`]: who attacks from a thousand networks must not fill the record with it.
pub(crate) const MOST_OF_A_KIND: u64 = 100;
/// Findings that are remembered.
const MOST: usize = 16_384;

/// Who and what a finding is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) target: Option<Target>,
    pub(crate) suspect: Option<Suspect>,
    pub(crate) source: Option<Source>,
    pub(crate) writer: Option<Peer>,
}

/// What needs a look.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) kind: DetectionKind,
    /// What makes it the same as one before.
    pub(crate) key: String,
    pub(crate) evidence: Evidence,
    pub(crate) count: u64,
    /// Milliseconds since 1970.
    pub(crate) first: i64,
    /// Milliseconds since 1970.
    pub(crate) last: i64,
}

impl Finding {
    /// Of one event.
    pub(crate) fn one(kind: DetectionKind, key: String, evidence: Evidence, time: i64) -> Self {
        Self::counted(kind, key, evidence, Counted { count: 1, first: time }, time)
    }

    /// Of several, the last of which was at `last`.
    pub(crate) fn counted(
        kind: DetectionKind,
        key: String,
        evidence: Evidence,
        Counted { count, first }: Counted,
        last: i64,
    ) -> Self {
        Self { kind, key, evidence, count, first: first.min(last), last }
    }

    /// As it is recorded.
    pub(crate) fn detection(self, uid: Uuid) -> Detection {
        let Evidence { target, suspect, source, writer } = self.evidence;
        // A stored time that is none is no reason not to tell it.
        let time = |millis| Timestamp::from_millisecond(millis).unwrap_or_default();
        Detection {
            uid,
            kind: self.kind,
            stage: DetectionStage::Created,
            target,
            suspect,
            source,
            writer,
            count: self.count,
            first: time(self.first),
            last: time(self.last),
        }
    }
}

/// What was told lately.
#[derive(Debug)]
pub(crate) struct Told {
    last: Recent<(DetectionKind, String), i64>,
    kinds: HashMap<DetectionKind, Window>,
}

impl Default for Told {
    fn default() -> Self {
        Self { last: Recent::new(MOST), kinds: HashMap::new() }
    }
}

impl Told {
    /// Those that are to be told now.
    pub(crate) fn fresh(&mut self, mut found: Vec<Finding>, now: i64) -> Vec<Finding> {
        found.retain(|finding| {
            let key = (finding.kind, finding.key.clone());
            if self.last.get(&key).is_some_and(|last| now < last + QUIET) {
                return false;
            }
            *self.last.entry(key, || now) = now;
            let kind = self.kinds.entry(finding.kind).or_insert_with(|| Window::new(QUIET));
            kind.add(now, 1).count <= MOST_OF_A_KIND
        });
        found
    }
}
