//! The webhook away, its configuration changed, its authority replaced, the policies altered.

use crds::{Team, TeamSpec, annotation};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use openteam_end_to_end::{House, NAMESPACE, WEBHOOK, alone, eventually};
use serde_json::{Value, json};

const OPERATOR: &str = "openteam-operator-0";
const RECORDER: &str = "openteam-recorder-0";
const CONFIGURATION: &str = "validatingwebhookconfiguration/openteam-webhook";

/// A namespace that is reviewed, with a Team of its name.
fn place(house: &House, name: &str) {
    house.create_reviewed_namespace(name);
    house.apply(&team(name, "first", "First"));
}

fn team(namespace: &str, name: &str, display: &str) -> Team {
    let spec = TeamSpec { display_name: Some(display.to_owned()), ..TeamSpec::default() };
    let mut team = Team::new(name, spec);
    team.metadata.namespace = Some(namespace.to_owned());
    team
}

/// What kubectl says to a change of a Team's spec.
fn rename(house: &House, namespace: &str, display: &str) -> Result<String, String> {
    let patch = json!({ "spec": { "displayName": display } }).to_string();
    let words = ["patch", "team/first", "-n", namespace, "--type=merge", "-p", &patch];
    house.kubectl().run(&words).map_err(|error| error.to_string())
}

fn configuration(house: &House) -> Value {
    serde_json::from_str(&house.kubectl().run(&["get", CONFIGURATION, "-o", "json"]).unwrap()).unwrap()
}

#[test]
fn with_the_webhook_away_only_creations_spec_changes_and_restorations_wait() {
    let house = alone();
    place(&house, "unadvised");
    house.stop(WEBHOOK);
    let refused = rename(&house, "unadvised", "Second").unwrap_err();
    assert!(refused.contains("failed calling webhook \"validate.openteam.dev\""), "{refused}");
    let new = serde_json::to_string(&team("unadvised", "second", "Second")).unwrap();
    assert!(house.kubectl().run_with(&["create", "-f", "-"], &new).is_err());
    // What must not wait does not.
    house.kubectl().run(&["label", "team/first", "-n", "unadvised", "stage=live"]).unwrap();
    house.disable::<Team>("unadvised", "first", "inc-7");
    eventually("status is written", || {
        let read: Team = house.read("unadvised", "first");
        let conditions = read.status.unwrap_or_default().conditions;
        crds::condition::is_true(&conditions, crds::condition::CONTAINED).then_some(())
    });
    house.disable::<Team>("unadvised", "first", "inc-7,inc-8");
    let time = k8s_openapi::jiff::Timestamp::now();
    let restored = format!("{}=inc-7/{time},inc-8/{time}", annotation::RESTORED);
    let out = format!("{}-", annotation::DISABLE);
    let words = ["annotate", "--overwrite", "team/first", "-n", "unadvised", &out, &restored];
    let refused = house.kubectl().run(&words).unwrap_err().to_string();
    assert!(refused.contains("failed calling webhook \"restore.openteam.dev\""), "{refused}");

    house.restart(WEBHOOK);
    house.webhook_is_asked();
    eventually("it is restored", || house.kubectl().run(&words).is_ok().then_some(()));
    rename(&house, "unadvised", "Second").unwrap();
    house.stop(WEBHOOK);
    house.delete::<Team>("unadvised", "first");
    house.restart(WEBHOOK);
}

#[test]
fn a_restoration_that_cannot_be_recorded_does_not_happen_and_everything_else_does() {
    let house = alone();
    place(&house, "unwitnessed");
    house.stop(RECORDER);
    house.disable::<Team>("unwitnessed", "first", "inc-7");
    rename(&house, "unwitnessed", "Second").unwrap();
    let time = k8s_openapi::jiff::Timestamp::now();
    let restored = format!("{}=inc-7/{time}", annotation::RESTORED);
    let out = format!("{}-", annotation::DISABLE);
    let words = ["annotate", "--overwrite", "team/first", "-n", "unwitnessed", &out, &restored];
    let refused = house.kubectl().run(&words).unwrap_err().to_string();
    assert!(refused.contains("recorded before it takes effect") && refused.contains("try again"), "{refused}");
    let held: Team = house.read("unwitnessed", "first");
    assert!(annotation::incidents(&held.metadata).is_some());
    // Nothing is recorded of a dry run, so it needs no recorder.
    house.kubectl().run(&[&words[..], &["--dry-run=server"]].concat()).unwrap();
    house.restart(RECORDER);
    eventually("it is restored", || house.kubectl().run(&words).is_ok().then_some(()));
    house.delete::<Team>("unwitnessed", "first");
}

#[test]
fn a_changed_configuration_is_put_right_and_at_rest_nothing_is_written() {
    let house = alone();
    place(&house, "mended");
    let before = configuration(&house);
    let (version, key) = (before["metadata"]["resourceVersion"].clone(), house.webhook_key());
    house.stop(OPERATOR);
    house.restart(OPERATOR);
    rename(&house, "mended", "Second").unwrap();
    assert_eq!(configuration(&house)["metadata"]["resourceVersion"], version, "at rest, with a new leader too");

    let patch = |patch: Value| {
        house.kubectl().run(&["patch", CONFIGURATION, "--type=json", "-p", &patch.to_string()]).unwrap();
    };
    let healed = || {
        let now = configuration(&house);
        let all = now["webhooks"].as_array().unwrap();
        let bundles =
            all.iter().all(|one| one["clientConfig"]["caBundle"] == before["webhooks"][0]["clientConfig"]["caBundle"]);
        (bundles && house.webhook_key().is_some()).then_some(())
    };
    patch(json!([{ "op": "remove", "path": "/webhooks/0/clientConfig/caBundle" }]));
    eventually("a bundle that was taken away is put back", healed);
    assert_eq!(house.webhook_key(), key);
    patch(json!([{ "op": "replace", "path": "/webhooks/2/clientConfig/service/path", "value": "/restore" }]));
    eventually("a path that was changed gets a new key", healed);
    assert_ne!(house.webhook_key(), key);
    eventually("the webhook knows it", || rename(&house, "mended", "Third").is_ok().then_some(()));

    // Without a configuration there is no advice, and nothing else changes.
    let manifest = configuration(&house);
    house.kubectl().run(&["delete", CONFIGURATION]).unwrap();
    eventually("nobody is asked", || {
        house
            .kubectl()
            .run_with(&["create", "-f", "-"], &serde_json::to_string(&team("mended", "x", "X")).unwrap())
            .is_ok()
            .then_some(())
    });
    eventually("the webhook is Ready all the same", || {
        house.readiness(WEBHOOK).filter(|answer| answer.starts_with("HTTP/1.1 200")).map(drop)
    });
    // As the manifests have it.
    let mut manifest = manifest;
    let name = manifest["metadata"]["name"].clone();
    manifest["metadata"] = json!({ "name": name });
    for webhook in manifest["webhooks"].as_array_mut().unwrap() {
        let client = &mut webhook["clientConfig"];
        client.as_object_mut().unwrap().remove("caBundle");
        client["service"].as_object_mut().unwrap().remove("path");
    }
    house.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &manifest.to_string()).unwrap();
    eventually("it is filled in", healed);
    house.webhook_is_asked();
    eventually("the apiserver asks again", || rename(&house, "mended", "Fourth").is_ok().then_some(()));
    // Applied again, by who owns the rest of it, nothing of the operator's goes.
    house.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &manifest.to_string()).unwrap();
    assert!(healed().is_some());
}

#[test]
fn a_new_authority_needs_no_restart_of_the_webhook() {
    let house = alone();
    place(&house, "rotated");
    let secrets: Api<Secret> = Api::namespaced(house.client().clone(), NAMESPACE);
    let mut old = house.block_on(secrets.get("openteam-ca")).unwrap();
    old.metadata.resource_version = None;
    old.metadata.uid = None;
    let pid = house.pid(WEBHOOK);
    let bundle = || configuration(&house)["webhooks"][0]["clientConfig"]["caBundle"].clone();
    let first = bundle();
    let replace = |with: Option<&Secret>| {
        let before = bundle();
        house.stop(OPERATOR);
        house.block_on(secrets.delete("openteam-ca", &DeleteParams::default())).unwrap();
        if let Some(secret) = with {
            house.block_on(secrets.create(&PostParams::default(), secret)).unwrap();
        }
        house.restart(OPERATOR);
        eventually("the apiserver trusts another authority", || (bundle() != before).then_some(()));
        eventually("the webhook has a certificate of it", || rename(&house, "rotated", "Again").is_ok().then_some(()));
        house.webhook_is_asked();
    };
    replace(None);
    assert_ne!(bundle(), first);
    replace(Some(&old));
    assert_eq!(bundle(), first);
    assert_eq!(house.pid(WEBHOOK), pid, "it was never restarted");
    // What it calls the recorder with is renewed within a minute; the next test does not wait for that.
    house.stop(WEBHOOK);
    house.restart(WEBHOOK);
}

#[test]
fn an_altered_policy_makes_operator_and_webhook_not_ready_and_gateways_serve_on() {
    let house = alone();
    let read = |object: &str| -> Value {
        serde_json::from_str(&house.kubectl().run(&["get", object, "-o", "json"]).unwrap()).unwrap()
    };
    let unready = |pod: &str, words: &str| {
        eventually(&format!("{pod} says {words}"), || {
            let answer = house.readiness(pod)?;
            (answer.starts_with("HTTP/1.1 503") && answer.contains(words)).then_some(())
        });
    };
    let ready = |pod: &str| {
        eventually(&format!("{pod} is Ready"), || {
            house.readiness(pod).filter(|answer| answer.starts_with("HTTP/1.1 200")).map(drop)
        });
    };
    let put_back = |object: &Value| {
        let mut object = object.clone();
        let (name, labels) = (object["metadata"]["name"].clone(), object["metadata"]["labels"].clone());
        object["metadata"] = json!({ "name": name, "labels": labels });
        let words = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        house.kubectl().run_with(&words, &object.to_string()).unwrap();
    };
    let policy = read("validatingadmissionpolicy/openteam-contain");
    let binding = read("validatingadmissionpolicybinding/openteam-freeze");
    let lenient = json!([{ "op": "replace", "path": "/spec/failurePolicy", "value": "Ignore" }]).to_string();
    house
        .kubectl()
        .run(&["patch", "validatingadmissionpolicy/openteam-contain", "--type=json", "-p", &lenient])
        .unwrap();
    for pod in [OPERATOR, WEBHOOK] {
        unready(pod, "ValidatingAdmissionPolicy openteam-contain is altered at spec.failurePolicy");
    }
    put_back(&policy);
    house.kubectl().run(&["delete", "validatingadmissionpolicybinding/openteam-freeze"]).unwrap();
    for pod in [OPERATOR, WEBHOOK] {
        unready(pod, "ValidatingAdmissionPolicyBinding openteam-freeze is missing");
    }
    ready("openteam-gateway-0");
    put_back(&binding);
    for pod in [OPERATOR, WEBHOOK] {
        ready(pod);
    }
    assert!(house.metrics(WEBHOOK).contains("openteam_policies_altered 0"));
}
