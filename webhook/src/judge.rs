//! What is said of an object before it is stored. Pure.
//!
//! Refused is what can never become right, whatever else comes; what is not there (yet) is a warning. An object that was let
//! in with a fault keeps it: only new faults refuse, so that an upgrade, or a change elsewhere, locks nobody out of
//! changing the rest of it.

mod application;
mod connection;
mod scope;
mod sealed;
mod team;
#[cfg(test)]
mod tests;

use access::{Entry, Index};
use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, SealedCredential, Team,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    review::{Refusal, Verdict},
    sealing_keys::SealingKeys,
};

/// What a judgement rests on.
pub(crate) struct World<'a> {
    pub(crate) index: &'a Index,
    /// None where the operator has published none.
    pub(crate) sealing_keys: Option<&'a SealingKeys>,
    /// Whether the ServiceAccount of a grant is there, where that could be found out.
    pub(crate) account_exists: Option<bool>,
    pub(crate) allow_endpoints: bool,
    pub(crate) now: Timestamp,
}

/// An object of a kind that is judged.
#[derive(Clone)]
pub(crate) enum Subject {
    Team(Team),
    Application(Box<AmazonApplication>),
    Connection(Box<AmazonConnection>),
    Grant(AgentGrant),
    Token(RuntimeToken),
    Sealed(SealedCredential),
}

impl Subject {
    /// The object of a review.
    pub(crate) fn read(kind: &str, object: &Value) -> Option<Self> {
        fn parse<K: DeserializeOwned>(object: &Value) -> Option<K> {
            serde_json::from_value(object.clone()).ok()
        }
        match kind {
            "Team" => parse(object).map(Self::Team),
            "AmazonApplication" => parse(object).map(Box::new).map(Self::Application),
            "AmazonConnection" => parse(object).map(Box::new).map(Self::Connection),
            "AgentGrant" => parse(object).map(Self::Grant),
            "RuntimeToken" => parse(object).map(Self::Token),
            "SealedCredential" => parse(object).map(Self::Sealed),
            _ => None,
        }
    }

    /// The ServiceAccount that it is for.
    pub(crate) fn account(&self) -> Option<NamespacedReference> {
        match self {
            Self::Grant(grant) => Some(beside(&grant.metadata, &grant.spec.service_account.name)),
            _ => None,
        }
    }

    /// The sealing key that it names.
    pub(crate) fn sealing_key(&self) -> Option<seal::KeyId> {
        match self {
            Self::Sealed(sealed) => seal::input_key_id(&sealed.spec.ciphertext).ok(),
            _ => None,
        }
    }
}

/// What was found; each text names field, reason and way out.
#[derive(Default)]
struct Findings {
    refused: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn refuse(&mut self, why: impl Into<String>) {
        self.refused.push(why.into());
    }

    fn warn(&mut self, of: impl Into<String>) {
        self.warnings.push(of.into());
    }
}

/// Judges an object, and how it was where it was there before.
pub(crate) fn judge(world: &World<'_>, new: &Subject, old: Option<&Subject>) -> Verdict {
    let mut found = look(world, new, old);
    if let Some(old) = old {
        let before = look(world, old, None).refused;
        let (known, fresh): (Vec<_>, Vec<_>) = found.refused.into_iter().partition(|fault| before.contains(fault));
        found.refused = fresh;
        found.warnings.splice(0..0, known);
    }
    let refusal = (!found.refused.is_empty()).then(|| Refusal::Invalid(found.refused.join("; ")));
    Verdict { refusal, warnings: found.warnings }
}

fn look(world: &World<'_>, new: &Subject, old: Option<&Subject>) -> Findings {
    let mut found = Findings::default();
    match (new, old) {
        (Subject::Team(new), Some(Subject::Team(old))) => team::look(world, new, Some(old), &mut found),
        (Subject::Team(new), _) => team::look(world, new, None, &mut found),
        (Subject::Application(new), Some(_)) => application::look(world, new, true, &mut found),
        (Subject::Application(new), None) => application::look(world, new, false, &mut found),
        (Subject::Connection(new), _) => connection::look(world, new, &mut found),
        (Subject::Grant(new), _) => scope::grant(world, new, &mut found),
        (Subject::Token(new), _) => scope::token(world, new, &mut found),
        (Subject::Sealed(new), _) => sealed::look(world, new, &mut found),
    }
    found
}

/// `name` in the namespace of an object.
fn beside(meta: &ObjectMeta, name: &str) -> NamespacedReference {
    NamespacedReference { namespace: meta.namespace.clone().unwrap_or_default(), name: name.to_owned() }
}

/// Warns of a Team that is not there.
fn look_for_team(world: &World<'_>, meta: &ObjectMeta, team: &str, found: &mut Findings) {
    if world.index.teams.get(&beside(meta, team)).is_none() {
        found.warn(format!("spec.teamRef: Team {team} is not in this namespace (yet); nothing works until it is"));
    }
}

fn readable<K>(entry: Option<&Entry<K>>) -> Option<&K> {
    entry.and_then(Entry::read).map(AsRef::as_ref)
}
