//! Team: whose tokens a change ends.

use std::collections::{BTreeMap, BTreeSet};

use access::{connections_of, runtime_token_fault, within};
use crds::{RuntimeToken, Team};

use super::{Findings, World};

pub(super) fn look(world: &World<'_>, team: &Team, old: Option<&Team>, found: &mut Findings) {
    if let Err(error) = team.spec.max_ttl() {
        found.refuse(format!("spec.runtimeTokens.maxTtl: {error}"));
    }
    let mut seen = BTreeSet::new();
    let twice = team.spec.members.iter().any(|member| !seen.insert(member.email.to_ascii_lowercase()));
    if twice {
        found.warn(
            "spec.members: an address is listed twice, in upper and lower case, which are the same; the lesser role \
             counts. List it once",
        );
    }
    let Some(old) = old else { return };
    let own = team.metadata.name.as_deref().unwrap_or_default();
    let namespace = team.metadata.namespace.as_deref().unwrap_or_default();
    let fault = |token: &RuntimeToken, team: &Team| {
        let connections = connections_of(world.index, namespace, &token.spec.scope);
        runtime_token_fault(token, Some(team), connections, world.now)
    };
    let mut ended: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, token) in within(&world.index.runtime_tokens, namespace) {
        if token.spec.team_ref.name == own
            && fault(token, old).is_none()
            && let Some(fault) = fault(token, team)
        {
            *ended.entry(fault.reason()).or_default() += 1;
        }
    }
    for (reason, count) in ended {
        found.warn(format!("spec: this ends {count} RuntimeTokens that work now ({reason}); others must be issued"));
    }
}
