//! What a witness decides (c2sp.org/tlog-witness): it cosigns a checkpoint only if it extends the one it cosigned before.
//!
//! Text of a request, each line with LF:
//!
//! ```text
//! old <size>
//! <hash of the consistency proof, base64>     up to 63 of them
//!
//! <signed checkpoint>
//! ```

use std::fmt;

use thiserror::Error;

use super::text::{base64, decimal, hashes};
use super::{BadSignature, Checkpoint, EMPTY_ROOT, Hash, SignedCheckpoint, VerifyingKey, verify_consistency};

/// A request to cosign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the sender believes the witness cosigned last; 0 if none.
    pub old: u64,
    /// From that size to the checkpoint's.
    pub proof: Vec<Hash>,
    /// What is to be cosigned.
    pub note: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`AddRefused::Malformed`]
    pub fn parse(text: &str) -> Result<Self, AddRefused> {
        let read = || {
            let (old, rest) = text.strip_prefix("old ")?.split_once('\n')?;
            let (proof, note) = hashes(rest)?;
            Some(Self { old: decimal(old)?, proof, note: SignedCheckpoint::parse(note).ok()? })
        };
        read().ok_or(AddRefused::Malformed)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", base64(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// Why a witness does not cosign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddRefused {
    /// Not a request.
    #[error("the request is not an old size, a proof and a signed checkpoint")]
    Malformed,
    /// The old size is above the checkpoint's.
    #[error("the old size is above the size of the checkpoint")]
    OldAbove,
    /// The log did not sign.
    #[error("the checkpoint is not signed by the log")]
    Signature,
    /// Another log than the one whose key was given.
    #[error("no log of this origin is known")]
    UnknownOrigin,
    /// The old size is not the one cosigned last; or it is, and the checkpoint has that size and another root, which is a
    /// log that shows two histories.
    #[error("the checkpoint cosigned last has {size} entries")]
    Conflict {
        /// The size cosigned last, the body of the answer.
        size: u64,
    },
    /// The proof does not show that the checkpoint extends the one cosigned last.
    #[error("the consistency proof does not show that the log was only appended to")]
    Proof,
}

impl AddRefused {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed | Self::OldAbove => 400,
            Self::Signature => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } => 409,
            Self::Proof => 422,
        }
    }
}

/// Whether a witness that cosigned `remembered` last may cosign `note`: the checkpoint to remember from now on, before the
/// cosignature is handed out. Whoever calls holds a lock over reading, deciding and remembering; two at once could
/// take the log back.
///
/// # Errors
/// [`AddRefused`]
pub fn add_checkpoint(
    remembered: Option<&Checkpoint>,
    old: u64,
    proof: &[Hash],
    note: &SignedCheckpoint,
    log: &VerifyingKey,
) -> Result<Checkpoint, AddRefused> {
    note.verify(log).map_err(|bad| match bad {
        BadSignature::Origin => AddRefused::UnknownOrigin,
        BadSignature::Absent | BadSignature::Wrong => AddRefused::Signature,
    })?;
    let new = note.checkpoint();
    if remembered.is_some_and(|last| last.origin != new.origin) {
        return Err(AddRefused::UnknownOrigin);
    }
    if old > new.size {
        return Err(AddRefused::OldAbove);
    }
    let (size, root) = remembered.map_or((0, EMPTY_ROOT), |last| (last.size, last.root));
    if old != size || (old == new.size && root != new.root) {
        return Err(AddRefused::Conflict { size });
    }
    verify_consistency(old, &root, new.size, &new.root, proof).map_err(|_| AddRefused::Proof)?;
    Ok(new.clone())
}
