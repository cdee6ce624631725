//! Changes of what OpenTeam keeps: credentials, connections, containment, role certificates (OCSF 3004, Entity
//! Management).

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Actor, Class, Correlation, Name, Origin, Reason, Target,
    ocsf::{Severity, Shape, merge, millis},
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
    CertificateSigningRequest,
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
            Self::CertificateSigningRequest => "CertificateSigningRequest",
        }
    }
}

/// The object an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; none for a CertificateSigningRequest.
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
    /// A SealedCredential was taken over.
    InputAccepted(CredentialField),
    /// A SealedCredential is older than what is in use, and does nothing.
    InputSuperseded(CredentialField),
    /// A SealedCredential cannot be used.
    InputRefused(CredentialField, Reason),
    /// Amazon accepts the connection's credential.
    Authorized,
    /// Amazon no longer does, or never did.
    Unauthorized(Reason),
    /// `openteam.dev/disable` was seen: nothing is served under the object. With the incidents it names.
    Contained(Vec<Name>),
    /// The annotation was seen to be gone.
    Restored,
    /// A role certificate was signed for this process, until then.
    CertificateIssued(Peer, Timestamp),
    /// A request for one was denied.
    CertificateRefused(Reason),
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
        // activity_id: 1 create, 2 read, 3 update, 8 enable, 9 disable, 10 activate, 11 deactivate.
        let (activity, severity, message) = match self.change {
            Change::CredentialSealed(..) => (1, Informational, "credential sealed"),
            Change::CredentialOpened(..) => (2, Informational, "credential opened"),
            Change::CredentialUnopenable(..) => (2, High, "credential does not open"),
            Change::CredentialResealed(..) => (3, Informational, "credential sealed anew"),
            Change::InputAccepted(_) => (3, Informational, "sealed credential accepted"),
            Change::InputSuperseded(_) => (3, Informational, "sealed credential superseded"),
            Change::InputRefused(..) => (3, Low, "sealed credential refused"),
            Change::Authorized => (10, Informational, "connection authorized"),
            Change::Unauthorized(_) => (11, Medium, "connection unauthorized"),
            Change::Contained(_) => (9, Medium, "contained"),
            Change::Restored => (8, Medium, "restored"),
            Change::CertificateIssued(..) => (1, Informational, "role certificate issued"),
            Change::CertificateRefused(_) => (1, Medium, "role certificate refused"),
        };
        Shape {
            class: Class::EntityManagement,
            activity,
            severity,
            message,
            correlation: self.correlation,
            target: self.target.as_ref(),
            truncated: matches!(&self.change, Change::Contained(of) if of.len() > MOST_INCIDENTS),
            profiles: &[],
        }
    }

    pub(super) fn body(&self, origin: &Origin) -> Value {
        let name = match &self.entity.namespace {
            Some(namespace) => format!("{namespace}/{}", self.entity.name),
            None => self.entity.name.to_string(),
        };
        let field = |field: CredentialField| json!({ "unmapped": { "field": field.as_str() } });
        let stored = |of: CredentialField, generation: u64| json!({ "unmapped": { "field": of.as_str() }, "entity": { "version": generation.to_string() } });
        let (reason, more) = match &self.change {
            Change::CredentialSealed(of, generation)
            | Change::CredentialOpened(of, generation)
            | Change::CredentialResealed(of, generation) => (None, stored(*of, *generation)),
            Change::CredentialUnopenable(of, generation) => {
                (Some(Reason::new("DoesNotOpen")), stored(*of, *generation))
            }
            Change::InputAccepted(of) => (None, field(*of)),
            Change::InputSuperseded(of) => (Some(Reason::new("Superseded")), field(*of)),
            Change::InputRefused(of, reason) => (Some(*reason), field(*of)),
            Change::Unauthorized(reason) | Change::CertificateRefused(reason) => (Some(*reason), json!({})),
            Change::Contained(incidents) => {
                let named: Vec<&Name> = incidents.iter().take(MOST_INCIDENTS).collect();
                (None, json!({ "unmapped": { "incidents": named } }))
            }
            Change::CertificateIssued(to, until) => {
                (None, json!({ "unmapped": { "issued_to": to, "expires_at": millis(*until) } }))
            }
            Change::Authorized | Change::Restored => (None, json!({})),
        };
        let mut body = json!({
            "actor": Actor::Itself.to_json(origin),
            "entity": { "type": self.entity.kind.as_str(), "name": name, "uid": self.entity.uid },
            "status_id": if reason.is_none() { 1 } else { 2 },
            "status_detail": reason.map(Reason::as_str),
        });
        merge(&mut body, more);
        body
    }
}
