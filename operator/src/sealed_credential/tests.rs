use crds::{CredentialField, CredentialOwner, SealedCredentialSpec};
use http::{Request, Response, StatusCode};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Client, client::Body};
use seal::{KeyId, seal_input};

use super::*;
use crate::testing::{keyset, now, stored_refresh_token};

fn token(text: &str) -> String {
    format!("{}{}{text}", "Atzr", '|')
}

fn ms(later_seconds: i64) -> u64 {
    u64::try_from((now() + SignedDuration::from_secs(later_seconds)).as_millisecond()).unwrap()
}

fn sealed(key: &PrivateKey, namespace: &str, name: &str, at: u64, secret: &str) -> SealedCredential {
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: "na".into() };
    let field = CredentialField::RefreshToken;
    let binding = Binding { namespace, kind: owner.kind.as_str(), name, field: field.as_str() };
    let ciphertext = seal_input(key.public(), &binding, at, secret.as_bytes()).unwrap();
    let mut sealed =
        SealedCredential::new("input", SealedCredentialSpec { r#for: owner, field, consent: None, ciphertext });
    sealed.metadata.namespace = Some("acme".into());
    sealed.metadata.generation = Some(1);
    sealed
}

fn owner() -> OwnerReference {
    OwnerReference { name: "na".into(), uid: "uid".into(), ..OwnerReference::default() }
}

fn look(
    sealed: &SealedCredential,
    target: &Target,
    stored: Option<&StoredCredential>,
    opened: Result<u64, Fault>,
) -> plan::Plan {
    look_with(sealed, target, stored, opened, &History::default())
}

fn look_with(
    sealed: &SealedCredential,
    target: &Target,
    stored: Option<&StoredCredential>,
    opened: Result<u64, Fault>,
    history: &History,
) -> plan::Plan {
    plan(&Observed { sealed, input: &digest(sealed), target, stored, history, code: None, opened, now: now() })
}

fn verdict(plan: &plan::Plan) -> (SealedCredentialState, &str) {
    (plan.status.state.unwrap(), plan.status.reason.as_deref().unwrap())
}

#[test]
fn an_input_is_stored_once_and_then_stays_accepted() {
    let (keyset, key) = (keyset(), PrivateKey::generate());
    let mut input = sealed(&key, "acme", "na", ms(-1) + 417, &token("one\n"));
    let opened = open(std::slice::from_ref(&key), &input).unwrap();
    let first = look(&input, &Target::Free, None, Ok(opened.sealed_at_ms));
    let new = first.store.clone().unwrap();
    assert_eq!((new.generation, &new.replaces), (1, &None));

    let stored = stored_credential(&keyset, &input, &owner(), &new, credential_text(&opened).unwrap()).unwrap();
    let restored: StoredCredential = serde_json::from_value(serde_json::to_value(&stored).unwrap()).unwrap();
    input.status = Some(first.status.clone());
    let again = look(&input, &Target::Free, Some(&restored), Ok(opened.sealed_at_ms));
    assert_eq!(again.store, None);
    assert_eq!(again.status, first.status);

    let binding = crate::credential::binding("acme", &restored.spec);
    let kept = seal::Sealed { data: restored.spec.data.clone(), wrap: restored.spec.wrap.clone() };
    assert_eq!(keyset.open(&binding, &kept).unwrap().expose_text().unwrap(), token("one"), "without its line end");
}

#[test]
fn a_newer_input_replaces_exactly_what_was_seen() {
    let (keyset, key) = (keyset(), PrivateKey::generate());
    let mut stored = stored_refresh_token(&keyset, "acme", "na", 4);
    stored.metadata.resource_version = Some("77".into());
    let input = sealed(&key, "acme", "na", ms(0), &token("two"));
    let new = look(&input, &Target::Free, Some(&stored), Ok(ms(0))).store.unwrap();
    assert_eq!((new.generation, new.replaces.as_deref()), (5, Some("77")));
    assert_eq!(new.sealed_at, MicroTime(now()));
}

#[test]
fn what_cannot_be_used_says_why_and_stores_nothing() {
    use SealedCredentialState::{Refused, Superseded, Waiting};
    let (keyset, key) = (keyset(), PrivateKey::generate());
    let stored = stored_refresh_token(&keyset, "acme", "na", 4);
    let input = sealed(&key, "acme", "na", ms(0), &token("x"));
    let unknown: KeyId = "00ff10abcdef0123".parse().unwrap();
    let contained = Target::Contained("Team acme/acme is contained by inc-7".into());
    let hour_ago = ms(-3600);
    for (target, stored, opened, expected) in [
        (&Target::Absent, None, Ok(ms(0)), (Waiting, "TargetNotFound")),
        (&contained, None, Ok(ms(0)), (Waiting, "Contained")),
        (&contained, Some(&stored), Ok(ms(0)), (Waiting, "Contained")),
        (&Target::Free, Some(&stored), Ok(hour_ago - 1000), (Superseded, "Superseded")),
        (&Target::Free, Some(&stored), Ok(hour_ago), (Superseded, "Superseded")),
        (&Target::Free, Some(&stored), Ok(hour_ago - 1), (Superseded, "Superseded")),
        (&Target::Free, None, Ok(ms(301)), (Refused, "FromTheFuture")),
        (&Target::Free, None, Ok(u64::MAX), (Refused, "FromTheFuture")),
        (&Target::Free, None, Err(Fault::InvalidText), (Refused, "InvalidText")),
        (&Target::Free, None, Err(Fault::UnknownSealingKey(unknown)), (Refused, "UnknownSealingKey")),
        (&Target::Absent, None, Err(Fault::CannotOpen), (Refused, "CannotOpen")),
        (&contained, None, Err(Fault::NotACredential), (Refused, "NotACredential")),
    ] {
        let plan = look(&input, target, stored, opened);
        assert_eq!(verdict(&plan), expected);
        assert_eq!(plan.store, None, "{expected:?}");
        if expected.0 == Refused {
            assert_eq!(plan::word(expected.1), expected.1, "events know it");
        }
        let mut written = input.clone();
        written.status = Some(plan.status.clone());
        assert_eq!(look(&written, target, stored, opened), plan);
    }
}

#[test]
fn an_input_opens_only_for_what_it_was_sealed_for() {
    let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
    let keys = [PrivateKey::from_bytes(key.to_bytes().as_slice()).unwrap(), PrivateKey::generate()];
    let fault = |input: &SealedCredential| open(&keys, input).map(drop);
    assert_eq!(fault(&sealed(&key, "acme", "na", ms(0), "ok")), Ok(()));
    assert_eq!(fault(&sealed(&key, "globex", "na", ms(0), "ok")), Err(Fault::CannotOpen), "namespace");
    assert_eq!(fault(&sealed(&key, "acme", "eu", ms(0), "ok")), Err(Fault::CannotOpen), "name");
    assert_eq!(fault(&sealed(&other, "acme", "na", ms(0), "ok")), Err(Fault::UnknownSealingKey(other.id())));
    let mut changed = sealed(&key, "acme", "na", ms(0), "ok");
    changed.spec.ciphertext = changed.spec.ciphertext.replacen('A', "B", 400);
    assert!(fault(&changed).is_err());
    changed.spec.ciphertext = "not-sealed".into();
    assert_eq!(fault(&changed), Err(Fault::InvalidText));
    for secret in [" ", "\n", "two words", "two\nlines", "pass\u{e9}", "\u{7f}"] {
        assert_eq!(fault(&sealed(&key, "acme", "na", ms(0), secret)), Err(Fault::NotACredential), "{secret:?}");
    }
}

#[tokio::test]
async fn losing_against_another_writer_is_a_conflict() {
    let keyset = keyset();
    for version in [None, Some("77".to_owned())] {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let api: Api<StoredCredential> = Api::namespaced(Client::new(service, "default"), "acme");
        let mut stored = stored_refresh_token(&keyset, "acme", "na", 4);
        stored.metadata.resource_version = version.clone();
        let server = async {
            let (request, send) = handle.next_request().await.unwrap();
            let expected = if version.is_none() { "POST" } else { "PUT" };
            assert_eq!(request.method().as_str(), expected);
            let status = serde_json::json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict"});
            let mut response = Response::new(Body::from(status.to_string().into_bytes()));
            *response.status_mut() = StatusCode::CONFLICT;
            send.send_response(response);
        };
        let (written, ()) = tokio::join!(write(&api, &stored), server);
        assert!(matches!(written, Err(ReconcileError::Conflict { .. })), "{written:?}");
    }
}

#[test]
fn an_input_in_use_is_kept_by_its_digest_and_rests() {
    let (keyset, key) = (keyset(), PrivateKey::generate());
    let mut input = sealed(&key, "acme", "na", ms(-1), &token("one"));
    let opened = open(std::slice::from_ref(&key), &input).unwrap();
    let first = look(&input, &Target::Free, None, Ok(opened.sealed_at_ms));
    let stored =
        stored_credential(&keyset, &input, &owner(), &first.store.clone().unwrap(), credential_text(&opened).unwrap())
            .unwrap();
    let before = digest(&input);
    shorten(&mut input);
    assert!(input.spec.ciphertext.len() > 1000, "what waits is kept whole");
    assert!(!rests(&input, &before, Some(&stored)) && is_under_way(&input));

    input.status = Some(first.status);
    for _ in 0..2 {
        shorten(&mut input);
        assert!(input.spec.ciphertext.len() < 100);
        assert_eq!(digest(&input), before);
    }
    assert!(rests(&input, &before, Some(&stored)) && !is_under_way(&input));
    assert!(!rests(&input, &before, None), "its ciphertext went");
    assert!(!rests(&input, &digest(&sealed(&key, "acme", "na", ms(-1), &token("two"))), Some(&stored)));
    input.metadata.generation = Some(2);
    assert!(!rests(&input, &before, Some(&stored)) && is_under_way(&input), "another text came");
}

#[test]
fn the_credential_before_is_kept_beside_a_new_one() {
    let keyset = keyset();
    let until = |hours| Some(MicroTime(now() + SignedDuration::from_hours(hours)));
    let input = sealed(&PrivateKey::generate(), "acme", "na", ms(0), &token("new"));
    let mut fresh = stored_refresh_token(&keyset, "acme", "na", 4);
    fresh.spec.data = "current".to_owned();
    let with = |until| {
        let mut stored = fresh.clone();
        let data = "before".to_owned();
        let sealed_at = stored.spec.sealed_at.clone();
        stored.spec.previous =
            Some(crds::PreviousCredential { generation: 3, sealed_at, data, wrap: "x".to_owned(), until });
        stored
    };
    let retired = |mut stored: StoredCredential| {
        stored.spec.retired = true;
        stored
    };
    let destroyed = |stored| {
        let mut stored = retired(stored);
        stored.spec.destroyed = true;
        stored
    };
    let accepted = |generation| History { accepted: Some(generation), ..History::default() };
    let none = History::default();
    for (stored, history, kept) in [
        (fresh.clone(), &none, Some(("current", until(7 * 24)))),
        (fresh.clone(), &accepted(4), Some(("current", until(7 * 24)))),
        // One that works is not given up for one that was pasted in between.
        (with(until(1)), &accepted(3), Some(("before", until(1)))),
        (with(until(1)), &accepted(4), Some(("current", until(7 * 24)))),
        (with(until(0)), &accepted(3), Some(("current", until(7 * 24)))),
        // What was rotated away is tested until Amazon refuses it.
        (with(None), &accepted(4), Some(("before", None))),
        (retired(fresh.clone()), &none, Some(("current", None))),
        (destroyed(fresh.clone()), &none, None),
        (retired(with(until(1))), &accepted(3), Some(("current", None))),
    ] {
        let new = look_with(&input, &Target::Free, Some(&stored), Ok(ms(0)), history).store.unwrap();
        assert_eq!(new.generation, 5);
        let got = new.previous.map(|it| (it.data, it.until));
        let want = kept.map(|(data, until)| (data.to_owned(), until));
        assert_eq!(got, want, "{history:?} {:?} {:?}", stored.spec.retired, stored.spec.previous);
    }
}

#[test]
fn an_input_waits_for_a_rotation_and_what_was_sealed_by_then_is_old() {
    use SealedCredentialState::{Accepted, Superseded, Waiting};
    let keyset = keyset();
    let input = sealed(&PrivateKey::generate(), "acme", "na", ms(0), &token("x"));
    let rotation = |later| crds::StoredRotation {
        value: Some("1".to_owned()),
        team_value: None,
        at: Some(MicroTime(now() + SignedDuration::from_secs(later))),
    };
    let history = |rotating, rotation| History { rotating, rotation, ..History::default() };
    let contained = Target::Contained("Team acme/acme is contained by inc-7".into());
    let stored = stored_refresh_token(&keyset, "acme", "na", 4);
    let mut retired = stored.clone();
    retired.spec.retired = true;
    for (target, stored, history, expected) in [
        (&Target::Free, None, history(true, None), (Waiting, "Rotating")),
        (&contained, Some(&retired), history(true, None), (Waiting, "Rotating")),
        (&Target::Absent, None, history(true, None), (Waiting, "TargetNotFound")),
        (&Target::Free, None, history(false, Some(rotation(0))), (Superseded, "Superseded")),
        (&Target::Free, None, history(false, Some(rotation(-1))), (Accepted, "Accepted")),
        (&contained, None, history(false, Some(rotation(-1))), (Waiting, "Contained")),
        (&contained, Some(&stored), history(false, Some(rotation(-1))), (Waiting, "Contained")),
        (&contained, Some(&retired), history(false, Some(rotation(-1))), (Accepted, "Accepted")),
    ] {
        let plan = look_with(&input, target, stored, Ok(ms(0)), &history);
        assert_eq!(verdict(&plan), expected, "{target:?} {history:?}");
        assert_eq!(plan.store.map(|new| new.rotation), (expected.0 == Accepted).then_some(history.rotation));
    }
}
