//! Evidence of incidents: bundles, made and signed here, kept by recorders and, where `evidenceUrl` says so, outside.
//!
//! A recorder keeps one bundle of a sequence and no other. So whoever was killed after storing one finds it there, takes it
//! over, and no second one is made; the Incident's status tells of it at last.

mod due;
mod gather;
mod objects;
mod recorders;

use std::{collections::HashMap, sync::Arc, time::Duration};

use audit::{Change, Digest, EntityChange};
use crds::{
    Incident, IncidentEvidence, IncidentJournalPosition,
    condition::{EVIDENCE_KEPT, State, find, set},
};
use evidence::{Bundle, BundleName, Expected, Made, Manifest, PrivateKey, Reason};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use process::storage::{Storage, StorageError};
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

pub(crate) use self::recorders::Recorders;
use self::recorders::{Kept, RecorderError};
use crate::{
    controller::Context,
    error::{Class, ReconcileError},
    status::{Event, publish},
    stores::{Kind, Touched, read},
    subject::{entity, reference},
};

/// The field manager of what is written here. What is applied under one is applied together, and the rest of the status is
/// written more often.
const MANAGER: &str = "openteam-operator-evidence";
/// Where recorders keep bundles, as locations spell it.
const RECORDER: &str = "recorder/";
/// How often everything is looked at without a reason.
const RECHECK: SignedDuration = SignedDuration::from_mins(5);

/// What evidence is made with.
pub(crate) struct Keeper {
    pub(crate) key: PrivateKey,
    pub(crate) recorders: Recorders,
    /// Where bundles are copied to.
    pub(crate) storage: Option<Result<Storage, StorageError>>,
}

/// Why a bundle is not made, kept or copied.
#[derive(Debug, thiserror::Error)]
enum EvidenceError {
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    #[error("no recorder keeps it")]
    Recorder(#[from] RecorderError),
    #[error("it is more than a bundle takes")]
    TooLarge(#[from] evidence::TooLarge),
    #[error("recorder {0} has a bundle of this incident that this operator did not sign, or not after the one before")]
    Foreign(String),
    #[error("it is kept by a recorder, but not copied")]
    NotCopied(#[source] StorageError),
    #[error("it is kept by a recorder, but not copied: evidenceUrl cannot be used: {0}")]
    NoStorage(String),
}

impl From<audit::NotRecorded> for EvidenceError {
    fn from(error: audit::NotRecorded) -> Self {
        Self::Reconcile(error.into())
    }
}

impl EvidenceError {
    /// A word for programs.
    fn reason(&self) -> &'static str {
        match self {
            Self::Reconcile(ReconcileError::NotRecorded(_)) => "NotRecorded",
            Self::Reconcile(_) => "ObjectsUnreadable",
            Self::Recorder(RecorderError::Full { .. }) => "RecorderFull",
            Self::Recorder(RecorderError::Unavailable { .. }) => "RecorderUnavailable",
            Self::TooLarge(_) => "TooLarge",
            Self::Foreign(_) => "ForeignEvidence",
            Self::NotCopied(_) | Self::NoStorage(_) => "NotCopied",
        }
    }

    /// Whether somebody else wrote the Incident meanwhile, or it is gone: nothing to tell.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Reconcile(error) if matches!(error.class(), Class::Conflict | Class::Leaving))
    }

    fn class(&self) -> Class {
        match self {
            Self::Reconcile(error) => error.class(),
            _ => Class::Transient,
        }
    }
}

/// Runs until `shutdown`. One bundle after the other, so that there is one in memory.
pub(crate) async fn run(context: Arc<Context>, keeper: Keeper, shutdown: CancellationToken) {
    let changes = context.stores.changes();
    let making = Making { context, keeper, not_before: HashMap::new() };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = making.run(changes) => {}
    }
}

struct Making {
    context: Arc<Context>,
    keeper: Keeper,
    /// When something about an incident is tried again, after a failure or where there was nothing to do yet. A place outside
    /// that fails keeps no bundle waiting.
    not_before: HashMap<(String, What), Timestamp>,
}

/// What is to be done about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Make,
    Copy,
}

impl Making {
    async fn run(mut self, mut changes: Receiver<Option<Touched>>) {
        loop {
            match self.next() {
                Ok((incident, what)) => self.work(&incident, what).await,
                Err(at) => {
                    let wait = at.duration_since(Timestamp::now()).max(SignedDuration::ZERO).unsigned_abs();
                    let sleep = tokio::time::sleep(wait);
                    tokio::pin!(sleep);
                    loop {
                        tokio::select! {
                            () = &mut sleep => break,
                            change = changes.recv() => match change {
                                Ok(Some(touched)) if touched.name.kind != Kind::Incident => {}
                                Ok(_) | Err(RecvError::Lagged(_)) => break,
                                Err(RecvError::Closed) => return,
                            },
                        }
                    }
                }
            }
        }
    }

    /// An incident with something to do now, or when there is one next.
    fn next(&self) -> Result<(String, What), Timestamp> {
        let now = Timestamp::now();
        let mut next = now + RECHECK;
        for incident in self.context.stores.incidents.store().state() {
            let Some(incident) = read(Some(&incident)) else { continue };
            for what in [What::Make, What::Copy] {
                let Some(at) = self.due(incident, what) else { continue };
                let work = (incident.name_any(), what);
                let at = self.not_before.get(&work).map_or(at, |not_before| at.max(*not_before));
                if at <= now {
                    return Ok(work);
                }
                next = next.min(at);
            }
        }
        Err(next)
    }

    fn due(&self, incident: &Incident, what: What) -> Option<Timestamp> {
        match what {
            What::Make => Some(due::due(incident.status.as_ref()?)?.0),
            What::Copy => self.uncopied(incident).map(|_| Timestamp::UNIX_EPOCH),
        }
    }

    /// The first bundle that is to be copied.
    fn uncopied(&self, incident: &Incident) -> Option<usize> {
        self.keeper.storage.as_ref()?;
        let is_outside = |location: &String| !location.starts_with(RECORDER);
        incident.status.as_ref()?.evidence.iter().position(|it| !it.locations.iter().any(is_outside))
    }

    async fn work(&mut self, name: &str, what: What) {
        let label = format!("Evidence of {name}: {what:?}");
        let wait = match self.do_it(name, what).await {
            Ok(wait) => {
                self.context.failures.forget(&label);
                wait
            }
            Err((incident, error)) => {
                let again_in = self.context.failures.count(label, error.class());
                if !error.is_passing() {
                    let cause = process::certificate::chain(&error);
                    tracing::warn!(incident = name, ?again_in, error = cause, "evidence not kept");
                    if let Some(incident) = incident {
                        self.tell(&incident, &error).await;
                    }
                }
                again_in
            }
        };
        let wait = SignedDuration::try_from(wait).unwrap_or(RECHECK);
        self.not_before.insert((name.to_owned(), what), Timestamp::now() + wait);
    }

    /// Does what is due; looked at anew, with what the apiserver has now: somebody may have done it.
    async fn do_it(&self, name: &str, what: What) -> Result<Duration, (Option<Box<Incident>>, EvidenceError)> {
        let Some(incident) = self.read(name).await.map_err(|error| (None, error))? else { return Ok(Duration::ZERO) };
        let due = |status| due::due(status).filter(|(at, _)| *at <= Timestamp::now());
        let done = match (what, incident.status.as_ref().and_then(due), self.uncopied(&incident)) {
            (What::Make, Some((_, reason)), _) => self.make(&incident, reason).await,
            (What::Copy, _, Some(which)) => self.copy(&incident, which).await.map(|()| Duration::ZERO),
            _ => Ok(Duration::ZERO),
        };
        done.map_err(|error| (Some(Box::new(incident)), error))
    }

    /// An Incident as it is, with everything that the store leaves out. The operator may list them, not get one.
    async fn read(&self, name: &str) -> Result<Option<Incident>, EvidenceError> {
        let system = &self.context.stores.system;
        let api: Api<Incident> = Api::namespaced(self.context.client.clone(), system);
        let listed = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await;
        let listed = listed.map_err(ReconcileError::about(format!("Incident {system}/{name}")))?;
        Ok(listed.items.into_iter().find(|it| it.name_any() == name))
    }

    async fn make(&self, incident: &Incident, reason: Reason) -> Result<Duration, EvidenceError> {
        let status = incident.status.clone().unwrap_or_default();
        let before = status.evidence.last();
        let sequence = before.map_or(1, |it| it.sequence + 1);
        if let Some(entry) = self.kept_before(incident, sequence).await? {
            self.write(incident, entry).await?;
            return Ok(Duration::ZERO);
        }
        if reason == Reason::Completed && !self.keeper.recorders.any_answers(before.map_or(&[], |it| &it.missing)).await
        {
            return Ok(due::COMPLETED_EVERY.unsigned_abs());
        }
        let gathered = gather::gather(&self.context, &self.keeper.recorders, incident).await?;
        let manifest = self.manifest(incident, reason, sequence, &gathered);
        let made = evidence::make(manifest, &gathered.files, &self.keeper.key)?;
        // What is gathered is in the bundle now; one copy of it is enough.
        let missing = gathered.unreachable;
        drop(gathered.files);
        self.record(incident, |digest| Change::EvidenceSigned(u64::from(made.manifest.sequence), digest), &made)
            .await?;
        let name = BundleName::of(&made.manifest, &made.digest);
        let locations = match self.keeper.recorders.keep(&name, made.tar.into()).await? {
            Kept::By(pods) => pods.iter().map(|pod| format!("{RECORDER}{pod}")).collect(),
            // Another leader's, of this moment: the next pass takes it over.
            Kept::Other => return Ok(Duration::ZERO),
        };
        tracing::info!(incident = incident.name_any(), sequence, digest = made.digest, "evidence is kept");
        let entry = entry(&made.manifest, &made.digest, incident, locations, missing);
        self.write(incident, entry).await?;
        Ok(Duration::ZERO)
    }

    fn manifest(&self, incident: &Incident, reason: Reason, sequence: i64, of: &gather::Gathered) -> Manifest {
        let previous = incident.status.iter().flat_map(|status| &status.evidence).last();
        Manifest {
            format: evidence::FORMAT.to_owned(),
            cluster: self.context.keyset.cluster_id().to_string(),
            incident: evidence::Incident {
                namespace: incident.namespace().unwrap_or_default(),
                name: incident.name_any(),
                uid: incident.uid().unwrap_or_default(),
            },
            sequence: u32::try_from(sequence).unwrap_or(u32::MAX),
            previous: previous.map(|it| it.digest.clone()),
            reason,
            created_at: of.at,
            made_by: evidence::Maker { pod: self.context.pod.clone(), version: process::record::VERSION.to_owned() },
            key_id: String::new(),
            journal: of.journal.clone(),
            counts: of.counts,
            missing: of.missing.clone(),
            omitted: gather::OMITTED.map(str::to_owned).to_vec(),
            files: Vec::new(),
        }
    }

    /// The bundle of this sequence that a recorder keeps already: its maker was stopped before the status told of it.
    async fn kept_before(&self, incident: &Incident, sequence: i64) -> Result<Option<IncidentEvidence>, EvidenceError> {
        let (name, uid) = (incident.name_any(), incident.uid().unwrap_or_default());
        let is_it = |it: &BundleName| it.incident == name && it.uid == uid && i64::from(it.sequence) == sequence;
        for (pod, names) in self.keeper.recorders.names().await {
            let Some(found) = names.into_iter().find(is_it) else { continue };
            let tar = self.keeper.recorders.fetch(&pod, &found).await?;
            let foreign = || EvidenceError::Foreign(pod.clone());
            let bundle = Bundle::read_tar(&tar).map_err(|_| foreign())?;
            let keys = [self.keeper.key.public()];
            let expected = Expected { keys: Some(&keys), digest: Some(&found.digest), ..Expected::default() };
            let report = bundle.verify(&expected);
            let previous = incident.status.iter().flat_map(|status| &status.evidence).last().map(|it| &it.digest);
            let follows = |manifest: &Manifest| {
                BundleName::of(manifest, &report.digest) == found && manifest.previous.as_ref() == previous
            };
            let manifest =
                report.manifest.as_ref().filter(|it| report.is_whole() && follows(it)).ok_or_else(foreign)?;
            let then = bundle.files().find(|(path, _)| *path == gather::INCIDENT).map(|(_, yaml)| yaml);
            let then: Incident = then.and_then(|yaml| serde_yaml::from_slice(yaml).ok()).ok_or_else(foreign)?;
            tracing::info!(
                incident = name,
                sequence,
                digest = found.digest,
                "evidence that was kept before is taken over"
            );
            let there = manifest.journal.iter().map(|journal| journal.recorder.as_str()).collect::<Vec<_>>();
            let missing = self.keeper.recorders.pods().filter(|pod| !there.contains(pod)).map(str::to_owned).collect();
            let locations = vec![format!("{RECORDER}{pod}")];
            return Ok(Some(entry(manifest, &found.digest, &then, locations, missing)));
        }
        Ok(None)
    }

    /// Copies a kept bundle to the place outside.
    async fn copy(&self, incident: &Incident, which: usize) -> Result<(), EvidenceError> {
        let storage = match &self.keeper.storage {
            Some(Ok(storage)) => storage,
            Some(Err(error)) => return Err(EvidenceError::NoStorage(process::certificate::chain(error))),
            None => return Ok(()),
        };
        let mut evidence = incident.status.clone().unwrap_or_default().evidence;
        let Some(entry) = evidence.get_mut(which) else { return Ok(()) };
        let Ok(name) = entry.name.parse::<BundleName>() else { return Ok(()) };
        let tar = self.fetch(entry, &name).await?;
        storage.put_new(&entry.name, &tar).await.map_err(EvidenceError::NotCopied)?;
        entry.locations.push(storage.location(&entry.name));
        let (sequence, json) = (entry.sequence, Bundle::read_tar(&tar).ok());
        let json = json.and_then(|bundle| Some(bundle.files().next()?.1.to_vec())).unwrap_or_default();
        if let Ok(entity) = entity(audit::Kind::Incident, &incident.metadata) {
            let change = Change::EvidenceCopied(sequence.unsigned_abs(), Digest::of_unguessable(&json));
            self.context.recorder.record_later(EntityChange { correlation: None, target: None, entity, change });
        }
        self.apply(incident, &evidence, State::yes(EVIDENCE_KEPT, "Kept", "")).await
    }

    async fn fetch(&self, entry: &IncidentEvidence, name: &BundleName) -> Result<Vec<u8>, EvidenceError> {
        let mut failed = None;
        for pod in entry.locations.iter().filter_map(|location| location.strip_prefix(RECORDER)) {
            match self.keeper.recorders.fetch(pod, name).await {
                Ok(tar) if Bundle::read_tar(&tar).is_ok_and(|bundle| bundle.digest() == name.digest) => return Ok(tar),
                Ok(_) => failed = Some(EvidenceError::Foreign(pod.to_owned())),
                Err(error) => failed = Some(error.into()),
            }
        }
        Err(failed.unwrap_or_else(|| EvidenceError::Foreign("of none".to_owned())))
    }

    /// Signing evidence is recorded before anybody has it.
    async fn record(
        &self,
        incident: &Incident,
        change: impl FnOnce(Digest) -> Change,
        made: &Made,
    ) -> Result<(), EvidenceError> {
        let entity = entity(audit::Kind::Incident, &incident.metadata).map_err(ReconcileError::from)?;
        let change = change(Digest::of_unguessable(&made.json));
        let _recorded =
            self.context.recorder.record(EntityChange { correlation: None, target: None, entity, change }).await?;
        Ok(())
    }

    /// Tells of a bundle in the Incident's status, once.
    async fn write(&self, incident: &Incident, entry: IncidentEvidence) -> Result<(), EvidenceError> {
        let mut evidence = incident.status.clone().unwrap_or_default().evidence;
        let note = format!("bundle {} is kept, SHA-256 of its manifest {}", entry.sequence, entry.digest);
        evidence.push(entry);
        self.apply(incident, &evidence, State::yes(EVIDENCE_KEPT, "Kept", "")).await?;
        let event =
            Event { warns: false, reason: "EvidenceKept".to_owned(), note: Some(note), action: "Keep".to_owned() };
        publish(&self.context, incident, event).await;
        Ok(())
    }

    /// Says in the status that there is no evidence, or no copy of it, and why. Nothing waits for it.
    async fn tell(&self, incident: &Incident, error: &EvidenceError) {
        let status = incident.status.clone().unwrap_or_default();
        let message = process::certificate::chain(error);
        let message = message[..message.floor_char_boundary(1000)].to_owned();
        let said = find(&status.conditions, EVIDENCE_KEPT);
        if said.is_some_and(|it| it.status == "False" && it.reason == error.reason() && it.message == message) {
            return;
        }
        let event = Event {
            warns: true,
            reason: error.reason().to_owned(),
            note: Some(format!("evidence is not kept: {message}")),
            action: "Keep".to_owned(),
        };
        match self.apply(incident, &status.evidence, State::no(EVIDENCE_KEPT, error.reason(), message)).await {
            Ok(()) => publish(&self.context, incident, event).await,
            Err(error) => tracing::debug!(error = process::certificate::chain(&error), "condition not written"),
        }
    }

    /// Applies to the version of the Incident that it was made from, and to no other.
    async fn apply(
        &self,
        incident: &Incident,
        evidence: &[IncidentEvidence],
        state: State,
    ) -> Result<(), EvidenceError> {
        let name = reference(&incident.metadata);
        let mut conditions = incident.status.clone().unwrap_or_default().conditions;
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        set(&mut conditions, state, incident.metadata.generation, now);
        conditions.retain(is_of_evidence);
        let body = json!({
            "apiVersion": <Incident as kube::Resource>::api_version(&()),
            "kind": <Incident as kube::Resource>::kind(&()),
            "metadata": {
                "namespace": name.namespace, "name": name.name, "uid": incident.uid(),
                "resourceVersion": incident.resource_version(),
            },
            "status": { "evidence": evidence, "conditions": conditions },
        });
        let api: Api<Incident> = Api::namespaced(self.context.client.clone(), &name.namespace);
        let parameters = PatchParams::apply(MANAGER).force();
        let applied = api.patch_status(&name.name, &parameters, &Patch::Apply(body)).await;
        applied.map(drop).map_err(ReconcileError::about(format!("status of Incident {name}"))).map_err(Into::into)
    }
}

/// Whether a condition is written here, and not with the rest of the status.
pub(super) fn is_of_evidence(condition: &Condition) -> bool {
    condition.type_ == EVIDENCE_KEPT
}

fn entry(
    manifest: &Manifest,
    digest: &str,
    incident: &Incident,
    locations: Vec<String>,
    missing: Vec<String>,
) -> IncidentEvidence {
    let status = incident.status.clone().unwrap_or_default();
    let position = |journal: &evidence::Journal| IncidentJournalPosition {
        recorder: journal.recorder.clone(),
        sequence: i64::try_from(journal.sequence).unwrap_or(i64::MAX),
        digest: journal.digest.clone(),
    };
    IncidentEvidence {
        sequence: i64::from(manifest.sequence),
        digest: digest.to_owned(),
        name: BundleName::of(manifest, digest).to_string(),
        locations,
        position: manifest.journal.iter().map(position).collect(),
        missing,
        created_at: Time(Timestamp::from_second(manifest.created_at.as_second()).unwrap_or_default()),
        signed_by: manifest.key_id.clone(),
        phase: status.phase.unwrap_or(crds::IncidentPhase::Open),
        timeline: i64::try_from(status.timeline.len()).unwrap_or(i64::MAX),
    }
}
