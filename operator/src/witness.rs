//! The witness of the recorders' logs (c2sp.org/tlog-witness): cosigns a checkpoint only if it extends the one it cosigned
//! before, and remembers it where recorders cannot write, in ConfigMap `openteam-audit`, before anybody gets the cosignature.
//!
//! It asks; nobody calls it. What it publishes changes once a minute at most.

mod alarms;
mod remote;

use std::{sync::Arc, time::Duration};

use audit::{
    log::{AddRefused, Checkpoint, SignedCheckpoint, SigningKey, VerifyingKey, add_checkpoint, consistency_proof},
    wire::logs::Log,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, api::PostParams};
use process::{
    certificate::chain,
    checkpoints::{Checkpoints, CheckpointsError, NAME, Witnessed},
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use seal::Keyset;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

pub(crate) use remote::Remote;

use alarms::Alarms;

/// Between looks at the recorders.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between writes of the ConfigMap.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Open Incidents that are named; one is enough to hold everything.
const MOST_HELD: usize = 100;
/// What the key is derived for.
const PURPOSE: &str = "openteam.dev/witness/v1";

/// What the witness works with.
pub(crate) struct Witness {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) cluster: String,
    pub(crate) key: SigningKey,
    /// Pods and their addresses.
    pub(crate) recorders: Vec<(String, Url)>,
    pub(crate) http: Arc<dyn Fn() -> reqwest::Client + Send + Sync>,
    pub(crate) recorder: audit::Recorder,
    /// The names of the Incidents that are open.
    pub(crate) held: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    pub(crate) metrics: Metrics,
}

/// What it tells.
#[derive(Clone)]
pub(crate) struct Metrics {
    last: Gauge,
    refusals: Counter,
}

impl Metrics {
    pub(crate) fn register(metrics: &process::metrics::Metrics) -> Self {
        Self {
            last: metrics.register(
                "witnessed_timestamp_seconds",
                "When the newest checkpoints of all recorders were last seen and are remembered, in seconds since 1970",
                Gauge::default(),
            ),
            refusals: metrics.register(
                "witness_refusals",
                "Checkpoints that do not extend the one that was cosigned before",
                Counter::default(),
            ),
        }
    }
}

/// The key that cosigns, named after the cluster.
pub(crate) fn key(keyset: &Keyset) -> Option<SigningKey> {
    let seed = keyset.derive(PURPOSE, keyset.active_id())?;
    SigningKey::from_seed(&format!("witness.{}", keyset.cluster_id()), &seed).ok()
}

/// Why nothing was witnessed, or not all.
#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error(transparent)]
    Checkpoints(#[from] CheckpointsError),
    #[error("ConfigMap {NAME} could not be written")]
    Write(#[source] Box<kube::Error>),
    #[error("recorder {0} does not tell of its logs: {1}")]
    Recorder(String, String),
    #[error("log {log} of {pod} is not cosigned: {why}")]
    Refused { pod: String, log: String, why: Refusal },
}

/// Why a checkpoint is not cosigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("its key is not the one that it had")]
    OtherKey,
    #[error("its origin is not {0}")]
    OtherOrigin(String),
    #[error("it had {remembered} entries, and now says {found}")]
    RolledBack { remembered: u64, found: u64 },
    #[error("{0}")]
    Rule(#[from] AddRefused),
}

/// Looks at the recorders until `shutdown`.
pub(crate) async fn run(witness: Witness, shutdown: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written: Option<Timestamp> = None;
    let mut alarms = Alarms::new(Timestamp::now());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let rested = written.is_none_or(|at| Timestamp::now().duration_since(at).unsigned_abs() >= WRITE_EVERY);
        if !rested {
            continue;
        }
        match witness.look(&mut alarms).await {
            Ok(true) => written = Some(Timestamp::now()),
            Ok(false) => {}
            Err(error) => tracing::warn!(error = chain(&error), "logs are not witnessed"),
        }
    }
}

impl Witness {
    /// Cosigns what is new; whether that was anything.
    async fn look(&self, alarms: &mut Alarms) -> Result<bool, WitnessError> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let api = |error| WitnessError::Checkpoints(CheckpointsError::Api(Box::new(error)));
        let mut map = maps.get_opt(NAME).await.map_err(api)?.ok_or(CheckpointsError::Absent)?;
        let data = map.data.take().unwrap_or_default();
        let mut known = Checkpoints::parse(&data)?;
        let (cluster, witness) = (self.cluster.clone(), Some(self.key.verifying_key().cosigner()));
        (known.cluster, known.witness) = (cluster, witness);
        known.held = Some(held((self.held)()));
        let (mut fresh, mut failure) = (Vec::new(), None);
        for (pod, url) in &self.recorders {
            let remote = Remote::new(url.clone(), self.http.clone());
            let logs = match remote.logs().await {
                Ok(logs) => logs,
                Err(why) => {
                    self.alarm(alarms.unseen(pod, Uuid::now_v7(), Timestamp::now()));
                    failure = Some(WitnessError::Recorder(pod.clone(), why));
                    continue;
                }
            };
            let mut is_seen = true;
            for log in logs {
                match self.one(pod, &log, &remote, &known).await {
                    Ok(None) => {}
                    Ok(Some(witnessed)) => {
                        known.logs.insert(name(pod, &log.shard), witnessed.clone());
                        fresh.push((remote.clone(), log.shard, witnessed));
                    }
                    Err(error @ WitnessError::Refused { .. }) if log.is_closed => {
                        // It was given up for what is wrong with it, and stays to be looked at; others are witnessed as ever.
                        if self.told(pod, &log, alarms) {
                            tracing::error!(error = chain(&error), "a log that ended contradicts what was seen of it");
                        }
                    }
                    Err(error) => {
                        is_seen = false;
                        if matches!(error, WitnessError::Refused { .. }) {
                            self.told(pod, &log, alarms);
                        }
                        failure = Some(error);
                    }
                }
            }
            let now = Timestamp::now();
            self.alarm(if is_seen { alarms.seen(pod, now) } else { alarms.unseen(pod, Uuid::now_v7(), now) });
        }
        let wanted = known.data();
        let changed = wanted != data;
        if changed {
            map.data = Some(wanted);
            maps.replace(NAME, &PostParams::default(), &map).await.map_err(|it| WitnessError::Write(Box::new(it)))?;
        }
        for (remote, shard, witnessed) in fresh {
            if let Err(why) = remote.keep_witnessed(&shard, witnessed.note.text()).await {
                tracing::warn!(shard, why, "a recorder does not take the cosignature; it gets the next one");
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None => {
                self.metrics.last.set(Timestamp::now().as_second());
                Ok(changed)
            }
        }
    }

    /// What is to be remembered of a log from now on, if that is something else.
    async fn one(
        &self,
        pod: &str,
        log: &Log,
        remote: &Remote,
        known: &Checkpoints,
    ) -> Result<Option<Witnessed>, WitnessError> {
        let remembered = known.logs.get(&name(pod, &log.shard));
        let last = remembered.map(|it| it.note.checkpoint());
        if log.size == 0 || last.is_some_and(|last| last.size == log.size && log.witnessed >= log.size) {
            return Ok(None);
        }
        let unread = |why| WitnessError::Recorder(pod.to_owned(), why);
        let (note, key) = remote.head(&log.shard).await.map_err(unread)?;
        if remembered.is_some_and(|it| it.note.body() == note.body()) {
            // It was remembered, and the recorder did not hear of it.
            return Ok(remembered.cloned());
        }
        let origin = format!("audit.{}/{pod}/{}", self.cluster, log.shard);
        let refused = |why| WitnessError::Refused { pod: pod.to_owned(), log: log.shard.clone(), why };
        let size = note.checkpoint().size;
        let old = last.map_or(0, |last| last.size);
        let proof = if old < size {
            let (remote, shard) = (remote.clone(), log.shard.clone());
            let proof = tokio::task::spawn_blocking(move || consistency_proof(old, size, &remote.tiles(&shard))).await;
            proof.map_err(|error| unread(error.to_string()))?.map_err(|error| unread(error.to_string()))?
        } else {
            Vec::new()
        };
        let key = extends(remembered, &origin, &note, key, &proof).map_err(refused)?;
        let time = Timestamp::now().as_second().unsigned_abs();
        let cosigned = note.with_signature(&self.key.cosign(&note, time)).map_err(|it| unread(it.to_string()))?;
        Ok(Some(Witnessed { note: cosigned, key }))
    }

    fn alarm(&self, detection: Option<audit::Detection>) {
        if let Some(detection) = detection {
            self.recorder.record_later(detection);
        }
    }

    /// Says that a log contradicts what was seen of it; whether that was to be said.
    fn told(&self, pod: &str, log: &Log, alarms: &mut Alarms) -> bool {
        let detection = alarms.contradicted(pod, log, Uuid::now_v7(), Timestamp::now());
        let is_told = detection.is_some();
        if is_told {
            self.metrics.refusals.inc();
        }
        self.alarm(detection);
        is_told
    }
}

/// Whether a checkpoint extends what is remembered; the key that the log is known by from now on.
fn extends(
    remembered: Option<&Witnessed>,
    origin: &str,
    note: &SignedCheckpoint,
    key: VerifyingKey,
    proof: &[audit::log::Hash],
) -> Result<VerifyingKey, Refusal> {
    if note.checkpoint().origin != origin {
        return Err(Refusal::OtherOrigin(origin.to_owned()));
    }
    if remembered.is_some_and(|it| it.key != key) {
        return Err(Refusal::OtherKey);
    }
    let last: Option<&Checkpoint> = remembered.map(|it| it.note.checkpoint());
    let old = last.map_or(0, |last| last.size);
    let found = note.checkpoint().size;
    if found < old {
        return Err(Refusal::RolledBack { remembered: old, found });
    }
    add_checkpoint(last, old, proof, note, &key)?;
    Ok(key)
}

/// Names in their order, as many as a ConfigMap has room for beside the rest.
fn held(mut incidents: Vec<String>) -> String {
    incidents.sort_unstable();
    incidents.truncate(MOST_HELD);
    incidents.join(" ")
}

fn name(pod: &str, shard: &str) -> String {
    format!("{pod}.{shard}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use audit::log::{Edge, Hash, HashSource, Tile, leaf_hash};

    use super::*;

    const ORIGIN: &str = "audit.c/openteam-recorder-0/2026q4";

    struct Grown(Edge);

    impl HashSource for Grown {
        type Error = std::convert::Infallible;

        fn tile(&self, tile: Tile) -> Result<Vec<u8>, Self::Error> {
            Ok(self.0.tile(tile.level).concat())
        }
    }

    fn grown(leaves: impl Iterator<Item = u64>) -> Grown {
        let mut edge = Edge::new();
        leaves.for_each(|leaf| edge.push(leaf_hash(&leaf.to_be_bytes()), &mut Vec::new()));
        Grown(edge)
    }

    fn signed(log: &Grown, key: &SigningKey) -> SignedCheckpoint {
        let origin = key.verifying_key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: log.0.size(), root: log.0.root() };
        SignedCheckpoint::parse(&key.sign(&checkpoint)).unwrap()
    }

    fn log_key(seed: u8) -> SigningKey {
        SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
    }

    #[test]
    fn only_what_extends_the_last_one_is_cosigned() {
        let key = log_key(1);
        let (small, large) = (grown(0..100), grown(0..200));
        let (first, second) = (signed(&small, &key), signed(&large, &key));
        let extended = |remembered: Option<&Witnessed>, note: &SignedCheckpoint, by: &SigningKey, proof: &[Hash]| {
            extends(remembered, ORIGIN, note, by.verifying_key(), proof).map(drop)
        };
        assert_eq!(extended(None, &first, &key, &[]), Ok(()), "the first is believed");
        let remembered = Witnessed { note: first.clone(), key: key.verifying_key() };
        let proof = consistency_proof(100, 200, &large).unwrap();
        assert_eq!(extended(Some(&remembered), &second, &key, &proof), Ok(()));
        assert_eq!(extended(Some(&remembered), &second, &key, &[]), Err(AddRefused::Proof.into()));
        // An old disk.
        let later = Witnessed { note: second.clone(), key: key.verifying_key() };
        let back = Refusal::RolledBack { remembered: 200, found: 100 };
        assert_eq!(extended(Some(&later), &first, &key, &[]), Err(back));
        // Another history of the same size, and of a larger one.
        let other = grown((0..100).map(|leaf| leaf + u64::from(leaf == 50)));
        let refused = extended(Some(&remembered), &signed(&other, &key), &key, &[]);
        assert_eq!(refused, Err(AddRefused::Conflict { size: 100 }.into()));
        let other = grown((0..200).map(|leaf| leaf + u64::from(leaf == 50)));
        let proof = consistency_proof(100, 200, &other).unwrap();
        assert_eq!(extended(Some(&remembered), &signed(&other, &key), &key, &proof), Err(AddRefused::Proof.into()));
        // Another key under the same name, and another name.
        let thief = log_key(2);
        assert_eq!(extended(Some(&remembered), &signed(&large, &thief), &thief, &[]), Err(Refusal::OtherKey));
        assert_eq!(extended(None, &signed(&large, &thief), &key, &[]), Err(AddRefused::Signature.into()));
        let elsewhere = SigningKey::from_seed("audit.c/openteam-recorder-1/2026q4", &[1; 32]).unwrap();
        let refused = extended(None, &signed(&large, &elsewhere), &elsewhere, &[]);
        assert_eq!(refused, Err(Refusal::OtherOrigin(ORIGIN.to_owned())));
    }

    #[test]
    fn what_is_remembered_reads_back() {
        let key = log_key(1);
        let note = signed(&grown(0..3), &key);
        let witness = SigningKey::from_seed("witness.c", &[3; 32]).unwrap();
        let note = note.with_signature(&witness.cosign(&note, 7)).unwrap();
        let logs =
            BTreeMap::from([(name("openteam-recorder-0", "2026q4"), Witnessed { note, key: key.verifying_key() })]);
        let known = Checkpoints {
            cluster: "c".to_owned(),
            held: Some(held(vec!["b".into(), "a".into()])),
            witness: Some(witness.verifying_key().cosigner()),
            logs,
        };
        let data = known.data();
        let read = Checkpoints::parse(&data).unwrap();
        assert_eq!(read.data(), data);
        assert_eq!(read.remembered()[0].size, 3);
        let [log] = &read.logs.values().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(log.note.cosigned(&read.witness.unwrap()), Ok(7));
        assert_eq!(data["held"], "a b");
        for key in data.keys().filter(|key| !["witness.vkey", "held"].contains(&key.as_str())) {
            let mut damaged = data.clone();
            damaged.insert(key.clone(), String::new());
            assert!(Checkpoints::parse(&damaged).is_err(), "{key}");
        }
    }
}
