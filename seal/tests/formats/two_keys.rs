//! AES-GCM does not commit to its key: whoever knows two keys can make one ciphertext that opens under both. Here that
//! is really done, and refused by the commitment.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt, KeyInit};
use openteam_seal::{Keyset, OpenError, Sealed, StoredBinding};

use crate::by_hand::{Known, decrypt, hkdf};
use crate::to_text;

const BINDING: StoredBinding<'static> =
    StoredBinding { namespace: "n", kind: "k", name: "o", field: "f", generation: 1 };
const SALT: [u8; 32] = [1; 32];
const NONCE: [u8; 12] = [2; 12];

/// Multiplies in GHASH's field (SP 800-38D §6.3): bit 0 is the leftmost.
fn multiply(x: u128, y: u128) -> u128 {
    let (mut product, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= v;
        }
        v = (v >> 1) ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// `x` to the power 2¹²⁸ − 2.
fn invert(x: u128) -> u128 {
    let (mut result, mut power) = (1 << 127, x);
    for _ in 1..128 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

/// What AES-GCM makes of a key: hash key, tag mask.
fn halves(key: &[u8; 32]) -> (u128, u128) {
    let cipher = Aes256::new(key.into());
    let encrypt = |block: [u8; 16]| {
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    };
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(&NONCE);
    counter[15] = 1;
    (encrypt([0; 16]), encrypt(counter))
}

/// One block of ciphertext and the tag that both keys accept.
fn collide(keys: [&[u8; 32]; 2], aad: &[u8]) -> Vec<u8> {
    let lengths = (aad.len() as u128 * 8) << 64 | 128;
    let parts = keys.map(|key| {
        let (hash_key, mask) = halves(key);
        let square = multiply(hash_key, hash_key);
        let hashed = aad.chunks(16).fold(0, |hash, chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            multiply(hash ^ u128::from_be_bytes(block), hash_key)
        });
        // tag = block · square ^ rest
        (square, multiply(hashed, square) ^ multiply(lengths, hash_key) ^ mask)
    });
    let [(square, rest), (other_square, other_rest)] = parts;
    let block = multiply(rest ^ other_rest, invert(square ^ other_square));
    let tag = multiply(block, square) ^ rest;
    [block.to_be_bytes(), tag.to_be_bytes()].concat()
}

#[test]
fn a_ciphertext_forged_to_open_under_two_keys_opens_only_under_the_one_it_commits_to() {
    let keyset = Keyset::generate(0);
    let known = Known::of(&keyset);
    let data_keys = [[3; 32], [4; 32]];
    let [one, other] = data_keys.map(|data_key| hkdf(&SALT, &data_key, b"\0\x01DERIVEKEY"));
    let commitment = hkdf(&SALT, &data_keys[0], b"\0\x01COMMITKEY");
    let aad = known.data_aad(&SALT, &commitment, &BINDING);

    let forged = collide([&one, &other], &aad);
    let texts = [&one, &other].map(|key| decrypt(key, NONCE, &aad, &forged).expect("AES-GCM accepts both keys"));
    assert_ne!(texts[0], texts[1]);

    let data = to_text(&[b"OTst\0\x01", &SALT[..], &commitment, &NONCE, &forged].concat());
    let [committed, second] = data_keys.map(|key| Sealed { data: data.clone(), wrap: known.wrap(&aad, &key) });
    assert_eq!(keyset.open(&BINDING, &committed).unwrap().expose(), texts[0]);
    assert_eq!(keyset.open(&BINDING, &second).unwrap_err(), OpenError);
    assert_eq!(keyset.rewrap(&BINDING, &second).unwrap_err(), OpenError);
}
