//! Connecting sellers.

use amazon_emulator::Seller;
use openteam_end_to_end::{House, eventually, house};
use serde_json::{Value, json};

use crate::told;

/// Runs a scenario for a Team without a connection.
fn connects(house: &House, scenario: &str, name: &str, by_login: bool) {
    let (tenant, sellers) = house.newcomer(name, by_login);
    let mut told = told(&tenant);
    let ids: Vec<&String> = sellers.iter().map(|Seller { seller_id, .. }| seller_id).collect();
    told["sellers"] = json!(ids);
    house.browse(scenario, &told, |what, _| unreachable!("{what}"));
    eventually("all of it is in the journal", || {
        let journal: Vec<Value> = house.journal();
        let named = |record: &&Value| record["event"].to_string().contains(&format!("{name}/"));
        (journal.iter().filter(named).count() > 0).then_some(())
    });
}

#[test]
fn a_seller_is_connected_by_amazons_page_and_by_no_other_way_back() {
    connects(&house(), "connecting", "newcomer", false);
}

#[test]
fn the_way_by_the_log_in_uri_leads_there_too() {
    connects(&house(), "login-uri", "detour", true);
}
