//! Who writes StoredCredentials, and what a gateway writes.

use openteam_end_to_end::{NAMESPACE, good};
use serde_json::{Value, json};

use crate::place::{GITOPS, changed, place};

fn role(name: &str) -> String {
    format!("system:serviceaccount:{NAMESPACE}:openteam-{name}")
}

#[test]
fn only_the_operator_writes_stored_credentials_and_who_may_restore_a_backup_everywhere() {
    let place = place();
    let kubectl = place.kubectl();
    kubectl.run(&["create", "namespace", "stored"]).unwrap();
    // Everything, but in this namespace only.
    kubectl
        .run(&[
            "create",
            "role",
            "all",
            "-n",
            "stored",
            "--verb=*",
            "--resource=storedcredentials.internal.openteam.dev",
        ])
        .unwrap();
    for user in ["tenant".to_owned(), role("gateway")] {
        let binding = user.rsplit(':').next().unwrap();
        kubectl
            .run(&["create", "rolebinding", binding, "-n", "stored", "--role=all", &format!("--user={user}")])
            .unwrap();
    }
    let stored = changed(&good("StoredCredential"), "/metadata/namespace", json!("stored"));
    let object = ["storedcredential/storedcredential", "-n", "stored"];
    let why = "only the operator writes it";
    let (patch, annotate) = (r#"{"spec":{"data":"BBBB"}}"#, "a=b");
    let refused = |user: &str| {
        place.refused(user, &[&["patch"], &object[..], &["--type=merge", "-p", patch]].concat(), None, why);
        place.refused(user, &[&["annotate"], &object[..], &[annotate]].concat(), None, why);
        place.refused(user, &[&["delete"], &object[..]].concat(), None, why);
        place.refused(user, &["delete", "storedcredential", "--all", "-n", "stored"], None, why);
    };
    for user in ["tenant", &role("gateway")] {
        place.refused(user, &["create", "-f", "-"], Some(&stored), why);
    }
    place.done(&role("operator"), &["create", "-f", "-"], Some(&stored));
    for user in ["tenant", &role("gateway")] {
        refused(user);
    }
    place.done(GITOPS, &[&["delete"], &object[..]].concat(), None);
    place.done(GITOPS, &["create", "-f", "-"], Some(&stored));
    // Kubernetes itself clears away.
    kubectl.run(&["delete", "namespace", "stored", "--timeout=60s"]).unwrap();
}

#[test]
fn only_the_operator_writes_what_is_known_of_logs_and_who_may_restore_a_backup_everywhere() {
    let place = place();
    let map = |data: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "openteam-audit", "namespace": NAMESPACE },
            "data": { "cluster": data },
        })
    };
    let verbs = "--verb=get,create,update,patch,delete";
    place.kubectl().run(&["create", "role", "maps", "-n", NAMESPACE, verbs, "--resource=configmaps"]).unwrap();
    for user in ["tenant-of-maps".to_owned(), role("recorder")] {
        let binding = format!("maps-{}", user.rsplit(':').next().unwrap());
        let words = ["create", "rolebinding", &binding, "-n", NAMESPACE, "--role=maps", &format!("--user={user}")];
        place.kubectl().run(&words).unwrap();
    }
    let why = "only the operator writes it";
    let object = ["configmap/openteam-audit", "-n", NAMESPACE];
    let forger = ["tenant-of-maps", &role("recorder")];
    for user in forger {
        place.refused(user, &["create", "-f", "-"], Some(&map("b")), why);
    }
    place.done(GITOPS, &["create", "-f", "-"], Some(&map("a")));
    place.done(&role("operator"), &[&["annotate"], &object[..], &["a=b"]].concat(), None);
    for user in forger {
        place.refused(user, &["replace", "-f", "-"], Some(&map("b")), why);
        place.refused(user, &[&["annotate"], &object[..], &["c=d"]].concat(), None, why);
        place.refused(user, &[&["delete"], &object[..]].concat(), None, why);
    }
    // Any other ConfigMap there is none of its business.
    let other = changed(&map("b"), "/metadata/name", json!("another"));
    place.done("tenant-of-maps", &["create", "-f", "-"], Some(&other));
    place.done(GITOPS, &["replace", "-f", "-"], Some(&map("c")));
    place.done(GITOPS, &[&["delete"], &object[..]].concat(), None);
}

#[test]
fn records_are_kept_for_a_year_whoever_sets_it() {
    let place = place();
    let map = |name: &str, retention: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": NAMESPACE },
            "data": { "retention": retention },
        })
    };
    for too_short in ["364d", "30d", "0d", "1y", "", "365", "365h"] {
        let short = map("openteam-h4sh", too_short);
        place.refused(GITOPS, &["create", "-f", "-"], Some(&short), "records are kept for a year at least");
    }
    for kept in ["365d", "400d", "1000d"] {
        place.done(GITOPS, &["apply", "-f", "-"], Some(&map("openteam-h4sh", kept)));
    }
    place.refused(GITOPS, &["apply", "-f", "-"], Some(&map("openteam-h4sh", "100d")), "for a year at least");
    place.done(GITOPS, &["create", "-f", "-"], Some(&map("somebody-elses", "30d")));
}

#[test]
fn the_operator_deletes_codes_that_the_portal_made_and_no_other_input() {
    let place = place();
    place.kubectl().run(&["create", "namespace", "codes"]).unwrap();
    let input = |name: &str, field: &str, label: Option<&str>| {
        let mut input = changed(&good("SealedCredential"), "/metadata/name", json!(name));
        input["spec"]["field"] = json!(field);
        if field == "AuthorizationCode" {
            input["spec"]["consent"] = json!({ "sellingPartnerId": "A1EXAMPLE00001" });
        }
        if let Some(label) = label {
            input["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": label, "a": "b" });
        }
        place.create("codes", &input);
    };
    let operator = role("operator");
    for (name, field, label) in [
        ("pasted", "RefreshToken", Some("openteam-portal")),
        ("by-hand", "AuthorizationCode", None),
        ("by-flux", "AuthorizationCode", Some("flux")),
        ("by-nobody", "AuthorizationCode", Some("")),
    ] {
        input(name, field, label);
        let words = ["delete", "--wait=false", "sealedcredential", name, "-n", "codes"];
        place.refused(&operator, &words, None, "the operator deletes an AuthorizationCode with the label");
        place.done(GITOPS, &words, None);
    }
    input("by-the-portal", "AuthorizationCode", Some("openteam-portal"));
    place.done(&operator, &["delete", "sealedcredential", "by-the-portal", "-n", "codes"], None);
}

fn condition(kind: &str, status: &str) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({ "type": kind, "status": status, "reason": "Tried", "message": "", "lastTransitionTime": at })
}

/// Applies a status by a field manager of its own.
fn apply(user: &str, manager: &str, status: &Value) -> Result<String, String> {
    let object = json!({
        "apiVersion": "openteam.dev/v1alpha1", "kind": "AmazonConnection",
        "metadata": { "name": "amazonconnection", "namespace": "status" }, "status": status,
    });
    let manager = format!("--field-manager={manager}");
    let words = ["apply", "--server-side", "--subresource=status", "--force-conflicts", &manager, "-f", "-"];
    place().ask(user, &words, Some(&object))
}

#[test]
fn a_gateway_writes_its_own_condition_and_fields_and_nothing_else_of_a_status() {
    place().kubectl().run(&["create", "namespace", "status"]).unwrap();
    place().create("status", &good("AmazonConnection"));
    let (operator, gateway) = (role("operator"), role("gateway"));
    let conditions = [condition("Authorized", "True"), condition("Ready", "True")];
    apply(&operator, "operator", &json!({ "conditions": conditions, "endpoint": "https://a.example" })).unwrap();
    apply(&gateway, "gateway", &json!({ "conditions": [condition("Refreshed", "True")] })).unwrap();
    apply(&gateway, "gateway", &json!({ "conditions": [condition("Refreshed", "False")] })).unwrap();
    apply(&gateway, "exposed", &json!({ "exposedUntil": "2026-01-01T01:00:00Z" })).unwrap();
    for (status, why) in [
        (json!({ "conditions": [condition("Authorized", "False")] }), "no other"),
        (json!({ "conditions": [condition("Refreshed", "True"), condition("Made", "True")] }), "no other"),
        (json!({ "endpoint": "https://b.example" }), "nothing else"),
        (json!({ "incidents": ["inc-7"] }), "nothing else"),
    ] {
        let said = apply(&gateway, "bad", &status).unwrap_err();
        assert!(said.contains("'openteam-gateway'") && said.contains(why), "{status}: {said}");
    }
}
