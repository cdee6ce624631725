//! What can be wrong with a log.

use std::fmt;
use std::io;

use thiserror::Error;

use super::{BadSignature, NotACheckpoint};

/// Most flaws that are named one by one: a log under another key has as many as it has files.
pub(super) const MAX_NAMED: usize = 1_000;

/// One thing that is wrong with a log. Displayed it says which file or entry, and what.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// A file that a log of this size has is not there.
    #[error("{path} is missing")]
    Missing {
        /// Under the log's prefix.
        path: String,
    },
    /// A file is there and cannot be read.
    #[error("{path} cannot be read: {kind}")]
    Unreadable {
        /// Under the log's prefix.
        path: String,
        /// What the system says of it.
        kind: io::ErrorKind,
    },
    /// A bundle does not hold as many whole entries as it should.
    #[error("{path} does not hold {expected} entries but {found}{}", if *.cut { " and part of one" } else { "" })]
    Bundle {
        /// Under the log's prefix.
        path: String,
        /// How many entries should be in it.
        expected: usize,
        /// How many there are.
        found: usize,
        /// Whether it ends within an entry.
        cut: bool,
    },
    /// A tile does not have the length of its hashes.
    #[error("{path} has {found} bytes and not {expected}")]
    Length {
        /// Under the log's prefix.
        path: String,
        /// 32 a hash.
        expected: usize,
        /// What is there.
        found: usize,
    },
    /// An entry is not the one whose hash is in the tree, or its hash was changed.
    #[error("entry {index} does not hash to what {tile} says")]
    Entry {
        /// Which entry, from 0.
        index: u64,
        /// The path of the tile.
        tile: String,
    },
    /// A hash in a tile is not the root of the tile below it.
    #[error("{path} does not follow from the tiles below: its hash {position} is not the root of {below}")]
    Tile {
        /// The tile.
        path: String,
        /// Which of its hashes, from 0.
        position: usize,
        /// The tile below.
        below: String,
    },
    /// The tiles have another root than the checkpoint.
    #[error("the root of the tiles is not the one of the checkpoint, which has {size} entries")]
    Root {
        /// The size of the checkpoint.
        size: u64,
    },
    /// The checkpoint cannot be understood.
    #[error("the checkpoint cannot be understood: {0}")]
    Checkpoint(NotACheckpoint),
    /// The checkpoint is of another log.
    #[error("the checkpoint is of the log {found} and not of {expected}")]
    Origin {
        /// What it says.
        found: String,
        /// The name of the key.
        expected: String,
    },
    /// The log has not signed its checkpoint.
    #[error("the checkpoint is not signed by {key}: {why}")]
    Signature {
        /// The text of the key.
        key: String,
        /// Why the signature does not count.
        why: BadSignature,
    },
    /// The witness has not cosigned the checkpoint.
    #[error("the checkpoint is not cosigned by {witness}: {why}")]
    NotCosigned {
        /// The text of the witness's key.
        witness: String,
        /// Why the cosignature does not count.
        why: BadSignature,
    },
    /// The log is shorter than it was.
    #[error("the log was rolled back: it had {remembered} entries and has {size}")]
    RolledBack {
        /// The size that is remembered.
        remembered: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// The log's first entries are others than they were.
    #[error("the log was rewritten: its first {size} entries are not those it had with {size} entries")]
    Rewritten {
        /// The size that is remembered.
        size: u64,
    },
    /// Other flaws keep the log from showing that it holds what is remembered.
    #[error("the tiles do not show whether the log still begins with the {size} entries it had")]
    Unproven {
        /// The size that is remembered.
        size: u64,
    },
    /// What is remembered is of another log, so nothing was compared.
    #[error("what is remembered is of the log {found} and not of {expected}")]
    Remembered {
        /// The origin that is remembered.
        found: String,
        /// The name of the key.
        expected: String,
    },
    /// The indexes that were asked for are not in the log.
    #[error("the entries from {from} up to {to} are not all within the log, which has {size}")]
    Range {
        /// The first index asked for.
        from: u64,
        /// The index after the last one.
        to: u64,
        /// The size of the checkpoint.
        size: u64,
    },
}

/// All that is wrong with a log; never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flaws {
    /// In the order in which they were found: by index, then what concerns the whole. The first 1,000.
    pub named: Vec<Flaw>,
    /// How many more there are.
    pub more: u64,
}

impl Flaws {
    pub(super) fn add(&mut self, flaw: Flaw) {
        if self.named.len() < MAX_NAMED {
            self.named.push(flaw);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

/// A line each.
impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, flaw) in self.named.iter().enumerate() {
            write!(f, "{}{flaw}", if place > 0 { "\n" } else { "" })?;
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for Flaws {}

impl From<Flaw> for Flaws {
    fn from(flaw: Flaw) -> Self {
        Self { named: vec![flaw], more: 0 }
    }
}
