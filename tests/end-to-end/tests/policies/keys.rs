//! Keys of ours that nothing reads.

use serde_json::json;

use crate::place::{GITOPS, Thing, WRITER, changed, each_kind, place};

#[test]
fn a_key_that_nothing_reads_is_refused_with_the_one_that_was_meant() {
    let thing = &Thing::new("AmazonConnection", "slips");
    let disable = "did you mean openteam.dev/disable? Known here: openteam.dev/disable, openteam.dev/restored";
    for (key, why) in [
        ("openteam.dev/disabled", disable),
        ("openteam.dev/Disable", disable),
        ("openteam.dev/contain", disable),
        ("openteam.io/disable", disable),
        ("OpenTeam.dev/disable", disable),
        ("disable", disable),
        ("openteam.dev/restore", "did you mean openteam.dev/restored?"),
        ("openteam.dev/anything", "does nothing on"),
        ("openteam.dev/rotation", "did you mean openteam.dev/rotate?"),
        ("openteam.dev/renewal", "did you mean openteam.dev/renew?"),
    ] {
        thing.annotates_not(GITOPS, &[&format!("{key}=x")], why);
    }
    let label = ["label", &thing.object, "-n", &thing.namespace, "openteam.dev/disable=inc-7"];
    place().refused(GITOPS, &label, None, "did you mean the annotation openteam.dev/disable?");
    place().done(GITOPS, &["label", &thing.object, "-n", &thing.namespace, "release=x"], None);
    thing.gives_not(GITOPS, &["apply"], &thing.annotated(&json!({ "openteam.dev/disabled": "inc-7" })), disable);
    thing.annotates(WRITER, &["openteam.dev/test=now"]);
    thing.annotates(WRITER, &["example.com/disable=x", "incident=inc-7"]);
}

#[test]
fn every_kind_has_its_keys() {
    each_kind("keys", |thing| {
        thing.annotates_not(GITOPS, &["openteam.dev/disabled=x"], "did you mean openteam.dev/disable?");
        if thing.kind != "AmazonConnection" {
            thing.annotates_not(WRITER, &["openteam.dev/test=now"], "does nothing on");
            thing.annotates_not(GITOPS, &["openteam.dev/renew=1"], "does nothing on");
        }
        if ["AgentGrant", "RuntimeToken"].contains(&thing.kind) {
            thing.annotates_not(GITOPS, &["openteam.dev/rotate=1"], "does nothing on");
        }
    });
}

#[test]
fn an_input_cannot_be_contained_and_says_so() {
    place().kubectl().run(&["create", "namespace", "input"]).unwrap();
    let sealed = changed(&openteam_end_to_end::good("SealedCredential"), "/metadata/namespace", json!("input"));
    let contained = changed(&sealed, "/metadata/annotations", json!({ "openteam.dev/disable": "inc-7" }));
    place().refused(GITOPS, &["create", "-f", "-"], Some(&contained), "contain what it is for");
    place().done(GITOPS, &["create", "-f", "-"], Some(&sealed));
}
