//! `containment`: how long after an annotation gateways still let calls of the connection begin.
//!
//! Each of three replicas gets 200 calls a second for one connection. Then the connection is annotated. A replica's figure
//! is the start of its last granted call minus the return of the annotating request, or 0 where that is earlier.
//!
//! In three parts: with everything up, the webhook being asked about each round; without the operator; without both.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use crds::{AmazonConnection, annotation};
use end_to_end::{House, Plan, REVIEWED, WEBHOOK};
use rustls::ClientConfig;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval_at},
};

use super::{
    Report, amazon,
    load::quantile,
    wire::{Connection, Server},
};

const OPERATOR: &str = "openteam-operator-0";
const ROUNDS: usize = 500;
const REPLICAS: usize = 3;
/// Connections to each replica, so that a slow answer does not hold up the next call.
const CONNECTIONS: usize = 10;
/// Between two calls of a connection: 200 a second for each replica.
const BETWEEN: Duration = Duration::from_millis(50);
/// After a replica's first refusal: its calls go on, and none may be granted.
const WATCHED_ON: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(30);

/// The names of one part's figures: p50, p99, the longest, granted after a refusal, neither granted nor refused, calls.
type Names = [&'static str; 6];

const WITH_OPERATOR: Names =
    ["p50_ms", "p99_ms", "max_ms", "granted_after_a_refusal", "neither_granted_nor_refused", "calls"];
const WITHOUT_OPERATOR: Names = [
    "p50_ms_without_operator",
    "p99_ms_without_operator",
    "max_ms_without_operator",
    "granted_after_a_refusal_without_operator",
    "neither_granted_nor_refused_without_operator",
    "calls_without_operator",
];

const WITHOUT_OPERATOR_AND_WEBHOOK: Names = [
    "p50_ms_without_operator_and_webhook",
    "p99_ms_without_operator_and_webhook",
    "max_ms_without_operator_and_webhook",
    "granted_after_a_refusal_without_operator_and_webhook",
    "neither_granted_nor_refused_without_operator_and_webhook",
    "calls_without_operator_and_webhook",
];

pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("containment")?;
    let house = super::house(Plan { gateways: vec![Vec::new(); REPLICAS], ..super::plan()? });
    let amazon = amazon::start(&house)?;
    let tenant = house.tenant_at("contained", amazon.endpoints.clone());
    // As in a real cluster, the apiserver asks the webhook about whoever contains.
    house.kubectl().run(&["label", "namespace", &tenant.name, &format!("{REVIEWED}=true")])?;
    let token = tenant.agent_token();
    let replicas: Vec<Replica> = house
        .gateways()
        .iter()
        .map(|gateway| Replica::new(super::server(gateway), &token))
        .collect::<anyhow::Result<_>>()?;
    let mut callers = JoinSet::new();
    house.block_on(async {
        for replica in &replicas {
            for number in 0..CONNECTIONS {
                callers.spawn(call_on(replica.clone(), number));
            }
        }
    });

    let connection = (tenant.name.as_str(), tenant.connection.as_str());
    report.figure("rounds", ROUNDS as f64);
    rounds(&house, connection, &replicas).context("with the operator")?.tell(&mut report, &WITH_OPERATOR);
    // Each round contains and restores. Of the first, the apiserver may not have seen the label yet.
    let asked = reviews(&house);
    if asked < 2.0 * (ROUNDS as f64 - 1.0) {
        bail!("the webhook was asked about {asked} containments and restorations in {ROUNDS} rounds");
    }
    house.stop(OPERATOR);
    rounds(&house, connection, &replicas).context("without the operator")?.tell(&mut report, &WITHOUT_OPERATOR);
    house.stop(WEBHOOK);
    restore_unseen(&house, connection).context("without operator and webhook")?;
    rounds(&house, connection, &replicas)
        .context("without operator and webhook")?
        .tell(&mut report, &WITHOUT_OPERATOR_AND_WEBHOOK);
    house.block_on(callers.shutdown());
    Ok(report)
}

/// How often the apiserver has asked the webhook who contains or restores.
fn reviews(house: &House) -> f64 {
    let metrics = house.metrics(WEBHOOK);
    let of = |line: &&str| {
        ["record", "restore"].iter().any(|entry| {
            line.starts_with(&format!("openteam_webhook_reviews_total{{entry=\"{entry}\",outcome=\"allowed\"}}"))
        })
    };
    metrics.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Lets restorations pass that nobody records, so that rounds can go on: without the webhook they wait, as they should. What
/// contains is left as it is: the apiserver asks, and nobody answers.
fn restore_unseen(house: &House, (namespace, connection): (&str, &str)) -> anyhow::Result<()> {
    const CONFIGURATION: &str = "validatingwebhookconfiguration/openteam-webhook";
    let restore = house.kubectl().run(&["get", CONFIGURATION, "-o", "jsonpath={.webhooks[2].name}"])?;
    if restore != "restore.openteam.dev" {
        bail!("the third entry of the configuration is {restore}");
    }
    let ignore = r#"[{ "op": "replace", "path": "/webhooks/2/failurePolicy", "value": "Ignore" }]"#;
    house.kubectl().run(&["patch", CONFIGURATION, "--type=json", "-p", ignore])?;
    house.disable::<AmazonConnection>(namespace, connection, "inc-unseen");
    let (object, out) = (format!("amazonconnection/{connection}"), format!("{}-", annotation::DISABLE));
    let restored = format!("{}=inc-unseen/{}", annotation::RESTORED, jiff::Timestamp::now());
    let words = ["annotate", "--overwrite", &object, "-n", namespace, &out, &restored];
    wait("a restoration passes", || house.kubectl().run(&words).is_ok())
}

/// A call that was answered.
#[derive(Clone, Copy, Debug)]
struct Called {
    begun: Instant,
    ended: Instant,
    status: u16,
}

/// One gateway replica under load.
#[derive(Clone)]
struct Replica {
    server: Server,
    tls: Arc<ClientConfig>,
    request: Arc<str>,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    answered: Vec<Called>,
    /// When the call under way began, for each connection.
    under_way: [Option<Instant>; CONNECTIONS],
}

impl Replica {
    fn new(server: Server, token: &str) -> anyhow::Result<Self> {
        let request = server.get(amazon::ORDERS, token).into();
        Ok(Self { tls: server.tls()?, server, request, calls: Arc::default() })
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call that began after `since` was answered so.
    fn answered(&self, since: Instant, status: u16) -> bool {
        self.calls().answered.iter().any(|call| call.begun > since && call.status == status)
    }

    /// Whether every call that began before `time` has been answered.
    fn settled(&self, time: Instant) -> bool {
        self.calls().under_way.iter().flatten().all(|begun| *begun >= time)
    }
}

/// Calls for as long as it is polled.
async fn call_on(replica: Replica, number: usize) {
    let first = Instant::now() + BETWEEN.mul_f64(number as f64 / CONNECTIONS as f64);
    let mut due = interval_at(first.into(), BETWEEN);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = None;
    loop {
        due.tick().await;
        if connection.is_none() {
            connection = Connection::open(&replica.server, &replica.tls, number).await.ok();
        }
        let Some(open) = &mut connection else { continue };
        let begun = Instant::now();
        replica.calls().under_way[number] = Some(begun);
        let status = open.call(replica.request.as_bytes()).await.unwrap_or(0);
        let called = Called { begun, ended: Instant::now(), status };
        if status == 0 {
            connection = None;
        }
        let mut calls = replica.calls();
        calls.under_way[number] = None;
        calls.answered.push(called);
    }
}

/// What all rounds found.
#[derive(Default)]
struct Found {
    delays: Vec<Duration>,
    after_refusal: usize,
    other: usize,
    calls: usize,
}

impl Found {
    fn tell(&self, report: &mut Report, &[p50, p99, max, after_refusal, other, calls]: &Names) {
        report.figure(p50, self.ms(0.5));
        report.at_most(p99, self.ms(0.99), 100.0);
        report.at_most(max, self.ms(1.0), 1000.0);
        report.at_most(after_refusal, self.after_refusal as f64, 0.0);
        report.figure(other, self.other as f64);
        report.figure(calls, self.calls as f64);
    }

    fn ms(&self, part: f64) -> f64 {
        let mut sorted = self.delays.clone();
        sorted.sort_unstable();
        quantile(&sorted, part)
    }
}

fn rounds(house: &House, connection: (&str, &str), replicas: &[Replica]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for round in 0..ROUNDS {
        if round % 100 == 0 {
            eprintln!("round {round} of {ROUNDS}");
        }
        let since = Instant::now();
        wait("every replica serves", || replicas.iter().all(|replica| replica.answered(since, 200)))?;
        // Not in step with the calls.
        std::thread::sleep(Duration::from_micros((round as u64 * 7_919) % 50_000));
        replicas.iter().for_each(|replica| replica.calls().answered.clear());
        house.disable::<AmazonConnection>(connection.0, connection.1, &format!("inc-{round}"));
        let annotated = Instant::now();
        wait("every replica refuses", || replicas.iter().all(|replica| replica.answered(annotated, 403)))?;
        std::thread::sleep(WATCHED_ON);
        let watched_until = Instant::now();
        wait("every call is answered", || replicas.iter().all(|replica| replica.settled(watched_until)))?;
        for replica in replicas {
            found.add(annotated, &std::mem::take(&mut replica.calls().answered));
        }
        house.restore::<AmazonConnection>(connection.0, connection.1);
    }
    Ok(found)
}

impl Found {
    /// Adds what one replica answered in one round.
    fn add(&mut self, annotated: Instant, calls: &[Called]) {
        let granted = || calls.iter().filter(|call| call.status == 200);
        let last = granted().map(|call| call.begun).max();
        self.delays.push(last.map_or(Duration::ZERO, |last| last.saturating_duration_since(annotated)));
        let refused = calls.iter().filter(|call| call.status == 403).map(|call| call.ended).min();
        self.after_refusal += granted().filter(|call| refused.is_some_and(|refused| call.begun > refused)).count();
        self.other += calls.iter().filter(|call| !matches!(call.status, 200 | 403)).count();
        self.calls += calls.len();
    }
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        if Instant::now() > deadline {
            bail!("not within {LIMIT:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_granted_call_counts_and_one_after_a_refusal_is_told() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let called = |begun, ended, status| Called { begun: at(begun), ended: at(ended), status };
        let mut found = Found::default();
        found.add(at(10), &[called(5, 6, 200)]);
        found.add(at(10), &[called(12, 13, 200), called(14, 30, 200), called(16, 17, 403)]);
        assert_eq!(found.delays, [0, 4].map(Duration::from_millis));
        assert_eq!(found.after_refusal, 0, "it had begun before the refusal");
        found.add(at(10), &[called(16, 17, 403), called(18, 19, 200), called(20, 21, 503)]);
        assert_eq!((found.after_refusal, found.other, found.calls), (1, 1, 7));
    }
}
