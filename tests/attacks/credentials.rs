//! Several credentials, somebody else's, and none at all.

use cluster::ControlPlane;
use openteam_end_to_end::{US, house};

use crate::{orders, refused};

#[test]
fn a_request_with_two_credentials_is_refused_however_they_are_sent() {
    let house = house();
    let tenant = house.tenant("twice");
    let (agent, runtime) = (tenant.agent_token(), tenant.runtime_token("nightly"));
    let gateway = house.gateway(0);
    let headers = [
        format!("Authorization: Bearer {agent}\r\nx-amz-access-token: {runtime}\r\n"),
        format!("Authorization: Bearer {agent}\r\nx-amz-access-token: {agent}\r\n"),
        format!("x-amz-access-token: {agent}\r\nX-Amz-Access-Token: {agent}\r\n"),
        format!("Authorization: Bearer {agent}\r\nauthorization: Bearer {runtime}\r\n"),
        format!("x-amz-access-token: {agent}\r\nx-amz-access-token: \r\n"),
        format!("x-amz-access-token: {agent}\r\nAuthorization: Basic eDp5\r\n"),
    ];
    for headers in headers {
        refused(&gateway.raw(orders(&gateway, "twice", &headers).as_bytes()), 400, "BadRequest");
    }
    assert_eq!(house.amazon().heard("mark=twice"), []);
}

#[test]
fn an_old_signature_is_dropped_and_never_taken_for_a_credential() {
    let house = house();
    let tenant = house.tenant("signature");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let signature =
        "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/execute-api/aws4_request, Signature=0\r\n";
    let both = format!("{signature}x-amz-access-token: {token}\r\n");
    let answer = gateway.raw(orders(&gateway, "signed", &both).as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.text);
    let heard = house.amazon().heard("mark=signed");
    assert_eq!(heard.len(), 1);
    assert!(heard[0].all("authorization").is_empty(), "{:?}", heard[0]);
    refused(&gateway.raw(orders(&gateway, "unsigned", signature).as_bytes()), 403, "Unauthorized");
    assert_eq!(house.amazon().heard("mark=unsigned"), []);
}

#[test]
fn another_clusters_token_opens_nothing() {
    let house = house();
    let tenant = house.tenant("foreign");
    // Same namespace, same ServiceAccount, same issuer's name, same audience: only the key is another.
    let other = ControlPlane::start().unwrap();
    let kubectl = other.client();
    kubectl.run(&["create", "namespace", "foreign"]).unwrap();
    kubectl.run(&["create", "serviceaccount", "agent", "--namespace=foreign"]).unwrap();
    let token =
        kubectl.run(&["create", "token", "agent", "--namespace=foreign", "--audience=openteam-gateway"]).unwrap();
    let gateway = house.gateway(0);
    gateway.call(token.trim()).orders(US).is_refused(403, "Unauthorized");
    let exchanged = gateway.exchange(&format!("foreign/{}~{}", tenant.connection, token.trim()));
    assert_eq!((exchanged.status, exchanged.json()["error"].as_str()), (400, Some("invalid_grant")));
}

#[test]
fn a_changed_exchanged_token_opens_nothing() {
    let house = house();
    let tenant = house.tenant("changed");
    let gateway = house.gateway(0);
    let exchanged = gateway.exchange(&format!("changed/{}~{}", tenant.connection, tenant.agent_token()));
    let token = exchanged.json()["access_token"].as_str().unwrap().to_owned();
    gateway.call(&token).orders(US).is_served();
    for at in [5, 20, 40, token.len() / 2, token.len() - 1] {
        let mut changed = token.clone();
        let other = if &changed[at..=at] == "B" { "C" } else { "B" };
        changed.replace_range(at..=at, other);
        gateway.call(&changed).orders(US).is_refused(403, "Unauthorized");
    }
    // The token inside is checked anew: the envelope alone is worth nothing.
    house.delete::<crds::AgentGrant>("changed", "agent");
    openteam_end_to_end::eventually("the grant is gone", || {
        (gateway.call(&token).orders(US).code() == "ConnectionNotFound").then_some(())
    });
}

#[test]
fn a_token_request_says_everything_once() {
    let house = house();
    let tenant = house.tenant("form");
    let gateway = house.gateway(1);
    let good = format!("form/{}~{}", tenant.connection, tenant.agent_token());
    let post = |kind: &str, body: &str| {
        let head = format!(
            "POST /AUTH/o2/Token HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            gateway.host(),
            body.len()
        );
        gateway.raw(format!("{head}{body}").as_bytes())
    };
    let form = "application/x-www-form-urlencoded";
    let ok = format!("grant_type=refresh_token&refresh_token={good}");
    assert_eq!(post(form, &ok).status(), 200);
    let json = format!("{{\"grant_type\":\"refresh_token\",\"refresh_token\":\"{good}\"}}");
    assert_eq!(post("application/json", &json).status(), 200);
    let repeated_json = json.replace('}', &format!(",\"refresh_token\":\"{good}\"}}"));
    for (kind, body, error) in [
        (form, format!("{ok}&refresh_token={good}"), "invalid_request"),
        (form, format!("{ok}&grant_type=refresh_token"), "invalid_request"),
        (form, format!("grant_type=authorization_code&code={good}"), "unsupported_grant_type"),
        (form, format!("grant_type=client_credentials&scope=x&refresh_token={good}"), "unsupported_grant_type"),
        (form, format!("refresh_token={good}"), "invalid_request"),
        (form, "grant_type=refresh_token".to_owned(), "invalid_request"),
        (form, "grant_type=refresh_token&refresh_token=form/../first~x".to_owned(), "invalid_grant"),
        ("application/json", repeated_json, "invalid_request"),
        ("application/json", "[]".to_owned(), "invalid_request"),
        ("application/json", "{\"grant_type\":".to_owned(), "invalid_request"),
    ] {
        let answer = post(kind, &body);
        assert_eq!(answer.status(), 400, "{body}: {}", answer.text);
        assert!(answer.text.contains(&format!("\"error\":\"{error}\"")), "{}", answer.text);
        assert!(!answer.text.contains(&good), "a refusal repeats no token: {}", answer.text);
    }
    // A reset may overtake the refusal of what was not read to its end.
    let long = post(form, &format!("{ok}{}", "x".repeat(40_000)));
    assert!(long.statuses().iter().all(|status| *status == 400), "{}", long.text);
}
