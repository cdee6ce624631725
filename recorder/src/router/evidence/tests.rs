//! Evidence as each kind of caller meets it.

use audit::{Activity, Correlation, Lifecycle, Name, ObjectName, Origin, Phase, Target};
use axum::{
    body::to_bytes,
    http::{Method, Request},
};
use evidence::{
    Counts, FORMAT, Incident, Made, Maker, Manifest, PrivateKey, Reason, digest, make,
    wire::{End, Position},
};
use jiff::Timestamp;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn peer(role: Role) -> Peer {
    Peer { role, pod: name(&format!("{role}-0")) }
}

fn journal() -> (Journal, TempDir) {
    let dir = TempDir::new().unwrap();
    let origin = Origin { role: Role::Recorder, pod: name("recorder-0"), version: "0" };
    (Journal::open(dir.path(), origin).unwrap(), dir)
}

fn bundle(sequence: u32, content: &[u8]) -> (String, Made) {
    let text = |text: &str| text.to_owned();
    let manifest = Manifest {
        format: text(FORMAT),
        cluster: text("c"),
        incident: Incident { namespace: text("ns"), name: text("inc-7"), uid: text("u-1") },
        sequence,
        previous: (sequence > 1).then(|| "a".repeat(64)),
        reason: Reason::Contained,
        created_at: Timestamp::UNIX_EPOCH,
        made_by: Maker { pod: text("operator-0"), version: text("0") },
        key_id: String::new(),
        journal: Vec::new(),
        counts: Counts::default(),
        missing: Vec::new(),
        omitted: Vec::new(),
        files: Vec::new(),
    };
    let key = PrivateKey::from_seed(&[1; 32]).unwrap();
    let made = make(manifest, &[("use.json".to_owned(), content.to_vec())].into(), &key).unwrap();
    (BundleName::of(&made.manifest, &made.digest).to_string(), made)
}

async fn send(
    journal: &Journal,
    role: Option<Role>,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) -> (StatusCode, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    if let Some(role) = role {
        request.extensions_mut().insert(peer(role));
    }
    let shelf = Shelf::open(journal.dir()).unwrap();
    let response = super::super::router(journal.clone(), crate::Logs::look(journal.dir()).unwrap(), shelf)
        .oneshot(request)
        .await
        .unwrap();
    (response.status(), to_bytes(response.into_body(), MAX_BYTES).await.unwrap().to_vec())
}

async fn put(journal: &Journal, name: &str, tar: Vec<u8>) -> (StatusCode, Vec<u8>) {
    send(journal, Some(Role::Operator), Method::PUT, &format!("{EVIDENCE_PATH}{name}"), tar).await
}

/// What the operator is told of these.
async fn extracted(journal: &Journal, asked: &Extract) -> (Vec<serde_json::Value>, Position) {
    let body = serde_json::to_vec(asked).unwrap();
    let (status, answer) = send(journal, Some(Role::Operator), Method::POST, EXTRACT_PATH, body).await;
    assert_eq!(status, StatusCode::OK);
    let answer = String::from_utf8(answer).unwrap();
    let (records, end) = answer.trim_end().rsplit_once('\n').unwrap_or(("", answer.trim_end()));
    let End { end } = serde_json::from_str(end).unwrap();
    (records.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), end)
}

fn call(connection: &str) -> Activity {
    let target = Target {
        team: ObjectName::parse("acme", "acme").unwrap(),
        team_uid: None,
        connection: Some(ObjectName::parse("acme", connection).unwrap()),
    };
    audit::Call {
        correlation: Correlation(Uuid::nil()),
        actor: audit::Actor::RuntimeToken {
            token: ObjectName::parse("acme", "nightly").unwrap(),
            issuer: audit::Digest::of_unguessable(b"x"),
        },
        source: audit::Source::Itself,
        target: Some(target),
        operation: audit::Operation::TOKEN,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase: Phase::Intent,
    }
    .into()
}

#[tokio::test]
async fn a_bundle_is_kept_once_and_read_back() {
    let (journal, _dir) = journal();
    let (name, made) = bundle(1, b"[]");
    assert_eq!(put(&journal, &name, made.tar.clone()).await.0, StatusCode::CREATED);
    assert_eq!(put(&journal, &name, made.tar.clone()).await.0, StatusCode::OK, "again does no harm");
    let (other_name, other) = bundle(1, b"{}");
    let refused = put(&journal, &other_name, other.tar).await;
    assert_eq!(refused, (StatusCode::CONFLICT, name.clone().into_bytes()), "there is one bundle of a sequence");
    let (second_name, second) = bundle(2, b"[]");
    assert_eq!(put(&journal, &second_name, second.tar).await.0, StatusCode::CREATED);

    let operator = Some(Role::Operator);
    let (status, list) = send(&journal, operator, Method::GET, EVIDENCE_PATH, "").await;
    assert_eq!((status, String::from_utf8(list).unwrap()), (StatusCode::OK, format!("{name}\n{second_name}\n")));
    let path = format!("{EVIDENCE_PATH}{name}");
    assert_eq!(send(&journal, operator, Method::GET, &path, "").await, (StatusCode::OK, made.tar));
    let path = format!("{EVIDENCE_PATH}{other_name}");
    assert_eq!(send(&journal, operator, Method::GET, &path, "").await.0, StatusCode::NOT_FOUND);
    for method in [Method::DELETE, Method::POST, Method::PATCH] {
        assert_eq!(send(&journal, operator, method, &path, "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn nobody_but_the_operator_writes_or_reads_evidence() {
    let (journal, _dir) = journal();
    let (name, made) = bundle(1, b"[]");
    let path = format!("{EVIDENCE_PATH}{name}");
    let asked = serde_json::to_vec(&Extract::default()).unwrap();
    let callers = Role::ALL.into_iter().filter(|role| *role != Role::Operator).map(Some).chain([None]);
    for caller in callers {
        for (method, path, body) in [
            (Method::PUT, path.as_str(), made.tar.clone()),
            (Method::GET, &path, Vec::new()),
            (Method::GET, EVIDENCE_PATH, Vec::new()),
            (Method::POST, EXTRACT_PATH, asked.clone()),
        ] {
            let (status, _) = send(&journal, caller, method.clone(), path, body).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{caller:?} {method} {path}");
        }
    }
    assert_eq!(Shelf::of(journal.dir()).names().unwrap(), []);
}

#[tokio::test]
async fn what_is_not_the_bundle_of_its_name_is_not_kept() {
    let (journal, _dir) = journal();
    let (name, made) = bundle(1, b"[]");
    let (other_name, other) = bundle(2, b"[]");
    let mut changed = made.tar.clone();
    let at = changed.windows(2).rposition(|two| two == b"[]").unwrap();
    changed[at] = b'{';
    let bad = |tar: Vec<u8>| put(&journal, &name, tar);
    assert_eq!(bad(Vec::new()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bad(changed).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bad(made.tar[..made.tar.len() - 512].to_vec()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bad(other.tar).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bad(vec![0; MAX_BYTES + 1]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let renamed = name.replace("inc-7", "inc-8");
    assert_eq!(put(&journal, &renamed, made.tar.clone()).await.0, StatusCode::BAD_REQUEST);
    for name in ["..%2Fx.tar", "reserve", "partial", "x", &other_name.replace("000002", "2")] {
        assert_eq!(put(&journal, name, made.tar.clone()).await.0, StatusCode::BAD_REQUEST, "{name}");
    }
    assert_eq!(Shelf::of(journal.dir()).names().unwrap(), []);
}

#[tokio::test]
async fn the_extract_has_what_was_asked_for_and_says_where_the_journal_stands() {
    let (journal, _dir) = journal();
    let (records, position) = extracted(&journal, &Extract::default()).await;
    assert_eq!((records.len(), position.sequence, position.digest), (0, 0, digest(b"")));
    journal.record(call("na")).await.unwrap();
    journal.record(call("eu")).await.unwrap();
    journal.record(Lifecycle::Started).await.unwrap();
    let ask = |change: fn(&mut Extract)| {
        let mut asked = Extract::default();
        change(&mut asked);
        asked
    };
    let (records, position) = extracted(&journal, &ask(|it| it.connections = vec!["acme/na".to_owned()])).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["event"]["unmapped"]["connection"]["name"], "na");
    assert_eq!((position.sequence, position.records, position.flaws, position.is_cut), (3, 1, 0, false));
    assert_eq!(position.recorder, "recorder-0");
    assert_eq!(Some(position.digest), crate::record_digest(journal.dir(), 3).unwrap());
    assert_eq!(crate::record_digest(journal.dir(), 4).unwrap(), None);
    assert_eq!(extracted(&journal, &ask(|it| it.teams = vec!["acme/acme".to_owned()])).await.0.len(), 2);
    assert_eq!(extracted(&journal, &ask(|it| it.actors = vec!["acme/nightly".to_owned()])).await.0.len(), 2);
    assert_eq!(extracted(&journal, &ask(|it| it.actors = vec!["acme/other".to_owned()])).await.0.len(), 0);
    let later = ask(|it| {
        it.teams = vec!["acme/acme".to_owned()];
        it.since = i64::MAX;
    });
    assert_eq!(extracted(&journal, &later).await.0.len(), 0);
    let (status, _) = send(&journal, Some(Role::Operator), Method::POST, EXTRACT_PATH, "{}").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_journal_with_a_hole_says_so() {
    let (journal, dir) = journal();
    for _ in 0..3 {
        journal.record(call("na")).await.unwrap();
    }
    let segment = dir.path().join("journal-00000000000000000001.otj");
    let mut bytes = std::fs::read(&segment).unwrap();
    let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    bytes[8 + length + 20] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let asked = Extract { connections: vec!["acme/na".to_owned()], ..Extract::default() };
    let (records, position) = extracted(&journal, &asked).await;
    assert_eq!((position.records, position.flaws), (2, 2), "{records:?}");
    assert!(records[1]["unreadable"].is_object() && records[2]["missing"]["from"] == 2, "{records:?}");
}

#[test]
fn a_full_disk_has_room_for_evidence_left() {
    let dir = TempDir::new().unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path()).status();
    assert!(mount.unwrap().success(), "needs root, to mount a disk");
    let shelf = Shelf::open(dir.path()).unwrap();
    let filler = dir.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
    let (name, made) = bundle(1, b"[]");
    let (second_name, second) = bundle(2, format!("[1{}]", " ".repeat(65_536)).as_bytes());
    let kept = shelf.keep(&name.parse().unwrap(), &made.tar);
    let full = shelf.keep(&second_name.parse().unwrap(), &second.tar);
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    let later = shelf.keep(&second_name.parse().unwrap(), &second.tar);
    let umount = std::process::Command::new("umount").arg("--lazy").arg(dir.path()).status();
    assert!(umount.unwrap().success());
    assert!(matches!(kept, Ok(Kept::Now)), "{kept:?}");
    assert!(matches!(full, Err(KeepError::Full)), "{full:?}");
    assert!(matches!(later, Ok(Kept::Now)), "{later:?}");
}
