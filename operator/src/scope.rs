//! What is wrong with the scope of a grant or token: shared by AgentGrant and RuntimeToken.

use amazon::{Known, known_name};
use crds::{
    AmazonConnection, Operations, Scope,
    condition::{READY, State},
};

/// One connection that a scope names, as far as it is there.
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) connection: Option<&'a AmazonConnection>,
}

/// `Ready` of a scope in a Team: the first fault that makes it grant less than it says, naming everything concerned.
///
/// Marketplaces that none of the connections has are only told where others remain: a scope wider than a connection
/// is cut to it at every call.
pub(crate) fn ready(team: &str, scope: &Scope, named: &[Named<'_>]) -> State {
    let no = |reason, message| State::no(READY, reason, message);
    let absent = names(named.iter().filter(|it| it.connection.is_none()).map(|it| it.name));
    if !absent.is_empty() {
        return no("ConnectionNotFound", format!("scope.connections: {absent} do not exist or cannot be read"));
    }
    let found = || named.iter().filter_map(|it| it.connection);
    let foreign =
        names(found().filter(|it| it.spec.team_ref.name != team).filter_map(|it| it.metadata.name.as_deref()));
    if !foreign.is_empty() {
        return no("NotOfThisTeam", format!("scope.connections: {foreign} belong to another Team than {team}"));
    }
    if let Some(state) = operations("scope.operations", scope.operations.as_ref()) {
        return state;
    }
    let unknown: Vec<&str> = scope
        .marketplace_ids
        .iter()
        .filter(|id| !found().any(|it| it.spec.marketplace_ids.contains(id)))
        .map(String::as_str)
        .collect();
    let list = unknown.join(", ");
    if unknown.is_empty() {
        State::yes(READY, "Ready", "")
    } else if unknown.len() == scope.marketplace_ids.len() {
        no("MarketplaceNotInConnection", format!("scope.marketplaceIds: none of its connections has {list}"))
    } else {
        State::yes(READY, "Ready", format!("scope.marketplaceIds: no connection has {list}; they open nothing"))
    }
}

/// `Ready` where a list of operations, `field`, names some that stand for none, or for several.
pub(crate) fn operations(field: &str, lists: Option<&Operations>) -> Option<State> {
    let lists = lists?;
    let entries = || lists.allow.iter().chain(&lists.deny);
    let unknown = names(entries().filter(|name| matches!(known_name(name), Known::Unknown)).map(String::as_str));
    if !unknown.is_empty() {
        let message = format!("{field}: {unknown} are no classes and no operations that SP-API has");
        return Some(State::no(READY, "OperationUnknown", message));
    }
    // In `deny` an ambiguous name means all that it could, which is what one wants there.
    let ambiguous: Vec<String> = lists
        .allow
        .iter()
        .filter_map(|name| match known_name(name) {
            Known::Ambiguous(choices) => Some(format!("{name} ({})", choices.join(" or "))),
            _ => None,
        })
        .collect();
    (!ambiguous.is_empty()).then(|| {
        let message = format!("{field}.allow: write which one is meant: {}", ambiguous.join("; "));
        State::no(READY, "OperationAmbiguous", message)
    })
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crds::{AmazonConnectionSpec, LocalReference};

    use super::*;

    fn connection(name: &str, team: &str, marketplaces: &[&str]) -> AmazonConnection {
        AmazonConnection::new(
            name,
            AmazonConnectionSpec {
                team_ref: LocalReference::to(team),
                marketplace_ids: marketplaces.iter().map(ToString::to_string).collect(),
                ..AmazonConnectionSpec::default()
            },
        )
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scope_says_what_makes_it_grant_less_than_it_says() {
        let na = connection("na", "acme", &["ATVPDKIKX0DER"]);
        let other = connection("other", "globex", &["ATVPDKIKX0DER"]);
        let us = &["ATVPDKIKX0DER"][..];
        for (connections, marketplaces, allow, deny, status, reason, mentions) in [
            (&["na"][..], us, &["read", "searchOrders"][..], &["getOrder"][..], true, "Ready", ""),
            (&["na"], &["ATVPDKIKX0DER", "A1F83G8C2ARO7P"][..], &["read"], &[], true, "Ready", "A1F83G8C2ARO7P"),
            (&["na"], &["A1F83G8C2ARO7P"], &["read"], &[], false, "MarketplaceNotInConnection", "A1F83G8C2ARO7P"),
            (&["na", "gone", "lost"], us, &["read"], &[], false, "ConnectionNotFound", "gone, lost"),
            (&["na", "other"], us, &["read"], &[], false, "NotOfThisTeam", "other"),
            (&["na"], us, &["reed"], &[], false, "OperationUnknown", "reed"),
            (&["na"], us, &["read"], &["getOrderz"], false, "OperationUnknown", "getOrderz"),
            (&["na"], us, &["getOrder"], &[], false, "OperationAmbiguous", "orders/v0/getOrder"),
            (&["gone"], us, &["reed"], &[], false, "ConnectionNotFound", "gone"),
        ] {
            let scope = Scope {
                connections: list(connections),
                marketplace_ids: list(marketplaces),
                operations: Some(Operations { allow: list(allow), deny: list(deny) }),
            };
            let find = |name| [&na, &other].into_iter().find(|it| it.metadata.name.as_deref() == Some(name));
            let named: Vec<_> = connections.iter().map(|name| Named { name, connection: find(*name) }).collect();
            let state = ready("acme", &scope, &named);
            assert_eq!((state.status, state.reason.as_str()), (Some(status), reason));
            assert!(state.message.contains(mentions), "{}", state.message);
        }
    }

    #[test]
    fn an_empty_scope_is_ready_and_grants_nothing() {
        assert_eq!(ready("acme", &Scope::default(), &[]).status, Some(true));
    }
}
