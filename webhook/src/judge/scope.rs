//! AgentGrant and RuntimeToken: whether they grant what they say.

use access::{
    RuntimeTokenFault, connections_of, runtime_token_fault,
    scope::{Named, faults},
};
use crds::{Access, AgentGrant, RuntimeToken, Scope, duration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Findings, World, beside, look_for_team, readable};

pub(super) fn grant(world: &World<'_>, grant: &AgentGrant, found: &mut Findings) {
    let spec = &grant.spec;
    look_for_team(world, &grant.metadata, &spec.team_ref.name, found);
    if world.account_exists == Some(false) {
        let account = &spec.service_account.name;
        found.warn(format!(
            "spec.serviceAccount: ServiceAccount {account} is not in this namespace (yet); whoever creates it gets this grant"
        ));
    }
    scope(world, &grant.metadata, &spec.team_ref.name, &spec.scope, found);
}

pub(super) fn token(world: &World<'_>, token: &RuntimeToken, found: &mut Findings) {
    let spec = &token.spec;
    look_for_team(world, &token.metadata, &spec.team_ref.name, found);
    let team = world.index.teams.get(&beside(&token.metadata, &spec.team_ref.name));
    let team = readable(team);
    let namespace = token.metadata.namespace.as_deref().unwrap_or_default();
    let connections = connections_of(world.index, namespace, &spec.scope);
    match runtime_token_fault(token, team, connections, world.now) {
        None | Some(RuntimeTokenFault::TeamNotFound) => {}
        Some(RuntimeTokenFault::Rotated) => found.warn(
            "spec.scope: its Team or a connection of it is being rotated, which ends this token too; issue one when that is \
             done",
        ),
        Some(RuntimeTokenFault::Expired) => {
            found.refuse("spec.expiresAt: this is over already; issue another token");
        }
        Some(RuntimeTokenFault::IssuerNotMember) => {
            let team = &spec.team_ref.name;
            found.refuse(format!(
                "spec.issuedBy: this is no Owner or Member of Team {team}; have one issue it, or add them to the Team first"
            ));
        }
        Some(RuntimeTokenFault::LivesTooLong) => {
            let longest = team.and_then(|team| team.spec.max_ttl().ok()).map(duration::format).unwrap_or_default();
            let team = &spec.team_ref.name;
            found.refuse(format!(
                "spec.expiresAt: tokens of Team {team} live {longest} at most (its spec.runtimeTokens.maxTtl); choose an \
                 earlier time"
            ));
        }
    }
    scope(world, &token.metadata, &spec.team_ref.name, &spec.scope, found);
}

fn scope(world: &World<'_>, meta: &ObjectMeta, team: &str, scope: &Scope, found: &mut Findings) {
    let connection = |name: &str| readable(world.index.connections.get(&beside(meta, name)));
    let named: Vec<Named<'_>> =
        scope.connections.iter().map(|name| Named { name, connection: connection(name) }).collect();
    for fault in faults(team, scope, &named) {
        let text = format!("spec.{}", fault.message);
        if fault.lasts { found.refuse(text) } else { found.warn(text) }
    }
    if scope.connections.is_empty() || scope.marketplace_ids.is_empty() {
        found.warn("spec.scope: an empty list of connections or marketplaceIds grants nothing");
    }
    let proxied: Vec<&str> = named
        .iter()
        .filter(|it| it.connection.is_some_and(|it| it.spec.access != Access::Credential))
        .map(|it| it.name)
        .collect();
    if scope.access == Access::Credential && !proxied.is_empty() {
        let names = proxied.join(", ");
        found.warn(format!("spec.scope.access: Credential does nothing for {names}, whose own spec.access says Proxy"));
    }
}
