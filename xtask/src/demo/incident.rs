//! The responder's minute: one annotation, and the time until every gateway replica refuses.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use cluster::Kubectl;
use reqwest::Certificate;
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinSet};

use super::{CONNECTION, INSIDE, SYSTEM, TEAM, outside::PortForward, place::Place};
use crate::{check::show, shell};

/// Longer than this is a failure whatever the figure.
const LIMIT: Duration = Duration::from_secs(15);

/// What is needed to restore, and what was measured.
pub(super) struct Contained<'a> {
    /// From the start of `kubectl annotate` to the first refusal of the slowest replica.
    pub(super) slowest: Duration,
    kubectl: &'a Kubectl,
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
pub(super) fn contain(place: &Place) -> anyhow::Result<Contained<'_>> {
    let kubectl = place.kubectl();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let token = runtime_token(kubectl)?;
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
    Ok(Contained { slowest, kubectl, probes, runtime })
}

/// Takes the annotation away and waits until every replica serves again.
pub(super) fn restore(contained: Contained<'_>) -> anyhow::Result<()> {
    let Contained { kubectl, probes, runtime, .. } = contained;
    let object = format!("amzc/{CONNECTION}");
    show(&format!("$ kubectl annotate {object} -n {TEAM} openteam.dev/disable-"));
    show(&kubectl.run(&["annotate", &object, "-n", TEAM, "openteam.dev/disable-"])?);
    for (pod, _) in runtime.block_on(all(&probes, |outcome| outcome.is_ok()))? {
        println!("   | {pod} serves");
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
fn runtime_token(kubectl: &Kubectl) -> anyhow::Result<String> {
    let output = Command::new(shell::program("openteam")?)
        .args(["runtime-token", &format!("{TEAM}/responder"), "--team", TEAM, "--issued-by", "ada@acme.example"])
        .args(["--connection", CONNECTION, "--marketplace", INSIDE, "--ttl", "1h"])
        .output()?;
    if !output.status.success() {
        bail!("openteam runtime-token: {}", String::from_utf8_lossy(&output.stderr));
    }
    kubectl.run(&["delete", "runtimetoken", "responder", "-n", TEAM, "--ignore-not-found"])?;
    kubectl.run_with(&["apply", "-f", "-"], &String::from_utf8(output.stdout)?)?;
    Ok(String::from_utf8(output.stderr)?.trim().to_owned())
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
