//! Lengths of time as users write them: `90s`, `30m`, `24h`, `1h30m`.

use std::time::Duration;

/// Why a length of time could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time: write whole hours, minutes and seconds, such as 24h, 30m or 1h30m")]
pub struct InvalidDuration(String);

/// The longest life of a RuntimeToken that any Team can allow: 90 days.
pub const LONGEST_RUNTIME_TOKEN: Duration = Duration::from_secs(2160 * 3600);

/// The pattern of the same in an OpenAPI schema.
pub(crate) const PATTERN: &str = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$";

/// Reads `1h30m`: whole hours, minutes, seconds, each at most once, in this order, at least one.
///
/// # Errors
/// Anything else, including signs, fractions and a missing unit.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.chars().take(40).collect());
    let mut rest = text;
    let mut seconds = 0_u64;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if number.is_empty() || number.len() > 6 || !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid());
            }
            seconds += number.parse::<u64>().map_err(|_| invalid())? * factor;
            rest = after;
        }
    }
    if text.is_empty() || !rest.is_empty() {
        return Err(invalid());
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes what [`parse`] reads, in the largest units: 5400 s → `1h30m`, 0 s → `0s`.
#[must_use]
pub fn format(length: Duration) -> String {
    let total = length.as_secs();
    let parts = [(total / 3600, 'h'), (total / 60 % 60, 'm'), (total % 60, 's')];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_minutes_and_seconds_are_read() {
        for (text, seconds) in [("24h", 86_400), ("90s", 90), ("1h30m", 5400), ("1h5s", 3605), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(parse(&format(Duration::from_secs(seconds))), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "h", "1", "-1h", "+1h", "1.5h", "1h 5m", "5m1h", "1h1h", "1d", "9999999h", "1hh", "१h"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
