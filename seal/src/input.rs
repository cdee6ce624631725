//! The input format: what anyone may seal and only the operator opens. Layout in `docs/formats.md`.

use getrandom::SysRng;
use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::rand_core::{CryptoRng, UnwrapErr};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::error::{OpenError, SealError};
use crate::field::{from_text, join, text_len, to_text};
use crate::id::{HexId, KeyId};
use crate::sealing_key::{PrivateKey, PublicKey, XWing};
use crate::secret::{MAX_SECRET_LEN, Secret, check_len};

/// HPKE's `info` starts with it, so that no other protocol's ciphertext under the same key is ours.
const LABEL: &[u8] = b"openteam.dev/input/v1";
const MAGIC_AND_VERSION: &[u8; 5] = b"OTin\x01";
const HEADER_LEN: usize = MAGIC_AND_VERSION.len() + size_of::<KeyId>();
const ENCAPSULATED_LEN: usize = 1120;
const TIME_LEN: usize = size_of::<u64>();
const TAG_LEN: usize = 16;
const OVERHEAD: usize = HEADER_LEN + ENCAPSULATED_LEN + TIME_LEN + TAG_LEN;

/// Longest text of a sealed input, in characters.
pub const MAX_INPUT_TEXT_LEN: usize = text_len(OVERHEAD + MAX_SECRET_LEN);

/// The field of the object that an input is for; it opens for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The object's namespace.
    pub namespace: &'a str,
    /// Its kind as the CRD spells it: `AmazonConnection`, `AmazonApplication`.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The SealedCredential's `field`: `RefreshToken`, `AuthorizationCode` or `ClientSecret`.
    pub field: &'a str,
}

impl Binding<'_> {
    fn info(&self) -> Vec<u8> {
        join(&[LABEL, self.namespace.as_bytes(), self.kind.as_bytes(), self.name.as_bytes(), self.field.as_bytes()])
    }
}

/// An input that opened. Whether it may be used is for [`crate::admit`] to say.
#[derive(Debug)]
pub struct OpenedInput {
    /// When it was sealed by the clock of who sealed it, Unix milliseconds.
    pub sealed_at_ms: u64,
    /// What was sealed.
    pub secret: Secret,
}

/// Seals `secret` (1 to [`MAX_SECRET_LEN`] bytes) for one field of one object. The text is base64url, at most
/// [`MAX_INPUT_TEXT_LEN`] characters, and shows the secret's length.
///
/// # Errors
/// When the secret is empty or too long.
pub fn seal_input(
    key: &PublicKey,
    binding: &Binding<'_>,
    sealed_at_ms: u64,
    secret: &[u8],
) -> Result<String, SealError> {
    seal_input_with(&mut UnwrapErr(SysRng), key, binding, sealed_at_ms, secret)
}

pub(crate) fn seal_input_with(
    rng: &mut impl CryptoRng,
    key: &PublicKey,
    binding: &Binding<'_>,
    sealed_at_ms: u64,
    secret: &[u8],
) -> Result<String, SealError> {
    check_len(secret)?;
    let (encapsulated, mut context) =
        hpke::setup_sender_with_rng::<AesGcm256, HkdfSha256, XWing>(&OpModeS::Base, &key.key, &binding.info(), rng)
            .expect("encapsulating to a parsed X-Wing key does not fail");

    // Full size at once: growing it would leave plaintext in freed memory.
    let mut sealed = Vec::with_capacity(OVERHEAD + secret.len());
    sealed.extend_from_slice(MAGIC_AND_VERSION);
    sealed.extend_from_slice(&key.id().0);
    sealed.extend_from_slice(&encapsulated.to_bytes());
    sealed.extend_from_slice(&sealed_at_ms.to_be_bytes());
    sealed.extend_from_slice(secret);
    let (front, plaintext) = sealed.split_at_mut(HEADER_LEN + ENCAPSULATED_LEN);
    let tag = context
        .seal_inout_detached(InOutBuf::from(plaintext), &front[..HEADER_LEN])
        .expect("a context's first message is within every limit");
    sealed.extend_from_slice(&tag.to_bytes());
    Ok(to_text(&sealed))
}

/// The key that opens an input, read from its header without opening it.
///
/// # Errors
/// When the text is not a sealed input.
pub fn input_key_id(text: &str) -> Result<KeyId, OpenError> {
    Parts::read(&decode(text)?).map(|parts| parts.key_id)
}

/// Opens an input with the key it names; the others are not tried.
///
/// # Errors
/// One error for everything: not a sealed input, its key not among `keys`, sealed for another field or object,
/// changed.
pub fn open_input<'k>(
    keys: impl IntoIterator<Item = &'k PrivateKey>,
    binding: &Binding<'_>,
    text: &str,
) -> Result<OpenedInput, OpenError> {
    let bytes = decode(text)?;
    let parts = Parts::read(&bytes)?;
    let key = keys.into_iter().find(|key| key.id() == parts.key_id).ok_or(OpenError)?;
    let plaintext = parts.open(key, &binding.info()).map_err(|_| OpenError)?;
    let (time, secret) = plaintext.split_first_chunk::<TIME_LEN>().ok_or(OpenError)?;
    check_len(secret).map_err(|_| OpenError)?;
    Ok(OpenedInput { sealed_at_ms: u64::from_be_bytes(*time), secret: Secret::copy_of(secret) })
}

fn decode(text: &str) -> Result<Vec<u8>, OpenError> {
    from_text(text, MAX_INPUT_TEXT_LEN)
}

/// A sealed input, cut at its boundaries.
struct Parts<'a> {
    header: &'a [u8],
    key_id: KeyId,
    encapsulated: &'a [u8; ENCAPSULATED_LEN],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, OpenError> {
        if bytes.len() <= OVERHEAD {
            return Err(OpenError);
        }
        let (header, rest) = bytes.split_at(HEADER_LEN);
        let key_id = header.strip_prefix(MAGIC_AND_VERSION).ok_or(OpenError)?;
        let (encapsulated, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(OpenError)?;
        let key_id = HexId(key_id.try_into().map_err(|_| OpenError)?);
        Ok(Self { header, key_id, encapsulated, ciphertext, tag })
    }

    fn open(&self, key: &PrivateKey, info: &[u8]) -> Result<Zeroizing<Vec<u8>>, hpke::HpkeError> {
        let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(self.encapsulated)?;
        let mut context =
            hpke::setup_receiver::<AesGcm256, HkdfSha256, XWing>(&OpModeR::Base, &key.key, &encapsulated, info)?;
        let mut buffer = Zeroizing::new(self.ciphertext.to_vec());
        context.open_inout_detached(
            InOutBuf::from(buffer.as_mut_slice()),
            self.header,
            &AeadTag::from_bytes(self.tag)?,
        )?;
        Ok(buffer)
    }
}
