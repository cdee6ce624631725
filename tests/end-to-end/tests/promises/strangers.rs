//! Promise 2: who is not vouched for gets nothing, and to others a connection does not exist.

use std::time::Duration;

use crds::{AgentGrant, AgentGrantSpec, LocalReference};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use openteam_end_to_end::{Answer, US, house, within};

/// Our own cache of the apiserver's answers and the apiserver's, 10 s each.
const CACHES: Duration = Duration::from_secs(20);

#[test]
fn promise_2_a_caller_whom_nobody_vouches_for_is_refused_in_amazons_words() {
    let house = house();
    let tenant = house.tenant("unknown");
    let token = tenant.agent_token();
    let runtime = tenant.runtime_token("good");
    let gateway = house.gateway(0);
    let invalid = |answer: &Answer| {
        answer.is_refused(403, "Unauthorized");
        assert_eq!(answer.message(), "Access to requested resource is denied.");
        assert_eq!(answer.details(), "The access token you provided is revoked, malformed or invalid.");
        assert_eq!(answer.headers["x-amzn-errortype"], "AccessDeniedException");
    };

    let missing = gateway.anonymous().orders(US);
    missing.is_refused(403, "Unauthorized");
    assert_eq!(missing.details(), "Access token is missing in the request header.");

    let wrong_audience = house.service_account_token("unknown", "agent", "another-service");
    let for_the_apiserver = house.service_account_token("unknown", "agent", "https://kubernetes.default.svc");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let with_last = |text: &str, last: char| format!("{}{last}", &text[..text.len() - 1]);
    let other_last = if runtime.ends_with('a') { 'b' } else { 'a' };
    let other_name = runtime.replacen("_good_", "_evil_", 1);
    for credential in [
        wrong_audience.as_str(),
        &for_the_apiserver,
        &unsigned,
        &with_last(&runtime, other_last),
        &other_name,
        "otga_AAAA",
        "a.b.c",
        "garbage",
    ] {
        invalid(&gateway.call(credential).orders(US));
        let exchanged = gateway.exchange(&format!("unknown/unknown-na~{credential}"));
        assert_eq!((exchanged.status, exchanged.json()["error"].as_str()), (400, Some("invalid_grant")));
    }
}

#[test]
fn promise_2_anothers_connection_looks_like_one_that_does_not_exist() {
    let house = house();
    let (ours, theirs) = (house.tenant("ours"), house.tenant("theirs"));
    let token = ours.agent_token();
    let gateway = house.gateway(0);
    let refused = |name: &str| {
        let answer = gateway.call(&token).on(name).orders(US);
        answer.is_refused(404, "ConnectionNotFound");
        answer.text.replace(name, "NAME")
    };
    let absent = refused("theirs/no-such");
    assert_eq!(refused("theirs/theirs-na"), absent);
    assert_eq!(refused("no-such/theirs-na"), absent);

    // A grant in one's own namespace reaches no connection of another one.
    let scope = crds::Scope { connections: vec![theirs.connection.clone()], ..ours.scope() };
    ours.grant("agent", &scope);
    within(Duration::from_secs(5), "the grant is empty", || {
        (gateway.call(&token).orders(US).code() == "ConnectionNotFound").then_some(())
    });
    assert_eq!(refused("theirs/theirs-na"), absent);
    let exchanged = |connection: &str| gateway.exchange(&format!("{connection}~{token}")).json()["error"].clone();
    assert_eq!(exchanged("theirs/theirs-na"), "invalid_grant");
    assert_eq!(exchanged("theirs/no-such"), "invalid_grant");
    let listed = gateway.call(&token).get("/openteam/v1/connections").json();
    assert_eq!(listed["connections"].as_array().unwrap().len(), 0, "{listed}");
}

#[test]
fn promise_2_a_grant_reaches_only_its_own_teams_connections() {
    let house = house();
    let tenant = house.tenant("two-teams");
    let mut team = crds::Team::new("others", crds::TeamSpec::default());
    team.metadata.namespace = Some("two-teams".to_owned());
    house.apply(&team);
    tenant.add_agent("other");
    let spec = AgentGrantSpec {
        team_ref: LocalReference::to("others"),
        service_account: LocalReference::to("other"),
        scope: tenant.scope(),
    };
    let mut grant = AgentGrant::new("other", spec);
    grant.metadata.namespace = Some("two-teams".to_owned());
    house.apply(&grant);
    let token = house.service_account_token("two-teams", "other", "openteam-gateway");
    for gateway in house.gateways() {
        // Served by no gateway, before and after it knows the grant.
        for _ in 0..20 {
            gateway.call(&token).orders(US).is_refused(404, "ConnectionNotFound");
        }
    }
}

#[test]
fn promise_2_a_deleted_service_account_is_refused_once_the_caches_forget_it() {
    let house = house();
    let tenant = house.tenant("leaver");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    house.delete::<ServiceAccount>("leaver", "agent");
    let (answer, _) = within(CACHES, "the deleted account is refused", || {
        Some(gateway.call(&token).orders(US)).filter(|answer| answer.status != 200)
    });
    answer.is_refused(403, "Unauthorized");
}

#[test]
fn promise_2_a_deleted_pods_token_is_refused_once_the_caches_forget_it() {
    let house = house();
    let tenant = house.tenant("fired");
    let token = house.token_of_a_pod("fired", "agent", "worker", "openteam-gateway");
    let bound = house.gateway(0).exchange(&format!("fired/{}~{token}", tenant.connection));
    let bound = bound.json()["access_token"].as_str().unwrap().to_owned();
    let gateway = house.gateway(1);
    for credential in [&token, &bound] {
        gateway.call(credential).orders(US).is_served();
    }
    house.delete::<Pod>("fired", "worker");
    let (answers, _) = within(CACHES, "the deleted pod's token is refused, and what was got for it", || {
        let answers = [&token, &bound].map(|credential| gateway.call(credential).orders(US));
        answers.iter().all(|answer| answer.status != 200).then_some(answers)
    });
    for answer in answers {
        answer.is_refused(403, "Unauthorized");
        assert_eq!(answer.details(), "The access token you provided is revoked, malformed or invalid.");
    }
}
