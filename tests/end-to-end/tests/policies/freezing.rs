//! What is contained stays as it is, and `patch` alone changes nothing else.

use crds::annotation::{DISABLE, RESTORED};
use serde_json::{Value, json};

use crate::place::{ADMIN, GITOPS, RESPONDER, RESTORER, Thing, WRITER, each_kind, later, place};

const KEPT: &str = "kept as evidence";

/// A change of a kind's spec; a RuntimeToken's never changes.
fn change_of_spec(kind: &str) -> Option<Value> {
    let spec = match kind {
        "Team" | "AmazonConnection" => json!({ "displayName": "another" }),
        "AmazonApplication" => json!({ "allowedNamespaces": { "matchLabels": { "a": "b" } } }),
        "AgentGrant" => json!({ "scope": { "marketplaceIds": ["A2EUQ1WTGCTBG2"] } }),
        _ => return None,
    };
    Some(json!({ "spec": spec }))
}

#[test]
fn what_is_contained_is_neither_deleted_nor_changed() {
    each_kind("freeze", |thing| {
        thing.patches(GITOPS, &json!({ "metadata": { "finalizers": ["example.com/a", "example.com/b"] } }));
        thing.annotates(RESPONDER, &[&format!("{DISABLE}=")]);
        thing.patches_not(RESPONDER, &json!({ "metadata": { "labels": { "a": "b" } } }), "without the verb update");
        thing.deletes_not(WRITER, &[&thing.object], KEPT);
        // Of a collection, too, each is asked about.
        thing.deletes_not(GITOPS, &[&thing.name, "--all"], KEPT);
        thing.deletes_not(GITOPS, &[&thing.object, "--cascade=foreground"], KEPT);
        thing.gives_not(GITOPS, &["replace", "--force", "--timeout=10s"], &thing.yaml(), KEPT);
        thing.patches_not(GITOPS, &json!({ "metadata": { "finalizers": ["example.com/a"] } }), "metadata.finalizers");
        thing.patches_not(GITOPS, &json!([{ "op": "remove", "path": "/metadata/finalizers" }]), "metadata.finalizers");
        thing.patches_not(GITOPS, &json!({ "metadata": { "ownerReferences": [owner()] } }), "metadata.ownerReferences");
        let everything = format!("{}?labelSelector=", collection(thing.kind, &thing.namespace));
        place().refused(GITOPS, &["delete", "--raw", &everything], None, KEPT);
        if let Some(change) = change_of_spec(thing.kind) {
            thing.patches_not(WRITER, &change, "with the verb contain");
            thing.patches(ADMIN, &change);
        }
        let restored = format!("{RESTORED}=unnamed/{}", later());
        thing.annotates(RESTORER, &[&format!("{DISABLE}-"), &restored]);
        thing.patches(WRITER, &json!({ "metadata": { "finalizers": null } }));
        place().done(WRITER, &["delete", &thing.object, "-n", &thing.namespace], None);
    });
}

fn owner() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1" })
}

fn collection(kind: &str, namespace: &str) -> String {
    format!("/apis/openteam.dev/v1alpha1/namespaces/{namespace}/{}s", kind.to_lowercase())
}

#[test]
fn without_update_nothing_changes_but_the_annotations_that_contain_and_restore() {
    let thing = &Thing::new("AmazonConnection", "patch");
    let why = "without the verb update";
    let changes = [
        json!({ "metadata": { "labels": { "a": "b" } } }),
        json!({ "metadata": { "annotations": { "a": "b" } } }),
        json!({ "metadata": { "annotations": { DISABLE: "inc-7", "a": "b" } } }),
        json!({ "metadata": { "annotations": null } }),
        json!({ "metadata": { "finalizers": ["example.com/a"] } }),
        json!({ "metadata": { "finalizers": null } }),
        json!({ "metadata": { "ownerReferences": [owner()] } }),
    ];
    thing.patches(WRITER, &json!({ "metadata": { "finalizers": ["example.com/b"], "annotations": { "other": "x" } } }));
    let refuses = |user| {
        for change in changes.iter().cloned().chain(change_of_spec(thing.kind)) {
            // Where several policies refuse, kubectl tells of one.
            thing.patches_not(user, &change, "");
        }
    };
    thing.patches_not(RESPONDER, &changes[0], why);
    refuses(RESPONDER);
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    refuses(RESTORER);
    thing.annotates(RESTORER, &[&format!("{DISABLE}-"), &format!("{RESTORED}=inc-7/{}", later())]);
    thing.patches(WRITER, &json!({ "metadata": { "labels": { "a": "b" } } }));
}
