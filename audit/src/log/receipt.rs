//! Receipts: a file that proves, without the log at hand, that an entry is in it (c2sp.org/tlog-proof, `.tlog-proof`).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! index <i>
//! <hash of the inclusion proof, base64>     from the leaf's sibling upward
//!
//! <signed checkpoint>
//! ```

use std::fmt;

use thiserror::Error;

use super::text::{base64, bytes, decimal, hashes};
use super::{BadSignature, Hash, SignedCheckpoint, VerifyingKey, leaf_hash, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A text that is no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a receipt (\"{HEADER}\")")]
pub struct NotAReceipt;

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadReceipt {
    /// The log did not sign the checkpoint.
    #[error("the log has not signed the checkpoint")]
    Log(#[source] BadSignature),
    /// The witness did not cosign it.
    #[error("the witness has not cosigned the checkpoint")]
    Witness(#[source] BadSignature),
    /// The entry is not at that index.
    #[error("the entry is not what the log has at this index")]
    Entry,
}

/// The proof of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which entry, from 0.
    pub index: u64,
    /// Its audit path.
    pub proof: Vec<Hash>,
    /// The checkpoint it leads to.
    pub checkpoint: SignedCheckpoint,
}

impl Receipt {
    /// Reads a receipt. A line `extra`, which others may write and nothing vouches for, is passed over.
    ///
    /// # Errors
    /// [`NotAReceipt`]
    pub fn parse(text: &str) -> Result<Self, NotAReceipt> {
        let read = || {
            let mut rest = text.strip_prefix(HEADER)?.strip_prefix('\n')?;
            if let Some(extra) = rest.strip_prefix("extra ") {
                let (extra, after) = extra.split_once('\n')?;
                bytes(extra)?;
                rest = after;
            }
            let (index, rest) = rest.strip_prefix("index ")?.split_once('\n')?;
            let (proof, checkpoint) = hashes(rest)?;
            Some(Self { index: decimal(index)?, proof, checkpoint: SignedCheckpoint::parse(checkpoint).ok()? })
        };
        read().ok_or(NotAReceipt)
    }

    /// Whether this very entry is in the log that `log` signs for, and, if a witness is named, in what that one has seen.
    ///
    /// # Errors
    /// [`BadReceipt`]
    pub fn verify(&self, entry: &[u8], log: &VerifyingKey, witness: Option<&VerifyingKey>) -> Result<(), BadReceipt> {
        self.checkpoint.verify(log).map_err(BadReceipt::Log)?;
        if let Some(witness) = witness {
            self.checkpoint.cosigned(witness).map_err(BadReceipt::Witness)?;
        }
        let signed = self.checkpoint.checkpoint();
        verify_inclusion(&leaf_hash(entry), self.index, signed.size, &self.proof, &signed.root)
            .map_err(|_| BadReceipt::Entry)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", base64(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
