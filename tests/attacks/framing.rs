//! Requests that two servers might read differently, and requests that are too much.

use openteam_end_to_end::house;

use crate::{orders, refused};

#[test]
fn a_smuggled_request_is_never_carried_out() {
    let house = house();
    let tenant = house.tenant("smuggle");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let host = gateway.host();
    let inner = orders(&gateway, "smuggled", &auth);
    let length = inner.len();
    let heads = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: {length}, 0\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: {length}\r\n"),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked\r\n".to_owned(),
    ];
    for method in ["GET", "POST"] {
        for head in &heads {
            let outer =
                format!("{method} /orders/v0/orders?mark=outer HTTP/1.1\r\nHost: {host}\r\n{auth}{head}\r\n0\r\n\r\n");
            let answer = gateway.raw(format!("{outer}{inner}").as_bytes());
            let statuses = answer.statuses();
            assert!(!statuses.is_empty(), "{method} {head}: no answer");
            assert!(statuses.iter().all(|status| (400..500).contains(status)), "{method} {head}: {}", answer.text);
        }
    }
    assert_eq!(house.amazon().heard("mark=smuggled"), []);
    assert_eq!(house.amazon().heard("mark=outer"), []);
}

#[test]
fn a_request_names_its_host_once_and_a_path() {
    let house = house();
    let tenant = house.tenant("hosts");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let host = gateway.host();
    let twice = orders(&gateway, "hosts", &format!("{auth}Host: sellingpartnerapi-eu.amazon.com\r\n"));
    refused(&gateway.raw(twice.as_bytes()), 400, "BadRequest");
    for target in [
        "https://sellingpartnerapi-eu.amazon.com/orders/v0/orders?mark=hosts",
        &format!("https://{host}/orders/v0/orders?mark=hosts"),
        "http://169.254.169.254/latest/meta-data?mark=hosts",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n");
        refused(&gateway.raw(request.as_bytes()), 400, "BadRequest");
    }
    for request in [
        format!(
            "CONNECT sellingpartnerapi-eu.amazon.com:443 HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n"
        ),
        format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n"),
        format!("TRACE /orders/v0/orders?mark=hosts HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n"),
    ] {
        let answer = gateway.raw(request.as_bytes());
        assert!((400..500).contains(&answer.status()), "{}", answer.text);
        assert!(!answer.text.contains(&auth), "nothing is sent back: {}", answer.text);
    }
    assert_eq!(house.amazon().heard("mark=hosts"), []);
}

#[test]
fn a_get_carries_no_body() {
    let house = house();
    let tenant = house.tenant("bodies");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    for (head, body) in [
        ("Content-Length: 2\r\n", "{}"),
        ("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ] {
        let request = orders(&gateway, "bodies", &format!("{auth}{head}"));
        refused(&gateway.raw(format!("{request}{body}").as_bytes()), 400, "BadRequest");
    }
    assert_eq!(house.amazon().heard("mark=bodies"), []);
}

#[test]
fn what_is_too_large_is_refused() {
    let house = house();
    let tenant = house.tenant("large");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let many: String = (0..2000).map(|number| format!("x-{number}: y\r\n")).collect();
    assert_eq!(gateway.raw(orders(&gateway, "large", &format!("{auth}{many}")).as_bytes()).status(), 431);
    // Where the gateway closes before it has read everything, a reset may overtake its answer: then there is none.
    let header = format!("{auth}X-Padding: {}\r\n", "x".repeat(256 * 1024));
    let answer = gateway.raw(orders(&gateway, "large", &header).as_bytes());
    assert!(answer.statuses().iter().all(|status| *status == 431), "{}", answer.text);
    let length = 2 * 1024 * 1024;
    let post = format!(
        "POST /feeds/2021-06-30/feeds?mark=large HTTP/1.1\r\nHost: {}\r\n{auth}Connection: close\r\nContent-Length: {length}\r\n\r\n",
        gateway.host()
    );
    let answer = gateway.raw(format!("{post}{}", "x".repeat(length)).as_bytes());
    assert!(answer.statuses().iter().all(|status| *status == 403), "{}", answer.text);
    assert_eq!(house.amazon().heard("mark=large"), []);
}
