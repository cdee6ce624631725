//! Whether an opened input may still be used. Pure: all three times come from the caller.

/// How far ahead of our clock a sealing machine's clock may be: 5 minutes, in milliseconds.
pub const MAX_CLOCK_LEAD_MS: u64 = 5 * 60 * 1000;

/// What to do with an input that opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Newer than anything its target has used: use it.
    Use,
    /// Not newer than the target's `notBefore`: a replay, or an old commit applied again. Ignore it.
    Superseded,
    /// Sealed more than [`MAX_CLOCK_LEAD_MS`] after now. Refuse it: once used it would set a `notBefore` that shuts
    /// out every honest input until then.
    FromTheFuture,
}

/// Judges an input by its sealed time. All times are Unix milliseconds; `not_before_ms` is 0 for a target that has
/// used none yet.
///
/// An input sealed in the very millisecond of `not_before_ms` is superseded, because it is most likely the one that
/// set it.
#[must_use]
pub fn admit(sealed_at_ms: u64, not_before_ms: u64, now_ms: u64) -> Admission {
    if sealed_at_ms > now_ms.saturating_add(MAX_CLOCK_LEAD_MS) {
        Admission::FromTheFuture
    } else if sealed_at_ms <= not_before_ms {
        Admission::Superseded
    } else {
        Admission::Use
    }
}

#[cfg(test)]
mod tests {
    use super::Admission::{FromTheFuture, Superseded, Use};
    use super::*;

    #[test]
    fn only_what_is_newer_than_not_before_and_not_from_the_future_is_used() {
        const NOW: u64 = 1_764_000_000_000;
        for (sealed_at, not_before, expected) in [
            (NOW, 0, Use),
            (1, 0, Use),
            (NOW, NOW - 1, Use),
            (NOW + MAX_CLOCK_LEAD_MS, NOW, Use),
            (0, 0, Superseded),
            (NOW, NOW, Superseded),
            (NOW - 1, NOW, Superseded),
            (NOW, NOW + 1, Superseded),
            (NOW + MAX_CLOCK_LEAD_MS + 1, NOW, FromTheFuture),
            (u64::MAX, u64::MAX, FromTheFuture),
        ] {
            assert_eq!(admit(sealed_at, not_before, NOW), expected, "{sealed_at} against {not_before}");
        }
        assert_eq!(admit(u64::MAX, 0, u64::MAX - 1), Use, "no overflow at the end of time");
    }
}
