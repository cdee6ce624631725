//! Checkpoints: the size and root of a log at one moment, signed (c2sp.org/tlog-checkpoint, c2sp.org/signed-note).
//!
//! ```text
//! <origin>
//! <size, decimal>
//! <root, base64>
//! [extension lines, which we never write]
//!
//! — <name> <base64(key id[4] ‖ signature)>
//! ```
//!
//! Every line ends with LF; signed is the text before the empty line.

use std::fmt;

use thiserror::Error;

use super::key::{cosigned_message, is_name};
use super::text::{base64, bytes, decimal, hash};
use super::{Hash, VerifyingKey};

/// The longest signed checkpoint that is read, in bytes.
const MAX_BYTES: usize = 1_000_000;
/// Most signatures of one that is read.
const MAX_SIGNATURES: usize = 100;
/// Most extension lines of one that is read.
const MAX_EXTENSIONS: usize = 16;

/// Size and root of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log: the name of the key that signs.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// The text that is signed, with its last line end.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, base64(&self.root))
    }
}

/// A text that is no signed checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotACheckpoint {
    /// More bytes, signatures or extension lines than are read.
    #[error(
        "longer than a checkpoint is read: {MAX_BYTES} bytes, {MAX_SIGNATURES} signatures, {MAX_EXTENSIONS} extensions"
    )]
    TooLong,
    /// No empty line and signatures after the text, or control characters.
    #[error("not a signed note")]
    Note,
    /// Not origin, size and root.
    #[error("not a checkpoint: origin, size and root, a line each")]
    Body,
    /// A line that is no signature.
    #[error("a signature line is not \"\u{2014} name base64\"")]
    Line,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadSignature {
    /// The checkpoint is of another log than the key.
    #[error("the checkpoint is of another log")]
    Origin,
    /// There is no signature by this key, or the key is for another kind of signature.
    #[error("not signed by this key")]
    Absent,
    /// A signature under this key's name and id is not of this text.
    #[error("the signature is not of this text")]
    Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    /// Of a line without its line end.
    fn parse(line: &str) -> Result<Self, NotACheckpoint> {
        let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
        let (name, rest) = parts.filter(|(name, _)| is_name(name)).ok_or(NotACheckpoint::Line)?;
        let all = bytes(rest).ok_or(NotACheckpoint::Line)?;
        match all.split_first_chunk::<4>() {
            Some((id, bytes)) if !bytes.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
            }
            _ => Err(NotACheckpoint::Line),
        }
    }

    fn is_by(&self, key: &VerifyingKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }
}

/// A checkpoint with its signatures, of which none counts until [`Self::verify`] or [`Self::cosigned`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    text: String,
    /// The length of the signed text.
    body: usize,
    checkpoint: Checkpoint,
    extensions: usize,
    signatures: Vec<Signature>,
}

impl SignedCheckpoint {
    /// Reads a signed note whose text is a checkpoint. Extension lines are kept and signed with the rest, but mean nothing
    /// here: whoever does not expect them looks at [`Self::extensions`].
    ///
    /// # Errors
    /// [`NotACheckpoint`]
    pub fn parse(text: &str) -> Result<Self, NotACheckpoint> {
        if text.len() > MAX_BYTES {
            return Err(NotACheckpoint::TooLong);
        }
        if text.chars().any(|c| c < ' ' && c != '\n') || !text.ends_with('\n') {
            return Err(NotACheckpoint::Note);
        }
        let body = text.rfind("\n\n").ok_or(NotACheckpoint::Note)? + 1;
        let (checkpoint, extensions) = read_body(&text[..body])?;
        let lines = &text[body + 1..];
        if lines.is_empty() {
            return Err(NotACheckpoint::Note);
        }
        if lines.lines().count() > MAX_SIGNATURES {
            return Err(NotACheckpoint::TooLong);
        }
        // Not `lines()`, which would take CR LF for a line end; and a control character was refused above anyway.
        let signatures =
            lines.strip_suffix('\n').unwrap_or(lines).split('\n').map(Signature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), body, checkpoint, extensions, signatures })
    }

    /// What it says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is signed.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.text[..self.body]
    }

    /// How many extension lines it has.
    #[must_use]
    pub fn extensions(&self) -> usize {
        self.extensions
    }

    /// Whether the log itself signed, which its origin names.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn verify(&self, log: &VerifyingKey) -> Result<(), BadSignature> {
        if self.checkpoint.origin != log.name() {
            return Err(BadSignature::Origin);
        }
        if log.is_cosigner() {
            return Err(BadSignature::Absent);
        }
        self.by(log, |bytes| log.has_signed(self.body(), bytes).then_some(())).map(drop)
    }

    /// When the owner of this key cosigned, in seconds since 1970; the latest time if there are several.
    ///
    /// # Errors
    /// [`BadSignature`]
    pub fn cosigned(&self, witness: &VerifyingKey) -> Result<u64, BadSignature> {
        if !witness.is_cosigner() {
            return Err(BadSignature::Absent);
        }
        let times = self.by(witness, |bytes| {
            let (time, signature) = bytes.split_first_chunk::<8>()?;
            let time = u64::from_be_bytes(*time);
            witness.has_signed(&cosigned_message(time, self.body()), signature).then_some(time)
        })?;
        times.into_iter().max().ok_or(BadSignature::Absent)
    }

    /// What `check` makes of every signature by this key. One that is wrong spoils the note, as signed-note asks: two under
    /// one name and id mean that somebody tried something.
    fn by<T>(&self, key: &VerifyingKey, check: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, BadSignature> {
        let own = self.signatures.iter().filter(|signature| signature.is_by(key));
        let checked: Option<Vec<T>> = own.map(|signature| check(&signature.bytes)).collect();
        checked
            .ok_or(BadSignature::Wrong)
            .and_then(|all| if all.is_empty() { Err(BadSignature::Absent) } else { Ok(all) })
    }

    /// The same with one more signature line, with or without its line end; as it is if that name and key id have signed
    /// already. Whether the signature is good is not looked at.
    ///
    /// # Errors
    /// [`NotACheckpoint`]: not a signature line, or one too many.
    pub fn with_signature(&self, line: &str) -> Result<Self, NotACheckpoint> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let new = Signature::parse(line)?;
        if self.signatures.iter().any(|signature| signature.name == new.name && signature.id == new.id) {
            return Ok(self.clone());
        }
        Self::parse(&format!("{}{line}\n", self.text))
    }
}

/// The whole note.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The checkpoint and the number of extension lines of a text that ends with LF.
fn read_body(body: &str) -> Result<(Checkpoint, usize), NotACheckpoint> {
    let mut lines = body.strip_suffix('\n').unwrap_or(body).split('\n');
    let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(NotACheckpoint::Body);
    };
    let (Some(size), Some(root), false) = (decimal(size), hash(root), origin.is_empty()) else {
        return Err(NotACheckpoint::Body);
    };
    let mut extensions = 0;
    for line in lines {
        extensions += 1;
        if line.is_empty() {
            return Err(NotACheckpoint::Body);
        }
        if extensions > MAX_EXTENSIONS {
            return Err(NotACheckpoint::TooLong);
        }
    }
    Ok((Checkpoint { origin: origin.to_owned(), size, root }, extensions))
}

#[cfg(test)]
mod tests {
    use super::super::SigningKey;
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("example.com/log", &[seed; 32]).unwrap()
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: "example.com/log".to_owned(), size, root: [9; 32] }
    }

    fn signed(size: u64) -> SignedCheckpoint {
        SignedCheckpoint::parse(&key(1).sign(&checkpoint(size))).unwrap()
    }

    #[test]
    fn a_signed_checkpoint_says_what_was_signed_and_by_whom() {
        let note = signed(7);
        assert_eq!(note.checkpoint(), &checkpoint(7));
        assert_eq!(note.body(), checkpoint(7).to_string());
        assert_eq!(note.verify(&key(1).verifying_key()), Ok(()));
        assert_eq!(note.verify(&key(2).verifying_key()), Err(BadSignature::Absent));
        assert_eq!(note.verify(&key(1).verifying_key().cosigner()), Err(BadSignature::Absent));
        let other = SigningKey::from_seed("example.com/other", &[1; 32]).unwrap();
        assert_eq!(note.verify(&other.verifying_key()), Err(BadSignature::Origin));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let note = key(1).sign(&checkpoint(70_000));
        let log = key(1).verifying_key();
        for place in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let accepted = SignedCheckpoint::parse(&text).is_ok_and(|note| note.verify(&log).is_ok());
            assert!(!accepted, "{place}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let good = key(1).sign(&checkpoint(7));
        let root = base64(&[9; 32]);
        let (body, line) = good.split_once("\n\n").unwrap();
        let with = |body: &str| SignedCheckpoint::parse(&format!("{body}\n\n{line}"));
        assert!(with(body).is_ok());
        for body in [
            "",
            "log",
            "log\n7",
            &format!("\n7\n{root}"),
            &format!("log\n07\n{root}"),
            &format!("log\n+7\n{root}"),
            &format!("log\n-7\n{root}"),
            &format!("log\n\n{root}"),
            &format!("log\n18446744073709551616\n{root}"),
            &format!("log\n7\n{}", root.trim_end_matches('=')),
            &format!("log\n7\n{}", base64(&[9; 31])),
            &format!("log\n7\n{root} "),
            &format!("log\n7\n{root}\n\nextension"),
        ] {
            assert!(with(body).is_err(), "{body:?}");
        }
        for text in [
            body.to_owned(),
            format!("{body}\n\n"),
            good.trim_end().to_owned(),
            good.replace('\n', "\r\n"),
            good.replace('\u{2014}', "-"),
            format!("{good}\n"),
            format!("{good}\u{2014} name AAAAAA==\n"),
            format!("{good}\u{2014} na+me AAAAAAA=\n"),
            format!("{good}\u{2014}  AAAAAAA=\n"),
            format!("{good}\u{2014} name  AAAAAAA=\n"),
            format!("{good}\u{2014} name AAAAAAA\n"),
            format!("{good}\u{2014} name AAAAAAB=\n"),
        ] {
            assert!(SignedCheckpoint::parse(&text).is_err(), "{text:?}");
        }
        assert!(SignedCheckpoint::parse(&format!("{good}\u{2014} name AAAAAAA=\n")).is_ok());
    }

    #[test]
    fn what_is_read_is_bounded() {
        let good = key(1).sign(&checkpoint(7));
        let line = "\u{2014} name AAAAAAA=\n";
        assert!(SignedCheckpoint::parse(&format!("{good}{}", line.repeat(99))).is_ok());
        let many = format!("{good}{}", line.repeat(100));
        assert_eq!(SignedCheckpoint::parse(&many), Err(NotACheckpoint::TooLong));
        let extended = |lines: usize| good.replacen("\n\n", &format!("\n{}\n", "extension\n".repeat(lines)), 1);
        let note = SignedCheckpoint::parse(&extended(16)).unwrap();
        assert_eq!(note.extensions(), 16);
        assert_eq!(note.verify(&key(1).verifying_key()), Err(BadSignature::Wrong));
        assert_eq!(SignedCheckpoint::parse(&extended(17)), Err(NotACheckpoint::TooLong));
        let long = good.replacen("example.com/log", &"a".repeat(1_000_000), 1);
        assert_eq!(SignedCheckpoint::parse(&long), Err(NotACheckpoint::TooLong));
    }

    #[test]
    fn a_cosignature_says_when() {
        let witness = SigningKey::from_seed("witness.example/w", &[5; 32]).unwrap();
        let cosigner = witness.verifying_key().cosigner();
        let note = signed(7);
        assert_eq!(note.cosigned(&cosigner), Err(BadSignature::Absent));
        let cosigned = note.with_signature(&witness.cosign(&note, 1_700_000_000)).unwrap();
        assert_eq!(cosigned.cosigned(&cosigner), Ok(1_700_000_000));
        assert_eq!(cosigned.cosigned(&witness.verifying_key()), Err(BadSignature::Absent));
        assert_eq!(cosigned.verify(&key(1).verifying_key()), Ok(()));
        // Once, also with another time.
        assert_eq!(cosigned.with_signature(&witness.cosign(&note, 1_800_000_000)).unwrap(), cosigned);
        // Another checkpoint's cosignature is none of this one.
        let moved = signed(8).with_signature(&witness.cosign(&note, 1_700_000_000)).unwrap();
        assert_eq!(moved.cosigned(&cosigner), Err(BadSignature::Wrong));
        // Nor is the time free to choose.
        let line = witness.cosign(&note, 1_700_000_000);
        let blob = bytes(line.trim().rsplit(' ').next().unwrap()).unwrap();
        let late = [&blob[..4], &1_900_000_000_u64.to_be_bytes(), &blob[12..]].concat();
        let late = note.with_signature(&format!("\u{2014} witness.example/w {}", base64(&late))).unwrap();
        assert_eq!(late.cosigned(&cosigner), Err(BadSignature::Wrong));
        assert!(note.with_signature("\u{2014} witness.example/w AAAA").is_err());
        assert!(note.with_signature("\u{2014} w AAAAAAA=\n\u{2014} v AAAAAAA=").is_err());
    }

    #[test]
    fn a_wrong_signature_by_the_log_spoils_the_note() {
        let note = signed(7);
        let line = key(1).sign(&checkpoint(8)).lines().last().unwrap().to_owned();
        let both = SignedCheckpoint::parse(&format!("{}{line}\n", note.text())).unwrap();
        assert_eq!(both.verify(&key(1).verifying_key()), Err(BadSignature::Wrong));
    }
}
