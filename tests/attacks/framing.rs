//! Requests that two servers might read differently, and requests that are too much.

use crds::AmazonConnection;
use openteam_end_to_end::{eventually, house};
use serde_json::json;

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
fn a_request_without_a_host_or_with_another_targets_form_is_refused_on_every_route() {
    let house = house();
    let tenant = house.tenant("hostless");
    let token = tenant.agent_token();
    let auth = format!("x-amz-access-token: {token}\r\nConnection: close\r\n");
    let gateway = house.gateway(0);
    let host = gateway.host();
    let form = format!("grant_type=refresh_token&refresh_token=hostless/{}~{token}", tenant.connection);
    let post = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    for request in [
        format!("GET /orders/v0/orders?mark=hostless HTTP/1.1\r\n{auth}\r\n"),
        format!("GET /openteam/v1/connections HTTP/1.1\r\n{auth}\r\n"),
        format!("GET https://{host}/openteam/v1/connections HTTP/1.1\r\nHost: {host}\r\n{auth}\r\n"),
        format!("GET /openteam/v1/connections HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n{auth}\r\n"),
        format!("POST /auth/o2/token HTTP/1.1\r\n{post}"),
        format!("POST https://{host}/auth/o2/token HTTP/1.1\r\nHost: {host}\r\n{post}"),
        format!("POST /auth/o2/token HTTP/1.1\r\nHost: {host}\r\nHost: elsewhere\r\n{post}"),
    ] {
        refused(&gateway.raw(request.as_bytes()), 400, "BadRequest");
    }
    assert_eq!(house.amazon().heard("mark=hostless"), []);
}

#[test]
fn a_folded_header_is_refused() {
    let house = house();
    let tenant = house.tenant("folded");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    for fold in ["\r\n ", "\r\n\t", "\n "] {
        for headers in [
            format!("x-amz-access-token: {token}\r\nAccept-Language: en{fold}x-amz-access-token: x\r\n"),
            format!("x-amz-access-token:{fold}{token}\r\n"),
            format!("OpenTeam-Connection: {}{fold}\r\nx-amz-access-token: {token}\r\n", tenant.connection),
        ] {
            let answer = gateway.raw(orders(&gateway, "folded", &headers).as_bytes());
            assert_eq!(answer.status(), 400, "{headers:?}: {}", answer.text);
        }
    }
    assert_eq!(house.amazon().heard("mark=folded"), []);
}

#[test]
fn lines_that_end_in_a_bare_line_feed_hide_nothing() {
    let house = house();
    let tenant = house.tenant("feeds");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let inner = orders(&gateway, "feeds-inner", &auth);
    // Whoever takes only CR LF for a line's end sees no Content-Length, or no Transfer-Encoding, in these.
    for hidden in [
        format!("X: y\nContent-Length: {}\r\n", inner.len()),
        "X: y\nTransfer-Encoding: chunked\r\n".to_owned(),
        format!("Content-Length: {}\nTransfer-Encoding: chunked\r\n", inner.len()),
    ] {
        let outer = orders(&gateway, "feeds-outer", &format!("{auth}{hidden}")).replace("Connection: close\r\n", "");
        let answer = gateway.raw(format!("{outer}{inner}").as_bytes());
        assert!(answer.statuses().iter().all(|status| (400..500).contains(status)), "{hidden:?}: {}", answer.text);
    }
    // Bare throughout it is one request, and goes on as it should have been written.
    let bare = orders(&gateway, "feeds-bare", &auth).replace("\r\n", "\n");
    let status = gateway.raw(bare.as_bytes()).status();
    let heard = house.amazon().heard("mark=feeds-bare");
    assert_eq!((status, heard.len()), (200, 1));
    assert!(heard[0].headers.iter().all(|(name, value)| !name.contains('\n') && !value.contains('\n')), "{heard:?}");
    // A chunk's extension is where a bare line feed hides the length of the next (CVE-2025-22871 and its kin).
    let chunks = "5;\n\r\nhello\r\n0\r\n\r\n";
    let post = format!("POST /auth/o2/token HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", gateway.host());
    let answer = gateway.raw(format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunks}{inner}").as_bytes());
    assert!(answer.statuses().iter().all(|status| *status == 400), "{}", answer.text);
    for mark in ["mark=feeds-inner", "mark=feeds-outer"] {
        assert_eq!(house.amazon().heard(mark), []);
    }
}

#[test]
fn a_nul_or_a_bare_carriage_return_is_refused_wherever_it_stands() {
    let house = house();
    let tenant = house.tenant("nuls");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let good = orders(&gateway, "nuls", &auth);
    for evil in ["\0", "\r"] {
        for (place, with) in [
            ("GET ", format!("GET{evil} ")),
            ("/orders/v0", format!("/orders{evil}/v0")),
            ("mark=", format!("mark={evil}")),
            (" HTTP/1.1", format!(" HTTP/1.1{evil}")),
            ("Host", format!("Ho{evil}st")),
            ("Host: ", format!("Host: {evil}")),
            ("x-amz-access-token: ", format!("x-amz-access-token: {evil}")),
            ("Connection: close", format!("Connection: close{evil}X")),
        ] {
            let request = good.replacen(place, &with, 1);
            assert_ne!(request, good);
            let answer = gateway.raw(request.as_bytes());
            assert!(answer.statuses().iter().all(|status| (400..500).contains(status)), "{with:?}: {}", answer.text);
        }
    }
    assert_eq!(house.amazon().heard("nuls"), []);
    assert_eq!(gateway.raw(good.as_bytes()).status(), 200);
}

#[test]
fn http_0_9_and_http_2_are_no_requests() {
    let house = house();
    let tenant = house.tenant("versions");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let good = orders(&gateway, "versions", &auth);
    let target = good.split(' ').nth(1).unwrap();
    for request in [
        format!("GET {target}\r\n\r\n"),
        format!("GET {target}\r\n{auth}\r\n"),
        good.replacen("HTTP/1.1", "HTTP/0.9", 1),
        good.replacen("HTTP/1.1", "HTTP/1.2", 1),
        good.replacen("HTTP/1.1", "HTTP/2", 1),
        good.replacen("HTTP/1.1", "HTTP/2.0", 1),
        good.replacen("HTTP/1.1", "ICY/1.1", 1),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{good}"),
    ] {
        let answer = gateway.raw(request.as_bytes());
        assert!(answer.statuses().iter().all(|status| (400..500).contains(status)), "{request}: {}", answer.text);
    }
    assert_eq!(house.amazon().heard("versions"), []);
}

#[test]
fn an_http_1_0_request_leaves_as_http_1_1_and_hides_no_second() {
    let house = house();
    let tenant = house.tenant("old");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let old = |mark: &str, headers: &str| {
        orders(&gateway, mark, &format!("{auth}{headers}")).replacen("HTTP/1.1", "HTTP/1.0", 1)
    };
    let inner = orders(&gateway, "old-inner", &auth);
    // RFC 9112 §6.1: a Transfer-Encoding in HTTP/1.0 is faulty framing.
    let answer = gateway.raw(format!("{}{inner}", old("old-outer", "Transfer-Encoding: chunked\r\n")).as_bytes());
    assert!(answer.statuses().iter().all(|status| (400..500).contains(status)), "{}", answer.text);
    assert_eq!(gateway.raw(old("old-alone", "").as_bytes()).status(), 200);
    let heard = house.amazon().heard("mark=old-");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].line.contains("old-alone") && heard[0].line.ends_with(" HTTP/1.1"), "{heard:?}");
}

#[test]
fn each_request_on_a_connection_is_decided_by_its_own_credential() {
    let house = house();
    let tenant = house.tenant("pipeline");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let kept = |mark: &str, headers: &str| orders(&gateway, mark, headers).replace("Connection: close\r\n", "");
    let all = [
        kept("pipeline-1", &auth),
        kept("pipeline-2", ""),
        kept("pipeline-3", &auth),
        orders(&gateway, "pipeline-4", "x-amz-access-token: otga_AAAA\r\n"),
        kept("pipeline-5", &auth),
    ];
    let answer = gateway.raw(all.concat().as_bytes());
    // The fourth asked for the end of the connection: nothing after it is a request.
    assert_eq!(answer.statuses(), [200, 403, 200, 403], "{}", answer.text);
    let heard = house.amazon().heard("mark=pipeline-");
    let marks: Vec<bool> = ["1", "2", "3", "4", "5"]
        .iter()
        .map(|number| heard.iter().any(|one| one.target().contains(&format!("pipeline-{number}"))))
        .collect();
    assert_eq!(marks, [true, false, true, false, false], "{heard:?}");
}

#[test]
fn a_method_that_the_path_does_not_have_is_refused() {
    let house = house();
    let tenant = house.tenant("methods");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let served = || gateway.raw(orders(&gateway, "served", &auth).as_bytes()).status() == 200;
    eventually("the method that it has is served", || served().then_some(()));
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "get", "Get", "GETS", "PROPFIND", "PURGE", "M-SEARCH"] {
        let request = orders(&gateway, "methods", &auth).replacen("GET", method, 1);
        let answer = gateway.raw(request.as_bytes());
        assert_eq!(answer.status(), 403, "{method}: {}", answer.text);
        let says = format!("{method} on this path is no Selling Partner API operation that OpenTeam knows");
        let told = answer.has_code("OperationUnknown") && answer.text.contains(&says);
        assert!(method == "HEAD" || told, "{method}: {}", answer.text);
    }
    for (path, method) in [("/openteam/v1/connections", "POST"), ("/auth/o2/token", "GET"), ("/auth/o2/token", "PUT")] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{auth}Connection: close\r\n", gateway.host());
        let answer = gateway.raw(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
        assert!((400..500).contains(&answer.status()), "{method} {path}: {}", answer.text);
    }
    assert_eq!(house.amazon().heard("mark=methods"), []);
}

#[test]
fn a_get_carries_no_body() {
    let house = house();
    let tenant = house.tenant("bodies");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    for (head, body) in [
        ("Content-Length: 4\r\n", "\r\n\r\n"),
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
    let target = orders(&gateway, &format!("large-{}", "x".repeat(70_000)), &auth);
    let answer = gateway.raw(target.as_bytes());
    assert!(answer.statuses().iter().all(|status| matches!(status, 400 | 414 | 431)), "{}", answer.text);
    let length = 2 * 1024 * 1024;
    let post = format!(
        "POST /feeds/2021-06-30/feeds?mark=large HTTP/1.1\r\nHost: {}\r\n{auth}Connection: close\r\nContent-Length: {length}\r\n\r\n",
        gateway.host()
    );
    let answer = gateway.raw(format!("{post}{}", "x".repeat(length)).as_bytes());
    assert!(answer.statuses().iter().all(|status| *status == 403), "{}", answer.text);
    assert_eq!(house.amazon().heard("mark=large"), []);
}

#[test]
fn a_body_of_more_than_1_mib_is_refused_however_its_length_is_told() {
    const LIMIT: usize = 1024 * 1024;
    // An operation that takes a body, changes nothing, and names no marketplace: the connection opens it by its full name.
    const OPERATION: &str = "amazon-warehousing-and-distribution/2024-05-09/checkInboundEligibility";
    let house = house();
    let tenant = house.tenant("bulky");
    let rules = json!({ "spec": { "operations": { "allow": ["read", OPERATION] } } });
    house.patch::<AmazonConnection>("bulky", &tenant.connection, &rules);
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let post = |mark: &str, head: &str, body: &str| {
        let target = format!("/awd/2024-05-09/inboundEligibility?mark={mark}");
        let host = gateway.host();
        let text = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n{head}\r\n{body}");
        gateway.raw(text.as_bytes())
    };
    // With an end by which the tapped line knows the next request.
    let bytes = |length: usize| format!("{}\r\n\r\n", "x".repeat(length - 4));
    let announced = |length: usize| (format!("Content-Length: {length}\r\n"), bytes(length));
    // Not a byte more is sent than the gateway reads, the last chunk neither: a reset would overtake its answer.
    let chunked =
        |length: usize| ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{length:x}\r\n{}", bytes(length)));
    eventually("the operation is open", || {
        (!post("bulky-small", "Content-Length: 2\r\n", "{}").has_code("NotYetCheckable")).then_some(())
    });
    for (head, body) in [announced(LIMIT + 1), chunked(LIMIT + 1)] {
        let answer = post("bulky-large", &head, &body);
        refused(&answer, 413, "BodyTooLarge");
        assert!(answer.text.contains("the request's body is larger than 1 MiB"), "{}", answer.text);
    }
    assert_eq!(house.amazon().heard("mark=bulky-large"), []);
    // To the byte.
    let (head, body) = chunked(LIMIT);
    for (mark, head, body) in [
        ("bulky-announced", announced(LIMIT).0, announced(LIMIT).1),
        ("bulky-chunked", head, format!("{body}\r\n0\r\n\r\n")),
    ] {
        let answer = post(mark, &head, &body);
        assert!(!answer.has_code("BodyTooLarge"), "{}", answer.text);
        assert_eq!(house.amazon().heard(&format!("mark={mark}")).len(), 1, "{}", answer.text);
    }
}
