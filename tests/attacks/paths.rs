//! Paths that mean something else to whoever decodes or tidies them.

use openteam_end_to_end::{US, house};

use crate::refused;

#[test]
fn a_path_in_disguise_is_refused() {
    let house = house();
    let tenant = house.tenant("paths");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let get = |path: &str| {
        let query = format!("MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark=paths");
        let request = format!(
            "GET {path}?{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nx-amz-access-token: {token}\r\n\r\n",
            gateway.host()
        );
        gateway.raw(request.as_bytes())
    };
    for path in [
        "/orders/v0/orders/..",
        "/orders/v0/orders/../orders",
        "/orders/v0/orders/%2e%2e",
        "/orders/v0/orders/%2E%2e/orders",
        "/orders/v0/orders/.%2e",
        "/orders/v0/orders/%252e%252e",
        "/orders/v0/orders/..;/orders",
        "/./orders/v0/orders",
        "//orders/v0/orders",
        "/orders//v0/orders",
        "/orders/v0/orders/",
        "/orders/v0/orders/1%2Faddress",
        "/orders/v0/orders/1%252Faddress",
        "/orders/v0/orders/1%00",
        "/orders/v0/orders/1%0d%0aHost:x",
        "/orders/v0/orders/%ff",
        "/orders/v0/orders/%",
    ] {
        refused(&get(path), 400, "InvalidPath");
    }
    for path in ["/orders%2Fv0%2Forders", "/%6Frders/v0/orders", "/ORDERS/v0/orders", "/orders/v0/orders;x=1"] {
        refused(&get(path), 403, "OperationUnknown");
    }
    for path in ["/openteam/v1/connections/..", "/openteam/v1/../v1/connections", "//auth/o2/token", "/auth/o2/token/"]
    {
        let answer = get(path);
        assert!((400..500).contains(&answer.status()), "{path}: {}", answer.text);
    }
    assert_eq!(house.amazon().heard("mark=paths"), []);
    assert_eq!(get("/orders/v0/orders").status(), 200, "the same request with an honest path");
}
