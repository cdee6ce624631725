//! What the kinds with conditions have in common.

use access::Containment;
use audit::{Entity, NotAName, ObjectName, Target};
use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, Team, annotation,
    condition::{self, State},
};
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
};
use kube::{Resource, core::object::HasStatus};
use serde::{Serialize, de::DeserializeOwned};

/// A kind whose status is conditions.
pub(crate) trait Subject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status: Clone + Default + PartialEq + Serialize + Send + Sync>
    + Clone
    + std::fmt::Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What events call it.
    const KIND: audit::Kind;
    /// What decisions call it.
    const ACCESS: access::Kind;

    /// The conditions in a status.
    fn conditions(status: &Self::Status) -> &[Condition];
    /// The same, to change.
    fn conditions_mut(status: &mut Self::Status) -> &mut Vec<Condition>;
    /// Takes out what, besides conditions, gateways write into a status.
    fn leave_to_gateways(_status: &mut Self::Status) {}
    /// The Team it belongs to, in its namespace.
    fn team(&self) -> Option<&str>;
}

macro_rules! subject {
    ($kind:ident, $status:ident, |$object:ident| $team:expr $(, $others:item)?) => {
        impl Subject for $kind {
            const KIND: audit::Kind = audit::Kind::$kind;
            const ACCESS: access::Kind = access::Kind::$kind;

            fn conditions(status: &crds::$status) -> &[Condition] {
                &status.conditions
            }

            fn conditions_mut(status: &mut crds::$status) -> &mut Vec<Condition> {
                &mut status.conditions
            }

            fn team(&self) -> Option<&str> {
                let $object = self;
                $team
            }

            $($others)?
        }
    };
}

subject!(Team, TeamStatus, |team| team.metadata.name.as_deref());
subject!(AmazonApplication, AmazonApplicationStatus, |_application| None);
subject!(
    AmazonConnection,
    AmazonConnectionStatus,
    |connection| Some(&connection.spec.team_ref.name),
    fn leave_to_gateways(status: &mut crds::AmazonConnectionStatus) {
        status.refreshed_with = None;
        status.exposed_until = None;
    }
);
subject!(AgentGrant, AgentGrantStatus, |grant| Some(&grant.spec.team_ref.name));
subject!(RuntimeToken, RuntimeTokenStatus, |token| Some(&token.spec.team_ref.name));

/// `NAMESPACE/NAME`, split.
pub(crate) fn reference(meta: &ObjectMeta) -> NamespacedReference {
    NamespacedReference {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

/// The object as an event names it.
pub(crate) fn entity(kind: audit::Kind, meta: &ObjectMeta) -> Result<Entity, NotAName> {
    Ok(Entity {
        kind,
        namespace: meta.namespace.as_deref().map(audit::Name::parse).transpose()?,
        name: audit::Name::parse(meta.name.as_deref().unwrap_or_default())?,
        uid: meta.uid.as_deref().and_then(|uid| uid.parse().ok()),
    })
}

/// Whose event it is; `None` for what belongs to no Team.
pub(crate) fn target<K: Subject>(object: &K) -> Result<Option<Target>, NotAName> {
    let NamespacedReference { namespace, name } = reference(object.meta());
    let Some(team) = object.team() else { return Ok(None) };
    let connection =
        (K::KIND == audit::Kind::AmazonConnection).then(|| ObjectName::parse(&namespace, &name)).transpose()?;
    Ok(Some(Target { team: ObjectName::parse(&namespace, team)?, team_uid: None, connection }))
}

/// The containment of an object by its own annotation.
pub(crate) fn containment(kind: access::Kind, meta: &ObjectMeta) -> Option<Containment> {
    annotation::incidents(meta).map(|incidents| Containment { kind, object: reference(meta), incidents })
}

/// The condition `Contained`, and where something contains the object also what `Ready` says.
pub(crate) fn contained_states(by: &[Containment]) -> (State, Option<State>) {
    if by.is_empty() {
        return (State::no(condition::CONTAINED, "NotContained", ""), None);
    }
    let who: Vec<String> = by.iter().map(ToString::to_string).collect();
    let who = who.join("; ");
    (
        State::yes(condition::CONTAINED, "Disabled", who.clone()),
        Some(State::no(condition::READY, "Contained", format!("{who}. Nothing under it works until it is restored"))),
    )
}
