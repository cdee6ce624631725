//! The agent at work, and what is known of it afterwards.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use amazon_emulator::Counters;
use anyhow::{Context, bail};
use cluster::{Kubectl, agent};
use end_to_end::Planted;
use serde_json::{Value, json};

use super::{
    CONNECTION, INSIDE, OUTSIDE, SYSTEM, TEAM,
    install::Amazon,
    leaks::{self, Known},
    outside::PortForward,
    place::Place,
};
use crate::{check::show, shell};

/// How long the agent may take for its calls, and for its search.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the agent: the samples' pod template, the demo's image, `tests/clients/agent.py`, which uses what
/// `docs/clients.md` gives to users.
///
/// When its calls are done it looks for all that Amazon knows as credentials in its own pod, by digests: it is handed none.
pub(super) fn agent(place: &Place, amazon: &Amazon) -> anyhow::Result<()> {
    let kubectl = place.kubectl();
    let read = |name: &str| std::fs::read_to_string(shell::root().join("tests/clients").join(name));
    let script = json!({
        "agent.py": read("agent.py")?,
        "search.py": read("search.py")?,
        "connect.py": read("python-amazon-sp-api/connect.py")?,
    });
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "agent-script", "namespace": TEAM },
        "data": script,
    });
    kubectl.run_with(&["apply", "-f", "-"], &map.to_string())?;

    let template = kubectl.run(&["get", "podtemplate", "agent", "-n", TEAM, "-o", "json"])?;
    let template: Value = serde_json::from_str(&template)?;
    let mut spec = template["template"]["spec"].clone();
    let container = &mut spec["containers"][0];
    container["image"] = json!(agent::REFERENCE);
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["args"] = json!(["/script/agent.py"]);
    container["env"] = json!([
        { "name": "OPENTEAM_CONNECTION", "value": format!("{TEAM}/{CONNECTION}") },
        { "name": "MARKETPLACE_INSIDE", "value": INSIDE },
        { "name": "MARKETPLACE_OUTSIDE", "value": OUTSIDE },
        { "name": "HOME", "value": "/tmp" },
    ]);
    push(container, "volumeMounts", json!({ "name": "script", "mountPath": "/script", "readOnly": true }));
    push(container, "volumeMounts", json!({ "name": "tmp", "mountPath": "/tmp" }));
    push(&mut spec, "volumes", json!({ "name": "script", "configMap": { "name": "agent-script" } }));
    push(&mut spec, "volumes", json!({ "name": "tmp", "emptyDir": { "medium": "Memory" } }));
    spec["restartPolicy"] = json!("Never");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "agent", "namespace": TEAM },
        "spec": spec,
    });
    kubectl.run(&["delete", "pod", "agent", "-n", TEAM, "--ignore-not-found", "--wait=true"])?;
    kubectl.run_with(&["apply", "-f", "-"], &pod.to_string())?;
    wait("calls", || Ok(logs(kubectl)?.contains("waiting for digests") || is_over(&phase(kubectl)?)))?;
    if !is_over(&phase(kubectl)?) {
        let Known { secrets, tokens, .. } = leaks::known(place, amazon)?;
        let digests: Vec<String> = secrets.iter().flat_map(Planted::digests).collect();
        // Its image has no shell.
        let write =
            "import os, sys; open('/tmp/new', 'w').write(sys.stdin.read()); os.rename('/tmp/new', '/tmp/digests')";
        let words = ["exec", "-i", "agent", "-n", TEAM, "--", "/usr/local/bin/python3", "-c", write];
        kubectl.run_with(&words, &digests.join("\n"))?;
        println!("   | told digests of {} values, {tokens} of them access tokens", secrets.len());
    }
    wait("search", || Ok(is_over(&phase(kubectl)?)))?;
    let phase = phase(kubectl)?;
    let logs = logs(kubectl)?;
    show("$ kubectl logs agent -n acme");
    show(&logs);
    if phase != "Succeeded" {
        bail!("the agent's pod ended as {phase}");
    }
    check(&logs)
}

fn phase(kubectl: &Kubectl) -> anyhow::Result<String> {
    Ok(kubectl.run(&["get", "pod", "agent", "-n", TEAM, "-o", "jsonpath={.status.phase}"])?)
}

/// Whether the pod has ended, well or not.
fn is_over(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// What the agent has said; nothing where it has not begun.
fn logs(kubectl: &Kubectl) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&kubectl.output(&["logs", "agent", "-n", TEAM])?.stdout).into_owned())
}

/// Waits for the agent to be done with something.
fn wait(what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            bail!("the agent's {what} took longer than {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}

fn push(object: &mut Value, list: &str, item: Value) {
    match object[list].as_array_mut() {
        Some(items) => items.push(item),
        None => object[list] = json!([item]),
    }
}

/// Whether the agent said what it must; it also judged itself by its exit code.
fn check(logs: &str) -> anyhow::Result<()> {
    let said: BTreeMap<String, Value> = logs
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| (line["step"].as_str().unwrap_or_default().to_owned(), line))
        .collect();
    let step = |name: &str| said.get(name).with_context(|| format!("the agent said nothing of {name}"));
    if step("orders")?["marketplaces"] != json!([INSIDE]) {
        bail!("the orders are not those of {INSIDE} alone");
    }
    let refused = step("outside")?["refused"].to_string();
    if !refused.contains("MarketplaceNotInScope") {
        bail!("{OUTSIDE} was not refused with its reason: {refused}");
    }
    let search = step("search")?;
    if search["sees"] != json!(true) || search["found"] != json!([]) {
        bail!("a credential of Amazon's was found in the agent's pod: {}", search["found"]);
    }
    println!(
        "   | {} files, variables and answers of the pod searched for Amazon's credentials, by {} digests: none",
        search["files"], search["values"]
    );
    Ok(())
}

/// Shows the journal, shortened, and checks that every part of the walk is in it.
pub(super) fn journal(kubectl: &Kubectl) -> anyhow::Result<()> {
    let words = ["exec", "-n", SYSTEM, "openteam-recorder-0", "--", "/usr/local/bin/openteam", "journal"];
    let journal = kubectl.run(&words)?;
    show(&format!("$ kubectl {}   # counted by kind here", words.join(" ")));
    let records: Vec<Value> = journal.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for record in &records {
        *kinds.entry(summary(record)).or_default() += 1;
    }
    for (kind, count) in &kinds {
        println!("   | {count:5} × {kind}");
    }
    println!("   | {} records; the first that was refused:", records.len());
    if let Some(refused) = records.iter().find(|record| record["event"]["action_id"] == json!(2)) {
        show(&refused.to_string());
    }
    for expected in [
        "lwa/o2/refreshToken",
        "openteam/o2/issueToken",
        "orders/v0/getOrders",
        "orders/2026-01-01/searchOrders",
        "MarketplaceNotInScope",
        "Contained",
        "AmazonConnection",
        "StoredCredential",
    ] {
        if !journal.contains(expected) {
            bail!("the journal has nothing of {expected}");
        }
    }
    for secret in ["Atza|", "Atzr|", "otrt_", "amzn1.oa2-cs"] {
        if journal.contains(secret) {
            bail!("the journal holds a secret that begins with {secret}");
        }
    }
    Ok(())
}

/// A record in a few words: who wrote it, what it is about, how it went.
fn summary(record: &Value) -> String {
    let event = &record["event"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let about = [&event["api"]["operation"], &event["entity"]["type"], &event["message"]]
        .into_iter()
        .map(text)
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    let how = [&event["status_detail"], &event["status"], &event["message"]]
        .into_iter()
        .map(text)
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    format!("{:9} {about:36} {how}", text(&record["writer"]["role"]))
}

/// How often Login with Amazon was called, by the emulated Amazon's own count.
pub(super) fn amazon_calls(kubectl: &Kubectl) -> anyhow::Result<u64> {
    let forward = PortForward::open(kubectl, "amazon", "service/amazon", 8081)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counters: Counters = runtime.block_on(async {
        reqwest::get(format!("http://{}/control/counters", forward.address())).await?.json().await
    })?;
    for (operation, statuses) in &counters.calls {
        println!("   | {operation}: {statuses:?}");
    }
    Ok(counters.all("lwa"))
}
