use std::sync::{Arc, Mutex};

use audit::Posted;
use crds::{
    Consent, CredentialField, CredentialOwner, MANAGED_BY, PORTAL, SealedCredentialSpec, SealedCredentialState,
};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::{stores::Stores, testing};

/// A recorder that writes everything down.
struct Willing;

impl audit::Transport for Willing {
    fn post<'a>(&'a self, _: &'a reqwest::Url, _: bytes::Bytes, _: usize, _: Duration) -> Posted<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn willing() -> audit::Recorder {
    let origin = audit::Origin {
        role: audit::Role::Operator,
        pod: audit::Name::parse("openteam-operator-0").unwrap(),
        version: "0",
    };
    let recorders = vec!["https://recorder.example".parse().unwrap()];
    let (recorder, delivery) =
        audit::Recorder::new(audit::Settings { origin, recorders, transport: Arc::new(Willing) });
    tokio::spawn(delivery.run());
    recorder
}

/// A code that the portal made and that was accepted, so many seconds ago.
fn accepted(ago: i64) -> SealedCredential {
    let spec = SealedCredentialSpec {
        r#for: CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: "na".to_owned() },
        field: CredentialField::AuthorizationCode,
        consent: Some(Consent { selling_partner_id: "A1EXAMPLE00001".to_owned(), redirect_uri: None }),
        ciphertext: "AAAA".to_owned(),
    };
    let mut sealed = SealedCredential::new("consent", spec);
    let meta = &mut sealed.metadata;
    meta.namespace = Some("acme".to_owned());
    meta.uid = Some("uid-1".to_owned());
    meta.resource_version = Some("7".to_owned());
    meta.generation = Some(1);
    meta.labels = Some([(MANAGED_BY.to_owned(), PORTAL.to_owned())].into());
    meta.creation_timestamp = Some(Time(Timestamp::now() - SignedDuration::from_secs(ago)));
    sealed.status = Some(SealedCredentialStatus {
        state: Some(SealedCredentialState::Accepted),
        observed_generation: Some(1),
        ..SealedCredentialStatus::default()
    });
    sealed
}

/// A pass over it, with what was asked of the apiserver, which answers with this status.
async fn pass(
    sealed: SealedCredential,
    recorder: Option<audit::Recorder>,
    answer: StatusCode,
) -> (Result<Action, ReconcileError>, Vec<(Method, String, Value)>) {
    let asked: Arc<Mutex<Vec<_>>> = Arc::default();
    let seen = asked.clone();
    let client = testing::apiserver(move |method, path, body| {
        let body = serde_json::from_slice(body).unwrap_or_default();
        seen.lock().unwrap().push((method.clone(), path.to_owned(), body));
        let status = if answer.is_success() { "Success" } else { "Failure" };
        (answer, json!({ "kind": "Status", "apiVersion": "v1", "status": status, "code": answer.as_u16() }))
    });
    let (stores, _feeds) = Stores::watch(&client, "openteam-system");
    let mut context = testing::context(client, stores);
    if let Some(recorder) = recorder {
        context.recorder = recorder;
    }
    let done = reconcile(&context, sealed).await;
    let asked = asked.lock().unwrap().clone();
    (done, asked)
}

#[tokio::test]
async fn a_code_of_no_use_is_deleted_once_recorded_and_only_the_one_that_was_seen() {
    let (done, asked) = pass(accepted(3601), Some(willing()), StatusCode::OK).await;
    assert_eq!(done.unwrap(), Action::await_change());
    let [(method, path, body)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*method, Method::DELETE);
    assert!(path.ends_with("/namespaces/acme/sealedcredentials/consent"), "{path}");
    assert_eq!(body["preconditions"], json!({ "uid": "uid-1", "resourceVersion": "7" }));

    let (done, asked) = pass(accepted(3601), None, StatusCode::OK).await;
    assert!(matches!(done, Err(ReconcileError::NotRecorded(_))), "{done:?}");
    assert_eq!(asked, [], "not recorded, not deleted");

    let (done, asked) = pass(accepted(3590), Some(willing()), StatusCode::OK).await;
    assert_eq!(asked, []);
    assert!(done.unwrap() != Action::await_change(), "looked at again when its time has come");
    let mut by_hand = accepted(100_000);
    by_hand.metadata.labels = None;
    let (done, asked) = pass(by_hand, Some(willing()), StatusCode::OK).await;
    assert_eq!((done.unwrap(), asked), (Action::await_change(), Vec::new()));
}

#[tokio::test]
async fn what_went_meanwhile_is_no_error_and_what_changed_is_read_again() {
    let (done, _) = pass(accepted(3601), Some(willing()), StatusCode::NOT_FOUND).await;
    assert!(done.is_ok(), "{done:?}");
    let (done, _) = pass(accepted(3601), Some(willing()), StatusCode::CONFLICT).await;
    assert!(matches!(done, Err(ReconcileError::Conflict { .. })), "{done:?}");
}

#[tokio::test]
async fn what_amazon_gave_is_kept_until_it_is_stored_and_never_shown() {
    let exchanges = Exchanges::default();
    exchanges.keep("1".to_owned(), Outcome::Granted, Some(SecretString::from("plainly fake")));
    let kept = exchanges.of("1");
    assert!(!format!("{kept:?}").contains("plainly"), "{kept:?}");
    assert_eq!(kept.unwrap().1.unwrap().expose_secret(), "plainly fake", "as often as it is asked for");
    assert!(exchanges.of("2").is_none());
    exchanges.forget("1");
    assert!(exchanges.of("1").is_none());
}
