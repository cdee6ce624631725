use audit::wire::reading::Sought;
use audit::{
    Activity, Actor, Call, Change, Correlation, CredentialField, DigestKey, Entity, EntityChange, Kind, MarketplaceId,
    Name, ObjectName, Operation, Origin, Person, Phase, Reason, Requester, Role, Run, SignIn, Source, Step, Target,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::Journal;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn uid(last: u8) -> Uuid {
    Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0000 + u128::from(last))
}

/// The Team of a namespace, with a connection of it.
fn target(namespace: &str, team: &str, team_uid: u8) -> Target {
    let object = |name: &str| ObjectName::parse(namespace, name).unwrap();
    Target { team: object(team), team_uid: Some(uid(team_uid)), connection: Some(object("acme-na")) }
}

fn call(phase: Phase) -> Call {
    Call {
        correlation: Correlation(uid(9)),
        actor: Actor::RuntimeToken {
            token: ObjectName::parse("acme", "laptop").unwrap(),
            issuer: DigestKey::new([7; 32]).email("ann@example.com"),
        },
        source: Source::Address([203, 0, 113, 9].into()),
        target: Some(target("acme", "acme", 1)),
        operation: Operation { api: "orders", version: "v0", id: "getOrder", act: audit::Act::Read },
        marketplaces: vec![MarketplaceId::parse("ATVPDKIKX0DER").unwrap()],
        resources: vec![DigestKey::new([7; 32]).digest(b"902-3159896-1390916")],
        expires_at: None,
        phase,
    }
}

fn change(kind: Kind, namespace: &str, of: &str, change: Change) -> EntityChange {
    let entity = Entity { kind, namespace: Some(name(namespace)), name: name(of), uid: None };
    EntityChange { correlation: None, target: None, entity, change }
}

fn person() -> Person {
    let address = DigestKey::new([7; 32]).email("ann@example.com");
    Person { address, source: Source::Address([203, 0, 113, 9].into()) }
}

struct Place {
    journal: Journal,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let origin = Origin { role: Role::Recorder, pod: name("recorder-0"), version: "0" };
        Self { journal: Journal::open(dir.path(), origin).unwrap(), dir }
    }

    async fn record(&self, activity: impl Into<Activity>) {
        self.journal.record(activity).await.unwrap();
    }

    fn page(&self, asked: &Asked) -> Page {
        page(self.dir.path(), asked).unwrap()
    }

    fn messages(&self, asked: &Asked) -> Vec<String> {
        self.page(asked).events.into_iter().map(|event| event.message).collect()
    }
}

fn acme() -> Asked {
    Asked { namespace: "acme".to_owned(), ..Asked::default() }
}

#[tokio::test]
async fn a_page_tells_what_happened_and_nothing_more() {
    let place = Place::new();
    let refused = Phase::Refused { reason: Reason::new("MarketplaceNotInScope"), status: 403 };
    place.record(call(refused)).await;
    let by = Requester::Person(person());
    place
        .record(change(
            Kind::SealedCredential,
            "acme",
            "acme-na-token",
            Change::InputGivenBy(by, CredentialField::RefreshToken),
        ))
        .await;
    let Page { events, next, is_partial } = place.page(&acme());
    assert_eq!((next, is_partial), (None, false));
    let [given, refused] = &events[..] else { panic!("{events:?}") };
    assert!((given.time - Timestamp::now().as_millisecond()).abs() < 60_000);
    let told = |event: &Told| {
        let mut told = serde_json::to_value(event).unwrap();
        told.as_object_mut().unwrap().remove("time").unwrap();
        told
    };
    let address = person().address.as_str().to_owned();
    assert_eq!(
        told(given),
        json!({
            "sequence": 2, "class": 3004, "activity": 1, "message": "sealed credential given by", "outcome": "Succeeded",
            "actor": { "kind": "Person", "name": address },
            "entity": { "kind": "SealedCredential", "name": "acme-na-token" },
        })
    );
    // No digest of what the path named, no address of the network, not who issued the token.
    assert_eq!(
        told(refused),
        json!({
            "sequence": 1, "class": 6003, "activity": 2, "message": "call refused", "outcome": "Refused",
            "reason": "MarketplaceNotInScope", "actor": { "kind": "RuntimeToken", "name": "acme/laptop" },
            "connection": "acme-na", "operation": "orders/v0/getOrder", "marketplaces": ["ATVPDKIKX0DER"],
        })
    );
}

#[tokio::test]
async fn nothing_of_another_tenant_is_told() {
    let place = Place::new();
    let of = |target| Call { target, ..call(Phase::Intent) };
    let by = || Requester::Person(person());
    // Other namespaces, also those whose names hold ours, and what is nobody's.
    place.record(of(Some(target("acme2", "acme", 1)))).await;
    place.record(of(Some(target("other", "acme", 1)))).await;
    place.record(of(None)).await;
    place.record(change(Kind::AmazonConnection, "not-acme", "acme", Change::CreatedBy(by()))).await;
    place.record(change(Kind::AmazonApplication, "other", "acme", Change::Restored)).await;
    place.record(SignIn { person: person(), step: Step::CodeAsked }).await;
    // What is half ours is not told either.
    let mixed = change(Kind::AmazonConnection, "other", "acme-na", Change::CreatedBy(by()));
    place.record(EntityChange { target: Some(target("acme", "acme", 1)), ..mixed }).await;
    let foreign = ObjectName::parse("other", "other-na").unwrap();
    let mixed = Target { connection: Some(foreign), ..target("acme", "acme", 1) };
    place.record(of(Some(mixed))).await;
    assert_eq!(place.messages(&acme()), [""; 0]);

    // Of OpenTeam's own namespace what reaches across tenants is not told.
    let system = Asked { namespace: "openteam-system".to_owned(), ..Asked::default() };
    for kind in [Kind::Incident, Kind::PortalUser, Kind::Team] {
        place.record(change(kind, "openteam-system", "inc-7", Change::Restored)).await;
    }
    let entities: Vec<_> = place.page(&system).events.into_iter().map(|event| event.entity.unwrap().kind).collect();
    assert_eq!(entities, ["Team"]);

    // Another Team of the namespace, and one that had the name before.
    place.record(of(Some(target("acme", "acme", 1)))).await;
    place.record(of(Some(target("acme", "acme", 2)))).await;
    place.record(of(Some(target("acme", "b", 3)))).await;
    place.record(change(Kind::RuntimeToken, "acme", "laptop", Change::DeletedBy(by()))).await;
    let sequences =
        |asked: &Asked| -> Vec<u64> { place.page(asked).events.iter().map(|event| event.sequence).collect() };
    assert_eq!(sequences(&acme()), [15, 14, 13, 12]);
    assert_eq!(sequences(&Asked { team: Some("acme".to_owned()), ..acme() }), [15, 13, 12]);
    assert_eq!(sequences(&Asked { team: Some("acme".to_owned()), team_uid: Some(uid(2)), ..acme() }), [15, 13]);
}

#[tokio::test]
async fn pages_follow_one_another_without_a_gap_or_an_overlap() {
    let place = Place::new();
    for number in 0..25 {
        let of = if number % 5 == 4 { "other" } else { "acme" };
        place.record(change(Kind::AmazonConnection, of, &format!("c-{number}"), Change::Restored)).await;
    }
    let (mut asked, mut all, mut pages) = (Asked { limit: Some(7), ..acme() }, Vec::new(), 0);
    loop {
        let page = place.page(&asked);
        all.extend(page.events.iter().map(|event| event.sequence));
        pages += 1;
        // What comes meanwhile is on no older page.
        place.record(change(Kind::AmazonConnection, "acme", "late", Change::Restored)).await;
        match page.next {
            Some(next) => asked.before = Some(next),
            None => break,
        }
    }
    let expected: Vec<u64> = (1..=25).rev().filter(|sequence| sequence % 5 != 0).collect();
    assert_eq!((all, pages), (expected, 3));
    // More than there may be is not given.
    assert_eq!(place.page(&Asked { limit: Some(0), ..acme() }).events.len(), 1);
    for _ in 0..MOST_EVENTS {
        place.record(change(Kind::AmazonConnection, "acme", "many", Change::Restored)).await;
    }
    for limit in [None, Some(usize::MAX)] {
        assert_eq!(place.page(&Asked { limit, ..acme() }).events.len(), MOST_EVENTS);
    }
}

#[tokio::test]
async fn an_intent_is_told_only_where_nothing_is_known_of_its_end() {
    let place = Place::new();
    let answered = Phase::Outcome { status: 200, latency: Duration::ZERO };
    let other = |last, phase| Call { correlation: Correlation(uid(last)), ..call(phase) };
    place.record(other(1, Phase::Intent)).await;
    place.record(other(2, Phase::Intent)).await;
    place.record(Call { operation: Operation::LWA_REFRESH, ..other(2, Phase::Intent) }).await;
    place.record(other(2, answered)).await;
    let told: Vec<_> = place.page(&acme()).events.into_iter().map(|event| (event.sequence, event.outcome)).collect();
    assert_eq!(told, [(4, Outcome::Succeeded), (3, Outcome::Intended), (1, Outcome::Intended)]);
    // Also where the end is on the page before, or after the times that are asked for.
    let sequences =
        |asked: &Asked| -> Vec<u64> { place.page(asked).events.iter().map(|event| event.sequence).collect() };
    assert_eq!(sequences(&Asked { before: Some(4), ..acme() }), [3, 1]);
    let time = Timestamp::from_millisecond(place.page(&acme()).events[0].time).unwrap();
    let until = Asked { before: Some(4), until: Some(time + jiff::SignedDuration::from_secs(60)), ..acme() };
    assert_eq!(sequences(&until), [3, 1]);
}

#[tokio::test]
async fn a_page_that_others_events_would_make_too_costly_is_partial_and_goes_on() {
    let place = Place::new();
    place.record(change(Kind::AmazonConnection, "acme", "old", Change::Restored)).await;
    // Enough of others for more than one block.
    let flood = change(Kind::AmazonConnection, "other", &"n".repeat(250), Change::Restored);
    for _ in 0..200 {
        let events = (0..20).map(|_| {
            let origin = Origin { role: Role::Gateway, pod: name("gateway-0"), version: "0" };
            Run::new(origin).event(&Activity::from(flood.clone())).into_checked()
        });
        let writer = audit::Peer { role: Role::Gateway, pod: name("gateway-0") };
        place.journal.append(writer, events.collect()).await.unwrap();
    }
    let none = Budget { bytes: 0, time: Duration::ZERO };
    let (mut asked, mut parts) = (acme(), 0);
    let last = loop {
        let page = page_within(place.dir.path(), &asked, none).unwrap();
        parts += 1;
        if !page.is_partial {
            break page;
        }
        assert_eq!(page.events, []);
        assert!(page.next < asked.before.or(Some(u64::MAX)), "it goes on");
        asked.before = page.next;
    };
    assert!(parts > 1);
    assert_eq!(last.events.len(), 1);
    // Within its own budget it is one page.
    assert_eq!(place.page(&acme()), last);
}

/// A call, a refusal, a token deleted, a reading, and a call of the other connection; the oldest first, numbered from 1.
async fn a_little_of_everything() -> Place {
    let place = Place::new();
    let other = ObjectName::parse("acme", "acme-eu").unwrap();
    let with = |last, phase| Call { correlation: Correlation(uid(last)), ..call(phase) };
    place.record(with(1, Phase::Intent)).await;
    place.record(with(1, Phase::Outcome { status: 200, latency: Duration::ZERO })).await;
    place.record(with(2, Phase::Refused { reason: Reason::new("MarketplaceNotInScope"), status: 403 })).await;
    let by = || Requester::Person(person());
    place.record(change(Kind::RuntimeToken, "acme", "laptop", Change::DeletedBy(by()))).await;
    place.record(change(Kind::Team, "acme", "acme", Change::RecordReadBy(by()))).await;
    let of_eu = Target { connection: Some(other), ..target("acme", "acme", 1) };
    place.record(Call { target: Some(of_eu), ..with(3, Phase::Intent) }).await;
    place
}

#[tokio::test]
async fn a_filter_leaves_what_fits_all_of_it() {
    let place = a_little_of_everything().await;
    let sequences =
        |asked: Asked| -> Vec<u64> { place.page(&asked).events.iter().map(|event| event.sequence).collect() };
    let words = |text: &str| Sought::new(text, vec![], vec![]).ok();
    let na = || Some("acme-na".to_owned());
    let ann = || Sought::new("ann@", vec![person().address.as_str().to_owned()], vec![]).ok();
    for (expected, asked) in [
        (&[6, 5, 4, 3, 2][..], acme()),
        (&[3, 2], Asked { connection: na(), ..acme() }),
        (&[6, 3, 2], Asked { topic: Some(Topic::Calls), ..acme() }),
        (&[4], Asked { topic: Some(Topic::Changes), ..acme() }),
        (&[5], Asked { topic: Some(Topic::Reads), ..acme() }),
        (&[], Asked { topic: Some(Topic::Members), ..acme() }),
        (&[3], Asked { outcome: Some(Outcome::Refused), ..acme() }),
        (&[5, 4, 2], Asked { outcome: Some(Outcome::Succeeded), ..acme() }),
        // The other intent has an end, which is not asked for.
        (&[6], Asked { outcome: Some(Outcome::Intended), ..acme() }),
        (&[6], Asked { text: words("begun"), ..acme() }),
        (&[6, 3, 2], Asked { who: words("token LAPTOP"), ..acme() }),
        (&[5, 4], Asked { who: ann(), ..acme() }),
        (&[6, 4, 3, 2], Asked { text: words("laptop"), ..acme() }),
        (&[3], Asked { text: words("marketplace not in scope"), ..acme() }),
        (&[2], Asked { connection: na(), text: words("getorder"), outcome: Some(Outcome::Succeeded), ..acme() }),
        (&[], Asked { connection: na(), who: ann(), ..acme() }),
        (&[], Asked { connection: Some("acme".to_owned()), ..acme() }),
        // Never of others, whatever is asked for.
        (&[], Asked { namespace: "acm".to_owned(), text: words("laptop"), ..acme() }),
        (&[], Asked { namespace: "\"".to_owned(), ..acme() }),
        (&[], Asked { connection: Some("../acme-na".to_owned()), ..acme() }),
    ] {
        assert_eq!(sequences(asked.clone()), expected, "{asked:?}");
    }
    // A page is full of what fits, and the next goes on with it.
    let mut asked = Asked { topic: Some(Topic::Calls), limit: Some(1), ..acme() };
    let mut all = Vec::new();
    loop {
        let page = place.page(&asked);
        all.extend(page.events.iter().map(|event| event.sequence));
        asked.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    // Without the intent whose end is on the page before.
    assert_eq!(all, [6, 3, 2]);
}

#[tokio::test]
async fn times_are_those_at_which_events_were_stored() {
    let place = a_little_of_everything().await;
    let at = |sequence: u64| {
        let all = place.page(&acme()).events;
        Timestamp::from_millisecond(all.iter().find(|event| event.sequence == sequence).unwrap().time).unwrap()
    };
    let count = |since, until| place.page(&Asked { since, until, ..acme() }).events.len();
    let (first, last, hour) = (at(2), at(6), jiff::SignedDuration::from_hours(1));
    assert_eq!(count(Some(first - hour), Some(last + hour)), 5);
    assert_eq!((count(Some(last + hour), None), count(None, Some(first - hour))), (0, 0));
    assert!(count(Some(last), None) >= 1 && count(None, Some(last)) <= 4);
}

#[test]
fn what_is_no_event_of_ours_is_passed_over_and_long_texts_are_left_out() {
    let record = |event: Value| json!({ "writer": {}, "time": 1, "sequence": 2, "event": event }).to_string();
    let good = json!({
        "class_uid": 3004, "activity_id": 1, "message": "m", "metadata": {},
        "entity": { "type": "Team", "name": "acme/acme" },
    });
    assert!(told(&record(good.clone()), &acme()).is_some());
    let with = |member: &str, value: Value| {
        let mut event = good.clone();
        event[member] = value;
        event
    };
    for event in [
        with("message", json!(7)),
        with("message", json!("x".repeat(600))),
        with("entity", json!({ "type": "Team", "name": "acme" })),
        with("entity", json!({ "type": "Team", "name": "acme2/acme" })),
        with("entity", json!({ "type": "x".repeat(600), "name": "acme/acme" })),
        with("unmapped", json!({ "team": { "namespace": "acme2", "name": "acme" } })),
        with("metadata", json!("acme")),
        json!("acme"),
    ] {
        assert_eq!(told(&record(event.clone()), &acme()), None, "{event}");
    }
    assert_eq!(told("acme", &acme()), None);
    let long = told(&record(with("status_detail", json!("x".repeat(600)))), &acme()).unwrap();
    assert_eq!(long.0.reason, None);
}
