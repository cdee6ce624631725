use std::sync::Arc;

use audit::{
    Act, Activity, Actor, Call, Checked, Correlation, DigestKey, Name, ObjectName, Operation, Origin, Phase, Reason,
    Role, Run, Source,
};
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::Journal;

const AMPLE: Budget = Budget { bytes: u64::MAX, time: Duration::MAX };

fn origin(role: Role) -> Origin {
    Origin { role, pod: Name::parse("pod-0").unwrap(), version: "0" }
}

fn object(namespace: &str, name: &str) -> ObjectName {
    ObjectName::parse(namespace, name).unwrap()
}

fn token(namespace: &str, name: &str) -> Actor {
    Actor::RuntimeToken { token: object(namespace, name), issuer: DigestKey::new([7; 32]).email("ann@example.com") }
}

fn account(namespace: &str, name: &str) -> Actor {
    Actor::ServiceAccount { account: object(namespace, name), uid: None, pod: None, credential: None }
}

fn call(actor: Actor, phase: Phase) -> Checked {
    let call = Call {
        correlation: Correlation(Uuid::now_v7()),
        actor,
        source: Source::Itself,
        target: None,
        operation: Operation { api: "orders", version: "v0", id: "getOrder", act: Act::Read },
        marketplaces: vec![],
        resources: vec![],
        expires_at: None,
        phase,
    };
    Run::new(origin(Role::Gateway)).event(&Activity::from(call)).into_checked()
}

fn answered(actor: Actor) -> Checked {
    call(actor, Phase::Outcome { status: 200, latency: Duration::ZERO })
}

fn views(events: &[Checked]) -> Vec<Event<'_>> {
    events.iter().map(|event| serde_json::from_str(event.as_line()).unwrap()).collect()
}

fn names(them: &BTreeMap<String, i64>) -> Vec<(&str, i64)> {
    them.iter().map(|(name, time)| (name.as_str(), *time)).collect()
}

#[test]
fn the_last_answer_counts_and_neither_refusals_nor_openteams_own_calls() {
    let uses = Uses::new(100);
    let note = |events: &[Checked], now| uses.note(used(&views(events)), now);
    note(
        &[answered(token("acme", "laptop")), answered(token("acme2", "other")), answered(account("acme", "bot"))],
        200,
    );
    note(&[answered(token("acme", "laptop"))], 300);
    // A clock set back.
    note(&[answered(token("acme", "laptop"))], 250);
    let limited = Phase::Outcome { status: 429, latency: Duration::ZERO };
    note(&[call(token("acme", "limited"), limited), call(token("acme", "intended"), Phase::Intent)], 300);
    let refused = Phase::Refused { reason: Reason::new("Contained"), status: 403 };
    let failed = Phase::Failed { reason: Reason::new("AmazonUnreachable") };
    note(&[call(token("acme", "revoked"), refused), call(token("acme", "failed"), failed)], 300);
    note(&[answered(Actor::Itself), answered(Actor::Unknown)], 300);
    let told = uses.of("acme");
    assert_eq!(names(&told.runtime_tokens), [("laptop", 300), ("limited", 300)]);
    assert_eq!(names(&told.service_accounts), [("bot", 200)]);
    assert_eq!((told.is_partial, told.since), (true, 100), "what was before the start is not known yet");
    assert_eq!(uses.of("acm"), LastUse { is_partial: true, since: 100, ..LastUse::default() });
}

#[tokio::test]
async fn after_a_restart_the_journal_tells_it_as_far_as_it_may_be_read() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path(), origin(Role::Recorder)).unwrap();
    let writer = || audit::Peer { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap() };
    journal.append(writer(), vec![answered(token("acme", "old"))]).await.unwrap();
    let begun = Timestamp::now().as_millisecond();
    // More than a block lies between them.
    for _ in 0..40 {
        let events = (0..50).map(|_| call(account("other", "bot"), Phase::Intent)).collect();
        journal.append(writer(), events).await.unwrap();
    }
    journal.append(writer(), vec![answered(token("acme", "new"))]).await.unwrap();

    let now = Timestamp::now().as_millisecond();
    let part = Arc::new(Uses::new(now));
    rebuild_within(&Arc::downgrade(&part), dir.path(), Budget { bytes: 0, ..AMPLE }).unwrap();
    let told = part.of("acme");
    assert_eq!(told.runtime_tokens.keys().collect::<Vec<_>>(), ["new"]);
    assert!(told.is_partial && told.since >= begun && told.since <= now, "{told:?}");

    let whole = Arc::new(Uses::new(now));
    rebuild(&Arc::downgrade(&whole), dir.path()).unwrap();
    let told = whole.of("acme");
    assert_eq!(told.runtime_tokens.keys().collect::<Vec<_>>(), ["new", "old"]);
    assert!(!told.is_partial && told.since <= begun, "{told:?}");
    // What is later stays.
    whole.note(used(&views(&[answered(token("acme", "old"))])), now + 5);
    rebuild(&Arc::downgrade(&whole), dir.path()).unwrap();
    assert_eq!(whole.of("acme").runtime_tokens["old"], now + 5);
    // Nobody is left to be told.
    let weak = Arc::downgrade(&part);
    drop(part);
    rebuild(&weak, dir.path()).unwrap();
}

#[test]
fn what_was_used_least_recently_is_forgotten_when_there_is_too_much_and_that_is_said() {
    let uses = Uses { most: 10, ..Uses::new(0) };
    for time in 1..=1000 {
        uses.note(used(&views(&[answered(token("acme", &format!("t-{time}")))])), time);
        let told = uses.of("acme");
        assert!(told.runtime_tokens.len() <= 10);
        assert_eq!(told.runtime_tokens[&format!("t-{time}")], time);
        // From then on nothing is missing.
        let expected = (told.since.max(1)..=time).count();
        assert_eq!((told.runtime_tokens.len(), told.is_partial), (expected, true), "at {time}");
    }
}
