//! Reaching for what is another's.

use openteam_end_to_end::{US, house};

use crate::{orders, refused};

#[test]
fn a_strangers_connection_is_not_found_by_any_name_for_it() {
    let house = house();
    let (ours, theirs) = (house.tenant("burglar"), house.tenant("victim"));
    let token = ours.agent_token();
    for gateway in house.gateways() {
        for name in
            ["victim/victim-na", "victim-na", "victim/burglar-na", "../victim/victim-na", "*", "", "victim/", "/"]
        {
            let answer = gateway.call(&token).on(name).orders(US);
            answer.is_refused(404, "ConnectionNotFound");
        }
        let exchanged = gateway.exchange(&format!("victim/{}~{token}", theirs.connection));
        assert_eq!((exchanged.status, exchanged.json()["error"].as_str()), (400, Some("invalid_grant")));
        // Nor is there a word of it in what one may see.
        let listed = gateway.call(&token).get("/openteam/v1/connections");
        assert!(!listed.text.contains("victim"), "{}", listed.text);
    }
}

#[test]
fn a_connection_is_named_once_and_not_another_than_the_token_is_for() {
    let house = house();
    let tenant = house.tenant("named");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let twice =
        format!("x-amz-access-token: {token}\r\nOpenTeam-Connection: named-na\r\nopenteam-connection: named-na\r\n");
    refused(&gateway.raw(orders(&gateway, "named", &twice).as_bytes()), 400, "BadRequest");
    let exchanged = gateway.exchange(&format!("named/{}~{token}", tenant.connection));
    let bound = exchanged.json()["access_token"].as_str().unwrap().to_owned();
    for other in ["victim/victim-na", "other", "other/named-na"] {
        gateway.call(&bound).on(other).orders(US).is_refused(400, "BadRequest");
    }
    assert_eq!(house.amazon().heard("mark=named"), []);
}
