//! Amazon's real credentials, looked for in everything that the cluster keeps and says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use end_to_end::{Planted, search};

use super::{
    SYSTEM, TEAM,
    install::{Amazon, scratch, write_private},
    outside::PortForward,
    place::Place,
};

/// The emulated Amazon keeps its own sellers in a Secret of its own, which is in etcd.
const AMAZONS_OWN: [&str; 2] = ["/secrets.json", "/etcd/"];

/// Collects logs, objects, events, metrics and journal, adds etcd's files where they can be reached, and searches it all
/// for what the emulated Amazon knows as credentials: in plain, URL-escaped, JSON-escaped, base64 or hexadecimal.
pub(super) fn look(place: &Place, amazon: &Amazon) -> anyhow::Result<()> {
    let seen = scratch()?.join("seen");
    if seen.exists() {
        fs::remove_dir_all(&seen)?;
    }
    fs::create_dir_all(&seen)?;
    let looked = (|| {
        let collected = collect(place, &seen)?;
        let Known { secrets, codes, tokens } = known(place, amazon)?;
        if codes == 0 {
            bail!("no seller has consented on Amazon's page");
        }
        println!(
            "   | looked for: {tokens} access tokens, {} refresh tokens, codes and client secrets",
            secrets.len() - tokens
        );
        let mut directories = vec![seen.as_path()];
        let etcd = place.etcd();
        directories.extend(etcd.as_deref());
        let searched = search(&directories, "pki", &secrets);
        println!("   | in: {collected}{}", if etcd.is_some() { ", etcd's files" } else { "" });
        println!("   | {} files, {} KiB searched", searched.files, searched.bytes >> 10);
        if !searched.found.is_empty() {
            bail!("found: {}", searched.found.join("; "));
        }
        println!("   | found: none");
        Ok(())
    })();
    // It holds a cluster's Secrets.
    fs::remove_dir_all(&seen)?;
    looked
}

/// What the emulated Amazon knows as credentials by now.
pub(super) struct Known {
    pub(super) secrets: Vec<Planted>,
    /// How many of them are codes of consents.
    codes: usize,
    /// How many are access tokens; at least one.
    pub(super) tokens: usize,
}

/// Asks for them: client secrets, refresh tokens, codes and access tokens.
pub(super) fn known(place: &Place, amazon: &Amazon) -> anyhow::Result<Known> {
    let mut secrets = Vec::new();
    for (name, text) in amazon.credentials() {
        secrets.push(Planted::new(name, text).at_home_in(&AMAZONS_OWN));
    }
    for token in told(place, "consents")? {
        secrets.push(Planted::new("refresh token", &token).at_home_in(&AMAZONS_OWN));
    }
    let (codes, tokens) = (told(place, "codes")?, told(place, "tokens")?);
    if tokens.is_empty() {
        bail!("Amazon handed out no access token, so that there is nothing to look for");
    }
    secrets.extend(codes.iter().map(|code| Planted::new("authorization code", code)));
    secrets.extend(tokens.iter().map(|token| Planted::new("access token", token)));
    Ok(Known { secrets, codes: codes.len(), tokens: tokens.len() })
}

/// Writes everything that can be asked for into files; says what that was.
fn collect(place: &Place, seen: &Path) -> anyhow::Result<String> {
    let kubectl = place.kubectl();
    // Of a cluster that is not the demo's own, only what is the demo's.
    let everywhere: &[&[&str]] = match place {
        Place::Own(_) => &[&["--all-namespaces"]],
        Place::Context { .. } => &[&["-n", SYSTEM], &["-n", TEAM], &["-n", "amazon"]],
    };
    let kinds = kubectl.run(&["api-resources", "--verbs=list", "--namespaced", "-o", "name"])?;
    let others: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    let others = others.join(",");
    let mut objects = 0;
    for (file, kinds) in [("secrets.json", "secrets"), ("objects.json", &others)] {
        let mut all = String::new();
        for namespace in everywhere {
            let words = [&["get", kinds, "-o", "json"][..], namespace].concat();
            all += &kubectl.run(&words)?;
        }
        objects += all.matches("\"resourceVersion\": \"").count();
        write_private(&seen.join(file), &all)?;
    }

    let mut pods = 0;
    let mut metrics = 0;
    for namespace in [SYSTEM, TEAM, "amazon"] {
        for pod in
            kubectl.run(&["get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}"])?.split(' ')
        {
            let log = kubectl.run(&["logs", "-n", namespace, pod, "--all-containers"])?;
            write_private(&seen.join(format!("{namespace}-{pod}.log")), &log)?;
            pods += 1;
            if namespace == SYSTEM {
                let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
                let said = kubectl.run(&["get", "--raw", &path])?;
                if !said.contains("openteam_") {
                    bail!("pod {pod} has no metrics");
                }
                write_private(&seen.join(format!("{pod}.metrics")), &said)?;
                metrics += 1;
            }
        }
    }
    let journal =
        kubectl.run(&["exec", "-n", SYSTEM, "openteam-recorder-0", "--", "/usr/local/bin/openteam", "journal"])?;
    write_private(&seen.join("journal"), &journal)?;
    Ok(format!(
        "the logs of {pods} pods, {objects} objects and events, the metrics of {metrics} pods, {} records of the journal",
        journal.lines().count()
    ))
}

/// What Amazon handed out so far: `tokens`, `codes`, or by further `consents`.
fn told(place: &Place, what: &str) -> anyhow::Result<Vec<String>> {
    let forward = PortForward::open(place.kubectl(), "amazon", "service/amazon", 8081)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("http://{}/control/{what}", forward.address());
    runtime
        .block_on(async { anyhow::Ok(reqwest::get(url).await?.json().await?) })
        .with_context(|| format!("the emulated Amazon's {what}"))
}

impl Place {
    /// Where etcd keeps its files, if that is on this machine.
    fn etcd(&self) -> Option<PathBuf> {
        match self {
            Self::Own(cluster) => Some(cluster.state_dir().join("etcd")),
            Self::Context { .. } => None,
        }
    }
}
