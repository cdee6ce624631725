use openteam_seal::{Keyset, KeysetError, StoredBinding};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::by_hand::Known;
use crate::{document, keyset_of, to_text};

const BINDING: StoredBinding<'static> =
    StoredBinding { namespace: "n", kind: "k", name: "o", field: "f", generation: 1 };

#[test]
fn a_keyset_survives_its_document() {
    let keyset = Keyset::generate(1_764_000_000_000);
    let again = Keyset::parse(keyset.to_json().expose_secret()).unwrap();
    assert_eq!(again.to_json().expose_secret(), keyset.to_json().expose_secret());
    assert_eq!((again.cluster_id(), again.active_id()), (keyset.cluster_id(), keyset.active_id()));
    assert_eq!(document(&keyset)["keys"][0]["createdAt"], json!(1_764_000_000_000_u64));
    let sealed = keyset.seal(&BINDING, b"x").unwrap();
    assert_eq!(again.open(&BINDING, &sealed).unwrap().expose(), b"x");
}

#[test]
fn two_keysets_share_nothing() {
    let (one, other) = (Keyset::generate(0), Keyset::generate(0));
    assert_ne!(one.cluster_id(), other.cluster_id());
    assert_ne!(one.active_id(), other.active_id());
    assert!(other.open(&BINDING, &one.seal(&BINDING, b"x").unwrap()).is_err());
}

type Change = fn(&mut Value);

#[test]
fn a_wrong_document_is_refused_with_its_fault_and_without_its_keys() {
    let good = document(&Keyset::generate(0));
    let secret = good["keys"][0]["secret"].as_str().unwrap().to_owned();
    let changes: &[(&str, Change)] = &[
        ("line 1", |d| *d = json!([])),
        ("line 1", |d| d["clusterId"] = json!(7)),
        ("line 1", |d| d["keys"] = json!({})),
        ("line 1", |d| d["keys"][0]["secret"] = json!([d["keys"][0]["secret"]])),
        ("line 1", |d| d["keys"][0]["createdAt"] = d["keys"][0]["secret"].clone()),
        ("line 1", |d| d["keys"][0]["createdAt"] = json!(-1)),
        ("line 1", |d| d["keys"][0]["note"] = d["keys"][0]["secret"].clone()),
        ("line 1", |d| drop(d["keys"][0].as_object_mut().unwrap().remove("secret"))),
        ("line 1", |d| drop(d.as_object_mut().unwrap().remove("active"))),
        ("clusterId", |d| d["clusterId"] = json!("")),
        ("clusterId", |d| d["clusterId"] = json!("00112233-4455-6677-8899-aabbccddeeff")),
        ("clusterId", |d| d["clusterId"] = json!("00112233445566778899AABBCCDDEEFF")),
        ("clusterId", |d| d["clusterId"] = d["keys"][0]["secret"].clone()),
        ("id of key 1", |d| d["keys"][0]["id"] = d["keys"][0]["secret"].clone()),
        ("is not 32 bytes", |d| d["keys"][0]["secret"] = json!("")),
        ("is not 32 bytes", |d| d["keys"][0]["secret"] = json!("A".repeat(42))),
        ("is not 32 bytes", |d| d["keys"][0]["secret"] = json!("A".repeat(44))),
        ("is not 32 bytes", |d| {
            d["keys"][0]["secret"] = json!(format!("{}=", d["keys"][0]["secret"].as_str().unwrap()))
        }),
        ("belongs to another id", |d| d["keys"][0]["secret"] = json!("A".repeat(43))),
        ("belongs to another id", |d| d["keys"][0]["id"] = json!("0123456789abcdef")),
        ("appears twice", |d| {
            let twice = d["keys"][0].clone();
            d["keys"].as_array_mut().unwrap().push(twice);
        }),
        ("active key", |d| d["active"] = json!("0123456789abcdef")),
        ("active key", |d| d["active"] = json!("")),
        ("active key", |d| d["keys"] = json!([])),
    ];
    for (expected, change) in changes {
        let mut wrong = good.clone();
        change(&mut wrong);
        let error = Keyset::parse(&wrong.to_string()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().contains(expected), "{shown} lacks {expected}");
        assert!(!shown.contains(&secret), "the message shows the key");
    }
    for text in ["", "{", "null", &secret, &format!("{good}{good}")] {
        let error = Keyset::parse(text).unwrap_err();
        assert!(matches!(error, KeysetError::Malformed { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains(&secret));
    }
}

#[test]
fn debug_shows_no_key() {
    let keyset = Keyset::generate(0);
    let secret = document(&keyset)["keys"][0]["secret"].as_str().unwrap().to_owned();
    assert!(!format!("{keyset:?}").contains(&secret));
    assert!(!format!("{:?}", keyset.to_json()).contains(&secret));
}

#[test]
fn derived_keys_differ_by_label_key_and_cluster_and_are_what_aws_lc_derives() {
    let keyset = Keyset::generate(0);
    let derive = |keyset: &Keyset, label| to_text(keyset.derive(label, keyset.active_id()).unwrap().as_slice());
    let first = derive(&keyset, "one");
    assert_eq!(first, to_text(&Known::of(&keyset).derive("one")));
    assert_eq!(first, derive(&Keyset::parse(keyset.to_json().expose_secret()).unwrap(), "one"), "every replica agrees");

    let mut other_cluster = document(&keyset);
    other_cluster["clusterId"] = json!("0".repeat(32));
    for other in [
        derive(&keyset, "two"),
        derive(&keyset, ""),
        derive(&Keyset::generate(0), "one"),
        derive(&keyset_of(&other_cluster), "one"),
    ] {
        assert_ne!(first, other);
    }
    assert!(keyset.derive("one", Keyset::generate(0).active_id()).is_none());
}
