//! Containing by the portal.

use crds::{AmazonConnection, annotation};
use openteam_end_to_end::{US, eventually, house};
use serde_json::Value;

use crate::told;

#[test]
fn an_owner_contains_and_everybody_is_told() {
    let house = house();
    let tenant = house.tenant("alarm");
    let token = tenant.agent_token();
    house.browse("containing", &told(&tenant), |what, _| {
        match what {
            "contained" => {
                for gateway in house.gateways() {
                    eventually("it is refused", || {
                        (gateway.call(&token).orders(US).code() == "Contained").then_some(())
                    });
                }
            }
            "restore" => {
                house.restore::<AmazonConnection>(&tenant.name, &tenant.connection);
                let read: AmazonConnection = house.read(&tenant.name, &tenant.connection);
                assert_eq!(annotation::incidents(&read.metadata), None);
            }
            other => unreachable!("{other}"),
        }
        Value::Bool(true)
    });
}
