//! `openteam incident export`: fetches the evidence of an incident from where recorders keep it.

use std::{path::Path, process::Stdio};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use crds::{Incident, IncidentEvidence};
use evidence::{Bundle, Expected, PublicKey};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use process::storage::{self, Storage};
use serde::Serialize;
use tokio::process::Command;

use super::{api, read};
use crate::{
    cluster,
    output::{Output, seconds, table},
};

/// ConfigMap with the public key.
const KEY: &str = "openteam-evidence-key";

/// Fetch the evidence of an incident: the archives, each checked as it comes, and the public key. Runs `kubectl exec` in the
/// recorder's pod, which takes Role openteam-evidence
#[derive(Args)]
pub(crate) struct Arguments {
    /// The incident
    incident: String,

    /// Where to: a directory, or file:///DIRECTORY, or s3://BUCKET/PATH with AWS_REGION, AWS_ACCESS_KEY_ID … in the
    /// environment. Nothing there is overwritten
    #[arg(long, value_name = "DIR|URL")]
    to: String,

    /// Only this bundle; all of them otherwise
    #[arg(long)]
    sequence: Option<i64>,

    /// The namespace OpenTeam runs in
    #[arg(long, short, default_value = "openteam-system")]
    namespace: String,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// A bundle that was fetched.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    sequence: i64,
    created_at: String,
    digest: String,
    bytes: usize,
    at: String,
}

pub(crate) async fn run(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    let found = read(&api(client, &arguments.namespace), &arguments.incident).await?;
    let bundles = wanted(&found, arguments.sequence)?;
    let storage = Storage::open(&place(&arguments.to)?)?;
    let keys = keys(client, &arguments.namespace).await?;
    let mut rows = Vec::new();
    for bundle in bundles {
        eprintln!("fetching bundle {} of {}", bundle.sequence, arguments.incident);
        let tar = fetch(&arguments.namespace, bundle).await?;
        let report = Bundle::read_tar(&tar)?.verify(&Expected {
            keys: Some(&keys),
            digest: Some(&bundle.digest),
            ..Expected::default()
        });
        if let Some(fault) = report.faults.first() {
            bail!("bundle {} is not what was signed, nothing of it is written: {fault}", bundle.sequence);
        }
        let name = format!("{}-{:06}.tar", arguments.incident, bundle.sequence);
        storage.put_new(&name, &tar).await?;
        rows.push(Exported {
            sequence: bundle.sequence,
            created_at: seconds(bundle.created_at.0),
            digest: bundle.digest.clone(),
            bytes: tar.len(),
            at: storage.location(&name),
        });
    }
    // Beside the bundles for convenience; whoever doubts the place takes it from the cluster.
    let pem: String = keys.iter().map(PublicKey::to_pem).collect();
    storage.put_new("evidence-key.pem", pem.as_bytes()).await?;
    arguments.output.print(&rows, || {
        let row = |one: &Exported| {
            let bytes = one.bytes.to_string();
            [one.sequence.to_string(), one.created_at.clone(), bytes, one.digest.clone(), one.at.clone()]
        };
        table(["BUNDLE", "MADE", "BYTES", "MANIFEST SHA-256", "AT"], &rows.iter().map(row).collect::<Vec<_>>())
    })
}

fn wanted(incident: &Incident, sequence: Option<i64>) -> anyhow::Result<Vec<&IncidentEvidence>> {
    let all = incident.status.iter().flat_map(|status| &status.evidence);
    let wanted: Vec<_> = all.filter(|it| sequence.is_none_or(|sequence| it.sequence == sequence)).collect();
    if wanted.is_empty() {
        bail!(
            "there is no such evidence (yet): it is made a few seconds after something is contained; the Incident's condition \
             EvidenceKept says what is in the way"
        );
    }
    Ok(wanted)
}

/// A directory is meant where the text is no address.
fn place(to: &str) -> anyhow::Result<url::Url> {
    if to.contains("://") {
        return Ok(storage::parse(to)?);
    }
    let directory = std::path::absolute(Path::new(to)).with_context(|| format!("{to} is no directory"))?;
    url::Url::from_file_path(directory).map_err(|()| anyhow!("{to} is no directory"))
}

async fn keys(client: &Client, namespace: &str) -> anyhow::Result<Vec<PublicKey>> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = cluster::read(&maps, KEY).await.with_context(|| format!("ConfigMap {namespace}/{KEY}"))?;
    let text: String = map.data.into_iter().flatten().map(|(_, value)| value + "\n").collect();
    PublicKey::all_in(&text).with_context(|| format!("ConfigMap {namespace}/{KEY}"))
}

/// A bundle from the first recorder that gives it.
async fn fetch(namespace: &str, bundle: &IncidentEvidence) -> anyhow::Result<Vec<u8>> {
    let mut why = anyhow!("no recorder keeps it");
    for pod in bundle.locations.iter().filter_map(|location| location.strip_prefix("recorder/")) {
        // kubectl speaks the exec protocol already, and whoever responds has it.
        let output = Command::new("kubectl")
            .args(["exec", "--namespace", namespace, pod, "--container=recorder", "--"])
            .args(["/usr/local/bin/openteam", "evidence", "get", &bundle.name])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .await
            .context("kubectl cannot be run")?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        why = anyhow!("kubectl exec in {pod}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Err(why.context(format!("bundle {} cannot be fetched", bundle.sequence)))
}
