//! The client against recorders that behave in all the ways recorders can.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::*;
use crate::{
    Fault, Lifecycle, Name, Reason, Role,
    wire::{Acknowledged, EVENTS_PATH, MAX_BATCH_EVENTS, Refused},
};

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Store,
    Hang,
    Fail(StatusCode),
    /// Stores, but says it could not.
    LoseAnswer,
    /// Stores, but says it stored fewer.
    Miscount,
    /// Finds fault with events of this reason.
    RefuseBad,
}

struct FakeRecorder {
    behaviour: watch::Sender<Behaviour>,
    stored: Mutex<Vec<Value>>,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    largest: AtomicUsize,
}

const BAD: Reason = Reason::new("Bad");
const GOOD: Reason = Reason::new("Good");

fn fault(reason: Reason) -> Fault {
    Fault::Unexpected { reason, target: None }
}

impl FakeRecorder {
    async fn on(listener: TcpListener, behaviour: Behaviour) -> Arc<Self> {
        let recorder = Arc::new(Self {
            behaviour: watch::Sender::new(behaviour),
            stored: Mutex::default(),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            largest: AtomicUsize::new(0),
        });
        let router = Router::new().route(EVENTS_PATH, post(Self::answer)).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        recorder
    }

    async fn start(behaviour: Behaviour) -> (Arc<Self>, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url(listener.local_addr().unwrap());
        (Self::on(listener, behaviour).await, url)
    }

    async fn answer(State(this): State<Arc<Self>>, body: String) -> Response {
        this.requests.fetch_add(1, SeqCst);
        let now = this.under_way.fetch_add(1, SeqCst) + 1;
        this.most_under_way.fetch_max(now, SeqCst);
        let response = this.act(&body).await;
        this.under_way.fetch_sub(1, SeqCst);
        response
    }

    async fn act(&self, body: &str) -> Response {
        let events: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        self.largest.fetch_max(events.len(), SeqCst);
        let mut behaviour = self.behaviour.subscribe();
        let behaviour = *behaviour.wait_for(|behaviour| *behaviour != Behaviour::Hang).await.unwrap();
        let mut acknowledged = events.len();
        match behaviour {
            Behaviour::Hang => unreachable!("waited for the end of it"),
            Behaviour::Fail(status) => return status.into_response(),
            Behaviour::RefuseBad => {
                let bad = events.iter().position(|event| event["status_detail"] == BAD.as_str());
                if let Some(index) = bad {
                    let refused = Refused { error: "it is bad".to_owned(), line: Some(index + 1) };
                    return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
                }
            }
            Behaviour::Miscount => acknowledged -= 1,
            Behaviour::Store | Behaviour::LoseAnswer => {}
        }
        let last_sequence = {
            let mut stored = self.stored.lock().unwrap();
            stored.extend(events);
            stored.len() as u64
        };
        match behaviour {
            Behaviour::LoseAnswer => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            _ => Json(Acknowledged { acknowledged, last_sequence }).into_response(),
        }
    }

    fn turn(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    fn uids(&self) -> Vec<String> {
        let stored = self.stored.lock().unwrap();
        stored.iter().map(|event| event["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
    }
}

fn url(address: SocketAddr) -> Url {
    format!("http://{address}").parse().unwrap()
}

/// An address where nothing listens. Not 127.0.0.1, so that no other test is given its port.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.77.0.1:0").await.unwrap().local_addr().unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn settings(recorders: Vec<Url>) -> Settings {
    let client = client();
    Settings {
        origin: Origin { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap(), version: "0.1.0" },
        recorders,
        transport: Arc::new(Https::new(move || client.clone())),
    }
}

fn start(recorders: Vec<Url>) -> (Recorder, JoinHandle<()>) {
    let (recorder, delivery) = Recorder::new(settings(recorders));
    (recorder, tokio::spawn(delivery.run()))
}

/// Waits for `done`, and says what it waited for if that never comes.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_event_is_recorded_once_it_is_acknowledged() {
    let (fake, url) = FakeRecorder::start(Behaviour::Store).await;
    let (recorder, _running) = start(vec![url]);
    let recorded = recorder.record(Lifecycle::Started).await.unwrap();
    assert_eq!(fake.uids(), [recorded.uid().to_string()]);
}

#[tokio::test]
async fn a_hanging_recorder_is_given_two_seconds() {
    let (fake, url) = FakeRecorder::start(Behaviour::Hang).await;
    let (recorder, _running) = start(vec![url]);
    let begun = Instant::now();
    assert_eq!(recorder.record(Lifecycle::Started).await, Err(NotRecorded::NotAcknowledged));
    let waited = begun.elapsed();
    assert!(waited >= ACKNOWLEDGEMENT_LIMIT && waited < ACKNOWLEDGEMENT_LIMIT * 3 / 2, "{waited:?}");
    assert_eq!(fake.uids().len(), 0);
}

#[tokio::test]
async fn without_any_recorder_nothing_is_recorded() {
    for recorders in [vec![], vec![url(nobody().await)]] {
        let (recorder, _running) = start(recorders);
        assert_eq!(recorder.record(Lifecycle::Started).await, Err(NotRecorded::NotAcknowledged));
    }
}

#[tokio::test]
async fn without_its_delivery_nothing_is_recorded() {
    let (_fake, url) = FakeRecorder::start(Behaviour::Store).await;
    let (recorder, delivery) = Recorder::new(settings(vec![url]));
    drop(delivery);
    assert_eq!(recorder.record(Lifecycle::Started).await, Err(NotRecorded::NotAcknowledged));
}

#[tokio::test]
async fn another_recorder_is_asked_when_one_hangs_fails_or_is_gone() {
    let (_hanging, hanging) = FakeRecorder::start(Behaviour::Hang).await;
    let (_full, full) = FakeRecorder::start(Behaviour::Fail(StatusCode::SERVICE_UNAVAILABLE)).await;
    let (_strange, strange) = FakeRecorder::start(Behaviour::Fail(StatusCode::FORBIDDEN)).await;
    let gone = url(nobody().await);
    for bad in [hanging, full, strange, gone] {
        let (fake, good) = FakeRecorder::start(Behaviour::Store).await;
        let (recorder, _running) = start(vec![bad.clone(), good]);
        assert!(recorder.record(Lifecycle::Started).await.is_ok(), "{bad}");
        let begun = Instant::now();
        assert!(recorder.record(Lifecycle::Started).await.is_ok());
        assert!(begun.elapsed() < ACKNOWLEDGEMENT_LIMIT / 4, "the one that answered is asked first");
        assert_eq!(fake.uids().len(), 2);
    }
}

#[tokio::test]
async fn what_could_not_be_recorded_is_counted_and_what_waits_too() {
    let (recorder, delivery) = Recorder::new(settings(vec![]));
    let metrics = recorder.metrics().clone();
    let failed = |reason| metrics.failures.get_or_create(&[("reason", reason)]).get();
    for _ in 0..=QUEUE_LENGTH {
        recorder.record_later(Lifecycle::Started);
    }
    assert_eq!(metrics.queue.get(), QUEUE_LENGTH as i64);
    assert_eq!(metrics.dropped.get(), 1);
    let running = tokio::spawn(delivery.run());
    assert_eq!(recorder.record(Lifecycle::Started).await, Err(NotRecorded::NotAcknowledged));
    assert_eq!((failed("not_acknowledged"), failed("ended")), (1, 0));
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register("wait", "", metrics.wait.clone());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("wait_bucket{le=\"1.0\"} 0") && text.contains("wait_count 1"), "{text}");
    until("the queue is read", || metrics.queue.get() < QUEUE_LENGTH as i64).await;
    running.abort();
}

#[tokio::test]
async fn a_worker_that_sees_the_time_is_up_first_says_so() {
    let (recorder, _delivery) = Recorder::new(settings(vec![]));
    let (answer, answered) = oneshot::channel();
    let event = recorder.shared.event(&Lifecycle::Started.into());
    recorder.shared.deliver_awaited(vec![Awaited { event, deadline: Instant::now(), answer }]).await;
    assert_eq!(answered.await, Ok(Err(NotRecorded::NotAcknowledged)));
}

#[tokio::test]
async fn an_acknowledgement_of_fewer_events_is_none() {
    let (_fake, url) = FakeRecorder::start(Behaviour::Miscount).await;
    let (recorder, _running) = start(vec![url]);
    assert_eq!(recorder.record(Lifecycle::Started).await, Err(NotRecorded::NotAcknowledged));
}

#[tokio::test]
async fn an_event_sent_again_after_a_lost_answer_keeps_its_uid() {
    let (losing, first) = FakeRecorder::start(Behaviour::LoseAnswer).await;
    let (fake, second) = FakeRecorder::start(Behaviour::Store).await;
    let (recorder, _running) = start(vec![first, second]);
    let recorded = recorder.record(Lifecycle::Started).await.unwrap();
    assert_eq!(losing.uids(), [recorded.uid().to_string()]);
    assert_eq!(fake.uids(), [recorded.uid().to_string()]);
}

#[tokio::test]
async fn an_event_that_no_recorder_has_leaves_a_gap_in_the_sequence() {
    let (fake, url) = FakeRecorder::start(Behaviour::RefuseBad).await;
    let (recorder, _running) = start(vec![url]);
    for reason in [GOOD, BAD, GOOD] {
        assert_eq!(recorder.record(fault(reason)).await.is_ok(), reason == GOOD);
    }
    recorder.record_later(fault(GOOD));
    until("four were tried", || fake.stored.lock().unwrap().len() == 3).await;
    let stored = fake.stored.lock().unwrap();
    let numbers = stored.iter().map(|event| event["metadata"]["sequence"].as_u64().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 3, 4]);
}

#[tokio::test]
async fn an_event_at_fault_does_not_take_its_batch_with_it() {
    let (fake, url) = FakeRecorder::start(Behaviour::Hang).await;
    let (recorder, _running) = start(vec![url]);
    let events = (0..20).map(|index| {
        let recorder = recorder.clone();
        let reason = if index % 5 == 0 { BAD } else { GOOD };
        async move { (reason, recorder.record(fault(reason)).await) }
    });
    let events: Vec<_> = events.map(tokio::spawn).collect();
    until("a request", || fake.under_way.load(SeqCst) > 0).await;
    fake.turn(Behaviour::RefuseBad);
    for event in events {
        match event.await.unwrap() {
            (GOOD, answer) => assert!(answer.is_ok()),
            (_, answer) => {
                assert_eq!(answer, Err(NotRecorded::Refused { reason: "it is bad".to_owned() }));
            }
        }
    }
    assert_eq!(fake.uids().len(), 16);
}

#[tokio::test]
async fn many_writers_share_few_requests() {
    let (fake, url) = FakeRecorder::start(Behaviour::Hang).await;
    let (recorder, _running) = start(vec![url]);
    let writers: Vec<_> = (0..1000)
        .map(|_| {
            let recorder = recorder.clone();
            tokio::spawn(async move { recorder.record(fault(GOOD)).await.unwrap().uid().to_string() })
        })
        .collect();
    until("a request by each worker", || fake.under_way.load(SeqCst) == 2).await;
    fake.turn(Behaviour::Store);
    let mut uids = HashSet::new();
    for writer in writers {
        assert!(uids.insert(writer.await.unwrap()));
    }
    assert_eq!(fake.uids().into_iter().collect::<HashSet<_>>(), uids);
    assert_eq!(fake.uids().len(), 1000);
    assert_eq!(fake.most_under_way.load(SeqCst), 2);
    assert!(fake.largest.load(SeqCst) <= MAX_BATCH_EVENTS);
    assert!(fake.requests.load(SeqCst) < 50, "{}", fake.requests.load(SeqCst));
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_sent() {
    let (fake, url) = FakeRecorder::start(Behaviour::Hang).await;
    let (recorder, running) = start(vec![url]);
    // Both workers are busy with these.
    for busy in 1..=2 {
        let recorder = recorder.clone();
        tokio::spawn(async move { recorder.record(fault(GOOD)).await });
        until("a request", || fake.under_way.load(SeqCst) == busy).await;
    }
    let left = tokio::time::timeout(Duration::from_millis(10), recorder.record(fault(BAD))).await;
    assert!(left.is_err(), "the caller left");
    fake.turn(Behaviour::Store);
    recorder.drain(Duration::from_secs(10)).await.unwrap();
    running.await.unwrap();
    assert!(fake.stored.lock().unwrap().iter().all(|event| event["status_detail"] == GOOD.as_str()));
}

#[tokio::test]
async fn what_is_recorded_later_waits_for_no_recorder_and_reaches_one_that_comes_late() {
    let address = nobody().await;
    let (recorder, _running) = start(vec![url(address)]);
    let begun = Instant::now();
    let given: u64 = 10_000;
    for _ in 0..given {
        recorder.record_later(fault(GOOD));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    let fake = FakeRecorder::on(TcpListener::bind(address).await.unwrap(), Behaviour::Store).await;
    recorder.drain(Duration::from_secs(20)).await.unwrap();
    let stored = fake.stored.lock().unwrap();
    let lost: u64 = stored.iter().filter_map(|event| event["count"].as_u64()).sum();
    let kept = stored.iter().filter(|event| event["status_detail"] == GOOD.as_str()).count() as u64;
    assert_eq!(kept, QUEUE_LENGTH as u64);
    assert_eq!(kept + lost, given, "what was dropped is counted");
}

#[tokio::test]
async fn what_waits_for_later_does_not_hold_up_what_is_awaited() {
    let (fake, url) = FakeRecorder::start(Behaviour::Hang).await;
    let (recorder, _running) = start(vec![url]);
    recorder.record_later(fault(BAD));
    until("the later request", || fake.under_way.load(SeqCst) == 1).await;
    let awaited = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.record(fault(GOOD)).await }
    });
    until("the awaited request", || fake.under_way.load(SeqCst) == 2).await;
    fake.turn(Behaviour::Store);
    assert!(awaited.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refused_event_for_later_is_given_up_and_the_others_are_delivered() {
    let (fake, url) = FakeRecorder::start(Behaviour::RefuseBad).await;
    let (recorder, _running) = start(vec![url]);
    for reason in [GOOD, BAD, GOOD] {
        recorder.record_later(fault(reason));
    }
    recorder.drain(Duration::from_secs(10)).await.unwrap();
    assert_eq!(fake.uids().len(), 2);
}

#[tokio::test]
async fn draining_delivers_everything_and_ends_the_delivery() {
    let (fake, url) = FakeRecorder::start(Behaviour::Store).await;
    let (recorder, running) = start(vec![url]);
    (0..700).for_each(|_| recorder.record_later(fault(GOOD)));
    recorder.drain(Duration::from_secs(10)).await.unwrap();
    running.await.unwrap();
    assert_eq!(fake.uids().len(), 700);
    assert_eq!(recorder.record(Lifecycle::Stopped).await, Err(NotRecorded::Ended));
    recorder.record_later(Lifecycle::Stopped);
    assert_eq!(fake.uids().len(), 700);
}

#[tokio::test]
async fn draining_says_what_it_could_not_deliver() {
    let (recorder, running) = start(vec![url(nobody().await)]);
    (0..3).for_each(|_| recorder.record_later(fault(GOOD)));
    assert_eq!(recorder.drain(Duration::from_millis(200)).await, Err(Undelivered { events: 3 }));
    running.await.unwrap();
}

#[tokio::test]
async fn the_http_client_is_asked_for_anew_for_each_request() {
    let (_fake, url) = FakeRecorder::start(Behaviour::Store).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let mut settings = settings(vec![url]);
    let (client, counted) = (client(), asked.clone());
    settings.transport = Arc::new(Https::new(move || {
        counted.fetch_add(1, SeqCst);
        client.clone()
    }));
    let (recorder, delivery) = Recorder::new(settings);
    tokio::spawn(delivery.run());
    for requests in 1..=3 {
        assert!(recorder.record(Lifecycle::Started).await.is_ok());
        assert_eq!(asked.load(SeqCst), requests);
    }
}
