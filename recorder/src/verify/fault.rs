//! What can be wrong with the logs of a recorder.

use std::fmt;

use audit::log::{BadSignature, Flaw};
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::Shard;

/// One thing that is wrong. Displayed it says with which log, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The log's origin; its shard where that is not known.
    pub log: String,
    /// What is wrong with it.
    #[serde(serialize_with = "told")]
    pub what: What,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.log, self.what)
    }
}

fn told<S: Serializer>(what: &What, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(what)
}

/// What says what a log once had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The checkpoints that were given, which the witness keeps.
    Witness,
    /// The witnessed checkpoint among the log's own files.
    Beside,
    /// The first entry of the log that follows.
    Next(Shard),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Witness => f.write_str("the checkpoint that was given"),
            Self::Beside => f.write_str("the witnessed checkpoint beside it"),
            Self::Next(shard) => write!(f, "the first entry of {shard}"),
        }
    }
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum What {
    /// With its files, or towards its signed root.
    #[error("{0}")]
    Flaw(Flaw),
    /// It does not contain what it once had.
    #[error("{flaw}, as {by} says")]
    Forgotten {
        /// How so.
        flaw: Flaw,
        /// On whose word.
        by: By,
    },
    /// It signed another root for the size that it has.
    #[error(
        "two roots for one size: with {size} entries the root {other} is signed too, as {by} says; here it is {root}"
    )]
    TwoRoots {
        /// The size of both.
        size: u64,
        /// The root here, base64.
        root: String,
        /// The other.
        other: String,
        /// On whose word.
        by: By,
    },
    /// It is not there.
    #[error("the log is not here; it had {size} entries, as {by} says")]
    Absent {
        /// How many entries it had.
        size: u64,
        /// On whose word.
        by: By,
    },
    /// It was asked for and is not there.
    #[error("there is no such log here")]
    Unknown,
    /// There is no key to check it with.
    #[error("vkey is missing or is no key, and no other was given for it")]
    NoKey,
    /// In its place is another log.
    #[error("in the place of {place} is the log {found}: logs were swapped")]
    Swapped {
        /// Where it is.
        place: Shard,
        /// What it is.
        found: String,
    },
    /// It is another recorder's.
    #[error("this log is not of {expected}, whose logs the others are")]
    OtherRecorder {
        /// Cluster and pod of the others.
        expected: String,
    },
    /// It is another cluster's than the checkpoints that were given.
    #[error("this log is not of the cluster {cluster}, whose checkpoints were given")]
    OtherCluster {
        /// The cluster's id.
        cluster: String,
    },
    /// Its first entry does not open a log.
    #[error("its first entry does not open a log")]
    NoOpening,
    /// Its first entry opens another log.
    #[error("its first entry opens the log {found}")]
    OtherOpening {
        /// Which.
        found: String,
    },
    /// Its first entry names no log before it, and there is one.
    #[error("its first entry names no log before it, and {before} is here")]
    NoPrevious {
        /// The log before.
        before: Shard,
    },
    /// Its first entry has no checkpoint of a log before it, but something else.
    #[error("its first entry holds no checkpoint of a log before it, but {found}")]
    NotPrevious {
        /// What.
        found: String,
    },
    /// The next log follows another one.
    #[error("{next} does not follow this log, but {previous}")]
    NotBetween {
        /// The next.
        next: Shard,
        /// What it follows.
        previous: Shard,
    },
    /// The checkpoint in the next log's first entry is forged.
    #[error("the checkpoint of it in the first entry of {next} is not its own: {why}")]
    Forged {
        /// The next.
        next: Shard,
        /// Why the signature does not count.
        why: BadSignature,
    },
    /// It grew after the next log was begun.
    #[error(
        "the log grew after its end: it has {size} entries and ended with {ended}, as the first entry of {next} says"
    )]
    GrewOn {
        /// The size here.
        size: u64,
        /// The size at its end.
        ended: u64,
        /// The next.
        next: Shard,
    },
    /// Records between two logs are in neither.
    #[error("the records {from} to {to}, before its first, are in no log")]
    Gap {
        /// The first of them.
        from: u64,
        /// The last.
        to: u64,
    },
    /// What is said to be witnessed is no checkpoint of this log.
    #[error("{by} is not signed by the log: {why}")]
    NotSigned {
        /// On whose word.
        by: By,
        /// Why the signature does not count.
        why: BadSignature,
    },
    /// The witness did not cosign it.
    #[error("{by} is not cosigned by {witness}: {why}")]
    NotCosigned {
        /// On whose word.
        by: By,
        /// The name of the witness's key.
        witness: String,
        /// Why the cosignature does not count.
        why: BadSignature,
    },
    /// The witness has cosigned nothing of it.
    #[error("there is no checkpoint that {witness} cosigned")]
    NotWitnessed {
        /// The name of the witness's key.
        witness: String,
    },
}
