//! Where Incidents are, who says what happened, and when one may go.

use openteam_end_to_end::{NAMESPACE, eventually, good};
use serde_json::{Value, json};

use crate::place::{ADMIN, GITOPS, RESPONDER, RESTORER, VIEWER, changed, place};

fn named(name: &str) -> Value {
    let object = changed(&good("Incident"), "/metadata/namespace", json!(NAMESPACE));
    changed(&object, "/metadata/name", json!(name))
}

/// Writes the phase, as `user`.
fn phase(user: &str, name: &str, phase: &str) -> Result<String, String> {
    let object = json!({
        "apiVersion": "openteam.dev/v1alpha1", "kind": "Incident",
        "metadata": { "name": name, "namespace": NAMESPACE }, "status": { "phase": phase },
    });
    let words = ["apply", "--server-side", "--subresource=status", "--force-conflicts", "-f", "-"];
    place().ask(user, &words, Some(&object))
}

fn operator() -> String {
    format!("system:serviceaccount:{NAMESPACE}:openteam-operator")
}

#[test]
fn an_incident_lives_in_openteams_own_namespace() {
    let why = "an incident may reach across namespaces and lives in openteam-system";
    for user in [GITOPS, ADMIN, RESPONDER] {
        place().refused(user, &["create", "-f", "-"], Some(&good("Incident")), why);
    }
    place().done(RESPONDER, &["create", "-f", "-"], Some(&named("here")));
    let patch = r#"{"spec":{"title":"Another"}}"#;
    place().done(RESPONDER, &["patch", "incident/here", "-n", NAMESPACE, "--type=merge", "-p", patch], None);
    for user in [VIEWER, RESTORER] {
        place().done(user, &["get", "incident/here", "-n", NAMESPACE], None);
        let said = place().ask(user, &["patch", "incident/here", "-n", NAMESPACE, "--type=merge", "-p", patch], None);
        assert!(said.unwrap_err().contains("cannot patch resource"));
    }
}

#[test]
fn an_incident_is_not_deleted_before_it_is_closed() {
    let place = place();
    let delete = ["delete", "incident/kept", "-n", NAMESPACE];
    let namespace = ["delete", "namespace", NAMESPACE, "--dry-run=server"];
    let collection = format!("/apis/openteam.dev/v1alpha1/namespaces/{NAMESPACE}/incidents");
    place.done(GITOPS, &["create", "-f", "-"], Some(&named("kept")));
    // Nobody has looked at it yet, or it is open, whatever its spec says.
    let why = "is not closed and is kept";
    place.refused(GITOPS, &delete, None, why);
    for open in ["Open", "Contained"] {
        phase(&operator(), "kept", open).unwrap();
        place.refused(GITOPS, &delete, None, why);
        place.refused(ADMIN, &delete, None, why);
        place.refused(GITOPS, &["delete", "--raw", &collection], None, why);
    }
    eventually("its namespace stays too", || {
        place.ask(GITOPS, &namespace, None).err().filter(|said| said.contains("which is not closed")).map(drop)
    });
    assert!(place.ask(RESPONDER, &delete, None).unwrap_err().contains("cannot delete resource"));
    phase(&operator(), "kept", "Closed").unwrap();
    place.done(ADMIN, &delete, None);
}

#[test]
fn only_the_operator_says_what_happened() {
    let place = place();
    place.done(GITOPS, &["create", "-f", "-"], Some(&named("story")));
    phase(&operator(), "story", "Contained").unwrap();
    let said = phase(GITOPS, "story", "Closed").unwrap_err();
    assert!(said.contains("'openteam-incident-status'") && said.contains("only the operator writes it"), "{said}");
    let said = phase(RESPONDER, "story", "Closed").unwrap_err();
    assert!(said.contains("cannot patch resource"), "{said}");
    phase(GITOPS, "story", "Contained").unwrap();
    // With the object itself it is not written.
    let closed = changed(&named("story"), "/status", json!({ "phase": "Closed" }));
    place.done(GITOPS, &["replace", "-f", "-"], Some(&closed));
    let words = ["get", "incident/story", "-n", NAMESPACE, "-o", "jsonpath={.status.phase}"];
    assert_eq!(place.done(GITOPS, &words, None), "Contained");
}
