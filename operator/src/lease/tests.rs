use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An apiserver with one Lease, that keeps the rule of resourceVersions.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Value>>>,
    hangs: Arc<AtomicBool>,
}

impl Server {
    fn client(&self) -> Client {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let server = self.clone();
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some((request, send)) = handle.next_request().await {
                if server.hangs.load(Ordering::SeqCst) {
                    unanswered.push(send);
                    continue;
                }
                let method = request.method().clone();
                let body = request.into_body().collect_bytes().await.unwrap();
                let (status, body) = server.answer(&method, serde_json::from_slice(&body).unwrap_or_default());
                let mut response = Response::new(Body::from(body.to_string().into_bytes()));
                *response.status_mut() = status;
                send.send_response(response);
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, body: Value) -> (StatusCode, Value) {
        let mut lease = self.lease.lock().unwrap();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let failure = |code: StatusCode| {
            let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
            (code, json!({ "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason }))
        };
        match (method, lease.clone()) {
            (&Method::GET, None) | (&Method::PUT, None) => failure(StatusCode::NOT_FOUND),
            (&Method::GET, Some(lease)) => (StatusCode::OK, lease),
            (&Method::POST, Some(_)) => failure(StatusCode::CONFLICT),
            (&Method::PUT, Some(old)) if version(&old) != version(&body) => failure(StatusCode::CONFLICT),
            (_, old) => {
                let next = old.map_or(1, |old| version(&old).parse::<u64>().unwrap() + 1);
                let mut new = body;
                new["metadata"]["resourceVersion"] = next.to_string().into();
                *lease = Some(new.clone());
                (StatusCode::OK, new)
            }
        }
    }

    fn holder(&self) -> Option<String> {
        let lease = self.lease.lock().unwrap();
        lease.as_ref()?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// As another process would write it.
    fn seize(&self, holder: &str) {
        let mut lease = self.lease.lock().unwrap();
        let lease = lease.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = holder.into();
        let version: u64 = lease["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        lease["metadata"]["resourceVersion"] = (version + 1).to_string().into();
    }

    async fn acquire(&self, identity: &str) -> Held {
        acquire(self.client(), "openteam-system", identity).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_at_once_and_a_released_one_too() {
    let server = Server::default();
    let started = Instant::now();
    let first = server.acquire("a").await;
    assert_eq!(server.holder().as_deref(), Some("a"));
    first.release().await;
    server.acquire("b").await;
    assert_eq!(server.holder().as_deref(), Some("b"));
    assert!(started.elapsed() < LOOK_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_over_only_after_a_whole_duration_without_change() {
    let server = Server::default();
    let _gone = server.acquire("a").await;
    let started = Instant::now();
    server.acquire("b").await;
    assert!((DURATION..DURATION + 2 * LOOK_EVERY).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_renews_keeps_it_whatever_its_clock_says() {
    let server = Server::default();
    let mut held = server.acquire("a").await;
    // A clock from another century: nobody looks at it.
    held.lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
    tokio::select! {
        lost = held.hold() => panic!("{lost}"),
        _ = server.acquire("b") => panic!("taken from who renews"),
        () = sleep(Duration::from_secs(120)) => {}
    }
    assert_eq!(server.holder().as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_replaced_stops() {
    let server = Server::default();
    let mut held = server.acquire("a").await;
    server.seize("b");
    assert_eq!(held.hold().await, LeaseLost::Taken("b".into()));
    assert_eq!(server.holder().as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_ones_own_renewal_is_not_a_loss() {
    let server = Server::default();
    let mut held = server.acquire("a").await;
    // The apiserver wrote, its answer never came: the version is newer, the holder still us.
    server.seize("a");
    tokio::select! {
        lost = held.hold() => panic!("{lost}"),
        () = sleep(Duration::from_secs(60)) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_stops_well_before_another_may_begin() {
    let server = Server::default();
    let mut held = server.acquire("a").await;
    let renewed = held.renewed_at;
    server.hangs.store(true, Ordering::SeqCst);
    assert_eq!(held.hold().await, LeaseLost::NotRenewed);
    let led = renewed.elapsed();
    assert!(led <= GIVE_UP_AFTER + Duration::from_millis(10) && led < DURATION, "{led:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_a_lost_one() {
    let server = Server::default();
    let mut held = server.acquire("a").await;
    *server.lease.lock().unwrap() = None;
    assert_eq!(held.hold().await, LeaseLost::Deleted);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_outlasts_an_apiserver_that_hangs() {
    let server = Server::default();
    server.hangs.store(true, Ordering::SeqCst);
    let recover = async {
        sleep(Duration::from_secs(60)).await;
        server.hangs.store(false, Ordering::SeqCst);
    };
    let (_held, ()) = tokio::join!(server.acquire("a"), recover);
    assert_eq!(server.holder().as_deref(), Some("a"));
}

#[test]
fn what_a_candidate_may_take() {
    let lease = |holder: Option<&str>| Lease {
        spec: Some(LeaseSpec { holder_identity: holder.map(str::to_owned), ..LeaseSpec::default() }),
        ..Lease::default()
    };
    let just_under = DURATION - Duration::from_millis(1);
    for (lease, unchanged_for, expected) in [
        (None, Duration::ZERO, true),
        (Some(Lease::default()), Duration::ZERO, true),
        (Some(lease(None)), Duration::ZERO, true),
        (Some(lease(Some(""))), Duration::ZERO, true),
        (Some(lease(Some("me"))), Duration::ZERO, true),
        (Some(lease(Some("other"))), DURATION, true),
        (Some(lease(Some("other"))), just_under, false),
        (Some(lease(Some("other"))), Duration::ZERO, false),
    ] {
        assert_eq!(may_take(lease.as_ref(), "me", unchanged_for), expected, "{lease:?} {unchanged_for:?}");
    }
}
