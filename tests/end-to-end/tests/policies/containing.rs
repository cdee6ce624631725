//! The verbs `contain` and `restore`.

use crds::annotation::{self, DISABLE, RESTORED};
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use crate::place::{ADMIN, GITOPS, RESPONDER, RESTORER, Thing, WRITER, each_kind, later};

const NEEDS_CONTAIN: &str = "may not contain";
const NEEDS_RESTORE: &str = "may not restore";
const SAY_SO: &str = "say so in the same write";
const ONLY_WHO_RESTORES: &str = "only who restores says so";
const CHANGES_ONLY: &str = "it changes only in the write that takes an incident out";

fn incidents(thing: &Thing) -> Option<Value> {
    thing.read()["metadata"]["annotations"].get(DISABLE).cloned()
}

#[test]
fn every_kind_is_contained_and_restored_by_who_has_the_verb() {
    each_kind("kinds", |thing| {
        let (contain, out) = (format!("{DISABLE}=inc-7"), format!("{DISABLE}-"));
        thing.annotates_not(WRITER, &[&contain], NEEDS_CONTAIN);
        thing.annotates_not(WRITER, &[&said("inc-7")], ONLY_WHO_RESTORES);
        thing.annotates(RESPONDER, &[&contain]);
        thing.annotates_not(RESPONDER, &[&out, &said("inc-7")], NEEDS_RESTORE);
        thing.annotates_not(GITOPS, &[&out], SAY_SO);
        thing.annotates_not(RESTORER, &[&said("inc-7")], CHANGES_ONLY);
        thing.annotates(RESTORER, &[&out, &said("inc-7")]);
        thing.annotates(ADMIN, &[&contain]);
        assert_eq!(incidents(thing), Some(json!("inc-7")));
    });
}

#[test]
fn containing_takes_the_verb_contain_whichever_way_it_is_written() {
    let thing = &Thing::new("AmazonConnection", "contain");
    let annotated = json!({ DISABLE: "inc-7" });
    thing.annotates_not(WRITER, &[&format!("{DISABLE}=inc-7")], NEEDS_CONTAIN);
    for value in ["inc-7", ""] {
        thing.patches_not(WRITER, &json!({ "metadata": { "annotations": { DISABLE: value } } }), NEEDS_CONTAIN);
    }
    let add = json!([{ "op": "add", "path": "/metadata/annotations", "value": annotated }]);
    thing.patches_not(WRITER, &add, NEEDS_CONTAIN);
    let manifest = thing.annotated(&annotated);
    for words in [&["apply"][..], &["apply", "--server-side", "--force-conflicts"], &["replace"]] {
        thing.gives_not(WRITER, words, &manifest, NEEDS_CONTAIN);
    }
    // It deletes, which WRITER may, and is refused the creation.
    thing.gives_not(WRITER, &["replace", "--force"], &manifest, NEEDS_CONTAIN);
    thing.gives_not(WRITER, &["create"], &manifest, NEEDS_CONTAIN);
    thing.gives(WRITER, &["create"], &thing.yaml());
    assert_eq!(incidents(thing), None);

    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    assert_eq!(incidents(thing), Some(json!("inc-7")));
    // A second incident is one more.
    thing.annotates_not(WRITER, &[&format!("{DISABLE}=inc-7,inc-8")], NEEDS_CONTAIN);
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7,inc-8")]);
    thing.annotates(RESTORER, &[&format!("{DISABLE}-"), &said("inc-7,inc-8")]);

    // Born contained, as a backup may hold it.
    thing.gives(WRITER, &["delete"], &thing.yaml());
    thing.gives(ADMIN, &["create"], &thing.annotated(&json!({ DISABLE: "inc-7" })));
}

/// `openteam.dev/restored=` for these incidents, now.
fn said(incidents: &str) -> String {
    let incidents: Vec<String> = incidents.split(',').map(str::to_owned).collect();
    format!("{RESTORED}={}", annotation::restored(&incidents, &later()))
}

#[test]
fn restoring_takes_the_verb_restore_and_says_so_whatever_other_verbs_there_are() {
    let thing = &Thing::new("AmazonConnection", "restore");
    let too_early = later();
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    let out = &format!("{DISABLE}-")[..];
    for user in [WRITER, RESPONDER, ADMIN] {
        thing.annotates_not(user, &[out, &said("inc-7")], NEEDS_RESTORE);
    }
    // All verbs are not enough: what Git holds, or what a controller takes out, restores nothing.
    thing.annotates_not(RESTORER, &[out], SAY_SO);
    for said in [
        "",
        "inc-7",
        "inc-7/now",
        "inc-7/",
        "/2026-01-01T00:00:00Z",
        &annotation::restored(&["inc-8".to_owned()], &later()),
    ] {
        thing.annotates_not(GITOPS, &[out, &format!("{RESTORED}={said}")], SAY_SO);
    }
    thing.patches_not(GITOPS, &json!({ "metadata": { "annotations": null } }), SAY_SO);
    thing.patches_not(GITOPS, &json!([{ "op": "remove", "path": "/metadata/annotations" }]), SAY_SO);
    thing.gives_not(GITOPS, &["replace"], &thing.yaml(), SAY_SO);
    for other in ["inc-8", " "] {
        thing.annotates_not(GITOPS, &[&format!("{DISABLE}={other}")], SAY_SO);
    }

    // Applied again, by either way, Git leaves alone what it does not have.
    thing.gives(GITOPS, &["apply", "--server-side", "--force-conflicts"], &thing.yaml());
    thing.gives(GITOPS, &["apply"], &thing.yaml());
    assert_eq!(incidents(thing), Some(json!("inc-7")));
    // Where a controller had it and has it no more, leaving it out takes it out.
    let manager = ["apply", "--server-side", "--force-conflicts", "--field-manager=git"];
    thing.gives(GITOPS, &manager, &thing.annotated(&json!({ DISABLE: "inc-7" })));
    let takes_over = ["apply", "--server-side", "--force-conflicts", "--field-manager=kubectl-annotate"];
    thing.gives(GITOPS, &takes_over, &thing.yaml());
    assert_eq!(incidents(thing), Some(json!("inc-7")));

    // One of two, then the other; each is named.
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7,inc-8")]);
    thing.annotates_not(RESTORER, &[&format!("{DISABLE}=inc-7"), &said("inc-7")], SAY_SO);
    let eight = said("inc-8");
    thing.annotates(RESTORER, &[&format!("{DISABLE}=inc-7"), &eight]);
    assert_eq!(incidents(thing), Some(json!("inc-7")));
    thing.annotates_not(RESTORER, &[out], SAY_SO);
    thing.annotates_not(RESTORER, &[out, &format!("{RESTORED}=inc-7/{too_early}")], SAY_SO);
    thing.annotates(RESTORER, &[out, &said("inc-7")]);
    assert_eq!(incidents(thing), None);

    // The same word does not restore again.
    let old = thing.read()["metadata"]["annotations"][RESTORED].clone();
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    thing.gives_not(GITOPS, &["replace"], &thing.annotated(&json!({ RESTORED: old })), SAY_SO);
    thing.annotates(GITOPS, &[out, &said("inc-7")]);
}

#[test]
fn only_who_restores_says_that_something_was_restored() {
    let thing = &Thing::new("AmazonConnection", "restored");
    for user in [WRITER, RESPONDER, ADMIN] {
        thing.annotates_not(user, &[&said("inc-7")], ONLY_WHO_RESTORES);
    }
    // Else a time far ahead, set in advance, would keep everybody from restoring.
    thing.gives_not(
        WRITER,
        &["apply", "--server-side"],
        &thing.annotated(&json!({ RESTORED: "inc-7/9999-01-01T00:00:00Z" })),
        ONLY_WHO_RESTORES,
    );
    for wrong in ["inc-7", "inc-7/1999-01-01T00:00:00Z", "inc-7/2026-13-01T00:00:00Z"] {
        thing.annotates_not(RESTORER, &[&format!("{RESTORED}={wrong}")], "INCIDENT/TIME");
    }
    // Accepted, it would make every later comparison of times fail, and so every restoration.
    thing.annotates_not(RESTORER, &[&format!("{RESTORED}=inc-7/2026-02-31T00:00:00Z")], "");
    thing.annotates(RESTORER, &[&said("inc-7")]);
    thing.annotates(WRITER, &[&format!("{RESTORED}-")]);
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    thing.annotates_not(RESTORER, &[&said("inc-7")], CHANGES_ONLY);
    thing.annotates(RESTORER, &[&format!("{DISABLE}-"), &said("inc-7")]);
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    thing.annotates_not(RESTORER, &[&format!("{RESTORED}-")], CHANGES_ONLY);
}

/// The policy in CEL and `crds::annotation::incidents` in Rust must name the same incidents, or one would hold what the
/// other does not.
#[test]
fn a_value_is_read_as_the_gateways_read_it() {
    let thing = &Thing::new("AmazonConnection", "reading");
    let values = [
        "",
        " ",
        ",",
        " , ",
        "a",
        "a,b",
        "a, b ,,c",
        "\u{a0}a\u{2003}",
        "a\tb",
        "a\nb",
        "team/a",
        "a/2026",
        "false",
        "unnamed",
        "é,É",
    ];
    let many = (0..80).map(|number| format!("{number:x}")).collect::<Vec<_>>().join(",");
    for value in values.iter().map(|&value| value.to_owned()).chain([many, "a,".repeat(512)]) {
        thing.patches(GITOPS, &json!({ "metadata": { "annotations": { DISABLE: value } } }));
        let meta = ObjectMeta { annotations: Some([(DISABLE.to_owned(), value)].into()), ..ObjectMeta::default() };
        let mut incidents = annotation::incidents(&meta).unwrap();
        incidents.dedup();
        let restores = |incidents: &[String]| {
            let said = annotation::restored(incidents, &later());
            json!({ "metadata": { "annotations": { DISABLE: null, RESTORED: said } } })
        };
        let (last, others) = incidents.split_last().unwrap();
        thing.patches_not(GITOPS, &restores(others), &format!("{}/TIME", last.replace('\n', " ")));
        thing.patches(GITOPS, &restores(&incidents));
    }
    let long = format!("{DISABLE}={}", "a".repeat(1025));
    thing.annotates_not(GITOPS, &[&long], "at most 1024 characters");
}

#[test]
fn what_was_contained_without_a_name_can_be_given_one() {
    let thing = &Thing::new("AmazonConnection", "naming");
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=")]);
    thing.annotates(RESPONDER, &[&format!("{DISABLE}=inc-7")]);
    thing.annotates_not(RESPONDER, &[&format!("{DISABLE}=inc-8")], NEEDS_RESTORE);
}
