//! Faults on demand.

use crate::world::{AFTER, US, World, send};
use openteam_amazon_emulator::{Change, Fault, Grant, Secret, State, SwitchError};
use std::time::{Duration, Instant};

const PARTICIPATIONS: &str = "/sellers/v1/marketplaceParticipations";
const NAME: &str = "sellers/v1/getMarketplaceParticipations";

/// Tries until it is so; the test's runner ends it if that never happens.
async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_revoked_grant_kills_its_tokens_and_no_others() {
    let world = World::new().await;
    let (mine, theirs) = (world.token(1).await, world.token(2).await);
    let seller = world.seller(1).seller_id.clone();
    let state = world.emulator.switches().revoke(&seller).unwrap();
    assert!(state.revoked.contains(&seller));

    let refresh = world.refresh(1).await;
    assert_eq!((refresh.status.as_u16(), &refresh.body["error"]), (400, &"invalid_grant".into()));
    let dead = "The access token you provided is revoked, malformed or invalid.";
    assert_eq!(world.call(&mine, PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", dead));
    assert_eq!(world.call(&theirs, PARTICIPATIONS, &[]).await.status, 200);

    let grants = [(seller, Grant::Working)].into();
    world.emulator.switches().apply(Change { grants, ..Change::default() }).unwrap();
    let renewed = world.token(1).await;
    assert_eq!(world.call(&renewed, PARTICIPATIONS, &[]).await.status, 200);
    assert_eq!(world.call(&mine, PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", dead), "dead for good");
}

#[tokio::test]
async fn each_service_fails_on_its_own() {
    let world = World::new().await;
    let token = world.token(1).await;
    let switches = world.emulator.switches();
    let set = |lwa, selling_partner| {
        switches.apply(Change { lwa, selling_partner, ..Change::default() }).unwrap();
    };
    for (status, error) in [(500, "server_error"), (503, "temporarily_unavailable"), (502, "server_error")] {
        set(Some(Fault::Status(status)), None);
        let answer = world.refresh(1).await;
        assert_eq!((answer.status.as_u16(), answer.body["error"].as_str().unwrap()), (status, error));
        assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
    }
    for (fault, status) in [(Fault::Nonsense, 200), (Fault::Redirect, 307)] {
        set(Some(fault), None);
        let answer = world.login().form(&world.refresh_parameters(1)).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.json::<serde_json::Value>().await.is_err());
        assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
    }
    set(Some(Fault::None), None);
    for (status, code) in [(500, "InternalFailure"), (503, "ServiceUnavailable"), (429, "QuotaExceeded")] {
        set(None, Some(Fault::Status(status)));
        let answer = world.call(&token, PARTICIPATIONS, &[]).await;
        assert_eq!(answer.refusal(), (status, code, ""));
        assert!(answer.header("x-amzn-errortype").is_some());
        assert_eq!(answer.header("x-amzn-ratelimit-limit"), None);
        assert_eq!(world.refresh(1).await.status, 200);
    }
    set(None, Some(Fault::None));
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
    assert_eq!(world.emulator.counters().answered(NAME, 429), 1);
    assert_eq!(world.emulator.counters().answered("lwa", 502), 1);
}

#[tokio::test]
async fn a_throttled_seller_exceeds_its_quota_so_many_times() {
    let world = World::new().await;
    let (mine, theirs) = (world.token(1).await, world.token(2).await);
    let throttle = |calls| {
        let throttled = [(world.seller(1).seller_id.clone(), calls)].into();
        world.emulator.switches().apply(Change { throttled, ..Change::default() }).unwrap()
    };
    assert_eq!(throttle(2).throttled.len(), 1);
    for _ in 0..2 {
        let answer = world.call(&mine, PARTICIPATIONS, &[]).await;
        assert_eq!(answer.refusal(), (429, "QuotaExceeded", ""));
        assert_eq!(answer.header("x-amzn-errortype"), Some("QuotaExceededException"));
        assert_eq!(world.call(&theirs, PARTICIPATIONS, &[]).await.status, 200);
    }
    assert_eq!(world.call(&mine, PARTICIPATIONS, &[]).await.status, 200);
    throttle(1);
    assert_eq!(throttle(0), State::default());
    assert_eq!(world.call(&mine, PARTICIPATIONS, &[]).await.status, 200);
}

#[tokio::test]
async fn a_hanging_service_takes_the_call_and_never_answers() {
    let world = World::new().await;
    let token = world.token(1).await;
    let hang = Change { lwa: Some(Fault::Hang), selling_partner: Some(Fault::Hang), ..Change::default() };
    world.emulator.switches().apply(hang).unwrap();
    let call = tokio::spawn(world.get(PARTICIPATIONS).header("x-amz-access-token", &token).send());
    let refresh = tokio::spawn(world.login().form(&world.refresh_parameters(1)).send());
    until(|| world.emulator.counters().unanswered(NAME) == 1 && world.emulator.counters().unanswered("lwa") == 1).await;

    let back = Change { lwa: Some(Fault::None), selling_partner: Some(Fault::None), ..Change::default() };
    world.emulator.switches().apply(back).unwrap();
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200, "new calls are answered");
    assert_eq!(world.emulator.counters().unanswered(NAME), 1, "the old one still hangs");
    assert!(!call.is_finished() && !refresh.is_finished());
    let seen = world.emulator.calls();
    assert_eq!(seen.iter().filter(|call| call.status.is_none()).count(), 2);

    drop(world);
    assert!(call.await.unwrap().is_err(), "the emulator's end is the connection's end");
    assert!(refresh.await.unwrap().is_err());
}

#[tokio::test]
async fn a_slow_service_answers_rightly_after_the_delay() {
    let world = World::new().await;
    let slow = Fault::Slow { delay_ms: 150 };
    world.emulator.switches().apply(Change { lwa: Some(slow), ..Change::default() }).unwrap();
    let begun = Instant::now();
    let token = world.token(1).await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
    world.emulator.switches().apply(Change { selling_partner: Some(slow), ..Change::default() }).unwrap();
    let begun = Instant::now();
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_replaced_client_secret_is_the_only_right_one() {
    let world = World::new().await;
    let client = world.seller(1).client_id.clone();
    let change = |secret| Change { client_secrets: [(client.clone(), secret)].into(), ..Change::default() };
    let state = world.emulator.switches().apply(change(Some(Secret::new("another")))).unwrap();
    assert!(state.replaced_secrets.contains(&client));
    let refused = world.refresh(1).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]), (401, &"invalid_client".into()));
    assert_eq!(world.refresh(3).await.status, 200, "another application's secret stays");

    let mut parameters = world.refresh_parameters(1);
    parameters[3].1 = "another".to_owned();
    assert_eq!(send(world.login().form(&parameters)).await.status, 200);
    world.emulator.switches().apply(change(None)).unwrap();
    assert_eq!(send(world.login().form(&parameters)).await.status, 401);
    assert_eq!(world.refresh(1).await.status, 200);
}

#[tokio::test]
async fn a_trickle_sends_the_same_body_in_pieces_and_ends_with_its_caller() {
    let world = World::new().await;
    let token = world.token(1).await;
    let parameters = [AFTER, ("MarketplaceIds", US)];
    let whole = world.call(&token, "/orders/v0/orders", &parameters).await;
    let set = |bytes, every_ms| {
        let selling_partner = Some(Fault::Trickle { bytes, every_ms });
        world.emulator.switches().apply(Change { selling_partner, ..Change::default() }).unwrap();
    };
    set(1, 0);
    let pieces = world.call(&token, "/orders/v0/orders", &parameters).await;
    assert_eq!(pieces.header("content-length"), None);
    assert_eq!(pieces.body["payload"]["Orders"], whole.body["payload"]["Orders"]);
    until(|| world.emulator.counters().open_streams == 0).await;

    set(1, 60_000);
    let request = world.get("/orders/v0/orders").header("x-amz-access-token", &token).query(&parameters);
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.chunk().await.unwrap().unwrap().as_ref(), b"{");
    assert_eq!(world.emulator.counters().open_streams, 1);
    drop(response);
    until(|| world.emulator.counters().open_streams == 0).await;
}

#[tokio::test]
async fn the_clock_can_be_moved_until_tokens_expire() {
    let world = World::new().await;
    let token = world.token(1).await;
    world.emulator.switches().apply(Change { advance_seconds: 3600, ..Change::default() }).unwrap();
    let expired = "The access token you provided has expired.";
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", expired));
    world.emulator.switches().reset();
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
}

#[tokio::test]
async fn a_change_that_cannot_be_made_changes_nothing() {
    let world = World::new().await;
    let switches = world.emulator.switches();
    let seller = |id: &str| [(id.to_owned(), Grant::Revoked)].into();
    let throttled = [("nobody".to_owned(), 1)].into();
    let fault = |fault| Change { lwa: Some(fault), grants: seller(&world.seller(1).seller_id), ..Change::default() };
    let cases = [
        (
            Change { lwa: Some(Fault::Hang), grants: seller("nobody"), ..Change::default() },
            SwitchError::Seller("nobody".into()),
        ),
        (Change { throttled, ..Change::default() }, SwitchError::Seller("nobody".into())),
        (
            Change { lwa: Some(Fault::Hang), client_secrets: [("none".into(), None)].into(), ..Change::default() },
            SwitchError::Client("none".into()),
        ),
        (fault(Fault::Status(200)), SwitchError::Status { service: "lwa", status: 200 }),
        (fault(Fault::Status(429)), SwitchError::Status { service: "lwa", status: 429 }),
        (fault(Fault::Status(600)), SwitchError::Status { service: "lwa", status: 600 }),
        (fault(Fault::Trickle { bytes: 0, every_ms: 1 }), SwitchError::Trickle("lwa")),
        (
            Change { selling_partner: Some(Fault::Status(404)), ..Change::default() },
            SwitchError::Status { service: "sellingPartner", status: 404 },
        ),
    ];
    for (change, error) in cases {
        assert_eq!(switches.apply(change), Err(error));
        assert_eq!(switches.state(), State::default());
    }
}

#[tokio::test]
async fn a_seller_that_consents_again_has_both_tokens_until_it_ends_one() {
    let world = World::new().await;
    let (switches, seller) = (world.emulator.switches(), world.seller(1).clone());
    assert_eq!(switches.consent("nobody").unwrap_err(), SwitchError::Seller("nobody".into()));
    let second = switches.consent(&seller.seller_id).unwrap();
    let refresh = async |token: &Secret| {
        let mut given = world.refresh_parameters(1);
        given
            .iter_mut()
            .filter(|(name, _)| *name == "refresh_token")
            .for_each(|(_, value)| *value = token.expose().into());
        send(world.login().form(&given)).await
    };
    let access = |answer: &crate::world::Answer| answer.body["access_token"].as_str().unwrap().to_owned();
    let (of_first, of_second) = (access(&refresh(&seller.refresh_token).await), access(&refresh(&second).await));
    for token in [&of_first, &of_second] {
        assert_eq!(world.call(token, PARTICIPATIONS, &[]).await.status, 200, "the first goes on working");
    }
    assert_eq!((switches.uses(seller.refresh_token.expose()), switches.uses(second.expose())), (1, 1));

    switches.apply(Change { ended: vec![seller.refresh_token.clone()], ..Change::default() }).unwrap();
    let refused = refresh(&seller.refresh_token).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]), (400, &"invalid_grant".into()));
    let dead = "The access token you provided is revoked, malformed or invalid.";
    assert_eq!(world.call(&of_first, PARTICIPATIONS, &[]).await.refusal(), (403, "Unauthorized", dead));
    assert_eq!(world.call(&of_second, PARTICIPATIONS, &[]).await.status, 200);
    assert_eq!(refresh(&second).await.status, 200);
    // Another seller's it is not.
    let mut given = world.refresh_parameters(3);
    given
        .iter_mut()
        .filter(|(name, _)| *name == "refresh_token")
        .for_each(|(_, value)| *value = second.expose().into());
    assert_eq!(send(world.login().form(&given)).await.status, 400);
}
