//! The CustomResourceDefinitions, with what schemars gets wrong for Kubernetes put right.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{
    AgentGrant, AmazonApplication, AmazonConnection, Incident, PortalUser, RuntimeToken, SealedCredential,
    StoredCredential, Team,
};

/// All kinds, in the order in which they are documented.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [
        Team::crd(),
        AmazonApplication::crd(),
        AmazonConnection::crd(),
        AgentGrant::crd(),
        RuntimeToken::crd(),
        SealedCredential::crd(),
        Incident::crd(),
        StoredCredential::crd(),
        PortalUser::crd(),
    ]
    .into_iter()
    .map(strict)
    .collect()
}

/// Takes `nullable` out of a definition: with it an explicit `null` in an optional enum is refused with a misleading
/// message; without it the apiserver prunes a null and applies the default.
#[expect(clippy::expect_used, reason = "a definition is plain JSON, and taking keys out leaves it one")]
fn strict(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut json = serde_json::to_value(definition).expect("a CRD is JSON");
    strip_nullable(&mut json);
    serde_json::from_value(json).expect("still a CRD")
}

fn strip_nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if let Some(Value::Array(members)) = map.get_mut("enum") {
                members.retain(|member| !member.is_null());
            }
            map.values_mut().for_each(strip_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nullable),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_definition_has_nullable_fields() {
        for definition in definitions() {
            let text = serde_json::to_string(&definition).unwrap();
            assert!(!text.contains("\"nullable\""), "{}", definition.spec.names.kind);
        }
    }

    #[test]
    fn internal_kinds_are_in_no_category() {
        for definition in definitions() {
            let internal = definition.spec.group == crate::INTERNAL_GROUP;
            assert_eq!(definition.spec.names.categories.is_none_or(|c| c.is_empty()), internal);
        }
    }
}
