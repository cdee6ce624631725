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
    let hkdf = extract(salt, secret);
    infos.map(|info| {
        let mut key = Key::default();
        hkdf.expand(info, key.as_mut_slice()).expect("HKDF-SHA512 expands to 16320 bytes, these are 32");
        key
    })
}

fn extract(salt: &[u8], secret: &[u8]) -> Hkdf<Sha512> {
    let (mut prk, hkdf) = Hkdf::extract(Some(salt), secret);
    prk.as_mut_slice().zeroize();
    hkdf
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

/// Project Wycheproof's vectors through the functions above. Counts are fixed, so that a vector which a new release of
/// them renames, or a filter here loses, is missed.
#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead, hkdf};

    use super::*;

    /// Those that fit our types: other sizes of nonce, tag or key cannot be passed.
    #[test]
    fn aes_gcm_is_right_about_every_wycheproof_vector_of_its_sizes() {
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let ours = |group: &&aead::TestGroup| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128);
        let (mut valid, mut invalid) = (0, 0);
        for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
            let shown = format!("vector {}, {}", test.tc_id, test.comment);
            let key = Key::new(test.key.as_slice().try_into().unwrap());
            let nonce = test.nonce.as_slice().try_into().unwrap();
            let sealed = [test.ct.as_slice(), &test.tag].concat();

            let mut made = Vec::with_capacity(sealed.len());
            encrypt(&key, nonce, &test.aad, &test.pt, &mut made);
            let opened = decrypt(&key, nonce, &test.aad, &sealed).map(|plaintext| plaintext.to_vec());
            match test.result {
                TestResult::Valid => {
                    valid += 1;
                    assert_eq!(made, sealed, "{shown}");
                    assert_eq!(opened.as_ref(), Ok(&*test.pt), "{shown}");
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert_ne!(made, sealed, "{shown}");
                    assert_eq!(opened, Err(OpenError), "{shown}");
                }
                TestResult::Acceptable => panic!("{shown}: neither right nor wrong"),
            }
        }
        assert_eq!((valid, invalid), (39, 27));
    }

    /// At the vector's own length, and as the 32 bytes that [`derive`] takes: HKDF's output does not depend on how much
    /// of it is asked for.
    #[test]
    fn hkdf_sha512_is_right_about_every_wycheproof_vector() {
        let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha512).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let shown = format!("vector {}, {}", test.tc_id, test.comment);
            let mut whole = vec![0; test.size];
            let expanded = extract(&test.salt, &test.ikm).expand(&test.info, &mut whole);
            match test.result {
                TestResult::Valid => {
                    valid += 1;
                    expanded.expect(&shown);
                    assert_eq!(whole, *test.okm, "{shown}");
                    let [key] = derive(&test.salt, &test.ikm, [&test.info]);
                    let common = test.size.min(KEY_LEN);
                    assert_eq!(key[..common], test.okm[..common], "{shown}");
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert!(expanded.is_err(), "{shown}");
                }
                TestResult::Acceptable => panic!("{shown}: neither right nor wrong"),
            }
        }
        assert_eq!((valid, invalid), (80, 3));
    }
}
