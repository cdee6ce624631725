//! The Selling Partner API: which calls are answered at all.

use crate::world::{AFTER, BR, CA, DE, EU_HOST, MX, US, World, send, texts};
use jiff::{SignedDuration, Timestamp};
use openteam_amazon_emulator::{Authority, Clock, Emulator, Identity, Listeners, Region, Seed};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ORDERS: &str = "/orders/v0/orders";
const ORDERS_2026: &str = "/orders/2026-01-01/orders";
const ITEMS: &str = "/catalog/2022-04-01/items";
const PARTICIPATIONS: &str = "/sellers/v1/marketplaceParticipations";

#[tokio::test]
async fn a_call_needs_a_token_that_is_good() {
    let world = World::at(Clock::at(Timestamp::UNIX_EPOCH)).await;
    let missing = "Access token is missing in the request header.";
    let invalid = "The access token you provided is revoked, malformed or invalid.";
    let expired = "The access token you provided has expired.";

    let answer = send(world.get(PARTICIPATIONS)).await;
    assert_eq!(answer.refusal(), (403, "Unauthorized", missing));
    assert_eq!(answer.body["errors"][0]["message"], "Access to requested resource is denied.");
    assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    assert!(answer.header("x-amzn-requestid").is_some());
    assert_eq!(answer.header("x-amzn-ratelimit-limit"), None);

    let token = world.token(1).await;
    let bearer = send(world.get(PARTICIPATIONS).bearer_auth(&token)).await;
    assert_eq!(bearer.refusal(), (403, "Unauthorized", missing), "Authorization is not where Amazon looks");
    assert_eq!(world.call("", PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", missing));

    let refresh_token = world.seller(1).refresh_token.expose();
    for garbage in ["garbage", &token[..token.len() - 1], &format!("{token}A"), refresh_token] {
        assert_eq!(world.call(garbage, PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", invalid));
    }
    let twice = world.get(PARTICIPATIONS).header("x-amz-access-token", &token).header("x-amz-access-token", &token);
    assert_eq!(send(twice).await.refusal(), (403, "Unauthorized", invalid));

    world.emulator.clock().advance(SignedDuration::from_secs(3599));
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
    world.emulator.clock().advance(SignedDuration::from_secs(1));
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", expired));
    let renewed = world.token(1).await;
    assert_eq!(world.call(&renewed, PARTICIPATIONS, &[]).await.status, 200);
}

#[tokio::test]
async fn an_unknown_path_or_method_is_forbidden_not_missing() {
    let world = World::new().await;
    let token = world.token(1).await;
    for path in ["/", "/nothing", "/orders/v0/orders/1/address", "/fba/inventory/v1/summaries"] {
        let answer = world.call(&token, path, &[]).await;
        assert_eq!(answer.refusal(), (403, "Unauthorized", ""), "{path}");
        assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    }
    let url = format!("{}{PARTICIPATIONS}", world.emulator.https_url());
    let post = send(world.client.request(Method::POST, url).header("x-amz-access-token", &token)).await;
    assert_eq!(post.refusal(), (403, "Unauthorized", ""));
    assert_eq!(world.emulator.counters().answered("unknown", 403), 5);
}

#[tokio::test]
async fn marketplaces_are_read_in_every_form_but_one_spelling() {
    let world = World::new().await;
    let token = world.token(1).await;
    let found = async |query: &str| {
        let request = world.get(&format!("{ORDERS}?CreatedAfter=2020-01-01&{query}"));
        send(request.header("x-amz-access-token", &token)).await
    };
    for query in [
        format!("MarketplaceIds={US},{CA}"),
        format!("MarketplaceIds={US}%2C{CA}"),
        format!("MarketplaceIds={US}&MarketplaceIds={CA}"),
        format!("MarketplaceId={MX}&MarketplaceIds={US}&marketplace_ids={MX}&marketplaceIds={MX}&MarketplaceIds={CA}"),
    ] {
        let answer = found(&query).await;
        let mut ids = texts(&answer.body["payload"]["Orders"], "MarketplaceId");
        ids.dedup();
        assert_eq!(ids, [US, CA], "{query}");
        assert_eq!(world.emulator.calls().last().unwrap().marketplaces, [US, CA], "{query}");
    }
    for query in ["", "MarketplaceIds=", "MarketplaceIds=,", &format!("marketplaceIds={US}")] {
        let answer = found(query).await;
        assert_eq!(answer.refusal(), (400, "InvalidInput", ""), "{query}");
        assert_eq!(answer.header("x-amzn-ratelimit-limit"), Some("0.0167"));
    }
    let many = vec![US; 51].join(",");
    assert_eq!(found(&format!("MarketplaceIds={many}")).await.refusal(), (400, "InvalidInput", ""));
}

#[tokio::test]
async fn a_marketplace_of_another_region_or_not_taken_part_in_is_forbidden() {
    let world = World::new().await;
    let token = world.token(1).await;
    let other = "The marketplaces you provided are not valid for region.";
    let both = format!("{US},{DE}");
    for (ids, details) in [(DE, other), (both.as_str(), other), ("A0UNKNOWN", other), (BR, "")] {
        let cases = [
            world.call(&token, ORDERS, &[AFTER, ("MarketplaceIds", ids)]).await,
            world.call(&token, ORDERS_2026, &[("createdAfter", "2020-01-01"), ("marketplaceIds", ids)]).await,
            world.call(&token, &format!("{ITEMS}/B0US001001"), &[("marketplaceIds", ids)]).await,
        ];
        for answer in cases {
            assert_eq!(answer.refusal(), (403, "Unauthorized", details), "{ids}");
        }
    }
    let foreign = world.call(&world.token(2).await, ORDERS, &[AFTER, ("MarketplaceIds", MX)]).await;
    assert_eq!(foreign.refusal(), (403, "Unauthorized", ""), "the first seller's marketplace");
}

#[tokio::test]
async fn a_token_works_only_on_its_regions_host() {
    let world = World::new().await;
    let call = async |seller: usize, host: &str, ids: &str| {
        let token = world.token(seller).await;
        let request = world.get(ORDERS).header("x-amz-access-token", token).header("host", host);
        send(request.query(&[AFTER, ("MarketplaceIds", ids)])).await
    };
    let na_host = "sellingpartnerapi-na.amazon.com";
    assert_eq!(call(3, EU_HOST, DE).await.status, 200);
    assert_eq!(call(3, "SellingPartnerAPI-EU.amazon.com:443", DE).await.status, 200);
    assert_eq!(call(1, na_host, US).await.status, 200);
    assert_eq!(call(1, "amazon.test", US).await.status, 200, "another name is served as NA here");
    assert_eq!(call(1, EU_HOST, DE).await.refusal(), (403, "Unauthorized", ""));
    assert_eq!(call(1, "sellingpartnerapi-fe.amazon.com", US).await.refusal(), (403, "Unauthorized", ""));
    assert_eq!(call(3, na_host, US).await.refusal(), (403, "Unauthorized", ""));
    assert_eq!(call(3, "localhost", DE).await.refusal(), (403, "Unauthorized", ""));
}

#[tokio::test]
async fn an_unknown_host_is_served_as_the_region_of_the_seed() {
    let world = World::serving(Region::EU, Clock::system()).await;
    assert_eq!(world.call(&world.token(3).await, PARTICIPATIONS, &[]).await.status, 200);
    let american = world.call(&world.token(1).await, PARTICIPATIONS, &[]).await;
    assert_eq!(american.refusal(), (403, "Unauthorized", ""));
}

#[tokio::test]
async fn a_request_out_of_form_is_refused_before_its_content() {
    let world = World::new().await;
    let token = world.token(1).await;
    let request = || world.get(PARTICIPATIONS).header("x-amz-access-token", &token);
    let twice = world.get("/orders/v0/orders/101%252D1").header("x-amz-access-token", &token);
    for wrong in [request().body("{}"), request().header("user-agent", "x".repeat(501)), twice] {
        assert_eq!(send(wrong).await.refusal(), (400, "InvalidInput", ""));
    }
    assert_eq!(send(request().header("user-agent", "x".repeat(500))).await.status, 200);
}

#[tokio::test]
async fn plain_http_answers_the_same_and_wants_one_host() {
    let authority = Authority::make(&["localhost".to_owned()]).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let identity = Identity::from_pem(&authority.certificate, &authority.key).unwrap();
    let on = Listeners { tls: any, identity, control: any, plain: Some(any) };
    let seed = Seed::made_up().unwrap();
    let emulator = Emulator::serve(seed.clone(), Clock::system(), on).await.unwrap();
    let url = emulator.plain_url().unwrap();

    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", seed.sellers[0].refresh_token.expose()),
        ("client_id", &seed.applications[0].client_id),
        ("client_secret", seed.applications[0].client_secret.expose()),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = send(client.post(format!("{url}/auth/o2/token")).form(&form)).await;
    let token = answer.body["access_token"].as_str().unwrap();

    for (hosts, status) in [("host: a\r\n", "200"), ("host: a\r\nhost: a\r\n", "400"), ("", "400")] {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        let request =
            format!("GET {PARTICIPATIONS} HTTP/1.1\r\n{hosts}x-amz-access-token: {token}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{hosts:?}");
    }
}
