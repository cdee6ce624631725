//! The key pair of the input format: X-Wing (X25519 + ML-KEM-768), HPKE KEM id 0x647a.

use std::fmt;
use std::str::FromStr;

use getrandom::SysRng;
use hpke::rand_core::{CryptoRng, UnwrapErr};
use hpke::{Deserializable, Kem, Serializable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::field::{from_text, text_len, to_text};
use crate::id::{HexId, KeyId};

/// The key-encapsulation mechanism.
pub(crate) type XWing = hpke::kem::XWing;

const PUBLIC_KEY_LEN: usize = 1216;
const PRIVATE_KEY_LEN: usize = 32;

/// Seals inputs. Public: stands in ConfigMap `openteam-sealing-keys` as `<key id>: <text>`.
///
/// The text is the 1216 bytes of the X-Wing public key in base64url without padding, 1622 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    pub(crate) key: <XWing as Kem>::PublicKey,
}

/// A text is not a public sealing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Wrong length, alphabet or ML-KEM coefficients.
    #[error("public sealing key is not an X-Wing public key in base64url")]
    Malformed,
    /// The ConfigMap's entry name is another key's.
    #[error("public sealing key stands under id {listed}, its own is {actual}")]
    ListedUnderAnotherId {
        /// The entry's name.
        listed: String,
        /// The id that the key's bytes give.
        actual: KeyId,
    },
}

impl PublicKey {
    fn new(key: <XWing as Kem>::PublicKey) -> Self {
        // Half a SHA-256 would be no safer: the id only picks a key, and a wrong pick does not open.
        let digest = Sha256::digest(key.to_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self { id: HexId(id), key }
    }

    /// Reads one entry of ConfigMap `openteam-sealing-keys`.
    ///
    /// # Errors
    /// When the text is no key, or another one than the entry says.
    pub fn from_entry(id: &str, text: &str) -> Result<Self, PublicKeyError> {
        let key: Self = text.parse()?;
        if key.id.to_string() == id {
            Ok(key)
        } else {
            Err(PublicKeyError::ListedUnderAnotherId { listed: id.to_owned(), actual: key.id })
        }
    }

    /// The first 8 bytes of the SHA-256 of the public key's 1216 bytes.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let bytes = from_text(text, text_len(PUBLIC_KEY_LEN)).map_err(|_| PublicKeyError::Malformed)?;
        <XWing as Kem>::PublicKey::from_bytes(&bytes).map(Self::new).map_err(|_| PublicKeyError::Malformed)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_text(&self.key.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// Opens inputs. Wiped on drop, redacted in `Debug`, not cloneable.
pub struct PrivateKey {
    public: PublicKey,
    pub(crate) key: <XWing as Kem>::PrivateKey,
}

/// Bytes are not a private sealing key: there must be 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("private sealing key is not {PRIVATE_KEY_LEN} bytes")]
pub struct PrivateKeyError;

impl PrivateKey {
    /// A new one, from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::generate_with(&mut UnwrapErr(SysRng))
    }

    pub(crate) fn generate_with(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; PRIVATE_KEY_LEN]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_bytes(seed.as_slice()).expect("the seed has the length of a private key")
    }

    /// The 32-byte X-Wing seed, to be stored sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; PRIVATE_KEY_LEN]> {
        let mut bytes = Zeroizing::new([0; PRIVATE_KEY_LEN]);
        self.key.write_exact(bytes.as_mut_slice());
        bytes
    }

    /// What [`PrivateKey::to_bytes`] gave.
    ///
    /// # Errors
    /// When there are not 32 bytes; any 32 are a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PrivateKeyError> {
        let key = <XWing as Kem>::PrivateKey::from_bytes(bytes).map_err(|_| PrivateKeyError)?;
        Ok(Self { public: PublicKey::new(XWing::sk_to_pk(&key)), key })
    }

    /// The half that seals.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its public key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public.id
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, [REDACTED])", self.public.id)
    }
}
