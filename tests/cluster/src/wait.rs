//! Waiting on a condition.

use std::thread;
use std::time::{Duration, Instant};

/// Asks every 50 ms until `condition` is true or fails; false when `limit` has passed.
pub(crate) fn until<E>(limit: Duration, mut condition: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let deadline = Instant::now() + limit;
    loop {
        if condition()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
