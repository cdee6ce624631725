//! The text of a RuntimeToken: `otrt_NAMESPACE_NAME_<43 base64url>_<6 checksum>`.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crds::{NamespacedReference, is_name};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Caller, index::Index};

const PREFIX: &str = "otrt_";
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;

/// Why a text is no RuntimeToken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenTextError {
    /// Not the form of a RuntimeToken.
    #[error("not the text of a RuntimeToken")]
    Malformed,
    /// The form is right, a character was lost or changed on the way.
    #[error("the token's checksum is wrong: a character was lost or changed when it was copied")]
    Checksum,
}

/// A RuntimeToken's text, well formed. Shown once, when it is issued; never in `Debug`.
#[derive(Debug)]
pub struct RuntimeTokenText {
    object: NamespacedReference,
    text: SecretString,
}

impl RuntimeTokenText {
    /// The text for an object, from 32 random bytes. Neither name may hold `_`; Kubernetes names never do.
    #[must_use]
    pub fn new(object: &NamespacedReference, random: &[u8; 32]) -> Self {
        let body = format!("{PREFIX}{}_{}_{}", object.namespace, object.name, BASE64_URL_SAFE_NO_PAD.encode(random));
        let text = format!("{body}_{}", checksum(&body)).into();
        Self { object: object.clone(), text }
    }

    /// Reads a text and checks its checksum, which tells a slip of the hand from a wrong token before any look-up.
    ///
    /// # Errors
    /// [`TokenTextError`]; it never repeats the text.
    pub fn parse(text: &str) -> Result<Self, TokenTextError> {
        let malformed = TokenTextError::Malformed;
        // The random part may hold `_`, names cannot: cut from the left.
        let mut parts = text.strip_prefix(PREFIX).ok_or(malformed)?.splitn(3, '_');
        let (Some(namespace), Some(name), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TokenTextError::Malformed);
        };
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !is_name(namespace)
            || !is_name(name)
            || rest.len() != RANDOM + 1 + CHECKSUM
            || !rest.bytes().all(word)
            || rest.as_bytes()[RANDOM] != b'_'
        {
            return Err(TokenTextError::Malformed);
        }
        let (body, sum) = text.split_at(text.len() - CHECKSUM);
        if checksum(&body[..body.len() - 1]) != sum {
            return Err(TokenTextError::Checksum);
        }
        let object = NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() };
        Ok(Self { object, text: text.to_owned().into() })
    }

    /// The RuntimeToken object it names.
    #[must_use]
    pub const fn object(&self) -> &NamespacedReference {
        &self.object
    }

    /// The text itself.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.text
    }
}

/// Whether a credential claims to be a RuntimeToken's text.
#[must_use]
pub fn looks_like_runtime_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// SHA-256 of a whole text, lower-case hexadecimal: what `spec.hash` holds.
#[must_use]
pub fn hash(text: &RuntimeTokenText) -> String {
    HEXLOWER.encode(&Sha256::digest(text.text.expose_secret().as_bytes()))
}

/// The caller behind a text, where the object exists and its hash is the text's. Whether the token is still good is
/// for [`crate::decide`] to say, so that a holder learns why it is not.
#[must_use]
pub fn authenticate(index: &Index, text: &RuntimeTokenText) -> Option<Caller> {
    let token = index.runtime_tokens.get(&text.object)?.read()?;
    let same: bool = hash(text).as_bytes().ct_eq(token.spec.hash.as_bytes()).into();
    same.then(|| Caller::RuntimeToken(text.object.clone()))
}

/// 30 bits of CRC-32 (IEEE 802.3) in six letters of RFC 4648 base32, lower case.
fn checksum(body: &str) -> String {
    let sum = crc32fast::hash(body.as_bytes()) << 2;
    BASE32_NOPAD.encode(&sum.to_be_bytes())[..CHECKSUM].to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::named;

    fn text() -> String {
        RuntimeTokenText::new(&named("acme", "nightly"), &[7; 32]).secret().expose_secret().to_owned()
    }

    #[test]
    fn a_text_names_its_object_and_reads_back() {
        for random in [[0_u8; 32], [0xff; 32], [7; 32]] {
            let made = RuntimeTokenText::new(&named("acme", "nightly.job"), &random);
            let read = RuntimeTokenText::parse(made.secret().expose_secret()).unwrap();
            assert_eq!(read.object(), &named("acme", "nightly.job"));
            assert_eq!(hash(&read), hash(&made));
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = text();
        for at in 0..text.len() {
            for other in ["a", "Z", "_", "-", "0", " "] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                if changed != text {
                    assert!(RuntimeTokenText::parse(&changed).is_err(), "{changed}");
                }
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = text();
        for wrong in [
            "",
            "otrt_",
            "otrt_a_b_c",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}a"),
            &format!(" {text}"),
            &text.to_uppercase(),
            "otrt_é_nightly_x",
            &text.replace("acme", ""),
            &text.replace("acme", "a/b"),
        ] {
            assert!(RuntimeTokenText::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let made = RuntimeTokenText::new(&named("acme", "nightly"), &[7; 32]);
        let debug = format!("{made:?}");
        assert!(!debug.contains(&made.secret().expose_secret()[20..40]), "{debug}");
    }
}
