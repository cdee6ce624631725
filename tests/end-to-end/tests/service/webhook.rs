//! What the apiserver says when it has asked the webhook, as people see it in kubectl, and what is in the record of it.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use crds::annotation::{DISABLE, RESTORED};
use k8s_openapi::jiff::Timestamp;
use openteam_end_to_end::{House, WEBHOOK, eventually, good, house};
use serde::Deserialize;
use serde_json::{Value, json};

const DENIED: &str = "admission webhook \"validate.openteam.dev\" denied the request";

/// kubectl with a manifest on its standard input, whatever it says.
fn kubectl(house: &House, words: &[&str], manifest: &Value) -> (bool, String, String) {
    let mut command = house.kubectl().command();
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), manifest.to_string().as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.success(), text(stdout), text(stderr))
}

/// A good object of a kind in a namespace, and a change of its spec.
fn object(kind: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = good(kind);
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["name"] = json!(name);
    let spec = &mut object["spec"];
    if kind == "AmazonConnection" {
        spec["applicationRef"]["namespace"] = json!(namespace);
    }
    change(spec);
    object
}

/// A Team, its application and connection in a namespace of its own that is reviewed.
fn place(house: &House, namespace: &str) {
    house.create_reviewed_namespace(namespace);
    for (kind, name) in [("Team", "acme"), ("AmazonApplication", "amazon"), ("AmazonConnection", "acme-na")] {
        let made = object(kind, namespace, name, |_| ());
        let (done, _, said) = kubectl(house, &["create", "-f", "-"], &made);
        assert!(done, "{kind}: {said}");
        assert!(!said.contains("Warning"), "{kind}, beside what was made just before: {said}");
    }
}

fn refused(house: &House, words: &[&str], object: &Value, why: &str) {
    let (done, said, error) = kubectl(house, words, object);
    assert!(!done, "{object} was let in: {said}");
    assert!(error.contains(DENIED) && error.contains(why), "{why:?} in {error}");
}

#[test]
fn what_can_never_become_right_is_refused_with_field_reason_and_way_out() {
    let house = house();
    place(&house, "advised");
    let create = &["create", "-f", "-"];
    let scope = |spec: &mut Value, field: &str, value: Value| spec["scope"][field] = value;
    for (object, why) in [
        (
            object("AgentGrant", "advised", "x", |spec| scope(spec, "operations", json!({ "allow": ["getOrder"] }))),
            "spec.scope.operations.allow: write which one is meant: getOrder (",
        ),
        (
            object("AgentGrant", "advised", "x", |spec| scope(spec, "operations", json!({ "allow": ["reed"] }))),
            "spec.scope.operations: reed are no classes (read, write, financial, restricted)",
        ),
        (
            object("AgentGrant", "advised", "x", |spec| spec["teamRef"]["name"] = json!("globex")),
            "acme-na belong to another Team than globex",
        ),
        (
            object("RuntimeToken", "advised", "x", |spec| spec["issuedBy"] = json!("stranger@example.com")),
            "spec.issuedBy: this is no Owner or Member of Team acme",
        ),
        (
            object("RuntimeToken", "advised", "x", |spec| spec["expiresAt"] = json!("2099-01-01T00:00:00Z")),
            "live 24h at most (its spec.runtimeTokens.maxTtl)",
        ),
        (
            object("RuntimeToken", "advised", "x", |spec| spec["expiresAt"] = json!("2020-01-01T00:00:00Z")),
            "spec.expiresAt: this is over already",
        ),
        (
            object("SealedCredential", "advised", "x", |_| ()),
            "spec.ciphertext: this is not what `openteam seal` prints",
        ),
    ] {
        refused(&house, create, &object, why);
    }
    // An application of another namespace that is not for this one.
    house.create_reviewed_namespace("advised-too");
    let foreign = object("AmazonConnection", "advised-too", "x", |spec| {
        spec["applicationRef"]["namespace"] = json!("advised");
    });
    refused(&house, create, &foreign, "AmazonApplication advised/amazon is not for namespace advised-too");

    // A change of a spec is looked at like a creation; one that is no fault is let in, and so is whatever is no spec.
    let grant = object("AgentGrant", "advised", "agent", |_| ());
    assert!(kubectl(&house, create, &grant).0);
    let faulty =
        object("AgentGrant", "advised", "agent", |spec| scope(spec, "operations", json!({ "allow": ["reed"] })));
    for words in [&["apply", "--server-side", "--force-conflicts", "-f", "-"][..], &["replace", "-f", "-"]] {
        refused(&house, words, &faulty, "reed");
    }
    house.kubectl().run(&["label", "agentgrant/agent", "-n", "advised", "stage=live"]).unwrap();
}

#[test]
fn an_input_for_an_unknown_key_is_refused_and_one_that_openteam_seals_is_let_in() {
    let house = house();
    place(&house, "keyed");
    let binding =
        seal::Binding { namespace: "keyed", kind: "AmazonConnection", name: "acme-na", field: "RefreshToken" };
    let foreign = seal::PrivateKey::generate();
    let text = seal::seal_input(foreign.public(), &binding, 1, b"fake").unwrap();
    let sealed = object("SealedCredential", "keyed", "token", |spec| spec["ciphertext"] = json!(text));
    refused(&house, &["create", "-f", "-"], &sealed, "which this cluster does not have");
    // As the house seals all its credentials.
    house.seal("amazonconnection/keyed/acme-na", "refresh-token", "Atzr|fake-to-be-sealed");
}

#[test]
fn what_is_not_there_yet_is_a_warning_and_the_samples_are_let_in_in_any_order() {
    let house = house();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples");
    let text = house.kubectl().run(&["kustomize", &dir.display().to_string()]).unwrap();
    let samples: Vec<Value> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|one| one["apiVersion"] == "openteam.dev/v1alpha1")
        .map(|mut one| {
            one["metadata"]["namespace"] = json!("forward");
            one
        })
        .collect();
    assert_eq!(samples.len(), 4);
    let order = ["AgentGrant", "AmazonConnection", "AmazonApplication", "Team"];
    for (namespace, reversed) in [("forward", true), ("backward", false)] {
        house.create_reviewed_namespace(namespace);
        let mut samples = samples.clone();
        samples.sort_by_key(|one| order.iter().position(|kind| one["kind"] == *kind));
        if reversed {
            samples.reverse();
        }
        for mut sample in samples.clone() {
            sample["metadata"]["namespace"] = json!(namespace);
            if sample["kind"] == "AmazonConnection" {
                sample["spec"]["applicationRef"]["namespace"] = json!(namespace);
            }
            let (done, _, said) = kubectl(&house, &["apply", "-f", "-"], &sample);
            assert!(done, "{said}");
            let kind = sample["kind"].as_str().unwrap();
            let expected = match (kind, reversed) {
                // Nobody made the ServiceAccount.
                ("AgentGrant", true) => &["ServiceAccount agent is not in this namespace (yet)"][..],
                ("AgentGrant", false) => &["Team acme is not in this namespace (yet)", "acme-na do not exist"],
                ("AmazonConnection", false) => {
                    &["Team acme is not in this", "AmazonApplication backward/acme is not there"]
                }
                _ => &[],
            };
            assert!(expected.iter().all(|words| said.contains(words)), "{kind}: {expected:?} in {said}");
            assert!(!expected.is_empty() || !said.contains("Warning:"), "{kind}: {said}");
            let (done, again, _) = kubectl(&house, &["apply", "-f", "-"], &sample);
            assert!(done && again.contains("unchanged"), "{again}");
        }
    }
}

/// What the record says the webhook was told of an object: what, by whom, of which incidents.
fn told(house: &House, namespace: &str) -> Vec<(String, String, Value)> {
    let ours = |event: &Value| {
        event["metadata"]["product"]["feature"]["name"] == "webhook"
            && event["entity"]["name"].as_str().is_some_and(|name| name.starts_with(&format!("{namespace}/")))
    };
    let tell = |event: Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["message"]), text(&event["actor"]["user"]["name"]), event["unmapped"]["incidents"].clone())
    };
    house.journal().into_iter().map(|line| line.get("event").cloned().unwrap_or(line)).filter(ours).map(tell).collect()
}

#[test]
fn who_contained_rotated_restored_and_deleted_is_in_the_record_and_a_dry_run_is_not() {
    let house = house();
    place(&house, "witnessed");
    let jane = "--as=jane@example.com";
    let of = ["--as-group=system:masters", "--namespace=witnessed"];
    let run = |words: &[&str], who: &str, dry: bool| {
        let dry: &[&str] = if dry { &["--dry-run=server"] } else { &[] };
        let words = [words, &[who], &of, dry].concat();
        house.kubectl().run(&words).unwrap();
    };
    let time = Timestamp::now();
    let contain = ["annotate", "--overwrite", "amzc/acme-na", &format!("{DISABLE}=inc-7,Incident 8")];
    let restored = format!("{RESTORED}=inc-7/{time},Incident 8/{time}");
    let restore = ["annotate", "--overwrite", "amzc/acme-na", &format!("{DISABLE}-"), &restored];
    let delete = ["delete", "amzc/acme-na"];
    run(&contain, jane, true);
    run(&contain, "--as=responder", false);
    let rotate = ["annotate", "amzc/acme-na", "openteam.dev/rotate=inc-7", "openteam.dev/renew=inc-7"];
    run(&rotate, jane, true);
    run(&rotate, "--as=rotator", false);
    run(&restore, jane, true);
    run(&restore, jane, false);
    run(&delete, jane, true);
    run(&delete, "--as=system:serviceaccount:witnessed:gitops", false);
    // printf %s jane@example.com | sha256sum
    let jane = "sha256:8c87b489ce35cf2e2f39f80e282cb2e8".to_owned();
    let both = json!(["inc-7", "incident-8"]);
    let expected = [
        ("contained by", "responder".to_owned(), both.clone()),
        ("rotation asked for by", "rotator".to_owned(), Value::Null),
        ("renewal asked for by", "rotator".to_owned(), Value::Null),
        ("about to be restored by", jane, both),
        ("deleted by", "system:serviceaccount:witnessed:gitops".to_owned(), Value::Null),
    ]
    .map(|(what, who, incidents)| (what.to_owned(), who, incidents));
    eventually("all of them are told, and nothing else", || {
        let mut found = told(&house, "witnessed");
        found.sort_by_key(|(what, ..)| expected.iter().position(|(one, ..)| one == what));
        (found == expected).then_some(())
    });
    let metrics = house.metrics(WEBHOOK);
    assert!(metrics.contains("openteam_webhook_records_total{outcome=\"recorded\"}"), "{metrics}");
}

#[test]
fn a_containment_that_the_apiserver_refuses_after_all_is_not_in_the_record() {
    let house = house();
    place(&house, "unhappened");
    // The webhook is asked before etcd is: this version is gone by then.
    let mut old: Value =
        serde_json::from_str(&house.kubectl().run(&["get", "amzc/acme-na", "-n", "unhappened", "-o", "json"]).unwrap())
            .unwrap();
    house.kubectl().run(&["label", "amzc/acme-na", "-n", "unhappened", "stage=live"]).unwrap();
    old["metadata"]["annotations"] = json!({ DISABLE: "inc-7" });
    let (done, _, said) = kubectl(&house, &["replace", "-f", "-"], &old);
    assert!(!done && said.contains("the object has been modified"), "{said}");
    house.kubectl().run(&["annotate", "team/acme", "-n", "unhappened", &format!("{DISABLE}=inc-8")]).unwrap();
    eventually("the next one is told", || {
        told(&house, "unhappened").iter().any(|(what, ..)| what == "contained by").then_some(())
    });
    assert_eq!(told(&house, "unhappened").len(), 1);
    house.restore::<crds::Team>("unhappened", "acme");
}
