//! Digests stand in events for what must not be read there but must be recognised.

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What is left of a value in the record: `hmac-sha256:<hex>`, or `sha256:<hex>` of one nobody can guess.
///
/// Only [`Digest::repeated`] takes the text of a digest, and nothing but the form that a digest has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// SHA-256 of a value with at least 128 bits of entropy, such as a token.
    ///
    /// Anything a reader of the record could try out (an e-mail address, an order id) needs
    /// [`DigestKey::digest`].
    pub fn of_unguessable(value: &[u8]) -> Self {
        Self(format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(value))))
    }

    /// A digest that stands in an event already, to say in another whom that was about: `hmac-sha256:` or `sha256:` and 64
    /// hexadecimal digits, in lower case.
    #[must_use]
    pub fn repeated(text: &str) -> Option<Self> {
        let (_, hex) = text.split_once(':').filter(|(by, _)| ["hmac-sha256", "sha256"].contains(by))?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Self(text.to_owned()))
    }

    /// The digest as it stands in events.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of the digests of one installation. Whoever has it can find a known value in the record.
pub struct DigestKey(Zeroizing<[u8; 32]>);

impl DigestKey {
    /// A key from 32 bytes that all roles of the installation derive alike.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// HMAC-SHA-256 (RFC 2104) of `value`.
    pub fn digest(&self, value: &[u8]) -> Digest {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        mac.update(value);
        Digest(format!("hmac-sha256:{}", HEXLOWER.encode(&mac.finalize().into_bytes())))
    }

    /// The digest of an e-mail address, whose case and surrounding space do not count.
    pub fn email(&self, address: &str) -> Digest {
        self.digest(address.trim().to_lowercase().as_bytes())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231 has no 32-byte key; HMAC pads a short key with zeroes, so its test case 2 (key `Jefe`) is one.
    #[test]
    fn keyed_digests_are_hmac_sha256() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            DigestKey::new(key).digest(b"what do ya want for nothing?").as_str(),
            "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn another_key_or_value_gives_another_digest() {
        let key = DigestKey::new([1; 32]);
        assert_ne!(key.digest(b"a"), key.digest(b"b"));
        assert_ne!(key.digest(b"a"), DigestKey::new([2; 32]).digest(b"a"));
        assert_ne!(key.digest(b"a"), Digest::of_unguessable(b"a"));
    }

    #[test]
    fn an_address_is_the_same_however_it_is_typed_and_never_shows() {
        let key = DigestKey::new([1; 32]);
        let digest = key.email(" Ann@Example.com ");
        assert_eq!(digest, key.email("ann@example.com"));
        assert!(!format!("{digest:?}").to_lowercase().contains("ann"));
    }

    #[test]
    fn only_a_digest_is_repeated() {
        for digest in [DigestKey::new([1; 32]).email("ann@example.com"), Digest::of_unguessable(b"token")] {
            assert_eq!(Digest::repeated(digest.as_str()), Some(digest));
        }
        let hex = "0".repeat(64);
        for other in ["", "ann@example.com", "sha256:", &hex, &format!("md5:{hex}"), &format!("sha256:{hex}0")] {
            assert_eq!(Digest::repeated(other), None, "{other}");
        }
        assert_eq!(Digest::repeated(&format!("sha256:{}G", &hex[1..])), None);
    }

    #[test]
    fn a_key_does_not_show() {
        assert_eq!(format!("{:?}", DigestKey::new([7; 32])), "DigestKey(redacted)");
    }
}
