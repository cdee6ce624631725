//! The Selling Partner API.

use crate::world::{AFTER, BR, CA, DE, EU_HOST, MX, US, World, send, texts};
use jiff::{SignedDuration, Timestamp};
use openteam_amazon_emulator::{Clock, Marketplace, asin, order_id};
use reqwest::Method;

const ORDERS: &str = "/orders/v0/orders";
const ORDERS_2026: &str = "/orders/2026-01-01/orders";
const ITEMS: &str = "/catalog/2022-04-01/items";
const PARTICIPATIONS: &str = "/sellers/v1/marketplaceParticipations";

fn marketplace(id: &str) -> &'static Marketplace {
    Marketplace::find(id).unwrap()
}

#[tokio::test]
async fn a_call_needs_a_token_that_is_good() {
    let world = World::at(Clock::at(Timestamp::UNIX_EPOCH)).await;
    let missing = "Access token is missing in the request header.";
    let invalid = "The access token you provided is revoked, malformed or invalid.";
    let expired = "The access token you provided has expired.";

    let answer = send(world.get(PARTICIPATIONS)).await;
    assert_eq!(answer.refusal(), (403, "Unauthorized", missing));
    assert_eq!(
        answer.body["errors"][0]["message"],
        "Access to requested resource is denied."
    );
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some("AccessDeniedException")
    );
    assert!(answer.header("x-amzn-requestid").is_some());
    assert_eq!(answer.header("x-amzn-ratelimit-limit"), None);

    let token = world.token(1).await;
    let bearer = send(world.get(PARTICIPATIONS).bearer_auth(&token)).await;
    assert_eq!(
        bearer.refusal(),
        (403, "Unauthorized", missing),
        "Authorization is not where Amazon looks"
    );
    assert_eq!(
        world.call("", PARTICIPATIONS, &[]).await.refusal(),
        (403, "Unauthorized", missing)
    );

    let refresh_token = world.seller(1).refresh_token.expose();
    for garbage in [
        "garbage",
        &token[..token.len() - 1],
        &format!("{token}A"),
        refresh_token,
    ] {
        assert_eq!(
            world.call(garbage, PARTICIPATIONS, &[]).await.refusal(),
            (403, "Unauthorized", invalid)
        );
    }
    let twice = world
        .get(PARTICIPATIONS)
        .header("x-amz-access-token", &token)
        .header("x-amz-access-token", &token);
    assert_eq!(send(twice).await.refusal(), (403, "Unauthorized", invalid));

    world
        .emulator
        .clock()
        .advance(SignedDuration::from_secs(3599));
    assert_eq!(world.call(&token, PARTICIPATIONS, &[]).await.status, 200);
    world.emulator.clock().advance(SignedDuration::from_secs(1));
    assert_eq!(
        world.call(&token, PARTICIPATIONS, &[]).await.refusal(),
        (403, "Unauthorized", expired)
    );
    let renewed = world.token(1).await;
    assert_eq!(world.call(&renewed, PARTICIPATIONS, &[]).await.status, 200);
}

#[tokio::test]
async fn an_unknown_path_or_method_is_forbidden_not_missing() {
    let world = World::new().await;
    let token = world.token(1).await;
    for path in [
        "/",
        "/nothing",
        "/orders/v0/orders/1/address",
        "/fba/inventory/v1/summaries",
    ] {
        let answer = world.call(&token, path, &[]).await;
        assert_eq!(answer.refusal(), (403, "Unauthorized", ""), "{path}");
        assert_eq!(
            answer.header("x-amzn-errortype"),
            Some("AccessDeniedException")
        );
    }
    let url = format!("{}{PARTICIPATIONS}", world.emulator.https_url());
    let post = send(
        world
            .client
            .request(Method::POST, url)
            .header("x-amz-access-token", &token),
    )
    .await;
    assert_eq!(post.refusal(), (403, "Unauthorized", ""));
    assert_eq!(world.emulator.counters().answered("unknown", 403), 5);
}

#[tokio::test]
async fn participations_list_what_the_seller_takes_part_in_and_nothing_of_others() {
    let world = World::new().await;
    let answer = world.call(&world.token(2).await, PARTICIPATIONS, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-amzn-ratelimit-limit"), Some("0.016"));
    let entries = answer.body["payload"].as_array().unwrap();
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry["marketplace"]["id"].as_str().unwrap())
            .collect::<Vec<_>>(),
        [US, CA]
    );
    for entry in entries {
        for field in [
            "id",
            "name",
            "countryCode",
            "defaultCurrencyCode",
            "defaultLanguageCode",
            "domainName",
        ] {
            assert!(entry["marketplace"][field].is_string(), "{field}");
        }
        assert_eq!(entry["participation"]["isParticipating"], true);
        assert_eq!(entry["participation"]["hasSuspendedListings"], false);
        assert!(
            entry["storeName"]
                .as_str()
                .unwrap()
                .contains(&world.seller(2).seller_id)
        );
    }

    let token = world.token(3).await;
    let european = world
        .get(PARTICIPATIONS)
        .header("x-amz-access-token", token)
        .header("host", EU_HOST);
    let european = send(european).await.body;
    let suspended =
        |position: usize| &european["payload"][position]["participation"]["hasSuspendedListings"];
    assert_eq!((suspended(0), suspended(1)), (&false.into(), &true.into()));
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
        format!(
            "MarketplaceId={MX}&MarketplaceIds={US}&marketplace_ids={MX}&marketplaceIds={MX}&MarketplaceIds={CA}"
        ),
    ] {
        let answer = found(&query).await;
        let mut ids = texts(&answer.body["payload"]["Orders"], "MarketplaceId");
        ids.dedup();
        assert_eq!(ids, [US, CA], "{query}");
        assert_eq!(
            world.emulator.calls().last().unwrap().marketplaces,
            [US, CA],
            "{query}"
        );
    }
    for query in [
        "",
        "MarketplaceIds=",
        "MarketplaceIds=,",
        &format!("marketplaceIds={US}"),
    ] {
        let answer = found(query).await;
        assert_eq!(answer.refusal(), (400, "InvalidInput", ""), "{query}");
        assert_eq!(answer.header("x-amzn-ratelimit-limit"), Some("0.0167"));
    }
    let many = vec![US; 51].join(",");
    assert_eq!(
        found(&format!("MarketplaceIds={many}")).await.refusal(),
        (400, "InvalidInput", "")
    );
}

#[tokio::test]
async fn a_marketplace_of_another_region_or_not_taken_part_in_is_forbidden() {
    let world = World::new().await;
    let token = world.token(1).await;
    let other = "The marketplaces you provided are not valid for region.";
    let both = format!("{US},{DE}");
    for (ids, details) in [
        (DE, other),
        (both.as_str(), other),
        ("A0UNKNOWN", other),
        (BR, ""),
    ] {
        let cases = [
            world
                .call(&token, ORDERS, &[AFTER, ("MarketplaceIds", ids)])
                .await,
            world
                .call(
                    &token,
                    ORDERS_2026,
                    &[("createdAfter", "2020-01-01"), ("marketplaceIds", ids)],
                )
                .await,
            world
                .call(
                    &token,
                    &format!("{ITEMS}/B0US001001"),
                    &[("marketplaceIds", ids)],
                )
                .await,
        ];
        for answer in cases {
            assert_eq!(answer.refusal(), (403, "Unauthorized", details), "{ids}");
        }
    }
    let foreign = world
        .call(
            &world.token(2).await,
            ORDERS,
            &[AFTER, ("MarketplaceIds", MX)],
        )
        .await;
    assert_eq!(
        foreign.refusal(),
        (403, "Unauthorized", ""),
        "the first seller's marketplace"
    );
}

#[tokio::test]
async fn a_token_works_only_on_its_regions_host() {
    let world = World::new().await;
    let call = async |seller: usize, host: &str, ids: &str| {
        let token = world.token(seller).await;
        let request = world
            .get(ORDERS)
            .header("x-amz-access-token", token)
            .header("host", host);
        send(request.query(&[AFTER, ("MarketplaceIds", ids)])).await
    };
    let na_host = "sellingpartnerapi-na.amazon.com";
    assert_eq!(call(3, EU_HOST, DE).await.status, 200);
    assert_eq!(
        call(3, "SellingPartnerAPI-EU.amazon.com:443", DE)
            .await
            .status,
        200
    );
    assert_eq!(call(1, na_host, US).await.status, 200);
    assert_eq!(
        call(1, "amazon.test", US).await.status,
        200,
        "another name is served as NA here"
    );
    assert_eq!(
        call(1, EU_HOST, DE).await.refusal(),
        (403, "Unauthorized", "")
    );
    assert_eq!(
        call(1, "sellingpartnerapi-fe.amazon.com", US)
            .await
            .refusal(),
        (403, "Unauthorized", "")
    );
    assert_eq!(
        call(3, na_host, US).await.refusal(),
        (403, "Unauthorized", "")
    );
    assert_eq!(
        call(3, "localhost", DE).await.refusal(),
        (403, "Unauthorized", "")
    );
}

#[tokio::test]
async fn orders_v0_tell_whose_they_are_and_nothing_of_the_buyer() {
    let world = World::new().await;
    let token = world.token(1).await;
    let answer = world
        .call(&token, ORDERS, &[AFTER, ("MarketplaceIds", CA)])
        .await;
    let orders = &answer.body["payload"]["Orders"];
    let expected: Vec<_> = (1..=3)
        .map(|number| order_id(1, marketplace(CA), number))
        .collect();
    assert_eq!(texts(orders, "AmazonOrderId"), expected);
    for name in texts(orders, "SellerOrderId") {
        assert!(name.starts_with(&format!("{}-CA-", world.seller(1).seller_id)));
    }

    let id = &expected[0];
    let one = world.call(&token, &format!("{ORDERS}/{id}"), &[]).await;
    assert_eq!(one.body["payload"], orders[0]);
    let encoded = world
        .call(&token, &format!("{ORDERS}/{}", id.replace('-', "%2D")), &[])
        .await;
    assert_eq!(encoded.body, one.body);
    let items = world
        .call(&token, &format!("{ORDERS}/{id}/orderItems"), &[])
        .await;
    assert_eq!(items.body["payload"]["AmazonOrderId"], id.as_str());
    let title = items.body["payload"]["OrderItems"][0]["Title"]
        .as_str()
        .unwrap();
    assert!(title.contains(CA) && title.contains(&world.seller(1).seller_id));
    for body in [&answer.body, &one.body, &items.body] {
        let text = body.to_string();
        assert!(
            !text.contains("Buyer")
                && !text.contains("Address")
                && !text.contains("buyers.invalid"),
            "{text}"
        );
    }

    let chosen = world
        .call(
            &token,
            ORDERS,
            &[("AmazonOrderIds", id), ("MarketplaceIds", CA)],
        )
        .await;
    assert_eq!(
        texts(&chosen.body["payload"]["Orders"], "AmazonOrderId"),
        [id]
    );
}

#[tokio::test]
async fn the_time_asked_for_is_required_and_honoured() {
    let now: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
    let world = World::at(Clock::at(now)).await;
    let token = world.token(1).await;
    let call = async |parameters: &[(&str, &str)]| {
        let v0 = [&[("MarketplaceIds", US)], parameters].concat();
        let v0 = world.call(&token, ORDERS, &v0).await;
        let lower: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (name[..1].to_lowercase() + &name[1..], *value))
            .collect();
        let lower: Vec<_> = lower
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let v2026 = world
            .call(
                &token,
                ORDERS_2026,
                &[&[("marketplaceIds", US)], &lower[..]].concat(),
            )
            .await;
        (v0, v2026)
    };
    // Orders are 6, 12 and 18 hours old, and changed an hour after.
    for (parameters, count) in [
        (&[("CreatedAfter", "2026-06-15T00:00:00")][..], 2),
        (&[("CreatedAfter", "2026-06-15T00:00:01Z")], 1),
        (
            &[
                ("CreatedAfter", "2026-06-14"),
                ("CreatedBefore", "2026-06-15T01:00:00Z"),
            ],
            2,
        ),
        (&[("LastUpdatedAfter", "2026-06-15T01:00:00Z")], 2),
        (&[("LastUpdatedAfter", "2026-06-16")], 0),
    ] {
        let (v0, v2026) = call(parameters).await;
        assert_eq!(
            v0.body["payload"]["Orders"].as_array().unwrap().len(),
            count,
            "{parameters:?}"
        );
        assert_eq!(
            v2026.body["orders"].as_array().unwrap().len(),
            count,
            "{parameters:?}"
        );
    }
    for parameters in [
        &[][..],
        &[("CreatedBefore", "2026-06-15")],
        &[AFTER, ("LastUpdatedAfter", "2026-06-15")],
        &[AFTER, ("LastUpdatedBefore", "2026-06-15")],
        &[
            ("LastUpdatedAfter", "2026-06-15"),
            ("CreatedBefore", "2026-06-15"),
        ],
        &[("CreatedAfter", "lately")],
        &[AFTER, ("CreatedBefore", "")],
    ] {
        let (v0, v2026) = call(parameters).await;
        assert_eq!(v0.refusal(), (400, "InvalidInput", ""), "{parameters:?}");
        assert_eq!(v2026.refusal(), (400, "InvalidInput", ""), "{parameters:?}");
    }
    let v0 = world
        .call(
            &token,
            ORDERS,
            &[AFTER, ("MarketplaceIds", US), ("NextToken", "x")],
        )
        .await;
    let v2026 = world
        .call(
            &token,
            ORDERS_2026,
            &[("createdAfter", "2026-06-15"), ("paginationToken", "x")],
        )
        .await;
    assert_eq!((v0.status.as_u16(), v2026.status.as_u16()), (400, 400));
}

#[tokio::test]
async fn an_order_of_another_seller_does_not_exist() {
    let world = World::new().await;
    let token = world.token(2).await;
    for id in [
        order_id(1, marketplace(US), 1),
        order_id(2, marketplace(MX), 1),
        order_id(2, marketplace(US), 4),
    ] {
        for path in [
            format!("{ORDERS}/{id}"),
            format!("{ORDERS}/{id}/orderItems"),
            format!("{ORDERS_2026}/{id}"),
        ] {
            let answer = world.call(&token, &path, &[]).await;
            assert_eq!(answer.refusal(), (404, "NotFound", ""), "{path}");
            assert_eq!(answer.header("x-amzn-ratelimit-limit"), Some("0.5"));
        }
    }
    for id in [
        "1",
        "101-0000002-000000X",
        "101-0000002-0000001-1",
        "%20",
        "1010000002-0000001",
    ] {
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
    let mut ids: Vec<_> = orders
        .iter()
        .map(|order| order["salesChannel"]["marketplaceId"].as_str().unwrap())
        .collect();
    ids.dedup();
    assert_eq!(ids, [US, CA, MX]);
    assert!(!all.body.to_string().to_lowercase().contains("buyer"));

    let included = [
        after,
        ("marketplaceIds", US),
        ("includedData", "BUYER,RECIPIENT,PROCEEDS,FULFILLMENT"),
    ];
    let shown = world.call(&token, ORDERS_2026, &included).await;
    let order = &shown.body["orders"][0];
    let seller = &world.seller(1).seller_id;
    assert!(
        order["buyer"]["buyerName"]
            .as_str()
            .unwrap()
            .contains(seller)
    );
    assert!(
        order["recipient"]["deliveryAddress"]["name"]
            .as_str()
            .unwrap()
            .contains(seller)
    );
    assert_eq!(order["proceeds"]["grandTotal"]["currencyCode"], "USD");
    assert_eq!(order["fulfillment"]["fulfillmentStatus"], "UNSHIPPED");

    let id = order["orderId"].as_str().unwrap();
    let one = world
        .call(&token, &format!("{ORDERS_2026}/{id}"), &[])
        .await;
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
    assert_eq!(
        texts(&mugs.body["items"], "asin"),
        [asin(1, marketplace(MX), 1), asin(1, marketplace(MX), 2)]
    );
    let summary = &mugs.body["items"][0]["summaries"][0];
    assert_eq!(summary["marketplaceId"], MX);
    let name = summary["itemName"].as_str().unwrap();
    assert!(name.contains(MX) && name.contains(&world.seller(1).seller_id));

    let id = asin(1, marketplace(US), 2);
    let by_asin = search(&[
        ("marketplaceIds", US),
        ("identifiers", &id),
        ("identifiersType", "ASIN"),
    ])
    .await;
    assert_eq!(texts(&by_asin.body["items"], "asin"), [id.as_str()]);
    let sku = format!("{}-US-2", world.seller(1).seller_id);
    let by_sku = search(&[
        ("marketplaceIds", US),
        ("identifiers", &sku),
        ("identifiersType", "SKU"),
    ])
    .await;
    assert_eq!(by_sku.body["items"], by_asin.body["items"]);
    let one = [
        ("marketplaceIds", US),
        ("includedData", "identifiers,productTypes"),
    ];
    let one = world.call(&token, &format!("{ITEMS}/{id}"), &one).await;
    assert_eq!(
        one.body["identifiers"][0]["identifiers"][0]["identifier"],
        sku.as_str()
    );
    assert!(one.body.get("summaries").is_none());
    assert_eq!(one.header("x-amzn-ratelimit-limit"), Some("2.0"));

    let both = format!("{US},{CA}");
    for parameters in [
        &[("keywords", "mug")][..],
        &[("marketplaceIds", US)],
        &[("marketplaceIds", &both), ("keywords", "mug")],
        &[("marketplaceIds", US), ("identifiers", &id)],
        &[
            ("marketplaceIds", US),
            ("identifiers", &id),
            ("identifiersType", "SHOE_SIZE"),
        ],
        &[
            ("marketplaceIds", US),
            ("identifiers", &id),
            ("identifiersType", "ASIN"),
            ("keywords", "mug"),
        ],
        &[
            ("marketplaceIds", US),
            ("keywords", "mug"),
            ("pageToken", "x"),
        ],
    ] {
        assert_eq!(
            search(parameters).await.refusal(),
            (400, "InvalidInput", ""),
            "{parameters:?}"
        );
    }
    let elsewhere = world
        .call(&token, &format!("{ITEMS}/{id}"), &[("marketplaceIds", CA)])
        .await;
    assert_eq!(elsewhere.refusal(), (404, "NotFound", ""));
    let other = world
        .call(
            &world.token(2).await,
            &format!("{ITEMS}/{id}"),
            &[("marketplaceIds", US)],
        )
        .await;
    assert_eq!(other.refusal(), (404, "NotFound", ""));
}

#[tokio::test]
async fn a_request_out_of_form_is_refused_before_its_content() {
    let world = World::new().await;
    let token = world.token(1).await;
    let request = || {
        world
            .get(PARTICIPATIONS)
            .header("x-amz-access-token", &token)
    };
    let twice = world
        .get("/orders/v0/orders/101%252D1")
        .header("x-amz-access-token", &token);
    for wrong in [
        request().body("{}"),
        request().header("user-agent", "x".repeat(501)),
        twice,
    ] {
        assert_eq!(send(wrong).await.refusal(), (400, "InvalidInput", ""));
    }
    assert_eq!(
        send(request().header("user-agent", "x".repeat(500)))
            .await
            .status,
        200
    );
}
