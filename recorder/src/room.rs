//! Who may still write when the disk fills: nobody alone takes what all need.
//!
//! - Of the last tenth of the disk, a GiB at most, nothing is given to what grants something: what contains, what is about incidents, what
//!   happens to OpenTeam itself, and the outcome of what was granted before go on.
//! - A Team has a share of what is free above that: [`SHARE`] of it a day. Beyond, its calls are refused, and nobody else's.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::view::Event;

/// One part of the disk in so many is kept.
const RESERVE: u64 = 10;
/// The most that is: beyond it a larger disk, which others may write to as well, gains nothing by a larger reserve.
const MOST_RESERVED: u64 = 1 << 30;
/// One part in so many.
const SHARE: u64 = 4;
const DAY: Duration = Duration::from_secs(86_400);
/// How old an answer of the file system may be.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between events that say that only the reserve is left.
const TELL_EVERY: Duration = Duration::from_secs(3600);
/// Teams that are counted; of more, those that wrote least are forgotten.
const MOST_TEAMS: usize = 16_384;

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// What is left is kept for others.
    #[error(
        "the recorder's disk is nearly full: what is left is kept for containment, incidents and OpenTeam's own events"
    )]
    Reserved,
    /// Its Team wrote too much.
    #[error("the Team has used up its share of the record for now")]
    Share,
}

/// What there is of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) size: u64,
}

impl Space {
    /// Of the file system of a directory.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(dir).ok()?;
        // What is kept for root is not free for the recorder.
        Some(Self { free: disk.f_bavail * disk.f_frsize, size: disk.f_blocks * disk.f_frsize })
    }

    /// Bytes that may be granted with.
    fn above_reserve(self) -> u64 {
        self.free.saturating_sub((self.size / RESERVE).min(MOST_RESERVED))
    }
}

/// What is known of a disk, and of who writes to it.
pub(crate) struct Room {
    look: Box<dyn Fn() -> Option<Space> + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    space: Option<Space>,
    looked: Option<Instant>,
    teams: HashMap<String, Level>,
    /// When it was said last that the reserve is reached.
    told: Option<Instant>,
}

/// Bytes that a Team wrote, forgotten at the pace of its share.
struct Level {
    bytes: f64,
    at: Instant,
}

impl Room {
    pub(crate) fn new(look: impl Fn() -> Option<Space> + Send + Sync + 'static) -> Self {
        let state = State { space: None, looked: None, teams: HashMap::new(), told: None };
        Self { look: Box::new(look), state: Mutex::new(state) }
    }

    /// The bytes that are free, if it is to be said that only the reserve is left: once an hour.
    pub(crate) fn to_tell(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let space = state.space.filter(|space| space.above_reserve() == 0)?;
        let is_due = state.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        is_due.then(|| {
            state.told = Some(now);
            space.free
        })
    }

    /// Whether there is room for these events, each with its length as JSON; else for which there is none.
    pub(crate) fn admit<'a>(
        &self,
        events: impl IntoIterator<Item = (&'a Event<'a>, usize)>,
        now: Instant,
    ) -> Result<(), (usize, NoRoom)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_EVERY) {
            state.space = (self.look)();
            state.looked = Some(now);
        }
        // A disk that does not say how full it is will say when it is full.
        let Some(space) = state.space else { return Ok(()) };
        let room = space.above_reserve();
        let share = (room / SHARE) as f64;
        for (index, (event, bytes)) in events.into_iter().enumerate() {
            if !grants(event) {
                continue;
            }
            if room == 0 {
                return Err((index, NoRoom::Reserved));
            }
            let Some(team) = &event.unmapped.team else { continue };
            let level = state.level(team.key(), share, now);
            if level.bytes + bytes as f64 > share {
                return Err((index, NoRoom::Share));
            }
            level.bytes += bytes as f64;
        }
        Ok(())
    }
}

impl State {
    fn level(&mut self, team: String, share: f64, now: Instant) -> &mut Level {
        if self.teams.len() >= MOST_TEAMS && !self.teams.contains_key(&team) {
            let mut levels: Vec<f64> = self.teams.values().map(|level| level.bytes).collect();
            let (_, median, _) = levels.select_nth_unstable_by(MOST_TEAMS / 2, f64::total_cmp);
            let median = *median;
            self.teams.retain(|_, level| level.bytes > median);
        }
        let level = self.teams.entry(team).or_insert(Level { bytes: 0.0, at: now });
        let forgotten = share * now.duration_since(level.at).as_secs_f64() / DAY.as_secs_f64();
        level.bytes = (level.bytes - forgotten).max(0.0);
        level.at = now;
        level
    }
}

/// Whether an event is what lets something happen.
fn grants(event: &Event<'_>) -> bool {
    match event.class_uid {
        // API activity: what came of a call that was granted is never refused.
        6003 => event.message == "call intended" || event.message == "call refused",
        // Entities: 8 and 9 restore and contain.
        3004 => !matches!(event.activity_id, 8 | 9) && event.entity.as_ref().is_none_or(|it| it.r#type != "Incident"),
        3001 | 3002 | 3005 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn event(class: u64, activity: u64, message: &str, team: Option<&str>, entity: &str) -> String {
        let team = team.map(|team| format!(r#""team":{{"namespace":"{team}","name":"{team}"}}"#)).unwrap_or_default();
        format!(
            r#"{{"class_uid":{class},"activity_id":{activity},"message":"{message}","entity":{{"type":"{entity}","name":"a"}},"unmapped":{{{team}}}}}"#
        )
    }

    fn call(team: &str) -> String {
        event(6003, 2, "call intended", Some(team), "")
    }

    fn admit(room: &Room, events: &[String], now: Instant) -> Result<(), (usize, NoRoom)> {
        let views: Vec<Event<'_>> = events.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        room.admit(views.iter().zip(events.iter().map(String::len)), now)
    }

    fn room(space: Space) -> Room {
        Room::new(move || Some(space))
    }

    #[test]
    fn the_last_tenth_is_for_what_must_not_wait() {
        let nearly_full = room(Space { free: GIB, size: 10 * GIB });
        let now = Instant::now();
        for allowed in [
            event(3004, 9, "contained by", Some("a"), "AmazonConnection"),
            event(3004, 8, "restored by", Some("a"), "AmazonConnection"),
            event(3004, 1, "incident opened", None, "Incident"),
            event(6002, 3, "started", None, ""),
            event(6008, 1, "unexpected error", None, ""),
            event(2004, 1, "burst of refusals", None, ""),
            event(6003, 2, "call answered", Some("a"), ""),
            event(6003, 2, "call failed", Some("a"), ""),
        ] {
            assert_eq!(admit(&nearly_full, std::slice::from_ref(&allowed), now), Ok(()), "{allowed:?}");
        }
        for refused in [
            call("a"),
            event(6003, 2, "call refused", Some("a"), ""),
            event(3004, 1, "credential sealed", Some("a"), "AmazonConnection"),
            event(3002, 1, "signed in", None, ""),
        ] {
            let mixed = [event(6002, 3, "started", None, ""), refused.clone()];
            assert_eq!(admit(&nearly_full, &mixed, now), Err((1, NoRoom::Reserved)), "{refused:?}");
        }
        assert_eq!(nearly_full.to_tell(now), Some(GIB));
        assert_eq!(nearly_full.to_tell(now + TELL_EVERY / 2), None);
        assert_eq!(nearly_full.to_tell(now + TELL_EVERY), Some(GIB));
        let just_above = room(Space { free: GIB + GIB / 10, size: 10 * GIB });
        assert_eq!(admit(&just_above, &[call("a")], now), Ok(()));
        assert_eq!(just_above.to_tell(now), None);
        // Of a disk that others fill too.
        let large = room(Space { free: 2 * GIB, size: 1000 * GIB });
        assert_eq!(admit(&large, &[call("a")], now), Ok(()));
    }

    #[test]
    fn a_team_over_its_share_is_refused_alone_and_comes_back() {
        let line = call("a").len() as u64;
        // Above the reserve there is room for forty of its events, and so its share is ten.
        let space = Space { free: 40 * line + 1000, size: 10_000 };
        let room = room(space);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(admit(&room, &[call("a")], now), Ok(()));
        }
        assert_eq!(admit(&room, &[call("b"), call("a")], now), Err((1, NoRoom::Share)));
        assert_eq!(admit(&room, &[call("b")], now), Ok(()));
        assert_eq!(admit(&room, &[event(3004, 9, "contained by", Some("a"), "Team")], now), Ok(()));
        // A tenth of a day gives back one.
        let later = now + DAY / 10 + Duration::from_secs(1);
        assert_eq!(admit(&room, &[call("a")], later), Ok(()));
        assert_eq!(admit(&room, &[call("a")], later), Err((0, NoRoom::Share)));
    }

    #[test]
    fn the_disk_is_asked_once_a_second_and_may_be_silent() {
        let asked = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counting = asked.clone();
        let room = Room::new(move || {
            counting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            None
        });
        let now = Instant::now();
        for _ in 0..5 {
            assert_eq!(admit(&room, &[call("a")], now), Ok(()));
        }
        admit(&room, &[call("a")], now + LOOK_EVERY).unwrap();
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 2);
    }
}
