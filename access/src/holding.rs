//! What a caller holds: the AgentGrants of a ServiceAccount, or one RuntimeToken.

use std::{fmt, sync::Arc};

use crds::{AgentGrant, AmazonConnection, NamespacedReference, Role, RuntimeToken, Scope, Team};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    Caller,
    containment::{self, Containment},
    index::{Entry, Index, Kind, named, within},
    refusal::Refusal,
    rotation,
};

/// One object that lets the caller use connections.
#[derive(Clone, Debug)]
pub enum Holding {
    /// A grant to the caller's ServiceAccount.
    Grant(NamespacedReference, Arc<AgentGrant>),
    /// The token that the caller presented.
    Token(NamespacedReference, Arc<RuntimeToken>),
}

impl Holding {
    /// Everything that `caller` holds, contained or not, good or not.
    pub(crate) fn of(index: &Index, caller: &Caller) -> Vec<Self> {
        match caller {
            Caller::ServiceAccount(account) => within(&index.grants, &account.namespace)
                .filter(|(_, grant)| grant.spec.service_account.name == account.name)
                .map(|(name, grant)| Self::Grant(name.clone(), grant.clone()))
                .collect(),
            Caller::RuntimeToken(token) => index
                .runtime_tokens
                .get(token)
                .and_then(Entry::read)
                .map(|object| Self::Token(token.clone(), object.clone()))
                .into_iter()
                .collect(),
        }
    }

    /// The same holding as the index has it now; `None` once it is gone.
    pub(crate) fn now(&self, index: &Index) -> Option<Self> {
        match self {
            Self::Grant(name, then) => {
                let grant = index.grants.get(name)?.read()?;
                // The name alone is not enough: a grant replaced to name another ServiceAccount is another grant.
                (grant.spec.service_account == then.spec.service_account)
                    .then(|| Self::Grant(name.clone(), grant.clone()))
            }
            Self::Token(name, then) => {
                let token = index.runtime_tokens.get(name)?.read()?;
                (token.spec.hash == then.spec.hash).then(|| Self::Token(name.clone(), token.clone()))
            }
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Grant(..) => Kind::AgentGrant,
            Self::Token(..) => Kind::RuntimeToken,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn object(&self) -> &NamespacedReference {
        match self {
            Self::Grant(name, _) | Self::Token(name, _) => name,
        }
    }

    pub(crate) fn scope(&self) -> &Scope {
        match self {
            Self::Grant(_, grant) => &grant.spec.scope,
            Self::Token(_, token) => &token.spec.scope,
        }
    }

    fn team(&self) -> &str {
        match self {
            Self::Grant(_, grant) => &grant.spec.team_ref.name,
            Self::Token(_, token) => &token.spec.team_ref.name,
        }
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Grant(_, grant) => &grant.metadata,
            Self::Token(_, token) => &token.metadata,
        }
    }

    /// Whether its scope names this connection, which must be of its own namespace and Team.
    pub(crate) fn covers(&self, name: &NamespacedReference, connection: &AmazonConnection) -> bool {
        self.object().namespace == name.namespace
            && connection.spec.team_ref.name == self.team()
            && self.scope().connections.contains(&name.name)
    }

    fn containment(&self) -> Option<Containment> {
        containment::of(self.kind(), self.object(), self.meta())
    }

    /// Refuses what is contained, and a token that is no longer good.
    pub(crate) fn check(&self, index: &Index, now: Timestamp) -> Result<(), Refusal> {
        if let Some(containment) = self.containment() {
            return Err(Refusal::Contained { by: vec![containment] });
        }
        let Self::Token(name, token) = self else { return Ok(()) };
        let team = index.teams.get(&named(&name.namespace, self.team())).and_then(Entry::read);
        let connections = connections_of(index, &name.namespace, &token.spec.scope);
        match runtime_token_fault(token, team.map(AsRef::as_ref), connections, now) {
            None => Ok(()),
            Some(fault) => Err(Refusal::RuntimeToken { token: name.clone(), fault }),
        }
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.object())
    }
}

/// Why a RuntimeToken is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeTokenFault {
    /// Its Team does not exist, or cannot be read.
    TeamNotFound,
    /// Its time is over.
    Expired,
    /// Whoever issued it is no member, or may not issue tokens.
    IssuerNotMember,
    /// It was given a longer life than the Team allows.
    LivesTooLong,
    /// What it opens was rotated since it was issued, or is about to be.
    Rotated,
}

impl RuntimeTokenFault {
    /// A CamelCase word for conditions and events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TeamNotFound => "TeamNotFound",
            Self::Expired => "Expired",
            Self::IssuerNotMember => "IssuerNotMember",
            Self::LivesTooLong => "LivesTooLong",
            Self::Rotated => "Rotated",
        }
    }
}

impl fmt::Display for RuntimeTokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TeamNotFound => "its Team does not exist",
            Self::Expired => "it has expired; issue another one",
            Self::IssuerNotMember => "the person who issued it is no longer an Owner or Member of the Team",
            Self::LivesTooLong => "it was given a longer life than the Team's runtimeTokens.maxTtl allows",
            Self::Rotated => "its Team or a connection of its scope was rotated after it was issued; issue another one",
        })
    }
}

/// The connections that a scope in a namespace names, as far as they are there and can be read.
pub fn connections_of<'a>(
    index: &'a Index,
    namespace: &'a str,
    scope: &'a Scope,
) -> impl Iterator<Item = &'a AmazonConnection> {
    let found = scope.connections.iter().filter_map(move |name| index.connections.get(&named(namespace, name)));
    found.filter_map(Entry::read).map(AsRef::as_ref)
}

/// Why a RuntimeToken is no good at `now`, or `None` for a good one; `connections` are those of its scope. Containment is not
/// looked at here.
#[must_use]
pub fn runtime_token_fault<'a>(
    token: &RuntimeToken,
    team: Option<&Team>,
    connections: impl IntoIterator<Item = &'a AmazonConnection>,
    now: Timestamp,
) -> Option<RuntimeTokenFault> {
    let Some(team) = team else { return Some(RuntimeTokenFault::TeamNotFound) };
    if token.spec.expires_at.0 <= now {
        return Some(RuntimeTokenFault::Expired);
    }
    if rotation::is_dead(token, team, connections, now) {
        return Some(RuntimeTokenFault::Rotated);
    }
    if team.spec.role_of(&token.spec.issued_by).is_none_or(|role| role < Role::Member) {
        return Some(RuntimeTokenFault::IssuerNotMember);
    }
    // The life counts from the apiserver's creation time, which nobody can choose. A minute is for the clock of
    // whoever computed `expiresAt`.
    let created = token.metadata.creation_timestamp.as_ref().map_or(now, |created| created.0);
    let Ok(max) = team.spec.max_ttl() else { return Some(RuntimeTokenFault::LivesTooLong) };
    let longest = SignedDuration::try_from(max).unwrap_or(SignedDuration::ZERO) + SignedDuration::from_mins(1);
    (token.spec.expires_at.0.duration_since(created) > longest).then_some(RuntimeTokenFault::LivesTooLong)
}
