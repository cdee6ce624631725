//! The agent at work, and what is known of it afterwards.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use amazon_emulator::Counters;
use anyhow::{Context, bail};
use cluster::{Kubectl, agent};
use serde_json::{Value, json};

use super::{CONNECTION, INSIDE, OUTSIDE, SYSTEM, TEAM, outside::PortForward};
use crate::{check::show, shell};

/// Runs the agent: the samples' pod template, the demo's image, `tests/clients/agent.py`, which uses what
/// `docs/clients.md` gives to users.
pub(super) fn agent(kubectl: &Kubectl) -> anyhow::Result<()> {
    let read = |name: &str| std::fs::read_to_string(shell::root().join("tests/clients").join(name));
    let script = json!({ "agent.py": read("agent.py")?, "connect.py": read("python-amazon-sp-api/connect.py")? });
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
    let phase = ended(kubectl)?;
    let logs = kubectl.run(&["logs", "agent", "-n", TEAM])?;
    show("$ kubectl logs agent -n acme");
    show(&logs);
    if phase != "Succeeded" {
        bail!("the agent's pod ended as {phase}");
    }
    check(&logs)
}

/// Waits for the agent's pod to end, well or not.
fn ended(kubectl: &Kubectl) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let phase = kubectl.run(&["get", "pod", "agent", "-n", TEAM, "-o", "jsonpath={.status.phase}"])?;
        if matches!(phase.as_str(), "Succeeded" | "Failed") {
            return Ok(phase);
        }
        if Instant::now() > deadline {
            bail!("the agent's pod is still {phase} after 90 s");
        }
        thread::sleep(Duration::from_millis(300));
    }
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
        "   | {} files of the pod, its environment and all answers searched for Amazon's tokens: none",
        search["files"]
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
