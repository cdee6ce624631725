//! Names of shards: one log a recorder replica and quarter, and one more for each time that a log could not go on.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};
use thiserror::Error;

/// A shard's name, `<year>q<quarter>[-e<epoch>]` in UTC, such as `2026q4` or `2026q4-e2`. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    year: i16,
    quarter: i8,
    /// From 1, which is not written.
    epoch: u32,
}

/// A text that names no [`Shard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the name of a shard, such as 2026q4 or 2026q4-e2")]
pub struct NotAShard;

impl Shard {
    /// The first of the quarter that `time` is in.
    pub(crate) fn at(time: Timestamp) -> Self {
        let date = time.to_zoned(TimeZone::UTC).date();
        Self { year: date.year(), quarter: (date.month() - 1) / 3 + 1, epoch: 1 }
    }

    /// What follows in the same quarter, because this one cannot go on.
    pub(crate) fn next_epoch(self) -> Self {
        Self { epoch: self.epoch + 1, ..self }
    }

    /// The same quarter's first.
    pub(crate) fn quarter(self) -> Self {
        Self { epoch: 1, ..self }
    }

    /// When its quarter ends; nothing is taken in after it.
    pub(crate) fn ends(self) -> Option<Timestamp> {
        let (year, month) =
            if self.quarter == 4 { (self.year.checked_add(1)?, 1) } else { (self.year, self.quarter * 3 + 1) };
        let date = jiff::civil::Date::new(year, month, 1).ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    /// What an origin begins with, and its shard; none where it is not of that form.
    pub(crate) fn parted(origin: &str) -> Option<(&str, Self)> {
        let (before, shard) = origin.rsplit_once('/')?;
        Some((before, shard.parse().ok()?))
    }

    /// The log's name: `audit.<cluster>/<pod>/<shard>`.
    pub(crate) fn origin(self, cluster: &str, pod: &str) -> String {
        format!("audit.{cluster}/{pod}/{self}")
    }

    /// The shard of an origin that is one of this recorder's.
    pub(crate) fn of_origin(origin: &str, cluster: &str, pod: &str) -> Option<Self> {
        origin
            .strip_prefix("audit.")?
            .strip_prefix(cluster)?
            .strip_prefix('/')?
            .strip_prefix(pod)?
            .strip_prefix('/')?
            .parse()
            .ok()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}q{}", self.year, self.quarter)?;
        if self.epoch > 1 { write!(f, "-e{}", self.epoch) } else { Ok(()) }
    }
}

impl FromStr for Shard {
    type Err = NotAShard;

    fn from_str(text: &str) -> Result<Self, NotAShard> {
        let (year, rest) = text.split_once('q').ok_or(NotAShard)?;
        let (quarter, epoch) = rest.split_once("-e").map_or((rest, "1"), |(quarter, epoch)| (quarter, epoch));
        let read = Self {
            year: year.parse().map_err(|_| NotAShard)?,
            quarter: quarter.parse().map_err(|_| NotAShard)?,
            epoch: epoch.parse().map_err(|_| NotAShard)?,
        };
        // One spelling each.
        let is_right = (1..=4).contains(&read.quarter) && read.epoch > 0 && read.to_string() == text;
        is_right.then_some(read).ok_or(NotAShard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_has_one_spelling() {
        for name in ["2026q4", "2026q1-e2", "0001q2", "2026q3-e12"] {
            assert_eq!(name.parse::<Shard>().unwrap().to_string(), name);
        }
        for other in [
            "",
            "2026",
            "2026q5",
            "2026q0",
            "2026q4-e1",
            "2026q4-e0",
            "26q4",
            "2026q04",
            "2026q4-e02",
            "2026Q4",
            "x2026q4",
        ] {
            assert_eq!(other.parse::<Shard>(), Err(NotAShard), "{other}");
        }
    }

    #[test]
    fn shards_follow_each_other_in_time() {
        let at = |time: &str| Shard::at(time.parse().unwrap());
        let last = at("2026-12-31T23:59:59.999Z");
        let first = at("2027-01-01T00:00:00Z");
        assert_eq!((last.to_string(), first.to_string()), ("2026q4".to_owned(), "2027q1".to_owned()));
        assert!(last < last.next_epoch() && last.next_epoch() < first);
        assert_eq!(last.next_epoch().quarter(), last);
        assert_eq!(at("2026-04-01T00:00:00Z").to_string(), "2026q2");
        for (time, end) in
            [("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"), ("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z")]
        {
            assert_eq!(at(time).next_epoch().ends(), Some(end.parse().unwrap()));
        }
    }

    #[test]
    fn an_origin_names_cluster_recorder_and_shard() {
        let shard = Shard::at("2026-11-28T00:00:00Z".parse().unwrap());
        let origin = shard.origin("c", "openteam-recorder-0");
        assert_eq!(origin, "audit.c/openteam-recorder-0/2026q4");
        assert_eq!(Shard::of_origin(&origin, "c", "openteam-recorder-0"), Some(shard));
        assert_eq!(Shard::parted(&origin), Some(("audit.c/openteam-recorder-0", shard)));
        assert_eq!(Shard::parted("2026q4"), None);
        for (cluster, pod) in [("d", "openteam-recorder-0"), ("c", "openteam-recorder-1"), ("c", "openteam-recorder")] {
            assert_eq!(Shard::of_origin(&origin, cluster, pod), None);
        }
    }
}
