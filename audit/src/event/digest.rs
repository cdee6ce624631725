//! Digests stand in events for what must not be read there but must be recognised.

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What is left of a value in the record: `hmac-sha256:<hex>`, or `sha256:<hex>` of one nobody can guess.
///
/// There is no constructor that takes the text of a digest, so nothing else can be passed off as one.
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
    fn a_key_does_not_show() {
        assert_eq!(format!("{:?}", DigestKey::new([7; 32])), "DigestKey(redacted)");
    }
}
