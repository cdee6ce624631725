//! What a bundle is made of.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crds::{CredentialOwner, CredentialOwnerKind, Incident, NamespacedReference, annotation};
use evidence::{Counts, Files, Journal, Missing, Usage, wire::Extract};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::{
    EvidenceError,
    objects::{self, Wanted},
    recorders::{Newest, RecorderError, Recorders},
};
use crate::{
    contained::Below,
    controller::Context,
    dependents::Name,
    incident::name_of,
    stores::{Guarded, Kind, Stores, read},
};

/// Where the Incident is in a bundle.
pub(super) const INCIDENT: &str = "incident.yaml";
/// What is never in a bundle.
pub(super) const OMITTED: [&str; 4] = [
    "Secrets, and StoredCredentials",
    "spec.ciphertext of SealedCredentials, and annotations that repeat it",
    "Events of Kubernetes: the operator has no right to read them",
    "the apiserver's audit log, which says who annotated",
];
/// How long before its detection an incident is looked into; less, where a recorder has more than it may answer.
const BEFORE: [SignedDuration; 4] = [
    SignedDuration::from_hours(14 * 24),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(1),
    SignedDuration::ZERO,
];
/// The room for records in a bundle, in bytes.
const ROOM: usize = 24 * 1024 * 1024;

/// What was gathered.
pub(super) struct Gathered {
    pub(super) at: Timestamp,
    pub(super) files: Files,
    pub(super) journal: Vec<Journal>,
    pub(super) counts: Counts,
    pub(super) missing: Vec<Missing>,
    /// The recorders that did not answer.
    pub(super) unreachable: Vec<String>,
}

/// Gathers everything about an incident.
pub(super) async fn gather(
    context: &Context,
    recorders: &Recorders,
    incident: &Incident,
) -> Result<Gathered, EvidenceError> {
    let at = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
    let stores = &context.stores;
    let status = incident.status.clone().unwrap_or_default();
    let targets: HashSet<Name> = status.targets.iter().filter_map(name_of).collect();
    let below = stores.below(targets.iter());
    let records = records(recorders, incident, &asked(stores, incident, &targets, &below)).await?;
    let mut missing = records.missing;
    let objects = objects::read(&context.client, &wanted(stores, &targets, &below)).await?;
    missing.extend(objects.missing);
    let mut files = objects.files;
    let counts = Counts {
        objects: files.len() as u64,
        connections: below.connections.len() as u64,
        grants: below.grants.len() as u64,
        runtime_tokens: below.tokens.len() as u64,
        records: records.journal.iter().map(|journal| journal.kept).sum(),
    };
    let access = access(stores, &below, &records.usage, at);
    files.insert("access.json".to_owned(), lines(&access));
    files.insert("use.json".to_owned(), lines(&json!({ "connections": records.usage.connections() })));
    files.insert(INCIDENT.to_owned(), serde_yaml::to_string(incident).unwrap_or_default().into_bytes());
    files.extend(records.files);
    Ok(Gathered { at, files, journal: records.journal, counts, missing, unreachable: records.unreachable })
}

fn lines(value: &Value) -> Vec<u8> {
    (serde_json::to_string_pretty(value).unwrap_or_default() + "\n").into_bytes()
}

/// Which records concern the incident.
fn asked(stores: &Stores, incident: &Incident, targets: &HashSet<Name>, below: &Below) -> Extract {
    let own = Name::new(Kind::Incident, incident.metadata.namespace.as_deref(), &incident.name_any());
    let named = |kind: Kind| targets.iter().filter(move |target| target.kind == kind);
    let text = |name: &Name| format!("{}/{}", name.namespace, name.name);
    let account = |name: &Name| {
        let grant = stores.grants.get(&name.namespace, &name.name)?;
        let account = &grant.0.as_ref().ok()?.spec.service_account.name;
        Some(format!("system:serviceaccount:{}:{account}", name.namespace))
    };
    let tokens = named(Kind::RuntimeToken).map(text);
    let actors: BTreeSet<String> = named(Kind::AgentGrant).filter_map(account).chain(tokens).collect();
    let entities: BTreeSet<String> = targets.iter().chain([&own]).map(ToString::to_string).collect();
    Extract {
        since: 0,
        connections: below.connections.iter().map(ToString::to_string).collect(),
        teams: named(Kind::Team).map(text).collect(),
        actors: actors.into_iter().collect(),
        entities: entities.into_iter().collect(),
    }
}

#[derive(Default)]
struct Records {
    files: Files,
    journal: Vec<Journal>,
    usage: Usage,
    missing: Vec<Missing>,
    unreachable: Vec<String>,
}

/// What every recorder has. One is enough.
async fn records(recorders: &Recorders, incident: &Incident, asked: &Extract) -> Result<Records, RecorderError> {
    let status = incident.status.clone().unwrap_or_default();
    let first = status.targets.iter().map(|target| target.contained_at.0).min();
    let detected = incident.spec.detected_at.as_ref().map(|time| time.0).into_iter().chain(first).min();
    let detected = detected.unwrap_or_else(Timestamp::now);
    let mut all = Records::default();
    let pods: Vec<String> = recorders.pods().map(str::to_owned).collect();
    let mut failure = None;
    for pod in &pods {
        match one(recorders, pod, detected, ROOM / pods.len().max(1), asked, &mut all.usage).await {
            Ok((journal, file)) => {
                let older = journal.records - journal.kept;
                if older > 0 {
                    let why = "a bundle has no room for more records; use.json is about them too".to_owned();
                    all.missing.push(Missing { what: format!("the {older} oldest records of {pod}"), why });
                }
                if journal.since > detected - BEFORE[0] {
                    let why = "a recorder has more than it may answer at once".to_owned();
                    all.missing.push(Missing { what: format!("records of {pod} before {}", journal.since), why });
                }
                if journal.flaws > 0 {
                    let why = "they are unreadable or not there; the extract says where".to_owned();
                    all.missing.push(Missing { what: format!("{} parts of the journal of {pod}", journal.flaws), why });
                }
                all.files.insert(format!("journal/{pod}.jsonl"), file);
                all.journal.push(journal);
            }
            Err(error) => {
                let why = "it did not answer; a later bundle has it".to_owned();
                all.missing.push(Missing { what: format!("journal of {pod}"), why });
                all.unreachable.push(pod.clone());
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if all.journal.is_empty() => Err(error),
        _ => Ok(all),
    }
}

/// What one recorder has, of as long a time as it answers for.
async fn one(
    recorders: &Recorders,
    pod: &str,
    detected: Timestamp,
    room: usize,
    asked: &Extract,
    usage: &mut Usage,
) -> Result<(Journal, Vec<u8>), RecorderError> {
    for before in BEFORE {
        let since = detected - before;
        let asked = Extract { since: since.as_millisecond(), ..asked.clone() };
        let (mut counted, mut newest) = (Usage::default(), Newest::new(room));
        let position = recorders.extract(pod, &asked, &mut counted, &mut newest).await?;
        if position.is_cut && before > SignedDuration::ZERO {
            continue;
        }
        usage.add(counted);
        let (lines, file) = newest.into_file();
        let journal = Journal {
            recorder: position.recorder,
            sequence: position.sequence,
            digest: position.digest,
            since,
            records: position.records,
            kept: lines.saturating_sub(position.flaws).min(position.records),
            flaws: position.flaws + u64::from(position.is_cut),
        };
        return Ok((journal, file));
    }
    Err(RecorderError::Unavailable { pod: pod.to_owned(), why: "it has too much to tell".to_owned() })
}

/// Which objects are of interest: targets, what is below them, and what that hangs from.
fn wanted(stores: &Stores, targets: &HashSet<Name>, below: &Below) -> Wanted {
    let mut wanted = Wanted::default();
    let name =
        |namespace: &str, name: &str| NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() };
    let mut connections: BTreeSet<NamespacedReference> = below.connections.iter().map(|it| (**it).clone()).collect();
    let mut owners: BTreeSet<(String, CredentialOwner)> = BTreeSet::new();
    for target in targets {
        wanted.add(target.kind, name(&target.namespace, &target.name));
        if target.kind == Kind::AmazonApplication {
            owners.insert(owner(CredentialOwnerKind::AmazonApplication, &target.namespace, &target.name));
        }
    }
    let mut scoped = |namespace: &str, team: &str, scope: &crds::Scope, wanted: &mut Wanted| {
        wanted.add(Kind::Team, name(namespace, team));
        connections.extend(scope.connections.iter().map(|connection| name(namespace, connection)));
    };
    for grant in &below.grants {
        wanted.add(Kind::AgentGrant, (**grant).clone());
        let found = stores.grants.get(&grant.namespace, &grant.name);
        if let Some(object) = read(found.as_ref()) {
            scoped(&grant.namespace, &object.spec.team_ref.name, &object.spec.scope, &mut wanted);
        }
    }
    for token in &below.tokens {
        wanted.add(Kind::RuntimeToken, (**token).clone());
        let found = stores.runtime_tokens.get(&token.namespace, &token.name);
        if let Some(object) = read(found.as_ref()) {
            scoped(&token.namespace, &object.spec.team_ref.name, &object.spec.scope, &mut wanted);
        }
    }
    for connection in connections {
        let found = stores.connection(&connection.namespace, &connection.name);
        if let Some(object) = read(found.as_ref()) {
            let application = &object.spec.application_ref;
            wanted.add(Kind::Team, name(&connection.namespace, &object.spec.team_ref.name));
            wanted.add(Kind::AmazonApplication, application.clone());
            owners.insert(owner(CredentialOwnerKind::AmazonApplication, &application.namespace, &application.name));
        }
        owners.insert(owner(CredentialOwnerKind::AmazonConnection, &connection.namespace, &connection.name));
        wanted.add(Kind::AmazonConnection, connection);
    }
    for (namespace, owner) in owners {
        for input in stores.inputs(&namespace, &owner) {
            wanted.add(Kind::SealedCredential, name(&namespace, &input.name_any()));
        }
    }
    wanted
}

fn owner(kind: CredentialOwnerKind, namespace: &str, name: &str) -> (String, CredentialOwner) {
    (namespace.to_owned(), CredentialOwner { kind, name: name.to_owned() })
}

/// `access.json`: who could do what when the bundle was made, but for being contained.
fn access(stores: &Stores, below: &Below, usage: &Usage, now: Timestamp) -> Value {
    let connections = below.connections.iter().map(|name| {
        let found = stores.connection(&name.namespace, &name.name);
        told(name, found.as_deref(), |connection| {
            let spec = &connection.spec;
            json!({
                "team": spec.team_ref.name,
                "application": spec.application_ref,
                "region": spec.region,
                "sandbox": spec.sandbox,
                "access": spec.access,
                "sellingPartnerId": connection.selling_partner_id(),
                "marketplaceIds": spec.marketplace_ids,
                "exposedUntil": connection.status.as_ref().and_then(|status| status.exposed_until.as_ref()),
            })
        })
    });
    let grants = below.grants.iter().map(|name| {
        let found = stores.grants.get(&name.namespace, &name.name);
        told(name, found.as_deref(), |grant| {
            let account = &grant.spec.service_account.name;
            let actor = format!("system:serviceaccount:{}:{account}", name.namespace);
            json!({
                "team": grant.spec.team_ref.name,
                "serviceAccount": account,
                "scope": grant.spec.scope,
                "lastUse": usage.last_use("ServiceAccount", &actor),
            })
        })
    });
    let tokens = below.tokens.iter().map(|name| {
        let found = stores.runtime_tokens.get(&name.namespace, &name.name);
        told(name, found.as_deref(), |token| {
            json!({
                "team": token.spec.team_ref.name,
                "issuedBy": token.spec.issued_by,
                "expiresAt": token.spec.expires_at,
                "isExpired": token.spec.expires_at.0 <= now,
                "scope": token.spec.scope,
                "lastUse": usage.last_use("RuntimeToken", &name.to_string()),
            })
        })
    });
    json!({
        "at": now,
        "connections": connections.collect::<Vec<_>>(),
        "grants": grants.collect::<Vec<_>>(),
        "runtimeTokens": tokens.collect::<Vec<_>>(),
    })
}

/// An object by name, with what is known of it.
fn told<K: Resource<DynamicType = ()>>(
    name: &NamespacedReference,
    found: Option<&Guarded<K>>,
    tell: impl FnOnce(&K) -> Value,
) -> Value {
    let mut all = BTreeMap::from([("namespace", json!(name.namespace)), ("name", json!(name.name))]);
    let meta: Option<&ObjectMeta> = found.map(|found| found.meta());
    all.insert("uid", json!(meta.and_then(|meta| meta.uid.as_ref())));
    all.insert("createdAt", json!(meta.and_then(|meta| meta.creation_timestamp.as_ref())));
    all.insert("disabledBy", json!(meta.and_then(annotation::incidents).unwrap_or_default()));
    let mut value = json!(all);
    match found.map(|found| &found.0) {
        Some(Ok(object)) => {
            if let (Some(into), Value::Object(more)) = (value.as_object_mut(), tell(object)) {
                into.extend(more);
            }
        }
        Some(Err(_)) => value["isReadable"] = json!(false),
        None => value["isThere"] = json!(false),
    }
    value
}
