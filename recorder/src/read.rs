//! Reading a journal, while it is written to as well.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use audit::ObjectName;
use jiff::Timestamp;
use serde_json::json;
use thiserror::Error;

pub use crate::frame::Record;
use crate::{
    journal::segments,
    log::shards,
    records::{Found, From, forward},
};

/// Which records to print. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of this Team.
    pub team: Option<ObjectName>,
    /// Those of this AmazonConnection.
    pub connection: Option<ObjectName>,
    /// Those stored at this time or later.
    pub since: Option<Timestamp>,
    /// Those stored before this time.
    pub until: Option<Timestamp>,
}

/// A part of a journal.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// A record.
    Record(Box<Record>),
    /// Bytes that hold no record.
    Unreadable {
        /// The segment.
        segment: PathBuf,
        /// Where in it.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Sequence numbers that no record has.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

/// How many items were printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Records.
    pub records: u64,
    /// Places where something is unreadable or missing. A complete journal has none.
    pub flaws: u64,
}

/// Why a journal cannot be read, or not be printed.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("cannot read journal {path}")]
    Disk {
        /// The directory or segment.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The output failed.
    #[error("cannot print the journal")]
    Output(#[source] io::Error),
}

/// Everything in the record of `dir`, in order. An incomplete end of the journal is left out: it is being written, or was when
/// the power failed.
///
/// # Errors
/// [`ReadError`], at once or from the iterator.
pub fn items(dir: &Path) -> Result<impl Iterator<Item = Result<Item, ReadError>>, ReadError> {
    let failed = {
        let path = dir.to_owned();
        move |source| ReadError::Disk { path: path.clone(), source }
    };
    let all = forward(dir, From::default()).map_err(&failed)?;
    let mut expected = None;
    Ok(all.flat_map(move |found| {
        let (first, found) = match found {
            Ok(found) => found,
            Err(source) => return [Some(Err(failed(source))), None].into_iter().flatten(),
        };
        match found {
            Found::Unreadable { file, offset, bytes } => {
                [Some(Ok(Item::Unreadable { segment: file, offset, bytes })), None].into_iter().flatten()
            }
            Found::Record(stamp, payload) => {
                let from = *expected.get_or_insert(first);
                let missing = (stamp.sequence > from).then(|| Ok(Item::Missing { from, to: stamp.sequence - 1 }));
                expected = Some(stamp.sequence.max(from) + 1);
                let record = serde_json::from_slice(&payload)
                    .map(|record| Item::Record(Box::new(record)))
                    .map_err(|error| failed(error.into()));
                [missing, Some(record)].into_iter().flatten()
            }
        }
    }))
}

/// Whether `dir` holds a journal at all, be it an empty one.
///
/// # Errors
/// [`ReadError`]
pub fn exists(dir: &Path) -> Result<bool, ReadError> {
    let failed = |source| ReadError::Disk { path: dir.to_owned(), source };
    Ok(!segments(dir).map_err(failed)?.is_empty() || !shards(dir).map_err(failed)?.is_empty())
}

/// Prints the journal of `dir` as JSON lines: each record that passes the filter as it is stored, and
/// `{"unreadable": …}` or `{"missing": …}`, whatever the filter, where the journal is not complete.
///
/// # Errors
/// [`ReadError`].
pub fn print(dir: &Path, filter: &Filter, out: &mut impl Write) -> Result<Printed, ReadError> {
    let mut printed = Printed::default();
    for item in items(dir)? {
        let line = match item? {
            Item::Record(record) if filter.passes(&record) => {
                printed.records += 1;
                json!(record)
            }
            Item::Record(_) => continue,
            Item::Unreadable { segment, offset, bytes } => {
                printed.flaws += 1;
                let segment = segment.file_name().map(|name| name.to_string_lossy().into_owned());
                json!({ "unreadable": { "segment": segment, "offset": offset, "bytes": bytes } })
            }
            Item::Missing { from, to } => {
                printed.flaws += 1;
                json!({ "missing": { "from": from, "to": to } })
            }
        };
        writeln!(out, "{line}").map_err(ReadError::Output)?;
    }
    out.flush().map_err(ReadError::Output)?;
    Ok(printed)
}

impl Filter {
    fn passes(&self, record: &Record) -> bool {
        let names = |wanted: &Option<ObjectName>, member: &str| {
            wanted.as_ref().is_none_or(|wanted| {
                let name = &record.event["unmapped"][member];
                name["namespace"] == wanted.namespace.as_str() && name["name"] == wanted.name.as_str()
            })
        };
        names(&self.team, "team")
            && names(&self.connection, "connection")
            && self.since.is_none_or(|since| record.time >= since.as_millisecond())
            && self.until.is_none_or(|until| record.time < until.as_millisecond())
    }
}
