//! What the portal may write, and who may touch what it knows of people.

use std::sync::Once;

use crds::{
    MANAGED_BY, PORTAL as MADE,
    annotation::{DISABLE, RENEW, RESTORED, ROTATE, TEST},
};
use openteam_end_to_end::{NAMESPACE, eventually, good};
use serde_json::{Value, json};

use crate::place::{ADMIN, GITOPS, RESPONDER, RESTORER, VIEWER, WRITER, changed, later, place};

/// The portal's own account, with the rights of the manifests.
const PORTAL: &str = "system:serviceaccount:openteam-system:openteam-portal";
const OPERATOR: &str = "system:serviceaccount:openteam-system:openteam-operator";

/// kubectl reads what it patches, the portal does not: hence one right more than it has.
fn with_kubectl() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let kinds = "--resource=teams.openteam.dev,amazonconnections.openteam.dev,runtimetokens.openteam.dev,\
                     agentgrants.openteam.dev,amazonapplications.openteam.dev";
        let subject = format!("--serviceaccount={NAMESPACE}:openteam-portal");
        for words in [
            &["create", "clusterrole", "kubectl-reads", "--verb=get", kinds][..],
            &["create", "clusterrolebinding", "kubectl-reads", "--clusterrole=kubectl-reads", &subject],
        ] {
            place().kubectl().run(words).unwrap();
        }
    });
}

/// A good object as the portal makes it.
fn made(kind: &str, namespace: &str) -> Value {
    let (label, value) = (MANAGED_BY, MADE);
    changed(&plain(kind, namespace), "/metadata/labels", json!({ label: value }))
}

fn plain(kind: &str, namespace: &str) -> Value {
    changed(&good(kind), "/metadata/namespace", json!(namespace))
}

fn creates(user: &str, object: &Value) {
    place().done(user, &["create", "-f", "-"], Some(object));
}

fn creates_not(user: &str, object: &Value, why: &str) {
    place().refused(user, &["create", "-f", "-"], Some(object), why);
}

/// A merge patch as words.
fn patch(kind: &str, namespace: &str, patch: &Value) -> Vec<String> {
    let kind = kind.to_lowercase();
    let words = ["patch", &format!("{kind}/{kind}"), "-n", namespace, "--type=merge", "-p", &patch.to_string()];
    words.map(str::to_owned).into()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn patches(user: &str, kind: &str, namespace: &str, change: &Value) {
    place().done(user, &strs(&patch(kind, namespace, change)), None);
}

fn patches_not(user: &str, kind: &str, namespace: &str, change: &Value, why: &str) {
    place().refused(user, &strs(&patch(kind, namespace, change)), None, why);
}

/// RBAC itself refuses.
fn may_not(user: &str, words: &[&str], input: Option<&Value>) {
    let said = place().ask(user, words, input).unwrap_err();
    assert!(said.contains("Forbidden") && said.contains("cannot"), "{user}: kubectl {words:?}: {said}");
}

fn annotated(key: &str, value: &str) -> Value {
    json!({ "metadata": { "annotations": { key: value } } })
}

fn namespace(name: &str) {
    place().kubectl().run(&["create", "namespace", name]).unwrap();
}

#[test]
fn the_portal_creates_only_what_carries_its_label_and_hands_out_no_token_of_amazons() {
    let space = "portal-creates";
    namespace(space);
    for kind in ["AmazonConnection", "RuntimeToken", "SealedCredential"] {
        creates_not(PORTAL, &plain(kind, space), "only what has the label");
        let other = json!({ MANAGED_BY: "helm" });
        creates_not(PORTAL, &changed(&plain(kind, space), "/metadata/labels", other), "only what has the label");
        let object = made(kind, space);
        for key in ["openteam.dev/nothing", "a"] {
            let object = changed(&object, "/metadata/annotations", json!({ key: "b" }));
            creates_not(PORTAL, &object, "");
        }
        let held = changed(&object, "/metadata/finalizers", json!(["example.com/held"]));
        creates_not(PORTAL, &held, "without annotations and finalizers");
    }
    let contained = changed(&made("AmazonConnection", space), "/metadata/annotations", json!({ DISABLE: "inc-7" }));
    creates_not(PORTAL, &contained, "without annotations and finalizers");
    let why = "must be Proxy";
    creates_not(PORTAL, &changed(&made("AmazonConnection", space), "/spec/access", json!("Credential")), why);
    creates_not(PORTAL, &changed(&made("RuntimeToken", space), "/spec/scope/access", json!("Credential")), why);
    let secret = json!({ "kind": "AmazonApplication", "name": "amazon" });
    let secret = changed(&made("SealedCredential", space), "/spec/for", secret);
    let secret = changed(&secret, "/spec/field", json!("ClientSecret"));
    creates_not(PORTAL, &secret, "what the portal seals is for connections");
    for kind in ["AmazonConnection", "RuntimeToken", "SealedCredential"] {
        creates(PORTAL, &made(kind, space));
    }
    for kind in ["Team", "AmazonApplication", "AgentGrant", "Incident"] {
        may_not(PORTAL, &["create", "-f", "-"], Some(&made(kind, space)));
    }
}

#[test]
fn the_portal_renames_what_it_made_and_changes_nothing_else() {
    with_kubectl();
    let (space, kind) = ("portal-changes", "AmazonConnection");
    namespace(space);
    creates(PORTAL, &made(kind, space));
    let name = |name: Value| json!({ "spec": { "displayName": name } });
    patches(PORTAL, kind, space, &name(json!("Acme, North America")));
    patches(PORTAL, kind, space, &name(json!("Acme")));
    patches(PORTAL, kind, space, &name(Value::Null));
    patches(PORTAL, kind, space, &name(json!("Acme")));
    let spec = "nothing but displayName";
    for change in [
        json!({ "marketplaceIds": ["A2EUQ1WTGCTBG2"] }),
        json!({ "operations": { "allow": ["write"] } }),
        json!({ "operations": null }),
        json!({ "access": "Credential" }),
        json!({ "access": "Credential", "displayName": "b" }),
    ] {
        patches_not(PORTAL, kind, space, &json!({ "spec": change }), spec);
    }
    for change in [
        json!({ "labels": { MANAGED_BY: null } }),
        json!({ "labels": { "a": "b" } }),
        json!({ "finalizers": ["example.com/held"] }),
    ] {
        patches_not(PORTAL, kind, space, &json!({ "metadata": change }), "nothing but annotations");
    }
    let owner = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1" }]);
    patches_not(PORTAL, kind, space, &json!({ "metadata": { "ownerReferences": owner } }), "nothing but annotations");

    // What is contained is evidence; what YAML made is not the portal's.
    patches(RESPONDER, kind, space, &annotated(DISABLE, "inc-7"));
    patches_not(PORTAL, kind, space, &name(json!("b")), spec);
    let yaml = "portal-changes-yaml";
    namespace(yaml);
    creates(GITOPS, &plain(kind, yaml));
    patches_not(PORTAL, kind, yaml, &name(json!("b")), spec);
    let mark = json!({ "metadata": { "labels": { MANAGED_BY: MADE } } });
    patches_not(PORTAL, kind, yaml, &mark, "nothing but annotations");
    for kind in ["Team", "RuntimeToken"] {
        creates(GITOPS, &plain(kind, yaml));
    }
    // Without `update` another policy says so first, or this one.
    patches_not(PORTAL, "Team", yaml, &json!({ "spec": { "members": [] } }), "");
    let status = json!({ "status": { "endpoint": "https://b.example" } }).to_string();
    let object = "amazonconnection/amazonconnection";
    may_not(PORTAL, &["patch", object, "-n", yaml, "--subresource=status", "--type=merge", "-p", &status], None);
}

#[test]
fn the_portal_contains_renews_and_tests_and_neither_restores_nor_rotates() {
    with_kubectl();
    let space = "portal-annotates";
    namespace(space);
    for kind in ["Team", "AmazonConnection", "RuntimeToken"] {
        creates(GITOPS, &plain(kind, space));
    }
    let kind = "AmazonConnection";
    for (key, value) in [(RENEW, "2026-11-27"), (TEST, "2026-11-27"), (TEST, "2026-11-28")] {
        patches(PORTAL, kind, space, &annotated(key, value));
    }
    let sets = "and takes none off";
    for key in [ROTATE, RESTORED, "example.com/other"] {
        patches_not(PORTAL, kind, space, &annotated(key, "inc-7/2026-01-01T00:00:00Z"), "");
    }
    patches_not(PORTAL, kind, space, &annotated("example.com/other", "a"), sets);
    for key in [RENEW, TEST] {
        let off = json!({ "metadata": { "annotations": { key: null } } });
        patches_not(PORTAL, kind, space, &off, sets);
    }
    for kind in ["Team", "AmazonConnection", "RuntimeToken"] {
        patches(PORTAL, kind, space, &annotated(DISABLE, "inc-7"));
        patches(PORTAL, kind, space, &annotated(DISABLE, "inc-7,inc-8"));
        let off = json!({ "metadata": { "annotations": {
            DISABLE: null, RESTORED: format!("inc-7/{0},inc-8/{0}", later()),
        } } });
        patches_not(PORTAL, kind, space, &off, "");
        patches_not(PORTAL, kind, space, &annotated(DISABLE, "inc-8"), "");
        patches_not(PORTAL, kind, space, &annotated(DISABLE, ""), "");
    }
    // With all of our verbs it would restore nothing either.
    let words = ["create", "rolebinding", "portal-all", "-n", space, "--clusterrole=cluster-admin"];
    let subject = format!("--serviceaccount={NAMESPACE}:openteam-portal");
    place().kubectl().run(&[&words[..], &[&subject]].concat()).unwrap();
    let off = json!({ "metadata": { "annotations": {
        DISABLE: "inc-8", RESTORED: format!("inc-7/{}", later()),
    } } });
    patches_not(PORTAL, kind, space, &off, "");
    patches_not(PORTAL, kind, space, &annotated(ROTATE, "now"), sets);
    place().kubectl().run(&["delete", "rolebinding", "portal-all", "-n", space]).unwrap();
    for kind in ["AmazonApplication", "AgentGrant"] {
        creates(GITOPS, &plain(kind, space));
        may_not(PORTAL, &strs(&patch(kind, space, &annotated(DISABLE, "inc-7"))), None);
    }
}

#[test]
fn the_portal_deletes_what_it_made_and_nothing_that_is_kept_as_evidence() {
    with_kubectl();
    let space = "portal-deletes";
    namespace(space);
    for kind in ["AmazonConnection", "RuntimeToken", "SealedCredential"] {
        let object = format!("{0}/{0}", kind.to_lowercase());
        let delete = ["delete", &object, "-n", space, "--wait=false"];
        creates(GITOPS, &plain(kind, space));
        place().refused(PORTAL, &delete, None, "only what has the label");
        place().done(GITOPS, &delete, None);
        creates(PORTAL, &made(kind, space));
        place().done(PORTAL, &delete, None);
    }
    creates(PORTAL, &made("RuntimeToken", space));
    patches(PORTAL, "RuntimeToken", space, &annotated(DISABLE, "inc-7"));
    let delete = ["delete", "runtimetoken/runtimetoken", "-n", space, "--wait=false"];
    place().refused(PORTAL, &delete, None, "restore it before it is deleted");
    let collection = format!("/apis/openteam.dev/v1alpha1/namespaces/{space}/runtimetokens");
    may_not(PORTAL, &["delete", "--raw", &collection], None);
}

#[test]
fn nobody_else_sets_the_portals_label() {
    let space = "portal-label";
    namespace(space);
    let why = "is not the portal";
    for kind in ["AmazonConnection", "RuntimeToken", "SealedCredential", "Team"] {
        creates_not(ADMIN, &made(kind, space), why);
        creates(ADMIN, &plain(kind, space));
        let mark = json!({ "metadata": { "labels": { MANAGED_BY: MADE } } });
        patches_not(ADMIN, kind, space, &mark, why);
        let other = json!({ "metadata": { "labels": { MANAGED_BY: "helm" } } });
        patches(ADMIN, kind, space, &other);
        patches_not(ADMIN, kind, space, &mark, why);
        // A backup is restored by who may restore the credentials in it.
        patches(GITOPS, kind, space, &mark);
        // It stays, and can be taken off: then the object is no longer the portal's.
        patches(ADMIN, kind, space, &json!({ "metadata": { "labels": { "team": "acme" } } }));
        patches(ADMIN, kind, space, &json!({ "metadata": { "labels": { MANAGED_BY: null } } }));
        patches_not(ADMIN, kind, space, &mark, why);
    }
}

#[test]
fn only_the_portal_writes_portal_users_and_responders_contain_them() {
    let kind = "PortalUser";
    let user = plain(kind, NAMESPACE);
    let object = ["portaluser/portaluser", "-n", NAMESPACE];
    let words = |verb: &'static str, rest: &[&'static str]| [&[verb], &object[..], rest].concat();
    for who in [VIEWER, WRITER, ADMIN, RESPONDER, RESTORER, OPERATOR] {
        may_not(who, &["create", "-f", "-"], Some(&user));
    }
    creates(PORTAL, &user);
    let session = json!({
        "id": "a", "hash": "0".repeat(64), "createdAt": "2026-01-01T00:00:00.000000Z",
        "usedAt": "2026-01-01T00:00:00.000000Z", "browser": "Firefox", "network": "192.0.2.0/24",
    });
    let signed_in = json!({ "spec": { "sessions": [session] } });
    // By its rights; a patch is none of them.
    let with_session = changed(&user, "/spec/sessions", signed_in["spec"]["sessions"].clone());
    place().done(PORTAL, &["replace", "-f", "-"], Some(&with_session));
    may_not(PORTAL, &words("annotate", &["openteam.dev/disable=inc-7"]), None);

    // Whoever may write there, by a role of the cluster's own, signs in as nobody.
    let verbs = "--verb=get,create,update,patch,delete";
    let resource = "--resource=portalusers.internal.openteam.dev";
    place().kubectl().run(&["create", "role", "people", "-n", NAMESPACE, verbs, resource]).unwrap();
    place()
        .kubectl()
        .run(&["create", "rolebinding", "people", "-n", NAMESPACE, "--role=people", "--user=tenant"])
        .unwrap();
    let why = "only the portal writes it";
    // Without `update` another policy refuses too, and kubectl tells one of them.
    for (who, why) in [("tenant", why), (RESPONDER, "")] {
        patches_not(who, kind, NAMESPACE, &signed_in_as_another(), why);
        let failures = json!([{ "network": "n", "failures": 0, "at": "2026-01-01T00:00:00.000000Z" }]);
        patches_not(who, kind, NAMESPACE, &json!({ "spec": { "failures": failures } }), why);
        patches_not(who, kind, NAMESPACE, &annotated("a", "b"), why);
    }
    let other = changed(&user, "/metadata/name", json!("other"));
    creates_not("tenant", &other, why);
    place().refused("tenant", &words("delete", &[]), None, why);
    patches_not("tenant", kind, NAMESPACE, &annotated(DISABLE, "inc-7"), "may not contain");
    patches_not("tenant", kind, NAMESPACE, &annotated("openteam.dev/disabled", "inc-7"), "");

    patches(RESPONDER, kind, NAMESPACE, &annotated(DISABLE, "inc-7"));
    // Frozen: what the portal knew is evidence, and nobody signs in by it.
    let read = place().done(PORTAL, &["get", object[0], "-n", NAMESPACE, "-o", "json"], None);
    let frozen: Value = serde_json::from_str(&read).unwrap();
    let emptied = changed(&frozen, "/spec/sessions", json!([]));
    place().refused(PORTAL, &["replace", "-f", "-"], Some(&emptied), "kept as evidence");
    place().refused(PORTAL, &words("delete", &[]), None, "restore it before it is deleted");
    let freed = changed(&frozen, "/metadata/annotations", json!({ RESTORED: format!("inc-7/{}", later()) }));
    place().refused(PORTAL, &["replace", "-f", "-"], Some(&freed), "may not restore");
    let restore = json!({ "metadata": { "annotations": {
        DISABLE: null, RESTORED: format!("inc-7/{}", later()),
    } } });
    patches_not(RESPONDER, kind, NAMESPACE, &restore, "may not restore");
    patches(RESTORER, kind, NAMESPACE, &restore);
    place().done(PORTAL, &words("delete", &[]), None);
    // Who restores backups restores people too.
    creates(GITOPS, &user);
    place().done(PORTAL, &words("delete", &[]), None);
}

/// In a namespace of its own: OpenTeam's has Incidents too, which keep it for a reason of theirs.
#[test]
fn a_namespace_with_a_contained_portal_user_is_not_deleted() {
    let (kind, space) = ("PortalUser", "portal-people");
    namespace(space);
    creates(GITOPS, &plain(kind, space));
    patches(RESPONDER, kind, space, &annotated(DISABLE, "inc-7"));
    let delete = ["delete", "namespace", space, "--dry-run=server"];
    eventually("it is refused", || place().ask(GITOPS, &delete, None).err());
    place().refused(GITOPS, &delete, None, "kept as evidence");
}

/// A session of somebody who got at the apiserver.
fn signed_in_as_another() -> Value {
    let at = "2026-01-01T00:00:00.000000Z";
    json!({ "spec": { "sessions": [{
        "id": "b", "hash": "1".repeat(64), "createdAt": at, "usedAt": at, "browser": "curl", "network": "192.0.2.0/24",
    }] } })
}

#[test]
fn the_portal_notes_who_contained_and_changes_nothing_else_of_an_incident() {
    let incident = |name: &str, spec: Value| {
        let metadata = json!({ "name": name, "namespace": NAMESPACE });
        json!({ "apiVersion": "openteam.dev/v1alpha1", "kind": "Incident", "metadata": metadata, "spec": spec })
    };
    let note = |text: &str| json!({ "time": "2026-01-01T00:00:00Z", "author": text, "text": text });
    let closed = json!({ "rootCause": "none", "remedy": "none" });
    for spec in
        [json!({ "closed": closed }), json!({ "severity": "Low" }), json!({ "detectedAt": "2026-01-01T00:00:00Z" })]
    {
        creates_not(PORTAL, &incident("portal-inc", spec), "with a title and notes, and no more");
    }
    let opened = json!({ "title": "A laptop was stolen", "notes": [note("ada")] });
    creates(PORTAL, &incident("portal-inc", opened.clone()));
    let replaced = |user: &str, spec: Value| {
        let object = place().done(VIEWER, &["get", "incident/portal-inc", "-n", NAMESPACE, "-o", "json"], None);
        let mut object: Value = serde_json::from_str(&object).unwrap();
        object["spec"] = spec;
        place().ask(user, &["replace", "-f", "-"], Some(&object))
    };
    let more = json!({ "title": "A laptop was stolen", "notes": [note("ada"), note("bob")] });
    replaced(PORTAL, more.clone()).unwrap();
    for (key, value) in [("title", json!("Nothing happened")), ("closed", closed), ("severity", json!("Low"))] {
        let mut other = more.clone();
        other[key] = value;
        let said = replaced(PORTAL, other).unwrap_err();
        assert!(said.contains("adds notes"), "{said}");
    }
    replaced(PORTAL, opened).unwrap_err();
    may_not(PORTAL, &["delete", "incident", "portal-inc", "-n", NAMESPACE], None);
}
