//! What a recorder says of the logs it keeps: their names, and what happens to them (OCSF 6002, Application Lifecycle).

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use super::{
    EventName, Name, Origin,
    ocsf::{Body, Shape, Unmapped, millis},
    process::LifecycleBody,
};

/// The longest origin, in bytes.
const LONGEST_ORIGIN: usize = 255;

/// The longest checkpoint with its signatures, in bytes.
const LONGEST_CHECKPOINT: usize = 4096;

/// The origin of a tiled log (C2SP tlog-checkpoint): names joined by `/`, 4 at most, such as
/// `audit.8f2c/recorder-0/2026q4-e1`. Each is a [`Name`], so no secret is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LogOrigin(String);

impl LogOrigin {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogOrigin {
    type Err = NotALog;

    fn from_str(text: &str) -> Result<Self, NotALog> {
        let fits = text.len() <= LONGEST_ORIGIN
            && text.split('/').count() <= 4
            && text.split('/').all(|part| Name::parse(part).is_ok());
        if fits { Ok(Self(text.to_owned())) } else { Err(NotALog::Origin) }
    }
}

/// A signed checkpoint, as text: origin, size and root, an empty line, one line a signature (C2SP tlog-checkpoint and
/// signed-note), 4 KiB at most. Everything in it is a name, a number or base64 of a fixed length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointNote(String);

impl CheckpointNote {
    /// The note as text, with its last line end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckpointNote {
    type Err = NotALog;

    fn from_str(text: &str) -> Result<Self, NotALog> {
        if text.len() <= LONGEST_CHECKPOINT && is_checkpoint(text) == Some(true) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotALog::Checkpoint)
        }
    }
}

fn is_checkpoint(text: &str) -> Option<bool> {
    let (head, signatures) = text.strip_suffix('\n')?.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let number: u64 = size.parse().ok()?;
    let is_right = lines.next().is_none()
        && origin.parse::<LogOrigin>().is_ok()
        && number.to_string() == size
        && BASE64.decode(root.as_bytes()).ok()?.len() == 32;
    // A key id of 4 bytes; then 64 of an Ed25519 signature, 8 of a time before them in a cosignature.
    let is_signature = |line: &str| {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        name.parse::<LogOrigin>().ok()?;
        Some(matches!(BASE64.decode(signature.as_bytes()).ok()?.len(), 68 | 76))
    };
    Some(is_right && signatures.split('\n').all(|line| is_signature(line) == Some(true)))
}

/// A text that is not of the form asked for. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotALog {
    /// No [`LogOrigin`].
    #[error("text is not the origin of a log")]
    Origin,
    /// No [`CheckpointNote`].
    #[error("text is not a signed checkpoint")]
    Checkpoint,
}

/// What happens to a recorder's log. Its own first and last events tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogChange {
    /// It begins.
    Opened {
        /// The log.
        origin: LogOrigin,
        /// The last checkpoint of the log before it, which ties the two together.
        previous: Option<CheckpointNote>,
    },
    /// It ends: another one takes over.
    Closed {
        /// The log.
        origin: LogOrigin,
    },
    /// It is about to be deleted, whole.
    Deleted {
        /// The log.
        origin: LogOrigin,
        /// The time of its first event.
        from: Timestamp,
        /// The time of its last.
        to: Timestamp,
    },
}

impl LogChange {
    pub(super) fn shape(&self) -> Shape<'static> {
        Shape::of(match self {
            Self::Opened { .. } => EventName::LogOpened,
            Self::Closed { .. } => EventName::LogClosed,
            Self::Deleted { .. } => EventName::LogDeleted,
        })
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let none = Unmapped::default;
        let more = match self {
            Self::Opened { origin, previous } => {
                Unmapped { log: Some(origin), previous_checkpoint: previous.as_ref(), ..none() }
            }
            Self::Closed { origin } => Unmapped { log: Some(origin), ..none() },
            Self::Deleted { origin, from, to } => {
                Unmapped { log: Some(origin), from: Some(millis(*from)), to: Some(millis(*to)), ..none() }
            }
        };
        (Body::Lifecycle(LifecycleBody::of(origin)), more)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::event) const ORIGIN: &str = "audit.8f2c/recorder-0/2026q4-e1";

    pub(in crate::event) fn note(signatures: usize) -> String {
        let signature = BASE64.encode(&[7; 68]);
        let line = format!("\u{2014} {ORIGIN} {signature}\n");
        format!("{ORIGIN}\n70000\n{}\n\n{}", BASE64.encode(&[9; 32]), line.repeat(signatures))
    }

    #[test]
    fn only_names_make_an_origin() {
        for good in [ORIGIN, "audit.8f2c/recorder-0/2026q4", "example.com"] {
            assert_eq!(good.parse::<LogOrigin>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "a//b", "a/b/c/d/e", "A/b", "a b", "a+b", "a\n", "someone@example.com", &"a".repeat(256)] {
            assert_eq!(bad.parse::<LogOrigin>(), Err(NotALog::Origin), "{bad:?}");
        }
    }

    #[test]
    fn only_a_signed_checkpoint_is_taken_for_one() {
        let good = note(2);
        assert_eq!(good.parse::<CheckpointNote>().unwrap().as_str(), good);
        for bad in [
            String::new(),
            note(0),
            note(40),
            good.trim_end().to_owned(),
            good.replace("70000", "070000"),
            good.replace("70000", "many"),
            good.replacen("\n\n", "\nan extension\n\n", 1),
            good.replacen("\n\n", "\n", 1),
            good.replace('\u{2014}', "-"),
            format!("{good}Atzr\n"),
            good.replacen(ORIGIN, "someone@example.com", 1),
            good.replace(&BASE64.encode(&[7; 68]), &BASE64.encode(&[7; 67])),
        ] {
            assert_eq!(bad.parse::<CheckpointNote>(), Err(NotALog::Checkpoint), "{bad:?}");
        }
    }
}
