//! Answers of Amazon's that are passed on, answers of ours for what is not served yet, and what is counted of both.

use amazon_emulator::Change;
use crds::{AmazonConnection, Scope};
use openteam_end_to_end::{US, eventually, house};
use serde_json::json;

#[test]
fn amazons_own_429_is_passed_on_as_it_is() {
    let house = house();
    let tenant = house.tenant("quota");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    let throttled = [(tenant.seller.seller_id.clone(), 1)].into();
    house.amazon().switches().apply(Change { throttled, ..Change::default() }).unwrap();
    let answer = gateway.call(&token).orders(US);
    answer.is_refused(429, "QuotaExceeded");
    assert!(answer.headers.contains_key("x-amzn-requestid"), "{:?}", answer.headers);
    gateway.call(&token).orders(US).is_served();
}

#[test]
fn what_a_later_release_serves_is_refused_with_a_word() {
    let house = house();
    let tenant = house.tenant("later");
    let all = ["read", "write", "financial", "restricted"];
    let rules = json!({ "spec": { "operations": { "allow": all } } });
    house.patch::<AmazonConnection>("later", &tenant.connection, &rules);
    tenant.grant("agent", &Scope { ..tenant.scope_allowing(&all) });
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let ask = |method: &str, target: &str, body: &str, headers: &str| {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{length}{headers}\r\n{body}",
            gateway.host()
        );
        gateway.raw(text.as_bytes())
    };
    let authorization = format!("x-amz-access-token: {token}\r\n");
    let listing = format!("/listings/2021-08-01/items/{}/sku?marketplaceIds={US}&mark=later", tenant.seller.seller_id);
    for (method, target, body, word) in [
        ("POST", "/feeds/2021-06-30/feeds?mark=later", "{}", "its marketplace is in the request's body"),
        ("PUT", &listing, "{}", "it writes"),
        ("GET", "/orders/v0/orders/101-0000001-0000001/address?mark=later", "", "names no marketplace"),
        (
            "GET",
            &format!(
                "/orders/2026-01-01/orders?marketplaceIds={US}&createdAfter=2026-01-01T00:00:00Z&includedData=BUYER&mark=later"
            ),
            "",
            "personal data",
        ),
    ] {
        let answer = eventually("the wide rules are known", || {
            let answer = ask(method, target, body, &authorization);
            (!answer.has_code("OperationNotAllowed")).then_some(answer)
        });
        assert_eq!(answer.status(), 403, "{}", answer.text);
        assert!(answer.has_code("NotYetCheckable") && answer.text.contains(word), "{word}: {}", answer.text);
    }
    for (method, body) in [("GET", ""), ("POST", "{}")] {
        let answer = ask(method, "/mcp", body, &authorization);
        assert_eq!(answer.status(), 501, "{}", answer.text);
        assert!(answer.has_code("NotServedYet") && answer.text.contains("Model Context Protocol"), "{}", answer.text);
    }
    let exchange = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={token}&resource=later-na"
    );
    let answer = ask("POST", "/auth/o2/token", &exchange, "Content-Type: application/x-www-form-urlencoded\r\n");
    assert_eq!(answer.status(), 400, "{}", answer.text);
    assert!(answer.text.contains("unsupported_grant_type") && answer.text.contains("RFC 8693"), "{}", answer.text);
    assert_eq!(house.amazon().heard("mark=later"), []);
}

#[test]
fn calls_are_counted_by_what_became_of_them_and_by_nothing_that_names_anyone() {
    let house = house();
    let tenant = house.tenant("counted");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    gateway.call(&token).orders("A1PA6795UKMFR9").is_refused(403, "MarketplaceNotInScope");
    gateway.call("garbage").orders(US).is_refused(403, "Unauthorized");
    assert_eq!(gateway.exchange(&format!("counted/counted-na~{token}")).status, 200);
    assert_eq!(gateway.call(&token).get("/openteam/v1/connections").status, 200);
    let metrics = house.metrics("openteam-gateway-0");
    for line in [
        "openteam_gateway_requests_total{route=\"sp_api\",outcome=\"served\"} ",
        "openteam_gateway_requests_total{route=\"sp_api\",outcome=\"MarketplaceNotInScope\"} ",
        "openteam_gateway_requests_total{route=\"sp_api\",outcome=\"TokenInvalid\"} ",
        "openteam_gateway_requests_total{route=\"token\",outcome=\"served\"} ",
        "openteam_gateway_requests_total{route=\"connections\",outcome=\"served\"} ",
        "openteam_gateway_request_duration_seconds_count{route=\"sp_api\"} ",
        "openteam_gateway_in_flight ",
        "openteam_lwa_refreshes_total{outcome=\"ok\"} ",
        "openteam_view_age_seconds{kind=\"AmazonConnection\"} ",
        "openteam_view_objects{kind=\"AmazonConnection\",parsed=\"true\"} ",
    ] {
        let found = metrics.lines().find_map(|told| told.strip_prefix(line));
        let value: f64 = found.unwrap_or_else(|| panic!("{line} in {metrics}")).parse().unwrap();
        assert!(value > 0.0 || line.contains("in_flight"), "{line}{value}");
    }
    assert!(!metrics.contains("counted"), "no object has a name in the metrics");
}
