//! Asking the webhook as the apiserver does, or as somebody who would like to be taken for it.

use std::time::Duration;

use reqwest::{Certificate, Client, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{House, NAMESPACE};

/// What the webhook's certificate names.
const HOST: &str = "openteam-webhook.openteam-system.svc";

/// A client of the webhook.
pub struct Reviewer<'h> {
    house: &'h House,
    client: Client,
    base: String,
}

impl House {
    /// A client of the webhook that checks its certificate.
    #[must_use]
    pub fn reviewer(&self) -> Reviewer<'_> {
        assert!(HOST.contains(NAMESPACE));
        let port = self.webhook_port();
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(self.authority().as_bytes()).unwrap()])
            .resolve(HOST, ([127, 0, 0, 1], port).into())
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Reviewer { house: self, client, base: format!("https://{HOST}:{port}") }
    }
}

impl Reviewer<'_> {
    /// What is answered at a path: the status and the body. A connection that is broken off is no answer.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<(u16, String)> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.house.block_on(async {
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            Some((status, answer.text().await.ok()?))
        })
    }

    /// Asks for a review.
    #[must_use]
    pub fn ask(&self, path: &str, review: &Value) -> (u16, String) {
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        self.send("POST", path, &json, review.to_string().into_bytes()).expect("an answer")
    }
}

/// An AdmissionReview of an object.
#[must_use]
pub fn admission_review(operation: &str, user: &str, object: &Value, old: &Value) -> Value {
    let kind = if object.is_null() { &old["kind"] } else { &object["kind"] };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "openteam.dev", "version": "v1alpha1", "kind": kind },
            "operation": operation, "userInfo": { "username": user },
            "object": object, "oldObject": old, "dryRun": false,
        },
    })
}
