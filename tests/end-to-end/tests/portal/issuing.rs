//! Runtime tokens.

use openteam_end_to_end::{US, eventually, house};
use serde_json::Value;

use crate::{snippets::Machine, told};

#[test]
fn a_token_is_shown_once_works_as_the_page_says_and_is_revoked() {
    let house = house();
    let tenant = house.tenant("counter");
    house.browse("issuing", &told(&tenant), |what, details| {
        let token = details["token"].as_str().unwrap();
        house.plant("RuntimeToken of the portal", &token[token.len() - 50..token.len() - 7]);
        match what {
            "snippets" => Machine::new(&tenant).runs(&details["snippets"]),
            "use" => {
                eventually("it is served", || (house.gateway(1).call(token).orders(US).status == 200).then_some(()));
                Value::Null
            }
            "refused" => {
                for gateway in house.gateways() {
                    eventually("it is refused", || {
                        (gateway.call(token).orders(US).code() == "Unauthorized").then_some(())
                    });
                }
                Value::Bool(true)
            }
            other => unreachable!("{other}"),
        }
    });
}
