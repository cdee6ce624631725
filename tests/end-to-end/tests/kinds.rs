//! What the apiserver itself refuses: every rule of the kinds, tried with kubectl, and its message.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use cluster::{ControlPlane, Error, Kubectl};
use openteam_end_to_end::good;
use serde_json::{Value, json};

/// The messages of all CEL rules below `value`; each rule has one, or nobody who is refused would know why.
fn messages(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let rules = map.get("x-kubernetes-validations").and_then(Value::as_array);
            let message =
                |rule: &Value| rule["message"].as_str().unwrap_or_else(|| panic!("no message: {rule}")).to_owned();
            found.extend(rules.into_iter().flatten().map(message));
            map.values().for_each(|value| messages(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
        _ => {}
    }
}

/// One change of a good object: where (a JSON pointer), and to what. `null` takes the field out.
type Case = (&'static str, &'static str, Value, &'static str);

/// Changed before it is created, and what the refusal says.
fn at_creation() -> Vec<Case> {
    let name = || json!("n".repeat(64));
    let in_na = "CA, US, MX and BR are in region NA";
    let in_eu = "are in region EU";
    let in_fe = "SG, AU and JP are in region FE";
    let mut cases: Vec<Case> = vec![
        ("Team", "/spec/runtimeTokens/maxTtl", json!("0s"), "maxTtl must be more than 0s and at most 2160h"),
        ("Team", "/spec/runtimeTokens/maxTtl", json!("2161h"), "maxTtl must be more than 0s and at most 2160h"),
        ("Team", "/spec/runtimeTokens/maxTtl", json!("1d"), "should match"),
        ("Team", "/spec/members/0/email", json!("nobody"), "should match"),
        ("Team", "/spec/members/0/role", json!("Admin"), "Unsupported value"),
        ("Team", "/spec/nickname", json!("x"), "unknown field"),
        ("AmazonApplication", "/spec/clientId", json!("amzn1.application-oa2-client.X"), "should match"),
        ("AmazonApplication", "/spec/applicationId", json!("app"), "should match"),
        ("AmazonApplication", "/spec/clientSecret", json!("x"), "unknown field"),
        ("AmazonApplication", "/spec/endpoints/lwa", json!("http://amazon.example"), "should match"),
        ("AmazonApplication", "/spec/endpoints/lwa", json!("https://a@amazon.example"), "should match"),
        ("AmazonApplication", "/spec/endpoints/sellingPartnerApi", json!("https://amazon.example/x"), "should match"),
        ("AmazonConnection", "/spec/region", json!("US"), "Unsupported value"),
        ("AmazonConnection", "/spec/region", json!("EU"), in_na),
        ("AmazonConnection", "/spec/region", json!("FE"), in_na),
        ("AmazonConnection", "/spec/marketplaceIds", json!(["A1PA6795UKMFR9"]), in_eu),
        ("AmazonConnection", "/spec/marketplaceIds", json!(["ATVPDKIKX0DER", "A1VC38T7YXB528"]), in_fe),
        ("AmazonConnection", "/spec/marketplaceIds", json!([]), "should have at least 1 items"),
        ("AmazonConnection", "/spec/marketplaceIds", json!(["ATVPDKIKX0DER", "ATVPDKIKX0DER"]), "Duplicate value"),
        ("AmazonConnection", "/spec/marketplaceIds", json!(["us"]), "should match"),
        ("AmazonConnection", "/spec/refreshToken", json!("x"), "unknown field"),
        ("AmazonConnection", "/spec/operations/deny", json!(["read"]), "the same entry is in allow and in deny"),
        ("AmazonConnection", "/spec/teamRef", Value::Null, "Required value"),
        (
            "AgentGrant",
            "/spec/scope/operations",
            json!({ "allow": ["a"], "deny": ["a"] }),
            "the same entry is in allow",
        ),
        ("AgentGrant", "/spec/scope/connections", Value::Null, "Required value"),
        (
            "RuntimeToken",
            "/spec/scope/operations",
            json!({ "allow": ["a"], "deny": ["a"] }),
            "the same entry is in allow",
        ),
        ("RuntimeToken", "/spec/hash", json!("0"), "should be at least 64 chars"),
        ("RuntimeToken", "/spec/hash", json!("F".repeat(64)), "should match"),
        ("RuntimeToken", "/spec/expiresAt", json!("tomorrow"), "date-time"),
        ("SealedCredential", "/spec/field", json!("ClientSecret"), "an AmazonApplication has a ClientSecret"),
        ("SealedCredential", "/spec/for/kind", json!("AmazonApplication"), "an AmazonApplication has a ClientSecret"),
        ("SealedCredential", "/spec/ciphertext", json!("+/=="), "should match"),
        ("SealedCredential", "/spec/field", json!("AuthorizationCode"), "consent: an AuthorizationCode needs it"),
        ("SealedCredential", "/spec/consent", json!({ "sellingPartnerId": "A1EXAMPLE00001" }), "nothing else has it"),
        ("SealedCredential", "/spec/consent", json!({ "sellingPartnerId": "x" }), "should match"),
        ("AmazonApplication", "/spec/redirectUri", json!("http://portal.example/"), "should match"),
        ("AmazonApplication", "/spec/redirectUri", json!("https://portal.example/#a"), "should match"),
        ("AmazonApplication", "/spec/redirectUri", json!("https://me@portal.example/"), "should match"),
        ("AmazonApplication", "/spec/loginUri", json!("https://portal.example/a b"), "should match"),
        ("Incident", "/spec/severity", json!("Bad"), "Unsupported value"),
        ("Incident", "/spec/detectedAt", json!("yesterday"), "date-time"),
        ("Incident", "/spec/title", json!(""), "should be at least 1 chars"),
        ("Incident", "/spec/notes/0/author", Value::Null, "Required value"),
        ("Incident", "/spec/notes/0/text", json!("x".repeat(2001)), "may not be more than 2000"),
        ("Incident", "/spec/closed/remedy", Value::Null, "Required value"),
        ("Incident", "/spec/closed/rootCause", json!(""), "should be at least 1 chars"),
        ("Incident", "/spec/phase", json!("Closed"), "unknown field"),
        ("StoredCredential", "/spec/generation", json!(0), "should be greater than or equal to 1"),
        ("StoredCredential", "/spec/field", json!("AuthorizationCode"), "a code is exchanged, never stored"),
        ("StoredCredential", "/spec/sellingPartnerId", json!("x"), "should match"),
    ];
    for kind in
        ["Team", "AmazonApplication", "AmazonConnection", "AgentGrant", "RuntimeToken", "SealedCredential", "Incident"]
    {
        cases.push((kind, "/metadata/name", name(), "metadata.name: at most 63 characters"));
    }
    cases
}

/// Changed after it was created.
fn at_update() -> Vec<Case> {
    let solution = json!("amzn1.sp.solution.00000000-0000-0000-0000-000000000001");
    let never = "a RuntimeToken never changes";
    vec![
        ("AmazonApplication", "/spec/applicationId", solution, "applicationId is immutable"),
        ("AmazonConnection", "/spec/teamRef/name", json!("other"), "teamRef is immutable"),
        ("AmazonConnection", "/spec/applicationRef/name", json!("other"), "applicationRef is immutable"),
        ("AmazonConnection", "/spec/applicationRef/namespace", json!("other"), "applicationRef is immutable"),
        ("AmazonConnection", "/spec/region", json!("FE"), "region is immutable"),
        ("AmazonConnection", "/spec/sandbox", json!(true), "sandbox is immutable"),
        ("AmazonConnection", "/spec/sellingPartnerId", json!("A1EXAMPLE00002"), "sellingPartnerId is immutable"),
        ("AmazonConnection", "/spec/sellingPartnerId", Value::Null, "sellingPartnerId is immutable"),
        ("Incident", "/spec/notes", Value::Null, "notes only grow"),
        ("Incident", "/spec/notes", json!([]), "notes only grow"),
        ("Incident", "/spec/notes/0/text", json!("Not seen."), "a note does not change"),
        ("Incident", "/spec/notes/0/author", json!("b@example.com"), "notes only grow"),
        ("Incident", "/spec/notes/0/time", json!("2026-01-01T02:00:00Z"), "notes only grow"),
        ("PortalUser", "/spec/email", json!("b@example.com"), "email is immutable"),
        ("RuntimeToken", "/spec/expiresAt", json!("2028-01-01T00:00:00Z"), never),
        ("RuntimeToken", "/spec/scope/marketplaceIds", json!(["A2EUQ1WTGCTBG2"]), never),
        ("RuntimeToken", "/spec/issuedBy", json!("b@example.com"), never),
        ("RuntimeToken", "/spec/hash", json!("1".repeat(64)), never),
    ]
}

fn changed(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        drop(parent.remove(field))
    } else {
        drop(parent.insert(field.to_owned(), value))
    }
    object
}

/// What kubectl says to an object that is refused.
fn refusal(kubectl: &Kubectl, arguments: &[&str], object: &Value) -> String {
    match kubectl.run_with(arguments, &object.to_string()) {
        Err(Error::Failed { output, .. }) => output,
        other => unreachable!("refused was expected of {object}: {other:?}"),
    }
}

#[test]
fn every_rule_refuses_with_its_message() {
    let cluster = ControlPlane::start().unwrap();
    let kubectl = cluster.client();
    let definitions = json!(crds::definitions());
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": definitions });
    kubectl.run_with(&["apply", "--server-side", "-f", "-"], &list.to_string()).unwrap();
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).unwrap();

    let mut said: BTreeMap<&str, String> = BTreeMap::new();
    for (kind, pointer, value, expected) in at_creation() {
        let text = refusal(kubectl, &["apply", "-f", "-"], &changed(good(kind), pointer, value));
        assert!(text.contains(expected), "{kind} {pointer}: {text}");
        said.entry(kind).or_default().push_str(&text);
    }
    for definition in definitions.as_array().unwrap() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        kubectl.run_with(&["apply", "-f", "-"], &good(kind).to_string()).unwrap();
    }
    for (kind, pointer, value, expected) in at_update() {
        // Not applied: that would merge what is taken out.
        let text = refusal(kubectl, &["replace", "-f", "-"], &changed(good(kind), pointer, value));
        assert!(text.contains(expected), "{kind} {pointer}: {text}");
        said.entry(kind).or_default().push_str(&text);
    }

    // A rule that several kinds have is tried with each.
    let mut count = 0;
    for definition in definitions.as_array().unwrap() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let mut rules = BTreeSet::new();
        messages(definition, &mut rules);
        count += rules.len();
        let said = said.get(kind).map_or("", String::as_str);
        let untried: Vec<_> = rules.iter().filter(|message| !said.contains(message.as_str())).collect();
        assert!(untried.is_empty(), "no case for {kind} provokes: {untried:#?}");
    }
    assert!(count > 20, "{count}");
}
