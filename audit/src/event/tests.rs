//! The events as they are stored, against `golden.json`; `BLESS=1 cargo test -p openteam-audit` writes it anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{call::MOST_LISTED, change::MOST_INCIDENTS, finding::MOST_LOGS, *};
use crate::{Peer, wire::MAX_EVENT_BYTES};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn object(namespace: &str, object: &str) -> ObjectName {
    ObjectName::parse(namespace, object).unwrap()
}

fn uid(last: u8) -> Uuid {
    Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0000 + u128::from(last))
}

fn time() -> Timestamp {
    "2026-11-23T10:00:00.123Z".parse().unwrap()
}

fn origin(role: Role) -> Origin {
    Origin { role, pod: name(&format!("{role}-0")), version: "0.1.0" }
}

fn stamp() -> Stamp {
    Stamp { uid: uid(0), time: time(), run: uid(10), sequence: 7 }
}

fn target() -> Option<Target> {
    Some(Target { team: object("acme", "acme"), team_uid: Some(uid(1)), connection: Some(object("acme", "acme-na")) })
}

fn key() -> DigestKey {
    DigestKey::new([7; 32])
}

fn service_account() -> Actor {
    Actor::ServiceAccount {
        account: object("acme", "bot"),
        uid: Some(uid(2)),
        pod: Some(name("bot-x2x4z")),
        credential: Some(uid(3)),
    }
}

fn call(phase: Phase) -> Call {
    Call {
        correlation: Correlation(uid(9)),
        actor: service_account(),
        source: Source::Address(IpAddr::from([10, 1, 2, 3])),
        target: target(),
        operation: Operation { api: "orders", version: "v0", id: "getOrder", act: Act::of_method("GET") },
        marketplaces: vec![MarketplaceId::parse("ATVPDKIKX0DER").unwrap()],
        resources: vec![key().digest(b"902-3159896-1390916")],
        expires_at: None,
        phase,
    }
}

fn detection(kind: DetectionKind, stage: DetectionStage) -> Detection {
    Detection {
        uid: uid(20),
        kind,
        stage,
        target: target(),
        suspect: None,
        source: None,
        writer: None,
        count: 41,
        first: time(),
        last: time(),
    }
}

fn review(stage: ReviewStage) -> Review {
    let log = ReviewedLog {
        origin: log::tests::ORIGIN.parse().unwrap(),
        size: 70_000,
        checkpoint: Digest::of_unguessable(b"checkpoint"),
    };
    Review { uid: uid(21), from: time(), to: time(), logs: vec![log], stage }
}

fn change(kind: Kind, of: &str, change: Change) -> EntityChange {
    let namespace = (kind != Kind::CertificateSigningRequest).then(|| name("acme"));
    let target = namespace.is_some().then(target).flatten();
    EntityChange {
        correlation: None,
        target,
        entity: Entity { kind, namespace, name: name(of), uid: Some(uid(4)) },
        change,
    }
}

/// One of each, and the role it comes from.
fn samples() -> Vec<(&'static str, Role, Activity)> {
    use CredentialField::{AuthorizationCode, ClientSecret, RefreshToken};
    use Role::{Gateway, Operator, Recorder};
    let answered = Phase::Outcome { status: 200, latency: Duration::from_millis(180) };
    // As where the call hands something out.
    let until = |phase| Call { expires_at: Some(time()), ..call(phase) };
    let token = Call {
        actor: Actor::RuntimeToken { token: object("acme", "laptop"), issuer: key().email("ann@example.com") },
        operation: Operation::TOKEN,
        marketplaces: vec![],
        resources: vec![],
        expires_at: Some(time()),
        ..call(Phase::Intent)
    };
    let refresh =
        Call { actor: Actor::Itself, source: Source::Itself, operation: Operation::LWA_REFRESH, ..token.clone() };
    let exchange = Call { operation: Operation::LWA_CODE, ..refresh.clone() };
    let unauthenticated = RefusedCallers {
        source: Network::of(IpAddr::from([203, 0, 113, 9])),
        reason: Reason::new("UnknownToken"),
        count: 41,
        first: time(),
        last: time(),
    };
    let stored = |of| change(Kind::StoredCredential, "acme-na", of);
    let input = |of| change(Kind::SealedCredential, "acme-na-token", of);
    let connection = |of| change(Kind::AmazonConnection, "acme-na", of);
    let request = |of| change(Kind::CertificateSigningRequest, "openteam-gateway-0", of);
    let incident = |of| EntityChange { target: None, ..change(Kind::Incident, "inc-7", of) };
    let gateway = Peer { role: Gateway, pod: name("gateway-0") };
    let unexpected = Fault::Unexpected { reason: Reason::new("ObjectDoesNotParse"), target: target() };
    let address = Source::Address(IpAddr::from([203, 0, 113, 9]));
    let person = || Person { address: key().email("ann@example.com"), source: address };
    let by = || Requester::Person(person());
    let portal = |of| (Role::Portal, Activity::from(connection(of)));
    let session = || Digest::of_unguessable(&[7; 32]);
    let sign_in = |step| Activity::from(SignIn { person: person(), step });
    let granted = Granted {
        connections: vec![name("acme-na")],
        marketplaces: vec![MarketplaceId::parse("ATVPDKIKX0DER").unwrap()],
        operations: vec!["read"],
        expires_at: time(),
    };
    let issued = change(Kind::RuntimeToken, "laptop", Change::IssuedBy(by(), granted));
    let team = |of| change(Kind::Team, "acme", of);
    let member = |change| Membership {
        target: Target { team: object("acme", "acme"), team_uid: None, connection: None },
        team_uid: Some(uid(1)),
        member: key().email("ann@example.com"),
        role: MemberRole::Member,
        change,
    };
    let read = |kind, of: &str| {
        let entity = Entity { kind, namespace: None, name: name(of), uid: None };
        let by = Change::RecordReadBy(Requester::of("system:serviceaccount:acme:auditor"));
        Activity::from(EntityChange { correlation: None, target: None, entity, change: by })
    };
    let log = || log::tests::ORIGIN.parse::<LogOrigin>().unwrap();
    let of_people = [
        ("code asked for", (Role::Portal, sign_in(Step::CodeAsked))),
        ("code refused", (Role::Portal, sign_in(Step::CodeRefused(Reason::new("TooManyCodes"))))),
        ("signed in", (Role::Portal, sign_in(Step::LoggedOn(session(), time())))),
        ("sign-in failed", (Role::Portal, sign_in(Step::LogonFailed(Reason::new("WrongCode"))))),
        ("locked", (Role::Portal, sign_in(Step::Locked(time())))),
        ("signed out", (Role::Portal, sign_in(Step::LoggedOff(session(), Reason::new("SignedOut"))))),
        ("strangers refused", (Role::Portal, Strangers(unauthenticated).into())),
        ("contained by a person", portal(Change::ContainedBy(by(), vec![name("inc-7")]))),
        ("test asked for by", portal(Change::TestAskedBy(by()))),
        ("created by", portal(Change::CreatedBy(by()))),
        ("renamed by", portal(Change::RenamedBy(by()))),
        ("consent begun by", portal(Change::ConsentBegunBy(by()))),
        ("consent returned by", portal(Change::ConsentReturnedBy(by(), None))),
        ("consent not returned by", portal(Change::ConsentReturnedBy(by(), Some(Reason::new("StateExpired"))))),
        ("input given by", (Role::Portal, input(Change::InputGivenBy(by(), RefreshToken)).into())),
        ("issued by", (Role::Portal, issued.into())),
        ("membership accepted by", (Role::Portal, member(MembershipChange::AcceptedBy(address)).into())),
        ("member assigned", (Operator, member(MembershipChange::Assigned).into())),
        ("member's role changed", (Operator, member(MembershipChange::RoleChanged(MemberRole::Viewer)).into())),
        ("member revoked", (Operator, member(MembershipChange::Revoked).into())),
        ("review made", (Operator, review(ReviewStage::Made).into())),
        ("review signed off", (Role::Portal, review(ReviewStage::SignedOffBy(by())).into())),
        (
            "review signed off by a user of kubernetes",
            (Operator, review(ReviewStage::SignedOffBy(Requester::of("ann@example.com"))).into()),
        ),
        ("record read by a user of kubernetes", (Recorder, read(Kind::Namespace, "acme"))),
        ("whole record read by a user of kubernetes", (Recorder, read(Kind::Log, "recorder-0"))),
        ("record read by", (Role::Portal, team(Change::RecordReadBy(by())).into())),
    ];
    let findings = DetectionKind::ALL.into_iter().map(|kind| {
        let suspect = match kind {
            DetectionKind::SignInAttack => Some(Suspect::Requester(by())),
            DetectionKind::RecorderSilent | DetectionKind::WriterGap | DetectionKind::LogContradicted => None,
            _ => Some(Suspect::Caller(service_account())),
        };
        let about_a_process = suspect.is_none();
        let found = Detection {
            source: (!about_a_process).then_some(address),
            writer: Some(Peer { role: Gateway, pod: name("gateway-0") }),
            target: (!about_a_process).then(target).flatten(),
            suspect,
            ..detection(kind, DetectionStage::Created)
        };
        let message = found.shape().name.row().message;
        (message, Recorder, Activity::from(found))
    });
    let closed = detection(DetectionKind::NewNetwork, DetectionStage::Closed);
    let updated = detection(DetectionKind::NewNetwork, DetectionStage::Updated);
    let findings = findings
        .chain([("new network, more of it", Operator, updated.into()), ("new network, over", Operator, closed.into())]);
    let of_people = of_people.into_iter().map(|(sample, (role, activity))| (sample, role, activity));
    let of_roles = [
        ("call intended", Gateway, call(Phase::Intent).into()),
        ("call answered", Gateway, until(answered).into()),
        ("call answered with an error", Gateway, until(Phase::Outcome { status: 429, latency: Duration::ZERO }).into()),
        ("call failed", Gateway, until(Phase::Failed { reason: Reason::new("AmazonUnreachable") }).into()),
        (
            "call refused",
            Gateway,
            until(Phase::Refused { reason: Reason::new("MarketplaceNotInScope"), status: 403 }).into(),
        ),
        ("token handed out", Gateway, token.into()),
        ("refresh", Gateway, refresh.into()),
        ("code exchanged", Operator, exchange.into()),
        ("unknown callers refused", Gateway, unauthenticated.into()),
        ("credential sealed", Operator, stored(Change::CredentialSealed(RefreshToken, 3)).into()),
        ("credential opened", Operator, stored(Change::CredentialOpened(ClientSecret, 3)).into()),
        ("credential unopenable", Operator, stored(Change::CredentialUnopenable(RefreshToken, 3)).into()),
        ("credential resealed", Operator, stored(Change::CredentialResealed(RefreshToken, 4)).into()),
        ("credential destroyed", Operator, stored(Change::CredentialDestroyed(RefreshToken, 4)).into()),
        ("consent mailed", Operator, connection(Change::ConsentMailed).into()),
        (
            "new client secret requested",
            Operator,
            EntityChange {
                target: None,
                ..change(Kind::AmazonApplication, "acme-app", Change::SecretRotationRequested)
            }
            .into(),
        ),
        ("rotated", Operator, connection(Change::Rotated).into()),
        ("old token accepted", Operator, connection(Change::OldTokenAccepted).into()),
        ("old token refused", Operator, connection(Change::OldTokenRefused).into()),
        ("input accepted", Operator, input(Change::InputAccepted(RefreshToken)).into()),
        ("input superseded", Operator, input(Change::InputSuperseded(RefreshToken)).into()),
        ("input refused", Operator, input(Change::InputRefused(ClientSecret, Reason::new("UnknownKey"))).into()),
        ("input deleted", Operator, input(Change::InputDeleted(AuthorizationCode)).into()),
        ("authorized", Operator, connection(Change::Authorized).into()),
        ("unauthorized", Operator, connection(Change::Unauthorized(Reason::new("InvalidGrant"))).into()),
        ("contained", Operator, connection(Change::Contained(vec![name("inc-7"), name("inc-8")])).into()),
        ("restored", Operator, connection(Change::Restored).into()),
        ("notified", Operator, incident(Change::Notified("Contained")).into()),
        ("not notified", Operator, incident(Change::NotNotified("Closed", Reason::new("SmtpRefused"))).into()),
        (
            "contained by",
            Role::Webhook,
            connection(Change::ContainedBy(Requester::of("kubernetes-admin"), vec![name("inc-7")])).into(),
        ),
        (
            "restoring by",
            Role::Webhook,
            connection(Change::RestoringBy(Requester::of("ann@example.com"), vec![name("inc-7"), name("inc-8")]))
                .into(),
        ),
        (
            "deleted by",
            Role::Webhook,
            connection(Change::DeletedBy(Requester::of("system:serviceaccount:acme:gitops"))).into(),
        ),
        ("rotation asked for by", Role::Webhook, connection(Change::RotationAskedBy(Requester::of("ann"))).into()),
        ("renewal asked for by", Role::Webhook, connection(Change::RenewalAskedBy(Requester::of("ann"))).into()),
        ("certificate issued", Operator, request(Change::CertificateIssued(gateway, time())).into()),
        (
            "certificate refused",
            Operator,
            request(Change::CertificateRefused(Reason::new("NotAServiceAccountOfOurs"))).into(),
        ),
        ("evidence signed", Operator, incident(Change::EvidenceSigned(2, Digest::of_unguessable(b"manifest"))).into()),
        ("evidence copied", Operator, incident(Change::EvidenceCopied(2, Digest::of_unguessable(b"manifest"))).into()),
        ("started", Recorder, Lifecycle::Started.into()),
        ("stopped", Role::Webhook, Lifecycle::Stopped.into()),
        ("unexpected error", Operator, unexpected.into()),
        ("events lost", Role::Portal, Fault::EventsLost { count: 12 }.into()),
        (
            "log opened",
            Recorder,
            LogChange::Opened { origin: log(), previous: Some(log::tests::note(2).parse().unwrap()) }.into(),
        ),
        ("first log opened", Recorder, LogChange::Opened { origin: log(), previous: None }.into()),
        ("log closed", Recorder, LogChange::Closed { origin: log() }.into()),
        ("log deleted", Recorder, LogChange::Deleted { origin: log(), from: time(), to: time() }.into()),
        ("log rolled back", Recorder, Fault::LogRolledBack { origin: log(), remembered: 70_000, found: 256 }.into()),
        ("log rewritten", Recorder, Fault::LogRewritten { origin: log(), size: 70_000 }.into()),
        ("disk reserved", Recorder, Fault::DiskReserved { bytes: 104_857_600 }.into()),
        ("journal cut", Recorder, Fault::JournalCut { bytes: 311 }.into()),
        ("journal damaged", Recorder, Fault::JournalDamaged { bytes: 1 }.into()),
    ];
    of_roles.into_iter().chain(of_people).chain(findings).collect()
}

fn event(role: Role, activity: &Activity) -> Event {
    activity.event(&origin(role), &stamp())
}

fn json(event: &Event) -> Value {
    serde_json::from_str(event.as_line()).unwrap()
}

#[test]
fn events_are_written_as_ever() {
    let events: BTreeMap<&str, Value> =
        samples().into_iter().map(|(name, role, activity)| (name, json(&event(role, &activity)))).collect();
    let written = serde_json::to_string_pretty(&events).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/event/golden.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), written);
}

#[test]
fn a_recorder_takes_every_event_from_the_roles_that_produce_it_and_from_no_other() {
    for (sample, role, activity) in samples() {
        let event = event(role, &activity);
        let line = event.as_line().to_owned();
        assert_eq!(check(line.as_bytes(), role), Ok(event.into_checked()), "{sample}");
        for other in Role::ALL {
            let written = json(&Event { uid: uid(0), line: line.clone() });
            let number = |member: &str| written[member].as_u64().unwrap();
            let (class_uid, activity_id) = (number("class_uid"), number("activity_id"));
            let class = Class::from_uid(class_uid).unwrap();
            let expected = if class.takes(activity_id, other) {
                Ok(())
            } else if class.is_of(other) {
                Err(Misshapen::NotItsActivity { class_uid, activity_id, role: other })
            } else {
                Err(Misshapen::NotItsClass { class_uid, role: other })
            };
            assert_eq!(check(line.as_bytes(), other).map(drop), expected, "{sample} from {other}");
        }
    }
}

#[test]
fn every_event_is_as_the_catalogue_says_and_every_row_has_an_example() {
    let mut shown: BTreeMap<EventName, BTreeSet<String>> = BTreeMap::new();
    for (sample, role, activity) in samples() {
        let written = json(&event(role, &activity));
        let row = catalog().find(|row| row.message == written["message"]).unwrap();
        let number = |member: &str| written[member].as_u64().unwrap();
        assert_eq!(number("class_uid"), row.class.uid(), "{sample}");
        assert!(row.activities.contains(&number("activity_id")), "{sample}");
        assert!(row.type_uids().any(|uid| uid == number("type_uid")), "{sample}");
        assert_eq!(number("severity_id"), row.severity as u64, "{sample}");
        assert!(row.writers.contains(&role), "{sample} from {role}");
        let of_any = ["run", "team", "connection"];
        let fields = written["unmapped"].as_object().unwrap().keys().filter(|key| !of_any.contains(&key.as_str()));
        shown.entry(row.name).or_default().extend(fields.cloned());
    }
    for row in catalog() {
        let shown = shown.get(&row.name).unwrap_or_else(|| panic!("{} has no example", row.name.as_str()));
        assert!(shown.iter().eq(row.unmapped), "{}: {shown:?}", row.name.as_str());
    }
}

#[test]
fn a_call_has_an_activity_of_its_row_whatever_its_method() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let operation = Operation { act: Act::of_method(method), ..Operation::UNKNOWN };
        let written = json(&event(Role::Gateway, &Call { operation, ..call(Phase::Intent) }.into()));
        assert!(EventName::CallIntended.row().activities.contains(&written["activity_id"].as_u64().unwrap()));
    }
}

#[test]
fn what_has_not_the_shape_of_ocsf_is_refused() {
    let good = json(&event(Role::Gateway, &call(Phase::Intent).into()));
    let without = |path: &str| {
        let mut event = good.clone();
        let (parent, member) = path.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).unwrap();
        event
    };
    let with = |path: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(path).unwrap() = value;
        event
    };
    for (event, member) in [
        (without("/class_uid"), "class_uid"),
        (without("/category_uid"), "category_uid"),
        (without("/activity_id"), "activity_id"),
        (without("/type_uid"), "type_uid"),
        (without("/severity_id"), "severity_id"),
        (without("/time"), "time"),
        (without("/metadata"), "metadata"),
        (without("/metadata/version"), "metadata.version"),
        (without("/metadata/product"), "metadata.product"),
        (without("/metadata/product/name"), "metadata.product.name"),
        (without("/metadata/uid"), "metadata.uid"),
        (without("/metadata/sequence"), "metadata.sequence"),
        (with("/metadata/sequence", json!(0)), "metadata.sequence"),
        (with("/metadata/sequence", json!("1")), "metadata.sequence"),
        (without("/unmapped"), "unmapped"),
        (without("/unmapped/run"), "unmapped.run"),
        (with("/unmapped/run", json!("mine")), "unmapped.run"),
        (without("/actor"), "actor"),
        (without("/src_endpoint"), "src_endpoint"),
        (without("/api"), "api"),
        (without("/api/operation"), "api.operation"),
        (with("/category_uid", json!(3)), "category_uid"),
        (with("/class_uid", json!("6003")), "class_uid"),
        (with("/activity_id", json!(100)), "activity_id"),
        (with("/activity_id", json!(-1)), "activity_id"),
        (with("/type_uid", json!(600_301)), "type_uid"),
        (with("/severity_id", json!(7)), "severity_id"),
        (with("/time", json!("2026-11-23T10:00:00Z")), "time"),
        (with("/time", json!(1.5)), "time"),
        (with("/metadata/version", json!("1.9.0")), "metadata.version"),
        (with("/metadata/uid", json!("not-a-uid")), "metadata.uid"),
        (with("/metadata/uid", json!("9f1c7ab2-2a53-4d6e-8f0a-6c1f2f1f3b44")), "metadata.uid"),
        (with("/metadata/product/name", json!(1)), "metadata.product.name"),
        (with("/actor", json!("me")), "actor"),
        (with("/api/operation", Value::Null), "api.operation"),
    ] {
        let line = event.to_string();
        assert_eq!(check(line.as_bytes(), Role::Gateway), Err(Misshapen::Member { name: member }), "{line}");
    }
    let other = with("/activity_id", json!(7)).to_string();
    let not_its = Misshapen::NotItsActivity { class_uid: 6003, activity_id: 7, role: Role::Gateway };
    assert_eq!(check(other.as_bytes(), Role::Gateway), Err(not_its));
    let unknown = with("/class_uid", json!(1001)).to_string();
    // What a reader of the journal could not read again, or would read otherwise.
    let and = |more: &str| good.to_string().replacen('{', &format!("{{{more},"), 1).into_bytes();
    let (deep, twice) = (format!("\"a\":{}{}", "[".repeat(200), "]".repeat(200)), "\"class_uid\":6003");
    for line in [and(&deep), and("\"a\":1e999"), and(twice), and("\"a\":{\"b\":1,\"b\":2}"), and("\"a\":\"\\ud800\"")] {
        assert_eq!(check(&line, Role::Gateway), Err(Misshapen::NotJson));
    }
    assert!(check(&and("\"a\":[{\"b\":-1},null,true,\"\\u00e4\"]"), Role::Gateway).is_ok());
    let not_utf8 = [&and("\"a\":\"x\"")[..], b""]
        .concat()
        .iter()
        .map(|byte| if *byte == b'x' { 0xff } else { *byte })
        .collect::<Vec<_>>();
    assert_eq!(check(&not_utf8, Role::Gateway), Err(Misshapen::NotJson));
    for (line, why) in [
        (&b""[..], Misshapen::NotJson),
        (b"{", Misshapen::NotJson),
        (b"\xff", Misshapen::NotJson),
        (b"{} {}", Misshapen::NotJson),
        (b"[]", Misshapen::NotAnObject),
        (b"\"event\"", Misshapen::NotAnObject),
        (b"{}", Misshapen::Member { name: "class_uid" }),
        (unknown.as_bytes(), Misshapen::UnknownClass { class_uid: 1001 }),
        (&[b' '; MAX_EVENT_BYTES + 1], Misshapen::TooLong { bytes: MAX_EVENT_BYTES + 1 }),
    ] {
        assert_eq!(check(line, Role::Gateway), Err(why));
    }
}

#[test]
fn the_longest_event_of_each_kind_fits() {
    let long = || name(&"n".repeat(253));
    let longest = || ObjectName { namespace: long(), name: long() };
    let target = || Some(Target { team: longest(), team_uid: Some(uid(1)), connection: Some(longest()) });
    let origin = Origin { pod: long(), ..origin(Role::Gateway) };
    let calls = Call {
        actor: Actor::ServiceAccount {
            account: longest(),
            uid: Some(uid(2)),
            pod: Some(long()),
            credential: Some(uid(3)),
        },
        source: Source::Address("2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap()),
        target: target(),
        marketplaces: vec![MarketplaceId::parse(&"A".repeat(20)).unwrap(); 2 * MOST_LISTED],
        resources: vec![key().digest(b"x"); 2 * MOST_LISTED],
        expires_at: Some(time()),
        ..call(Phase::Refused { reason: Reason::new("AReasonThatIsFairlyLongAsReasonsGo"), status: 403 })
    };
    let contained = EntityChange {
        target: target(),
        correlation: Some(Correlation(uid(5))),
        ..change(Kind::AmazonConnection, "x", Change::Contained(vec![long(); 2 * MOST_INCIDENTS]))
    };
    let granted = Granted {
        connections: vec![long(); 2 * MOST_LISTED],
        marketplaces: vec![MarketplaceId::parse(&"A".repeat(20)).unwrap(); 2 * MOST_LISTED],
        operations: vec!["restricted"; 4],
        expires_at: time(),
    };
    let by = Requester::Person(Person { address: key().digest(b"x"), source: Source::Itself });
    let entity = Entity { kind: Kind::RuntimeToken, namespace: Some(long()), name: long(), uid: Some(uid(4)) };
    let issued = EntityChange { entity, change: Change::IssuedBy(by, granted), ..contained.clone() };
    let logs = vec![
        ReviewedLog {
            origin: format!("{}/x", "n".repeat(253)).parse().unwrap(),
            size: u64::MAX,
            checkpoint: Digest::of_unguessable(b"x"),
        };
        2 * MOST_LOGS
    ];
    let reviewed = Review { logs, ..review(ReviewStage::SignedOffBy(Requester::Named("n".repeat(253)))) };
    let note = log::tests::note(30);
    assert!(note.len() > 3500);
    let opened =
        LogChange::Opened { origin: log::tests::ORIGIN.parse().unwrap(), previous: Some(note.parse().unwrap()) };
    assert!(Activity::from(opened).event(&origin, &stamp()).as_line().len() <= MAX_EVENT_BYTES);
    for activity in [Activity::from(calls), contained.into(), issued.into(), reviewed.into()] {
        let event = activity.event(&origin, &stamp());
        assert!(event.as_line().len() <= MAX_EVENT_BYTES, "{}", event.as_line().len());
        assert_eq!(json(&event)["metadata"]["is_truncated"], true);
    }
}

#[test]
fn no_text_of_a_caller_gets_into_an_event_unhashed() {
    let random = "0123456789abcdefABCDEF-_".repeat(3);
    // Put together here so that nothing in this file looks like a credential.
    let secrets = [
        ["Atzr", "|", &random].concat(),
        ["Atza", "|", &random].concat(),
        ["amzn1.oa2-cs", ".v1.", &random.to_lowercase()].concat(),
        ["otrt", "_acme_laptop_", &random].concat(),
        ["eyJhbGciOiJSUzI1NiJ9", ".", &random, ".", &random].concat(),
        "someone@example.com".to_owned(),
    ];
    // These are all constructors that take text at run time; everything else is an id, a number or `&'static`.
    for secret in &secrets {
        assert!(Name::parse(secret).is_err());
        assert!(ObjectName::parse("acme", secret).is_err());
        assert!(format!("acme/{secret}").parse::<ObjectName>().is_err());
        assert!(MarketplaceId::parse(secret).is_err());
        assert!(secret.parse::<LogOrigin>().is_err());
        assert!(secret.parse::<CheckpointNote>().is_err());
        assert!(format!("{}{secret}\n", log::tests::note(1)).parse::<CheckpointNote>().is_err());
        assert!(format!("openteam://gateway/{secret}").parse::<Peer>().is_err());
        for digest in [key().digest(secret.as_bytes()), key().email(secret), Digest::of_unguessable(secret.as_bytes())]
        {
            let (kind, hex) = digest.as_str().split_once(':').unwrap();
            assert!(["hmac-sha256", "sha256"].contains(&kind));
            assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}

#[test]
fn a_sign_in_without_its_person_or_its_door_is_refused() {
    let person = Person { address: key().email("ann@example.com"), source: Source::Itself };
    for (step, members) in [(Step::CodeAsked, &["user", "service"][..]), (Step::Locked(time()), &["user"])] {
        let good = json(&event(Role::Portal, &SignIn { person: person.clone(), step }.into()));
        for member in members {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(*member).unwrap();
            let refused = check(without.to_string().as_bytes(), Role::Portal);
            assert!(matches!(refused, Err(Misshapen::Member { name }) if name == *member), "{without}");
        }
    }
}
