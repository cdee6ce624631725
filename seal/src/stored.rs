//! The stored format: what OpenTeam keeps. Layout in `docs/formats.md`.
//!
//! Each write has a data key of its own, so that a nonce cannot repeat under one key, and commits to it, because
//! AES-GCM alone lets one ciphertext open under two keys. The data key is wrapped beside the data, so that a new
//! key-encryption key replaces the wrap and leaves the data as it is.

use hpke::rand_core::CryptoRng;
use subtle::ConstantTimeEq;

use crate::error::{OpenError, SealError};
use crate::field::{from_text, join, text_len, to_text};
use crate::id::ClusterId;
use crate::primitive::{KEY_LEN, Key, NONCE_LEN, SALT_LEN, TAG_LEN, decrypt, derive, encrypt};
use crate::secret::{MAX_SECRET_LEN, Secret, check_len};
use crate::wrap::{Kek, Wrap};

const MAGIC: &[u8; 4] = b"OTst";
/// HKDF-SHA512 with commitment, AES-256-GCM.
const SUITE: [u8; 2] = [0, 1];
// SUITE followed by the label of the key.
const DERIVE_KEY: &[u8] = b"\x00\x01DERIVEKEY";
const COMMIT_KEY: &[u8] = b"\x00\x01COMMITKEY";
const COMMITMENT_LEN: usize = KEY_LEN;
const OVERHEAD: usize = MAGIC.len() + SUITE.len() + SALT_LEN + COMMITMENT_LEN + NONCE_LEN + TAG_LEN;

/// Longest text of stored data, in characters.
pub const MAX_DATA_TEXT_LEN: usize = text_len(OVERHEAD + MAX_SECRET_LEN);

/// What a stored value belongs to, besides the cluster that the keyset names; it opens for nothing else.
///
/// No UID among it, so that a restored backup opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBinding<'a> {
    /// The object's namespace.
    pub namespace: &'a str,
    /// Its kind as the CRD spells it.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Which of the object's secrets.
    pub field: &'a str,
    /// The StoredCredential's own `spec.generation`, one more for each write, so that an older value cannot be put
    /// back under a newer number.
    pub generation: u64,
}

/// A stored value: two base64url texts. Ciphertext, not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The encrypted secret; never changes once written.
    pub data: String,
    /// The data key, encrypted under a key-encryption key; replaced when that key is.
    pub wrap: String,
}

pub(crate) fn seal(
    rng: &mut impl CryptoRng,
    kek: &Kek,
    cluster: ClusterId,
    binding: &StoredBinding<'_>,
    secret: &[u8],
) -> Result<Sealed, SealError> {
    check_len(secret)?;
    let mut data_key = Key::default();
    let mut salt = [0; SALT_LEN];
    let mut nonce = [0; NONCE_LEN];
    rng.fill_bytes(data_key.as_mut_slice());
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    let Derived { key, commitment } = Derived::from(&data_key, &salt);
    let associated_data = associated_data(&salt, &commitment, cluster, binding);

    let mut data = Vec::with_capacity(OVERHEAD + secret.len());
    data.extend_from_slice(MAGIC);
    data.extend_from_slice(&SUITE);
    data.extend_from_slice(&salt);
    data.extend_from_slice(&*commitment);
    data.extend_from_slice(&nonce);
    encrypt(&key, &nonce, &associated_data, secret, &mut data);
    Ok(Sealed { data: to_text(&data), wrap: kek.wrap(rng, &associated_data, &data_key) })
}

pub(crate) fn open(
    kek: &Kek,
    cluster: ClusterId,
    binding: &StoredBinding<'_>,
    data: &str,
    wrap: &Wrap,
) -> Result<Secret, OpenError> {
    let data = Data::parse(data)?;
    let associated_data = data.associated_data(cluster, binding);
    let (key, _) = data.keys(kek, &associated_data, wrap)?;
    let plaintext = decrypt(&key, &data.nonce, &associated_data, &data.ciphertext)?;
    check_len(&plaintext).map_err(|_| OpenError)?;
    Ok(Secret::copy_of(&plaintext))
}

/// A wrap of the same data key under `to`. Checks the commitment, so that a wrap which does not belong to the data is
/// not made to look fresh.
pub(crate) fn rewrap(
    rng: &mut impl CryptoRng,
    from: &Kek,
    to: &Kek,
    cluster: ClusterId,
    binding: &StoredBinding<'_>,
    data: &str,
    wrap: &Wrap,
) -> Result<String, OpenError> {
    let data = Data::parse(data)?;
    let associated_data = data.associated_data(cluster, binding);
    let (_, data_key) = data.keys(from, &associated_data, wrap)?;
    Ok(to.wrap(rng, &associated_data, &data_key))
}

/// What one data key and salt give.
struct Derived {
    /// Encrypts one secret, once.
    key: Key,
    /// Shows that the data key is the one the data was written with. Not secret.
    commitment: Key,
}

impl Derived {
    fn from(data_key: &Key, salt: &[u8; SALT_LEN]) -> Self {
        let [key, commitment] = derive(salt, data_key.as_slice(), [DERIVE_KEY, COMMIT_KEY]);
        Self { key, commitment }
    }
}

fn associated_data(
    salt: &[u8; SALT_LEN],
    commitment: &[u8; COMMITMENT_LEN],
    cluster: ClusterId,
    binding: &StoredBinding<'_>,
) -> Vec<u8> {
    join(&[
        MAGIC,
        &SUITE,
        salt,
        commitment,
        &cluster.0,
        binding.namespace.as_bytes(),
        binding.kind.as_bytes(),
        binding.name.as_bytes(),
        binding.field.as_bytes(),
        &binding.generation.to_be_bytes(),
    ])
}

/// The data's text, cut at its boundaries.
struct Data {
    salt: [u8; SALT_LEN],
    commitment: [u8; COMMITMENT_LEN],
    nonce: [u8; NONCE_LEN],
    ciphertext: Vec<u8>,
}

impl Data {
    fn parse(text: &str) -> Result<Self, OpenError> {
        let bytes = from_text(text, MAX_DATA_TEXT_LEN)?;
        let rest = bytes.strip_prefix(MAGIC).ok_or(OpenError)?;
        let rest = rest.strip_prefix(&SUITE).ok_or(OpenError)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let (commitment, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(OpenError)?;
        Ok(Self { salt: *salt, commitment: *commitment, nonce: *nonce, ciphertext: ciphertext.to_vec() })
    }

    fn associated_data(&self, cluster: ClusterId, binding: &StoredBinding<'_>) -> Vec<u8> {
        associated_data(&self.salt, &self.commitment, cluster, binding)
    }

    /// The one-use key and the data key, once the commitment holds.
    fn keys(&self, kek: &Kek, associated_data: &[u8], wrap: &Wrap) -> Result<(Key, Key), OpenError> {
        let data_key = kek.open(associated_data, wrap)?;
        let Derived { key, commitment } = Derived::from(&data_key, &self.salt);
        if bool::from(commitment.ct_eq(&self.commitment)) { Ok((key, data_key)) } else { Err(OpenError) }
    }
}
