//! ConfigMap `openteam-audit`: what is known of the recorders' logs outside their disks. The operator alone writes it.
//!
//! | key | value |
//! |---|---|
//! | `cluster` | the cluster's id, part of every log's name |
//! | `held` | the Incidents that are open, whose records are not deleted, separated by spaces |
//! | `witness.vkey` | the key that cosignatures are checked with |
//! | `<pod>.<shard>` | the newest checkpoint of that log that the witness cosigned, a signed note |
//! | `<pod>.<shard>.vkey` | the key that its log signs with, as the witness saw it first |

use std::collections::BTreeMap;

use audit::log::{Checkpoint, SignedCheckpoint, VerifyingKey};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use thiserror::Error;

/// Its name, in OpenTeam's own namespace.
pub const NAME: &str = "openteam-audit";
const CLUSTER: &str = "cluster";
const HELD: &str = "held";
const WITNESS: &str = "witness.vkey";
const KEY_SUFFIX: &str = ".vkey";

/// What the ConfigMap says.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    /// The cluster's id.
    pub cluster: String,
    /// What is held; `None` before the operator said so.
    pub held: Option<String>,
    /// The witness's key, once there is a witness.
    pub witness: Option<VerifyingKey>,
    /// By `<pod>.<shard>`.
    pub logs: BTreeMap<String, Witnessed>,
}

/// What the witness remembers of a log.
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// Cosigned.
    pub note: SignedCheckpoint,
    /// The log's key.
    pub key: VerifyingKey,
}

/// Why the ConfigMap cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointsError {
    /// The apiserver refused or did not answer.
    #[error("ConfigMap {NAME} cannot be read")]
    Api(#[source] Box<kube::Error>),
    /// The operator makes it.
    #[error("ConfigMap {NAME} is not there yet; the operator makes it")]
    Absent,
    /// Somebody changed it.
    #[error("ConfigMap {NAME} was changed: its entry {0} is not what the operator writes")]
    Damaged(String),
}

impl Checkpoints {
    /// Reads it from the apiserver.
    ///
    /// # Errors
    /// [`CheckpointsError`]
    pub async fn read(client: &Client, namespace: &str) -> Result<Self, CheckpointsError> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let found = maps.get_opt(NAME).await.map_err(|error| CheckpointsError::Api(Box::new(error)))?;
        Self::parse(&found.ok_or(CheckpointsError::Absent)?.data.unwrap_or_default())
    }

    /// Parses its data.
    ///
    /// # Errors
    /// [`CheckpointsError::Damaged`]
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, CheckpointsError> {
        let damaged = |key: &str| CheckpointsError::Damaged(key.to_owned());
        let key = |name: &str| match data.get(name) {
            Some(text) => text.parse::<VerifyingKey>().map(Some).map_err(|_| damaged(name)),
            None => Ok(None),
        };
        let cluster = data.get(CLUSTER).filter(|id| !id.is_empty()).ok_or_else(|| damaged(CLUSTER))?.clone();
        let mut logs = BTreeMap::new();
        let is_log = |name: &str| ![CLUSTER, HELD].contains(&name) && !name.ends_with(KEY_SUFFIX);
        for (name, note) in data.iter().filter(|(name, _)| is_log(name)) {
            let note = SignedCheckpoint::parse(note).map_err(|_| damaged(name))?;
            let key = key(&format!("{name}{KEY_SUFFIX}"))?.ok_or_else(|| damaged(name))?;
            logs.insert(name.clone(), Witnessed { note, key });
        }
        Ok(Self { cluster, held: data.get(HELD).cloned(), witness: key(WITNESS)?, logs })
    }

    /// As its data.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([(CLUSTER.to_owned(), self.cluster.clone())]);
        data.extend(self.held.iter().map(|held| (HELD.to_owned(), held.clone())));
        data.extend(self.witness.iter().map(|key| (WITNESS.to_owned(), key.to_string())));
        for (name, log) in &self.logs {
            data.insert(name.clone(), log.note.text().to_owned());
            data.insert(format!("{name}{KEY_SUFFIX}"), log.key.to_string());
        }
        data
    }

    /// What is remembered of all logs.
    #[must_use]
    pub fn remembered(&self) -> Vec<Checkpoint> {
        self.logs.values().map(|log| log.note.checkpoint().clone()).collect()
    }
}
