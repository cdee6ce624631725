//! How pages look, and who can use them.

use crds::{AmazonConnection, Team};
use openteam_end_to_end::house;
use serde_json::{Value, json};

use crate::told;

#[test]
fn every_page_can_be_read_on_every_screen() {
    let house = house();
    let tenant = house.tenant("gallery");
    drop(tenant.runtime_token("nightly-report"));
    // As people would call them: three of the pictures are in the README.
    house.patch::<Team>(&tenant.name, &tenant.name, &json!({ "spec": { "displayName": "Acme" } }));
    let called = json!({ "spec": { "displayName": "Acme, North America" } });
    house.patch::<AmazonConnection>(&tenant.name, &tenant.connection, &called);
    house.browse("looking", &told(&tenant), |what, _| unreachable!("{what}"));
}

#[test]
fn neither_scripts_nor_a_mouse_are_needed() {
    let house = house();
    let tenant = house.tenant("simple");
    house.browse("without", &told(&tenant), |what, details| {
        assert_eq!(what, "plant");
        let token = details["token"].as_str().unwrap();
        house.plant("RuntimeToken of the portal", &token[token.len() - 50..token.len() - 7]);
        Value::Null
    });
}
