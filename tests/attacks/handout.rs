//! Reaching for Amazon's own token where it is handed out (`access: Credential`), which nobody can take back.

use crds::{Access, AgentGrant, AmazonApplication, AmazonConnection, Scope};
use openteam_end_to_end::{House, Tenant, US, alone, eventually, house};
use serde_json::json;

/// A tenant whose connection hands out its token; its agent's scope is the whole connection.
fn generous<'h>(house: &'h House, name: &str) -> Tenant<'h> {
    let tenant = house.tenant(name);
    open(house, &tenant);
    tenant.grant("agent", &whole(&tenant));
    tenant
}

fn open(house: &House, tenant: &Tenant<'_>) {
    let access = json!({ "spec": { "access": "Credential" } });
    house.patch::<AmazonApplication>(&tenant.name, "amazon", &access);
    house.patch::<AmazonConnection>(&tenant.name, &tenant.connection, &access);
}

fn whole(tenant: &Tenant<'_>) -> Scope {
    Scope { access: Access::Credential, ..tenant.scope() }
}

fn path(tenant: &Tenant<'_>) -> String {
    format!("/openteam/v1/connections/{}/{}/credential", tenant.name, tenant.connection)
}

fn exposed_until(house: &House, tenant: &Tenant<'_>) -> Option<jiff::Timestamp> {
    let connection: AmazonConnection = house.read(&tenant.name, &tenant.connection);
    connection.status?.exposed_until.map(|until| until.0)
}

#[test]
fn a_token_is_handed_out_only_after_it_is_recorded_and_shown_and_containing_does_not_hide_that() {
    let house = house();
    let tenant = generous(&house, "handout");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let answer = eventually("the grant is known", || {
        let answer = gateway.call(&token).get(&path(&tenant));
        (answer.status == 200).then_some(answer)
    });
    let given = answer.json();
    assert!(given["accessToken"].as_str().unwrap().starts_with("Atza|"), "Amazon's own");
    assert!(given["cost"].as_str().unwrap().contains("does not end it"), "the cost is said with it");
    assert_eq!(answer.headers["cache-control"], "no-store");
    // Told until at least as long as Amazon honours it.
    let left = given["expiresIn"].as_i64().unwrap();
    assert!(left > 3000, "{left}");
    let shown = exposed_until(&house, &tenant).expect("it is shown before it is given");
    assert!(shown >= given["expiresAt"].as_str().unwrap().parse().unwrap());
    assert!(shown.as_second() >= jiff::Timestamp::now().as_second() + left - 60);
    // Whoever lists the connections is told what it costs.
    let listed = gateway.call(&token).get("/openteam/v1/connections").json();
    assert_eq!(listed["connections"][0]["access"], "Credential");
    assert!(listed["connections"][0]["credential"]["cost"].as_str().unwrap().contains("an hour"));

    house.disable::<AmazonConnection>("handout", &tenant.connection, "inc-handout");
    eventually("contained, nobody gets it any more", || {
        let answer = gateway.call(&token).get(&path(&tenant));
        (answer.code() == "Contained").then_some(())
    });
    assert_eq!(exposed_until(&house, &tenant), Some(shown), "what is out there stays visible");
    let recorded = eventually("it is recorded with its end", || {
        let handed = |one: &serde_json::Value| {
            one["event"]["api"]["operation"] == "openteam/v1/handOutCredential"
                && one.to_string().contains("handout-na")
        };
        let found: Vec<_> = house.journal().into_iter().filter(handed).collect();
        found.iter().any(|one| one.to_string().contains(&shown.as_millisecond().to_string())).then_some(found)
    });
    let text = serde_json::to_string(&recorded).unwrap();
    assert!(!text.contains(given["accessToken"].as_str().unwrap()), "the token itself is nowhere");
}

#[test]
fn what_cannot_be_recorded_or_shown_is_not_handed_out() {
    let house = alone();
    let tenant = generous(&house, "unshown");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    eventually("it is given", || (gateway.call(&token).get(&path(&tenant)).status == 200).then_some(()));
    let refused = |code: &str| {
        let answer = eventually(code, || {
            let answer = gateway.call(&token).get(&path(&tenant));
            (answer.status == 503 && answer.code() == code).then_some(answer)
        });
        assert!(!answer.text.contains("Atza"), "{}", answer.text);
    };
    // A status that the gateway may not write: what was told so far is taken away, so that there is something to write.
    let rights = house.kubectl().run(&["get", "clusterrole", "openteam-gateway", "--output=json"]).unwrap();
    let mut without: serde_json::Value = serde_json::from_str(&rights).unwrap();
    let keeps = |rule: &serde_json::Value| !rule["resources"].to_string().contains("amazonconnections/status");
    let rules = without["rules"].as_array().unwrap().iter().filter(|rule| keeps(rule)).cloned().collect();
    without["rules"] = serde_json::Value::Array(rules);
    let patch = json!({ "rules": without["rules"] }).to_string();
    house.kubectl().run(&["patch", "clusterrole", "openteam-gateway", "--type=merge", "--patch", &patch]).unwrap();
    let untold = json!({ "status": { "exposedUntil": null } }).to_string();
    let connection = ["amazonconnection", &tenant.connection, "--namespace=unshown", "--subresource=status"];
    let words = [&["patch"], &connection[..], &["--type=merge", "--patch", &untold]].concat();
    house.kubectl().run(&words).unwrap();
    refused("ExposureNotWritten");
    let original: serde_json::Value = serde_json::from_str(&rights).unwrap();
    let patch = json!({ "rules": original["rules"] }).to_string();
    house.kubectl().run(&["patch", "clusterrole", "openteam-gateway", "--type=merge", "--patch", &patch]).unwrap();
    eventually("it is given again", || (gateway.call(&token).get(&path(&tenant)).status == 200).then_some(()));

    house.stop("openteam-recorder-0");
    refused("NotRecorded");
    house.restart("openteam-recorder-0");
    eventually("and again", || (gateway.call(&token).get(&path(&tenant)).status == 200).then_some(()));
}

#[test]
fn whoever_holds_less_than_the_whole_connection_gets_no_token_of_amazons() {
    let house = house();
    let tenant = generous(&house, "miser");
    let token = tenant.agent_token();
    let gateway = house.gateway(1);
    let refused = |code: &str, why: &str| {
        eventually(&format!("{code}: {why}"), || {
            let answer = gateway.call(&token).get(&path(&tenant));
            (answer.status == 403 && answer.code() == code && answer.message().contains(why)).then_some(())
        });
    };
    let narrower = [
        ("lacks marketplace", Scope { marketplace_ids: vec![US.to_owned()], ..whole(&tenant) }),
        ("lacks operation", Scope { access: Access::Credential, ..tenant.scope_allowing(&["searchOrders"]) }),
        ("AgentGrant miser/agent does not have", tenant.scope()),
    ];
    for (why, scope) in narrower {
        tenant.grant("agent", &scope);
        refused("CredentialNotGiven", why);
    }
    // Personal data are restricted: a connection that allows them is wider than a scope that does not.
    tenant.grant("agent", &whole(&tenant));
    let operations = json!({ "spec": { "operations": { "allow": ["read", "restricted"] } } });
    house.patch::<AmazonConnection>("miser", &tenant.connection, &operations);
    refused("CredentialNotGiven", "AgentGrant miser/agent is narrower");
    let proxy = json!({ "spec": { "access": "Proxy", "operations": null } });
    house.patch::<AmazonConnection>("miser", &tenant.connection, &proxy);
    refused("CredentialNotGiven", "AmazonConnection miser/miser-na does not have");
    open(&house, &tenant);
    house.patch::<AmazonApplication>("miser", "amazon", &json!({ "spec": { "access": "Proxy" } }));
    refused("CredentialNotGiven", "AmazonApplication miser/amazon does not have");
    open(&house, &tenant);
    eventually("whole again", || (gateway.call(&token).get(&path(&tenant)).status == 200).then_some(()));
    house.disable::<AgentGrant>("miser", "agent", "inc-miser");
    refused("Contained", "");
}

#[test]
fn a_strangers_credential_is_not_found_by_any_path_for_it() {
    let house = house();
    let (victim, stranger) = (generous(&house, "generous"), generous(&house, "thief"));
    let token = stranger.agent_token();
    let own = path(&stranger);
    let gateway = house.gateway(0);
    eventually("its own is given", || (gateway.call(&token).get(&own).status == 200).then_some(()));
    for name in [
        "generous/generous-na",
        "thief/generous-na",
        "generous/thief-na",
        "thief/none",
        "thief/../generous/generous-na",
        "thief%2fthief-na",
        "thief/thief-na/",
        "/thief/thief-na",
        "THIEF/thief-na",
        "thief",
        "*/*",
    ] {
        let answer = gateway.call(&token).get(&format!("/openteam/v1/connections/{name}/credential"));
        assert!(answer.status == 404 || answer.status == 403, "{name}: {}", answer.text);
        assert!(!answer.text.contains("Atza"), "{name}: {}", answer.text);
        if !name.contains("..") {
            answer.is_refused(404, "ConnectionNotFound");
        }
    }
    assert_eq!(exposed_until(&house, &victim), None);
    // Nobody at all, and a token that passes through SDKs.
    gateway.anonymous().get(&own).is_refused(403, "Unauthorized");
    let exchanged = gateway.exchange(&format!("thief/{}~{token}", stranger.connection));
    let bound = exchanged.json()["access_token"].as_str().unwrap().to_owned();
    gateway.call(&bound).orders(US).is_served();
    gateway.call(&bound).get(&own).is_refused(400, "BadRequest");
    // One that is not for this connection, nor anything but a GET.
    let post = format!(
        "POST {own} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\nx-amz-access-token: {token}\r\n\r\n",
        gateway.host()
    );
    crate::refused(&gateway.raw(post.as_bytes()), 400, "BadRequest");
}
