//! How pages look, and who can use them.

use openteam_end_to_end::house;
use serde_json::Value;

use crate::told;

#[test]
fn every_page_can_be_read_on_every_screen() {
    let house = house();
    let tenant = house.tenant("gallery");
    drop(tenant.runtime_token("nightly-report"));
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
