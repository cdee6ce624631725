//! How often strangers may do something, by network and in all. Each replica counts by itself.
//!
//! Whoever shows that they have signed in before in the same browser is not counted here: no stranger can use that up.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Codes asked for from one network in an hour.
pub(crate) const CODES_AN_HOUR: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Codes entered from one network in ten minutes.
pub(crate) const TRIES_IN_TEN_MINUTES: NonZeroU32 = NonZeroU32::new(40).unwrap();
/// Codes asked for by everybody in a second.
pub(crate) const CODES_A_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// Networks that are remembered for the codes they asked for. With so many at the door what is for everybody is long used up,
/// and memory must not be.
const MOST_NETWORKS: usize = 100_000;

pub(crate) struct Limits {
    codes: DefaultKeyedRateLimiter<IpAddr>,
    known: DefaultKeyedRateLimiter<String>,
    tries: DefaultKeyedRateLimiter<IpAddr>,
    all: DefaultDirectRateLimiter,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            codes: RateLimiter::keyed(Quota::per_hour(CODES_AN_HOUR)),
            known: RateLimiter::keyed(Quota::per_hour(CODES_AN_HOUR)),
            tries: RateLimiter::keyed(within(Duration::from_secs(600), TRIES_IN_TEN_MINUTES)),
            all: RateLimiter::direct(Quota::per_second(CODES_A_SECOND)),
        }
    }
}

/// A number of times within a period, all of them at once at first.
fn within(period: Duration, times: NonZeroU32) -> Quota {
    // A period of more than nothing, which is all that this can be refused for.
    Quota::with_period(period / times.get()).map_or_else(|| Quota::per_second(times), |quota| quota.allow_burst(times))
}

impl Limits {
    /// Whether one more code may be asked for from this network.
    pub(crate) fn may_ask(&self, network: IpAddr) -> bool {
        // The network's own limit first, so that one network does not use up what is for all.
        let own = self.codes.len() >= MOST_NETWORKS || self.codes.check_key(&network).is_ok();
        own && self.all.check().is_ok()
    }

    /// Whether one more code may be asked for from this known browser, by its id.
    pub(crate) fn may_ask_again(&self, browser: &str) -> bool {
        self.known.check_key(&browser.to_owned()).is_ok()
    }

    /// Whether one more code may be entered from this network.
    pub(crate) fn may_try(&self, network: IpAddr) -> bool {
        self.tries.check_key(&network).is_ok()
    }

    /// Forgets networks that have all their times again.
    pub(crate) fn forget_old(&self) {
        self.codes.retain_recent();
        self.known.retain_recent();
        self.tries.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn one_network_uses_up_its_own_times_and_nobody_elses() {
        let limits = Limits::default();
        assert_eq!((0..100).filter(|_| limits.may_ask(network(1))).count(), 20);
        assert_eq!((0..100).filter(|_| limits.may_try(network(1))).count(), 40);
        assert!(limits.may_ask(network(2)) && limits.may_try(network(2)));
    }

    #[test]
    fn all_together_ask_for_so_many_a_second_at_most() {
        let limits = Limits::default();
        let asked = (0..255).filter(|number| limits.may_ask(network(*number))).count();
        // As many at once, and what a slow machine lets come back meanwhile.
        assert!((50..200).contains(&asked), "{asked}");
    }

    #[test]
    fn no_more_networks_are_remembered_than_there_is_room_for() {
        let limits = Limits::default();
        for number in 0..u32::try_from(MOST_NETWORKS + 1000).unwrap() {
            limits.may_ask(number.to_be_bytes().into());
        }
        assert_eq!(limits.codes.len(), MOST_NETWORKS);
        // What is for everybody still holds.
        let asked = (0..1000).filter(|_| limits.may_ask(network(1))).count();
        assert!(asked < 500, "{asked}");
    }
}
