//! An apiserver that tests play.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};

use crate::{controller::Context, stores::Stores, testing};

/// One with contained Teams, of which one does not parse, and the Incident `past`, which contained one of them; watches stay
/// silent.
#[derive(Clone, Default)]
pub(super) struct Server {
    /// What was written: verb and path, and the object.
    written: Arc<Mutex<Vec<(String, Value)>>>,
    /// The statuses of the next writes of Incidents, before they succeed.
    pub(super) failing: Arc<Mutex<Vec<StatusCode>>>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        testing::apiserver(move |method, path, body| server.answer(method, path, body))
    }

    /// What reconcilers have, with everything there is in its stores.
    pub(super) async fn context(&self) -> Arc<Context> {
        let client = self.client();
        let (stores, feeding) = Stores::watch(&client, "openteam-system");
        tokio::spawn(feeding);
        stores.synced().await;
        Arc::new(testing::context(client, stores))
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        if method == Method::GET {
            return (StatusCode::OK, json!({ "metadata": { "resourceVersion": "1" }, "items": there_is(path) }));
        }
        let mut object: Value = serde_json::from_slice(body).unwrap();
        self.written.lock().unwrap().push((format!("{method} {path}"), object.clone()));
        if path.contains("/incidents")
            && let Some(code) = self.failing.lock().unwrap().pop()
        {
            return (code, json!({ "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": "" }));
        }
        if path.contains("/incidents") {
            object["spec"] = json!({});
            object["metadata"]["resourceVersion"] = json!("2");
        }
        (StatusCode::OK, object)
    }

    /// The objects that were written with this verb and to paths that end so.
    pub(super) fn written(&self, verb: &str, path: &str) -> Vec<Value> {
        let all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let those = all.iter().filter(|it| it.0.starts_with(verb) && it.0.ends_with(path));
        those.map(|it| it.1.clone()).collect()
    }

    /// Their names, sorted.
    pub(super) fn created(&self, path: &str) -> Vec<String> {
        let objects = self.written("POST", path);
        let mut names: Vec<_> = objects.iter().map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

fn there_is(path: &str) -> Vec<Value> {
    let team = |name: &str, incidents: &str, spec: Value| {
        let annotations = json!({ "openteam.dev/disable": incidents });
        let metadata = json!({
            "namespace": "acme", "name": name, "uid": name, "resourceVersion": "1", "annotations": annotations,
        });
        json!({ "apiVersion": "openteam.dev/v1alpha1", "kind": "Team", "metadata": metadata, "spec": spec })
    };
    match path.rsplit('/').next() {
        Some("teams") => vec![
            team("one", "inc-1", json!({})),
            team("bad", "inc-1, inc-2", json!({ "members": 7 })),
            team("odd", "Incident 42", json!({})),
            team("nameless", "", json!({})),
        ],
        Some("incidents") => vec![json!({
            "apiVersion": "openteam.dev/v1alpha1",
            "kind": "Incident",
            "metadata": { "namespace": "openteam-system", "name": "past", "uid": "past", "resourceVersion": "1" },
            "spec": {},
            "status": { "phase": "Open", "targets": [{
                "kind": "Team", "namespace": "acme", "name": "one",
                "containedAt": "2026-01-01T00:00:00Z", "restoredAt": "2026-01-02T00:00:00Z",
            }] },
        })],
        _ => Vec::new(),
    }
}
