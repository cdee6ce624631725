//! A reader in another language, written from docs/formats.md alone, on Go's standard library.

use std::process::Command;

use openteam_evidence::{Bundle, Counts, FORMAT, Incident, Maker, Manifest, PrivateKey, Reason, make};

fn read_with_go(arguments: &[&str]) -> (bool, String) {
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader/main.go");
    let output = Command::new("go")
        .args(["run", reader])
        .args(arguments)
        .env("GOTOOLCHAIN", "local")
        .output()
        .expect("this test needs Go 1.26 or later on the PATH");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

#[test]
fn gos_standard_library_verifies_what_we_make_and_names_what_was_changed() {
    let key = PrivateKey::from_seed(&[7; 32]).unwrap();
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        cluster: "000102030405060708090a0b0c0d0e0f".to_owned(),
        incident: Incident { namespace: "ns".to_owned(), name: "inc-7".to_owned(), uid: "u-1".to_owned() },
        sequence: 1,
        previous: None,
        reason: Reason::Contained,
        created_at: jiff::Timestamp::from_second(1_790_000_000).unwrap(),
        made_by: Maker { pod: "openteam-operator-0".to_owned(), version: "0.1.0".to_owned() },
        key_id: String::new(),
        journal: Vec::new(),
        counts: Counts::default(),
        missing: Vec::new(),
        omitted: Vec::new(),
        files: Vec::new(),
    };
    let long = format!("objects/AgentGrant/acme/{}.yaml", "n".repeat(240));
    let files = [("use.json".to_owned(), b"[]".to_vec()), (long, b"a: 1".to_vec())].into();
    let made = make(manifest, &files, &key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (good, pem) = (path("good.tar"), path("key.pem"));
    std::fs::write(&good, &made.tar).unwrap();
    std::fs::write(&pem, key.public().to_pem()).unwrap();
    let (ok, told) = read_with_go(&[&good, &pem]);
    assert!(ok && told.contains(&made.digest) && told.contains(&key.public().id()), "{told}");

    let at = made.tar.windows(2).rposition(|two| two == b"[]").unwrap();
    let mut changed = made.tar.clone();
    changed[at] = b'{';
    let bad = path("bad.tar");
    std::fs::write(&bad, &changed).unwrap();
    let (ok, told) = read_with_go(&[&bad, &pem]);
    assert!(!ok && told.contains("use.json"), "{told}");
    assert!(!Bundle::read_tar(&changed).unwrap().verify(&Default::default()).is_whole());

    std::fs::write(&pem, PrivateKey::from_seed(&[8; 32]).unwrap().public().to_pem()).unwrap();
    let (ok, told) = read_with_go(&[&good, &pem]);
    assert!(!ok && told.contains("signature"), "{told}");
}
