//! Waiting on conditions, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Long enough for a busy machine; what takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
///
/// # Panics
/// Not within a minute.
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition).0
}

/// Waits until `condition` gives something, and tells how long that took.
///
/// # Panics
/// Not within `limit`.
pub fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return (found, started.elapsed());
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
