//! Requests that two servers might read differently, requests that are too much, and clients that are in no hurry: at the
//! portal itself, past the Ingress.

use std::thread;

use crds::Role;
use openteam_end_to_end::{Portal, eventually, house};

/// A form from the portal's own page, as an Ingress passes it on for somebody at `address`.
fn form(portal: &Portal<'_>, path: &str, address: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\nX-Forwarded-For: {address}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}",
        portal.host()
    )
}

fn with_length(portal: &Portal<'_>, address: &str, body: &str) -> String {
    let headers = format!("Connection: close\r\nContent-Length: {}\r\n", body.len());
    form(portal, "/sign-in", address, &headers, body)
}

/// `body` in chunks of at most `most` bytes.
fn chunked(portal: &Portal<'_>, address: &str, body: &str, most: usize) -> Vec<u8> {
    let head = form(portal, "/sign-in", address, "Connection: close\r\nTransfer-Encoding: chunked\r\n", "");
    let mut all = head.into_bytes();
    for piece in body.as_bytes().chunks(most) {
        all.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        all.extend_from_slice(piece);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

#[test]
fn a_smuggled_sign_in_is_never_carried_out() {
    let house = house();
    let tenant = house.tenant("portal-smuggle");
    let (inside, outside) = (tenant.member(Role::Owner), tenant.member(Role::Member));
    let portal = house.portal(0);
    let inner = with_length(&portal, "198.51.100.110", &format!("email={inside}"));
    let length = inner.len();
    let heads = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: {length}, 0\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: {}\r\n", length + 5),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked\r\n".to_owned(),
        "X: y\r\n\tContent-Length: 5\r\n".to_owned(),
    ];
    for method in ["GET", "POST"] {
        for head in &heads {
            let outer = form(&portal, "/sign-in", "198.51.100.111", head, "0\r\n\r\n");
            let outer = outer.replacen("POST", method, 1);
            let answer = portal.raw(format!("{outer}{inner}").as_bytes());
            let statuses = answer.statuses();
            assert!(!statuses.is_empty(), "{method} {head}: no answer");
            assert!(statuses.iter().all(|status| *status < 500), "{method} {head}: {}", answer.text);
            assert!(statuses[1..].iter().all(|status| *status == 400), "{method} {head}: {}", answer.text);
        }
    }
    // Requests are looked up one after another: what came before this one has been.
    let asked = portal.raw(with_length(&portal, "198.51.100.112", &format!("email={outside}")).as_bytes());
    assert_eq!(asked.status(), 303, "{}", asked.text);
    eventually("the code that was asked for by nobody's trick is mailed", || {
        (!house.mails_to(&outside).is_empty()).then_some(())
    });
    assert!(house.mails_to(&inside).is_empty(), "nobody asked for this one");
    // By itself it would have been.
    assert_eq!(portal.raw(inner.as_bytes()).status(), 303);
    eventually("the inner request is a good one", || (!house.mails_to(&inside).is_empty()).then_some(()));
}

#[test]
fn a_request_to_the_portal_names_its_host_once_and_a_path() {
    let house = house();
    let portal = house.portal(0);
    let host = portal.host();
    let good = format!("GET /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(portal.raw(good.as_bytes()).status(), 200);
    for request in [
        good.replace("/sign-in", "https://evil.example/sign-in"),
        good.replace("/sign-in", &format!("https://{host}/sign-in")),
        good.replace("/sign-in", "evil.example:443"),
        good.replace("/sign-in", "*"),
        good.replace("GET /sign-in", "CONNECT evil.example:443"),
        good.replace("GET /sign-in", "OPTIONS *"),
        good.replace("GET", "TRACE"),
        good.replace("GET", "get"),
        good.replace(&format!("Host: {host}\r\n"), ""),
        good.replace("Connection", "Host: evil.example\r\nConnection"),
        good.replace("HTTP/1.1", "HTTP/0.9"),
        good.replace("HTTP/1.1", "HTTP/2"),
        good.replace("HTTP/1.1", "HTTP/1.0").replace(&format!("Host: {host}\r\n"), ""),
        "GET /sign-in\r\n\r\n".to_owned(),
    ] {
        let answer = portal.raw(request.as_bytes());
        assert!(answer.statuses().iter().all(|status| (400..500).contains(status)), "{request}: {}", answer.text);
        assert!(!answer.text.contains("evil.example"), "nothing is sent back: {}", answer.text);
    }
    // The first version of HTTP that there is, as simple clients speak it: one answer, and an end.
    let old = portal.raw(good.replace("HTTP/1.1", "HTTP/1.0").replace("Connection: close\r\n", "").as_bytes());
    assert_eq!(old.status(), 200, "{}", old.text);
    // A host that somebody else chose is in no answer: not where one is sent to, not in a page.
    let asked = with_length(&portal, "198.51.100.113", "email=nobody@hosts.example");
    let asked = portal.raw(asked.replace(host, "evil.example").as_bytes());
    assert_eq!(asked.status(), 303, "{}", asked.text);
    assert!(
        !asked.text.contains("evil.example") && asked.text.contains("location: /sign-in/code\r\n"),
        "{}",
        asked.text
    );
}

#[test]
fn a_form_is_taken_up_to_64_kib_however_it_is_sent() {
    let house = house();
    let portal = house.portal(0);
    let of = |bytes: usize| format!("email={}", "a".repeat(bytes - "email=".len()));
    let (most, more) = (of(64 * 1024), of(64 * 1024 + 1));
    let address = "198.51.100.114";
    // It is no address, which is why it is not 303.
    assert_eq!(portal.raw(with_length(&portal, address, &most).as_bytes()).status(), 422);
    assert_eq!(portal.raw(with_length(&portal, address, &more).as_bytes()).status(), 413);
    for chunk in [1000, 64 * 1024 + 1] {
        assert_eq!(portal.raw(&chunked(&portal, address, &most, chunk)).status(), 422);
        assert_eq!(portal.raw(&chunked(&portal, address, &more, chunk)).status(), 413);
    }
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/json"] {
        let request = with_length(&portal, address, "email=a@b.example");
        let request = request.replace("application/x-www-form-urlencoded", kind);
        assert_eq!(portal.raw(request.as_bytes()).status(), 400, "{kind}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_or_mean_nothing() {
    let house = house();
    let portal = house.portal(0);
    let host = portal.host();
    let with = |target: &[u8], header: &[u8]| {
        let begin = [b"GET ", target, b" HTTP/1.1\r\nHost: ", host.as_bytes(), b"\r\nConnection: close\r\n"].concat();
        let answer = portal.raw(&[&begin[..], header, b"\r\n\r\n"].concat());
        let status = answer.status();
        assert!(status < 500, "{}", answer.text);
        status
    };
    assert_eq!(with(b"/sign-in", b"X: y"), 200);
    for target in [
        &b"/sign-in\xff"[..],
        b"/\xc3\x28",
        b"/sign-in?next=\xff\xfe",
        b"/sign-in\0",
        b"/sign-in\x7f",
        b"/\xed\xa0\x80",
    ] {
        assert!([200, 400, 404].contains(&with(target, b"X: y")));
    }
    for header in
        [&b"Cookie: __Host-sid=\xff\xfe; \xc3"[..], b"X-Forwarded-For: \xff", b"User-Agent: \xf0\x9f", b"Origin: \xff"]
    {
        assert_eq!(with(b"/sign-in", header), 200, "{header:?}");
        assert_eq!(with(b"/sessions", header), 303, "{header:?}");
    }
    for header in [&b"Cookie: a\0b"[..], b"X-Forwarded-For: 192.0.2.1\rX: y", b"N\xffme: x", b"Sec-Fetch-Site : none"] {
        assert_eq!(with(b"/sign-in", header), 400, "{header:?}");
    }
    for body in [
        &b"email=\xff\xfe@b.example"[..],
        b"\xff=\xff&&&=&=",
        b"email=%ff%fe%00@b.example",
        b"email=a%0d%0aBcc:b@b.example",
    ] {
        let headers = format!("Connection: close\r\nContent-Length: {}\r\n", body.len());
        let head = form(&portal, "/sign-in", "198.51.100.115", &headers, "");
        assert_eq!(portal.raw(&[head.as_bytes(), body].concat()).status(), 422, "{body:?}");
    }
}

#[test]
fn more_cookies_than_anybody_has_are_none() {
    let house = house();
    let portal = house.portal(0);
    let with = |cookies: &str| {
        let head = format!("GET /sessions HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", portal.host());
        portal.raw(format!("{head}{cookies}\r\n").as_bytes()).statuses()
    };
    let many = |one: &str, times: usize| format!("Cookie: {}\r\n", vec![one; times].join("; "));
    assert_eq!(with(&many("__Host-sid=AAAA", 2000)), [303]);
    assert_eq!(with(&many("a=b", 8000)), [303]);
    assert_eq!(with(&"Cookie: __Host-sid=AAAA\r\n".repeat(90)), [303]);
    // More header lines, or bytes of them, than the server takes.
    for cookies in ["Cookie: a=b\r\n".repeat(1000), many("__Host-sid=AAAA", 40_000)] {
        let statuses = with(&cookies);
        assert!(statuses.iter().all(|status| *status == 431), "{statuses:?}");
    }
    assert_eq!(with(""), [303]);
}

/// Headers that never end.
fn dawdles_over_headers(portal: &Portal<'_>) {
    let mut slow = portal.open();
    assert!(slow.say(format!("GET /sign-in HTTP/1.1\r\nHost: {}\r\nX: ", portal.host()).as_bytes()));
    let answer = slow.hear();
    assert!(answer.statuses().iter().all(|status| *status == 408), "{}", answer.text);
}

/// A body that stops before its end.
fn dawdles_over_a_body(portal: &Portal<'_>) {
    let mut slow = portal.open();
    let whole = with_length(portal, "198.51.100.116", "email=slow@body.example");
    assert!(slow.say(&whole.as_bytes()[..whole.len() - 1]));
    let answer = slow.hear();
    assert_eq!(answer.status(), 400, "{}", answer.text);
    assert!(answer.text.contains("did not arrive whole"), "{}", answer.text);
}

/// Asks and asks, and takes no answer.
fn reads_nothing(portal: &Portal<'_>) {
    let mut slow = portal.open();
    let requests = format!("GET /security HTTP/1.1\r\nHost: {}\r\n\r\n", portal.host()).repeat(100);
    let taken = (0..3000).take_while(|_| slow.say(requests.as_bytes())).count();
    assert!(taken < 3000, "the portal goes on without an end");
}

#[test]
fn a_client_that_dawdles_at_the_portal_is_left_and_keeps_nobody_waiting() {
    let house = house();
    let portal = house.portal(0);
    let (person, request) = (
        house.person("192.0.2.117"),
        format!("GET /sign-in HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", portal.host()),
    );
    thread::scope(|scope| {
        let slow = [
            scope.spawn(|| dawdles_over_headers(&portal)),
            scope.spawn(|| dawdles_over_a_body(&portal)),
            scope.spawn(|| reads_nothing(&portal)),
        ];
        while slow.iter().any(|client| !client.is_finished()) {
            assert_eq!(portal.raw(request.as_bytes()).status(), 200);
            assert!(!person.get("/sign-in").shown().is_empty());
            thread::park_timeout(std::time::Duration::from_millis(500));
        }
    });
}
