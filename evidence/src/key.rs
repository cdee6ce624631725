//! The keys that bundles are signed with: Ed25519 (RFC 8032), public halves as PEM (RFC 8410).

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::manifest::digest;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// A SubjectPublicKeyInfo of Ed25519 up to its 32 bytes (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A text that holds no Ed25519 public key, or bytes that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no Ed25519 public key (PEM, \"{BEGIN}\")")]
pub struct NotAKey;

/// What signs bundles, and nothing else.
pub struct PrivateKey(Ed25519KeyPair);

impl PrivateKey {
    /// The key of this seed. Any 32 bytes are one; whoever has them signs.
    ///
    /// # Errors
    /// [`NotAKey`] for another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self, NotAKey> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| NotAKey)
    }

    /// Its public half.
    #[must_use]
    #[expect(clippy::expect_used, reason = "an Ed25519 public key has 32 bytes")]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("32 bytes"))
    }

    /// Signs a manifest.
    #[must_use]
    pub fn sign(&self, manifest: &[u8]) -> Signature {
        Signature { public_key: self.public().to_pem(), signature: BASE64_STANDARD.encode(self.0.sign(manifest)) }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

/// What a signature is checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Its id: the SHA-256 of its 32 bytes, 64 lower-case hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        digest(&self.0)
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&SPKI[..], &self.0].concat();
        format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode(der))
    }

    /// Every key in a text that may hold other things too: a PEM file, or a ConfigMap as YAML or JSON.
    ///
    /// # Errors
    /// [`NotAKey`] where there is none, or where one of them is of another kind.
    pub fn all_in(text: &str) -> Result<Vec<Self>, NotAKey> {
        // JSON writes line ends as two characters.
        let text = text.replace("\\n", "\n");
        let mut keys = Vec::new();
        for part in text.split(BEGIN).skip(1) {
            let (body, _) = part.split_once(END).ok_or(NotAKey)?;
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = BASE64_STANDARD.decode(body).map_err(|_| NotAKey)?;
            let key = der.strip_prefix(&SPKI[..]).ok_or(NotAKey)?;
            keys.push(Self(key.try_into().map_err(|_| NotAKey)?));
        }
        if keys.is_empty() { Err(NotAKey) } else { Ok(keys) }
    }

    /// Whether this key's owner signed the manifest.
    #[must_use]
    pub fn has_signed(&self, manifest: &[u8], signature: &Signature) -> bool {
        let Ok(bytes) = BASE64_STANDARD.decode(&signature.signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(manifest, &bytes).is_ok()
    }
}

/// What `manifest.sig` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// The signer's public key, PEM. It proves nothing unless it is known from elsewhere.
    pub public_key: String,
    /// The signature of the bytes of `manifest.json`, base64.
    pub signature: String,
}

impl Signature {
    /// The key it names.
    ///
    /// # Errors
    /// [`NotAKey`] where it names none, or several.
    pub fn key(&self) -> Result<PublicKey, NotAKey> {
        match &PublicKey::all_in(&self.public_key)?[..] {
            // In one spelling, so that no byte of a bundle can be changed unseen.
            [only] if only.to_pem() == self.public_key => Ok(only.clone()),
            _ => Err(NotAKey),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32]).unwrap()
    }

    /// RFC 8032 §7.1, test 1.
    #[test]
    fn it_is_ed25519() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = PrivateKey::from_seed(&data_encoding::HEXLOWER.decode(seed.as_bytes()).unwrap()).unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(data_encoding::HEXLOWER.encode(&key.public().0), public);
        let signature = BASE64_STANDARD.decode(key.sign(b"").signature).unwrap();
        assert!(data_encoding::HEXLOWER.encode(&signature).starts_with("e5564300c360ac729086e2cc806e828a"));
    }

    #[test]
    fn keys_are_found_in_pem_and_in_what_kubectl_prints() {
        let (one, two) = (key(1).public(), key(2).public());
        assert_eq!(PublicKey::all_in(&one.to_pem()), Ok(vec![one.clone()]));
        let indented = |key: &PublicKey| key.to_pem().replace('\n', "\n    ");
        let yaml = format!("data:\n  a.pem: |\n    {}\n  b.pem: |\n    {}", indented(&one), indented(&two));
        assert_eq!(PublicKey::all_in(&yaml), Ok(vec![one.clone(), two]));
        let json = serde_json::json!({ "data": { "a.pem": one.to_pem() } }).to_string();
        assert_eq!(PublicKey::all_in(&json), Ok(vec![one]));
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let pem = key(1).public().to_pem();
        for text in [
            String::new(),
            "key".to_owned(),
            pem.replace("MCow", "MCox"),
            pem.replace("-----END", "----END"),
            pem.replace("=\n", "\n"),
            format!("{BEGIN}\n{}\n{END}", BASE64_STANDARD.encode([&SPKI[..], &[1; 31]].concat())),
        ] {
            assert_eq!(PublicKey::all_in(&text), Err(NotAKey), "{text}");
        }
        assert!(PrivateKey::from_seed(&[1; 31]).is_err());
    }

    #[test]
    fn only_the_signer_of_these_very_bytes_has_signed() {
        let signature = key(1).sign(b"manifest");
        assert!(key(1).public().has_signed(b"manifest", &signature));
        assert!(!key(1).public().has_signed(b"manifests", &signature));
        assert!(!key(2).public().has_signed(b"manifest", &signature));
        let cut = Signature { signature: signature.signature[..40].to_owned(), ..signature };
        assert!(!key(1).public().has_signed(b"manifest", &cut));
        assert_eq!(cut.key(), Ok(key(1).public()));
        assert!(!format!("{:?}", key(1)).contains("0101"), "a private key is not shown");
    }
}
