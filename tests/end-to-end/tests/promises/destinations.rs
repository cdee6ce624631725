//! Promise 7: calls go to the endpoint and marketplaces that OpenTeam states, byte for byte; nothing is guessed.

use crds::{AmazonApplication, AmazonConnection, Region};
use openteam_end_to_end::{DE, MX, US, eventually, house};

#[test]
fn promise_7_a_marketplace_that_is_not_named_and_in_scope_never_reaches_amazon() {
    let house = house();
    let tenant = house.tenant("places");
    let token = tenant.agent_token();
    for (gateway, mark) in house.gateways().iter().zip(["places-0", "places-1"]) {
        let refused = |query: &str, status: u16, code: &str| {
            let path = format!("/orders/v0/orders?CreatedAfter=2020-01-01T00:00:00Z&mark={mark}{query}");
            gateway.call(&token).get(&path).is_refused(status, code);
        };
        refused("", 400, "MarketplaceMissing");
        refused("&MarketplaceIds=", 400, "MarketplaceMissing");
        refused("&MarketplaceIds=AZZZZZZZZZZZZZ", 403, "MarketplaceNotInScope");
        refused(&format!("&MarketplaceIds={DE}"), 403, "MarketplaceNotInScope");
        refused(&format!("&MarketplaceIds={MX}"), 403, "MarketplaceNotInScope");
        // Every spelling, form and place counts, whichever of them Amazon would read.
        refused(&format!("&MarketplaceIds={US}%2C{MX}"), 403, "MarketplaceNotInScope");
        refused(&format!("&MarketplaceIds={US}&MarketplaceIds={MX}"), 403, "MarketplaceNotInScope");
        refused(&format!("&MarketplaceIds={US}&marketplace_ids={MX}"), 403, "MarketplaceNotInScope");
        refused(&format!("&%4DarketplaceIds={MX}"), 403, "MarketplaceNotInScope");
        refused("&MarketplaceIds=everywhere", 400, "InvalidQuery");
        assert_eq!(house.amazon().heard(mark), []);
        // The same call with a marketplace in scope does.
        let path = format!("/orders/v0/orders?CreatedAfter=2020-01-01T00:00:00Z&mark={mark}&MarketplaceIds={US}");
        gateway.call(&token).get(&path).is_served();
        assert_eq!(house.amazon().heard(mark).len(), 1);
    }
}

#[test]
fn promise_7_what_is_no_operation_or_cannot_be_tied_to_a_marketplace_never_reaches_amazon() {
    let house = house();
    let tenant = house.tenant("unserved");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let refused = |path: &str, code: &str, message: &str| {
        let answer = gateway.call(&token).get(path);
        answer.is_refused(403, code);
        assert_eq!(answer.message(), message);
    };
    let unknown = "GET on this path is no Selling Partner API operation that OpenTeam knows";
    refused("/unserved", "OperationUnknown", unknown);
    refused("/orders/v9/unserved", "OperationUnknown", unknown);
    refused("/Orders/v0/orders?mark=unserved", "OperationUnknown", unknown);
    let never = "notifications/v1/getDestinations is never served through OpenTeam: it acts for the application, not for \
                 one seller";
    refused("/notifications/v1/destinations?mark=unserved", "OperationNeverServed", never);
    // It names no marketplace, and the seller is in one more than the caller.
    let unchecked = "orders/v0/getOrder is not yet checkable: it names no marketplace, and the caller's scope is narrower \
                     than the seller's marketplaces; the connection's operations.allow may open it by its full name";
    refused("/orders/v0/orders/101-0000001-0000001?mark=unserved", "NotYetCheckable", unchecked);
    assert_eq!(house.amazon().heard("unserved"), []);
}

#[test]
fn promise_7_path_and_query_arrive_at_amazon_byte_for_byte() {
    let house = house();
    let tenant = house.tenant("bytes");
    let token = tenant.agent_token();
    let gateway = house.gateway(1);
    let target = format!(
        "/catalog/2022-04-01/items/B%2fytes%20c;v=1+%C3%A9:@?keywords=a+b%20c%2B&x=%e2%82%ac&marketplaceIds={US}&="
    );
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nx-amz-access-token: {token}\r\nConnection: close\r\n\r\n",
        gateway.host()
    );
    let answer = gateway.raw(request.as_bytes());
    assert_eq!(answer.status(), 404, "Amazon has no such item: {}", answer.text);
    let heard = house.amazon().heard("B%2fytes");
    assert_eq!(heard.iter().map(|one| one.line.as_str()).collect::<Vec<_>>(), [format!("GET {target} HTTP/1.1")]);
}

#[test]
fn promise_7_the_status_states_the_endpoint_that_is_called() {
    let house = house();
    let tenant = house.tenant("endpoint");
    let endpoint = |name: &str| {
        eventually("the endpoint is stated", || house.read::<AmazonConnection>("endpoint", name).status?.endpoint)
    };
    assert_eq!(endpoint(&tenant.connection), house.amazon().url());
    let host = house.amazon().url().replace("https://", "");
    let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark=endpoint");
    house.gateway(0).call(&tenant.agent_token()).get(&path).is_served();
    assert_eq!(house.amazon().heard("mark=endpoint")[0].all("host"), [host]);

    // Amazon's own addresses by region, for an application that names none. Nothing is called: nothing is sealed.
    let application: AmazonApplication = house.read("endpoint", "amazon");
    let mut own = AmazonApplication::new("own", application.spec);
    own.metadata.namespace = Some("endpoint".to_owned());
    own.spec.endpoints = None;
    house.apply(&own);
    let connection: AmazonConnection = house.read("endpoint", &tenant.connection);
    for (name, region, marketplace, sandbox, stated) in [
        ("na", Region::Na, US, false, "https://sellingpartnerapi-na.amazon.com"),
        ("eu", Region::Eu, DE, false, "https://sellingpartnerapi-eu.amazon.com"),
        ("fe", Region::Fe, "A1VC38T7YXB528", true, "https://sandbox.sellingpartnerapi-fe.amazon.com"),
    ] {
        let mut other = AmazonConnection::new(name, connection.spec.clone());
        other.metadata.namespace = Some("endpoint".to_owned());
        other.spec.application_ref.name = "own".to_owned();
        other.spec.region = region;
        other.spec.marketplace_ids = vec![marketplace.to_owned()];
        other.spec.sandbox = sandbox;
        house.apply(&other);
        assert_eq!(endpoint(name), stated);
    }
}
