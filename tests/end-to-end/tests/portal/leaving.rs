//! Who is taken out of a Team.

use crds::{AmazonApplication, PortalUser, Team, annotation};
use kube::Api;
use openteam_end_to_end::{NAMESPACE, house};
use serde_json::{Value, json};

use crate::told;

#[test]
fn who_leaves_sees_nothing_any_more_from_then_on() {
    let house = house();
    let tenant = house.tenant("exit");
    let all = house.read::<Team>(&tenant.name, &tenant.name).spec.members;
    // One that is looked at for as long as Amazon does not answer.
    let nowhere = json!({ "spec": { "endpoints": { "lwa": "https://localhost:1" } } });
    house.patch::<AmazonApplication>(&tenant.name, "amazon", &nowhere);
    let waiting = format!("{}-waiting", tenant.name);
    let _number = tenant.add_connection_of_another_seller(&waiting);
    let mut told = told(&tenant);
    told["connection"] = json!(waiting);
    house.browse("leaving", &told, |what, details| {
        let member = details["member"].as_str().unwrap();
        let set = |members: &[crds::Member]| {
            house.patch::<Team>(&tenant.name, &tenant.name, &json!({ "spec": { "members": members } }));
        };
        match what {
            "take out" => {
                let others: Vec<_> = all.iter().filter(|one| one.email != member).cloned().collect();
                assert_eq!(others.len() + 1, all.len());
                set(&others);
            }
            "put in" => set(&all),
            "contain person" => {
                let users: Api<PortalUser> = Api::namespaced(house.client().clone(), NAMESPACE);
                let users = house.block_on(users.list(&kube::api::ListParams::default())).unwrap();
                let user = users.items.iter().find(|user| user.spec.email == member).unwrap();
                let disabled = json!({ "metadata": { "annotations": { annotation::DISABLE: "inc-exit" } } });
                house.patch::<PortalUser>(NAMESPACE, user.metadata.name.as_deref().unwrap(), &disabled);
            }
            other => unreachable!("{other}"),
        }
        Value::Bool(true)
    });
}
