//! What goes through to Amazon, and what comes back.

use openteam_end_to_end::house;

use crate::orders;

/// Everything that Amazon may hear in a GET.
const HEARD: [&str; 7] =
    ["accept", "accept-encoding", "accept-language", "host", "user-agent", "x-amz-access-token", "x-amz-date"];

#[test]
fn amazon_hears_nothing_but_what_is_its_business() {
    let house = house();
    let tenant = house.tenant("through");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let headers = format!(
        "x-amz-access-token: {token}\r\nAccept: application/json\r\nAccept-Language: en\r\nUser-Agent: mine\r\n\
         Cookie: session=1\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\n\
         Keep-Alive: timeout=5\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil.example\r\n\
         X-Amz-Security-Token: x\r\nX-Amz-Date: 20000101T000000Z\r\nVia: 1.1 x\r\nReferer: https://me.example\r\n\
         X-Original-URL: /x\r\nX-HTTP-Method-Override: DELETE\r\nOpenTeam-Connection: {}\r\nX-Anything: x\r\n",
        tenant.connection
    );
    let answer = gateway.raw(orders(&gateway, "through", &headers).as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.text);
    let heard = house.amazon().heard("mark=through");
    let [request] = heard.as_slice() else { panic!("one request: {heard:?}") };
    for (name, _) in &request.headers {
        assert!(HEARD.contains(&name.as_str()), "{name} reached Amazon");
    }
    assert_eq!(request.all("host"), [house.amazon().url().replace("https://", "")]);
    let [amazons] = *request.all("x-amz-access-token") else { panic!("one token") };
    assert!(amazons.starts_with("Atza|") && !amazons.contains(&token));
    let [agent] = *request.all("user-agent") else { panic!("one user agent") };
    assert!(agent.starts_with("OpenTeam") && agent.len() <= 500, "{agent}");
    assert_ne!(request.all("x-amz-date"), ["20000101T000000Z"]);

    // Back comes Amazon's answer, to be kept by nobody.
    let head = answer.text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    assert!(head.contains("cache-control: no-store") && head.contains("x-amzn-requestid: "), "{head}");
    assert!(!head.contains("set-cookie"), "{head}");
}

#[test]
fn a_header_with_a_line_end_in_it_is_no_header() {
    let house = house();
    let tenant = house.tenant("lines");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    for value in ["en\nx-amz-access-token: x", "en\rX: y", "en\0"] {
        let headers = format!("x-amz-access-token: {token}\r\nAccept-Language: {value}\r\n");
        let answer = gateway.raw(orders(&gateway, "lines", &headers).as_bytes());
        // A bare line feed ends a line to a lenient server; then that is a second credential.
        assert_eq!(answer.status(), 400, "{value:?}: {}", answer.text);
    }
    assert_eq!(house.amazon().heard("mark=lines"), []);
}

#[test]
fn a_caller_cannot_have_our_own_headers_taken_for_hop_by_hop() {
    let house = house();
    let tenant = house.tenant("hops");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    // A proxy that honours the list (RFC 9110 §7.6.1) takes out what it names, also what it had added itself.
    let listed = "Connection: close, x-amz-access-token, x-amz-date, host, user-agent, content-length\r\n";
    let request = orders(&gateway, "hops", &format!("x-amz-access-token: {token}\r\nProxy-Connection: x\r\n"));
    let answer = gateway.raw(request.replace("Connection: close\r\n", listed).as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.text);
    let heard = house.amazon().heard("mark=hops");
    let [request] = heard.as_slice() else { panic!("one request: {heard:?}") };
    for header in ["x-amz-access-token", "x-amz-date", "host", "user-agent"] {
        assert_eq!(request.all(header).len(), 1, "{header}: {request:?}");
    }
    for header in ["connection", "proxy-connection"] {
        assert!(request.all(header).is_empty(), "{header}: {request:?}");
    }
}
