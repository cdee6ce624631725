//! Looking things up in a recorder's directory, while it is written to as well.

mod filter;
mod scan;
mod table;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    time::Duration,
};

use audit::wire::records::{MOST_RECORDS, More};

pub use filter::{Query, class};

use crate::{
    backwards::{Budget, Ended, backwards, backwards_within},
    log::{Follower, Stamp, Stopped},
    read::ReadError,
    records::{Found, From, forward},
};
use filter::Hit;
pub(crate) use filter::{Filter, stamp_of};
use scan::{Seen, scan};
use table::Table;

/// What is looked at for one answer over the network.
const BUDGET: Budget = Budget { bytes: 32 * 1024 * 1024, time: Duration::from_millis(500) };
const AMPLE: Budget = Budget { bytes: u64::MAX, time: Duration::MAX };

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns for people.
    Table,
    /// Records as they are stored, one a line.
    Json,
}

/// How much to print.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// As what.
    pub format: Format,
    /// The newest so many only; everything otherwise.
    pub limit: Option<usize>,
}

/// What was printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// How many records.
    pub records: u64,
    /// Places that cannot be read: what is there is unknown. Looked for only where everything is printed.
    pub unreadable: Vec<String>,
}

/// Prints what is wanted of the record of `dir`, oldest first. Then goes on with what is stored while `wait` says so, which is
/// asked whenever there is nothing more, and waits a little. Blocks on the disk.
///
/// # Errors
/// [`ReadError`]
pub fn print(
    dir: &Path,
    query: &Query,
    options: Options,
    out: &mut dyn Write,
    wait: &mut dyn FnMut() -> bool,
) -> Result<Answered, ReadError> {
    let filter = Filter::new(query);
    let mut printer = Printer { out, table: Table::new(), format: options.format, answered: Answered::default() };
    let failed = |source| ReadError::Disk { path: dir.to_owned(), source };
    let next = next(dir).map_err(failed)?;
    match options.limit {
        Some(limit) => {
            let (mut hits, _) = newest(dir, &filter, Some(next), limit, AMPLE).map_err(failed)?;
            hits.reverse();
            hits.iter().try_for_each(|hit| printer.hit(hit))?;
        }
        None => {
            let told = scan(dir, &filter, next, &mut |seen| match seen {
                Seen::Hit(hit) => printer.hit(&hit).map_err(Stop::Print),
                Seen::Unreadable(place) => {
                    printer.answered.unreadable.push(place);
                    Ok(())
                }
            });
            told.map_err(|stop| stop.error(dir))?;
        }
    }
    printer.flush()?;
    let mut follower = Follower::new(dir, next);
    while wait() {
        for hit in news(dir, &filter, &mut follower).map_err(failed)? {
            printer.hit(&hit)?;
        }
        printer.flush()?;
    }
    Ok(printer.answered)
}

/// A part of the record, newest first, and where older ones are.
pub(crate) fn page(
    dir: &Path,
    query: &Query,
    before: Option<u64>,
    limit: Option<usize>,
) -> io::Result<(Vec<String>, More)> {
    let limit = limit.unwrap_or(MOST_RECORDS).clamp(1, MOST_RECORDS);
    let (hits, ended) = newest(dir, &Filter::new(query), before, limit, BUDGET)?;
    let more = match ended {
        Ended::AtTheBeginning => More::default(),
        Ended::Enough => More { next: hits.last().map(|hit| hit.stamp.sequence), is_partial: false },
        Ended::Bounded(next) => More { next: Some(next), is_partial: true },
    };
    Ok((hits.into_iter().map(|hit| hit.line).collect(), more))
}

/// The newest that are wanted, newest first.
fn newest(
    dir: &Path,
    filter: &Filter<'_>,
    before: Option<u64>,
    limit: usize,
    budget: Budget,
) -> io::Result<(Vec<Hit>, Ended)> {
    let mut hits = Vec::new();
    let ended = backwards_within(dir, before, &filter.times, budget, &mut |payload| {
        hits.extend(filter.hit(payload));
        if hits.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((hits, ended))
}

/// The number behind the newest record.
fn next(dir: &Path) -> io::Result<u64> {
    let mut next = 0;
    backwards(dir, None, AMPLE, &mut |payload| match Stamp::of(payload) {
        Some(stamp) => {
            next = stamp.sequence + 1;
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    })?;
    Ok(next.max(1))
}

/// What is wanted of what was stored since the last time.
fn news(dir: &Path, filter: &Filter<'_>, follower: &mut Follower) -> io::Result<Vec<Hit>> {
    let mut hits = Vec::new();
    let stopped = follower.catch_up(u64::MAX, &mut |_, payload| {
        hits.extend(filter.hit(payload));
        Ok(ControlFlow::Continue(()))
    });
    match stopped {
        Ok(Stopped::Gap(to)) if to < u64::MAX => {
            // They went into bundles before they were seen here, or are nowhere.
            let mut last = to - 1;
            for found in forward(dir, From { sequence: follower.next(), time: i64::MIN })? {
                if let Found::Record(stamp, payload) = found?.1 {
                    last = stamp.sequence.max(last);
                    hits.extend(filter.hit(&payload));
                }
            }
            *follower = Follower::new(dir, last + 1);
        }
        Ok(_) => {}
        // A segment that was deleted just now, since all of it is in bundles: the next time tells.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(hits)
}

struct Printer<'a> {
    out: &'a mut dyn Write,
    table: Table,
    format: Format,
    answered: Answered,
}

impl Printer<'_> {
    fn hit(&mut self, hit: &Hit) -> Result<(), ReadError> {
        self.answered.records += 1;
        let written = match self.format {
            Format::Json => writeln!(self.out, "{}", hit.line),
            Format::Table => self.out.write_all(self.table.add(hit).as_bytes()),
        };
        written.map_err(ReadError::Output)
    }

    fn flush(&mut self) -> Result<(), ReadError> {
        let rest = self.table.flush();
        self.out.write_all(rest.as_bytes()).and_then(|()| self.out.flush()).map_err(ReadError::Output)
    }
}

/// Lines of an answer over the network, as [`print()`] prints records.
///
/// # Errors
/// [`ReadError::Output`]
pub fn print_lines<'a>(
    lines: impl Iterator<Item = &'a str>,
    format: Format,
    out: &mut dyn Write,
) -> Result<u64, ReadError> {
    let everything = Query::default();
    let filter = Filter::new(&everything);
    let mut printer = Printer { out, table: Table::new(), format, answered: Answered::default() };
    for hit in lines.filter_map(|line| filter.hit(line.as_bytes())) {
        printer.hit(&hit)?;
    }
    printer.flush()?;
    Ok(printer.answered.records)
}

/// Why going through the record ended early.
enum Stop {
    Disk(io::Error),
    Print(ReadError),
}

impl std::convert::From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Stop {
    fn error(self, dir: &Path) -> ReadError {
        match self {
            Self::Disk(source) => ReadError::Disk { path: dir.to_owned(), source },
            Self::Print(error) => error,
        }
    }
}
