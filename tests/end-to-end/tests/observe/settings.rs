//! ConfigMap `openteam`, from the manifests to the roles.

use std::fs;

use openteam_end_to_end::{House, house, repository};
use serde::Deserialize;
use serde_json::{Value, json};

/// Every role, in order.
const ROLES: [&str; 5] = ["gateway", "operator", "portal", "recorder", "webhook"];

/// What kustomize makes of the base with these settings merged in.
fn rendered(house: &House, name: &str, literals: &[&str]) -> String {
    // Kustomize takes bases by relative paths only.
    let dir = repository().join("target").join(format!("settings-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let kustomization = json!({
        "resources": ["../../manifests/base"],
        "components": ["../../manifests/components/prometheus-operator"],
        "configMapGenerator": [
            { "name": "openteam", "namespace": "openteam-system", "behavior": "merge", "literals": literals },
        ],
    });
    fs::write(dir.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let text = house.kubectl().run(&["kustomize", &dir.display().to_string()]);
    fs::remove_dir_all(&dir).unwrap();
    text.unwrap()
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The ConfigMap that the pods of a role mount.
fn mounted(documents: &[Value], role: &str) -> String {
    let of = |document: &&Value| document["metadata"]["name"] == format!("openteam-{role}");
    let workload = documents.iter().filter(of).find(|document| document["spec"]["template"].is_object()).unwrap();
    let volumes = workload["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    let settings = volumes.iter().find(|volume| volume["name"] == "settings").unwrap();
    settings["configMap"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_changed_setting_rolls_every_role() {
    let house = house();
    let before = documents(&rendered(&house, "before", &[]));
    let after = documents(&rendered(&house, "after", &["stalenessLimit=30s"]));
    // A role that comes later is not forgotten here.
    let workload = |one: &&Value| one["spec"]["template"]["spec"]["containers"].is_array();
    let mut workloads: Vec<_> = after.iter().filter(workload).map(|one| text(&one["metadata"]["name"])).collect();
    workloads.sort();
    assert_eq!(workloads, ROLES.map(|role| format!("openteam-{role}")));
    for role in ROLES {
        let (before, after) = (mounted(&before, role), mounted(&after, role));
        assert!(before.starts_with("openteam-") && after.starts_with("openteam-"), "{before} {after}");
        assert_ne!(before, after, "{role}");
    }
    assert!(after.iter().any(|document| document["kind"] == "PrometheusRule"));
    let monitor = after.iter().find(|document| document["kind"] == "PodMonitor").unwrap();
    for role in ROLES {
        let workload = after
            .iter()
            .find(|one| one["metadata"]["name"] == format!("openteam-{role}") && one["spec"]["template"].is_object());
        let template = &workload.unwrap()["spec"]["template"];
        let ports = template["spec"]["containers"][0]["ports"].as_array().unwrap();
        let scraped = &monitor["spec"]["podMetricsEndpoints"][0]["port"];
        assert!(ports.iter().any(|port| port["name"] == *scraped && port["containerPort"] == 8080), "{role}");
        assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/name"], "openteam");
    }
}

#[test]
fn what_kustomize_makes_is_checked_before_it_is_applied() {
    let house = house();
    let check = |yaml: &str, output: &str| house.openteam(&["config", "check", "--file", "-", "-o", output], yaml);
    let good = check(&rendered(&house, "good", &["logLevel=warn"]), "json");
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    let report: Value = serde_json::from_slice(&good.stdout).unwrap();
    let state = |key: &str| {
        let settings = report["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap()["state"].clone()
    };
    assert_eq!((state("logLevel"), state("tracesRatio")), (json!("set"), json!("default")));

    let bad = check(&rendered(&house, "bad", &["stalenesLimit=10s", "tracesRatio=2"]), "table");
    assert_eq!(bad.status.code(), Some(1));
    let said = String::from_utf8(bad.stdout).unwrap();
    assert!(said.contains("stalenesLimit is not a setting; did you mean stalenessLimit?"), "{said}");
    assert!(said.contains("tracesRatio: \"2\" is no such number; it takes 0 to 1"), "{said}");

    for (yaml, why) in [("kind: Service\n", "no ConfigMap openteam"), ("a: [", "no YAML")] {
        let none = check(yaml, "yaml");
        assert_eq!(none.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&none.stderr).contains(why));
    }
}

#[test]
fn the_settings_that_gateways_run_with_are_found_in_the_cluster() {
    let house = house();
    let namespace = "settings-check";
    house.create_namespace(namespace);
    let check = || house.openteam(&["config", "check", "--namespace", namespace], "");
    let none = check();
    assert_eq!(none.status.code(), Some(2));
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(said.contains("Deployment settings-check/openteam-gateway"), "{said}");

    // The manifests, moved to a namespace of the test's own; nothing runs there.
    let all = documents(&rendered(&house, "cluster", &["logLevel=loud"]));
    let wanted = |one: &&Value| {
        (one["kind"] == "Deployment" && one["metadata"]["name"] == "openteam-gateway") || one["kind"] == "ConfigMap"
    };
    for document in all.iter().filter(wanted) {
        let mut document = document.clone();
        document["metadata"]["namespace"] = namespace.into();
        house.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &document.to_string()).unwrap();
    }
    // An older one that nobody mounts any more does not count.
    let old = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "openteam", "namespace": namespace },
        "data": { "colour": "red" } });
    house.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &old.to_string()).unwrap();
    let found = check();
    let said = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("logLevel: \"loud\" is no level") && !said.contains("colour"), "{said}");
}
