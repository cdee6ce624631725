//! Who writes what of the record is to be reviewed, and who says that they have.

use openteam_end_to_end::NAMESPACE;
use serde_json::{Value, json};

use crate::place::{AUDITOR, GITOPS, Place, place};

const OBJECT: [&str; 3] = ["configmap/openteam-review", "-n", NAMESPACE];
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// Has the Role of auditors, and the verb in one namespace only.
const LOCAL: &str = "local-auditor";

fn operator() -> String {
    format!("system:serviceaccount:{NAMESPACE}:openteam-operator")
}

fn review(digest: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "openteam-review", "namespace": NAMESPACE },
        "data": { "digest": digest, "digest.json": "{}" },
    })
}

/// The words of a patch by which a user sets annotations and more.
fn patch(patch: &str) -> Vec<&str> {
    [&["patch"], &OBJECT[..], &["--type=merge", "-p", patch]].concat()
}

fn signing(digest: &str, user: &str) -> String {
    json!({ "metadata": { "annotations": { "openteam.dev/signed-off": format!("{digest} {user}") } } }).to_string()
}

fn prepared() -> &'static Place {
    let place = place();
    let kubectl = place.kubectl();
    for (user, binding) in [(AUDITOR, "review-auditor"), (LOCAL, "review-local")] {
        let words = ["create", "rolebinding", binding, "-n", NAMESPACE, "--role=openteam-auditor"];
        kubectl.run(&[&words[..], &[&format!("--user={user}")]].concat()).unwrap();
    }
    let verb = ["create", "role", "audits", "-n", NAMESPACE, "--verb=audit", "--resource=teams.openteam.dev"];
    kubectl.run(&verb).unwrap();
    let user = format!("--user={LOCAL}");
    kubectl.run(&["create", "rolebinding", "audits", "-n", NAMESPACE, "--role=audits", &user]).unwrap();
    // Applied by name, as the operator does: RBAC allows it no other way of making it.
    place.done(&operator(), &["apply", "--server-side", "-f", "-"], Some(&review(DIGEST)));
    place
}

#[test]
fn a_review_is_signed_off_by_auditors_in_their_own_name_and_written_by_nobody_but_the_operator() {
    let place = prepared();
    let why = "only the operator writes it";
    for wrong in [
        json!({ "data": { "digest": "sha256:1" } }),
        json!({ "data": { "signedOffBy": AUDITOR } }),
        json!({ "binaryData": { "a": "AAAA" } }),
        json!({ "immutable": true }),
        json!({ "metadata": { "labels": { "a": "b" } } }),
        json!({ "metadata": { "finalizers": ["a.example/b"] } }),
        json!({ "metadata": { "annotations": { "a": "b" } } }),
        json!({
            "data": { "digest": "sha256:1" },
            "metadata": { "annotations": { "openteam.dev/signed-off": format!("sha256:1 {AUDITOR}") } },
        }),
    ] {
        place.refused(AUDITOR, &patch(&wrong.to_string()), None, why);
    }
    // Another's name, another digest, a note without a signature.
    let whose = "the current digest and your own name";
    for wrong in [signing(DIGEST, "somebody"), signing("sha256:1", AUDITOR), signing(DIGEST, "")] {
        place.refused(AUDITOR, &patch(&wrong), None, whose);
    }
    let note = json!({ "metadata": { "annotations": { "openteam.dev/signed-off-note": "fine" } } }).to_string();
    place.refused(AUDITOR, &patch(&note), None, whose);
    // The verb in one namespace reaches no other Teams.
    place.refused(LOCAL, &patch(&signing(DIGEST, LOCAL)), None, "with the verb audit on teams.openteam.dev");

    place.done(AUDITOR, &patch(&signing(DIGEST, AUDITOR)), None);
    place.done(AUDITOR, &patch(&note), None);
    let unsign = json!({ "metadata": { "annotations": { "openteam.dev/signed-off": null } } }).to_string();
    place.refused(AUDITOR, &patch(&unsign), None, whose);
    // The operator goes on, by whatever it likes.
    let noted = json!({ "data": { "signedOffBy": AUDITOR }, "metadata": { "annotations": null } }).to_string();
    place.done(&operator(), &patch(&noted), None);
    // Who may restore a backup may write everything there.
    place.done(GITOPS, &patch(&signing(DIGEST, GITOPS)), None);
    place.done(GITOPS, &["replace", "-f", "-"], Some(&review("sha256:2")));
    place.done(GITOPS, &[&["delete"], &OBJECT[..]].concat(), None);
}
