//! Journals that are opened anew, cut and damaged.

mod disk;

use audit::{Lifecycle, Name, Reason, Role};
use tempfile::TempDir;

use super::{disk::Disk, recovery::segment_path, *};
use crate::read::{Filter, Item, Printed, items, print};

fn origin() -> Origin {
    Origin { role: Role::Recorder, pod: Name::parse("recorder-0").unwrap(), version: "0.1.0" }
}

fn gateway() -> Peer {
    Peer { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap() }
}

fn events(count: usize) -> Vec<Checked> {
    let fault = Fault::Unexpected { reason: Reason::new("Test"), target: None };
    let run = Run::new(origin());
    (0..count).map(|_| run.event(&fault.clone().into()).into_checked()).collect()
}

fn open(dir: &TempDir) -> Journal {
    Journal::open(dir.path(), origin()).unwrap()
}

/// The uids of the records in a journal without a flaw.
fn uids(dir: &Path) -> Vec<String> {
    let record = |item| match item {
        Ok(Item::Record(record)) => uid(&record.event),
        other => panic!("{other:?}"),
    };
    items(dir).unwrap().map(record).collect()
}

fn uid(event: &serde_json::Value) -> String {
    event["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn uid_of(event: &Checked) -> String {
    uid(&serde_json::from_str(event.as_line()).unwrap())
}

fn flaws(dir: &Path) -> Vec<Item> {
    items(dir).unwrap().map(Result::unwrap).filter(|item| !matches!(item, Item::Record(_))).collect()
}

/// A journal in `dir` with these batches, closed; returns the uids in order.
async fn written(dir: &TempDir, batches: &[usize]) -> Vec<String> {
    let journal = open(dir);
    let mut written = Vec::new();
    for count in batches {
        let batch = events(*count);
        written.extend(batch.iter().map(uid_of));
        let appended = journal.append(gateway(), batch).await.unwrap();
        assert_eq!(appended, Appended { count: *count, last_sequence: written.len() as u64 });
    }
    written
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let dir = TempDir::new().unwrap();
    let mut expected = written(&dir, &[1, 3, 256]).await;
    assert_eq!(uids(dir.path()), expected);
    let journal = open(&dir);
    assert_eq!(*journal.recovery(), Recovery::default());
    assert_eq!(journal.append(gateway(), events(1)).await.unwrap().last_sequence, 261);
    assert_eq!(journal.record(Lifecycle::Started).await.unwrap().last_sequence, 262);
    let now = uids(dir.path());
    expected.extend(now[260..].to_vec());
    assert_eq!(now, expected);
    assert_eq!(now.len(), 262);
    let writers: Vec<_> = items(dir.path())
        .unwrap()
        .map(|item| match item.unwrap() {
            Item::Record(record) => record.writer,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(writers[260], gateway());
    assert_eq!(writers[261], peer(&origin()));
}

#[tokio::test]
async fn an_empty_batch_is_refused() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(open(&dir).append(gateway(), vec![]).await, Err(AppendError::Empty)));
    assert_eq!(uids(dir.path()).len(), 0);
}

#[tokio::test]
async fn the_longest_event_of_the_writer_with_the_longest_name_is_stored_as_it_came() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let line = events(1).remove(0).as_line().to_owned();
    let padding = "x".repeat(audit::wire::MAX_EVENT_BYTES - line.len() - r#""raw":"","#.len());
    let line = line.replacen('{', &format!(r#"{{"raw":"{padding}","#), 1);
    assert_eq!(line.len(), audit::wire::MAX_EVENT_BYTES);
    let event = audit::check(line.as_bytes(), Role::Gateway).unwrap();
    let writer = Peer { role: Role::Gateway, pod: Name::parse(&"n".repeat(253)).unwrap() };
    journal.append(writer, vec![event]).await.unwrap();
    drop(journal);
    let Some(Ok(Item::Record(record))) = items(dir.path()).unwrap().next() else { panic!("a record") };
    assert_eq!(record.event, serde_json::from_str::<serde_json::Value>(&line).unwrap());
}

#[tokio::test]
async fn a_journal_is_open_once() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    assert!(matches!(Journal::open(dir.path(), origin()), Err(OpenError::Locked { .. })));
    drop(first);
    open(&dir);
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_of_its_last_write_keeps_everything_before_and_reports_the_cut() {
    let dir = TempDir::new().unwrap();
    let before = written(&dir, &[5]).await;
    let path = segment_path(dir.path(), 1);
    let acknowledged = std::fs::metadata(&path).unwrap().len();
    let last = uids_after(&dir, 3).await;
    let whole = std::fs::read(&path).unwrap();
    let frames = frame_ends(&whole[acknowledged as usize..], acknowledged);

    for end in acknowledged..=whole.len() as u64 {
        let crashed = TempDir::new().unwrap();
        std::fs::write(segment_path(crashed.path(), 1), &whole[..end as usize]).unwrap();
        let kept = frames.iter().filter(|frame| **frame <= end).count();
        let good = frames[..kept].last().copied().unwrap_or(acknowledged);
        let cut = end - good;

        let (recovery, recovered) = recovery::recover(crashed.path()).unwrap();
        assert_eq!(recovery, Recovery { cut_bytes: cut, damaged_bytes: 0 }, "cut at {end}");
        assert_eq!((recovered.length, recovered.next_sequence), (good, 6 + kept as u64));
        assert_eq!(uids(crashed.path()), [&before[..], &last[..kept]].concat());
        assert_eq!(recovery::recover(crashed.path()).unwrap(), (Recovery::default(), recovered));
    }
}

#[tokio::test]
async fn a_journal_that_was_cut_says_so_once_and_goes_on() {
    let dir = TempDir::new().unwrap();
    written(&dir, &[3]).await;
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    let second = frame_ends(&whole, 0)[1];
    std::fs::write(&path, &whole[..second as usize + 100]).unwrap();

    let journal = open(&dir);
    assert_eq!(*journal.recovery(), Recovery { cut_bytes: 100, damaged_bytes: 0 });
    assert_eq!(journal.append(gateway(), events(1)).await.unwrap().last_sequence, 4);
    let Item::Record(report) = items(dir.path()).unwrap().nth(2).unwrap().unwrap() else { panic!("no report") };
    assert_eq!(report.event["status_detail"], "JournalCut");
    assert_eq!(report.event["unmapped"]["bytes"], 100);
    assert_eq!(report.writer, peer(&origin()));
    drop(journal);
    assert_eq!(*open(&dir).recovery(), Recovery::default());
}

async fn uids_after(dir: &TempDir, count: usize) -> Vec<String> {
    let batch = events(count);
    let uids = batch.iter().map(uid_of).collect();
    open(dir).append(gateway(), batch).await.unwrap();
    uids
}

fn frame_ends(frames: &[u8], offset: u64) -> Vec<u64> {
    let mut ends = Vec::new();
    let mut rest = frames;
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        rest = &rest[8 + u32::from_be_bytes(*length) as usize..];
        ends.push(offset + (frames.len() - rest.len()) as u64);
    }
    ends
}

#[tokio::test]
async fn a_byte_changed_before_the_last_record_is_reported_and_nothing_is_cut() {
    let dir = TempDir::new().unwrap();
    let before = written(&dir, &[3]).await;
    let path = segment_path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let ends = frame_ends(&bytes, 0);
    bytes[ends[0] as usize + 40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let damaged = ends[1] - ends[0];
    let journal = open(&dir);
    assert_eq!(*journal.recovery(), Recovery { cut_bytes: 0, damaged_bytes: damaged });
    assert_eq!(journal.append(gateway(), events(1)).await.unwrap().last_sequence, 5);
    drop(journal);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "what is left of it stays as it is");
    assert_eq!(
        flaws(dir.path()),
        [Item::Unreadable { segment: path, offset: ends[0], bytes: damaged }, Item::Missing { from: 2, to: 2 }]
    );
    let mut out = Vec::new();
    let printed = print(dir.path(), &Filter::default(), &mut out).unwrap();
    assert_eq!(printed, Printed { records: 4, flaws: 2 });
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(&before[0]) && !out.contains(&before[1]) && out.contains(&before[2]));
    assert!(out.contains("JournalDamaged") && out.contains(r#"{"missing":{"from":2,"to":2}}"#));
    assert_eq!(*open(&dir).recovery(), Recovery::default(), "the new segment is whole");
}

#[tokio::test]
async fn a_journal_that_is_being_written_can_be_read() {
    let dir = TempDir::new().unwrap();
    let expected = written(&dir, &[4]).await;
    let path = segment_path(dir.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(uids(dir.path()), expected[..3]);
}

#[tokio::test]
async fn other_files_are_no_segments() {
    let dir = TempDir::new().unwrap();
    for name in ["journal-1.otj", "journal-00000000000000000001.otj.bak", "x.otj", "lost+found"] {
        std::fs::write(dir.path().join(name), b"not a segment").unwrap();
    }
    assert_eq!(written(&dir, &[1]).await.len(), 1);
    assert_eq!(uids(dir.path()).len(), 1);
}

#[tokio::test]
async fn a_full_segment_is_followed_by_another() {
    let dir = TempDir::new().unwrap();
    let small = || Disk { segment_bytes: 4000, ..Disk::default() };
    let mut expected = Vec::new();
    for opened in 0..2 {
        let journal = Journal::open_on(dir.path(), origin(), small()).unwrap();
        for _ in 0..10 {
            let batch = events(3);
            expected.extend(batch.iter().map(uid_of));
            journal.append(gateway(), batch).await.unwrap();
        }
        // A write longer than a segment gets one of its own.
        let batch = events(30);
        expected.extend(batch.iter().map(uid_of));
        assert_eq!(journal.append(gateway(), batch).await.unwrap().last_sequence, 60 * (opened + 1));
    }
    assert_eq!(uids(dir.path()), expected);
    let segments = segments(dir.path()).unwrap();
    assert!(segments.len() >= 6, "{segments:?}");
    assert_eq!(segments[0].0, 1);
    for (first, path) in segments {
        let mut pieces = crate::frame::Pieces::new(File::open(&path).unwrap());
        let Some(Ok(crate::frame::Piece::Frame { payload, .. })) = pieces.next() else { panic!("empty") };
        let record: crate::frame::Record = serde_json::from_slice(&payload).unwrap();
        assert_eq!(record.sequence, first, "a segment is named after its first record");
    }
}

#[tokio::test]
async fn a_segment_missing_between_others_is_noticed() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open_on(dir.path(), origin(), Disk { segment_bytes: 1, ..Disk::default() }).unwrap();
    for _ in 0..4 {
        journal.append(gateway(), events(2)).await.unwrap();
    }
    std::fs::remove_file(segment_path(dir.path(), 3)).unwrap();
    assert_eq!(flaws(dir.path()), [Item::Missing { from: 3, to: 4 }]);
    // The oldest go when their time is up.
    std::fs::remove_file(segment_path(dir.path(), 1)).unwrap();
    assert_eq!(flaws(dir.path()), []);
}
