//! Text that looks like a token, in namespaces that ask for it.

use openteam_end_to_end::good;
use serde_json::{Value, json};

use crate::place::{GITOPS, changed, place};

fn config(kind: &str, name: &str, data: Value) -> Value {
    let field = if kind == "Secret" { "stringData" } else { "data" };
    json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": "guarded" }, field: data })
}

#[test]
fn what_looks_like_a_token_is_refused_where_it_is_asked_for() {
    let place = place();
    for namespace in ["guarded", "unguarded"] {
        place.kubectl().run(&["create", "namespace", namespace]).unwrap();
    }
    place.kubectl().run(&["label", "namespace", "guarded", "openteam.dev/guard=true"]).unwrap();
    let why = "holds what looks like a token or secret of Amazon";
    let create = ["create", "-f", "-"];
    let secret = format!("amzn1.oa2-cs.v1.{}", "0".repeat(32));
    for (number, token) in ["Atzr|IwEBI", "?x=Atza%7CIwEBI", "a Atza|x", &secret].into_iter().enumerate() {
        for kind in ["ConfigMap", "Secret"] {
            let object = config(kind, &format!("bad-{number}"), json!({ "fine": "x", "key": token }));
            place.refused(GITOPS, &create, Some(&object), why);
            place.done(GITOPS, &create, Some(&changed(&object, "/metadata/namespace", json!("unguarded"))));
        }
        let annotated = changed(&good("AmazonConnection"), "/metadata/annotations", json!({ "note": token }));
        place.refused(GITOPS, &create, Some(&changed(&annotated, "/metadata/namespace", json!("guarded"))), why);
    }
    // Base64 within the text, as of a Secret that was pasted.
    for text in ["QXR6cnxJd0VCSQ==", "eEF0enJ8SXdFQkk=", "eHhBdHpyfEl3RUJJ"] {
        place.refused(GITOPS, &create, Some(&config("ConfigMap", "encoded", json!({ "key": text }))), why);
    }
    // A large one that has none costs no more than a policy may.
    let large = config("ConfigMap", "large", json!({ "key": "x".repeat(900_000) }));
    place.done(GITOPS, &create, Some(&large));
    let ends = format!("{}Atzr|x", "x".repeat(900_000));
    place.refused(GITOPS, &create, Some(&config("ConfigMap", "large-too", json!({ "key": ends }))), why);
}
