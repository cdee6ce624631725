use access::{Entry, Objects};
use crds::{AmazonApplication, AmazonApplicationSpec, AmazonConnectionSpec, AmazonConnectionStatus, LocalReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use serde_json::json;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn name(name: &str) -> crds::NamespacedReference {
    crds::NamespacedReference { namespace: "acme".to_owned(), name: name.to_owned() }
}

fn connection(ready: bool) -> AmazonConnection {
    let spec = AmazonConnectionSpec {
        team_ref: LocalReference::to("acme"),
        application_ref: name("app"),
        ..AmazonConnectionSpec::default()
    };
    let mut connection = AmazonConnection::new("na", spec);
    let mut status = AmazonConnectionStatus::default();
    let state = if ready {
        condition::State::yes(condition::READY, "Ready", "")
    } else {
        condition::State::no(condition::READY, "CredentialMissing", "seal one")
    };
    condition::set(&mut status.conditions, state, None, now());
    connection.status = Some(status);
    connection
}

fn index(connection: AmazonConnection, application: ObjectMeta) -> Index {
    let mut app = AmazonApplication::new("app", AmazonApplicationSpec::default());
    app.metadata = application;
    Index {
        connections: Objects::from_iter([(name("na"), Entry::Read(connection.into()))]),
        applications: Objects::from_iter([(name("app"), Entry::Read(app.into()))]),
        ..Index::default()
    }
}

fn contained() -> ObjectMeta {
    ObjectMeta {
        annotations: Some([(annotation::DISABLE.to_owned(), "inc-7".to_owned())].into()),
        managed_fields: Some(vec![ManagedFieldsEntry {
            manager: Some("kubectl-annotate".to_owned()),
            time: Some(Time(now())),
            fields_v1: Some(FieldsV1(json!({ "f:metadata": { "f:annotations": { "f:openteam.dev/disable": {} } } }))),
            ..ManagedFieldsEntry::default()
        }]),
        ..ObjectMeta::default()
    }
}

#[test]
fn what_is_contained_stops_its_connections_and_is_told_with_its_beginning() {
    let status = Status::of(&index(connection(true), contained()), now());
    assert_eq!(
        status.contained,
        [Contained {
            kind: "AmazonApplication",
            object: "acme/app".to_owned(),
            incidents: vec!["inc-7".to_owned()],
            since: Some(now()),
            by: Some("kubectl-annotate".to_owned()),
        }]
    );
    let by = vec!["AmazonApplication acme/app".to_owned()];
    assert_eq!(status.stopped, [Stopped { connection: "acme/na".to_owned(), by }]);
    let next = status.advice();
    assert!(next.iter().any(|next| next.contains("restore inc-7 --all")), "{next:?}");
}

#[test]
fn a_client_secret_is_told_that_ends_soon_or_that_amazon_accepts_though_it_was_replaced() {
    let at = |days: i64| Some(Time(now() + SignedDuration::from_hours(24 * days)));
    for (ends, old, told) in [
        (None, None, None),
        (at(180), None, None),
        (at(180), at(-1), None),
        (at(20), None, Some((Some(20), None))),
        (at(-1), None, Some((Some(-1), None))),
        (at(180), at(3), Some((None, Some(3)))),
    ] {
        let status =
            SecretRotationStatus { secret_expires_at: ends, old_secret_until: old, ..SecretRotationStatus::default() };
        let days = |time: Timestamp| time.duration_since(now()).as_hours() / 24;
        let found = client_secret(&name("app"), &status, now());
        let found = found.map(|found| (found.ends_at.map(days), found.old_accepted_until.map(days)));
        assert_eq!(found, told);
    }
}

#[test]
fn a_token_that_was_handed_out_is_told_until_it_ends() {
    let exposed = |seconds| {
        let mut connection = connection(true);
        let until = Timestamp::from_second(now().as_second() + seconds).unwrap();
        connection.status.as_mut().unwrap().exposed_until = Some(Time(until));
        Status::of(&index(connection, contained()), now()).exposed.len()
    };
    assert_eq!((exposed(60), exposed(-60)), (1, 0));
}

#[test]
fn an_authorization_that_ends_within_sixty_days_is_told() {
    let ending = |days: i64| {
        let mut connection = connection(true);
        let at = Timestamp::from_second(now().as_second() + days * 86_400).unwrap();
        connection.status.as_mut().unwrap().authorization_expires_at = Some(Time(at));
        Status::of(&index(connection, ObjectMeta::default()), now()).ending.len()
    };
    assert_eq!((ending(59), ending(61)), (1, 0));
}

#[test]
fn what_is_not_ready_by_itself_says_why() {
    let status = Status::of(&index(connection(false), ObjectMeta::default()), now());
    assert_eq!(status.not_ready[0].reason, "CredentialMissing");
    assert!(status.table().contains("Nothing is contained."), "{}", status.table());
    let status = Status::of(&index(connection(true), ObjectMeta::default()), now());
    assert_eq!(status, Status::default());
}

#[test]
fn who_is_asked_to_consent_and_which_old_tokens_are_not_known_to_be_dead_is_told() {
    let mut asked = connection(false);
    let told = asked.status.as_mut().unwrap();
    let requested = condition::State::yes(condition::CONSENT_REQUESTED, "Rotated", "seal");
    condition::set(&mut told.conditions, requested, None, now());
    for (status, accepted) in [(Some(true), Some(Some(true))), (None, Some(None)), (Some(false), None)] {
        let type_ = condition::OLD_TOKEN_STILL_ACCEPTED;
        let state = condition::State { type_, status, reason: "X".to_owned(), message: String::new() };
        condition::set(&mut asked.status.as_mut().unwrap().conditions, state, None, now());
        let status = Status::of(&index(asked.clone(), ObjectMeta::default()), now());
        let consent = Consent { connection: "acme/na".to_owned(), reason: "Rotated".to_owned(), since: now() };
        assert_eq!(status.consents, [consent]);
        assert_eq!(status.old_tokens.first().map(|one| one.accepted), accepted);
        let table = status.table();
        assert!(table.contains("asked to consent again"), "{table}");
        assert_eq!(table.contains("rotated away"), accepted.is_some(), "{table}");
    }
}
