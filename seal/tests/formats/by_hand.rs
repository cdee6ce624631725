//! The stored format written and read by hand from `docs/formats.md`, with the primitives of aws-lc-rs.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};
use openteam_seal::{Keyset, Sealed, StoredBinding};

use crate::{document, to_bytes, to_text};

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

pub(crate) fn hkdf(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    Salt::new(HKDF_SHA512, salt).extract(secret).expand(&[info], Bytes32).unwrap().fill(&mut out).unwrap();
    out
}

fn aes(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

pub(crate) fn encrypt(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut buffer = plaintext.to_vec();
    aes(key).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer).unwrap();
    buffer
}

pub(crate) fn decrypt(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = ciphertext.to_vec();
    let opened = aes(key).open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer);
    opened.ok().map(|plaintext| plaintext.to_vec())
}

pub(crate) fn join(fields: &[&[u8]]) -> Vec<u8> {
    fields.iter().flat_map(|field| [&(field.len() as u64).to_be_bytes()[..], field].concat()).collect()
}

/// The cluster id and active key of a keyset.
pub(crate) struct Known {
    cluster: Vec<u8>,
    kek_id: Vec<u8>,
    kek: Vec<u8>,
}

impl Known {
    pub(crate) fn of(keyset: &Keyset) -> Self {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let document = document(keyset);
        let active = document["keys"].as_array().unwrap().iter().find(|key| key["id"] == document["active"]).unwrap();
        Self {
            cluster: hex(document["clusterId"].as_str().unwrap()),
            kek_id: hex(active["id"].as_str().unwrap()),
            kek: to_bytes(active["secret"].as_str().unwrap()),
        }
    }

    pub(crate) fn data_aad(&self, salt: &[u8], commitment: &[u8], binding: &StoredBinding<'_>) -> Vec<u8> {
        join(&[
            b"OTst",
            &[0, 1],
            salt,
            commitment,
            &self.cluster,
            binding.namespace.as_bytes(),
            binding.kind.as_bytes(),
            binding.name.as_bytes(),
            binding.field.as_bytes(),
            &binding.generation.to_be_bytes(),
        ])
    }

    fn wrap_aad(&self, data_aad: &[u8]) -> Vec<u8> {
        [data_aad, &join(&[b"OTwr\x01\x01", &self.kek_id])].concat()
    }

    pub(crate) fn wrap(&self, data_aad: &[u8], data_key: &[u8; 32]) -> String {
        let (salt, nonce) = ([0x51; 32], [0x52; 12]);
        let subkey = hkdf(&salt, &self.kek, &join(&[b"openteam.dev/kek-wrap/v1"]));
        let wrapped = encrypt(&subkey, nonce, &self.wrap_aad(data_aad), data_key);
        to_text(&[b"OTwr\x01\x01", &self.kek_id[..], &salt, &nonce, &wrapped].concat())
    }

    pub(crate) fn write(&self, binding: &StoredBinding<'_>, data_key: &[u8; 32], plaintext: &[u8]) -> Sealed {
        let (salt, nonce) = ([0x61; 32], [0x62; 12]);
        let key = hkdf(&salt, data_key, b"\0\x01DERIVEKEY");
        let commitment = hkdf(&salt, data_key, b"\0\x01COMMITKEY");
        let aad = self.data_aad(&salt, &commitment, binding);
        let ciphertext = encrypt(&key, nonce, &aad, plaintext);
        Sealed {
            data: to_text(&[b"OTst\0\x01", &salt[..], &commitment, &nonce, &ciphertext].concat()),
            wrap: self.wrap(&aad, data_key),
        }
    }

    /// Takes fixed offsets, as the tables give them.
    pub(crate) fn read(&self, binding: &StoredBinding<'_>, sealed: &Sealed) -> Option<Vec<u8>> {
        let (data, wrap) = (to_bytes(&sealed.data), to_bytes(&sealed.wrap));
        assert_eq!(
            (&data[..6], &wrap[..6], &wrap[6..14]),
            (&b"OTst\0\x01"[..], &b"OTwr\x01\x01"[..], &self.kek_id[..])
        );
        let (salt, commitment, nonce) = (&data[6..38], &data[38..70], data[70..82].try_into().unwrap());
        let aad = self.data_aad(salt, commitment, binding);

        let subkey = hkdf(&wrap[14..46], &self.kek, &join(&[b"openteam.dev/kek-wrap/v1"]));
        let data_key = decrypt(&subkey, wrap[46..58].try_into().unwrap(), &self.wrap_aad(&aad), &wrap[58..106])?;
        assert_eq!(commitment, hkdf(salt, &data_key, b"\0\x01COMMITKEY"));
        decrypt(&hkdf(salt, &data_key, b"\0\x01DERIVEKEY"), nonce, &aad, &data[82..])
    }

    pub(crate) fn derive(&self, label: &str) -> [u8; 32] {
        hkdf(&self.cluster, &self.kek, &join(&[b"openteam.dev/kek-derive/v1", label.as_bytes()]))
    }
}
