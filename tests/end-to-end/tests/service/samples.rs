//! The samples, as a reader applies them: in any order, as often as one likes.

use std::{collections::BTreeMap, path::Path};

use openteam_end_to_end::{House, eventually, house};
use serde::Deserialize;
use serde_json::Value;

const NAMESPACE: &str = "acme";
const KINDS: &str = "teams,amazonapplications,amazonconnections,agentgrants";

/// The samples' documents, the namespace first: nothing can be applied into one that is not there.
fn samples(house: &House) -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples");
    let text = house.kubectl().run(&["kustomize", &dir.display().to_string()]).unwrap();
    let mut documents: Vec<Value> =
        serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect();
    documents.sort_by_key(|document| document["kind"] != "Namespace");
    documents
}

fn apply<'a>(house: &House, documents: impl Iterator<Item = &'a Value>) -> String {
    documents.map(|one| house.kubectl().run_with(&["apply", "-f", "-"], &one.to_string()).unwrap()).collect()
}

/// The conditions of each object by kind and type: status and reason; none while the operator is not done.
fn conditions(house: &House) -> Option<BTreeMap<String, String>> {
    let list = house.kubectl().run(&["get", KINDS, "--namespace", NAMESPACE, "--output=json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut found = BTreeMap::new();
    for item in list["items"].as_array()? {
        if item["status"]["observedGeneration"] != item["metadata"]["generation"] {
            return None;
        }
        for condition in item["status"]["conditions"].as_array()? {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            if text("reason").ends_with("NotFound") {
                return None;
            }
            let which = format!("{} {}", item["kind"].as_str()?, text("type"));
            found.insert(which, format!("{} {}", text("status"), text("reason")));
        }
    }
    Some(found)
}

#[test]
fn samples_converge_in_any_order_and_applied_twice() {
    let house = house();
    let samples = samples(&house);
    let (namespace, others) = samples.split_at(1);
    apply(&house, samples.iter());
    let forward = eventually("the samples converge", || conditions(&house));
    assert_eq!(forward["Team Ready"], "True Ready");
    assert_eq!(forward["AgentGrant Ready"], "True Ready");
    assert_eq!(forward["AmazonConnection Ready"], "False CredentialMissing", "the secrets are the reader's to give");
    assert!(forward.contains_key("AmazonApplication Ready"), "{forward:?}");

    let again = apply(&house, samples.iter());
    assert_eq!(again.matches(" unchanged").count(), samples.len(), "{again}");
    assert_eq!(conditions(&house), Some(forward.clone()));

    house.kubectl().run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
    apply(&house, namespace.iter().chain(others.iter().rev()));
    let backward = eventually("the samples converge in reverse order", || {
        conditions(&house).filter(|conditions| conditions.len() == forward.len())
    });
    assert_eq!(backward, forward);
}
