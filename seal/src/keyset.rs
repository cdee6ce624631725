//! The file keyset: the key-encryption keys (KEK) of one cluster, by default in a Secret of the system namespace.

use std::collections::HashSet;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use getrandom::SysRng;
use hpke::rand_core::{CryptoRng, UnwrapErr};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{OpenError, SealError};
use crate::id::{ClusterId, HexId, KeyId};
use crate::primitive::{KEY_LEN, Key};
use crate::secret::Secret;
use crate::stored::{self, Sealed, StoredBinding};
use crate::wrap::{Kek, Wrap};

/// Every KEK that still opens something, the active one that seals, and the cluster they belong to.
pub struct Keyset {
    cluster_id: ClusterId,
    active: usize,
    keys: Vec<Entry>,
}

struct Entry {
    kek: Kek,
    created_at_ms: u64,
}

/// A text is not a keyset. No message shows key bytes; JSON errors are reduced to a position, because serde's quote
/// what they met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysetError {
    /// Not JSON, or a field missing, unknown or of another type.
    #[error("keyset is not the expected JSON document: line {line}, column {column}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// `clusterId` is not 32 lower-case hex digits.
    #[error("keyset's clusterId is not 32 lower-case hex digits")]
    ClusterId,
    /// A key's `id` is not 16 lower-case hex digits.
    #[error("id of key {number} of the keyset is not 16 lower-case hex digits")]
    KeyId {
        /// Its place in `keys`, from 1.
        number: usize,
    },
    /// A key's `secret` is not 32 bytes in base64url without padding.
    #[error("secret of keyset key {id} is not 32 bytes in base64url without padding")]
    KeySecret {
        /// The key.
        id: KeyId,
    },
    /// A key's `id` is not the one its secret gives: one of them was changed or mixed up.
    #[error("secret of keyset key {id} belongs to another id")]
    KeyMixedUp {
        /// The key.
        id: KeyId,
    },
    /// Two keys have one id.
    #[error("keyset key {id} appears twice")]
    KeyTwice {
        /// The key.
        id: KeyId,
    },
    /// `active` names none of the keys.
    #[error("keyset's active key is not among its keys")]
    ActiveMissing,
}

/// The document. Borrowed, so that parsing copies no secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document<'a> {
    cluster_id: &'a str,
    active: &'a str,
    #[serde(borrow)]
    keys: Vec<DocumentKey<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DocumentKey<'a> {
    id: &'a str,
    /// Unix milliseconds.
    created_at: u64,
    secret: &'a str,
}

impl Keyset {
    /// A new cluster id and one key, active, made at `now_ms` (Unix milliseconds).
    #[must_use]
    pub fn generate(now_ms: u64) -> Self {
        Self::generate_with(&mut UnwrapErr(SysRng), now_ms)
    }

    pub(crate) fn generate_with(rng: &mut impl CryptoRng, now_ms: u64) -> Self {
        let mut cluster_id = [0; 16];
        let mut secret = Key::default();
        rng.fill_bytes(&mut cluster_id);
        rng.fill_bytes(secret.as_mut_slice());
        Self {
            cluster_id: HexId(cluster_id),
            active: 0,
            keys: vec![Entry { kek: Kek::new(secret), created_at_ms: now_ms }],
        }
    }

    /// Reads the JSON document of `docs/formats.md`.
    ///
    /// # Errors
    /// Names the first thing that is wrong, never showing key bytes.
    pub fn parse(json: &str) -> Result<Self, KeysetError> {
        let document: Document<'_> = serde_json::from_str(json)
            .map_err(|error| KeysetError::Malformed { line: error.line(), column: error.column() })?;
        let cluster_id = document.cluster_id.parse().map_err(|_| KeysetError::ClusterId)?;
        let mut seen = HashSet::new();
        let mut keys = Vec::with_capacity(document.keys.len());
        for (index, key) in document.keys.iter().enumerate() {
            let id = key.id.parse().map_err(|_| KeysetError::KeyId { number: index + 1 })?;
            let kek = Kek::new(decode_secret(key.secret).ok_or(KeysetError::KeySecret { id })?);
            if kek.id != id {
                return Err(KeysetError::KeyMixedUp { id });
            }
            if !seen.insert(id) {
                return Err(KeysetError::KeyTwice { id });
            }
            keys.push(Entry { kek, created_at_ms: key.created_at });
        }
        let active =
            document.keys.iter().position(|key| key.id == document.active).ok_or(KeysetError::ActiveMissing)?;
        Ok(Self { cluster_id, active, keys })
    }

    /// The document that [`Keyset::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> SecretString {
        let ids: Vec<String> = self.keys.iter().map(|entry| entry.kek.id.to_string()).collect();
        let secrets: Vec<Zeroizing<String>> =
            self.keys.iter().map(|entry| Zeroizing::new(BASE64URL_NOPAD.encode(entry.kek.secret.as_slice()))).collect();
        let document = Document {
            cluster_id: &self.cluster_id.to_string(),
            active: &ids[self.active],
            keys: (self.keys.iter().zip(&ids).zip(&secrets))
                .map(|((entry, id), secret)| DocumentKey { id, created_at: entry.created_at_ms, secret })
                .collect(),
        };
        // Room for all of it, so that it does not grow and leave secrets in freed memory.
        let mut json = Zeroizing::new(Vec::with_capacity(128 + 160 * self.keys.len()));
        serde_json::to_writer(&mut *json, &document).expect("texts and numbers become JSON in memory");
        SecretString::from(std::str::from_utf8(&json).expect("JSON is UTF-8"))
    }

    /// The cluster that everything sealed here is bound to.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The key that seals.
    #[must_use]
    pub fn active_id(&self) -> KeyId {
        self.active().id
    }

    /// Whether it has a key.
    #[must_use]
    pub fn has(&self, id: KeyId) -> bool {
        self.key(id).is_some()
    }

    /// Seals `secret` (1 to [`crate::MAX_SECRET_LEN`] bytes) under a fresh data key, wrapped by the active key.
    ///
    /// # Errors
    /// When the secret is empty or too long.
    pub fn seal(&self, binding: &StoredBinding<'_>, secret: &[u8]) -> Result<Sealed, SealError> {
        self.seal_with(&mut UnwrapErr(SysRng), binding, secret)
    }

    pub(crate) fn seal_with(
        &self,
        rng: &mut impl CryptoRng,
        binding: &StoredBinding<'_>,
        secret: &[u8],
    ) -> Result<Sealed, SealError> {
        stored::seal(rng, self.active(), self.cluster_id, binding, secret)
    }

    /// Opens with the key that the wrap names; the others are not tried.
    ///
    /// # Errors
    /// One error for everything: not a sealed value, its key not in the keyset, sealed for another cluster, object,
    /// field or generation, changed.
    pub fn open(&self, binding: &StoredBinding<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        let wrap = Wrap::parse(&sealed.wrap)?;
        stored::open(self.key(wrap.key_id).ok_or(OpenError)?, self.cluster_id, binding, &sealed.data, &wrap)
    }

    /// A new wrap of the same data key under the active key, to replace `sealed.wrap`. The data stays as it is and is
    /// not decrypted.
    ///
    /// # Errors
    /// As [`Keyset::open`], except that a change inside the data's ciphertext goes unnoticed until it is opened.
    pub fn rewrap(&self, binding: &StoredBinding<'_>, sealed: &Sealed) -> Result<String, OpenError> {
        let wrap = Wrap::parse(&sealed.wrap)?;
        let from = self.key(wrap.key_id).ok_or(OpenError)?;
        stored::rewrap(&mut UnwrapErr(SysRng), from, self.active(), self.cluster_id, binding, &sealed.data, &wrap)
    }

    /// A 256-bit subkey for `label`, the same in every process that has this keyset; `None` when the key is not in it.
    ///
    /// A label must be the caller's own, and names one purpose, such as `openteam.dev/audit-digest/v1`. No label gives a
    /// key that wraps. One subkey under AES-GCM with random nonces is good for 2³² messages (NIST SP 800-38D §8.3), all
    /// processes together: who may come near puts something changing, like the day, into the label.
    #[must_use]
    pub fn derive(&self, label: &str, id: KeyId) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        self.key(id).map(|kek| kek.derive(&self.cluster_id.0, label))
    }

    fn active(&self) -> &Kek {
        &self.keys[self.active].kek
    }

    fn key(&self, id: KeyId) -> Option<&Kek> {
        self.keys.iter().map(|entry| &entry.kek).find(|kek| kek.id == id)
    }
}

impl fmt::Debug for Keyset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyset(cluster {}, active {}, [REDACTED])", self.cluster_id, self.active_id())
    }
}

fn decode_secret(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
    let mut secret = Key::default();
    (bytes.len() == KEY_LEN).then(|| secret.copy_from_slice(&bytes))?;
    Some(secret)
}
