//! Logs that grow, are taken up again, are cut, put back and edited.

use std::{fs, path::Path};

use audit::{
    Name, Origin, Role,
    log::{
        Checkpoint, Edge, SignedCheckpoint, Store, StoredTiles, TILE_WIDTH, VerifyingKey, entries, entries_path,
        leaf_hash, root_at,
    },
};
use tempfile::TempDir;

use super::{
    building::Opening,
    copying::copy,
    growing::Trouble,
    keeping::{Expired, clear, delete, expired},
    *,
};
use crate::{
    frame::push,
    read::{Filter, Item, items, print},
};

const POD: &str = "recorder-0";
/// Within 2026q4.
const T0: i64 = 1_796_000_000_000;

fn outside(remembered: Vec<Checkpoint>) -> Outside {
    Outside { cluster: "c".to_owned(), remembered }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(T0).unwrap()
}

fn payload(sequence: u64, time: i64) -> String {
    format!(
        r#"{{"writer":{{"role":"gateway","pod":"gateway-0"}},"time":{time},"sequence":{sequence},"event":{{"n":{sequence}}}}}"#
    )
}

/// A segment with records of these numbers, a second apart.
fn segment(dir: &Path, sequences: std::ops::Range<u64>) {
    segment_at(dir, sequences, |sequence| T0 + sequence as i64 * 1000);
}

fn segment_at(dir: &Path, sequences: std::ops::Range<u64>, time: impl Fn(u64) -> i64) {
    let mut bytes = Vec::new();
    let first = sequences.start;
    for sequence in sequences {
        assert!(push(&mut bytes, payload(sequence, time(sequence)).as_bytes()));
    }
    fs::write(dir.join(format!("journal-{first:020}.otj")), bytes).unwrap();
}

fn open(dir: &Path, remembered: Vec<Checkpoint>, durable: u64) -> (Growing, Vec<Trouble>) {
    let (mut growing, faults) = Growing::open(dir, &outside(remembered), POD, durable, now()).unwrap();
    growing.follow(durable, now()).unwrap();
    (growing, faults)
}

/// Opens it, signs, and gives the log as it is read then.
fn grown(dir: &Path, durable: u64) -> (Growing, Logs) {
    let (mut growing, faults) = open(dir, Vec::new(), durable);
    assert_eq!(faults, []);
    let logs = signed(&mut growing, dir);
    (growing, logs)
}

fn signed(growing: &mut Growing, dir: &Path) -> Logs {
    let live = Arc::new(ArcSwapOption::empty());
    if let Some(snapshot) = growing.sign().unwrap().or_else(|| growing.snapshot()) {
        let (shard, shard_dir) = growing.shard();
        live.store(Some(Arc::new(Live::new(shard, shard_dir.to_owned(), snapshot))));
    }
    Logs::new(dir.to_owned(), live)
}

/// Verifies a shard as an outsider does, and tells its checkpoint and its entries.
fn verified(logs: &Logs, shard: &str) -> (Checkpoint, Vec<String>) {
    let store = logs.shard(shard.parse().unwrap());
    let read = |path: &str| store.read(path).unwrap().unwrap_or_else(|| panic!("{path} is missing"));
    let text = |path: &str| String::from_utf8(read(path)).unwrap();
    let note = SignedCheckpoint::parse(&text("checkpoint")).unwrap();
    note.verify(&text("vkey").parse().unwrap()).unwrap();
    let checkpoint = note.checkpoint().clone();
    let (mut edge, mut all) = (Edge::new(), Vec::new());
    for bundle in 0..checkpoint.size.div_ceil(TILE_WIDTH) {
        let width = TILE_WIDTH.min(checkpoint.size - bundle * TILE_WIDTH) as u16;
        for entry in entries(&read(&entries_path(bundle, width))).unwrap() {
            edge.push(leaf_hash(entry), &mut Vec::new());
            all.push(String::from_utf8(entry.to_vec()).unwrap());
        }
    }
    assert_eq!((edge.size(), edge.root()), (checkpoint.size, checkpoint.root));
    assert_eq!(root_at(checkpoint.size, &StoredTiles(&store)).unwrap(), checkpoint.root, "and so say the tiles");
    (checkpoint, all)
}

fn checkpoint(dir: &Path, shard: &str) -> SignedCheckpoint {
    SignedCheckpoint::parse(&fs::read_to_string(dir.join("log").join(shard).join("checkpoint")).unwrap()).unwrap()
}

fn opening(entry: &str) -> building::Opened {
    serde_json::from_str::<Opening>(entry).unwrap().log
}

/// The numbers of all records, in the order they are read.
fn numbers(dir: &Path) -> Vec<u64> {
    items(dir)
        .unwrap()
        .map(|item| match item.unwrap() {
            Item::Record(record) => record.sequence,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn every_durable_record_is_a_leaf_in_its_order_behind_the_opening() {
    for count in [0, 1, 254, 255, 256, 300, 600] {
        let dir = TempDir::new().unwrap();
        segment(dir.path(), 1..count + 5);
        let (_growing, logs) = grown(dir.path(), count + 1);
        let (checkpoint, entries) = verified(&logs, "2026q4");
        assert_eq!(checkpoint.size, count + 1, "what is not durable is no leaf");
        assert_eq!(checkpoint.origin, "audit.c/recorder-0/2026q4");
        let opened = opening(&entries[0]);
        assert_eq!((opened.first_sequence, opened.previous), (1, None));
        let expected: Vec<String> = (1..=count).map(|it| payload(it, T0 + it as i64 * 1000)).collect();
        assert_eq!(entries[1..], expected);
    }
}

#[test]
fn a_log_taken_up_again_anywhere_goes_on_as_one_that_never_stopped() {
    let (whole, parts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    segment(whole.path(), 1..1000);
    let (_growing, logs) = grown(whole.path(), 1000);
    let (_, expected) = verified(&logs, "2026q4");
    segment(parts.path(), 1..400);
    for (at, durable) in [1, 2, 200, 255, 256, 300, 400, 511, 512, 513, 767, 1000].into_iter().enumerate() {
        if durable == 511 {
            segment(parts.path(), 400..1000);
        }
        let (mut growing, logs) = grown(parts.path(), durable);
        let (checkpoint, entries) = verified(&logs, "2026q4");
        assert_eq!(checkpoint.size, durable, "{at}");
        assert_eq!(entries[1..], expected[1..durable as usize]);
        growing.trim().unwrap();
    }
    let left: Vec<_> = crate::journal::segments(parts.path()).unwrap();
    assert_eq!(left.len(), 1, "what is in full bundles left the journal: {left:?}");
    assert_eq!(numbers(parts.path()), (1..1000).collect::<Vec<_>>(), "and is read all the same");
}

#[test]
fn segments_leave_the_journal_only_when_all_of_their_records_are_in_full_bundles() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..200);
    segment(dir.path(), 200..255);
    segment(dir.path(), 255..300);
    segment(dir.path(), 300..310);
    let first = || crate::journal::segments(dir.path()).unwrap()[0].0;
    for (durable, expected) in [(255, 1), (256, 255), (310, 255)] {
        grown(dir.path(), durable).0.trim().unwrap();
        assert_eq!(first(), expected, "{durable}");
        let (_, logs) = grown(dir.path(), durable);
        assert_eq!(verified(&logs, "2026q4").0.size, durable);
    }
    assert_eq!(numbers(dir.path()), (1..310).collect::<Vec<_>>());
}

#[test]
fn segments_stay_in_the_journal_while_a_bundle_of_theirs_cannot_be_synced() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..300);
    segment(dir.path(), 300..310);
    let (mut growing, _) = grown(dir.path(), 310);
    let bundle = dir.path().join("log/2026q4/tile/entries/000.gz");
    let kept = fs::read(&bundle).unwrap();
    fs::remove_file(&bundle).unwrap();
    let segments = || crate::journal::segments(dir.path()).unwrap().len();
    segment(dir.path(), 310..800);
    segment(dir.path(), 800..810);
    growing.follow(810, Timestamp::from_millisecond(T0).unwrap()).unwrap();
    assert!(growing.trim().is_err());
    assert_eq!(segments(), 4);
    fs::write(&bundle, kept).unwrap();
    growing.trim().unwrap();
    assert_eq!(segments(), 2);
}

#[test]
fn another_quarter_is_another_log_that_begins_with_the_last_checkpoint_of_the_one_before() {
    let dir = TempDir::new().unwrap();
    let later = T0 + 90 * 86_400_000;
    segment_at(dir.path(), 1..600, |sequence| if sequence < 300 { T0 } else { later });
    let (_growing, logs) = grown(dir.path(), 600);
    assert_eq!(logs.shards().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026q4", "2027q1"]);
    let ((old, _), (new, entries)) = (verified(&logs, "2026q4"), verified(&logs, "2027q1"));
    assert_eq!((old.size, new.size), (300, 301));
    let opened = opening(&entries[0]);
    assert_eq!(opened.previous.as_deref(), Some(checkpoint(dir.path(), "2026q4").text()));
    assert_eq!(opened.first_sequence, 300);
    assert!(!dir.path().join("log/2026q4/key").exists(), "nothing signs the old one any more");
    assert_eq!(numbers(dir.path()), (1..600).collect::<Vec<_>>());
    // As after a crash before the new one was there.
    fs::remove_dir_all(dir.path().join("log/2027q1")).unwrap();
    let (mut growing, faults) = Growing::open(dir.path(), &outside(vec![]), POD, 600, now()).unwrap();
    growing.follow(600, now()).unwrap();
    assert_eq!(faults, []);
    let logs = signed(&mut growing, dir.path());
    let last = logs.shards().unwrap().pop().unwrap().to_string();
    assert_eq!(opening(&verified(&logs, &last).1[0]).first_sequence, 300);
    assert_eq!(numbers(dir.path()), (1..600).collect::<Vec<_>>());
}

#[test]
fn a_clock_that_goes_back_opens_no_log_of_the_past() {
    let dir = TempDir::new().unwrap();
    segment_at(dir.path(), 1..10, |sequence| T0 - sequence as i64 * 30 * 86_400_000);
    let (_growing, logs) = grown(dir.path(), 10);
    assert_eq!(verified(&logs, "2026q4").0.size, 10);
}

#[test]
fn a_gap_in_the_journal_ends_a_log_and_begins_another_epoch() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..100);
    segment(dir.path(), 120..130);
    let (_growing, logs) = grown(dir.path(), 130);
    assert_eq!(verified(&logs, "2026q4").0.size, 100);
    let (checkpoint, entries) = verified(&logs, "2026q4-e2");
    assert_eq!((checkpoint.size, opening(&entries[0]).first_sequence), (11, 120));
    let mut out = Vec::new();
    let printed = print(dir.path(), &Filter::default(), &mut out).unwrap();
    assert_eq!((printed.records, printed.flaws), (109, 1));
    assert!(String::from_utf8(out).unwrap().contains(r#"{"missing":{"from":100,"to":119}}"#));
}

/// A log with 300 records, signed at 301, and what the witness saw of it.
fn witnessed(dir: &TempDir) -> Checkpoint {
    segment(dir.path(), 1..400);
    let (_growing, logs) = grown(dir.path(), 301);
    verified(&logs, "2026q4").0
}

#[test]
fn an_old_disk_that_was_put_back_is_noticed_and_never_signed_again() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..400);
    grown(dir.path(), 201);
    let old = checkpoint(dir.path(), "2026q4");
    let seen = witnessed(&TempDir::new().unwrap());
    let (mut growing, faults) = open(dir.path(), vec![seen], 201);
    let [Trouble::RolledBack { remembered: 301, found: 201, .. }] = &faults[..] else { panic!("{faults:?}") };
    let logs = signed(&mut growing, dir.path());
    let (checkpoint_now, entries) = verified(&logs, "2026q4-e2");
    assert_eq!(opening(&entries[0]).previous.as_deref(), Some(old.text()));
    // What is in no full bundle of the old log is in the new one.
    assert_eq!((opening(&entries[0]).first_sequence, checkpoint_now.size), (1, 201));
    assert_eq!(checkpoint(dir.path(), "2026q4"), old);
    assert!(!dir.path().join("log/2026q4/key").exists());
    // And the next start goes on with the new one.
    let (growing, faults) = open(dir.path(), vec![], 201);
    assert_eq!((faults.len(), growing.shard().0.to_string()), (0, "2026q4-e2".to_owned()));
}

#[test]
fn a_disk_that_was_lost_is_noticed_and_its_logs_name_is_not_taken_again() {
    let seen = witnessed(&TempDir::new().unwrap());
    let dir = TempDir::new().unwrap();
    let (growing, faults) = open(dir.path(), vec![seen], 1);
    assert!(matches!(&faults[..], [Trouble::RolledBack { remembered: 301, found: 0, .. }]), "{faults:?}");
    assert_eq!(growing.shard().0.to_string(), "2026q4-e2");
}

#[test]
fn a_log_with_other_records_than_were_signed_or_witnessed_is_noticed() {
    let dir = TempDir::new().unwrap();
    let seen = witnessed(&dir);
    // A record of the journal was changed, with its checksum.
    segment_at(dir.path(), 1..400, |sequence| T0 + sequence as i64 * 1000 + i64::from(sequence == 300));
    let (growing, faults) = open(dir.path(), vec![], 400);
    assert!(matches!(&faults[..], [Trouble::Rewritten { size: 301, .. }]), "{faults:?}");
    assert_eq!(growing.shard().0.to_string(), "2026q4-e2");
    // The same where only the witness's memory tells: its own checkpoint was put right too.
    let other = TempDir::new().unwrap();
    segment_at(other.path(), 1..400, |sequence| T0 + sequence as i64 * 1000 + i64::from(sequence == 300));
    grown(other.path(), 301);
    let (_, faults) = open(other.path(), vec![seen.clone()], 400);
    assert!(matches!(&faults[..], [Trouble::Rewritten { size: 301, .. }]), "{faults:?}");
    // What the witness saw of others is no business of this one.
    let foreign = Checkpoint { origin: "audit.c/recorder-1/2026q4".to_owned(), ..seen };
    let fresh = TempDir::new().unwrap();
    segment(fresh.path(), 1..10);
    assert_eq!(open(fresh.path(), vec![foreign], 10).1, []);
}

#[test]
fn records_that_were_signed_and_are_gone_from_the_journal_are_noticed() {
    let dir = TempDir::new().unwrap();
    witnessed(&dir);
    segment(dir.path(), 1..290);
    let (_, faults) = open(dir.path(), vec![], 290);
    assert!(matches!(&faults[..], [Trouble::RolledBack { remembered: 301, found: 290, .. }]), "{faults:?}");
}

#[test]
fn a_tile_that_is_gone_ends_the_log() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..300);
    segment(dir.path(), 300..610);
    grown(dir.path(), 610).0.trim().unwrap();
    fs::remove_file(dir.path().join("log/2026q4/tile/0/001")).unwrap();
    let (growing, faults) = open(dir.path(), vec![], 610);
    assert!(matches!(&faults[..], [Trouble::Rewritten { .. }]), "{faults:?}");
    assert_eq!(growing.shard().0.to_string(), "2026q4-e2");
}

#[test]
fn a_signing_key_that_was_taken_away_gives_way_to_another() {
    let dir = TempDir::new().unwrap();
    segment(dir.path(), 1..10);
    grown(dir.path(), 5);
    fs::remove_file(dir.path().join("log/2026q4/key")).unwrap();
    let (_growing, logs) = grown(dir.path(), 10);
    let keys = ["2026q4", "2026q4-e2"].map(|shard| fs::read_to_string(dir.path().join("log").join(shard).join("vkey")));
    let [old, new] = keys.map(|key| key.unwrap().parse::<VerifyingKey>().unwrap());
    assert_ne!(old.to_string(), new.to_string());
    assert_eq!(verified(&logs, "2026q4-e2").0.size, 10);
}

#[test]
fn nothing_beside_the_log_is_readable_and_what_was_cosigned_is_kept_if_it_is_its_own() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    witnessed(&other);
    segment(dir.path(), 1..300);
    let (mut growing, logs) = grown(dir.path(), 200);
    let shard = growing.shard().0;
    for path in ["key", "opening", "times", "../2026q4/key", "tile/../key", "closed", ""] {
        let read = logs.shard(shard).read(path);
        assert!(!matches!(read, Ok(Some(_))), "{path}");
    }
    let own = checkpoint(dir.path(), "2026q4");
    assert!(!logs.keep_witnessed(shard, &checkpoint(other.path(), "2026q4")).unwrap(), "signed by another key");
    assert!(logs.keep_witnessed(shard, &own).unwrap());
    growing.follow(300, now()).unwrap();
    growing.sign().unwrap();
    let newer = checkpoint(dir.path(), "2026q4");
    for note in [&newer, &own] {
        assert!(logs.keep_witnessed(shard, note).unwrap());
    }
    let kept = logs.shard(shard).read("witnessed").unwrap().unwrap();
    assert_eq!(String::from_utf8(kept).unwrap(), newer.text(), "an older one does not take its place");
    let [log] = &logs.list().unwrap()[..] else { panic!() };
    assert_eq!((log.size, log.witnessed, log.is_closed), (200, 300, false));
}

#[tokio::test]
async fn the_keeper_signs_what_a_journal_acknowledged() {
    let dir = TempDir::new().unwrap();
    let origin = Origin { role: Role::Recorder, pod: Name::parse(POD).unwrap(), version: "0.1.0" };
    let journal = Journal::open(dir.path(), origin.clone()).unwrap();
    let keeper = Keeper::open(journal.clone(), outside(vec![])).await.unwrap();
    let logs = keeper.logs();
    let ended = CancellationToken::new();
    let running = tokio::spawn(keeper.run(ended.clone()));
    let appended = journal.record(audit::Lifecycle::Started).await.unwrap();
    ended.cancel();
    running.await.unwrap();
    let shard = logs.shards().unwrap()[0].to_string();
    let (checkpoint, entries) = verified(&logs, &shard);
    assert_eq!(checkpoint.size, appended.last_sequence + 1);
    assert!(entries[1].contains("log opened") && entries.last().unwrap().contains("started"), "{entries:?}");
}

/// Three quarters, of which the last grows.
fn three_quarters(dir: &Path) -> (Growing, Logs) {
    segment_at(dir, 1..700, |sequence| T0 + (sequence as i64 / 300) * 92 * 86_400_000 + sequence as i64);
    grown(dir, 700)
}

#[test]
fn whole_logs_go_when_all_of_them_is_older_than_the_retention_and_the_newest_never() {
    let dir = TempDir::new().unwrap();
    let (_growing, logs) = three_quarters(dir.path());
    let names: Vec<String> = logs.shards().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["2026q4", "2027q1", "2027q2"]);
    let year = Duration::from_secs(365 * 86_400);
    let day = |days: i64| Timestamp::from_millisecond(T0 + days * 86_400_000).unwrap();
    let gone = |now| -> Vec<String> {
        expired(dir.path(), year, now).unwrap().iter().map(|one| one.shard.to_string()).collect()
    };
    assert_eq!(gone(day(365)), [""; 0], "its newest record is milliseconds younger");
    assert_eq!(gone(day(366)), ["2026q4"]);
    assert_eq!(gone(day(9999)), ["2026q4", "2027q1"]);
    let [old, ..] = &expired(dir.path(), year, day(366)).unwrap()[..] else { panic!() };
    let expected = Expired {
        shard: "2026q4".parse().unwrap(),
        origin: "audit.c/recorder-0/2026q4".to_owned(),
        from: T0,
        to: T0 + 299,
    };
    assert_eq!(*old, expected);
    delete(dir.path(), old.shard).unwrap();
    assert_eq!(numbers(dir.path()), (300..700).collect::<Vec<_>>());
    let (_growing, logs) = grown(dir.path(), 700);
    assert_eq!(verified(&logs, "2027q2").0.size, 101);
    // As a kill in the middle leaves it.
    fs::create_dir_all(dir.path().join("log/deleted-2026q4/tile")).unwrap();
    clear(dir.path()).unwrap();
    assert!(!dir.path().join("log/deleted-2026q4").exists());
}

#[tokio::test]
async fn a_copy_has_what_was_witnessed_and_anybody_can_verify_it() {
    let (dir, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let url = process::storage::parse(&format!("file://{}", place.path().join("audit").display())).unwrap();
    let storage = process::storage::Storage::open(&url).unwrap();
    let read = |size: u64| {
        let store = audit::log::Directory(place.path().join("audit/recorder-0/2026q4"));
        let key = String::from_utf8(store.read("vkey").unwrap().unwrap()).unwrap().parse().unwrap();
        let verified =
            audit::log::verify(&store, &key, &audit::log::Options::default(), &mut |_, _| {}, &mut |_, _| {});
        assert_eq!(verified.unwrap_or_else(|flaws| panic!("{flaws}")).size, size);
    };
    let shard = "2026q4".parse().unwrap();
    segment(dir.path(), 1..700);
    let mut copied = None;
    for durable in [100, 256, 300, 600, 700] {
        let (_growing, logs) = grown(dir.path(), durable);
        let witnessed = checkpoint(dir.path(), "2026q4");
        assert!(logs.keep_witnessed(shard, &witnessed).unwrap());
        copied = Some(copy(&logs, shard, "recorder-0", &storage, copied).await.unwrap());
        read(durable);
        // Once more it is nothing, and after a restart it is the same.
        copy(&logs, shard, "recorder-0", &storage, copied).await.unwrap();
        copy(&logs, shard, "recorder-0", &storage, None).await.unwrap();
        read(durable);
    }
    let (_growing, logs) = grown(dir.path(), 700);
    let at = |path: &str| place.path().join("audit/recorder-0/2026q4").join(path);
    fs::write(at("tile/0/000"), [0; 8192]).unwrap();
    // After a restart nothing is put once more that was.
    copy(&logs, shard, "recorder-0", &storage, None).await.unwrap();
    // What is there and something else is not overwritten, where nobody noted that it was copied, or elsewhere.
    let noted = dir.path().join("log/2026q4/copied");
    let note = fs::read_to_string(&noted).unwrap();
    for other in [None, Some(note.replacen("file://", "file:///other", 1)), Some("none".to_owned())] {
        match other {
            None => fs::remove_file(&noted).unwrap(),
            Some(text) => fs::write(&noted, text).unwrap(),
        }
        let error = copy(&logs, shard, "recorder-0", &storage, None).await.unwrap_err();
        assert!(format!("{error:?}").contains("Taken"), "{error:?}");
    }
}
