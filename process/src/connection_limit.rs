//! Places for connections: so many in all, and no more than a share of them for one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places that connections take.
pub(crate) struct Places {
    most: usize,
    most_each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self { most, most_each, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address`, where there is one.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        // The same client over a listener for both kinds of addresses.
        let address = address.to_canonical();
        let mut taken = self.taken();
        let of_this = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= self.most || of_this >= self.most_each {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_this + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_does_not_take_the_places_of_others() {
        let places = Places::new(4, 2);
        let (one, other) = (address("203.0.113.1"), address("203.0.113.2"));
        let mut held: Vec<_> = (0..2).map(|_| places.take(one).unwrap()).collect();
        assert!(places.take(one).is_none());
        assert!(places.take(address("::ffff:203.0.113.1")).is_none());
        held.extend((0..2).map(|_| places.take(other).unwrap()));
        assert!(places.take(address("203.0.113.3")).is_none(), "all are taken");
        drop(held.remove(0));
        assert!(places.take(other).is_none());
        held.push(places.take(one).unwrap());
        drop(held);
        assert_eq!(places.taken().all, 0);
        assert!(places.taken().by_address.is_empty(), "addresses that left are forgotten");
    }
}
