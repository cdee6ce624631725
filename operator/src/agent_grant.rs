//! AgentGrant: whether it grants what it says.

use std::sync::Arc;

use access::{
    Containment,
    scope::{self, Named},
};
use crds::{
    AgentGrant, AgentGrantStatus, NamespacedReference, Team,
    condition::{READY, State, set},
};
use jiff::Timestamp;
use kube::{Resource, core::DeserializeGuard, runtime::controller::Action};

use crate::{
    controller::Context,
    error::ReconcileError,
    status,
    stores::{Kind, Stores, Touched, read},
    subject::{Subject, contained_states, containment, reference},
};

/// What one pass looks at.
struct Observed<'a> {
    grant: &'a AgentGrant,
    team: Option<&'a DeserializeGuard<Team>>,
    connections: &'a [Named<'a>],
    now: Timestamp,
}

/// The grants that a change of another object concerns.
pub(crate) fn affected(stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    match touched.name.kind {
        Kind::Team | Kind::AmazonConnection => stores.grants.looking_at(&touched.name),
        _ => Vec::new(),
    }
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, grant: AgentGrant) -> Result<Action, ReconcileError> {
    let namespace = reference(&grant.metadata).namespace;
    let team = context.stores.team(&namespace, &grant.spec.team_ref.name);
    let found: Vec<_> =
        grant.spec.scope.connections.iter().map(|name| (name, context.stores.connection(&namespace, name))).collect();
    let connections: Vec<_> = found.iter().map(|(name, it)| Named { name, connection: read(it.as_ref()) }).collect();
    let (status, contained_by) =
        plan(&Observed { grant: &grant, team: team.as_deref(), connections: &connections, now: Timestamp::now() });
    status::write(&context, &grant, &status, &contained_by).await?;
    Ok(Action::await_change())
}

/// Decides.
fn plan(seen: &Observed<'_>) -> (AgentGrantStatus, Vec<Containment>) {
    let grant = seen.grant;
    let generation = grant.metadata.generation;
    let contained_by: Vec<Containment> = [
        containment(AgentGrant::ACCESS, &grant.metadata),
        seen.team.and_then(|team| containment(Team::ACCESS, team.meta())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let (contained, stopped) = contained_states(&contained_by);
    let team = &grant.spec.team_ref.name;
    let ready = stopped.unwrap_or_else(|| match seen.team {
        Some(found) if found.0.is_ok() => scope::ready(team, &grant.spec.scope, seen.connections),
        _ => {
            State::no(READY, "TeamNotFound", format!("Team {team} does not exist in this namespace or cannot be read"))
        }
    });
    let mut status = grant.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    for state in [ready, contained] {
        set(&mut status.conditions, state, generation, seen.now);
    }
    (status, contained_by)
}

#[cfg(test)]
mod tests {
    use crds::{LocalReference, annotation::DISABLE, condition::find};

    use super::*;
    use crate::testing::{now, team};

    #[test]
    fn a_grant_is_ready_in_its_team_unless_something_contains_it() {
        let mut grant = AgentGrant::new("bot", Default::default());
        grant.metadata.namespace = Some("acme".into());
        grant.spec.team_ref = LocalReference::to("acme");
        let mut disabled = grant.clone();
        disabled.metadata.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
        let good = DeserializeGuard(Ok(team("acme", "acme")));
        let mut contained = team("acme", "acme");
        contained.metadata.annotations = disabled.metadata.annotations.clone();
        let contained = DeserializeGuard(Ok(contained));
        let lost = [Named { name: "gone", connection: None }];
        for (grant, team, connections, reason) in [
            (&grant, Some(&good), &[][..], "Ready"),
            (&grant, None, &[], "TeamNotFound"),
            (&grant, Some(&good), &lost, "ConnectionNotFound"),
            (&grant, Some(&contained), &[], "Contained"),
            (&disabled, Some(&good), &[], "Contained"),
            (&disabled, None, &lost, "Contained"),
        ] {
            let look = |grant: &AgentGrant, now| plan(&Observed { grant, team, connections, now }).0;
            let first = look(grant, now());
            assert_eq!(find(&first.conditions, READY).unwrap().reason, reason);
            let written = AgentGrant { status: Some(first.clone()), ..grant.clone() };
            assert_eq!(look(&written, now() + jiff::SignedDuration::from_secs(60)), first);
        }
    }
}
