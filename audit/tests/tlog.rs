//! Logs written with `audit::log` as others read them: Go's packages for transparency logs and tessera's fsck, and tessera's
//! test log as we read it. Needs Go.

#![expect(clippy::unwrap_used, reason = "a test: what fails here should stop it")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cluster::binaries::{TlogTools, tlog_tools};
use openteam_audit::log::{
    Checkpoint, Directory, EMPTY_ROOT, Edge, Options, SignedCheckpoint, SigningKey, StoredTiles, VerifyingKey,
    consistency_proof, entries_path, inclusion_proof, leaf_hash, push_entry, root_at, verify, verify_consistency,
};
use tempfile::TempDir;

const NAME: &str = "audit.example/gateway-0/2026q4";
/// The key of tessera's test log.
const TESSERA: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

fn key() -> SigningKey {
    SigningKey::from_seed(NAME, &[1; 32]).unwrap()
}

fn entry(index: u64) -> Vec<u8> {
    format!("{{\"sequence\":{index}}}").into_bytes()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes a log that stopped at `old` entries for a while, with a checkpoint at `size`; gives the old checkpoint.
fn write(dir: &Path, old: u64, size: u64) -> Checkpoint {
    let (mut edge, mut tiles, mut bundle) = (Edge::new(), Vec::new(), Vec::new());
    let mut before = Checkpoint { origin: NAME.to_owned(), size: 0, root: EMPTY_ROOT };
    for index in 0..size {
        assert!(push_entry(&mut bundle, &entry(index)));
        edge.push(leaf_hash(&entry(index)), &mut tiles);
        let width = u16::try_from(index % 256 + 1).unwrap();
        if width == 256 || index + 1 == size {
            put(dir, &entries_path(index / 256, width), &bundle);
            bundle.clear();
        }
        if index + 1 == old {
            before = Checkpoint { origin: NAME.to_owned(), size: old, root: edge.root() };
        }
    }
    for (tile, bytes) in tiles.into_iter().chain(edge.partial_tiles()) {
        put(dir, &tile.path(), &bytes);
    }
    put(dir, "checkpoint", key().sign(&Checkpoint { origin: NAME.to_owned(), size, root: edge.root() }).as_bytes());
    before
}

fn run(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What a command of `tests/tlog` says, or what it complains about.
fn tlog(tools: &TlogTools, args: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(&tools.tlog);
    command.args(args);
    let output = run(command, input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// What tessera's fsck says of a log. Its exit code is 0 in any case.
fn fsck(tools: &TlogTools, dir: &Path, key: &str) -> String {
    let keys = TempDir::new().unwrap();
    let file = keys.path().join("vkey.txt");
    fs::write(&file, key).unwrap();
    let mut command = Command::new(&tools.fsck);
    command.arg(format!("--storage_url=file://{}/", dir.display()));
    command.arg(format!("--public_key={}", file.display())).args(["--ui=false", "-N", "2"]);
    String::from_utf8(run(command, "").stderr).unwrap()
}

fn checked(dir: &Path, key: &VerifyingKey) -> SignedCheckpoint {
    let store = Directory(dir.to_owned());
    verify(&store, key, &Options::default(), &mut |_, _| (), &mut |_, _| ()).unwrap().checkpoint
}

fn lines(hashes: &[openteam_audit::log::Hash]) -> String {
    hashes.iter().map(|hash| BASE64_STANDARD.encode(hash) + "\n").collect()
}

#[test]
fn go_and_tessera_find_in_our_logs_what_we_wrote() {
    let tools = tlog_tools().unwrap();
    let vkey = key().verifying_key().to_string();
    for (old, size) in
        [(1, 1), (1, 2), (200, 255), (255, 256), (256, 257), (256, 600), (65_536, 70_000), (69_887, 70_000)]
    {
        let dir = TempDir::new().unwrap();
        let before = write(dir.path(), old, size);
        let place = dir.path().to_str().unwrap();
        let now = checked(dir.path(), &key().verifying_key()).checkpoint().clone();
        let root = BASE64_STANDARD.encode(now.root);

        assert_eq!(tlog(&tools, &["root", place, &vkey], ""), Ok(format!("{size} {root}\n")));
        let said = fsck(&tools, dir.path(), &vkey);
        assert!(said.contains(&format!("Successfully fsck'd log with size {size} and root {root} ")), "{size}: {said}");

        let store = Directory(dir.path().to_owned());
        let tiles = StoredTiles(&store);
        let count = size.to_string();
        for index in [0, size / 3, size - 1] {
            let proof = lines(&inclusion_proof(index, size, &tiles).unwrap());
            assert_eq!(tlog(&tools, &["record", place, &vkey, &index.to_string()], ""), Ok(proof.clone()));
            let leaf = BASE64_STANDARD.encode(leaf_hash(&entry(index)));
            let args = ["check-record", &root, &count, &index.to_string(), &leaf];
            assert_eq!(tlog(&tools, &args, &proof), Ok(String::new()));
            assert!(tlog(&tools, &args, &format!("{proof}{leaf}\n")).is_err());
        }
        let proof = lines(&consistency_proof(old, size, &tiles).unwrap());
        let old_root = BASE64_STANDARD.encode(before.root);
        assert_eq!(tlog(&tools, &["tree", place, &vkey, &old.to_string(), &old_root], ""), Ok(proof.clone()));
        let args = ["check-tree", &root, &count, &old_root, &old.to_string()];
        assert_eq!(tlog(&tools, &args, &proof), Ok(String::new()));
        assert!(tlog(&tools, &args, &format!("{proof}{root}\n")).is_err());
    }
}

#[test]
fn go_and_tessera_accept_an_empty_log() {
    let tools = tlog_tools().unwrap();
    let vkey = key().verifying_key().to_string();
    let dir = TempDir::new().unwrap();
    write(dir.path(), 0, 0);
    checked(dir.path(), &key().verifying_key());
    let root = BASE64_STANDARD.encode(EMPTY_ROOT);
    assert_eq!(tlog(&tools, &["root", dir.path().to_str().unwrap(), &vkey], ""), Ok(format!("0 {root}\n")));
    let said = fsck(&tools, dir.path(), &vkey);
    assert!(said.contains(&format!("Successfully fsck'd log with size 0 and root {root} ")), "{said}");
}

/// That the judges can say no.
#[test]
fn go_and_tessera_notice_what_we_notice() {
    let tools = tlog_tools().unwrap();
    let vkey = key().verifying_key().to_string();
    for path in ["tile/entries/001", "tile/0/001", "tile/1/000.p/2", "checkpoint"] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), 1, 600);
        let mut bytes = fs::read(dir.path().join(path)).unwrap();
        // Within an entry, a hash, the root of the checkpoint.
        bytes[40] ^= 1;
        put(dir.path(), path, &bytes);
        let store = Directory(dir.path().to_owned());
        let ours = verify(&store, &key().verifying_key(), &Options::default(), &mut |_, _| (), &mut |_, _| ());
        assert!(ours.is_err(), "{path}");
        assert!(tlog(&tools, &["root", dir.path().to_str().unwrap(), &vkey], "").is_err(), "{path}");
        assert!(!fsck(&tools, dir.path(), &vkey).contains("Successfully"), "{path}");
    }
}

/// Fifteen entries, with the checkpoint it had after each.
#[test]
fn we_read_the_log_that_tessera_tests_itself_with() {
    let tools = tlog_tools().unwrap();
    let key = VerifyingKey::parse(TESSERA).unwrap();
    let last = checked(&tools.testdata, &key);
    assert_eq!(last.checkpoint().size, 15);
    let store = Directory(tools.testdata.clone());
    let tiles = StoredTiles(&store);
    let mut remembered = Vec::new();
    for size in 0..=15 {
        let text = fs::read_to_string(tools.testdata.join(format!("checkpoint.{size}"))).unwrap();
        let note = SignedCheckpoint::parse(&text).unwrap();
        assert_eq!(note.verify(&key), Ok(()));
        let Checkpoint { root, .. } = *note.checkpoint();
        assert_eq!((note.checkpoint().size, root), (size, root_at(size, &tiles).unwrap()));
        let proof = consistency_proof(size, 15, &tiles).unwrap();
        assert_eq!(verify_consistency(size, &root, 15, &last.checkpoint().root, &proof), Ok(()));
        remembered.push(note.checkpoint().clone());
    }
    let options = Options { remembered, ..Options::default() };
    assert!(verify(&store, &key, &options, &mut |_, _| (), &mut |_, _| ()).is_ok());
}

#[test]
fn cosignatures_are_read_both_ways() {
    let tools = tlog_tools().unwrap();
    let witness = SigningKey::from_seed("witness.example/w", &[5; 32]).unwrap();
    let cosigner = witness.verifying_key().cosigner();
    let checkpoint = Checkpoint { origin: NAME.to_owned(), size: 7, root: [7; 32] };
    let note = SignedCheckpoint::parse(&key().sign(&checkpoint)).unwrap();
    let ours = note.with_signature(&witness.cosign(&note, 1_700_000_000)).unwrap();
    assert_eq!(tlog(&tools, &["cosignature", &cosigner.to_string()], ours.text()), Ok("1700000000\n".to_owned()));

    let id = data_encoding::HEXLOWER.encode(&witness.verifying_key().id());
    let seed = BASE64_STANDARD.encode([&[1][..], &[5; 32]].concat());
    let line = tlog(&tools, &["cosign", &format!("PRIVATE+KEY+witness.example/w+{id}+{seed}")], note.text()).unwrap();
    let theirs = note.with_signature(&line).unwrap();
    // It takes the time from the clock.
    assert!(theirs.cosigned(&cosigner).unwrap() > 1_700_000_000);
}
