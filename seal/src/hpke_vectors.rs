//! The known answers for our KEM that Go's sources come with (`crypto/hpke/testdata/hpke-pq.json`).
//!
//! They have ChaCha20-Poly1305 where we have AES-256-GCM. Asking `hpke` for it would give tests other features than the
//! product, so it comes from aws-lc-rs. KEM, KDF and key schedule are those of the product.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use aes_gcm::aead::{
    self, AeadCore, AeadInOut, Error, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition, inout::InOutBuf,
};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce as AwsNonce, UnboundKey};
use data_encoding::HEXLOWER;
use hpke::aead::Aead;
use hpke::hybrid_array::sizes::{U12, U16, U32};
use hpke::kdf::{HkdfSha256, Kdf};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::Deserialize;

use crate::PrivateKey;
use crate::field::to_text;
use crate::sealing_key::XWing;

/// Bytes, in the file as hex.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

/// Names as in the file: `m` for serialized, `R` for the recipient, `E` for encapsulation.
#[derive(Deserialize)]
struct Vector {
    mode: u8,
    kem_id: u16,
    kdf_id: u16,
    aead_id: u16,
    info: Hex,
    #[serde(rename = "ikmE")]
    encapsulation_randomness: Hex,
    #[serde(rename = "skRm")]
    private_key: Hex,
    #[serde(rename = "pkRm")]
    public_key: Hex,
    #[serde(rename = "enc")]
    encapsulated: Hex,
    shared_secret: Hex,
    encryptions: Vec<Encryption>,
    exports: Vec<Export>,
}

#[derive(Deserialize)]
struct Encryption {
    aad: Hex,
    pt: Hex,
    ct: Hex,
}

#[derive(Deserialize)]
struct Export {
    exporter_context: Hex,
    exported_value: Hex,
}

/// Those for our KEM in base mode; never none.
fn vectors() -> Vec<Vector> {
    let go = Command::new("go").args(["env", "GOROOT"]).env("GOTOOLCHAIN", "local").output();
    let go = go.expect("this test needs Go 1.26 or later on the PATH");
    assert!(go.status.success(), "{}", String::from_utf8_lossy(&go.stderr));
    let root = String::from_utf8(go.stdout).unwrap();
    let file = Path::new(root.trim()).join("src/crypto/hpke/testdata/hpke-pq.json");
    let json = std::fs::read(&file).unwrap_or_else(|error| panic!("{}, of Go 1.26 or later: {error}", file.display()));
    let mut vectors: Vec<Vector> = serde_json::from_slice(&json).unwrap();
    vectors.retain(|vector| vector.kem_id == XWing::KEM_ID && vector.mode == 0);
    assert!(!vectors.is_empty(), "{} has none for X-Wing", file.display());
    vectors
}

/// Draws the given bytes, all of them and no more.
struct Fixed<'a>(&'a [u8]);

impl TryRng for Fixed<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("encapsulation draws bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("encapsulation draws bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let (drawn, rest) = self.0.split_at(bytes.len());
        bytes.copy_from_slice(drawn);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Fixed<'_> {}

/// HPKE's AEAD 3.
struct ChaCha20Poly1305;

impl Aead for ChaCha20Poly1305 {
    type AeadImpl = AwsChaCha20Poly1305;

    const AEAD_ID: u16 = 3;
}

/// Keeps the key only, because aws-lc-rs' own type cannot be cloned.
#[derive(Clone)]
struct AwsChaCha20Poly1305(Key<Self>);

impl AwsChaCha20Poly1305 {
    fn key(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &self.0).unwrap())
    }
}

impl KeySizeUser for AwsChaCha20Poly1305 {
    type KeySize = U32;
}

impl KeyInit for AwsChaCha20Poly1305 {
    fn new(key: &Key<Self>) -> Self {
        Self(*key)
    }
}

impl AeadCore for AwsChaCha20Poly1305 {
    type NonceSize = U12;
    type TagSize = U16;

    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl AeadInOut for AwsChaCha20Poly1305 {
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> aead::Result<Tag<Self>> {
        let (nonce, aad) = (AwsNonce::assume_unique_for_key((*nonce).into()), Aad::from(associated_data));
        let tag = self.key().seal_in_place_separate_tag(nonce, aad, buffer.into_out_with_copied_in());
        tag.map_err(|_| Error)?.as_ref().try_into().map_err(|_| Error)
    }

    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> aead::Result<()> {
        let (nonce, aad) = (AwsNonce::assume_unique_for_key((*nonce).into()), Aad::from(associated_data));
        let out = buffer.into_out_with_copied_in();
        let mut sealed = [&*out, tag].concat();
        let opened = self.key().open_in_place(nonce, aad, &mut sealed).map_err(|_| Error)?;
        out.copy_from_slice(opened);
        Ok(())
    }
}

#[test]
fn x_wing_encapsulates_and_decapsulates_as_in_the_published_vectors() {
    for vector in vectors() {
        let key = PrivateKey::from_bytes(&vector.private_key.0).unwrap();
        assert_eq!(key.public().to_string(), to_text(&vector.public_key.0));
        assert_eq!(key.public().to_string().parse(), Ok(key.public().clone()));

        let mut randomness = Fixed(&vector.encapsulation_randomness.0);
        let (secret, encapsulated) = XWing::encap_with_rng(&key.public().key, None, &mut randomness).unwrap();
        assert_eq!(encapsulated.to_bytes()[..], vector.encapsulated.0);
        assert_eq!(secret.0[..], vector.shared_secret.0);
        assert!(randomness.0.is_empty(), "all the randomness goes in");

        let decapsulate = |bytes: &[u8]| {
            let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(bytes).unwrap();
            XWing::decap(&key.key, None, &encapsulated).unwrap().0.to_vec()
        };
        assert_eq!(decapsulate(&vector.encapsulated.0), vector.shared_secret.0);
        // The first byte of ML-KEM's part and the last of X25519's but one, whose top bit RFC 7748 ignores.
        for at in [0, vector.encapsulated.0.len() - 2] {
            let mut changed = vector.encapsulated.0.clone();
            changed[at] ^= 1;
            assert_ne!(decapsulate(&changed), vector.shared_secret.0, "byte {at}");
        }
    }
}

#[test]
fn the_key_schedule_gives_what_the_published_vectors_say() {
    let ours = |vector: &Vector| vector.kdf_id == HkdfSha256::KDF_ID && vector.aead_id == ChaCha20Poly1305::AEAD_ID;
    let vector = vectors().into_iter().find(ours).expect("a vector with HKDF-SHA256 and ChaCha20-Poly1305");
    assert!(vector.encryptions.len() > 1 && !vector.exports.is_empty());
    let key = PrivateKey::from_bytes(&vector.private_key.0).unwrap();

    let (encapsulated, mut sender) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &key.public().key,
        &vector.info.0,
        &mut Fixed(&vector.encapsulation_randomness.0),
    )
    .unwrap();
    assert_eq!(encapsulated.to_bytes()[..], vector.encapsulated.0);
    let receiver = |info| {
        hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &key.key, &encapsulated, info)
            .unwrap()
    };
    let mut recipient = receiver(&vector.info.0);
    for Encryption { aad, pt, ct } in &vector.encryptions {
        assert_eq!(sender.seal(&pt.0, &aad.0).unwrap(), ct.0);
        assert_eq!(recipient.open(&ct.0, &aad.0).unwrap(), pt.0);
    }
    for Export { exporter_context, exported_value } in &vector.exports {
        let mut exported = vec![0; exported_value.0.len()];
        recipient.export(&exporter_context.0, &mut exported).unwrap();
        assert_eq!(exported, exported_value.0);
    }

    let Encryption { aad, ct, .. } = &vector.encryptions[0];
    let mut changed = ct.0.clone();
    changed[0] ^= 1;
    assert!(receiver(&vector.info.0).open(&changed, &aad.0).is_err());
    assert!(receiver(&vector.info.0).open(&ct.0, b"").is_err());
    assert!(receiver(b"").open(&ct.0, &aad.0).is_err());
}
