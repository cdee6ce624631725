//! ConfigMap `openteam-review`: what of the record is to be reviewed, and who has done so. The operator alone writes its data.
//!
//! | key | value |
//! |---|---|
//! | `digest.json` | [`ReviewDigest`] |
//! | `digest` | `sha256:` and the SHA-256 of `digest.json`, in hexadecimal digits: what is signed off |
//! | `madeAt` | when it was made, RFC 3339 |
//! | `dueBy` | until when somebody must have signed it off |
//! | `mail` | what became of the mail about it, a `MailStatus` as JSON |
//! | `signedOffBy` | who signed it off, by the user name that the apiserver knows them by |
//! | `signedOffAt` | when the operator saw that |
//!
//! Somebody signs it off by the annotation [`SIGNED_OFF`] with the value `<digest> <user name>`; a policy sees to it that the name is
//! their own and the digest the current one.

use std::collections::BTreeMap;

use audit::wire;
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uuid::Uuid;

/// Its name, in OpenTeam's own namespace.
pub const NAME: &str = "openteam-review";
/// The longest time between two reviews: Amazon's Data Protection Policy wants logs reviewed "at least bi-weekly".
pub const EVERY: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Who signs the digest off: `<digest> <user name>`.
pub const SIGNED_OFF: &str = "openteam.dev/signed-off";
/// What they have to say about it, for people.
pub const NOTE: &str = "openteam.dev/signed-off-note";
/// `digest.json` in the data.
pub const DIGEST_JSON: &str = "digest.json";
/// `digest` in the data.
pub const DIGEST: &str = "digest";
const MADE_AT: &str = "madeAt";
const DUE_BY: &str = "dueBy";
const MAIL: &str = "mail";
const SIGNED_OFF_BY: &str = "signedOffBy";
const SIGNED_OFF_AT: &str = "signedOffAt";

/// What somebody is to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewDigest {
    /// The review's, in the record too.
    pub uid: Uuid,
    /// From when on the record was read: where the last digest that was signed off ends.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Whether all recorders answered and every log of theirs is whole.
    pub is_verified: bool,
    /// What each recorder says.
    pub recorders: Vec<OfRecorder>,
    /// The newest checkpoints that the witness cosigned, by log.
    pub witnessed: Vec<WitnessedLog>,
    /// Who may do what.
    pub access: Access,
}

/// What a recorder says of its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfRecorder {
    /// Its pod.
    pub pod: String,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<wire::digest::Digest>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A log as far as the witness has seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WitnessedLog {
    /// Its name.
    pub origin: String,
    /// Its entries.
    pub size: u64,
    /// Their root, in base64.
    pub root: String,
}

impl WitnessedLog {
    /// The checkpoint without its signatures (C2SP tlog-checkpoint).
    #[must_use]
    pub fn checkpoint(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

/// Who may do what. People are named by the digest that they have in the record, never by their address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Teams by namespace and name.
    pub teams: Vec<TeamAccess>,
    /// Teams for which there was no room here.
    pub more_teams: u64,
}

/// Who may do what with a Team's connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamAccess {
    /// `<namespace>/<name>`
    pub team: String,
    /// Its members.
    pub members: Vec<MemberAccess>,
    /// Names of its AmazonConnections.
    pub connections: Vec<String>,
    /// Its AgentGrants.
    pub agent_grants: Vec<GrantAccess>,
    /// Its RuntimeTokens that have not ended.
    pub runtime_tokens: Vec<TokenAccess>,
}

/// A member of a Team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAccess {
    /// The digest of their address in the record.
    pub member: String,
    /// Owner, Member or Viewer.
    pub role: String,
}

/// An AgentGrant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantAccess {
    /// Its name.
    pub name: String,
    /// The ServiceAccount that it lets in, of the same namespace.
    pub service_account: String,
    /// The AmazonConnections that it names.
    pub connections: Vec<String>,
}

/// A RuntimeToken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenAccess {
    /// Its name.
    pub name: String,
    /// Who issued it, as the kind has it: the digest of that in the record.
    pub issued_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The AmazonConnections that it names.
    pub connections: Vec<String>,
}

/// Who signed a digest off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOff {
    /// The user name that the apiserver knows them by.
    pub by: String,
    /// When the operator saw it.
    pub at: Timestamp,
}

/// The ConfigMap's data.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What is to be reviewed.
    pub content: ReviewDigest,
    /// The same as it is kept.
    pub json: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when somebody must have signed it off.
    pub due_by: Timestamp,
    /// What became of the mail, as JSON.
    pub mail: Option<String>,
    /// Who signed it off.
    pub signed_off: Option<SignedOff>,
}

/// Why the ConfigMap cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeptError {
    /// An entry is not there, or not what the operator writes.
    #[error("ConfigMap {NAME} was changed: its entry {0} is not what the operator writes")]
    Damaged(&'static str),
    /// `digest` is that of something else.
    #[error("ConfigMap {NAME} was changed: its digest is not that of {DIGEST_JSON}")]
    OtherDigest,
}

/// What is signed off of a text: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest(json: &str) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(json.as_bytes())))
}

/// The value of [`SIGNED_OFF`].
#[must_use]
pub fn signature(digest: &str, user: &str) -> String {
    format!("{digest} {user}")
}

impl Kept {
    /// Of its data.
    ///
    /// # Errors
    /// [`KeptError`]
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, KeptError> {
        let text = |key: &'static str| data.get(key).ok_or(KeptError::Damaged(key));
        let time = |key: &'static str| text(key)?.parse::<Timestamp>().map_err(|_| KeptError::Damaged(key));
        let json = text(DIGEST_JSON)?.clone();
        if *text(DIGEST)? != digest(&json) {
            return Err(KeptError::OtherDigest);
        }
        let content = serde_json::from_str(&json).map_err(|_| KeptError::Damaged(DIGEST_JSON))?;
        let signed_off = match data.get(SIGNED_OFF_BY) {
            Some(by) => Some(SignedOff { by: by.clone(), at: time(SIGNED_OFF_AT)? }),
            None => None,
        };
        let (made_at, due_by) = (time(MADE_AT)?, time(DUE_BY)?);
        Ok(Self { content, json, made_at, due_by, mail: data.get(MAIL).cloned(), signed_off })
    }

    /// As its data.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([
            (DIGEST_JSON.to_owned(), self.json.clone()),
            (DIGEST.to_owned(), self.digest()),
            (MADE_AT.to_owned(), self.made_at.to_string()),
            (DUE_BY.to_owned(), self.due_by.to_string()),
        ]);
        data.extend(self.mail.iter().map(|mail| (MAIL.to_owned(), mail.clone())));
        if let Some(SignedOff { by, at }) = &self.signed_off {
            data.insert(SIGNED_OFF_BY.to_owned(), by.clone());
            data.insert(SIGNED_OFF_AT.to_owned(), at.to_string());
        }
        data
    }

    /// Until when somebody must have signed a digest off: this one, or once that is done the next.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        match self.signed_off {
            None => self.due_by,
            Some(_) => self.made_at.saturating_add(EVERY).unwrap_or(Timestamp::MAX),
        }
    }

    /// What is signed off.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.json)
    }

    /// Who signs it off by this value of [`SIGNED_OFF`]; `None` where that is of another digest.
    #[must_use]
    pub fn signatory<'a>(&self, annotation: &'a str) -> Option<&'a str> {
        let (digest, user) = annotation.split_once(' ')?;
        (digest == self.digest() && !user.is_empty()).then_some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let content = ReviewDigest {
            uid: Uuid::now_v7(),
            from: at("2026-11-01T00:00:00Z"),
            to: at("2026-11-13T00:00:00Z"),
            is_verified: true,
            recorders: Vec::new(),
            witnessed: vec![WitnessedLog { origin: "audit.c/r/2026q4".into(), size: 3, root: "cm9vdA==".into() }],
            access: Access::default(),
        };
        let json = serde_json::to_string(&content).unwrap();
        let (made_at, due_by) = (at("2026-11-13T00:00:00Z"), at("2026-11-15T00:00:00Z"));
        Kept { content, json, made_at, due_by, mail: None, signed_off: None }
    }

    #[test]
    fn what_is_kept_reads_back() {
        let mut kept = kept();
        assert_eq!(Kept::parse(&kept.data()), Ok(kept.clone()));
        kept.mail = Some("{}".to_owned());
        kept.signed_off = Some(SignedOff { by: "jane@example.com".to_owned(), at: kept.due_by });
        assert_eq!(Kept::parse(&kept.data()), Ok(kept));
    }

    #[test]
    fn what_was_changed_is_not_taken() {
        let data = kept().data();
        for key in [DIGEST_JSON, DIGEST, MADE_AT, DUE_BY] {
            let mut without = data.clone();
            without.remove(key);
            assert_eq!(Kept::parse(&without), Err(KeptError::Damaged(key)));
            let mut other = data.clone();
            other.insert(key.to_owned(), "{}".to_owned());
            assert!(Kept::parse(&other).is_err(), "{key}");
        }
        let mut half = data;
        half.insert(SIGNED_OFF_BY.to_owned(), "jane".to_owned());
        assert_eq!(Kept::parse(&half), Err(KeptError::Damaged(SIGNED_OFF_AT)));
    }

    #[test]
    fn a_signature_is_of_this_digest_and_somebody() {
        let kept = kept();
        let digest = kept.digest();
        assert_eq!(kept.signatory(&signature(&digest, "jane@example.com")), Some("jane@example.com"));
        // Kubernetes lets user names have spaces.
        assert_eq!(kept.signatory(&signature(&digest, "Jane Doe")), Some("Jane Doe"));
        for other in ["", "jane", &digest, &signature(&digest, ""), &signature("sha256:00", "jane")] {
            assert_eq!(kept.signatory(other), None, "{other}");
        }
    }
}
