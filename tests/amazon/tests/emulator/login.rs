//! Login with Amazon.

use crate::world::{Answer, World, send};
use std::collections::HashMap;

fn error(answer: &Answer) -> (u16, &str, &str) {
    let text = |name: &str| answer.body[name].as_str().expect("LWA errors have both texts");
    (answer.status.as_u16(), text("error"), text("error_description"))
}

#[tokio::test]
async fn a_refresh_is_granted_as_form_or_json_under_any_spelling_of_the_path() {
    let world = World::new().await;
    let form = world.refresh(1).await;
    assert_eq!(form.status, 200);
    assert_eq!(form.body["token_type"], "bearer");
    assert_eq!(form.body["expires_in"], 3600);
    assert_eq!(form.body["refresh_token"], world.seller(1).refresh_token.expose(), "the refresh token stays");
    let token = form.body["access_token"].as_str().unwrap();
    assert!(token.starts_with(&format!("{}|", "Atza")) && (350..=2048).contains(&token.len()));
    assert_eq!(form.header("cache-control"), Some("no-store"));
    assert_eq!(form.header("pragma"), Some("no-cache"));
    assert!(form.header("x-amzn-requestid").is_some());

    let map: HashMap<_, _> = world.refresh_parameters(1).into_iter().collect();
    let json = send(world.login().json(&map)).await;
    assert_eq!(json.status, 200);
    assert_ne!(json.body["access_token"], form.body["access_token"]);

    let url = format!("{}/auth/O2/Token", world.emulator.https_url());
    let spelled = send(world.client.post(url).form(&map)).await;
    assert_eq!(spelled.status, 200);

    // The official JavaScript client does not encode.
    let raw: Vec<_> = map.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let body = raw.join("&");
    assert!(body.contains('|'));
    let raw = send(world.login().header("content-type", "application/x-www-form-urlencoded").body(body)).await;
    assert_eq!(raw.status, 200);
}

#[tokio::test]
async fn every_wrong_request_gets_its_error() {
    let world = World::new().await;
    let missing = |name| format!("The request is missing a required parameter : {name}");
    let grant = "The request has an invalid grant parameter : refresh_token. User may have revoked or didn't grant the \
                 permission.";
    let unsupported = "The authorization grant type is not supported by the authorization server";
    let elsewhere = world.refresh_parameters(3);
    let cases = [
        ("grant_type", None, (400, "invalid_request", missing("grant_type"))),
        ("refresh_token", None, (400, "invalid_request", missing("refresh_token"))),
        ("client_id", None, (400, "invalid_request", missing("client_id"))),
        ("client_secret", None, (400, "invalid_request", missing("client_secret"))),
        ("refresh_token", Some(String::new()), (400, "invalid_request", missing("refresh_token"))),
        ("grant_type", Some("password".into()), (400, "unsupported_grant_type", unsupported.into())),
        ("grant_type", Some("client_credentials".into()), (400, "invalid_request", missing("scope"))),
        ("client_secret", Some("wrong".into()), (401, "invalid_client", "Client authentication failed".into())),
        ("client_id", Some("unknown".into()), (401, "invalid_client", "Client authentication failed".into())),
        ("client_id", Some(elsewhere[2].1.clone()), (401, "invalid_client", "Client authentication failed".into())),
        ("refresh_token", Some("unknown".into()), (400, "invalid_grant", grant.into())),
        ("refresh_token", Some(elsewhere[1].1.clone()), (400, "invalid_grant", grant.into())),
        ("scope", Some("any".into()), (400, "invalid_scope", "The request has an invalid scope".into())),
    ];
    for (name, value, (status, code, description)) in cases {
        let mut map: HashMap<_, _> = world.refresh_parameters(1).into_iter().collect();
        match value.clone() {
            Some(value) => map.insert(name, value),
            None => map.remove(name),
        };
        for answer in [send(world.login().form(&map)).await, send(world.login().json(&map)).await] {
            assert_eq!(error(&answer), (status, code, description.as_str()), "{name} {}", value.is_some());
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.body.get("request_id").is_some(), code == "invalid_grant");
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_an_invalid_request() {
    let world = World::new().await;
    let twice: Vec<_> = [world.refresh_parameters(1), vec![("client_id", "again".to_owned())]].concat();
    let json = |body: &str| world.login().header("content-type", "application/json").body(body.to_owned());
    let cases = [
        world.login().form(&twice),
        json("{"),
        json("[]"),
        json(r#"{"grant_type": 1}"#),
        world.login().body("x".repeat(65 * 1024)),
    ];
    for request in cases {
        let answer = send(request).await;
        assert_eq!(error(&answer), (400, "invalid_request", "The request is malformed"));
    }
}

#[tokio::test]
async fn the_token_endpoint_takes_post_only() {
    let world = World::new().await;
    let answer = send(world.get("/auth/o2/token")).await;
    assert_eq!(answer.status, 403);
    assert_eq!(world.emulator.counters().all("lwa"), 0);
}
