//! What belongs to a contained object, the namespace it is in, and the definitions.

use crds::annotation::{ALLOW_DELETION, DISABLE, RESTORED};
use openteam_end_to_end::{eventually, good};
use serde_json::json;

use crate::place::{ADMIN, GITOPS, KINDS, RESPONDER, RESTORER, WRITER, changed, each_kind, later, place};

const KEPT: &str = "kept as evidence";

/// One of each kind, all of Team `acme` and connection `acme-na`, and others that belong to nothing of these.
fn tenant(namespace: &str) {
    let place = place();
    place.kubectl().run(&["create", "namespace", namespace]).unwrap();
    let named = |kind: &str, name: &str| changed(&good(kind), "/metadata/name", json!(name));
    place.create(namespace, &named("Team", "acme"));
    place.create(namespace, &named("AmazonApplication", "amazon"));
    place.create(namespace, &named("AmazonConnection", "acme-na"));
    for kind in ["AgentGrant", "RuntimeToken"] {
        let grant = named(kind, "ours");
        place.create(namespace, &grant);
        let other = changed(&changed(&grant, "/metadata/name", json!("other")), "/spec/teamRef/name", json!("other"));
        place.create(namespace, &changed(&other, "/spec/scope/connections", json!(["other"])));
    }
    for kind in ["SealedCredential", "StoredCredential"] {
        let token = named(kind, "token");
        place.create(namespace, &token);
        let secret = changed(&changed(&token, "/metadata/name", json!("secret")), "/spec/field", json!("ClientSecret"));
        place.create(
            namespace,
            &changed(&secret, "/spec/for", json!({ "kind": "AmazonApplication", "name": "amazon" })),
        );
        let other = changed(&token, "/metadata/name", json!("other"));
        place.create(namespace, &changed(&other, "/spec/for/name", json!("other")));
    }
}

fn contain(object: &str, namespace: &str) {
    place().done(RESPONDER, &["annotate", object, "-n", namespace, &format!("{DISABLE}=inc-7")], None);
}

fn restore(object: &str, namespace: &str) {
    let (out, restored) = (format!("{DISABLE}-"), format!("{RESTORED}=inc-7/{}", later()));
    place().done(RESTORER, &["annotate", "--overwrite", object, "-n", namespace, &out, &restored], None);
}

/// Refused in a moment, as a dry run tells: a policy learns from a watch what other objects say. Then in earnest.
fn comes_to_refuse(user: &str, words: &[&str], why: &str) {
    let dry = [words, &["--dry-run=server"]].concat();
    eventually("it is refused", || place().ask(user, &dry, None).err());
    place().refused(user, words, None, why);
}

#[test]
fn what_belongs_to_a_contained_object_is_not_deleted() {
    // What is contained, what stays with it, what does not.
    let cases: [(&str, &[&str], &[&str]); 3] = [
        (
            "team/acme",
            &[
                "amazonconnection/acme-na",
                "agentgrant/ours",
                "runtimetoken/ours",
                "sealedcredential/token",
                "storedcredential/token",
                // Whose connection is whose Team's it does not say.
                "storedcredential/other",
            ],
            &["amazonapplication/amazon", "agentgrant/other", "runtimetoken/other", "storedcredential/secret"],
        ),
        (
            "amazonconnection/acme-na",
            &["agentgrant/ours", "runtimetoken/ours", "sealedcredential/token", "storedcredential/token"],
            &[
                "team/acme",
                "agentgrant/other",
                "runtimetoken/other",
                "sealedcredential/other",
                "storedcredential/secret",
            ],
        ),
        (
            "amazonapplication/amazon",
            &["sealedcredential/secret", "storedcredential/secret"],
            &["amazonconnection/acme-na", "agentgrant/ours", "sealedcredential/token", "storedcredential/token"],
        ),
    ];
    for (contained, kept, free) in cases {
        let namespace = &contained.replace('/', "-")[..];
        tenant(namespace);
        contain(contained, namespace);
        let delete = |object| ["delete", object, "-n", namespace, "--timeout=10s"];
        for object in kept {
            comes_to_refuse(GITOPS, &delete(object), KEPT);
        }
        for object in free {
            place().done(GITOPS, &delete(object), None);
        }
        let collection = format!("/apis/internal.openteam.dev/v1alpha1/namespaces/{namespace}/storedcredentials");
        place().refused(GITOPS, &["delete", "--raw", &collection], None, KEPT);
        comes_to_refuse(
            GITOPS,
            &["delete", "namespace", namespace, "--timeout=10s"],
            "kept as evidence: restore it first",
        );
        restore(contained, namespace);
        for object in kept.iter().filter(|object| **object != "storedcredential/other") {
            eventually("it can be deleted again", || place().ask(GITOPS, &delete(object), None).ok());
        }
        place().done(GITOPS, &["delete", "namespace", namespace, "--timeout=60s"], None);
    }
}

#[test]
fn what_belongs_to_a_contained_object_is_changed_only_by_who_may_contain() {
    let namespace = "belongings";
    tenant(namespace);
    let patch =
        |object: &'static str, patch: &'static str| ["patch", object, "-n", "belongings", "--type=merge", "-p", patch];
    let narrower = patch("agentgrant/ours", r#"{"spec":{"scope":{"connections":["other"]}}}"#);
    let renamed = patch("amazonconnection/acme-na", r#"{"spec":{"displayName":"another"}}"#);
    let other = patch("agentgrant/other", r#"{"spec":{"scope":{"marketplaceIds":["A2EUQ1WTGCTBG2"]}}}"#);
    for contained in ["amazonconnection/acme-na", "team/acme"] {
        contain(contained, namespace);
        comes_to_refuse(WRITER, &narrower, "with the verb contain");
        place().done(WRITER, &other, None);
        place().done(WRITER, &["label", "agentgrant/ours", "-n", namespace, "--overwrite", "a=b"], None);
        if contained == "team/acme" {
            comes_to_refuse(WRITER, &renamed, "with the verb contain");
            place().done(ADMIN, &renamed, None);
        }
        restore(contained, namespace);
    }
}

#[test]
fn a_namespace_with_a_contained_object_is_not_deleted() {
    each_kind("namespace", |thing| {
        let words = ["delete", "namespace", &thing.namespace, "--timeout=60s"];
        contain(&thing.object, &thing.namespace);
        comes_to_refuse(GITOPS, &words, &format!("holds {} {}", thing.kind, thing.name));
        restore(&thing.object, &thing.namespace);
        eventually("it can be deleted", || place().ask(GITOPS, &words, None).ok());
    });
}

#[test]
fn a_definition_of_ours_is_not_deleted_unless_it_says_that_it_may_be() {
    let ours = KINDS.map(|kind| format!("{}s.openteam.dev", kind.to_lowercase()));
    let ours = ours.iter().map(String::as_str).chain([
        "incidents.openteam.dev",
        "sealedcredentials.openteam.dev",
        "storedcredentials.internal.openteam.dev",
    ]);
    for name in ours {
        let delete = ["delete", "crd", name, "--dry-run=server"];
        place().refused(GITOPS, &delete, None, ALLOW_DELETION);
        place().done(GITOPS, &["annotate", "crd", name, &format!("{ALLOW_DELETION}=true")], None);
        place().done(GITOPS, &delete, None);
        place().done(GITOPS, &["annotate", "crd", name, &format!("{ALLOW_DELETION}-")], None);
    }
}
