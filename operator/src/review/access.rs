//! Who may do what, for whoever reviews that.

use std::collections::BTreeMap;

use crds::{AgentGrant, RuntimeToken, Team};
use jiff::Timestamp;
use kube::ResourceExt;
use process::review::{Access, GrantAccess, MemberAccess, TeamAccess, TokenAccess};

use crate::stores::{Guarded, Stores};

/// By namespace and name.
type Teams = BTreeMap<(String, String), TeamAccess>;

/// Everything that the stores know of it; what cannot be read is served by nobody. `digest` stands for an address in the record.
pub(super) fn access(stores: &Stores, digest: &dyn Fn(&str) -> audit::Digest, now: Timestamp) -> Access {
    let mut teams = Teams::new();
    let members = |team: &Team| {
        let of = team.spec.members.iter().map(|member| MemberAccess {
            member: digest(&member.email).as_str().to_owned(),
            role: format!("{:?}", member.role),
        });
        of.collect()
    };
    for team in readable(&stores.teams.store().state()) {
        of(&mut teams, &team, &team.name_any()).members = members(&team);
    }
    for connection in readable(&stores.connections.store().state()) {
        of(&mut teams, &connection, &connection.spec.team_ref.name).connections.push(connection.name_any());
    }
    for grant in readable(&stores.grants.store().state()) {
        of(&mut teams, &grant, &grant.spec.team_ref.name).agent_grants.push(grant_access(&grant));
    }
    let tokens = readable(&stores.runtime_tokens.store().state());
    for token in tokens.into_iter().filter(|token| token.spec.expires_at.0 > now) {
        of(&mut teams, &token, &token.spec.team_ref.name).runtime_tokens.push(token_access(&token, digest));
    }
    sorted(teams)
}

fn grant_access(grant: &AgentGrant) -> GrantAccess {
    GrantAccess {
        name: grant.name_any(),
        service_account: grant.spec.service_account.name.clone(),
        connections: grant.spec.scope.connections.clone(),
    }
}

fn token_access(token: &RuntimeToken, digest: &dyn Fn(&str) -> audit::Digest) -> TokenAccess {
    TokenAccess {
        name: token.name_any(),
        issued_by: digest(&token.spec.issued_by).as_str().to_owned(),
        expires_at: token.spec.expires_at.0,
        connections: token.spec.scope.connections.clone(),
    }
}

fn sorted(teams: Teams) -> Access {
    let sorted = teams.into_values().map(|mut team| {
        team.connections.sort_unstable();
        team.agent_grants.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        team.runtime_tokens.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        team
    });
    Access { teams: sorted.collect(), more_teams: 0 }
}

fn readable<K: Clone>(all: &[std::sync::Arc<Guarded<K>>]) -> Vec<K> {
    all.iter().filter_map(|one| one.0.as_ref().ok().cloned()).collect()
}

/// What is known of an object's Team, which need not exist.
fn of<'a, K: ResourceExt>(teams: &'a mut Teams, object: &K, team: &str) -> &'a mut TeamAccess {
    let namespace = object.namespace().unwrap_or_default();
    let name = format!("{namespace}/{team}");
    teams.entry((namespace, team.to_owned())).or_insert_with(|| TeamAccess { team: name, ..TeamAccess::default() })
}
