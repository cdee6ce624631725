use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
};

use tracing::{info_span, subscriber::with_default};
use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// A collector that takes one request; what it was sent is in the channel.
fn collector() -> (Url, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap()).parse().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&all) {
            let length = socket.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..length]);
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        sender.send(all).unwrap();
    });
    (url, receiver)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some(head) = text.split("\r\n\r\n").next().filter(|head| head.len() < text.len()) else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let begin = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    request.len() >= begin + length.parse::<usize>().unwrap()
}

fn start(endpoint: Option<Url>, ratio: f64) -> Traces {
    crate::start::provide_tls();
    let settings = Settings { traces_endpoint: endpoint, traces_ratio: ratio, ..Settings::default() };
    Traces::start(&settings, Role::Gateway, &Name::parse("gateway-0").unwrap(), "system").unwrap()
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn contains(sent: &[u8], what: &[u8]) -> bool {
    sent.windows(what.len()).any(|window| window == what)
}

// In a runtime, as roles are: a blocking client made or dropped there would panic.
#[tokio::test]
async fn a_span_of_ours_reaches_the_collector_linked_to_the_callers_trace_and_no_other_span_does() {
    let (url, sent) = collector();
    let traces = start(Some(url), 1.0);
    with_default(tracing_subscriber::registry().with(traces.layer()), || {
        let span = info_span!(target: TARGET, "the call", route = "sp_api", "reason" = tracing::field::Empty);
        link(&span, Some(TRACEPARENT));
        let _entered = span.entered();
        let _library = info_span!("of a library", url = "https://host/path?secret").entered();
        tracing::error!("a log line");
        let part = info_span!(target: TARGET, "a part of it");
        Span::current().record("reason", "not of the current span");
        drop(part);
    });
    drop(traces);
    let sent = sent.recv().unwrap();
    for there in ["POST /v1/traces", "openteam-gateway", "gateway-0", "the call", "sp_api", "a part of it"] {
        assert!(contains(&sent, there.as_bytes()), "{there}");
    }
    for not_there in ["of a library", "secret", "a log line", "traces/tests.rs"] {
        assert!(!contains(&sent, not_there.as_bytes()), "{not_there}");
    }
    let callers = data_encoding::HEXLOWER.decode(b"0af7651916cd43dd8448eb211c80319c").unwrap();
    assert!(contains(&sent, &callers), "the caller's trace is linked to");
}

#[test]
fn a_callers_trace_that_is_none_is_ignored() {
    let (url, sent) = collector();
    let traces = start(Some(url), 1.0);
    with_default(tracing_subscriber::registry().with(traces.layer()), || {
        let span = info_span!(target: TARGET, "the call");
        for bad in ["", "00", "secret", "00-00000000000000000000000000000000-b7ad6b7169203331-01", &TRACEPARENT[1..]] {
            link(&span, Some(bad));
        }
        link(&span, None);
    });
    drop(traces);
    assert!(contains(&sent.recv().unwrap(), b"the call"));
}

#[test]
fn without_an_endpoint_there_is_no_layer_and_no_thread() {
    let traces = start(None, 1.0);
    assert!(traces.layer::<tracing_subscriber::Registry>().is_none());
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    // Taken and let go, so that nobody listens there.
    let address = TcpListener::bind("127.78.0.1:0").unwrap().local_addr().unwrap();
    let traces = start(Some(format!("http://{address}/v1/traces").parse().unwrap()), 1.0);
    with_default(tracing_subscriber::registry().with(traces.layer()), || {
        for _ in 0..3 * QUEUE {
            drop(info_span!(target: TARGET, "the call").entered());
        }
    });
    drop(traces);
}

#[test]
fn a_ratio_of_nothing_sends_nothing() {
    let (url, sent) = collector();
    let traces = start(Some(url), 0.0);
    with_default(tracing_subscriber::registry().with(traces.layer()), || {
        for _ in 0..100 {
            drop(info_span!(target: TARGET, "the call").entered());
        }
    });
    drop(traces);
    assert!(sent.try_recv().is_err());
}
