//! Clients that are in no hurry, at all four places where they could be: each is left after its limit, and nobody else
//! waits for them.

use std::{io::Read, net::TcpStream, thread};

use openteam_end_to_end::{Gateway, US, house};

use crate::orders;

/// So many requests at a time, and so often: far more than the buffers of both ends take, requests and answers.
const AT_ONCE: usize = 100;
const TIMES: usize = 3000;

/// Connects, and does not even begin with TLS.
fn dawdles_over_the_handshake(gateway: &Gateway<'_>) {
    let mut slow = TcpStream::connect(("127.0.0.1", gateway.port)).expect("the gateway listens");
    let mut heard = Vec::new();
    assert!(slow.read_to_end(&mut heard).is_ok() && heard.is_empty(), "{heard:?}");
}

/// Headers that never end.
fn dawdles_over_headers(gateway: &Gateway<'_>, token: &str) {
    let mut slow = gateway.open();
    let begun = orders(gateway, "slow-headers", &format!("x-amz-access-token: {token}\r\n"));
    assert!(slow.say(&begun.as_bytes()[..begun.len() - 4]));
    let answer = slow.hear();
    assert!(answer.statuses().iter().all(|status| *status == 408), "{}", answer.text);
}

/// A body that stops before its end.
fn dawdles_over_a_body(gateway: &Gateway<'_>, refresh_token: &str) {
    let mut slow = gateway.open();
    let form = format!("grant_type=refresh_token&refresh_token={refresh_token}");
    let head = format!(
        "POST /auth/o2/token HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        gateway.host(),
        form.len() + 1
    );
    assert!(slow.say(format!("{head}{form}").as_bytes()));
    let answer = slow.hear();
    assert_eq!(answer.status(), 400, "{}", answer.text);
    assert!(answer.text.contains("broke off") && !answer.text.contains(refresh_token), "{}", answer.text);
}

/// Asks and asks, and takes no answer.
fn reads_nothing(gateway: &Gateway<'_>) {
    let mut slow = gateway.open();
    let request = format!("GET /orders/v0/orders?mark=slow-reading HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.host());
    let requests = request.repeat(AT_ONCE);
    let taken = (0..TIMES).take_while(|_| slow.say(requests.as_bytes())).count();
    assert!(taken < TIMES, "the gateway goes on without an end");
}

#[test]
fn a_client_that_dawdles_is_left_and_keeps_nobody_waiting() {
    let house = house();
    let tenant = house.tenant("slow");
    let token = tenant.agent_token();
    let refresh_token = format!("slow/{}~{token}", tenant.connection);
    let gateway = house.gateway(0);
    thread::scope(|scope| {
        let slow = [
            scope.spawn(|| dawdles_over_the_handshake(&gateway)),
            scope.spawn(|| dawdles_over_headers(&gateway, &token)),
            scope.spawn(|| dawdles_over_a_body(&gateway, &refresh_token)),
            scope.spawn(|| reads_nothing(&gateway)),
        ];
        while slow.iter().any(|client| !client.is_finished()) {
            gateway.call(&token).orders(US).is_served();
            thread::park_timeout(std::time::Duration::from_millis(500));
        }
    });
    for mark in ["mark=slow-headers", "mark=slow-reading"] {
        assert_eq!(house.amazon().heard(mark), []);
    }
}
