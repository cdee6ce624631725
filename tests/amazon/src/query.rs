//! Query parameters in every form clients send them.

use crate::refusal::Refusal;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Decoded parameters, in order. Names are case-sensitive, as Amazon reads them, and unknown ones are no error.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        Self(url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// All of a list: repeated keys, commas and `%2C` mean the same.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(known, _)| known == name)
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// A time in ISO 8601; without an offset it is UTC, as python's `isoformat()` leaves it.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some((_, text)) = self.0.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let without_offset = || text.parse::<DateTime>().and_then(|local| local.to_zoned(TimeZone::UTC));
        let time = text.parse::<Timestamp>().or_else(|_| without_offset().map(|zoned| zoned.timestamp()));
        time.map(Some).map_err(|_| Refusal::invalid_input(&format!("{name} is not a date in ISO 8601 format.")))
    }

    /// Every name once, in order of arrival.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, _) in &self.0 {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_in_every_form() {
        for raw in ["Ids=A,B", "Ids=A&Ids=B", "Ids=A%2CB", "Ids=A%2c+B&ids=C&MarketplaceIds=D", "Ids=A,,B,"] {
            assert_eq!(Query::parse(raw).list("Ids"), ["A", "B"], "{raw}");
        }
    }

    #[test]
    fn a_time_needs_no_offset_but_must_be_one() {
        let time = |raw: &str| Query::parse(raw).time("After").ok();
        let expected = Some("2026-01-02T00:00:00Z".parse().unwrap());
        for raw in ["After=2026-01-02", "After=2026-01-02T00:00:00", "After=2026-01-02T01:00:00%2B01:00"] {
            assert_eq!(time(raw), Some(expected), "{raw}");
        }
        assert_eq!(time(""), Some(None));
        for raw in ["After=", "After=yesterday", "After=2026-13-01", "After=1767312000"] {
            assert_eq!(time(raw), None, "{raw}");
        }
    }
}
