//! What is wrong with the scope of a grant or token, for the operator's conditions and the webhook's advice alike.

use amazon::{Known, known_name};
use crds::{
    AmazonConnection, Operations, Scope,
    condition::{READY, State},
};

/// One connection that a scope names, as far as it is there.
#[derive(Debug)]
pub struct Named<'a> {
    /// The name.
    pub name: &'a str,
    /// The connection; none where it is absent or cannot be read.
    pub connection: Option<&'a AmazonConnection>,
}

/// One thing that makes a scope, or a list of operations, grant less than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A CamelCase word for conditions.
    pub reason: &'static str,
    /// A sentence that begins with the field, seen from the scope's own place.
    pub message: String,
    /// Whether nothing can be granted; else what remains is.
    pub stops: bool,
    /// Whether it stays whatever other objects come or change.
    pub lasts: bool,
}

/// Everything that is wrong with a scope in a Team, the gravest first, each naming everything concerned.
///
/// Marketplaces that none of the connections has stop nothing where others remain: a scope wider than a connection is cut
/// to it at every call. They are told only where all connections are there to look at.
#[must_use]
pub fn faults(team: &str, scope: &Scope, named: &[Named<'_>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let absent = names(named.iter().filter(|it| it.connection.is_none()).map(|it| it.name));
    if !absent.is_empty() {
        faults.push(Fault {
            reason: "ConnectionNotFound",
            message: format!("scope.connections: {absent} do not exist or cannot be read"),
            stops: true,
            lasts: false,
        });
    }
    let found = || named.iter().filter_map(|it| it.connection);
    let foreign =
        names(found().filter(|it| it.spec.team_ref.name != team).filter_map(|it| it.metadata.name.as_deref()));
    if !foreign.is_empty() {
        faults.push(Fault {
            reason: "NotOfThisTeam",
            message: format!("scope.connections: {foreign} belong to another Team than {team}"),
            stops: true,
            lasts: true,
        });
    }
    faults.extend(operations_faults("scope.operations", scope.operations.as_ref()));
    let unknown: Vec<&str> = scope
        .marketplace_ids
        .iter()
        .filter(|id| !found().any(|it| it.spec.marketplace_ids.contains(id)))
        .map(String::as_str)
        .collect();
    let list = unknown.join(", ");
    if unknown.is_empty() || !absent.is_empty() {
        return faults;
    }
    let stops = unknown.len() == scope.marketplace_ids.len();
    let message = if stops {
        format!("scope.marketplaceIds: none of its connections has {list}")
    } else {
        format!("scope.marketplaceIds: no connection has {list}; they open nothing")
    };
    faults.push(Fault { reason: "MarketplaceNotInConnection", message, stops, lasts: false });
    faults
}

/// `Ready` of a scope in a Team: the first fault that stops it, else the first there is.
#[must_use]
pub fn ready(team: &str, scope: &Scope, named: &[Named<'_>]) -> State {
    let faults = faults(team, scope, named);
    match faults.iter().find(|fault| fault.stops) {
        Some(fault) => State::no(READY, fault.reason, fault.message.clone()),
        None => State::yes(READY, "Ready", faults.into_iter().next().map_or_else(String::new, |fault| fault.message)),
    }
}

/// `Ready` where a list of operations, `field`, names some that stand for none, or for several.
#[must_use]
pub fn operations(field: &str, lists: Option<&Operations>) -> Option<State> {
    let first = operations_faults(field, lists).into_iter().next()?;
    Some(State::no(READY, first.reason, first.message))
}

/// What of a list of operations, `field`, stands for none, or for several.
#[must_use]
pub fn operations_faults(field: &str, lists: Option<&Operations>) -> Vec<Fault> {
    let Some(lists) = lists else { return Vec::new() };
    let mut faults = Vec::new();
    let mut fault = |reason, message| faults.push(Fault { reason, message, stops: true, lasts: true });
    let entries = || lists.allow.iter().chain(&lists.deny);
    let unknown = names(entries().filter(|name| matches!(known_name(name), Known::Unknown)).map(String::as_str));
    if !unknown.is_empty() {
        fault(
            "OperationUnknown",
            format!(
                "{field}: {unknown} are no classes (read, write, financial, restricted) and no operations that SP-API has"
            ),
        );
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
    if !ambiguous.is_empty() {
        fault("OperationAmbiguous", format!("{field}.allow: write which one is meant: {}", ambiguous.join("; ")));
    }
    faults
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
                ..Scope::default()
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
