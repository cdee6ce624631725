//! What the tests of several modules build.

use crds::{
    CredentialField, CredentialOwner, CredentialOwnerKind, StoredCredential, StoredCredentialSpec, Team,
    stored_credential_name,
};
use http::{Method, Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Client, client::Body};
use seal::{Keyset, StoredBinding};
use serde_json::Value;

/// The tests' present.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

pub(crate) fn keyset() -> Keyset {
    Keyset::generate(0)
}

pub(crate) fn team(namespace: &str, name: &str) -> Team {
    let mut team = Team::new(name, Default::default());
    team.metadata.namespace = Some(namespace.to_owned());
    team
}

pub(crate) fn stored_client_secret(keyset: &Keyset, namespace: &str, name: &str, generation: i64) -> StoredCredential {
    stored(keyset, namespace, CredentialOwnerKind::AmazonApplication, name, generation)
}

pub(crate) fn stored_refresh_token(keyset: &Keyset, namespace: &str, name: &str, generation: i64) -> StoredCredential {
    stored(keyset, namespace, CredentialOwnerKind::AmazonConnection, name, generation)
}

fn stored(
    keyset: &Keyset,
    namespace: &str,
    kind: CredentialOwnerKind,
    name: &str,
    generation: i64,
) -> StoredCredential {
    let owner = CredentialOwner { kind, name: name.to_owned() };
    let field: CredentialField = kind.field();
    let binding = StoredBinding {
        namespace,
        kind: kind.as_str(),
        name,
        field: field.as_str(),
        generation: generation.unsigned_abs(),
    };
    let sealed = keyset.seal(&binding, b"plainly fake").unwrap();
    let sealed_at = MicroTime(now() - SignedDuration::from_hours(1));
    let object = stored_credential_name(&owner, field);
    let spec = StoredCredentialSpec {
        r#for: owner,
        field,
        generation,
        not_before: sealed_at.clone(),
        sealed_at,
        data: sealed.data,
        wrap: sealed.wrap,
        retired: false,
        destroyed: false,
        previous: None,
        rotation: None,
        told: None,
        selling_partner_id: None,
    };
    let mut stored = StoredCredential::new(&object, spec);
    stored.metadata.namespace = Some(namespace.to_owned());
    stored
}

/// A client of an apiserver that answers with a status and an object, by method, path and what was sent. Its watches stay
/// silent.
pub(crate) fn apiserver(answer: impl Fn(&Method, &str, &[u8]) -> (StatusCode, Value) + Send + 'static) -> Client {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Some((request, send)) = handle.next_request().await {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            if uri.query().unwrap_or_default().contains("watch=") {
                silent.push(send);
                continue;
            }
            let body = request.into_body().collect_bytes().await.unwrap();
            let (status, body) = answer(&method, uri.path(), &body);
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = status;
            send.send_response(response);
        }
    });
    Client::new(service, "default")
}

/// What reconcilers have, with an apiserver that the test plays and no recorder at all.
pub(crate) fn context(client: Client, stores: crate::stores::Stores) -> crate::controller::Context {
    let origin = audit::Origin {
        role: audit::Role::Operator,
        pod: audit::Name::parse("openteam-operator-0").unwrap(),
        version: "0",
    };
    let transport = std::sync::Arc::new(audit::Https::new(reqwest::Client::new));
    let settings = audit::Settings { origin, recorders: Vec::new(), transport };
    crate::controller::Context {
        client,
        stores,
        keyset: keyset(),
        sealing_keys: Vec::new(),
        recorder: audit::Recorder::new(settings).0,
        digests: audit::DigestKey::new([7; 32]),
        pod: "openteam-operator-0".to_owned(),
        leading_since: Timestamp::now(),
        authority: String::new(),
        gateway_url: "https://gateway.example".to_owned(),
        portal_url: "https://portal.example".to_owned(),
        allow_endpoints: false,
        amazon: amazon::PerBundle::new(crate::amazon_connection::Clients::new),
        calls: crate::amazon_connection::Calls::default(),
        exchanges: crate::sealed_credential::Exchanges::default(),
        queues: crate::client_secret::queue::Queues::default(),
        failures: crate::error::Failures::default(),
        unreadable: crate::controller::Unreadable::default(),
        applied: crate::status::Applied::default(),
        metrics: crate::metrics::Metrics::register(&process::metrics::Metrics::new(audit::Role::Operator)),
        mailer: process::mail::Mailer::new(
            &process::settings::Settings::default(),
            "/none".into(),
            &process::metrics::Metrics::new(audit::Role::Operator),
        ),
        contacts: crate::controller::Contacts::default(),
        outbox: crate::incident::mail::Outbox::default(),
    }
}
