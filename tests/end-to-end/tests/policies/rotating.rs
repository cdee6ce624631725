//! Rotating takes a verb of its own, and renewing only that one may update.

use serde_json::json;

use crate::place::{ADMIN, GITOPS, RESPONDER, RESTORER, ROTATOR, Thing, VIEWER, WRITER, each_kind};

const MAY_NOT: &str = "may not rotate";

fn can_be_rotated(thing: &Thing) -> bool {
    ["Team", "AmazonApplication", "AmazonConnection"].contains(&thing.kind)
}

#[test]
fn rotating_takes_the_verb_and_who_contains_has_it_not() {
    each_kind("rotating", |thing| {
        if !can_be_rotated(thing) {
            return;
        }
        for user in [WRITER, ADMIN, RESPONDER, RESTORER] {
            thing.annotates_not(user, &["openteam.dev/rotate=1"], MAY_NOT);
        }
        let patch = json!({ "metadata": { "annotations": { "openteam.dev/rotate": "1" } } });
        thing.patches_not(WRITER, &patch, MAY_NOT);
        let annotated = thing.annotated(&json!({ "openteam.dev/rotate": "1" }));
        for words in [&["apply"][..], &["apply", "--server-side", "--force-conflicts"], &["replace"]] {
            thing.gives_not(WRITER, words, &annotated, MAY_NOT);
        }
        thing.annotates(ROTATOR, &["openteam.dev/rotate=1"]);
        thing.annotates_not(RESPONDER, &["openteam.dev/rotate=2"], MAY_NOT);
        thing.annotates_not(RESPONDER, &["openteam.dev/rotate-"], MAY_NOT);
        thing.annotates(GITOPS, &["openteam.dev/rotate=2"]);
        // What Git has is applied with it gone or as it is.
        thing.gives(WRITER, &["replace"], &thing.yaml());
        thing.annotates(ROTATOR, &["openteam.dev/rotate=3"]);
        thing.annotates(WRITER, &["example.com/note=x"]);
        // Contained, it is rotated all the same; by the rotator nothing else is changed.
        thing.annotates(RESPONDER, &["openteam.dev/disable=inc-7"]);
        thing.annotates(ROTATOR, &["openteam.dev/rotate=4"]);
        thing.annotates_not(ROTATOR, &["openteam.dev/disable-"], "may not restore");
        thing.annotates_not(ROTATOR, &["openteam.dev/disable=inc-7,inc-8"], "may not contain");
        thing.annotates_not(ROTATOR, &["example.com/note=y"], "may change nothing but");
    });
}

#[test]
fn a_rotation_with_creation_takes_the_verb_too() {
    let thing = Thing::new("AmazonConnection", "rotated-from-the-start");
    let mut another = thing.annotated(&json!({ "openteam.dev/rotate": "1" }));
    another["metadata"]["name"] = json!("another");
    thing.gives_not(WRITER, &["create"], &another, MAY_NOT);
    thing.gives(GITOPS, &["create"], &another);
}

#[test]
fn a_value_that_acts_once_is_short_and_says_something() {
    let thing = Thing::new("AmazonConnection", "rotate-values");
    let long = "x".repeat(129);
    for key in ["openteam.dev/rotate", "openteam.dev/renew"] {
        for value in ["", " ", &long] {
            thing.annotates_not(GITOPS, &[&format!("{key}={value}")], "each new value acts once");
        }
        thing.annotates(GITOPS, &[&format!("{key}={}", &long[..128])]);
    }
}

#[test]
fn who_may_update_may_ask_for_a_renewal() {
    let thing = Thing::new("AmazonConnection", "renewing");
    thing.annotates(WRITER, &["openteam.dev/renew=1"]);
    thing.annotates(ADMIN, &["openteam.dev/renew=2"]);
    thing.annotates_not(RESPONDER, &["openteam.dev/renew=3"], "may change nothing but");
    thing.annotates_not(ROTATOR, &["openteam.dev/renew=3"], "may change nothing but");
    let asked = thing.read();
    assert_eq!(asked["metadata"]["annotations"]["openteam.dev/renew"], "2");
    let viewed =
        crate::place::place().ask(VIEWER, &["annotate", &thing.object, "-n", "renewing", "openteam.dev/renew=4"], None);
    assert!(viewed.is_err(), "{viewed:?}");
}
