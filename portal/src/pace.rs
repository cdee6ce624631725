//! How much one person may do: what each of these costs, others pay too.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Changes of one person in a minute.
const CHANGES_A_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// Pages of one person that follow a connection at a time, and of all.
const FOLLOWED_EACH: usize = 6;
const FOLLOWED: usize = 256;
/// Files of the record that are made at a time, one for each person. Two are as much as recorders let themselves be asked by
/// all; each asks once at a time, so pages come to their turn between.
const EXPORTED_EACH: usize = 1;
const EXPORTED: usize = 2;

/// What people are doing, by the name of their PortalUser.
pub(crate) struct Paces {
    changes: DefaultKeyedRateLimiter<String>,
    followed: Taken,
    exported: Taken,
}

/// Who has how many places.
type Taken = Arc<Mutex<HashMap<String, usize>>>;

impl Default for Paces {
    fn default() -> Self {
        let changes = RateLimiter::keyed(Quota::per_minute(CHANGES_A_MINUTE));
        Self { changes, followed: Arc::default(), exported: Arc::default() }
    }
}

impl Paces {
    /// Whether one more thing may be changed.
    pub(crate) fn may_change(&self, person: &str) -> bool {
        self.changes.check_key(&person.to_owned()).is_ok()
    }

    /// A place for one more page that follows, until it is dropped.
    pub(crate) fn follow(&self, person: &str) -> Option<Place> {
        Place::take(&self.followed, person, FOLLOWED_EACH, FOLLOWED)
    }

    /// A place for one more file of the record, until it is dropped.
    pub(crate) fn export(&self, person: &str) -> Option<Place> {
        Place::take(&self.exported, person, EXPORTED_EACH, EXPORTED)
    }

    /// Forgets who has done nothing of late.
    pub(crate) fn forget_old(&self) {
        self.changes.retain_recent();
    }
}

/// The place of something that lasts.
pub(crate) struct Place {
    person: String,
    taken: Taken,
}

impl Place {
    fn take(taken: &Taken, person: &str, each: usize, all: usize) -> Option<Self> {
        let mut places = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = places.get(person).copied().unwrap_or_default();
        if own >= each || places.values().sum::<usize>() >= all {
            return None;
        }
        places.insert(person.to_owned(), own + 1);
        Some(Self { person: person.to_owned(), taken: taken.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match places.get_mut(&self.person) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(places.remove(&self.person)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_pages_that_follow_and_leaves_room_for_others() {
        let paces = Paces::default();
        let mut places: Vec<_> = (0..FOLLOWED_EACH).map(|_| paces.follow("ada").unwrap()).collect();
        assert!(paces.follow("ada").is_none() && paces.follow("bob").is_some());
        places.pop();
        places.push(paces.follow("ada").unwrap());
        let others: Vec<_> = (0..FOLLOWED).filter_map(|number| paces.follow(&format!("p{number}"))).collect();
        assert_eq!(others.len() + places.len(), FOLLOWED);
        drop((places, others));
        assert!(paces.followed.lock().unwrap().is_empty());
    }

    #[test]
    fn one_file_of_the_record_is_made_for_a_person_and_few_for_all() {
        let paces = Paces::default();
        let ada = paces.export("ada").unwrap();
        assert!(paces.export("ada").is_none() && paces.follow("ada").is_some());
        let _bob = paces.export("bob").unwrap();
        assert!(paces.export("eve").is_none());
        drop(ada);
        assert!(paces.export("eve").is_some());
    }

    #[test]
    fn a_person_changes_so_much_a_minute() {
        let paces = Paces::default();
        assert_eq!((0..200).filter(|_| paces.may_change("ada")).count(), 60);
        assert!(paces.may_change("bob"));
    }
}
