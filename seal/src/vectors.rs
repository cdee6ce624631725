//! Known answers: with fixed randomness, sealing gives the texts frozen in `tests/vectors`. A change here is a change
//! of format, which needs a new version and a reader for both.

use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::field::to_text;
use crate::input::seal_input_with;
use crate::{Binding, Keyset, PrivateKey, StoredBinding, input_key_id, open_input, wrap_key_id};

const SECRET: &[u8] = b"a frozen test secret";
const AT_MS: u64 = 1_764_000_000_000;

/// Draws 0, 1, 2, … 255, 0, … .
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn frozen(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn input_with_fixed_randomness_is_the_frozen_text() {
    let key = PrivateKey::generate_with(&mut Counting(0));
    let binding = Binding { namespace: "acme", kind: "AmazonConnection", name: "acme-na", field: "RefreshToken" };
    let text = seal_input_with(&mut Counting(100), key.public(), &binding, AT_MS, SECRET).unwrap();
    let now = json!({
        "privateKey": to_text(key.to_bytes().as_slice()),
        "publicKey": key.public().to_string(),
        "keyId": key.id().to_string(),
        "binding": { "namespace": "acme", "kind": "AmazonConnection", "name": "acme-na", "field": "RefreshToken" },
        "sealedAtMs": AT_MS,
        "secret": to_text(SECRET),
        "text": text,
    });
    assert_eq!(now, frozen(include_str!("../tests/vectors/input.json")), "{now:#}");

    assert_eq!(input_key_id(&text), Ok(key.id()));
    let opened = open_input([&key], &binding, &text).unwrap();
    assert_eq!((opened.sealed_at_ms, opened.secret.expose()), (AT_MS, SECRET));
}

#[test]
fn stored_value_with_fixed_randomness_is_the_frozen_texts() {
    let keyset = Keyset::generate_with(&mut Counting(0), AT_MS);
    let binding = StoredBinding {
        namespace: "acme",
        kind: "AmazonConnection",
        name: "acme-na",
        field: "RefreshToken",
        generation: 7,
    };
    let sealed = keyset.seal_with(&mut Counting(100), &binding, SECRET).unwrap();
    let label = "openteam.dev/test/v1";
    let derived = keyset.derive(label, keyset.active_id()).unwrap();
    let now = json!({
        "keyset": frozen(keyset.to_json().expose_secret()),
        "binding": {
            "namespace": "acme",
            "kind": "AmazonConnection",
            "name": "acme-na",
            "field": "RefreshToken",
            "generation": 7,
        },
        "secret": to_text(SECRET),
        "data": sealed.data,
        "wrap": sealed.wrap,
        "derived": { "label": label, "key": to_text(derived.as_slice()) },
    });
    assert_eq!(now, frozen(include_str!("../tests/vectors/stored.json")), "{now:#}");

    assert_eq!(wrap_key_id(&sealed.wrap), Ok(keyset.active_id()));
    assert_eq!(keyset.open(&binding, &sealed).unwrap().expose(), SECRET);
}
