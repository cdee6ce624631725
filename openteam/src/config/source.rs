//! Where settings are looked for: a manifest, a mounted directory, the cluster.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use anyhow::{Context, anyhow, bail};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::Api;
use serde::Deserialize;
use serde_yaml::Value;

use super::Wrong;
use crate::cluster;

/// The ConfigMap's name, which kustomize lengthens by a hash of what is in it.
const NAME: &str = "openteam";
/// Length of that hash.
const HASH: usize = 10;

/// Settings as they were found.
#[derive(Debug)]
pub(super) struct Found {
    /// Where.
    pub(super) source: String,
    /// Key and value.
    pub(super) values: BTreeMap<String, String>,
    /// What is wrong already with the manifest.
    pub(super) faults: Vec<Wrong>,
}

/// Of a file, standard input (`-`) or a mounted directory.
pub(super) fn path(path: &Path) -> anyhow::Result<Found> {
    let source = path.display().to_string();
    if path.is_dir() {
        let values = process::settings::entries(path)?;
        return Ok(Found { source, values, faults: Vec::new() });
    }
    let mut text = String::new();
    if source == "-" {
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return manifest("standard input", &text);
    }
    text = fs::read_to_string(path).with_context(|| format!("{source} cannot be read"))?;
    manifest(&source, &text)
}

/// Of the one ConfigMap `openteam` among the documents of a YAML text.
pub(super) fn manifest(source: &str, text: &str) -> anyhow::Result<Found> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let document = Value::deserialize(document).with_context(|| format!("{source} is no YAML"))?;
        match document.get("items").and_then(Value::as_sequence) {
            Some(items) => found.extend(items.iter().filter(|item| is_ours(item)).cloned()),
            None => found.extend(is_ours(&document).then_some(document)),
        }
    }
    match &found[..] {
        [map] => Ok(read(source, map)),
        [] => bail!("there is no ConfigMap {NAME} in {source}"),
        _ => bail!("there are {} ConfigMaps {NAME} in {source}; give one", found.len()),
    }
}

fn is_ours(object: &Value) -> bool {
    let name = object.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
    object.get("kind").and_then(Value::as_str) == Some("ConfigMap") && name.is_some_and(is_name)
}

/// `openteam`, or `openteam-` and kustomize's hash.
fn is_name(name: &str) -> bool {
    match name.strip_prefix(NAME) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(|hash| {
            // Kubernetes' safe letters and digits: no vowels, nothing that looks like another.
            hash.len() == HASH && hash.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
        }),
        None => false,
    }
}

fn read(source: &str, map: &Value) -> Found {
    let mut found = Found { source: source.to_owned(), values: BTreeMap::new(), faults: Vec::new() };
    let mut wrong = |key: &str, message: String| {
        found.faults.push(Wrong { key: key.to_owned(), message: format!("{key}: {message}") });
    };
    for (key, value) in map.get("data").and_then(Value::as_mapping).into_iter().flatten() {
        let Some(key) = key.as_str() else {
            wrong("data", "a key is not text".to_owned());
            continue;
        };
        match value {
            Value::String(text) => drop(found.values.insert(key.to_owned(), text.clone())),
            Value::Number(_) | Value::Bool(_) => {
                wrong(key, "the apiserver takes text only: put the value in quotes".to_owned());
            }
            _ => wrong(key, "the apiserver takes text only".to_owned()),
        }
    }
    match map.get("data") {
        None | Some(Value::Null | Value::Mapping(_)) => {}
        Some(_) => wrong("data", "it must hold keys and values".to_owned()),
    }
    if map.get("binaryData").and_then(Value::as_mapping).is_some_and(|data| !data.is_empty()) {
        wrong("binaryData", "settings are text, under data".to_owned());
    }
    found
}

/// Of the ConfigMap that the gateways mount: after a change there may be several, and this one counts.
pub(super) async fn cluster(namespace: &str) -> anyhow::Result<Found> {
    let client = cluster::client().await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let gateway = cluster::read(&deployments, "openteam-gateway").await.with_context(|| {
        format!("Deployment {namespace}/openteam-gateway, which mounts the settings, cannot be read")
    })?;
    let volumes = gateway.spec.and_then(|spec| spec.template.spec).and_then(|spec| spec.volumes).unwrap_or_default();
    let name = volumes
        .into_iter()
        .find(|volume| volume.name == "settings")
        .and_then(|volume| volume.config_map)
        .map(|map| map.name)
        .ok_or_else(|| anyhow!("Deployment {namespace}/openteam-gateway mounts no ConfigMap as volume settings"))?;
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let map =
        cluster::read(&maps, &name).await.with_context(|| format!("ConfigMap {namespace}/{name} cannot be read"))?;
    let values = map.data.unwrap_or_default();
    Ok(Found { source: format!("ConfigMap {namespace}/{name}"), values, faults: Vec::new() })
}
