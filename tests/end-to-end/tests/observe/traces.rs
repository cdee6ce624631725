//! Traces: off by default; on, they hold what happened and nothing secret.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use openteam_end_to_end::{US, alone, eventually};

const ROLES: [&str; 3] = ["openteam-operator-0", "openteam-gateway-0", "openteam-gateway-1"];
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector that takes everything and keeps it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self::default();
        let own = collector.clone();
        named(move || {
            for socket in listener.incoming().flatten() {
                let own = own.clone();
                named(move || own.take(socket));
            }
        });
        (collector, url)
    }

    /// One request after the other, until the exporter closes.
    fn take(&self, mut socket: TcpStream) {
        let (mut request, mut buffer) = (Vec::new(), [0; 65536]);
        while let Ok(length @ 1..) = socket.read(&mut buffer) {
            request.extend_from_slice(&buffer[..length]);
            if let Some(end) = end_of(&request) {
                self.0.lock().unwrap().extend(request.drain(..end));
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        }
    }

    fn all(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    fn has(&self, text: &[u8]) -> bool {
        self.all().windows(text.len()).any(|window| window == text)
    }
}

/// A thread with a name of its own: one without has the test's, and would be taken for it as long as it runs.
fn named(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("collector".to_owned()).spawn(work).unwrap();
}

/// Where the first request ends, if it is whole.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length: usize = text.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    (bytes.len() >= head + length).then_some(head + length)
}

#[test]
fn traces_tell_what_happened_and_hold_no_secret_and_nothing_of_a_query() {
    let house = alone();
    let (collector, url) = Collector::start();
    let restart = || {
        for pod in ROLES {
            house.stop(pod);
            house.restart(pod);
        }
    };
    house.set("tracesEndpoint", Some(&url));
    house.set("tracesRatio", Some("1"));
    restart();

    let tenant = house.tenant("traces");
    let (token, runtime) = (tenant.agent_token(), tenant.runtime_token("nightly"));
    let gateway = house.gateway(0);
    let bound =
        gateway.exchange(&format!("traces/traces-na~{token}")).json()["access_token"].as_str().unwrap().to_owned();
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let query = "traced-query-0123456789abcdefghijklmnopqrstuv";
    for credential in [&token, &runtime, &bound] {
        let call =
            gateway.call(credential).header("traceparent", &traceparent).header("tracestate", "a=tracestatesecret");
        let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark={query}");
        call.get(&path).is_served();
        call.get("/orders/v0/orders/902-3159896-1390916").is_refused(403, "NotYetCheckable");
        call.get("/no/such/operation-in-traces").is_refused(403, "OperationUnknown");
        gateway.call(&format!("{credential}x")).orders(US).is_refused(403, "Unauthorized");
    }
    for there in [
        &b"orders/v0/getOrders"[..],
        b"NotYetCheckable",
        b"OperationUnknown",
        b"openteam-gateway-0",
        b"openteam-operator-0",
        b"reconcile",
        b"AmazonConnection",
        b"traces-na",
        b"lwa refresh",
        b"record append",
        b"token review",
    ] {
        eventually(&format!("{} is in a trace", String::from_utf8_lossy(there)), || collector.has(there).then_some(()));
    }
    // Linked to the caller's trace, of which Amazon hears nothing.
    let trace: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&TRACE[2 * at..2 * at + 2], 16).unwrap()).collect();
    eventually("the caller's trace is linked to", || collector.has(&trace).then_some(()));
    let heard = house.amazon().heard(query);
    assert_eq!(heard.len(), 3);
    for request in heard {
        let told = request.headers.iter().any(|(name, _)| name.starts_with("trace"));
        assert!(!told, "{:?}", request.headers);
    }

    house.set("tracesEndpoint", None);
    house.set("tracesRatio", None);
    // The end of each role sends its last spans.
    restart();
    // Among the files that are searched, here and when all tests have run, for every credential there was.
    let sent = collector.all();
    fs::write(house.state_dir().join("traces"), &sent).unwrap();
    house.nothing_leaked();
    for not_there in ["CreatedAfter", "tracestatesecret", "902-3159896", "operation-in-traces", "MarketplaceIds", query]
    {
        assert!(!collector.has(not_there.as_bytes()), "{not_there}");
    }

    // Off again: nothing more comes.
    let before = sent.len();
    house.gateway(0).call(&runtime).orders(US).is_served();
    house.stop(ROLES[1]);
    assert_eq!(collector.all().len(), before);
}
