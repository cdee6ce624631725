//! The Selling Partner API: what the answers hold.

use crate::world::{AFTER, CA, EU_HOST, MX, US, World, send, texts};
use jiff::Timestamp;
use openteam_amazon_emulator::{Clock, Marketplace, asin, order_id};

const ORDERS: &str = "/orders/v0/orders";
const ORDERS_2026: &str = "/orders/2026-01-01/orders";
const ITEMS: &str = "/catalog/2022-04-01/items";
const PARTICIPATIONS: &str = "/sellers/v1/marketplaceParticipations";

fn marketplace(id: &str) -> &'static Marketplace {
    Marketplace::find(id).expect("one of the 23")
}

#[tokio::test]
async fn participations_list_what_the_seller_takes_part_in_and_nothing_of_others() {
    let world = World::new().await;
    let answer = world.call(&world.token(2).await, PARTICIPATIONS, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-amzn-ratelimit-limit"), Some("0.016"));
    let entries = answer.body["payload"].as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| entry["marketplace"]["id"].as_str().unwrap()).collect::<Vec<_>>(), [US, CA]);
    for entry in entries {
        for field in ["id", "name", "countryCode", "defaultCurrencyCode", "defaultLanguageCode", "domainName"] {
            assert!(entry["marketplace"][field].is_string(), "{field}");
        }
        assert_eq!(entry["participation"]["isParticipating"], true);
        assert_eq!(entry["participation"]["hasSuspendedListings"], false);
        assert!(entry["storeName"].as_str().unwrap().contains(&world.seller(2).seller_id));
    }

    let token = world.token(3).await;
    let european = world.get(PARTICIPATIONS).header("x-amz-access-token", token).header("host", EU_HOST);
    let european = send(european).await.body;
    let suspended = |position: usize| &european["payload"][position]["participation"]["hasSuspendedListings"];
    assert_eq!((suspended(0), suspended(1)), (&false.into(), &true.into()));
}

#[tokio::test]
async fn orders_v0_tell_whose_they_are_and_nothing_of_the_buyer() {
    let world = World::new().await;
    let token = world.token(1).await;
    let answer = world.call(&token, ORDERS, &[AFTER, ("MarketplaceIds", CA)]).await;
    let orders = &answer.body["payload"]["Orders"];
    let expected: Vec<_> = (1..=3).map(|number| order_id(1, marketplace(CA), number)).collect();
    assert_eq!(texts(orders, "AmazonOrderId"), expected);
    for name in texts(orders, "SellerOrderId") {
        assert!(name.starts_with(&format!("{}-CA-", world.seller(1).seller_id)));
    }

    let id = &expected[0];
    let one = world.call(&token, &format!("{ORDERS}/{id}"), &[]).await;
    assert_eq!(one.body["payload"], orders[0]);
    let encoded = world.call(&token, &format!("{ORDERS}/{}", id.replace('-', "%2D")), &[]).await;
    assert_eq!(encoded.body, one.body);
    let items = world.call(&token, &format!("{ORDERS}/{id}/orderItems"), &[]).await;
    assert_eq!(items.body["payload"]["AmazonOrderId"], id.as_str());
    let title = items.body["payload"]["OrderItems"][0]["Title"].as_str().unwrap();
    assert!(title.contains(CA) && title.contains(&world.seller(1).seller_id));
    for body in [&answer.body, &one.body, &items.body] {
        let text = body.to_string();
        assert!(!text.contains("Buyer") && !text.contains("Address") && !text.contains("buyers.invalid"), "{text}");
    }

    let chosen = world.call(&token, ORDERS, &[("AmazonOrderIds", id), ("MarketplaceIds", CA)]).await;
    assert_eq!(texts(&chosen.body["payload"]["Orders"], "AmazonOrderId"), [id]);
}

#[tokio::test]
async fn the_time_asked_for_is_required_and_honoured() {
    let now: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
    let world = World::at(Clock::at(now)).await;
    let token = world.token(1).await;
    let call = async |parameters: &[(&str, &str)]| {
        let v0 = [&[("MarketplaceIds", US)], parameters].concat();
        let v0 = world.call(&token, ORDERS, &v0).await;
        let lower: Vec<_> =
            parameters.iter().map(|(name, value)| (name[..1].to_lowercase() + &name[1..], *value)).collect();
        let lower: Vec<_> = lower.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let v2026 = world.call(&token, ORDERS_2026, &[&[("marketplaceIds", US)], &lower[..]].concat()).await;
        (v0, v2026)
    };
    // Orders are 6, 12 and 18 hours old, and changed an hour after.
    for (parameters, count) in [
        (&[("CreatedAfter", "2026-06-15T00:00:00")][..], 2),
        (&[("CreatedAfter", "2026-06-15T00:00:01Z")], 1),
        (&[("CreatedAfter", "2026-06-14"), ("CreatedBefore", "2026-06-15T01:00:00Z")], 2),
        (&[("LastUpdatedAfter", "2026-06-15T01:00:00Z")], 2),
        (&[("LastUpdatedAfter", "2026-06-16")], 0),
    ] {
        let (v0, v2026) = call(parameters).await;
        assert_eq!(v0.body["payload"]["Orders"].as_array().unwrap().len(), count, "{parameters:?}");
        assert_eq!(v2026.body["orders"].as_array().unwrap().len(), count, "{parameters:?}");
    }
    for parameters in [
        &[][..],
        &[("CreatedBefore", "2026-06-15")],
        &[AFTER, ("LastUpdatedAfter", "2026-06-15")],
        &[AFTER, ("LastUpdatedBefore", "2026-06-15")],
        &[("LastUpdatedAfter", "2026-06-15"), ("CreatedBefore", "2026-06-15")],
        &[("CreatedAfter", "lately")],
        &[AFTER, ("CreatedBefore", "")],
    ] {
        let (v0, v2026) = call(parameters).await;
        assert_eq!(v0.refusal(), (400, "InvalidInput", ""), "{parameters:?}");
        assert_eq!(v2026.refusal(), (400, "InvalidInput", ""), "{parameters:?}");
    }
    let v0 = world.call(&token, ORDERS, &[AFTER, ("MarketplaceIds", US), ("NextToken", "x")]).await;
    let v2026 = world.call(&token, ORDERS_2026, &[("createdAfter", "2026-06-15"), ("paginationToken", "x")]).await;
    assert_eq!((v0.status.as_u16(), v2026.status.as_u16()), (400, 400));
}

#[tokio::test]
async fn an_order_of_another_seller_does_not_exist() {
    let world = World::new().await;
    let token = world.token(2).await;
    for id in [order_id(1, marketplace(US), 1), order_id(2, marketplace(MX), 1), order_id(2, marketplace(US), 4)] {
        for path in [format!("{ORDERS}/{id}"), format!("{ORDERS}/{id}/orderItems"), format!("{ORDERS_2026}/{id}")] {
            let answer = world.call(&token, &path, &[]).await;
            assert_eq!(answer.refusal(), (404, "NotFound", ""), "{path}");
            assert_eq!(answer.header("x-amzn-ratelimit-limit"), Some("0.5"));
        }
    }
    for id in ["1", "101-0000002-000000X", "101-0000002-0000001-1", "%20", "1010000002-0000001"] {
        let answer = world.call(&token, &format!("{ORDERS}/{id}"), &[]).await;
        assert_eq!(answer.refusal(), (400, "InvalidInput", ""), "{id}");
    }
}

#[tokio::test]
async fn orders_2026_without_marketplaces_are_of_all_and_show_people_only_when_asked() {
    let world = World::new().await;
    let token = world.token(1).await;
    let after = ("createdAfter", "2020-01-01");
    let all = world.call(&token, ORDERS_2026, &[after]).await;
    let orders = all.body["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 9);
    let mut ids: Vec<_> = orders.iter().map(|order| order["salesChannel"]["marketplaceId"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids, [US, CA, MX]);
    assert!(!all.body.to_string().to_lowercase().contains("buyer"));

    let included = [after, ("marketplaceIds", US), ("includedData", "BUYER,RECIPIENT,PROCEEDS,FULFILLMENT")];
    let shown = world.call(&token, ORDERS_2026, &included).await;
    let order = &shown.body["orders"][0];
    let seller = &world.seller(1).seller_id;
    assert!(order["buyer"]["buyerName"].as_str().unwrap().contains(seller));
    assert!(order["recipient"]["deliveryAddress"]["name"].as_str().unwrap().contains(seller));
    assert_eq!(order["proceeds"]["grandTotal"]["currencyCode"], "USD");
    assert_eq!(order["fulfillment"]["fulfillmentStatus"], "UNSHIPPED");

    let id = order["orderId"].as_str().unwrap();
    let one = world.call(&token, &format!("{ORDERS_2026}/{id}"), &[]).await;
    assert_eq!(one.body["order"]["orderItems"], order["orderItems"]);
    assert!(one.body["order"].get("buyer").is_none());
}

#[tokio::test]
async fn the_catalogue_finds_the_sellers_items_in_the_marketplace_named() {
    let world = World::new().await;
    let token = world.token(1).await;
    let search = async |parameters: &[(&str, &str)]| world.call(&token, ITEMS, parameters).await;
    let mugs = search(&[("marketplaceIds", MX), ("keywords", "mug")]).await;
    assert_eq!(mugs.body["numberOfResults"], 2);
    assert_eq!(texts(&mugs.body["items"], "asin"), [asin(1, marketplace(MX), 1), asin(1, marketplace(MX), 2)]);
    let summary = &mugs.body["items"][0]["summaries"][0];
    assert_eq!(summary["marketplaceId"], MX);
    let name = summary["itemName"].as_str().unwrap();
    assert!(name.contains(MX) && name.contains(&world.seller(1).seller_id));

    let id = asin(1, marketplace(US), 2);
    let by_asin = search(&[("marketplaceIds", US), ("identifiers", &id), ("identifiersType", "ASIN")]).await;
    assert_eq!(texts(&by_asin.body["items"], "asin"), [id.as_str()]);
    let sku = format!("{}-US-2", world.seller(1).seller_id);
    let by_sku = search(&[("marketplaceIds", US), ("identifiers", &sku), ("identifiersType", "SKU")]).await;
    assert_eq!(by_sku.body["items"], by_asin.body["items"]);
    let one = [("marketplaceIds", US), ("includedData", "identifiers,productTypes")];
    let one = world.call(&token, &format!("{ITEMS}/{id}"), &one).await;
    assert_eq!(one.body["identifiers"][0]["identifiers"][0]["identifier"], sku.as_str());
    assert!(one.body.get("summaries").is_none());
    assert_eq!(one.header("x-amzn-ratelimit-limit"), Some("2.0"));

    let both = format!("{US},{CA}");
    for parameters in [
        &[("keywords", "mug")][..],
        &[("marketplaceIds", US)],
        &[("marketplaceIds", &both), ("keywords", "mug")],
        &[("marketplaceIds", US), ("identifiers", &id)],
        &[("marketplaceIds", US), ("identifiers", &id), ("identifiersType", "SHOE_SIZE")],
        &[("marketplaceIds", US), ("identifiers", &id), ("identifiersType", "ASIN"), ("keywords", "mug")],
        &[("marketplaceIds", US), ("keywords", "mug"), ("pageToken", "x")],
    ] {
        assert_eq!(search(parameters).await.refusal(), (400, "InvalidInput", ""), "{parameters:?}");
    }
    let elsewhere = world.call(&token, &format!("{ITEMS}/{id}"), &[("marketplaceIds", CA)]).await;
    assert_eq!(elsewhere.refusal(), (404, "NotFound", ""));
    let other = world.call(&world.token(2).await, &format!("{ITEMS}/{id}"), &[("marketplaceIds", US)]).await;
    assert_eq!(other.refusal(), (404, "NotFound", ""));
}
