//! The responder's minute: one annotation, and the time until every gateway replica refuses.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use cluster::Kubectl;
use reqwest::Certificate;
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinSet};

use super::{CONNECTION, INSIDE, SYSTEM, TEAM, outside::PortForward, place::Place};
use crate::check::show;

/// Longer than this is a failure whatever the figure.
const LIMIT: Duration = Duration::from_secs(15);

/// What is needed to restore, and what was measured.
pub(super) struct Contained {
    /// From the start of `kubectl annotate` to the first refusal of the slowest replica.
    pub(super) slowest: Duration,
    probes: Vec<Arc<Probe>>,
    runtime: Runtime,
}

/// One gateway replica and a client for it.
struct Probe {
    pod: String,
    client: reqwest::Client,
    url: String,
    token: String,
    _forward: PortForward,
}

impl Probe {
    /// One call; whether it was served, and the code of the refusal otherwise.
    async fn call(&self) -> anyhow::Result<Result<(), String>> {
        let answer = self
            .client
            .get(&self.url)
            .bearer_auth(&self.token)
            .header("openteam-connection", CONNECTION)
            .send()
            .await?;
        if answer.status().is_success() {
            return Ok(Ok(()));
        }
        let body: Value = answer.json().await?;
        Ok(Err(body["errors"][0]["code"].as_str().unwrap_or_default().to_owned()))
    }

    /// Calls until `done` says so; when the call that ended it was answered.
    async fn until(&self, done: impl Fn(&Result<(), String>) -> bool) -> anyhow::Result<Instant> {
        let started = Instant::now();
        loop {
            let outcome = self.call().await?;
            if done(&outcome) {
                return Ok(Instant::now());
            }
            if started.elapsed() > LIMIT {
                bail!("{}: still {outcome:?} after {} s", self.pod, LIMIT.as_secs());
            }
        }
    }
}

/// Contains the connection while a loop of calls runs against each replica.
pub(super) fn contain(place: &Place) -> anyhow::Result<Contained> {
    let kubectl = place.kubectl();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let token = runtime_token(place, "responder")?;
    let probes = probes(kubectl, &token)?;
    runtime.block_on(all(&probes, |outcome| outcome.is_ok())).context("before the incident")?;

    let calling = runtime.spawn({
        let probes = probes.clone();
        async move { all(&probes, |outcome| outcome.as_ref().is_err_and(|code| code == "Contained")).await }
    });
    let object = format!("amzc/{CONNECTION}");
    let annotated = Instant::now();
    let said = kubectl.run(&["annotate", &object, "-n", TEAM, "openteam.dev/disable=inc-1"])?;
    show(&format!("$ kubectl annotate {object} -n {TEAM} openteam.dev/disable=inc-1"));
    show(&said);
    let mut slowest = Duration::ZERO;
    for (pod, refused) in runtime.block_on(calling)?? {
        let took = refused.saturating_duration_since(annotated);
        println!("   | {pod} refuses after {} ms", took.as_millis());
        slowest = slowest.max(took);
    }
    kubectl.run(&["wait", "--for=condition=Contained", &object, "-n", TEAM, "--timeout=30s"])?;
    show(&kubectl.run(&["get", "amzc", "-n", TEAM, "-o", "wide"])?);
    status(place)?;
    Ok(Contained { slowest, probes, runtime })
}

/// Takes the annotation away, says so, and waits until every replica serves again, with a token from after the rotation.
pub(super) fn restore(place: &Place, contained: Contained) -> anyhow::Result<()> {
    let Contained { probes: before, runtime, .. } = contained;
    let kubectl = place.kubectl();
    let object = format!("amzc/{CONNECTION}");
    let now = jiff::Timestamp::now().strftime("%FT%TZ");
    let said = format!("openteam.dev/restored=inc-1/{now}");
    // A demo before this one may have left its own.
    let words = ["annotate", "--overwrite", &object, "-n", TEAM, "openteam.dev/disable-", &said];
    show(&format!("$ kubectl {}", words.join(" ")));
    show(&kubectl.run(&words)?);
    let probes = probes(kubectl, &runtime_token(place, "afterwards")?)?;
    for (pod, _) in runtime.block_on(all(&probes, |outcome| outcome.is_ok()))? {
        println!("   | {pod} serves");
    }
    for probe in &before {
        match runtime.block_on(probe.call())? {
            Ok(()) => bail!("{}: a runtime token from before the rotation is served", probe.pod),
            Err(code) => println!("   | {} refuses the runtime token from before: {code}", probe.pod),
        }
    }
    kubectl.run(&["wait", "--for=condition=Ready", &object, "-n", TEAM, "--timeout=30s"])?;
    show(&kubectl.run(&["get", "amzc", "-n", TEAM])?);
    Ok(())
}

async fn all(probes: &[Arc<Probe>], done: fn(&Result<(), String>) -> bool) -> anyhow::Result<Vec<(String, Instant)>> {
    let mut calls = JoinSet::new();
    for probe in probes {
        let probe = probe.clone();
        calls.spawn(async move { anyhow::Ok((probe.pod.clone(), probe.until(done).await?)) });
    }
    let mut ended = Vec::new();
    while let Some(call) = calls.join_next().await {
        ended.push(call??);
    }
    ended.sort();
    Ok(ended)
}

/// Issues a RuntimeToken as a member of the samples' Team would.
fn runtime_token(place: &Place, name: &str) -> anyhow::Result<String> {
    let kubectl = place.kubectl();
    let object = format!("{TEAM}/{name}");
    let whose = ["runtime-token", &object, "--team", TEAM, "--issued-by", "ada@acme.example"];
    let scope = ["--connection", CONNECTION, "--marketplace", INSIDE, "--ttl", "1h"];
    let (manifest, token) = place.openteam(&[&whose[..], &scope].concat(), "")?;
    kubectl.run(&["delete", "runtimetoken", name, "-n", TEAM, "--ignore-not-found"])?;
    kubectl.run_with(&["apply", "-f", "-"], &manifest)?;
    Ok(token.trim().to_owned())
}

/// What a responder looks at next: every replica must say that it refuses.
fn status(place: &Place) -> anyhow::Result<()> {
    show("$ kubectl openteam status");
    show(&place.openteam(&["status"], "")?.0);
    let status: Value = serde_json::from_str(&place.openteam(&["status", "--output", "json"], "")?.0)?;
    let replicas = status["replicas"].as_array().map_or(&[][..], Vec::as_slice);
    if replicas.is_empty() || !replicas.iter().all(|replica| replica["refuses"] == true) {
        bail!("not every gateway is known to refuse: {}", status["replicas"]);
    }
    Ok(())
}

fn probes(kubectl: &Kubectl, token: &str) -> anyhow::Result<Vec<Arc<Probe>>> {
    let map = kubectl.run(&["get", "configmap", "openteam-gateway", "-n", TEAM, "-o", "json"])?;
    let map: Value = serde_json::from_str(&map)?;
    let ca = map["data"]["ca.crt"].as_str().context("ConfigMap openteam-gateway has no ca.crt")?;
    let base = map["data"]["url"].as_str().context("ConfigMap openteam-gateway has no url")?;
    let host = base.trim_start_matches("https://").to_owned();
    let selector = "app.kubernetes.io/component=gateway";
    let pods = kubectl.run(&["get", "pods", "-n", SYSTEM, "-l", selector, "-o", "name"])?;
    let mut probes = Vec::new();
    for pod in pods.lines() {
        let forward = PortForward::open(kubectl, SYSTEM, pod, 8443)?;
        let client = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(ca.as_bytes())?])
            .resolve(&host, forward.address())
            .no_proxy()
            // A connection that lay idle between two steps may be closed just as it is used again.
            .pool_max_idle_per_host(0)
            .timeout(LIMIT)
            .build()?;
        let port = forward.address().port();
        let query = format!("marketplaceIds={INSIDE}&createdAfter=2020-01-01T00:00:00Z");
        probes.push(Arc::new(Probe {
            pod: pod.to_owned(),
            client,
            url: format!("https://{host}:{port}/orders/2026-01-01/orders?{query}"),
            token: token.to_owned(),
            _forward: forward,
        }));
    }
    if probes.is_empty() {
        bail!("no gateway pod is there");
    }
    Ok(probes)
}
