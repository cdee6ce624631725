//! Changes of what OpenTeam keeps: credentials, connections, containment, role certificates (OCSF 3004, Entity
//! Management).

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Actor, Class, Correlation, Digest, MarketplaceId, Name, Origin, Reason, Requester, Target,
    actor::{ActorBody, SourceBody},
    call::MOST_LISTED,
    ocsf::{Body, Severity, Shape, Unmapped, millis},
};
use crate::Peer;

/// Most incidents one event lists.
pub(super) const MOST_INCIDENTS: usize = 16;

/// The kind of object an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the kinds themselves")]
pub enum Kind {
    Team,
    AmazonApplication,
    AmazonConnection,
    AgentGrant,
    RuntimeToken,
    SealedCredential,
    StoredCredential,
    Incident,
    CertificateSigningRequest,
    PortalUser,
    /// What is recorded of a namespace, as RBAC has it (`records.openteam.dev`); without a namespace, all of it.
    Record,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "Team",
            Self::AmazonApplication => "AmazonApplication",
            Self::AmazonConnection => "AmazonConnection",
            Self::AgentGrant => "AgentGrant",
            Self::RuntimeToken => "RuntimeToken",
            Self::SealedCredential => "SealedCredential",
            Self::StoredCredential => "StoredCredential",
            Self::Incident => "Incident",
            Self::CertificateSigningRequest => "CertificateSigningRequest",
            Self::PortalUser => "PortalUser",
            Self::Record => "Record",
        }
    }
}

/// The object an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; none for a CertificateSigningRequest, and for the record as a whole.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
    /// Its UID, when known.
    pub uid: Option<Uuid>,
}

/// Which secret of a connection or application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialField {
    /// Of a connection.
    RefreshToken,
    /// Of a connection, good once and for minutes.
    AuthorizationCode,
    /// Of an application.
    ClientSecret,
}

impl CredentialField {
    const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "RefreshToken",
            Self::AuthorizationCode => "AuthorizationCode",
            Self::ClientSecret => "ClientSecret",
        }
    }
}

/// What a RuntimeToken opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// AmazonConnections of its namespace.
    pub connections: Vec<Name>,
    /// Their marketplaces.
    pub marketplaces: Vec<MarketplaceId>,
    /// Classes of operations, such as `read`; by name listed ones are told as `named`.
    pub operations: Vec<&'static str>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Granted {
    fn is_truncated(&self) -> bool {
        self.connections.len() > MOST_LISTED || self.marketplaces.len() > MOST_LISTED
    }

    fn body(&self) -> ScopeBody<'_> {
        ScopeBody {
            connections: self.connections.iter().take(MOST_LISTED).collect(),
            marketplaces: self.marketplaces.iter().take(MOST_LISTED).map(MarketplaceId::as_str).collect(),
            operations: self.operations.get(..MOST_LISTED).unwrap_or(&self.operations),
        }
    }
}

/// A scope in short, as an event tells it.
#[derive(PartialEq, Serialize)]
pub(super) struct ScopeBody<'a> {
    connections: Vec<&'a Name>,
    marketplaces: Vec<&'a str>,
    operations: &'a [&'static str],
}

/// What happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A credential was encrypted and stored, as this generation.
    CredentialSealed(CredentialField, u64),
    /// A credential was decrypted for use.
    CredentialOpened(CredentialField, u64),
    /// A stored credential did not open.
    CredentialUnopenable(CredentialField, u64),
    /// A credential was encrypted anew, as this generation.
    CredentialResealed(CredentialField, u64),
    /// A credential that Amazon refuses, or that may no longer be used, was destroyed.
    CredentialDestroyed(CredentialField, u64),
    /// The connection's credential was taken out of use, and with it the RuntimeTokens that opened it.
    Rotated,
    /// Amazon still accepts the credential that was taken out of use.
    OldTokenAccepted,
    /// Amazon refuses it.
    OldTokenRefused,
    /// Contacts of the Team were asked by mail for the seller's consent.
    ConsentMailed,
    /// Amazon is about to be asked for a new client secret of the application.
    SecretRotationRequested,
    /// A SealedCredential was taken over.
    InputAccepted(CredentialField),
    /// A SealedCredential is older than what is in use, and does nothing.
    InputSuperseded(CredentialField),
    /// A SealedCredential cannot be used.
    InputRefused(CredentialField, Reason),
    /// A SealedCredential that is of no use any more, which the portal made, is about to be deleted.
    InputDeleted(CredentialField),
    /// Amazon accepts the connection's credential.
    Authorized,
    /// Amazon no longer does, or never did.
    Unauthorized(Reason),
    /// `openteam.dev/disable` was seen: nothing is served under the object. With the incidents it names.
    Contained(Vec<Name>),
    /// The annotation was seen to be gone.
    Restored,
    /// A mail about it, of this kind, was taken by the mail server.
    Notified(&'static str),
    /// A mail about it, of this kind, was not sent and is given up.
    NotNotified(&'static str, Reason),
    /// Who set `openteam.dev/disable`, as the apiserver told the webhook; with the incidents that were added.
    ContainedBy(Requester, Vec<Name>),
    /// Who is about to take these incidents out of it. Recorded before it takes effect; whether it did, [`Self::Restored`]
    /// tells.
    RestoringBy(Requester, Vec<Name>),
    /// Who deleted the object.
    DeletedBy(Requester),
    /// Who set `openteam.dev/rotate` to a new value, likewise.
    RotationAskedBy(Requester),
    /// Who set `openteam.dev/renew` to a new value, likewise.
    RenewalAskedBy(Requester),
    /// Who had its credential tried.
    TestAskedBy(Requester),
    /// Who created the object.
    CreatedBy(Requester),
    /// Who gave it another display name.
    RenamedBy(Requester),
    /// Who went to Amazon for the seller's consent.
    ConsentBegunBy(Requester),
    /// Who came back from Amazon, with a code; or why there is none that can be used.
    ConsentReturnedBy(Requester, Option<Reason>),
    /// Who gave this secret, which was sealed at once.
    InputGivenBy(Requester, CredentialField),
    /// Who issued the RuntimeToken. Revoking it is [`Self::DeletedBy`], or [`Self::ContainedBy`] where it is frozen.
    IssuedBy(Requester, Granted),
    /// Who accepted a membership of the Team.
    MembershipAcceptedBy(Requester),
    /// Who is about to read what is recorded of the Team's namespace, or what the object [`Kind::Record`] says.
    RecordReadBy(Requester),
    /// A role certificate was signed for this process, until then.
    CertificateIssued(Peer, Timestamp),
    /// A request for one was denied.
    CertificateRefused(Reason),
    /// Evidence of an incident was signed, as this bundle of its sequence, with the digest of its manifest.
    EvidenceSigned(u64, Digest),
    /// A bundle of evidence, which has this digest, was copied to where `evidenceUrl` says.
    EvidenceCopied(u64, Digest),
}

impl Change {
    /// Who asked for it, where that is known.
    const fn by(&self) -> Option<&Requester> {
        match self {
            Self::ContainedBy(by, _)
            | Self::RestoringBy(by, _)
            | Self::DeletedBy(by)
            | Self::RotationAskedBy(by)
            | Self::RenewalAskedBy(by)
            | Self::TestAskedBy(by)
            | Self::CreatedBy(by)
            | Self::RenamedBy(by)
            | Self::ConsentBegunBy(by)
            | Self::ConsentReturnedBy(by, _)
            | Self::InputGivenBy(by, _)
            | Self::IssuedBy(by, _)
            | Self::MembershipAcceptedBy(by)
            | Self::RecordReadBy(by) => Some(by),
            _ => None,
        }
    }
}

/// A change of one object.
#[derive(Clone, Debug)]
pub struct EntityChange {
    /// The request it belongs to, if any.
    pub correlation: Option<Correlation>,
    /// Whose object.
    pub target: Option<Target>,
    /// The object.
    pub entity: Entity,
    /// What happened.
    pub change: Change,
}

impl EntityChange {
    pub(super) fn shape(&self) -> Shape<'_> {
        use Severity::{High, Informational, Low, Medium};
        // activity_id: 1 create, 2 read, 3 update, 4 delete, 8 enable, 9 disable, 10 activate, 11 deactivate.
        let (activity, severity, message) = match self.change {
            Change::CredentialSealed(..) => (1, Informational, "credential sealed"),
            Change::CredentialOpened(..) => (2, Informational, "credential opened"),
            Change::CredentialUnopenable(..) => (2, High, "credential does not open"),
            Change::CredentialResealed(..) => (3, Informational, "credential sealed anew"),
            Change::CredentialDestroyed(..) => (4, Informational, "credential destroyed"),
            Change::Rotated => (3, Medium, "rotated"),
            Change::OldTokenAccepted => (2, Medium, "rotated credential still accepted by amazon"),
            Change::OldTokenRefused => (2, Informational, "rotated credential refused by amazon"),
            Change::ConsentMailed => (2, Informational, "consent asked for by mail"),
            Change::SecretRotationRequested => (3, Informational, "new client secret requested"),
            Change::InputAccepted(_) => (3, Informational, "sealed credential accepted"),
            Change::InputSuperseded(_) => (3, Informational, "sealed credential superseded"),
            Change::InputRefused(..) => (3, Low, "sealed credential refused"),
            Change::InputDeleted(_) => (4, Informational, "sealed credential deleted"),
            Change::Authorized => (10, Informational, "connection authorized"),
            Change::Unauthorized(_) => (11, Medium, "connection unauthorized"),
            Change::Contained(_) => (9, Medium, "contained"),
            Change::Restored => (8, Medium, "restored"),
            Change::Notified(_) => (3, Informational, "notified by mail"),
            Change::NotNotified(..) => (3, Medium, "not notified by mail"),
            Change::ContainedBy(..) => (9, Medium, "contained by"),
            Change::RestoringBy(..) => (8, Medium, "about to be restored by"),
            Change::DeletedBy(_) => (4, Low, "deleted by"),
            Change::RotationAskedBy(_) => (3, Medium, "rotation asked for by"),
            Change::RenewalAskedBy(_) => (3, Informational, "renewal asked for by"),
            Change::TestAskedBy(_) => (3, Informational, "test asked for by"),
            Change::CreatedBy(_) => (1, Informational, "created by"),
            Change::RenamedBy(_) => (3, Informational, "renamed by"),
            Change::ConsentBegunBy(_) => (3, Informational, "consent begun by"),
            Change::ConsentReturnedBy(_, None) => (3, Informational, "consent returned by"),
            Change::ConsentReturnedBy(_, Some(_)) => (3, Low, "consent not returned by"),
            Change::InputGivenBy(..) => (1, Informational, "sealed credential given by"),
            Change::IssuedBy(..) => (1, Informational, "issued by"),
            Change::MembershipAcceptedBy(_) => (3, Informational, "membership accepted by"),
            Change::RecordReadBy(_) => (2, Informational, "record read by"),
            Change::CertificateIssued(..) => (1, Informational, "role certificate issued"),
            Change::CertificateRefused(_) => (1, Medium, "role certificate refused"),
            Change::EvidenceSigned(..) => (1, Informational, "evidence signed"),
            Change::EvidenceCopied(..) => (2, Informational, "evidence copied"),
        };
        Shape {
            class: Class::EntityManagement,
            activity,
            severity,
            message,
            correlation: self.correlation,
            target: self.target.as_ref(),
            truncated: match &self.change {
                Change::Contained(of) | Change::ContainedBy(_, of) | Change::RestoringBy(_, of) => {
                    of.len() > MOST_INCIDENTS
                }
                Change::IssuedBy(_, granted) => granted.is_truncated(),
                _ => false,
            },
            profiles: &[],
        }
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let none = Unmapped::default;
        let field = |of: CredentialField| Unmapped { field: Some(of.as_str()), ..none() };
        let (reason, more) = match &self.change {
            Change::CredentialSealed(of, _)
            | Change::CredentialOpened(of, _)
            | Change::CredentialResealed(of, _)
            | Change::CredentialDestroyed(of, _) => (None, field(*of)),
            Change::CredentialUnopenable(of, _) => (Some(Reason::new("DoesNotOpen")), field(*of)),
            Change::InputAccepted(of) | Change::InputDeleted(of) => (None, field(*of)),
            Change::InputSuperseded(of) => (Some(Reason::new("Superseded")), field(*of)),
            Change::InputRefused(of, reason) => (Some(*reason), field(*of)),
            Change::Unauthorized(reason) | Change::CertificateRefused(reason) => (Some(*reason), none()),
            Change::Contained(incidents) | Change::ContainedBy(_, incidents) | Change::RestoringBy(_, incidents) => {
                let named = incidents.get(..MOST_INCIDENTS).unwrap_or(incidents);
                (None, Unmapped { incidents: Some(named), ..none() })
            }
            Change::Notified(of) => (None, Unmapped { notification: Some(of), ..none() }),
            Change::NotNotified(of, reason) => (Some(*reason), Unmapped { notification: Some(of), ..none() }),
            Change::CertificateIssued(to, until) => {
                (None, Unmapped { issued_to: Some(to), expires_at: Some(millis(*until)), ..none() })
            }
            Change::EvidenceSigned(_, digest) | Change::EvidenceCopied(_, digest) => {
                (None, Unmapped { digest: Some(digest.as_str()), ..none() })
            }
            Change::Authorized
            | Change::Restored
            | Change::Rotated
            | Change::SecretRotationRequested
            | Change::ConsentMailed
            | Change::OldTokenAccepted
            | Change::OldTokenRefused
            | Change::DeletedBy(_)
            | Change::RotationAskedBy(_)
            | Change::RenewalAskedBy(_)
            | Change::TestAskedBy(_)
            | Change::CreatedBy(_)
            | Change::RenamedBy(_)
            | Change::ConsentBegunBy(_)
            | Change::MembershipAcceptedBy(_)
            | Change::RecordReadBy(_) => (None, none()),
            Change::ConsentReturnedBy(_, reason) => (*reason, none()),
            Change::InputGivenBy(_, of) => (None, field(*of)),
            Change::IssuedBy(_, granted) => {
                let expires_at = Some(millis(granted.expires_at));
                (None, Unmapped { scope: Some(granted.body()), expires_at, ..none() })
            }
        };
        let version = match &self.change {
            Change::CredentialSealed(_, generation)
            | Change::CredentialOpened(_, generation)
            | Change::CredentialUnopenable(_, generation)
            | Change::CredentialResealed(_, generation)
            | Change::CredentialDestroyed(_, generation) => Some(generation.to_string()),
            Change::EvidenceSigned(sequence, _) | Change::EvidenceCopied(sequence, _) => Some(sequence.to_string()),
            _ => None,
        };
        let Entity { kind, namespace, name, uid } = &self.entity;
        let name = match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_string(),
        };
        let by = self.change.by();
        let body = EntityBody {
            actor: by.map_or_else(|| Actor::Itself.body(origin), Requester::body),
            src_endpoint: by.and_then(|by| by.source(origin)),
            entity: Object { r#type: kind.as_str(), name, uid: *uid, version },
            status_id: if reason.is_none() { 1 } else { 2 },
            status_detail: reason.map(Reason::as_str),
        };
        (Body::Entity(body), more)
    }
}

/// What an event of the class has besides what all have.
#[derive(Serialize)]
pub(super) struct EntityBody<'a> {
    actor: ActorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<SourceBody<'a>>,
    entity: Object,
    status_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
}

#[derive(Serialize)]
struct Object {
    r#type: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}
