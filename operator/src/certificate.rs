//! Role certificates: who may have one, and signing it.
//!
//! The apiserver vouches for who asks: it fills in `spec.username` and `spec.extra` and lets nobody change them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use audit::{Activity, Change, EntityChange, Name, Peer, Reason, Role};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString,
    api::certificates::v1::{
        CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{
        Controller,
        controller::{Action, Error as ControllerError},
        watcher,
    },
};
use process::certificate::{LIFETIME, SIGNER, chain};
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    prelude::FromDer,
};

use crate::{
    authority::{Authority, AuthorityError},
    error::{Class, Failures, ReconcileError},
    metrics::Metrics,
    subject::entity,
};

/// As logs name it.
const KIND: &str = "CertificateSigningRequest";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const USAGES: [&str; 3] = ["digital signature", "client auth", "server auth"];
/// The apiserver takes no shorter wish (Kubernetes, `CertificateSigningRequestSpec.expirationSeconds`).
const SHORTEST: Duration = Duration::from_secs(600);

/// What to do with a request.
#[derive(Debug, PartialEq)]
enum Decision {
    /// Another signer's, or already answered.
    Leave,
    /// Sign it; whether it is still to be approved.
    Sign(Applicant, Approved),
    /// Say no.
    Deny(Denial, Approved),
}

/// Whether someone has approved the request already.
type Approved = bool;

/// Who gets a certificate, and for what key.
#[derive(Debug, PartialEq)]
struct Applicant {
    peer: Peer,
    /// SubjectPublicKeyInfo, DER.
    public_key: Vec<u8>,
    life: Duration,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    NotARole,
    NoPod,
    Usages,
    Malformed,
    Key,
    Proof,
}

impl Denial {
    const fn reason(self) -> &'static str {
        match self {
            Self::NotARole => "NotARole",
            Self::NoPod => "NoPod",
            Self::Usages => "UsagesNotAllowed",
            Self::Malformed => "RequestMalformed",
            Self::Key => "KeyNotAllowed",
            Self::Proof => "KeyNotProven",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotARole => {
                "only the ServiceAccounts of OpenTeam's roles, in its own namespace, get role certificates"
            }
            Self::NoPod => "the ServiceAccount token that asks is not bound to exactly one pod",
            Self::Usages => "usages may be digital signature, client auth and server auth only",
            Self::Malformed => "the request is not one PKCS #10 document in PEM",
            Self::Key => "the key must be ECDSA P-256",
            Self::Proof => "the request is not signed with its own key",
        })
    }
}

/// Decides.
fn decide(request: &CertificateSigningRequest, namespace: &str) -> Decision {
    let status = request.status.as_ref();
    let has = |type_: &str| {
        let mut conditions = status.into_iter().filter_map(|status| status.conditions.as_ref()).flatten();
        conditions.any(|condition| condition.type_ == type_ && condition.status == "True")
    };
    let answered = status.is_some_and(|status| status.certificate.is_some()) || has("Denied") || has("Failed");
    if request.spec.signer_name != SIGNER || answered {
        return Decision::Leave;
    }
    match applicant(request, namespace) {
        Ok(applicant) => Decision::Sign(applicant, has("Approved")),
        Err(denial) => Decision::Deny(denial, has("Approved")),
    }
}

fn applicant(request: &CertificateSigningRequest, namespace: &str) -> Result<Applicant, Denial> {
    let spec = &request.spec;
    let account = spec.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let role = account
        .and_then(|account| account.strip_prefix(namespace)?.strip_prefix(":openteam-")?.parse::<Role>().ok())
        .ok_or(Denial::NotARole)?;
    let pod = match spec.extra.as_ref().and_then(|extra: &BTreeMap<_, _>| extra.get(POD_NAME)).map(Vec::as_slice) {
        Some([pod]) => Name::parse(pod).map_err(|_| Denial::NoPod)?,
        _ => return Err(Denial::NoPod),
    };
    let usages = spec.usages.as_deref().unwrap_or_default();
    if usages.is_empty() || usages.iter().any(|usage| !USAGES.contains(&usage.as_str())) {
        return Err(Denial::Usages);
    }
    let asked = spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    Ok(Applicant {
        peer: Peer { role, pod },
        public_key: public_key(&spec.request.0)?,
        life: asked.unwrap_or(LIFETIME).clamp(SHORTEST, LIFETIME),
    })
}

/// The key of a PKCS #10 request: all that is taken from it.
fn public_key(pem: &[u8]) -> Result<Vec<u8>, Denial> {
    let (rest, document) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| Denial::Malformed)?;
    if document.label != "CERTIFICATE REQUEST" || !rest.iter().all(u8::is_ascii_whitespace) {
        return Err(Denial::Malformed);
    }
    let (rest, request) = X509CertificationRequest::from_der(&document.contents).map_err(|_| Denial::Malformed)?;
    if !rest.is_empty() {
        return Err(Denial::Malformed);
    }
    let key = &request.certification_request_info.subject_pki;
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
        return Err(Denial::Key);
    }
    request.verify_signature().map_err(|_| Denial::Proof)?;
    Ok(key.raw.to_vec())
}

/// What the signer needs.
pub(crate) struct Signer {
    pub(crate) client: Client,
    pub(crate) authority: Arc<Authority>,
    /// The namespace OpenTeam runs in.
    pub(crate) namespace: String,
    /// Signing comes before recording: the recorder itself, and our own way to it, need a certificate first.
    pub(crate) journal: UnboundedSender<Activity>,
    pub(crate) failures: Failures,
    pub(crate) metrics: Metrics,
}

/// A request could not be answered now.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error(transparent)]
    Api(#[from] ReconcileError),
    #[error("certificate could not be signed")]
    Authority(#[from] AuthorityError),
}

/// Answers requests until `shutdown`.
pub(crate) async fn run(signer: Signer, shutdown: CancellationToken) {
    let requests: Api<CertificateSigningRequest> = Api::all(signer.client.clone());
    let ours = watcher::Config::default().fields(&format!("spec.signerName={SIGNER}"));
    let policy = |request: Arc<CertificateSigningRequest>, error: &SignError, signer: Arc<Signer>| {
        let class = match error {
            SignError::Api(error) => error.class(),
            SignError::Authority(_) => Class::Invalid,
        };
        // A conflict is our own write of a moment ago, which the watch has not brought yet.
        if class != Class::Conflict {
            tracing::warn!(
                kind = KIND,
                object = request.name_any(),
                error = chain(error),
                "certificate request not answered yet"
            );
        }
        Action::requeue(signer.failures.count(request.name_any(), class))
    };
    Controller::new(requests, ours)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(answer, policy, Arc::new(signer))
        .for_each(|done| async move {
            if let Err(ControllerError::QueueError(error)) = done {
                tracing::warn!(%error, "watch of certificate requests broke off and is opened again");
            }
        })
        .await;
}

async fn answer(seen: Arc<CertificateSigningRequest>, signer: Arc<Signer>) -> Result<Action, SignError> {
    let now = Timestamp::now();
    let name = seen.name_any();
    let request = match decide(&seen, &signer.namespace) {
        Decision::Leave => CertificateSigningRequest::clone(&seen),
        // The watch may not have brought our own answer yet.
        _ => read(&signer, &name).await?,
    };
    let change = match decide(&request, &signer.namespace) {
        Decision::Leave => {
            signer.failures.forget(&name);
            return Ok(Action::await_change());
        }
        Decision::Deny(denial, approved) => {
            let type_ = if approved { "Failed" } else { "Denied" };
            write(&signer, &request, approved, with(&request, type_, denial.reason(), &denial.to_string(), now))
                .await?;
            tracing::warn!(
                kind = KIND,
                object = name,
                user = request.spec.username,
                reason = denial.reason(),
                "role certificate refused"
            );
            Change::CertificateRefused(Reason::new(denial.reason()))
        }
        Decision::Sign(applicant, approved) => {
            let why = "a pod of OpenTeam's own asks for its role";
            let approved = match approved {
                true => request.clone(),
                false => write(&signer, &request, false, with(&request, "Approved", "Role", why, now)).await?,
            };
            let until = now + SignedDuration::try_from(applicant.life).unwrap_or(SignedDuration::ZERO);
            let pem = signer.authority.sign(&applicant.peer, &signer.namespace, &applicant.public_key, now, until)?;
            let certificate = Some(ByteString(pem.into_bytes()));
            let signed = CertificateSigningRequestStatus { certificate, conditions: None };
            write(&signer, &approved, true, signed).await?;
            signer.metrics.signed(applicant.peer.role);
            tracing::info!(kind = KIND, object = name, peer = %applicant.peer, %until, "role certificate issued");
            Change::CertificateIssued(applicant.peer, until)
        }
    };
    if let Ok(entity) = entity(audit::Kind::CertificateSigningRequest, &request.metadata) {
        // The journal's other end goes only when the process does.
        let _ = signer.journal.send(EntityChange { correlation: None, target: None, entity, change }.into());
    }
    signer.failures.forget(&name);
    Ok(Action::await_change())
}

/// The request's conditions and one more. All are sent: a patch replaces the list, and the apiserver lets no verdict go.
fn with(
    request: &CertificateSigningRequest,
    type_: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> CertificateSigningRequestStatus {
    let mut conditions = request.status.clone().and_then(|status| status.conditions).unwrap_or_default();
    conditions.push(CertificateSigningRequestCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    });
    CertificateSigningRequestStatus { conditions: Some(conditions), certificate: None }
}

async fn read(signer: &Signer, name: &str) -> Result<CertificateSigningRequest, ReconcileError> {
    let requests: Api<CertificateSigningRequest> = Api::all(signer.client.clone());
    requests.get(name).await.map_err(ReconcileError::about(format!("CertificateSigningRequest {name}")))
}

/// Patches `/status`, or `/approval` where that is still open.
async fn write(
    signer: &Signer,
    request: &CertificateSigningRequest,
    status: bool,
    change: CertificateSigningRequestStatus,
) -> Result<CertificateSigningRequest, ReconcileError> {
    let requests: Api<CertificateSigningRequest> = Api::all(signer.client.clone());
    let name = request.name_any();
    // For this very version of this very request: another verdict is not lost, and a pass that has not seen our own
    // last write yet does not sign twice.
    let metadata = ObjectMeta {
        uid: request.metadata.uid.clone(),
        resource_version: request.metadata.resource_version.clone(),
        ..ObjectMeta::default()
    };
    let patch = Patch::Merge(json!({ "metadata": metadata, "status": change }));
    let written = if status {
        requests.patch_status(&name, &PatchParams::default(), &patch).await
    } else {
        requests.patch_approval(&name, &PatchParams::default(), &patch).await
    };
    written.map_err(ReconcileError::about(format!("CertificateSigningRequest {name}")))
}

#[cfg(test)]
mod tests;
