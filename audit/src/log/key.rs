//! The keys of logs and witnesses: Ed25519 (RFC 8032) under a name (c2sp.org/signed-note).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::text::{base64, bytes};
use super::{Checkpoint, SignedCheckpoint};

/// Type bytes of signatures.
const ED25519_NOTE: u8 = 0x01;
const COSIGNATURE_V1: u8 = 0x04;

/// A name, seed or text that makes no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAKey {
    /// Empty, or with a space, a control character or `+`.
    #[error("a key's name is not empty and has no space, no control character and no \"+\"")]
    Name,
    /// Not `name+id+base64`.
    #[error("a verifier key is \"name+id+base64\", its id 8 lower-case hex digits")]
    Form,
    /// Neither type 01 (Ed25519) nor 04 (timestamped cosignature), or not 32 bytes.
    #[error("a key of another type than Ed25519 of a log (01) or of a witness (04)")]
    Type,
    /// The id is not that of the name and the key.
    #[error("the key id is not that of this name and key")]
    Id,
    /// The seed is refused.
    #[error("the seed makes no key")]
    Seed,
}

/// Whether a key may have this name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// What signs the checkpoints of one log, or cosigns those of others. Wiped when dropped: AWS-LC clears all that it frees.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key of this seed under a name, which for a log is its origin. Whoever has the seed signs; the caller wipes it.
    ///
    /// # Errors
    /// [`NotAKey::Name`], or [`NotAKey::Seed`] if the library refuses the seed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NotAKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NotAKey::Seed)?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| NotAKey::Seed)?;
        let public = VerifyingKey::new(name, Kind::Log, bytes)?;
        Ok(Self { pair, public })
    }

    /// What its checkpoints are verified with; for its cosignatures, [`VerifyingKey::cosigner`] of that.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    /// The signed note of a checkpoint, whole. Its origin should be this key's name: nobody accepts it otherwise.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let body = checkpoint.to_string();
        let signature = self.pair.sign(body.as_bytes());
        format!("{body}\n{}", self.public.line(signature.as_ref()))
    }

    /// The line of a cosignature (c2sp.org/tlog-cosignature), with its line end: that this key's owner saw this checkpoint
    /// at `time`, in seconds since 1970, and none that contradicts it.
    #[must_use]
    pub fn cosign(&self, checkpoint: &SignedCheckpoint, time: u64) -> String {
        let signature = self.pair.sign(cosigned_message(time, checkpoint.body()).as_bytes());
        self.public.cosigner().line(&[&time.to_be_bytes(), signature.as_ref()].concat())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

/// What a cosignature signs.
pub(super) fn cosigned_message(time: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{body}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Log,
    Cosigner,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Log => ED25519_NOTE,
            Self::Cosigner => COSIGNATURE_V1,
        }
    }
}

/// What signatures of a log, or cosignatures of a witness, are verified with. Its text is `name+id+base64(type ‖ key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    kind: Kind,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifyingKey {
    fn new(name: &str, kind: Kind, public: [u8; 32]) -> Result<Self, NotAKey> {
        if !is_name(name) {
            return Err(NotAKey::Name);
        }
        let digest =
            Sha256::new().chain_update(name).chain_update([b'\n', kind.byte()]).chain_update(public).finalize();
        Ok(Self { name: name.to_owned(), kind, id: [digest[0], digest[1], digest[2], digest[3]], public })
    }

    /// The key of a text.
    ///
    /// # Errors
    /// [`NotAKey`] for whatever is not written as [`Self`] is displayed.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        // The base64 may hold a "+" too; the name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAKey::Form);
        };
        let key = bytes(key).ok_or(NotAKey::Form)?;
        let (kind, public) = match key.split_first() {
            Some((&ED25519_NOTE, public)) => (Kind::Log, public),
            Some((&COSIGNATURE_V1, public)) => (Kind::Cosigner, public),
            _ => return Err(NotAKey::Type),
        };
        let key = Self::new(name, kind, public.try_into().map_err(|_| NotAKey::Type)?)?;
        if HEXLOWER.encode(&key.id) == id { Ok(key) } else { Err(NotAKey::Id) }
    }

    /// The same key as it verifies cosignatures (type 04).
    #[must_use]
    pub fn cosigner(&self) -> Self {
        let mut cosigner = self.clone();
        // The name has been checked; only the id changes.
        if let Ok(other) = Self::new(&self.name, Kind::Cosigner, self.public) {
            cosigner = other;
        }
        cosigner
    }

    /// Its name; for a log, the origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, LF, type and key: tells keys apart, proves nothing.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether it verifies cosignatures (type 04) and not checkpoints (type 01).
    #[must_use]
    pub fn is_cosigner(&self) -> bool {
        self.kind == Kind::Cosigner
    }

    pub(super) fn has_signed(&self, message: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public).verify(message.as_bytes(), signature).is_ok()
    }

    fn line(&self, signature: &[u8]) -> String {
        format!("\u{2014} {} {}\n", self.name, base64(&[&self.id, signature].concat()))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()], &self.public[..]].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id), base64(&key))
    }
}

impl FromStr for VerifyingKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of tessera's test log.
    const TESSERA: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

    #[test]
    fn a_key_is_read_and_written() {
        let key = VerifyingKey::parse(TESSERA).unwrap();
        assert_eq!(key.to_string(), TESSERA);
        assert_eq!(key.name(), "example.com/log/testdata");
        assert!(!key.is_cosigner());
        let cosigner = key.cosigner();
        assert!(cosigner.is_cosigner());
        assert_ne!(cosigner.id(), key.id());
        assert_eq!(cosigner.to_string().parse(), Ok(cosigner));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = |text: &str| VerifyingKey::parse(text);
        assert_eq!(key(""), Err(NotAKey::Form));
        assert_eq!(key("name+33d7b496"), Err(NotAKey::Form));
        assert_eq!(key(&TESSERA.replace("33d7b496", "33D7B496")), Err(NotAKey::Id));
        assert_eq!(key(&TESSERA.replace("33d7b496", "33d7b497")), Err(NotAKey::Id));
        assert_eq!(key(&TESSERA.replace("log", "logs")), Err(NotAKey::Id));
        assert_eq!(key(&TESSERA.replace("AeHT", "AeHU")), Err(NotAKey::Id));
        assert_eq!(key(&TESSERA.replace("AeHT", "BeHT")), Err(NotAKey::Type), "type 05");
        assert_eq!(key(&TESSERA[..TESSERA.len() - 4]), Err(NotAKey::Type));
        assert_eq!(key(&TESSERA[..TESSERA.len() - 1]), Err(NotAKey::Form));
        assert_eq!(key(&TESSERA.replace("example.com", "example com")), Err(NotAKey::Name));
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
            assert_eq!(SigningKey::from_seed(name, &[1; 32]).unwrap_err(), NotAKey::Name, "{name:?}");
        }
    }

    #[test]
    fn a_stranger_reads_our_keys() {
        use signed_note::{StandardVerifier, Verifier as _};
        let key = SigningKey::from_seed("example.com/log", &[3; 32]).unwrap().verifying_key();
        let read = StandardVerifier::new(&key.to_string()).unwrap();
        assert_eq!(read.key_id().to_be_bytes(), key.id());
    }

    #[test]
    fn a_signing_key_does_not_show_its_seed() {
        let key = SigningKey::from_seed("log", &[0x41; 32]).unwrap();
        let shown = format!("{key:?}");
        assert!(!shown.contains("AAAA") && !shown.contains("4141") && !shown.contains("65, 65"), "{shown}");
        assert_eq!(shown, format!("SigningKey({})", key.verifying_key()));
    }
}
