//! Wrapping a data key under a key-encryption key (KEK) of the file keyset. Layout in `docs/formats.md`.

use hpke::rand_core::CryptoRng;

use crate::error::OpenError;
use crate::field::{from_text, join, text_len, to_text};
use crate::id::{HexId, KeyId};
use crate::primitive::{KEY_LEN, Key, NONCE_LEN, SALT_LEN, TAG_LEN, decrypt, derive, encrypt};

/// The fifth byte is the version, the sixth the provider: 1, the file keyset. Another provider brings its own layout
/// after the sixth byte.
const MAGIC_VERSION_PROVIDER: &[u8; 6] = b"OTwr\x01\x01";
const WRAPPED_LEN: usize = KEY_LEN + TAG_LEN;
const WRAP_LEN: usize = MAGIC_VERSION_PROVIDER.len() + size_of::<KeyId>() + SALT_LEN + NONCE_LEN + WRAPPED_LEN;

/// Length of a wrap's text, in characters.
pub const WRAP_TEXT_LEN: usize = text_len(WRAP_LEN);

// Every use of a KEK has its own label, so that no two ever give the same subkey.
const ID_LABEL: &[u8] = b"openteam.dev/kek-id/v1";
const WRAP_LABEL: &[u8] = b"openteam.dev/kek-wrap/v1";
const DERIVE_LABEL: &[u8] = b"openteam.dev/kek-derive/v1";

/// A key-encryption key. Never encrypts itself: each wrap and each label gets a subkey.
pub(crate) struct Kek {
    pub(crate) id: KeyId,
    pub(crate) secret: Key,
}

impl Kek {
    pub(crate) fn new(secret: Key) -> Self {
        let [derived] = derive(b"", secret.as_slice(), [&join(&[ID_LABEL])]);
        let mut id = [0; 8];
        id.copy_from_slice(&derived[..8]);
        Self { id: HexId(id), secret }
    }

    /// A subkey for `label`; `salt` keeps clusters apart that were given the same KEK.
    pub(crate) fn derive(&self, salt: &[u8], label: &str) -> Key {
        let [key] = derive(salt, self.secret.as_slice(), [&join(&[DERIVE_LABEL, label.as_bytes()])]);
        key
    }

    pub(crate) fn wrap(&self, rng: &mut impl CryptoRng, data_associated_data: &[u8], data_key: &Key) -> String {
        let mut salt = [0; SALT_LEN];
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);

        let mut wrap = Vec::with_capacity(WRAP_LEN);
        wrap.extend_from_slice(MAGIC_VERSION_PROVIDER);
        wrap.extend_from_slice(&self.id.0);
        wrap.extend_from_slice(&salt);
        wrap.extend_from_slice(&nonce);
        encrypt(
            &self.subkey(&salt),
            &nonce,
            &self.associated_data(data_associated_data),
            data_key.as_slice(),
            &mut wrap,
        );
        to_text(&wrap)
    }

    /// For a wrap that names this key; any other does not open.
    pub(crate) fn open(&self, data_associated_data: &[u8], wrap: &Wrap) -> Result<Key, OpenError> {
        let opened =
            decrypt(&self.subkey(&wrap.salt), &wrap.nonce, &self.associated_data(data_associated_data), &wrap.wrapped)?;
        let mut data_key = Key::default();
        data_key.copy_from_slice(&opened);
        Ok(data_key)
    }

    fn subkey(&self, salt: &[u8; SALT_LEN]) -> Key {
        let [key] = derive(salt, self.secret.as_slice(), [&join(&[WRAP_LABEL])]);
        key
    }

    fn associated_data(&self, data_associated_data: &[u8]) -> Vec<u8> {
        [data_associated_data, &join(&[MAGIC_VERSION_PROVIDER, &self.id.0])].concat()
    }
}

/// A wrap's text, cut at its boundaries.
pub(crate) struct Wrap {
    pub(crate) key_id: KeyId,
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
    wrapped: [u8; WRAPPED_LEN],
}

impl Wrap {
    pub(crate) fn parse(text: &str) -> Result<Self, OpenError> {
        let bytes = from_text(text, WRAP_TEXT_LEN)?;
        let rest = bytes.strip_prefix(MAGIC_VERSION_PROVIDER).ok_or(OpenError)?;
        let (key_id, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let wrapped = rest.try_into().map_err(|_| OpenError)?;
        Ok(Self { key_id: HexId(*key_id), salt: *salt, nonce: *nonce, wrapped })
    }
}

/// The KEK that opens a wrap, read without opening it: what rotation counts to know when a key is unused.
///
/// # Errors
/// When the text is not a wrap.
pub fn wrap_key_id(text: &str) -> Result<KeyId, OpenError> {
    Wrap::parse(text).map(|wrap| wrap.key_id)
}
