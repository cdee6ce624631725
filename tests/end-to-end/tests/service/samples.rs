//! The samples, as a reader applies them: in any order, as often as one likes.

use std::{collections::BTreeMap, path::Path};

use openteam_end_to_end::{House, WEBHOOK, alone, eventually, house};
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
fn conditions(house: &House, namespace: &str) -> Option<BTreeMap<String, String>> {
    let list = house.kubectl().run(&["get", KINDS, "--namespace", namespace, "--output=json"]).unwrap();
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
    let forward = eventually("the samples converge", || conditions(&house, NAMESPACE));
    assert_eq!(forward["Team Ready"], "True Ready");
    assert_eq!(forward["AgentGrant Ready"], "True Ready");
    assert_eq!(forward["AmazonConnection Ready"], "False CredentialMissing", "the secrets are the reader's to give");
    assert!(forward.contains_key("AmazonApplication Ready"), "{forward:?}");

    let again = apply(&house, samples.iter());
    assert_eq!(again.matches(" unchanged").count(), samples.len(), "{again}");
    assert_eq!(conditions(&house, NAMESPACE), Some(forward.clone()));

    house.kubectl().run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
    apply(&house, namespace.iter().chain(others.iter().rev()));
    let backward = eventually("the samples converge in reverse order", || {
        conditions(&house, NAMESPACE).filter(|conditions| conditions.len() == forward.len())
    });
    assert_eq!(backward, forward);
}

/// Every order of the numbers below `length`.
fn orders(length: usize) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |order: Vec<usize>| {
            let rest: Vec<usize> = (0..length).filter(|next| !order.contains(next)).collect();
            rest.into_iter().map(move |next| [order.as_slice(), &[next]].concat())
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

/// Applies the samples of our kinds in each of some orders, each in a namespace of its own, and demands that all end alike.
fn converges(house: &House, name: &str, reviewed: bool, which: impl Fn(usize) -> bool) {
    let ours: Vec<Value> = samples(house)
        .into_iter()
        .filter(|one| one["apiVersion"].as_str().is_some_and(|version| version.starts_with("openteam.dev/")))
        .collect();
    let orders = orders(ours.len());
    assert_eq!((ours.len(), orders.len()), (4, 24));
    let orders: Vec<_> = orders.into_iter().enumerate().filter(|(number, _)| which(*number)).collect();
    let namespace = |number: &usize| format!("{name}-{number}");
    for (number, order) in &orders {
        let namespace = namespace(number);
        if reviewed {
            house.create_reviewed_namespace(&namespace)
        } else {
            house.create_namespace(&namespace)
        }
        for sample in order.iter().map(|&at| &ours[at]) {
            let mut sample = sample.clone();
            sample["metadata"]["namespace"] = namespace.as_str().into();
            if sample["kind"] == "AmazonConnection" {
                sample["spec"]["applicationRef"]["namespace"] = namespace.as_str().into();
            }
            house.kubectl().run_with(&["create", "-f", "-"], &sample.to_string()).unwrap();
        }
    }
    let converged = |namespace: &str| {
        eventually(&format!("the samples in {namespace} converge"), || {
            conditions(house, namespace)
                .filter(|them| them.get("AgentGrant Ready").is_some_and(|it| it == "True Ready"))
        })
    };
    let first = converged(&namespace(&orders[0].0));
    assert_eq!(first["AmazonConnection Ready"], "False CredentialMissing");
    for (number, order) in &orders {
        eventually(&format!("what came as {order:?} is as what came in another order"), || {
            (converged(&namespace(number)) == first).then_some(())
        });
    }
}

#[test]
fn samples_converge_in_every_order_without_gateways() {
    let house = alone();
    (0..House::GATEWAYS).for_each(|number| house.stop(&format!("openteam-gateway-{number}")));
    converges(&house, "order", false, |_| true);
}

#[test]
fn samples_converge_in_several_orders_with_gateways_and_the_webhook() {
    let house = house();
    let reviewed = || {
        let metrics = house.metrics(WEBHOOK);
        let validated = "openteam_webhook_reviews_total{entry=\"validate\"";
        let lines = metrics.lines().filter(|line| line.starts_with(validated));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = reviewed();
    // As they are, backwards, and with each of the four first at least once.
    converges(&house, "reviewed-order", true, |number| number % 5 == 0 || number == 23);
    assert!(reviewed() >= before + 6 * 4, "the webhook was asked about each: {} before, {} after", before, reviewed());
}
