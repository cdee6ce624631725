//! `manifests/policies`: what the apiserver itself refuses, without any process of ours.
//!
//! A module a subject. Each is one file of ValidatingAdmissionPolicies with their bindings; the kinds they are about come
//! from the CRDs, so that a new kind that can be contained is never forgotten.

mod annotations;
mod contain;
mod evidence;
mod freeze;
mod gateway;
mod guard;
mod incidents;
mod kinds;
mod logs;
mod object;
mod operator;
mod portal;
mod review;
mod rotate;
mod stored;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;

use self::object::Policy;
use super::Files;

/// Where the generated files lie.
pub(super) const DIRECTORY: &str = "manifests/policies";
const HEADER: &str = "# Generated from xtask/src/generate/policies by `cargo xtask generate`; edit that instead.\n";
/// The namespace that the manifests give OpenTeam.
const SYSTEM: &str = "openteam-system";
/// What tells the policies from others in a cluster, for their removal.
const LABEL: (&str, &str) = ("app.kubernetes.io/part-of", "openteam");

/// A kind of ours, as policies speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    group: &'static str,
    kind: String,
    plural: String,
    /// Whether `openteam.dev/disable` contains it.
    contained: bool,
}

/// The kinds that users write.
fn user_kinds() -> Vec<Kind> {
    crds::definitions().iter().filter(|one| one.spec.group == crds::GROUP).map(kind).collect()
}

/// What can be contained shows it in a column.
fn kind(definition: &CustomResourceDefinition) -> Kind {
    let names = &definition.spec.names;
    let columns =
        definition.spec.versions.iter().flat_map(|version| version.additional_printer_columns.iter().flatten());
    let group = if definition.spec.group == crds::GROUP { crds::GROUP } else { crds::INTERNAL_GROUP };
    Kind {
        group,
        kind: names.kind.clone(),
        plural: names.plural.clone(),
        contained: columns.into_iter().any(|column| column.name == "Contained"),
    }
}

/// The kinds that can be contained, of both groups.
fn contained_kinds() -> Vec<Kind> {
    crds::definitions().iter().map(kind).filter(|kind| kind.contained).collect()
}

/// The kind of this name.
fn kind_named(name: &str) -> Option<Kind> {
    crds::definitions().iter().map(kind).find(|kind| kind.kind == name)
}

fn plurals(kinds: &[Kind]) -> Vec<&str> {
    kinds.iter().map(|kind| kind.plural.as_str()).collect()
}

/// The user name of a role.
fn account(role: &str) -> String {
    format!("system:serviceaccount:{SYSTEM}:openteam-{role}")
}

/// All of them, by subject.
fn subjects() -> [(&'static str, Vec<Policy>); 14] {
    [
        ("annotations", annotations::policies()),
        ("contain", contain::policies()),
        ("evidence", evidence::policies()),
        ("freeze", freeze::policies()),
        ("gateway", gateway::policies()),
        ("guard", guard::policies()),
        ("incidents", incidents::policies()),
        ("kinds", kinds::policies()),
        ("logs", logs::policies()),
        ("operator", operator::policies()),
        ("portal", portal::policies()),
        ("review", review::policies()),
        ("rotate", rotate::policies()),
        ("stored", stored::policies()),
    ]
}

/// What roles compare the cluster's with.
pub(super) fn as_json() -> Result<String> {
    let subjects = subjects();
    let policies = subjects.iter().flat_map(|(_, policies)| policies);
    let objects: Vec<serde_json::Value> = policies.flat_map(|policy| [policy.object(), policy.binding()]).collect();
    Ok(serde_json::to_string_pretty(&objects)? + "\n")
}

/// The files, by name.
pub(super) fn wanted() -> Result<Files> {
    let mut files = Files::new();
    for (name, policies) in &subjects() {
        let file = format!("{name}.yaml");
        let text = yaml(policies).with_context(|| format!("{file} cannot be written as YAML"))?;
        files.insert(file, text);
    }
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": files.keys().collect::<Vec<_>>(),
    });
    files.insert("kustomization.yaml".to_owned(), format!("{HEADER}{}", serde_yaml::to_string(&kustomization)?));
    Ok(files)
}

fn yaml(policies: &[Policy]) -> Result<String> {
    let mut text = HEADER.to_owned();
    for (number, policy) in policies.iter().enumerate() {
        if number > 0 {
            text += "---\n";
        }
        for line in policy.about.lines() {
            text += &format!("# {line}\n");
        }
        text += &serde_yaml::to_string(&policy.object())?;
        text += "---\n";
        text += &serde_yaml::to_string(&policy.binding())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn six_kinds_can_be_contained() {
        let kinds = contained_kinds();
        let kinds: BTreeSet<&str> = kinds.iter().map(|kind| kind.kind.as_str()).collect();
        let expected = ["AgentGrant", "AmazonApplication", "AmazonConnection", "PortalUser", "RuntimeToken", "Team"];
        assert_eq!(kinds, expected.into());
    }

    #[test]
    fn the_roles_of_the_manifests_are_for_every_kind() {
        let text = std::fs::read_to_string(crate::shell::root().join("manifests/base/roles.yaml")).unwrap();
        let sorted = |resources: &serde_json::Value| -> BTreeSet<String> {
            resources.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let named = |kinds: &[Kind]| -> BTreeSet<String> { kinds.iter().map(|kind| kind.plural.clone()).collect() };
        let (mut readers, mut verbs) = (0, BTreeSet::<(String, &str)>::new());
        for role in serde_yaml::Deserializer::from_str(&text) {
            let role: serde_json::Value = serde::Deserialize::deserialize(role).unwrap();
            let rules = role["rules"].as_array().unwrap();
            for rule in rules {
                let own: Vec<_> =
                    ["contain", "restore"].into_iter().filter(|verb| sorted(&rule["verbs"]).contains(*verb)).collect();
                if own.is_empty() {
                    readers += usize::from(sorted(&rule["resources"]) == named(&user_kinds()));
                } else {
                    let of_group = |kind: &Kind| rule["apiGroups"] == json!([kind.group]);
                    let expected: Vec<Kind> = contained_kinds().into_iter().filter(of_group).collect();
                    assert_eq!(sorted(&rule["resources"]), named(&expected), "{}", role["metadata"]["name"]);
                    let group = rule["apiGroups"][0].as_str().unwrap().to_owned();
                    verbs.extend(own.into_iter().map(|verb| (group.clone(), verb)));
                }
            }
        }
        let both = [crds::GROUP, crds::INTERNAL_GROUP].map(str::to_owned);
        let expected = both.into_iter().flat_map(|group| [(group.clone(), "contain"), (group, "restore")]).collect();
        assert_eq!((readers, verbs), (3, expected), "viewer, admin and auditor; both verbs, of both groups");
        let rotators: Vec<_> = serde_yaml::Deserializer::from_str(&text)
            .map(|role| <serde_json::Value as serde::Deserialize>::deserialize(role).unwrap())
            .flat_map(|role| role["rules"].as_array().unwrap().clone())
            .filter(|rule| sorted(&rule["verbs"]).contains("rotate"))
            .collect();
        let [rotator] = &rotators[..] else { panic!("{rotators:?}") };
        let kinds = user_kinds();
        let rotated = kinds.into_iter().filter(|kind| rotate::KINDS.contains(&kind.kind.as_str())).collect::<Vec<_>>();
        assert_eq!(sorted(&rotator["resources"]), named(&rotated));
    }

    #[test]
    fn the_webhook_is_asked_about_every_kind_and_waited_for_by_nothing_that_must_not_wait() {
        let root = crate::shell::root().join("manifests/base/webhook-configuration.yaml");
        let configuration: serde_json::Value = serde_yaml::from_str(&std::fs::read_to_string(root).unwrap()).unwrap();
        let plural = |kinds: Vec<Kind>| -> BTreeSet<String> { kinds.into_iter().map(|kind| kind.plural).collect() };
        // Incidents only tell; what people write there nothing else depends on.
        let written = plural(user_kinds().into_iter().filter(|kind| kind.kind != "Incident").collect());
        // Who contains a PortalUser the portal sees; the webhook has no view of them.
        let contained = plural(contained_kinds().into_iter().filter(|kind| kind.group == crds::GROUP).collect());
        let expected = [
            ("validate", &written, &["CREATE", "UPDATE"][..], "Fail", 2, "None"),
            ("record", &contained, &["CREATE", "UPDATE", "DELETE"], "Ignore", 1, "NoneOnDryRun"),
            ("restore", &contained, &["UPDATE"], "Fail", 3, "NoneOnDryRun"),
        ];
        let webhooks = configuration["webhooks"].as_array().unwrap();
        assert_eq!(webhooks.len(), expected.len());
        for (webhook, (entry, kinds, operations, policy, seconds, effects)) in webhooks.iter().zip(expected) {
            let name = webhook["name"].as_str().unwrap();
            assert_eq!(process::admission::Entry::of_webhook(name).map(|entry| entry.as_str()), Some(entry));
            let [rule] = &webhook["rules"].as_array().unwrap()[..] else { panic!("{name}") };
            let resources: BTreeSet<String> = serde_json::from_value(rule["resources"].clone()).unwrap();
            assert_eq!(&resources, kinds, "{name}");
            assert_eq!(rule["operations"], json!(operations), "{name}");
            assert_eq!(rule["apiGroups"], json!([crds::GROUP]), "{name}");
            assert_eq!(
                (&webhook["failurePolicy"], &webhook["sideEffects"]),
                (&json!(policy), &json!(effects)),
                "{name}"
            );
            assert_eq!(webhook["timeoutSeconds"], seconds, "{name}");
            assert!(webhook["clientConfig"].get("caBundle").is_none(), "the operator's to write");
            assert!(webhook["clientConfig"]["service"].get("path").is_none(), "the operator's to write");
        }
    }

    #[test]
    fn every_file_is_listed_and_every_policy_is_bound_once() {
        let files = wanted().unwrap();
        let mut names = BTreeSet::new();
        for (file, text) in &files {
            if file == "kustomization.yaml" {
                continue;
            }
            assert!(files["kustomization.yaml"].contains(&format!("- {file}\n")), "{file}");
            let documents: Vec<serde_json::Value> = serde_yaml::Deserializer::from_str(text)
                .map(|document| serde::Deserialize::deserialize(document).unwrap())
                .collect();
            for pair in documents.chunks(2) {
                let [policy, binding] = pair else { panic!("{file}: {pair:?}") };
                assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
                assert!(names.insert(policy["metadata"]["name"].to_string()), "{file}");
                assert_eq!(policy["metadata"]["labels"][LABEL.0], LABEL.1);
            }
        }
        assert!(names.len() > 8, "{names:?}");
    }
}
