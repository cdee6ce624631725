//! Whether the ValidatingAdmissionPolicies and their bindings stand as they were released.
//!
//! What they forbid holds without any process of ours, and so does their removal: who may write policies can take them away.
//! Roles that only advise or prepare are not Ready then, which somebody notices.

use std::{sync::LazyLock, time::Duration};

use arc_swap::ArcSwap;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::metrics::Metrics;

/// As `manifests/policies` has them; both are written by `cargo xtask generate`.
const RELEASED: &str = include_str!("policies.json");
const GROUP: &str = "admissionregistration.k8s.io";
const KINDS: [&str; 2] = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
/// What all of ours have.
const OURS: &str = "app.kubernetes.io/part-of=openteam";

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// While something is missing or altered.
const LOOK_SOON: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[expect(clippy::expect_used, reason = "a file of the repository, which a test reads too")]
static POLICIES: LazyLock<Vec<Value>> =
    LazyLock::new(|| serde_json::from_str(RELEASED).expect("policies.json is a list of objects"));

/// What was last seen of them.
pub struct Policies {
    /// None before they were looked at.
    faults: ArcSwap<Option<Vec<String>>>,
    altered: Gauge,
}

impl Policies {
    /// Not looked at yet.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let altered = metrics.register(
            "policies_altered",
            "Policies and bindings of ours that are missing or not as they were released",
            Gauge::default(),
        );
        Self { faults: ArcSwap::default(), altered }
    }

    /// Whether all stand.
    ///
    /// # Errors
    /// Names those that do not, or says that nobody has looked yet.
    pub fn standing(&self) -> Result<(), String> {
        match &**self.faults.load() {
            None => Err("policies were not looked at yet".to_owned()),
            Some(faults) if faults.is_empty() => Ok(()),
            Some(faults) => Err(format!("{}: apply manifests/policies again", faults.join("; "))),
        }
    }

    /// Looks at them for as long as it is polled. What the apiserver does not answer changes nothing.
    pub async fn watch(&self, client: &Client) {
        let mut told = Vec::new();
        loop {
            match timeout(ANSWER_LIMIT, look(client)).await {
                Ok(Ok(found)) => {
                    let faults = faults(&POLICIES, &found);
                    if faults != told {
                        tracing::warn!(
                            faults = faults.join("; "),
                            "policies of ours are missing or altered, or again as they were"
                        );
                        told.clone_from(&faults);
                    }
                    self.altered.set(i64::try_from(faults.len()).unwrap_or(i64::MAX));
                    self.faults.store(Some(faults).into());
                }
                Ok(Err(error)) => tracing::warn!(%error, "policies cannot be read"),
                Err(_) => tracing::warn!("policies cannot be read: no answer"),
            }
            sleep(if self.standing().is_ok() { LOOK_EVERY } else { LOOK_SOON }).await;
        }
    }
}

async fn look(client: &Client) -> Result<Vec<Value>, kube::Error> {
    let mut found = Vec::new();
    for kind in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
        // As they come, so that no field is lost that this build does not know.
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list = api.list(&ListParams::default().labels(OURS)).await?;
        found.extend(list.items.into_iter().map(|object| {
            serde_json::json!({ "kind": kind, "metadata": { "name": object.name_any() }, "spec": object.data["spec"] })
        }));
    }
    Ok(found)
}

/// What is missing, and what is altered and where.
fn faults(released: &[Value], found: &[Value]) -> Vec<String> {
    let same = |one: &Value, other: &Value| {
        one["kind"] == other["kind"] && one["metadata"]["name"] == other["metadata"]["name"]
    };
    let look = |wanted: &Value| {
        let name = format!(
            "{} {}",
            wanted["kind"].as_str().unwrap_or_default(),
            wanted["metadata"]["name"].as_str().unwrap_or_default()
        );
        match found.iter().find(|one| same(wanted, one)) {
            None => Some(format!("{name} is missing")),
            Some(one) => {
                difference(&wanted["spec"], &one["spec"], "spec").map(|at| format!("{name} is altered at {at}"))
            }
        }
    };
    released.iter().filter_map(look).collect()
}

/// Where two values differ, but for what the apiserver fills in.
fn difference(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let ours = wanted.iter().find_map(|(key, value)| {
                let at = format!("{at}.{key}");
                found.get(key).map_or(Some(at.clone()), |found| difference(value, found, &at))
            });
            ours.or_else(|| {
                let more = found.iter().find(|(key, value)| !wanted.contains_key(*key) && !is_default(key, value));
                more.map(|(key, _)| format!("{at}.{key}"))
            })
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(number, (wanted, found))| difference(wanted, found, &format!("{at}[{number}]"))),
        _ => (wanted != found).then(|| at.to_owned()),
    }
}

/// What the apiserver fills in where nothing was said (Kubernetes API, `MatchResources`, `RuleWithOperations`). Anything else
/// that was added may narrow a policy.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "matchPolicy" => value == "Equivalent",
        "scope" => value == "*",
        "namespaceSelector" | "objectSelector" => value.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As the apiserver keeps them.
    fn kept() -> Vec<Value> {
        let mut kept = POLICIES.clone();
        for object in &mut kept {
            if let Some(matched) = object["spec"].get_mut("matchConstraints") {
                matched["matchPolicy"] = json!("Equivalent");
                matched["objectSelector"] = json!({});
                if matched.get("namespaceSelector").is_none() {
                    matched["namespaceSelector"] = json!({});
                }
                for rule in matched["resourceRules"].as_array_mut().unwrap() {
                    rule["scope"] = json!("*");
                }
            }
        }
        kept
    }

    #[test]
    fn what_the_apiserver_fills_in_is_no_difference() {
        assert!(POLICIES.len() > 16 && POLICIES.len().is_multiple_of(2), "{}", POLICIES.len());
        assert_eq!(faults(&POLICIES, &kept()), Vec::<String>::new());
        assert_eq!(faults(&POLICIES, &POLICIES), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_missing_or_altered_is_named() {
        type Change = fn(&mut Vec<Value>, usize);
        let changes: [(Change, &str); 9] = [
            (|all, at| drop(all.remove(at)), "is missing"),
            (|all, at| all[at]["spec"]["failurePolicy"] = json!("Ignore"), "is altered at spec.failurePolicy"),
            (|all, at| all[at]["spec"]["validations"] = json!([]), "spec.validations"),
            (
                |all, at| all[at]["spec"]["validations"][0]["expression"] = json!("true"),
                "spec.validations[0].expression",
            ),
            (
                |all, at| all[at]["spec"]["matchConditions"] = json!([{ "name": "no", "expression": "false" }]),
                "spec.matchConditions",
            ),
            (
                |all, at| all[at]["spec"]["matchConstraints"]["excludeResourceRules"] = json!([{}]),
                "excludeResourceRules",
            ),
            (
                |all, at| {
                    all[at]["spec"]["matchConstraints"]["namespaceSelector"] = json!({ "matchLabels": { "a": "b" } })
                },
                "namespaceSelector",
            ),
            (
                |all, at| all[at]["spec"]["matchConstraints"]["resourceRules"][0]["operations"] = json!(["CREATE"]),
                "operations",
            ),
            (|all, at| all[at]["spec"]["matchConstraints"]["resourceRules"][0]["scope"] = json!("Cluster"), "scope"),
        ];
        let name = json!("openteam-contain");
        let at =
            |kind: &str| kept().iter().position(|one| one["metadata"]["name"] == name && one["kind"] == kind).unwrap();
        for (change, told) in changes {
            let mut found = kept();
            change(&mut found, at("ValidatingAdmissionPolicy"));
            let faults = faults(&POLICIES, &found);
            let [fault] = &faults[..] else { panic!("{told}: {faults:?}") };
            assert!(
                fault.starts_with("ValidatingAdmissionPolicy openteam-contain ") && fault.contains(told),
                "{fault}"
            );
        }
        let binding = at("ValidatingAdmissionPolicyBinding");
        for (key, value) in [
            ("validationActions", json!(["Audit"])),
            ("matchResources", json!({ "namespaceSelector": { "matchLabels": { "a": "b" } } })),
            ("policyName", json!("other")),
        ] {
            let mut found = kept();
            found[binding]["spec"][key] = value;
            assert!(
                faults(&POLICIES, &found)[0].contains(&format!("Binding openteam-contain is altered at spec.{key}"))
            );
        }
    }
}
