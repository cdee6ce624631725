//! Who contained, who deleted, who had a credential rotated: told by the apiserver before it happens, recorded once the watch shows that it did.
//!
//! A review is not yet a write: a later plugin or a conflict may still refuse it. So nothing is in the record that did not
//! happen, whoever told it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use access::Index;
use audit::{Change, Recorder, Requester};
use crds::annotation::{ROTATE, TEST, incidents};
use process::view::View;

use crate::{
    metrics::{Claimed, Counts},
    thing::{Thing, spelt},
};

/// How long it may take until the watch shows a write.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many are waited for; more than one command contains.
const MOST: usize = 20_000;
/// Changes that come together are looked at together.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often those whose time is over are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is said to have happened.
pub(crate) enum What {
    /// These incidents were put on the object.
    Contained(Vec<String>),
    /// It was deleted.
    Deleted,
    /// The annotation of this key was given this value, which asks something of its credential.
    Asked(&'static str, String),
}

/// Something that is about to happen, and who wants it.
pub(crate) struct Claim {
    pub(crate) thing: Thing,
    pub(crate) what: What,
    pub(crate) by: Requester,
    since: Instant,
}

impl Claim {
    pub(crate) fn new(thing: Thing, what: What, by: Requester) -> Self {
        Self { thing, what, by, since: Instant::now() }
    }

    fn happened(&self, index: &Index) -> bool {
        let now = self.thing.now(index);
        let same = |uid: &Option<String>| self.thing.meta.uid.is_none() || *uid == self.thing.meta.uid;
        match &self.what {
            What::Asked(key, value) => now.filter(|now| same(&now.uid)).is_some_and(|now| {
                now.annotations.as_ref().and_then(|all| all.get(*key)).is_some_and(|there| there == value)
            }),
            What::Deleted => now.is_none_or(|now| !same(&now.uid)),
            What::Contained(added) => now
                .filter(|now| same(&now.uid))
                .and_then(incidents)
                .is_some_and(|there| added.iter().all(|incident| there.contains(incident))),
        }
    }
}

/// Those that are waited for.
#[derive(Default)]
pub(crate) struct Claims(Mutex<Vec<Claim>>);

impl Claims {
    fn waiting(&self) -> MutexGuard<'_, Vec<Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one more.
    pub(crate) fn add(&self, claim: Claim, counts: &Counts) {
        let mut waiting = self.waiting();
        if waiting.len() < MOST {
            waiting.push(claim);
        } else {
            counts.claimed(Claimed::Dropped);
        }
    }

    /// Takes out those that happened, and forgets those whose time is over at `now`.
    fn settle(&self, index: &Index, now: Instant, counts: &Counts) -> Vec<Claim> {
        let mut waiting = self.waiting();
        let (happened, open): (Vec<_>, Vec<_>) = waiting.drain(..).partition(|claim| claim.happened(index));
        let (open, over): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|claim| now.saturating_duration_since(claim.since) < PATIENCE);
        over.iter().for_each(|_| counts.claimed(Claimed::NotSeen));
        *waiting = open;
        happened
    }

    /// Records what happened so far.
    pub(crate) fn record(&self, view: &View, recorder: &Recorder, counts: &Counts) {
        for Claim { thing, what, by, .. } in self.settle(&view.latest(), Instant::now(), counts) {
            let change = match what {
                What::Contained(incidents) => Change::ContainedBy(by, spelt(&incidents)),
                What::Deleted => Change::DeletedBy(by),
                What::Asked(key, _) if key == ROTATE => Change::RotationAskedBy(by),
                What::Asked(key, _) if key == TEST => Change::TestAskedBy(by),
                What::Asked(..) => Change::RenewalAskedBy(by),
            };
            match thing.event(change) {
                Ok(event) => {
                    recorder.record_later(event);
                    counts.claimed(Claimed::Recorded);
                }
                Err(error) => tracing::error!(%error, "an object cannot be recorded under its name"),
            }
        }
    }

    /// Records what happens for as long as it is polled.
    pub(crate) async fn follow(&self, view: &View, recorder: &Recorder, counts: &Counts) {
        let mut changes = view.changes();
        loop {
            // The view's sender lives as long as the view.
            let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
            tokio::time::sleep(TOGETHER).await;
            changes.mark_unchanged();
            self.record(view, recorder, counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use access::Entry;
    use crds::{Team, TeamSpec, annotation::DISABLE};
    use process::metrics::Metrics;
    use serde_json::json;

    use super::*;

    fn object(uid: &str, disable: Option<&str>) -> serde_json::Value {
        json!({
            "metadata": {
                "name": "acme", "namespace": "acme", "uid": uid,
                "annotations": disable.map(|value| json!({ DISABLE: value })),
            },
        })
    }

    fn index(there: Option<(&str, Option<&str>)>) -> Index {
        let mut index = Index::default();
        if let Some((uid, disable)) = there {
            let mut team = Team::new("acme", TeamSpec::default());
            team.metadata = serde_json::from_value(object(uid, disable)["metadata"].clone()).unwrap();
            let name = "acme/acme".parse().unwrap();
            index.teams.insert_mut(name, Entry::Read(Arc::new(team)));
        }
        index
    }

    fn claim(what: What) -> Claim {
        let thing = Thing::read("Team", &object("1", None)).unwrap_or_else(|error| panic!("{error}"));
        Claim::new(thing, what, Requester::of("ann"))
    }

    #[test]
    fn only_what_happened_to_this_very_object_is_recorded() {
        let contained = || What::Contained(vec!["inc-7".to_owned()]);
        for (what, there, happened) in [
            (contained(), Some(("1", Some("inc-7"))), true),
            (contained(), Some(("1", Some("inc-8, inc-7"))), true),
            (contained(), Some(("1", Some("inc-8"))), false),
            (contained(), Some(("1", None)), false),
            (contained(), Some(("2", Some("inc-7"))), false),
            (contained(), None, false),
            (What::Asked(DISABLE, "inc-7".to_owned()), Some(("1", Some("inc-7"))), true),
            (What::Asked(DISABLE, "inc-8".to_owned()), Some(("1", Some("inc-7"))), false),
            (What::Asked(DISABLE, "inc-7".to_owned()), Some(("2", Some("inc-7"))), false),
            (What::Asked(DISABLE, "inc-7".to_owned()), None, false),
            (What::Deleted, None, true),
            (What::Deleted, Some(("2", None)), true),
            (What::Deleted, Some(("1", None)), false),
        ] {
            assert_eq!(claim(what).happened(&index(there)), happened, "{there:?}");
        }
    }

    #[test]
    fn what_does_not_happen_in_time_is_forgotten_and_what_happened_is_told_once() {
        let counts = Counts::new(&Metrics::new(audit::Role::Webhook));
        let claims = Claims::default();
        let (gone, there) = (index(None), index(Some(("1", None))));
        let now = Instant::now();
        claims.add(claim(What::Deleted), &counts);
        assert_eq!(claims.settle(&there, now, &counts).len(), 0);
        assert_eq!(claims.settle(&gone, now, &counts).len(), 1);
        assert_eq!(claims.settle(&gone, now, &counts).len(), 0);
        claims.add(claim(What::Deleted), &counts);
        assert_eq!(claims.settle(&there, now + PATIENCE + Duration::from_secs(1), &counts).len(), 0);
        assert_eq!(claims.settle(&gone, now, &counts).len(), 0, "forgotten");
    }
}
