//! The emulator's own time, which a test can move.

use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, PoisonError};

/// A clock that token lifetimes are measured with.
#[derive(Debug)]
pub struct Clock {
    /// `None`: the machine's clock.
    still: Option<Timestamp>,
    ahead: Mutex<SignedDuration>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { still: None, ahead: Mutex::new(SignedDuration::ZERO) }
    }

    /// A clock that stands still at `now` but for [`Clock::advance`].
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { still: Some(now), ahead: Mutex::new(SignedDuration::ZERO) }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let base = self.still.unwrap_or_else(Timestamp::now);
        base.saturating_add(ahead).unwrap_or(base)
    }

    /// Moves the clock; what it moved before adds up.
    pub fn advance(&self, by: SignedDuration) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
    }

    /// Takes back every move.
    pub(crate) fn reset(&self) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = SignedDuration::ZERO;
    }
}
