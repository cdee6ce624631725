use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const NAMESPACE: &str = "openteam-system";

/// An apiserver that keeps objects by their path.
#[derive(Clone, Default)]
struct Server {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    writes: Arc<Mutex<u32>>,
}

impl Server {
    fn client(&self) -> Client {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let server = self.clone();
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let body = request.into_body().collect_bytes().await.unwrap();
                let (status, body) = server.answer(&method, &path, serde_json::from_slice(&body).unwrap_or_default());
                let mut response = Response::new(Body::from(body.to_string().into_bytes()));
                *response.status_mut() = status;
                send.send_response(response);
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        let mut objects = self.objects.lock().unwrap();
        let failure = |code: StatusCode| {
            let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
            (code, json!({ "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason }))
        };
        if method == Method::GET && path.ends_with("/storedcredentials") {
            let items: Vec<_> = objects.iter().filter(|(at, _)| at.starts_with(path)).map(|(_, it)| it).collect();
            return (StatusCode::OK, json!({ "metadata": {}, "items": items }));
        }
        if method == Method::GET {
            return objects.get(path).map_or_else(|| failure(StatusCode::NOT_FOUND), |it| (StatusCode::OK, it.clone()));
        }
        let path = match method {
            &Method::POST => format!("{path}/{}", body["metadata"]["name"].as_str().unwrap()),
            _ => path.to_owned(),
        };
        if method == Method::POST && objects.contains_key(&path) {
            return failure(StatusCode::CONFLICT);
        }
        *self.writes.lock().unwrap() += 1;
        objects.insert(path, body.clone());
        (StatusCode::OK, body)
    }

    async fn bootstrap(&self) -> Result<Foundation, BootstrapError> {
        bootstrap(&self.client(), NAMESPACE, &KeysetSource::Secret("openteam-keyset".into())).await
    }

    async fn error(&self) -> BootstrapError {
        match self.bootstrap().await {
            Ok(_) => panic!("it began"),
            Err(error) => error,
        }
    }

    fn remove(&self, secret: &str) {
        self.objects.lock().unwrap().remove(&path("secrets", secret)).unwrap();
    }

    fn change(&self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) {
        change(self.objects.lock().unwrap().get_mut(&path(kind, name)).unwrap());
    }
}

fn path(kind: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/{kind}/{name}")
}

#[tokio::test]
async fn a_first_start_makes_everything_and_later_ones_only_read_it() {
    let server = Server::default();
    let first = server.bootstrap().await.unwrap();
    assert_eq!(
        *server.writes.lock().unwrap(),
        8,
        "keyset, authority, sealing keys, evidence's key, the portal's keys, public halves, what is known of logs"
    );
    let again = server.bootstrap().await.unwrap();
    assert_eq!(*server.writes.lock().unwrap(), 8);
    assert_eq!(again.evidence_key.public(), first.evidence_key.public());
    assert_eq!(again.keyset.cluster_id(), first.keyset.cluster_id());
    assert_eq!(again.authority.pem(), first.authority.pem());
    assert_eq!(again.sealing_keys[0].id(), first.sealing_keys[0].id());
}

#[tokio::test]
async fn no_private_key_stands_anywhere_in_the_clear() {
    let server = Server::default();
    let made = server.bootstrap().await.unwrap();
    let authority = made.authority.private_key();
    let sealing = made.sealing_keys[0].to_bytes();
    let id = made.evidence_key.public().id();
    let stored: Secret =
        serde_json::from_value(server.objects.lock().unwrap()[&path("secrets", "openteam-evidence-key")].clone())
            .unwrap();
    let binding = seal::StoredBinding {
        namespace: NAMESPACE,
        kind: "EvidenceKey",
        name: &id,
        field: "PrivateKey",
        generation: 1,
    };
    let seed = made.keyset.open(&binding, &sealed(&stored, "openteam-evidence-key", &id).unwrap()).unwrap();
    assert_eq!(evidence::PrivateKey::from_seed(seed.expose()).unwrap().public().id(), id);
    for (at, object) in server.objects.lock().unwrap().iter() {
        for (key, value) in object["data"].as_object().unwrap() {
            let text = value.as_str().unwrap().as_bytes();
            let bytes = data_encoding::BASE64.decode(text).unwrap_or_else(|_| text.to_vec());
            for secret in [authority.as_slice(), sealing.as_slice(), seed.expose()] {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{at} {key}");
            }
        }
    }
}

#[tokio::test]
async fn the_portal_gets_keys_of_its_own_and_is_not_given_others() {
    let server = Server::default();
    let made = server.bootstrap().await.unwrap();
    let secret: Secret =
        serde_json::from_value(server.objects.lock().unwrap()[&path("secrets", "openteam-portal")].clone()).unwrap();
    let data = secret.data.unwrap();
    let [digest, own] = ["digest.key", "portal.key"].map(|entry| data[entry].0.clone());
    let gateways = made.keyset.derive("openteam.dev/audit-digest/v1", made.keyset.active_id()).unwrap();
    assert_eq!(digest, gateways.to_vec(), "a person is the same in everybody's events");
    assert!(own.len() == 32 && own != digest);

    // With keys of somebody's choice one could sign in as anybody.
    server.change("secrets", "openteam-portal", |it| it["data"]["portal.key"] = json!("AAAA"));
    assert!(matches!(server.error().await, BootstrapError::Damaged { secret: "openteam-portal", .. }));
    server.remove("openteam-portal");
    server.bootstrap().await.unwrap();
    assert_eq!(
        server.objects.lock().unwrap()[&path("secrets", "openteam-portal")]["data"],
        json!(
            data.iter()
                .map(|(entry, key)| (entry.clone(), data_encoding::BASE64.encode(&key.0)))
                .collect::<BTreeMap<_, _>>()
        )
    );
}

#[tokio::test]
async fn the_published_key_seals_what_the_private_one_opens_and_is_repaired() {
    let server = Server::default();
    let made = server.bootstrap().await.unwrap();
    let published =
        |server: &Server| server.objects.lock().unwrap()[&path("configmaps", "openteam-sealing-keys")].clone();
    let before = published(&server);
    let id = before["data"]["current"].as_str().unwrap();
    let key = seal::PublicKey::from_entry(id, before["data"][id].as_str().unwrap()).unwrap();
    let binding = seal::Binding { namespace: "acme", kind: "AmazonConnection", name: "na", field: "RefreshToken" };
    let text = seal::seal_input(&key, &binding, 1, b"fake").unwrap();
    assert_eq!(seal::open_input(&made.sealing_keys, &binding, &text).unwrap().secret.expose(), b"fake");

    // Somebody's own key there would catch credentials.
    let foreign = PrivateKey::generate();
    server.change("configmaps", "openteam-sealing-keys", |map| {
        map["data"][foreign.id().to_string()] = foreign.public().to_string().into();
        map["data"]["current"] = foreign.id().to_string().into();
    });
    server.bootstrap().await.unwrap();
    assert_eq!(published(&server)["data"], before["data"]);
}

#[tokio::test]
async fn the_published_key_checks_evidence_and_is_repaired() {
    let server = Server::default();
    let made = server.bootstrap().await.unwrap();
    let published =
        |server: &Server| server.objects.lock().unwrap()[&path("configmaps", "openteam-evidence-key")].clone();
    let before = published(&server);
    let keys = evidence::PublicKey::all_in(&before.to_string()).unwrap();
    assert_eq!((keys.len(), before["data"]["current"].as_str()), (1, Some(keys[0].id().as_str())));
    assert!(keys[0].has_signed(b"manifest", &made.evidence_key.sign(b"manifest")));

    // Whoever could put a key of his own there could forge evidence.
    let foreign = evidence::PrivateKey::from_seed(&[7; 32]).unwrap().public();
    server.change("configmaps", "openteam-evidence-key", |map| {
        map["data"][format!("{}.pem", foreign.id())] = foreign.to_pem().into();
    });
    server.bootstrap().await.unwrap();
    assert_eq!(published(&server)["data"], before["data"]);
}

#[tokio::test]
async fn a_lost_keyset_is_never_replaced() {
    for evidence in ["openteam-ca", "openteam-sealing-keys", "openteam-evidence-key"] {
        let server = Server::default();
        server.bootstrap().await.unwrap();
        for secret in ["openteam-keyset", "openteam-ca", "openteam-sealing-keys", "openteam-evidence-key"] {
            if secret != evidence {
                server.remove(secret);
            }
        }
        let error = server.error().await;
        assert!(matches!(error, BootstrapError::KeysetLost { .. }), "{error}");
        assert!(error.to_string().contains(evidence) && error.to_string().contains("Restore"), "{error}");
    }
    let server = Server::default();
    let stored = "/apis/internal.openteam.dev/v1alpha1/storedcredentials/one";
    let one = json!({ "metadata": { "namespace": "acme", "name": "amazonconnection.na.refreshtoken" } });
    server.objects.lock().unwrap().insert(stored.to_owned(), one);
    let error = server.error().await;
    assert!(error.to_string().contains("acme/amazonconnection.na.refreshtoken"), "{error}");
    assert_eq!(*server.writes.lock().unwrap(), 0);
}

#[tokio::test]
async fn what_does_not_fit_together_stops_the_start() {
    let made = || async {
        let server = Server::default();
        server.bootstrap().await.unwrap();
        server
    };
    let other = made().await;
    let others = other.objects.lock().unwrap().clone();

    let server = made().await;
    server.change("secrets", "openteam-keyset", |it| *it = others[&path("secrets", "openteam-keyset")].clone());
    assert!(matches!(server.error().await, BootstrapError::DoesNotOpen { secret: "openteam-ca", .. }));

    let server = made().await;
    server.change("secrets", "openteam-sealing-keys", |it| {
        *it = others[&path("secrets", "openteam-sealing-keys")].clone();
    });
    assert!(matches!(server.error().await, BootstrapError::DoesNotOpen { secret: "openteam-sealing-keys", .. }));

    let server = made().await;
    server.change("secrets", "openteam-evidence-key", |it| {
        *it = others[&path("secrets", "openteam-evidence-key")].clone();
    });
    assert!(matches!(server.error().await, BootstrapError::DoesNotOpen { secret: "openteam-evidence-key", .. }));

    let server = made().await;
    let certificate = others[&path("secrets", "openteam-ca")]["data"]["ca.crt"].clone();
    server.change("secrets", "openteam-ca", |it| it["data"]["ca.crt"] = certificate);
    assert!(matches!(server.error().await, BootstrapError::Authority(AuthorityError::Mismatch)));

    for (secret, key) in [
        ("openteam-ca", "private-key.wrap"),
        ("openteam-sealing-keys", "current"),
        ("openteam-evidence-key", "current"),
    ] {
        let server = made().await;
        server.change("secrets", secret, |it| {
            it["data"].as_object_mut().unwrap().remove(key).unwrap();
        });
        let error = server.error().await;
        assert!(matches!(&error, BootstrapError::Damaged { .. }) && error.to_string().contains(key), "{error}");
    }

    let server = made().await;
    server.change("secrets", "openteam-keyset", |it| it["data"] = json!({}));
    assert!(matches!(server.error().await, BootstrapError::Keyset { .. }));
    let absent = KeysetSource::File("/nonexistent/keyset.json".into());
    let error = bootstrap(&server.client(), NAMESPACE, &absent).await.map(drop).unwrap_err();
    assert!(matches!(error, BootstrapError::File { .. }), "a file is never made: {error}");
}
