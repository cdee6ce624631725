//! Leaving HTTP/1.1 by the back door: upgrades, tunnels, expectations, trailers.

use openteam_end_to_end::house;

use crate::orders;

#[test]
fn an_upgrade_is_not_taken_up_and_not_passed_on() {
    let house = house();
    let tenant = house.tenant("upgrades");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let inner = orders(&gateway, "upgrades-inner", &auth);
    for (number, headers) in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n",
        "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("upgrades-{number}");
        // What follows an upgrade that was taken up would be another protocol's; here it is the next request.
        let outer = orders(&gateway, &mark, &format!("{auth}{headers}")).replace("Connection: close\r\n", "");
        let answer = gateway.raw(format!("{outer}{inner}").as_bytes());
        assert_eq!(answer.statuses(), [200, 200], "{headers}: {}", answer.text);
        let heard = house.amazon().heard(&format!("mark={mark}"));
        assert_eq!(heard.len(), 1, "{headers}");
        for header in ["connection", "upgrade", "http2-settings", "sec-websocket-key", "capsule-protocol"] {
            assert_eq!(heard[0].all(header), Vec::<&str>::new(), "{header}");
        }
    }
}

#[test]
fn a_tunnel_is_never_opened() {
    let house = house();
    let tenant = house.tenant("tunnels");
    let auth = format!("x-amz-access-token: {}\r\n", tenant.agent_token());
    let gateway = house.gateway(0);
    let host = gateway.host();
    let inner = orders(&gateway, "tunnels", &auth);
    for target in
        ["sellingpartnerapi-na.amazon.com:443", "127.0.0.1:22", "169.254.169.254:80", &format!("{host}:443"), "/", "*"]
    {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n{inner}");
        let answer = gateway.raw(request.as_bytes());
        assert!(answer.statuses().iter().all(|status| (400..500).contains(status)), "{target}: {}", answer.text);
    }
    assert_eq!(house.amazon().heard("mark=tunnels"), []);
}

#[test]
fn an_expectation_is_answered_here_and_not_passed_on() {
    let house = house();
    let tenant = house.tenant("expect");
    let token = tenant.agent_token();
    let auth = format!("x-amz-access-token: {token}\r\n");
    let gateway = house.gateway(0);
    for expectation in ["100-continue", "200-ok", "100-continue, 100-continue"] {
        let request = orders(&gateway, "expect", &format!("{auth}Expect: {expectation}\r\n"));
        let answer = gateway.raw(request.as_bytes());
        assert!(matches!(answer.status(), 200 | 417), "{expectation}: {}", answer.text);
    }
    assert!(house.amazon().heard("mark=expect").iter().all(|one| one.all("expect").is_empty()));

    // Who is refused before its body matters is not told to send it.
    let post = |path: &str, headers: &str, body: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}", gateway.host());
        let length = body.len();
        gateway.raw(format!("{head}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
    };
    for headers in ["", &auth] {
        let answer = post("/feeds/2021-06-30/feeds?mark=expect-body", headers, "{}");
        assert_eq!(answer.statuses(), [403], "{}", answer.text);
    }
    let form = format!("grant_type=refresh_token&refresh_token=expect/{}~{token}", tenant.connection);
    let answer = post("/auth/o2/token", "Content-Type: application/x-www-form-urlencoded\r\n", &form);
    assert_eq!(answer.statuses(), [100, 200], "{}", answer.text);
    assert_eq!(house.amazon().heard("mark=expect-body"), []);
}

#[test]
fn trailers_are_dropped_and_change_nothing() {
    let house = house();
    let tenant = house.tenant("trailers");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let host = gateway.host();
    let form = format!("grant_type=refresh_token&refresh_token=trailers/{}~{token}", tenant.connection);
    let trailers = format!(
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nHost: elsewhere\r\nx-amz-access-token: {token}\r\n\
         OpenTeam-Connection: {}\r\n",
        tenant.connection
    );
    let chunked = format!(
        "POST /auth/o2/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         TE: trailers\r\nTrailer: x-amz-access-token\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{form}\r\n0\r\n{trailers}\r\n",
        form.len()
    );
    // The next request on the connection has no credential of its own, and gets none from a trailer.
    let next = orders(&gateway, "trailers", "");
    let answer = gateway.raw(format!("{chunked}{next}").as_bytes());
    assert_eq!(answer.statuses(), [200, 403], "{}", answer.text);
    // Nor does one make a request of a body that has none.
    let get = orders(&gateway, "trailers", &format!("x-amz-access-token: {token}\r\nTransfer-Encoding: chunked\r\n"));
    let answer = gateway.raw(format!("{get}0\r\n{trailers}\r\n").as_bytes());
    assert_eq!(answer.status(), 400, "{}", answer.text);
    assert_eq!(house.amazon().heard("mark=trailers"), []);
}
