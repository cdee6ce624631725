//! Which marketplaces a call reaches, and whether the scope covers them.

use std::collections::BTreeSet;

use amazon::{Operation, Place, Query};
use crds::{AmazonConnection, Scope};

use crate::{operations, refusal::Refusal};

/// The marketplaces that a scope leaves of a connection's, in order.
pub(crate) fn in_scope(scope: &Scope, connection: &AmazonConnection) -> Vec<String> {
    connection
        .spec
        .marketplace_ids
        .iter()
        .filter(|id| scope.marketplace_ids.contains(id))
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The marketplaces that a call is about, all of them in scope. Empty for an operation that names none and may pass.
pub(crate) fn check(
    operation: &Operation,
    query: &Query<'_>,
    scope: &Scope,
    connection: &AmazonConnection,
) -> Result<Vec<String>, Refusal> {
    let in_scope = in_scope(scope, connection);
    let named = query.marketplaces(operation).map_err(|error| Refusal::Query(error.to_string()))?;
    // Whatever spelling, and whether or not Amazon would read it: an id outside the scope is never sent.
    all_in(&in_scope, named.all.iter().map(amazon::MarketplaceId::as_str))?;
    if operation.marketplace_parameters.iter().any(|parameter| parameter.place == Place::Body) {
        return Err(Refusal::NotYetCheckable {
            operation: operation.name(),
            why: "its marketplace is in the request's body",
        });
    }
    if !named.effective.is_empty() {
        return Ok(named.effective.iter().map(|id| id.as_str().to_owned()).collect());
    }
    untied(operation, in_scope, connection).map(|()| Vec::new())
}

/// Whether the marketplaces that a call was allowed to be about may still be reached; empty for one that named none.
pub(crate) fn still(
    operation: &Operation,
    named: &[String],
    scope: &Scope,
    connection: &AmazonConnection,
) -> Result<(), Refusal> {
    let in_scope = in_scope(scope, connection);
    if named.is_empty() {
        return untied(operation, in_scope, connection);
    }
    all_in(&in_scope, named.iter().map(String::as_str))
}

fn all_in<'a>(in_scope: &[String], mut named: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    match named.find(|id| !in_scope.iter().any(|one| one == id)) {
        None => Ok(()),
        Some(outside) => Err(Refusal::MarketplaceNotInScope {
            marketplace: outside.chars().take(40).collect(),
            in_scope: in_scope.to_vec(),
        }),
    }
}

/// Whether a call that names no marketplace may pass.
fn untied(operation: &Operation, in_scope: Vec<String>, connection: &AmazonConnection) -> Result<(), Refusal> {
    let parameter = operation.marketplace_query_parameter();
    if parameter.is_none_or(|parameter| !parameter.required)
        && (covers_seller(&in_scope, connection)
            || (parameter.is_none() && operations::names(connection.spec.operations.as_ref(), operation)))
    {
        return Ok(());
    }
    match parameter {
        Some(parameter) => Err(Refusal::MarketplaceMissing {
            operation: operation.name(),
            parameter: parameter.name.to_owned(),
            in_scope,
        }),
        None => Err(Refusal::NotYetCheckable {
            operation: operation.name(),
            why: "it names no marketplace, and the caller's scope is narrower than the seller's marketplaces; the connection's operations.allow may open it by its full name",
        }),
    }
}

/// Whether the scope covers every marketplace the seller takes part in. Nothing known of the seller: no.
fn covers_seller(in_scope: &[String], connection: &AmazonConnection) -> bool {
    let participations = connection.status.as_ref().map_or(&[][..], |status| &status.participations);
    let mut taken_part = participations.iter().filter(|one| one.is_participating).peekable();
    taken_part.peek().is_some() && taken_part.all(|one| in_scope.contains(&one.marketplace_id))
}
