use audit::{
    Activity, Detection, DetectionKind, DetectionStage, Lifecycle, Name, Network, Origin, Peer, Reason, RefusedCallers,
    Role, Run,
    wire::digest::{MOST_ANOMALIES, Outcome},
};
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{Journal, Keeper, Outside};

fn origin(role: Role) -> Origin {
    Origin { role, pod: Name::parse(&format!("{role}-0")).unwrap(), version: "0" }
}

fn detection(kind: DetectionKind, stage: DetectionStage) -> Detection {
    let writer = Some(Peer { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap() });
    let now = Timestamp::now();
    Detection {
        uid: Uuid::now_v7(),
        kind,
        stage,
        target: None,
        suspect: None,
        source: None,
        writer,
        count: 7,
        first: now,
        last: now,
    }
}

async fn store(journal: &Journal, activity: impl Into<Activity>) {
    let run = Run::new(origin(Role::Gateway));
    let writer = Peer { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap() };
    journal.append(writer, vec![run.event(&activity.into()).into_checked()]).await.unwrap();
}

async fn kept(dir: &TempDir) -> (Journal, Logs) {
    let journal = Journal::open(dir.path(), origin(Role::Recorder)).unwrap();
    let outside = Outside { cluster: "c".to_owned(), remembered: Vec::new() };
    store(&journal, Lifecycle::Started).await;
    let refused = RefusedCallers {
        source: Network::V4([203, 0, 113]),
        reason: Reason::new("UnknownToken"),
        count: 40,
        first: Timestamp::now(),
        last: Timestamp::now(),
    };
    store(&journal, refused).await;
    journal.record(detection(DetectionKind::WriterGap, DetectionStage::Created)).await.unwrap();
    let keeper = Keeper::open(journal.clone(), outside).await.unwrap();
    let logs = keeper.logs();
    (journal, logs)
}

#[tokio::test]
async fn a_digest_counts_by_class_and_outcome_and_lists_what_needs_a_look() {
    let dir = TempDir::new().unwrap();
    let (journal, logs) = kept(&dir).await;
    let digest = digest(journal.dir(), &logs, 0, &|| true).unwrap();
    let counts: Vec<_> = digest.counts.iter().map(|it| (it.class, it.outcome, it.events, it.occurrences)).collect();
    assert!(counts.contains(&(6003, Outcome::Refused, 1, 40)), "{counts:?}");
    assert!(counts.contains(&(2004, Outcome::New, 1, 1)), "{counts:?}");
    assert!(counts.iter().any(|it| (it.0, it.1) == (6002, Outcome::Succeeded)), "{counts:?}");
    let [anomaly] = &digest.anomalies[..] else { panic!("{:?}", digest.anomalies) };
    assert_eq!((&*anomaly.kind, anomaly.count), ("WriterGap", Some(7)));
    assert_eq!(anomaly.writer.as_deref(), Some("gateway/gateway-0"));
    assert_eq!((&*digest.detections[0].kind, digest.detections[0].events), ("WriterGap", 1));
    assert_eq!(digest.unreadable, 0);
    let later = super::digest(journal.dir(), &logs, i64::MAX, &|| true).unwrap();
    assert_eq!((later.counts, later.logs.len()), (Vec::new(), 1), "logs are verified whatever is asked for");
}

#[tokio::test]
async fn a_log_is_verified_and_what_is_wrong_with_it_is_named() {
    let dir = TempDir::new().unwrap();
    let (journal, logs) = kept(&dir).await;
    let digest = digest(journal.dir(), &logs, 0, &|| true).unwrap();
    assert!(digest.is_verified(), "{:?}", digest.logs);
    let log = &digest.logs[0];
    assert!(log.origin.starts_with("audit.c/recorder-0/") && log.size >= 4 && log.root.len() == 44, "{log:?}");
    let found = walk(dir.path(), "vkey").expect("a log has a key");
    std::fs::write(&found, "none").unwrap();
    let digest = super::digest(journal.dir(), &logs, 0, &|| true).unwrap();
    assert!(!digest.is_verified(), "{:?}", digest.logs);
    let unwanted = super::digest(journal.dir(), &logs, 0, &|| false);
    assert_eq!(unwanted.unwrap_err().kind(), io::ErrorKind::Interrupted);
}

/// The first file of this name below a directory.
fn walk(dir: &Path, name: &str) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries
        .iter()
        .find(|path| path.ends_with(name))
        .cloned()
        .or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| walk(path, name)))
}

#[test]
fn of_many_anomalies_the_newest_are_listed_and_all_are_counted() {
    let run = Run::new(origin(Role::Recorder));
    let mut tally = Tally::default();
    for time in 0..MOST_ANOMALIES as i64 + 20 {
        let event = run.event(&detection(DetectionKind::NewNetwork, DetectionStage::Created).into());
        tally.add(format!(r#"{{"writer":{{}},"time":{time},"sequence":1,"event":{}}}"#, event.as_line()).as_bytes());
    }
    let event = run.event(&detection(DetectionKind::RecorderSilent, DetectionStage::Closed).into());
    tally.add(format!(r#"{{"writer":{{}},"time":1000,"sequence":1,"event":{}}}"#, event.as_line()).as_bytes());
    tally.add(b"nothing of ours");
    let digest = tally.digest();
    assert_eq!((digest.anomalies.len(), digest.anomalies[0].time), (MOST_ANOMALIES, 1000));
    assert_eq!(digest.detections[0].events, MOST_ANOMALIES as u64 + 20);
    assert!(digest.counts.iter().any(|count| count.outcome == Outcome::Resolved));
    assert_eq!(digest.unreadable, 1);
}
