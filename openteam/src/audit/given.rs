//! What is given to check logs against.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, anyhow};
use audit::log::VerifyingKey;
use clap::Args;
use jiff::Timestamp;
use process::checkpoints::Checkpoints;
use recorder::verify::Expected;
use serde_yaml::Value;

use super::read;

/// All of it from elsewhere than the logs: what lies beside them, whoever wrote them could have written too.
#[derive(Args)]
pub(crate) struct Given {
    /// The key that a log signs with: its text, or a file with such texts, one a line
    #[arg(long, value_name = "VKEY|FILE")]
    key: Vec<String>,

    /// The witness's key, likewise. Each log must then have a checkpoint that the witness cosigned
    #[arg(long, value_name = "VKEY|FILE")]
    witness: Option<String>,

    /// What the witness keeps: ConfigMap openteam-audit as `kubectl get -o yaml` prints it, now or some time ago. The logs must
    /// contain every checkpoint in it
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
}

impl Given {
    pub(crate) fn expected(&self) -> anyhow::Result<Expected> {
        let keys = self.key.iter().map(|given| keys_of(given)).collect::<anyhow::Result<Vec<_>>>()?.concat();
        let witness = self.witness.as_deref().map(keys_of).transpose()?;
        let witness = match witness.as_deref() {
            Some([one]) if one.is_cosigner() => Some(one.clone()),
            // The same key as the log's signatures have it.
            Some([one]) => Some(one.cosigner()),
            Some(_) => return Err(anyhow!("--witness is one key")),
            None => None,
        };
        let checkpoints = match &self.checkpoints {
            Some(path) => {
                Some(checkpoints(&read(path)?).with_context(|| format!("checkpoints in {}", path.display()))?)
            }
            None => None,
        };
        Ok(Expected { keys, witness, checkpoints, now: Timestamp::now() })
    }
}

/// The keys of a text, or of the file that it names.
fn keys_of(given: &str) -> anyhow::Result<Vec<VerifyingKey>> {
    if let Ok(key) = given.trim().parse() {
        return Ok(vec![key]);
    }
    let text = read(given.as_ref()).context("neither a key nor a file with keys")?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys = lines.map(|line| line.parse().with_context(|| format!("{given} holds a line that is no key")));
    keys.collect()
}

/// A ConfigMap in YAML or JSON, or its data alone.
fn checkpoints(text: &str) -> anyhow::Result<Checkpoints> {
    let read: Value = serde_yaml::from_str(text).context("neither YAML nor JSON")?;
    let data = read.get("data").cloned().unwrap_or(read);
    let data: BTreeMap<String, String> = serde_yaml::from_value(data).context("no ConfigMap, and not its data")?;
    Ok(Checkpoints::parse(&data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configmap_is_read_as_kubectl_prints_it_and_as_its_data() {
        for text in [
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: openteam-audit}\ndata: {cluster: c}\n",
            r#"{"kind": "ConfigMap", "data": {"cluster": "c"}}"#,
            "cluster: c\n",
        ] {
            assert_eq!(checkpoints(text).unwrap().cluster, "c");
        }
        for text in ["", "data: {}", "a", "data: {cluster: c, recorder-0.2026q4: none}"] {
            assert!(checkpoints(text).is_err(), "{text}");
        }
    }
}
