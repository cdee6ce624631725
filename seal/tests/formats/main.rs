//! Both formats through the public interface, against writers and readers made from `docs/formats.md` alone: one on
//! aws-lc-rs ([`by_hand`]), one in Go's standard library (`tests/reader`).

#![expect(clippy::unwrap_used, reason = "clippy allows it in test functions, not in what they share")]

mod by_hand;
mod input;
mod keyset;
mod other_reader;
mod replay;
mod stored;
mod two_keys;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use openteam_seal::{KeyId, Keyset};
use proptest::sample::Index;
use secrecy::ExposeSecret;
use serde_json::Value;

fn to_bytes(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

fn to_text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The text of the same bytes with one bit of one byte changed, for every byte.
fn each_byte_changed(text: &str) -> impl Iterator<Item = String> {
    let bytes = to_bytes(text);
    (0..bytes.len()).map(move |at| {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        to_text(&changed)
    })
}

/// The text of the same bytes with any change of any one byte: `change` is from 1 to 255.
fn with_byte_changed(text: &str, at: &Index, change: u8) -> String {
    let mut bytes = to_bytes(text);
    let at = at.index(bytes.len());
    bytes[at] ^= change;
    to_text(&bytes)
}

/// The text of the same bytes with another key id in them, which begins at byte `at`.
fn relabelled(text: &str, at: usize, id: KeyId) -> String {
    let mut bytes = to_bytes(text);
    bytes[at..at + 8].copy_from_slice(&HEXLOWER.decode(id.to_string().as_bytes()).unwrap());
    to_text(&bytes)
}

/// Texts that are no sealed value, made from one that is.
fn mangled(text: &str, max_len: usize) -> Vec<String> {
    let bytes = to_bytes(text);
    let mut all: Vec<String> = (0..bytes.len()).map(|len| to_text(&bytes[..len])).collect();
    all.extend([
        to_text(&[&bytes[..], &[0]].concat()),
        to_text(&bytes[1..]),
        to_text(&[&[0], &bytes[..]].concat()),
        text[1..].to_owned(),
        format!("{text}="),
        format!("{text}\n"),
        format!(" {text}"),
        format!("{text}{text}"),
        format!("é{text}"),
        text.replace(['-', '_'], "+"),
        "A".repeat(max_len),
        "A".repeat(max_len + 1),
        "A".repeat(10 * max_len),
        "null".to_owned(),
    ]);
    // Replacing changes nothing where there was nothing to replace.
    all.retain(|mangled| mangled != text);
    all
}

fn document(keyset: &Keyset) -> Value {
    serde_json::from_str(keyset.to_json().expose_secret()).unwrap()
}

fn keyset_of(document: &Value) -> Keyset {
    Keyset::parse(&document.to_string()).unwrap()
}
