//! Which namespaces an AmazonApplication is for.

use std::collections::BTreeMap;

use crds::{AmazonApplication, NamespacedReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::index::Index;

/// Whether connections of `namespace` may use the application: its own namespace always, others by its selector.
#[must_use]
pub fn allowed(index: &Index, name: &NamespacedReference, application: &AmazonApplication, namespace: &str) -> bool {
    if name.namespace == namespace {
        return true;
    }
    let Some(selector) = &application.spec.allowed_namespaces else { return false };
    index.namespaces.get(namespace).is_some_and(|labels| selects(selector, labels))
}

/// Whether a label selector selects these labels (Kubernetes, "Labels and Selectors"). An empty selector selects
/// everything; an operator that is not known selects nothing.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = || value.is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
            match requirement.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    use super::*;

    fn expression(operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "stage".into(),
                operator: operator.into(),
                values: Some(values.iter().map(ToString::to_string).collect()),
            }]),
            ..LabelSelector::default()
        }
    }

    #[test]
    fn selectors_follow_kubernetes() {
        let production = BTreeMap::from([("stage".to_owned(), "production".to_owned())]);
        let none = BTreeMap::new();
        assert!(selects(&LabelSelector::default(), &none));
        assert!(selects(&expression("In", &["production"]), &production));
        assert!(selects(&expression("NotIn", &["test"]), &none));
        assert!(selects(&expression("Exists", &[]), &production));
        assert!(selects(&expression("DoesNotExist", &[]), &none));
        assert!(!selects(&expression("In", &["production"]), &none));
        assert!(!selects(&expression("NotIn", &["production"]), &production));
        assert!(!selects(&expression("Exists", &[]), &none));
        assert!(!selects(&expression("DoesNotExist", &[]), &production));
        assert!(!selects(&expression("Near", &["production"]), &production));
        let labels = LabelSelector { match_labels: Some(production.clone()), ..LabelSelector::default() };
        assert!(selects(&labels, &production));
        assert!(!selects(&labels, &none));
    }
}
