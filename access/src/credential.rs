//! Whether Amazon's own access token may be handed out: `access: Credential`.
//!
//! Such a token opens whatever the application may do at the seller, for up to an hour, and nobody can take it back. So
//! nobody gets it whose own scope is any narrower than the connection, and only where application, connection and scope
//! all say so.

use std::sync::Arc;

use crds::{Access, AmazonApplication, AmazonConnection, NamespacedReference, Scope};
use jiff::Timestamp;

use crate::{
    Caller,
    decision::{self, all_candidates},
    holding::Holding,
    index::Index,
    operations,
    refusal::Refusal,
};

/// A connection whose token may be handed out. Only [`decide_credential`] makes one.
#[derive(Clone, Debug)]
pub struct CredentialAuthorized {
    /// The connection's name.
    pub name: NamespacedReference,
    /// The connection, as it was when the decision was made.
    pub connection: Arc<AmazonConnection>,
    /// The application that its credential belongs to.
    pub application: Arc<AmazonApplication>,
    /// What let the caller pass.
    pub holding: Holding,
}

/// Decides. One grant or token must be as wide as the connection; several that are so together do not count.
///
/// # Errors
/// Why not, in words for the caller: of several grants the refusal that came furthest.
pub fn decide_credential(
    index: &Index,
    caller: &Caller,
    name: &NamespacedReference,
    now: Timestamp,
) -> Result<CredentialAuthorized, Refusal> {
    let mut furthest = Refusal::NotFound { name: Some(name.to_string()) };
    for (holding, candidate, connection) in all_candidates(index, caller, |one| one == name) {
        match with(index, holding, candidate, connection, now) {
            Ok(authorized) => return Ok(authorized),
            Err(refusal) if furthest.stage() < refusal.stage() => furthest = refusal,
            Err(_) => {}
        }
    }
    Err(furthest)
}

fn with(
    index: &Index,
    holding: Holding,
    name: NamespacedReference,
    connection: Arc<AmazonConnection>,
    now: Timestamp,
) -> Result<CredentialAuthorized, Refusal> {
    holding.check(index, now)?;
    let application = decision::usable(index, &name, &connection)?;
    is_given(&holding, &name, &connection, &application)?;
    Ok(CredentialAuthorized { name, connection, application, holding })
}

/// Whether the decision still holds, for the very same connection and application.
///
/// # Errors
/// What came in between.
pub fn still_given(index: &Index, authorized: &CredentialAuthorized, now: Timestamp) -> Result<(), Refusal> {
    let CredentialAuthorized { name, connection, application, holding } = authorized;
    let (holding, connection, application) =
        decision::still_usable(index, name, connection, application, holding, now)?;
    is_given(&holding, name, &connection, &application)
}

/// Whether a caller who holds this may have the connection's token, containment and the like apart.
pub(crate) fn is_given(
    holding: &Holding,
    name: &NamespacedReference,
    connection: &AmazonConnection,
    application: &AmazonApplication,
) -> Result<(), Refusal> {
    let not_given = |why| Err(Refusal::CredentialNotGiven { connection: name.clone(), why });
    if application.spec.access != Access::Credential {
        let of = &connection.spec.application_ref;
        return not_given(format!("AmazonApplication {of} does not have access: Credential"));
    }
    if connection.spec.access != Access::Credential {
        return not_given(format!("AmazonConnection {name} does not have access: Credential"));
    }
    if holding.scope().access != Access::Credential {
        return not_given(format!("{holding} does not have access: Credential"));
    }
    match narrower(holding.scope(), connection) {
        None => Ok(()),
        Some(how) => not_given(format!("{holding} is narrower than the connection: {how}")),
    }
}

/// In which way a scope is narrower than a connection: the first marketplace or operation that the connection allows
/// and the scope does not.
fn narrower(scope: &Scope, connection: &AmazonConnection) -> Option<String> {
    if let Some(id) = connection.spec.marketplace_ids.iter().find(|id| !scope.marketplace_ids.contains(id)) {
        return Some(format!("it lacks marketplace {id}"));
    }
    amazon::operations()
        .iter()
        .find(|operation| {
            operations::allows(connection.spec.operations.as_ref(), operation)
                && !operations::allows(scope.operations.as_ref(), operation)
        })
        .map(|operation| format!("it lacks operation {}", operation.name()))
}
