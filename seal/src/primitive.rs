//! The primitives of the stored format, one function each.
//!
//! Keys are wiped when dropped; copies that the compiler makes on the stack are not, which no safe Rust can promise.

use aes_gcm::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

use crate::error::OpenError;

pub(crate) const KEY_LEN: usize = 32;
pub(crate) const SALT_LEN: usize = 32;
pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;

/// A 256-bit key.
pub(crate) type Key = Zeroizing<[u8; KEY_LEN]>;

/// HKDF-SHA512, extract and expand (RFC 5869): `count` keys of 32 bytes from one secret, an info each.
pub(crate) fn derive<const COUNT: usize>(salt: &[u8], secret: &[u8], infos: [&[u8]; COUNT]) -> [Key; COUNT] {
    let (mut prk, hkdf) = Hkdf::<Sha512>::extract(Some(salt), secret);
    prk.as_mut_slice().zeroize();
    infos.map(|info| {
        let mut key = Key::default();
        hkdf.expand(info, key.as_mut_slice()).expect("HKDF-SHA512 expands to 16320 bytes, these are 32");
        key
    })
}

/// AES-256-GCM with a 96-bit nonce and a 128-bit tag (NIST SP 800-38D). Appends ciphertext and tag to `out`, which
/// must have the room: growing it halfway would leave plaintext in freed memory.
pub(crate) fn encrypt(key: &Key, nonce: &[u8; NONCE_LEN], associated_data: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
    debug_assert!(out.capacity() - out.len() >= plaintext.len() + TAG_LEN);
    let start = out.len();
    out.extend_from_slice(plaintext);
    let tag = Aes256Gcm::new((&**key).into())
        .encrypt_inout_detached(&Nonce::from(*nonce), associated_data, InOutBuf::from(&mut out[start..]))
        .expect("AES-GCM takes 64 GiB, a secret is at most 8 KiB");
    out.extend_from_slice(&tag);
}

/// Opens what [`encrypt`] appended. No byte of plaintext leaves before the tag was checked.
pub(crate) fn decrypt(
    key: &Key,
    nonce: &[u8; NONCE_LEN],
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(OpenError)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    Aes256Gcm::new((&**key).into())
        .decrypt_inout_detached(
            &Nonce::from(*nonce),
            associated_data,
            InOutBuf::from(buffer.as_mut_slice()),
            &Tag::from(*tag),
        )
        .map_err(|_| OpenError)?;
    Ok(buffer)
}
