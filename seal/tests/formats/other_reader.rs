//! A reader in another language and on another implementation: Go's standard library.

use std::io::Write;
use std::process::{Command, Stdio};

use openteam_seal::{Binding, Keyset, PrivateKey, StoredBinding, open_input, seal_input};
use serde_json::{Value, json};

use crate::{document, to_text};

fn read_with_go(values: &Value) -> Value {
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader/main.go");
    let mut go = Command::new("go")
        .args(["run", reader])
        .env("GOTOOLCHAIN", "local")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs Go 1.26 or later on the PATH");
    go.stdin.take().unwrap().write_all(values.to_string().as_bytes()).unwrap();
    let output = go.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn gos_standard_library_reads_what_we_write_and_we_read_what_it_writes() {
    let key = PrivateKey::generate();
    let keyset = Keyset::generate(0);
    let (first, second) = ("a secret for input", "another one to store");
    let input = Binding { namespace: "acme", kind: "AmazonConnection", name: "acme-na", field: "RefreshToken" };
    let stored = StoredBinding { namespace: "acme", kind: "Käse", name: "", field: "f", generation: u64::MAX >> 12 };
    let sealed = keyset.seal(&stored, second.as_bytes()).unwrap();
    let fresh = json!({
        "input": {
            "privateKey": to_text(key.to_bytes().as_slice()),
            "publicKey": key.public().to_string(),
            "keyId": key.id().to_string(),
            "binding": { "namespace": input.namespace, "kind": input.kind, "name": input.name, "field": input.field },
            "sealedAtMs": 1234,
            "text": seal_input(key.public(), &input, 1234, first.as_bytes()).unwrap(),
        },
        "stored": {
            "keyset": document(&keyset),
            "binding": {
                "namespace": stored.namespace,
                "kind": stored.kind,
                "name": stored.name,
                "field": stored.field,
                "generation": stored.generation,
            },
            "data": sealed.data,
            "wrap": sealed.wrap,
            "derived": { "label": "l" },
        },
    });
    let frozen = json!({
        "input": serde_json::from_str::<Value>(include_str!("../vectors/input.json")).unwrap(),
        "stored": serde_json::from_str::<Value>(include_str!("../vectors/stored.json")).unwrap(),
    });
    let read = read_with_go(&json!([fresh, frozen]));

    assert_eq!(read[0]["input"], to_text(first.as_bytes()));
    assert_eq!(read[0]["stored"], to_text(second.as_bytes()));
    assert_eq!(read[0]["derived"], to_text(keyset.derive("l", keyset.active_id()).unwrap().as_slice()));
    let theirs = read[0]["sealed"].as_str().unwrap();
    let opened = open_input([&key], &input, theirs).unwrap();
    assert_eq!((opened.sealed_at_ms, opened.secret.expose()), (1234, first.as_bytes()));

    assert_eq!(read[1]["input"], frozen["input"]["secret"]);
    assert_eq!(read[1]["stored"], frozen["stored"]["secret"]);
    assert_eq!(read[1]["derived"], frozen["stored"]["derived"]["key"]);
}
