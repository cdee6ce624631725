//! Objects as the apiserver has them: what the operator keeps in memory is less.

use std::collections::{BTreeMap, BTreeSet};

use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, SealedCredential, Team,
};
use evidence::{Files, Missing};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};

use crate::{error::ReconcileError, stores::Kind};

/// Objects of a page.
const PAGE: u32 = 500;
/// In more namespaces than these a kind is listed at once.
const FEW_NAMESPACES: usize = 20;
/// The room for objects in a bundle, in bytes.
const ROOM: usize = 12 * 1024 * 1024;
/// The most objects in a bundle.
const MOST: usize = 10_000;
/// What kubectl keeps a whole object in.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which objects are wanted, by kind.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<usize, BTreeSet<NamespacedReference>>);

/// In the order in which there is room for them.
const KINDS: [Kind; 6] = [
    Kind::AmazonApplication,
    Kind::Team,
    Kind::AmazonConnection,
    Kind::AgentGrant,
    Kind::RuntimeToken,
    Kind::SealedCredential,
];

impl Wanted {
    pub(super) fn add(&mut self, kind: Kind, name: NamespacedReference) {
        if let Some(place) = KINDS.iter().position(|it| *it == kind) {
            self.0.entry(place).or_default().insert(name);
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) files: Files,
    pub(super) missing: Vec<Missing>,
}

/// Reads them. What is gone meanwhile is left out.
pub(super) async fn read(client: &Client, wanted: &Wanted) -> Result<Objects, ReconcileError> {
    let mut objects = Objects::default();
    let mut room = ROOM;
    for (place, names) in &wanted.0 {
        let kind = KINDS[*place];
        let mut left_out = 0;
        for object in list(client, kind, names).await? {
            let name =
                NamespacedReference { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            let yaml = serde_yaml::to_string(&without_ciphertext(kind, object)).unwrap_or_default().into_bytes();
            if yaml.len() > room || objects.files.len() >= MOST {
                left_out += 1;
                continue;
            }
            room -= yaml.len();
            objects.files.insert(format!("objects/{kind}/{}/{}.yaml", name.namespace, name.name), yaml);
        }
        if left_out > 0 {
            let why = "a bundle has no room for more objects".to_owned();
            objects.missing.push(Missing { what: format!("{left_out} objects of kind {kind}"), why });
        }
    }
    Ok(objects)
}

fn resource(kind: Kind) -> Option<ApiResource> {
    Some(match kind {
        Kind::AmazonApplication => ApiResource::erase::<AmazonApplication>(&()),
        Kind::Team => ApiResource::erase::<Team>(&()),
        Kind::AmazonConnection => ApiResource::erase::<AmazonConnection>(&()),
        Kind::AgentGrant => ApiResource::erase::<AgentGrant>(&()),
        Kind::RuntimeToken => ApiResource::erase::<RuntimeToken>(&()),
        Kind::SealedCredential => ApiResource::erase::<SealedCredential>(&()),
        _ => return None,
    })
}

async fn list(
    client: &Client,
    kind: Kind,
    names: &BTreeSet<NamespacedReference>,
) -> Result<Vec<DynamicObject>, ReconcileError> {
    let Some(resource) = resource(kind) else { return Ok(Vec::new()) };
    let namespaces: BTreeSet<&str> = names.iter().map(|name| name.namespace.as_str()).collect();
    let apis: Vec<Api<DynamicObject>> = if namespaces.len() > FEW_NAMESPACES {
        vec![Api::all_with(client.clone(), &resource)]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced_with(client.clone(), namespace, &resource)).collect()
    };
    let is_wanted = |object: &DynamicObject| {
        let name = NamespacedReference { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        names.contains(&name)
    };
    let mut found = Vec::new();
    for api in apis {
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let listed = api.list(&page).await.map_err(ReconcileError::about(format!("{kind}s")))?;
            for mut object in listed.items.into_iter().filter(is_wanted) {
                // The items of a list do not say what they are.
                object.types = Some(kube::api::TypeMeta {
                    api_version: resource.api_version.clone(),
                    kind: resource.kind.clone(),
                });
                found.push(object);
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(found)
}

/// An input's ciphertext stays out, wherever it stands in the object.
fn without_ciphertext(kind: Kind, mut object: DynamicObject) -> DynamicObject {
    if kind != Kind::SealedCredential {
        return object;
    }
    let spec = object.data.get_mut("spec").and_then(serde_json::Value::as_object_mut);
    let ciphertext = spec.and_then(|spec| spec.remove("ciphertext"));
    let ciphertext = ciphertext.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    object.meta_mut().annotations.iter_mut().for_each(|annotations| {
        annotations.retain(|key, value| {
            key != LAST_APPLIED && (ciphertext.is_empty() || !value.contains(ciphertext.as_str()))
        });
    });
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_is_written_down_without_its_ciphertext() {
        let input = json!({
            "apiVersion": "openteam.dev/v1alpha1", "kind": "SealedCredential",
            "metadata": {
                "namespace": "acme", "name": "na",
                "managedFields": [{ "manager": "flux", "fieldsV1": { "f:spec": { "f:ciphertext": {} } } }],
                "annotations": { LAST_APPLIED: "{\"spec\":{\"ciphertext\":\"T1RpbgE\"}}", "tool": "T1RpbgE", "a": "b" },
            },
            "spec": { "for": { "kind": "AmazonConnection", "name": "na" }, "field": "RefreshToken", "ciphertext": "T1RpbgE" },
            "status": { "state": "Accepted" },
        });
        let object: DynamicObject = serde_json::from_value(input.clone()).unwrap();
        let yaml = serde_yaml::to_string(&without_ciphertext(Kind::SealedCredential, object)).unwrap();
        assert!(!yaml.contains("T1RpbgE"), "{yaml}");
        for kept in ["RefreshToken", "Accepted", "a: b", "manager: flux"] {
            assert!(yaml.contains(kept), "{yaml}");
        }
        let object: DynamicObject = serde_json::from_value(input.clone()).unwrap();
        let same = serde_json::to_value(without_ciphertext(Kind::Team, object)).unwrap();
        assert_eq!(same, input, "everything else is as it is");
    }
}
