//! The control listener, and what it tells of the calls.

use crate::world::{AFTER, CA, US, World, send};
use openteam_amazon_emulator::{Call, Counters, Fault, State};
use serde_json::{Value, json};

#[tokio::test]
async fn every_call_is_counted_and_listed_without_a_value_that_could_be_secret() {
    let world = World::new().await;
    let token = world.token(1).await;
    let parameters = format!("{US},{CA}");
    let request = world.get("/orders/v0/orders").query(&[AFTER, ("MarketplaceIds", &parameters), ("odd", "value")]);
    let request = request.header("x-amz-access-token", &token).header("X-Odd", "odd-value");
    assert_eq!(send(request.bearer_auth("caller-token")).await.status, 200);
    assert_eq!(world.call("garbage", "/nowhere", &[]).await.status, 403);

    let url = |path: &str| format!("{}/control/{path}", world.emulator.control_url());
    let text = world.client.get(url("calls")).send().await.unwrap().text().await.unwrap();
    let parameters = world.refresh_parameters(1);
    for secret in [&token, &parameters[1].1, &parameters[3].1, "caller-token", "odd-value", "garbage"] {
        assert!(!text.contains(secret.trim()), "a value is in the ledger");
    }
    let calls: Vec<Call> = serde_json::from_str(&text).unwrap();
    assert_eq!(calls, world.emulator.calls());
    let seller = Some(world.seller(1).seller_id.clone());
    let [login, orders, unknown] = &calls[..] else { unreachable!("{} calls", calls.len()) };
    assert_eq!((login.operation.as_str(), login.status, &login.seller), ("lwa", Some(200), &seller));
    assert_eq!((orders.operation.as_str(), orders.status, &orders.seller), ("orders/v0/getOrders", Some(200), &seller));
    assert_eq!(orders.marketplaces, [US, CA]);
    assert_eq!(orders.parameters, ["CreatedAfter", "MarketplaceIds", "odd"]);
    assert!(orders.headers.contains(&"x-odd".to_owned()));
    assert_eq!(orders.credentials, [("authorization".to_owned(), 1), ("x-amz-access-token".to_owned(), 1)].into());
    assert_eq!((unknown.operation.as_str(), unknown.status, &unknown.seller), ("unknown", Some(403), &None));
    assert!(login.time <= orders.time && orders.time <= unknown.time);

    let counters: Counters = world.client.get(url("counters")).send().await.unwrap().json().await.unwrap();
    assert_eq!(counters, world.emulator.counters());
    assert_eq!(counters.answered("lwa", 200), 1);
    assert_eq!(counters.answered("orders/v0/getOrders", 200), 1);
    assert_eq!(counters.answered("unknown", 403), 1);
    assert_eq!((counters.all("lwa"), counters.unanswered("lwa"), counters.all("orders/v0/getOrder")), (1, 0, 0));
}

#[tokio::test]
async fn only_the_last_thousand_calls_are_listed_but_all_are_counted() {
    let world = World::new().await;
    for _ in 0..1002 {
        assert_eq!(send(world.get("/nowhere")).await.status, 403);
    }
    assert_eq!(world.emulator.calls().len(), 1000);
    assert_eq!(world.emulator.counters().answered("unknown", 403), 1002);
}

#[tokio::test]
async fn switches_are_set_by_naming_them_and_reset_together() {
    let world = World::new().await;
    let url = |path: &str| format!("{}/control/{path}", world.emulator.control_url());
    let post = async |change: Value| {
        let response = world.client.post(url("switches")).json(&change).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (seller, client) = (world.seller(1).seller_id.clone(), world.seller(1).client_id.clone());
    for (change, lwa) in [
        (json!({"lwa": {"status": 503}}), Fault::Status(503)),
        (json!({"lwa": "hang"}), Fault::Hang),
        (json!({"lwa": {"slow": {"delayMs": 20}}}), Fault::Slow { delay_ms: 20 }),
        (json!({"lwa": "nonsense"}), Fault::Nonsense),
        (json!({"lwa": "redirect"}), Fault::Redirect),
        (json!({"lwa": {"trickle": {"bytes": 1, "everyMs": 20}}}), Fault::Trickle { bytes: 1, every_ms: 20 }),
        (json!({"lwa": "none"}), Fault::None),
    ] {
        let (status, body) = post(change).await;
        assert_eq!((status, serde_json::from_str::<State>(&body).unwrap().lwa), (200, lwa));
    }
    let change = json!({
        "sellingPartner": {"status": 429},
        "grants": {&seller: "revoked"},
        "clientSecrets": {&client: "plainly-fake"},
        "advanceSeconds": 10,
    });
    let (status, body) = post(change).await;
    assert_eq!(status, 200);
    assert!(!body.contains("plainly-fake"));
    let state: State = world.client.get(url("switches")).send().await.unwrap().json().await.unwrap();
    assert_eq!(state, world.emulator.switches().state());
    assert!(state.revoked.contains(&seller) && state.replaced_secrets.contains(&client));

    for wrong in [
        json!({"lwa": {"status": 200}}),
        json!({"grants": {"nobody": "revoked"}}),
        json!({"clientSecrets": {"nobody": null}}),
        json!({"lwa": "perhaps"}),
        json!({"unknown": true}),
        json!({"grants": {&seller: "perhaps"}}),
    ] {
        let (status, _) = post(wrong.clone()).await;
        assert!((400..500).contains(&status), "{wrong} gave {status}");
        assert_eq!(world.emulator.switches().state(), state);
    }

    let reset = world.client.post(url("reset")).send().await.unwrap();
    assert_eq!(reset.status(), 204);
    assert_eq!(world.emulator.switches().state(), State::default());
    assert_eq!(world.emulator.counters(), Counters::default());
    assert!(world.emulator.calls().is_empty());
    assert_eq!(world.refresh(1).await.status, 200);
}

#[tokio::test]
async fn control_tells_every_access_token_handed_out() {
    let world = World::new().await;
    let mut issued = [world.token(1).await, world.token(2).await, world.token(1).await];
    let url = format!("{}/control/tokens", world.emulator.control_url());
    let mut told: Vec<String> = world.client.get(url).send().await.unwrap().json().await.unwrap();
    issued.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, issued);
}

#[tokio::test]
async fn control_and_amazon_do_not_answer_for_each_other() {
    let world = World::new().await;
    let on_amazon = send(world.get("/control/calls")).await;
    assert_eq!(on_amazon.status, 403);
    let on_control = format!("{}/auth/o2/token", world.emulator.control_url());
    assert_eq!(world.client.post(on_control).send().await.unwrap().status(), 404);
}
