//! What a stored bundle is called.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::manifest::{Manifest, is_digest};

/// `INCIDENT_UID_SEQUENCE_DIGEST.tar`: whose bundle, which one, and the digest of its manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleName {
    /// The Incident's name.
    pub incident: String,
    /// Its UID.
    pub uid: String,
    /// Which bundle, from 1.
    pub sequence: u32,
    /// The digest of its manifest.
    pub digest: String,
}

impl BundleName {
    /// That of the bundle with this manifest and the manifest's digest.
    #[must_use]
    pub fn of(manifest: &Manifest, digest: &str) -> Self {
        Self {
            incident: manifest.incident.name.clone(),
            uid: manifest.incident.uid.clone(),
            sequence: manifest.sequence,
            digest: digest.to_owned(),
        }
    }

    /// Whether there may be one of both only.
    #[must_use]
    pub fn is_of_the_same_sequence(&self, other: &Self) -> bool {
        (&self.incident, &self.uid, self.sequence) == (&other.incident, &other.uid, other.sequence)
    }
}

impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{:06}_{}.tar", self.incident, self.uid, self.sequence, self.digest)
    }
}

/// A text that is no name of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the name of a bundle: INCIDENT_UID_SEQUENCE_DIGEST.tar")]
pub struct NotABundleName;

impl FromStr for BundleName {
    type Err = NotABundleName;

    fn from_str(text: &str) -> Result<Self, NotABundleName> {
        let parts: Vec<&str> = text.strip_suffix(".tar").ok_or(NotABundleName)?.split('_').collect();
        let [incident, uid, sequence, digest] = parts[..] else { return Err(NotABundleName) };
        let plain = |text: &str, most: usize| {
            (1..=most).contains(&text.len())
                && !text.starts_with(['.', '-'])
                && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        };
        let name = Self {
            incident: incident.to_owned(),
            uid: uid.to_owned(),
            sequence: sequence.parse().map_err(|_| NotABundleName)?,
            digest: digest.to_owned(),
        };
        // One spelling: what it is written as again.
        let fits = plain(incident, 63) && plain(uid, 36) && name.sequence > 0 && is_digest(digest);
        if fits && name.to_string() == text { Ok(name) } else { Err(NotABundleName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_and_leads_to_no_other_directory() {
        let digest = "a".repeat(64);
        let good = format!("inc-7_0b1c_000012_{digest}.tar");
        let name: BundleName = good.parse().unwrap();
        assert_eq!((name.incident.as_str(), name.sequence, name.to_string()), ("inc-7", 12, good.clone()));
        for text in [
            String::new(),
            good.replace(".tar", ""),
            good.replace("000012", "12"),
            good.replace("000012", "000000"),
            good.replace("000012", "+00012"),
            good.replace("inc-7", "../inc-7"),
            good.replace("inc-7", ".inc-7"),
            good.replace("inc-7", "inc_7"),
            good.replace("inc-7", ""),
            good.replace("0b1c", "0b/1c"),
            good.replace(&digest, &"A".repeat(64)),
            good.replace(&digest, &"a".repeat(63)),
            good.replace("inc-7", &"n".repeat(64)),
        ] {
            assert_eq!(text.parse::<BundleName>(), Err(NotABundleName), "{text}");
        }
    }
}
