//! What somebody would do to logs, and what is said of it.

use std::{fs, path::Path, sync::LazyLock};

use audit::log::{Edge, SigningKey, entries, leaf_hash};
use flate2::read::GzDecoder;
use tempfile::TempDir;

use super::*;
use crate::log::testing::{T0, T1, grow, segment, signed};

const ORIGIN: &str = "audit.c/recorder-0/2026q4";

static WITNESS: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed("witness.c", &[7; 32]).unwrap());

/// A recorder's directory with a closed log of 401 entries and one that grows, of 101.
fn recorder() -> TempDir {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..401, T0);
    segment(dir.path(), 401..501, T1);
    assert_eq!(grow(dir.path(), 501, Vec::new()), 0);
    dir
}

fn shard(dir: &Path, name: &str) -> std::path::PathBuf {
    dir.join("log").join(name)
}

fn key(dir: &Path, name: &str) -> VerifyingKey {
    fs::read_to_string(shard(dir, name).join("vkey")).unwrap().parse().unwrap()
}

/// What the witness keeps once it has seen these logs as they are.
fn witnessed(dir: &Path, shards: &[&str]) -> Checkpoints {
    let mut known = Checkpoints {
        cluster: "c".to_owned(),
        witness: Some(WITNESS.verifying_key().cosigner()),
        ..Checkpoints::default()
    };
    for name in shards {
        let note = signed(dir, name);
        let note = note.with_signature(&WITNESS.cosign(&note, 1)).unwrap();
        known.logs.insert(format!("recorder-0.{name}"), Witnessed { note, key: key(dir, name) });
    }
    known
}

fn with(checkpoints: Checkpoints) -> Expected {
    Expected { checkpoints: Some(checkpoints), now: now(), ..Expected::default() }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(T1).unwrap()
}

fn alone() -> Expected {
    Expected { now: now(), ..Expected::default() }
}

fn report(dir: &Path, expected: &Expected) -> Report {
    verify(&Place::open(dir).unwrap(), expected, &Part::default(), &mut |_, _, _| {}).unwrap()
}

/// The lines that are printed.
fn faults(dir: &Path, expected: &Expected) -> Vec<String> {
    report(dir, expected).faults.iter().map(ToString::to_string).collect()
}

/// A directory with everything in it, as a backup has it.
fn copied(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    copy(from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Everything in a log as a plain copy has it.
fn exported(dir: &TempDir) -> TempDir {
    let to = TempDir::new().unwrap();
    crate::export::export(&Place::open(dir.path()).unwrap(), to.path(), &[], &mut |_, _, _| {}).unwrap();
    to
}

#[test]
fn logs_are_whole_and_trusted_as_far_as_somebody_else_vouches_for_them() {
    let dir = recorder();
    let told = report(dir.path(), &alone());
    assert_eq!((told.faults.clone(), told.verdict()), (vec![], Verdict::Alone));
    let sizes: Vec<_> = told.logs.iter().map(|log| (log.shard.to_string(), log.size.unwrap())).collect();
    assert_eq!(sizes, [("2026q4".to_owned(), 401), ("2027q1".to_owned(), 101)]);
    assert_eq!(told.logs[0].origin.as_deref(), Some(ORIGIN));
    // The newest alone: the one before follows from what its first entry says.
    let told = report(dir.path(), &with(witnessed(dir.path(), &["2027q1"])));
    assert_eq!((told.faults.clone(), told.verdict()), (vec![], Verdict::Whole));
    assert_eq!(told.logs[0].against, [Against::Next]);
    assert_eq!(told.logs[1].witnessed, Some(101));
    // Keys alone, and the older log alone.
    let keys = vec![key(dir.path(), "2026q4"), key(dir.path(), "2027q1")];
    assert_eq!(report(dir.path(), &Expected { keys, ..alone() }).verdict(), Verdict::Whole);
    assert_eq!(report(dir.path(), &with(witnessed(dir.path(), &["2026q4"]))).verdict(), Verdict::Alone);
    // A copy says the same, in JSON too.
    let to = exported(&dir);
    let told = report(to.path(), &with(witnessed(dir.path(), &["2026q4", "2027q1"])));
    assert_eq!((told.faults.clone(), told.verdict()), (vec![], Verdict::Whole));
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!((&json["logs"][0]["shard"], &json["logs"][0]["size"]), (&"2026q4".into(), &401.into()));
}

#[test]
fn a_copy_whose_checkpoint_is_cosigned_stands_on_the_witness_key_alone() {
    let dir = recorder();
    let known = witnessed(dir.path(), &["2026q4", "2027q1"]);
    let to = exported(&dir);
    let witness = || Expected { witness: known.witness.clone(), ..alone() };
    assert_eq!(report(to.path(), &witness()).verdict(), Verdict::Flawed, "nobody cosigned it");
    for (name, log) in &known.logs {
        let shard = name.rsplit_once('.').unwrap().1;
        fs::write(to.path().join(shard).join("checkpoint"), log.note.text()).unwrap();
    }
    let told = report(to.path(), &witness());
    assert_eq!((told.faults.clone(), told.verdict()), (vec![], Verdict::Whole));
}

#[test]
fn a_log_that_still_grows_is_checked_while_it_does() {
    let dir = recorder();
    let known = witnessed(dir.path(), &["2026q4", "2027q1"]);
    segment(dir.path(), 501..1001, T1);
    grow(dir.path(), 1001, Vec::new());
    let told = report(dir.path(), &with(known));
    assert_eq!((told.faults.clone(), told.verdict()), (vec![], Verdict::Whole));
    assert_eq!((told.logs[1].size, told.logs[1].witnessed), (Some(601), Some(101)));
}

#[test]
fn newest_entries_that_were_cut_are_named() {
    let dir = recorder();
    let known = witnessed(dir.path(), &["2026q4", "2027q1"]);
    // From the journal, with the checkpoint still there: what was signed is not there any more.
    let cut = copied(dir.path());
    segment(cut.path(), 401..451, T1);
    let told = faults(cut.path(), &with(known.clone()));
    assert_eq!(
        told,
        [
            "audit.c/recorder-0/2027q1: tile/entries/000.p/101 is missing",
            "audit.c/recorder-0/2027q1: tile/0/000.p/101 is missing"
        ]
    );
    // Made anew by a recorder that forgot everything, so that it is whole in itself.
    let shorter = TempDir::new().unwrap();
    segment(shorter.path(), 1..401, T0);
    segment(shorter.path(), 401..451, T1);
    grow(shorter.path(), 401, Vec::new());
    assert_eq!(report(shorter.path(), &alone()).verdict(), Verdict::Alone);
    let told = faults(shorter.path(), &with(known));
    assert!(told.iter().any(|it| it.starts_with(&format!("{ORIGIN}: the checkpoint is not signed by"))), "{told:?}");
}

#[test]
fn an_old_volume_that_was_put_back_is_named_with_its_sizes() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..301, T0);
    grow(dir.path(), 301, Vec::new());
    let old = copied(dir.path());
    segment(dir.path(), 301..401, T0);
    segment(dir.path(), 401..501, T1);
    grow(dir.path(), 501, Vec::new());
    let known = witnessed(dir.path(), &["2026q4", "2027q1"]);
    assert_eq!(report(old.path(), &alone()).verdict(), Verdict::Alone, "in itself it is whole");
    assert_eq!(
        faults(old.path(), &with(known)),
        [
            "audit.c/recorder-0/2026q4: the log was rolled back: it had 401 entries and has 301, as the checkpoint that was \
             given says",
            "audit.c/recorder-0/2027q1: the log is not here; it had 101 entries, as the checkpoint that was given says"
        ]
    );
}

#[test]
fn a_recorder_that_went_on_with_an_old_volume_hides_nothing_of_it() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..301, T0);
    grow(dir.path(), 301, Vec::new());
    let old = copied(dir.path());
    segment(dir.path(), 301..401, T0);
    grow(dir.path(), 401, Vec::new());
    let known = witnessed(dir.path(), &["2026q4"]);
    // More came that was not signed when it ended.
    segment(old.path(), 301..351, T0);
    let remembered = known.remembered();
    assert_eq!(grow(old.path(), 351, remembered), 1, "it is told at the start");
    let rolled_back = format!(
        "{ORIGIN}: the log was rolled back: it had 401 entries and has 301, as the checkpoint that was given says"
    );
    assert_eq!(faults(old.path(), &with(known)), [rolled_back]);
    let told = report(old.path(), &alone());
    assert_eq!(
        (told.faults.clone(), told.logs.len()),
        (vec![], 2),
        "each is whole in itself, and they follow each other"
    );
    assert_eq!(told.logs[1].origin.as_deref(), Some("audit.c/recorder-0/2026q4-e2"));
    let numbers: Vec<u64> = crate::read::items(old.path())
        .unwrap()
        .filter_map(|item| match item.unwrap() {
            crate::read::Item::Record(record) => Some(record.sequence),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (1..351).collect::<Vec<_>>());
}

#[test]
fn a_shard_that_ends_before_what_the_next_one_says_is_named() {
    let (dir, old) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    segment(dir.path(), 1..301, T0);
    grow(dir.path(), 301, Vec::new());
    crate::export::export(&Place::open(dir.path()).unwrap(), old.path(), &[], &mut |_, _, _| {}).unwrap();
    segment(dir.path(), 301..401, T0);
    segment(dir.path(), 401..501, T1);
    grow(dir.path(), 501, Vec::new());
    let new = exported(&dir);
    fs::remove_dir_all(new.path().join("2026q4")).unwrap();
    fs::rename(old.path().join("2026q4"), new.path().join("2026q4")).unwrap();
    assert_eq!(
        faults(new.path(), &alone()),
        [
            "audit.c/recorder-0/2027q1: the records 301 to 400, before its first, are in no log",
            "audit.c/recorder-0/2026q4: the log was rolled back: it had 401 entries and has 301, as the first entry of \
             2027q1 says"
        ]
    );
}

#[test]
fn shards_that_were_swapped_or_taken_away_are_named() {
    let dir = recorder();
    let to = exported(&dir);
    let log = |name: &str| to.path().join(name);
    fs::rename(log("2026q4"), log("x")).unwrap();
    fs::rename(log("2027q1"), log("2026q4")).unwrap();
    fs::rename(log("x"), log("2027q1")).unwrap();
    let told = faults(to.path(), &alone());
    for swapped in [
        "audit.c/recorder-0/2027q1: in the place of 2026q4 is the log audit.c/recorder-0/2027q1: logs were swapped",
        "audit.c/recorder-0/2026q4: in the place of 2027q1 is the log audit.c/recorder-0/2026q4: logs were swapped",
    ] {
        assert!(told.contains(&swapped.to_owned()), "{told:?}");
    }

    let to = exported(&dir);
    fs::remove_dir_all(to.path().join("2026q4")).unwrap();
    let missing = |by: &str| format!("{ORIGIN}: the log is not here; it had 401 entries, {by}");
    assert_eq!(faults(to.path(), &alone()), [missing("as the first entry of 2027q1 says")]);
    let known = with(witnessed(dir.path(), &["2026q4", "2027q1"]));
    let by_witness = missing("as the checkpoint that was given says");
    assert_eq!(faults(to.path(), &known), [by_witness, missing("as the first entry of 2027q1 says")]);
    // After more than a year it may be gone.
    let later = Expected { now: "2028-01-02T00:00:00Z".parse().unwrap(), ..known };
    assert_eq!(faults(to.path(), &later), [""; 0]);

    let to = exported(&dir);
    fs::remove_dir_all(to.path().join("2027q1")).unwrap();
    let known = with(witnessed(dir.path(), &["2026q4", "2027q1"]));
    let gone =
        "audit.c/recorder-0/2027q1: the log is not here; it had 101 entries, as the checkpoint that was given says";
    assert_eq!(faults(to.path(), &known), [gone]);
    let part = Part { shards: vec!["2025q1".parse().unwrap()], range: None };
    let told = verify(&Place::open(to.path()).unwrap(), &known, &part, &mut |_, _, _| {}).unwrap();
    assert_eq!(told.faults[0].to_string(), "2025q1: there is no such log here");
}

#[test]
fn a_log_that_was_slipped_in_between_is_named() {
    let dir = recorder();
    let to = exported(&dir);
    let origin = "audit.c/recorder-0/2026q4-e2";
    let forged = SigningKey::from_seed(origin, &[9; 32]).unwrap();
    let opening = format!(r#"{{"log":{{"origin":"{origin}","time":1,"firstSequence":401}}}}"#);
    write(&to.path().join("2026q4-e2"), &forged, &[opening.into_bytes()]);
    assert_eq!(
        faults(to.path(), &alone()),
        [
            "audit.c/recorder-0/2026q4-e2: 2027q1 does not follow this log, but 2026q4",
            "audit.c/recorder-0/2026q4-e2: its first entry names no log before it, and 2026q4 is here",
        ]
    );
}

/// A small log of these entries, as a forger with a key writes it.
fn write(dir: &Path, key: &SigningKey, all: &[Vec<u8>]) {
    let (mut edge, mut bundle, mut full) = (Edge::new(), Vec::new(), Vec::new());
    for (index, entry) in all.iter().enumerate() {
        assert!(log::push_entry(&mut bundle, entry));
        edge.push(leaf_hash(entry), &mut full);
        if (index + 1) % 256 == 0 || index + 1 == all.len() {
            let path = dir.join(log::entries_path(index as u64 / 256, (index % 256 + 1) as u16));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, std::mem::take(&mut bundle)).unwrap();
        }
    }
    full.extend(edge.partial_tiles());
    for (tile, bytes) in full {
        let path = dir.join(tile.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let origin = key.verifying_key().name().to_owned();
    fs::write(dir.join("checkpoint"), key.sign(&Checkpoint { origin, size: edge.size(), root: edge.root() })).unwrap();
    fs::write(dir.join("vkey"), key.verifying_key().to_string()).unwrap();
}

/// The entries of a log in a recorder's directory.
fn leaves(dir: &Path, name: &str) -> Vec<Vec<u8>> {
    let store = Place::open(dir).unwrap().store(name.parse().unwrap());
    let size = signed(dir, name).checkpoint().size;
    (0..size.div_ceil(256))
        .flat_map(|bundle| {
            let width = (size - bundle * 256).min(256) as u16;
            let bytes = store.read(&log::entries_path(bundle, width)).unwrap().unwrap();
            entries(&bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
        })
        .collect()
}

/// The signing key of a log that still grows.
fn signing_key(dir: &Path, name: &str) -> SigningKey {
    let seed = fs::read(shard(dir, name).join("key")).unwrap();
    SigningKey::from_seed(&format!("audit.c/recorder-0/{name}"), seed.as_slice().try_into().unwrap()).unwrap()
}

#[test]
fn a_second_root_for_one_size_is_named_whoever_signed_it() {
    let dir = recorder();
    let known = witnessed(dir.path(), &["2026q4", "2027q1"]);
    let to = exported(&dir);
    let mut entries = leaves(dir.path(), "2027q1");
    entries[50][40] ^= 1;
    write(&to.path().join("2027q1"), &signing_key(dir.path(), "2027q1"), &entries);
    let told = faults(to.path(), &with(known.clone()));
    let roots = (signed(dir.path(), "2027q1"), signed_in(to.path(), "2027q1"));
    let expected = format!(
        "audit.c/recorder-0/2027q1: two roots for one size: with 101 entries the root {} is signed too, as the checkpoint \
             that was given says; here it is {}",
        root(roots.0.checkpoint()),
        root(roots.1.checkpoint())
    );
    assert_eq!(told, [expected]);
    // Grown since, it is another log all the same.
    entries.push(entries[100].clone());
    write(&to.path().join("2027q1"), &signing_key(dir.path(), "2027q1"), &entries);
    let rewritten = "audit.c/recorder-0/2027q1: the log was rewritten: its first 101 entries are not those it had with 101 \
                     entries, as the checkpoint that was given says";
    assert_eq!(faults(to.path(), &with(known)), [rewritten]);
}

fn signed_in(dir: &Path, name: &str) -> SignedCheckpoint {
    SignedCheckpoint::parse(&fs::read_to_string(dir.join(name).join("checkpoint")).unwrap()).unwrap()
}

#[test]
fn what_was_signed_after_the_end_is_named() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..301, T0);
    grow(dir.path(), 301, Vec::new());
    let kept = signing_key(dir.path(), "2026q4");
    segment(dir.path(), 301..401, T0);
    segment(dir.path(), 401..501, T1);
    grow(dir.path(), 501, Vec::new());
    let to = exported(&dir);
    let mut entries = leaves(dir.path(), "2026q4");
    entries.push(b"{}".to_vec());
    write(&to.path().join("2026q4"), &kept, &entries);
    assert_eq!(
        faults(to.path(), &alone()),
        [
            "audit.c/recorder-0/2026q4: the log grew after its end: it has 402 entries and ended with 401, as the first entry \
             of 2027q1 says"
        ]
    );
}

#[test]
fn a_forged_checkpoint_is_named_wherever_it_is() {
    let dir = recorder();
    let stranger = SigningKey::from_seed(ORIGIN, &[9; 32]).unwrap();
    let checkpoint = signed(dir.path(), "2026q4").checkpoint().clone();
    let forged = stranger.sign(&checkpoint);
    // In the log's place.
    let to = exported(&dir);
    fs::write(to.path().join("2026q4/checkpoint"), &forged).unwrap();
    let told = faults(to.path(), &alone());
    let line =
        format!("{ORIGIN}: the checkpoint is not signed by {}: not signed by this key", key(dir.path(), "2026q4"));
    assert_eq!(told[0], line);
    // With its own key beside it: the next log's first entry, and the key from elsewhere, are not fooled.
    fs::write(to.path().join("2026q4/vkey"), stranger.verifying_key().to_string()).unwrap();
    let line =
        format!("{ORIGIN}: the checkpoint of it in the first entry of 2027q1 is not its own: not signed by this key");
    assert_eq!(faults(to.path(), &alone()), [line]);
    let keys = vec![key(dir.path(), "2026q4")];
    let told = faults(to.path(), &Expected { keys, ..alone() });
    assert!(told[0].starts_with(&format!("{ORIGIN}: the checkpoint is not signed by")), "{told:?}");
    // As the one that was witnessed.
    let to = exported(&dir);
    fs::write(to.path().join("2026q4/witnessed"), &forged).unwrap();
    let line = format!(
        "{ORIGIN}: the witnessed checkpoint beside it is not signed by the log: not signed \
         by this key"
    );
    assert_eq!(faults(to.path(), &alone()), [line]);
    // With a cosignature of somebody else.
    let note = signed(dir.path(), "2026q4");
    let other = SigningKey::from_seed("witness.c", &[8; 32]).unwrap();
    fs::write(to.path().join("2026q4/witnessed"), note.with_signature(&other.cosign(&note, 1)).unwrap().text())
        .unwrap();
    let witness = Some(WITNESS.verifying_key().cosigner());
    let told = faults(to.path(), &Expected { witness, ..alone() });
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("is not cosigned by witness.c"), "{told:?}");
    assert_eq!(told[1], format!("{ORIGIN}: there is no checkpoint that witness.c cosigned"));
}

#[test]
fn a_log_of_somebody_else_passes_for_none_of_these() {
    let dir = recorder();
    let to = exported(&dir);
    let origin = "audit.d/recorder-7/2027q1";
    let key = SigningKey::from_seed(origin, &[9; 32]).unwrap();
    fs::remove_dir_all(to.path().join("2027q1")).unwrap();
    let opening = format!(r#"{{"log":{{"origin":"{origin}","time":1,"firstSequence":401}}}}"#);
    write(&to.path().join("2027q1"), &key, &[opening.into_bytes()]);
    let told = faults(to.path(), &with(witnessed(dir.path(), &["2026q4"])));
    assert!(told.contains(&format!("{origin}: this log is not of audit.c/recorder-0, whose logs the others are")));
    assert!(told.contains(&format!("{origin}: this log is not of the cluster c, whose checkpoints were given")));
}

#[test]
fn every_edited_byte_of_every_file_is_noticed() {
    let dir = recorder();
    let known = with(witnessed(dir.path(), &["2026q4", "2027q1"]));
    let to = exported(&dir);
    let mut files = Vec::new();
    let mut open = vec![to.path().to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    assert_eq!(files.len(), 11);
    for file in files.iter().filter(|file| !file.ends_with("vkey")) {
        let right = fs::read(file).unwrap();
        for place in (0..right.len()).step_by(right.len() / 17 + 1) {
            let mut wrong = right.clone();
            wrong[place] ^= 1;
            fs::write(file, wrong).unwrap();
            let verdict = report(to.path(), &known).verdict();
            assert_eq!(verdict, Verdict::Flawed, "{place} of {}", file.display());
        }
        fs::write(file, right).unwrap();
    }
    assert_eq!(report(to.path(), &known).verdict(), Verdict::Whole);
}

#[test]
fn an_edited_byte_on_a_recorders_own_disk_is_named() {
    let dir = recorder();
    let file = shard(dir.path(), "2026q4").join("tile/entries/000.gz");
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut GzDecoder::new(fs::File::open(&file).unwrap()), &mut plain).unwrap();
    let all = entries(&plain).unwrap();
    let offset = all[..7].iter().map(|entry| entry.len() + 2).sum::<usize>() + 2 + 90;
    plain[offset] ^= 1;
    fs::write(file.with_extension(""), plain).unwrap();
    let told = faults(dir.path(), &with(witnessed(dir.path(), &["2026q4", "2027q1"])));
    assert_eq!(told, [format!("{ORIGIN}: entry 7 does not hash to what tile/0/000 says")]);
    // In the journal, of what is in no full bundle yet: its checksum does not hold any more.
    let dir = recorder();
    let segment = dir.path().join("journal-00000000000000000401.otj");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let told = faults(dir.path(), &alone());
    assert_eq!(told[0], "audit.c/recorder-0/2027q1: tile/entries/000.p/101 is missing");
}

#[test]
fn a_range_is_checked_by_itself() {
    let dir = recorder();
    let place = Place::open(dir.path()).unwrap();
    let mut done = Vec::new();
    let part = Part { shards: vec!["2026q4".parse().unwrap()], range: Some(300..310) };
    let told = verify(&place, &alone(), &part, &mut |_, it, of| done.push((it, of))).unwrap();
    assert_eq!((told.faults.clone(), told.logs.len(), done), (vec![], 1, vec![(10, 10)]));
    let part = Part { range: Some(300..402), ..part };
    let told = verify(&place, &alone(), &part, &mut |_, _, _| {}).unwrap();
    assert_eq!(told.verdict(), Verdict::Flawed);
}
