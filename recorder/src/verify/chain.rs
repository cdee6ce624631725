//! Whether logs follow each other: the first entry of each holds the last checkpoint of the one before.

use audit::log::SignedCheckpoint;
use jiff::{SignedDuration, Timestamp};

use super::{Against, By, Checked, Expected, Faults, What, compare};
use crate::Shard;

/// Shards are kept at least this long after their last record (`docs/reference/settings.md`, `retention`): who deletes one
/// earlier takes something away.
const KEPT_AT_LEAST: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Whether a log may be missing: nothing older is here, and it was kept for as long as it must be.
pub(super) fn was_kept_long_enough(shard: Shard, all: &[Checked], now: Timestamp) -> bool {
    let is_oldest = all.iter().all(|one| one.log.shard > shard);
    is_oldest && shard.ends().is_some_and(|end| now.duration_since(end) > KEPT_AT_LEAST)
}

/// Checks the chain from its end: what the newest log vouches for is known to be right from there on.
pub(super) fn check(all: &mut [Checked], expected: &Expected, faults: &mut Faults) {
    for index in (0..all.len()).rev() {
        let (before, from) = all.split_at_mut(index);
        let Some(this) = from.first().filter(|this| this.is_chosen) else { continue };
        let older = before.iter().map(|one| one.log.shard).collect::<Vec<_>>();
        let Some(opened) = &this.opened else { continue };
        let shard = this.log.shard;
        let Some(previous) = &opened.previous else {
            if let Some(before) = older.last() {
                faults.add(this.name(), What::NoPrevious { before: *before });
            }
            continue;
        };
        let Ok(note) = SignedCheckpoint::parse(previous) else {
            faults.add(this.name(), What::NotPrevious { found: "something else".to_owned() });
            continue;
        };
        let said = note.checkpoint();
        let of_this = Shard::parted(&opened.origin).map(|(of, _)| of);
        let (of, named) = match Shard::parted(&said.origin) {
            Some((of, named)) if Some(of) == of_this && named < shard => (of, named),
            _ => {
                faults.add(this.name(), What::NotPrevious { found: format!("one of {}", said.origin) });
                continue;
            }
        };
        if !older.contains(&named) {
            if !was_kept_long_enough(named, before, expected.now) {
                let origin = format!("{of}/{named}");
                faults.add(origin, What::Absent { size: said.size, by: By::Next(shard) });
            }
            continue;
        }
        for other in before.iter().filter(|one| one.log.shard > named) {
            faults.add(other.name(), What::NotBetween { next: shard, previous: named });
        }
        let is_anchored = !this.log.against.is_empty();
        let first = opened.first_sequence;
        let Some(last) = before.iter_mut().find(|one| one.log.shard == named) else { continue };
        let name = last.name();
        if let Some(end) = last.opened.as_ref().zip(last.now.as_ref()).map(|(it, now)| it.first_sequence + now.size - 1)
            && end < first
        {
            faults.add(this.name(), What::Gap { from: end, to: first - 1 });
        }
        let (Some(key), Some(now)) = (&last.key, &last.now) else { continue };
        if let Err(why) = note.verify(key) {
            faults.add(name, What::Forged { next: shard, why });
            continue;
        }
        if now.size > said.size {
            faults.add(name.clone(), What::GrewOn { size: now.size, ended: said.size, next: shard });
        }
        if compare(&*last.store, said, now, By::Next(shard), &name, faults) && is_anchored && now.size == said.size {
            last.log.against.push(Against::Next);
        }
    }
}
