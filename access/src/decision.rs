//! The decision: may this caller make this call, on which connection, about which marketplaces.

use std::{collections::BTreeSet, sync::Arc};

use amazon::{Match, NeverServed, Operation, PathError, Query};
use crds::{AmazonApplication, AmazonConnection, AmazonRefusal, NamespacedReference, condition};
use jiff::Timestamp;

use crate::{
    Caller, containment, credential,
    holding::Holding,
    index::{Entry, Index, named},
    marketplaces, namespaces, operations,
    refusal::Refusal,
    rotation,
};

/// A call, as the gateway received it. Raw texts: what is decided is what is forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method in capitals.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// The query as sent, without `?`; empty when there is none.
    pub query: &'a str,
    /// The connection that the caller named: `NAME` or `NAMESPACE/NAME`.
    pub connection: Option<&'a str>,
}

/// A call that may be made. Only [`decide`] makes one.
#[derive(Clone, Debug)]
pub struct Authorized {
    /// The connection's name.
    pub name: NamespacedReference,
    /// The connection, as it was when the decision was made.
    pub connection: Arc<AmazonConnection>,
    /// The application that its credential belongs to.
    pub application: Arc<AmazonApplication>,
    /// What let the caller pass.
    pub holding: Holding,
    /// The operation.
    pub operation: &'static Operation,
    /// The decoded values of the path's parameters, such as an order's id, in the order of the template.
    pub path_parameters: Vec<String>,
    /// The marketplaces that the call names. Empty for an operation that names none.
    pub marketplaces: Vec<String>,
    /// The query to send on: the caller's, without spellings that Amazon would not read.
    pub query: String,
}

/// A connection that a caller may use, and how far.
#[derive(Clone, Debug)]
pub struct Usable {
    /// Its name.
    pub name: NamespacedReference,
    /// The connection.
    pub connection: Arc<AmazonConnection>,
    /// The marketplaces that the caller may use of it.
    pub marketplaces: Vec<String>,
    /// Why it does not work now, where it does not.
    pub refusal: Option<Refusal>,
    /// Whether the caller may have Amazon's own token of it (`access: Credential`), while it works.
    pub credential: bool,
}

/// Decides, in this order: connection in scope, contained, operation, marketplace, restricted data.
///
/// # Errors
/// Why not, in words for the caller. A caller with several grants gets the refusal that came furthest.
pub fn decide(index: &Index, caller: &Caller, request: &Request<'_>, now: Timestamp) -> Result<Authorized, Refusal> {
    let candidates = candidates(index, caller, request.connection)?;
    let mut furthest: Option<Refusal> = None;
    for (holding, name, connection) in candidates {
        match with(index, holding, name, connection, request, now) {
            Ok(authorized) => return Ok(authorized),
            Err(refusal) if furthest.as_ref().is_none_or(|other| other.stage() < refusal.stage()) => {
                furthest = Some(refusal);
            }
            Err(_) => {}
        }
    }
    Err(furthest.unwrap_or(Refusal::NotFound { name: request.connection.map(str::to_owned) }))
}

/// Whether what was decided still holds: nothing contained, revoked, narrowed, replaced or expired since. Asked just
/// before the token is attached, and at every change while an answer streams.
///
/// # Errors
/// What came in between.
pub fn still_holds(index: &Index, authorized: &Authorized, now: Timestamp) -> Result<(), Refusal> {
    let Authorized { name, connection, application, holding, operation, .. } = authorized;
    let (holding, connection, _) = still_usable(index, name, connection, application, holding, now)?;
    operation_allowed(operation, name, &connection, &holding)?;
    marketplaces::still(operation, &authorized.marketplaces, holding.scope(), &connection)
}

/// What a decision rests on, as it is now: the same connection and application, still usable by the same holding.
pub(crate) fn still_usable(
    index: &Index,
    name: &NamespacedReference,
    connection: &AmazonConnection,
    application: &AmazonApplication,
    holding: &Holding,
    now: Timestamp,
) -> Result<(Holding, Arc<AmazonConnection>, Arc<AmazonApplication>), Refusal> {
    let gone = || Refusal::NotFound { name: Some(name.to_string()) };
    let holding = holding.now(index).ok_or_else(gone)?;
    let found = index.connections.get(name).and_then(Entry::read).ok_or_else(gone)?;
    // Of the same name and yet another one, perhaps another seller's.
    let same = found.metadata.uid == connection.metadata.uid;
    if !same || !holding.covers(name, found) {
        return Err(gone());
    }
    holding.check(index, now)?;
    let usable = usable(index, name, found)?;
    // Without copying: this is asked at every call.
    let differs = usable.metadata.uid != application.metadata.uid
        || usable.spec.client_id != application.spec.client_id
        || usable.spec.endpoints != application.spec.endpoints;
    if differs {
        // Whose token it is and where it goes was decided with the old one.
        let why = "its AmazonApplication changed meanwhile; try again".to_owned();
        return Err(Refusal::NotReady { connection: name.clone(), why });
    }
    Ok((holding, found.clone(), usable))
}

/// Every connection that a caller may use, contained ones too, with the reason why they do not work.
#[must_use]
pub fn usable_connections(index: &Index, caller: &Caller, now: Timestamp) -> Vec<Usable> {
    let mut found = usable_among(index, all_candidates(index, caller, |_| true), now);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The same of one connection.
#[must_use]
pub fn usable_connection(index: &Index, caller: &Caller, name: &NamespacedReference, now: Timestamp) -> Option<Usable> {
    usable_among(index, all_candidates(index, caller, |one| one == name), now).pop()
}

fn usable_among(index: &Index, candidates: Vec<Candidate>, now: Timestamp) -> Vec<Usable> {
    let mut found: Vec<Usable> = Vec::new();
    for (holding, name, connection) in candidates {
        let marketplaces = marketplaces::in_scope(holding.scope(), &connection);
        let application = holding.check(index, now).and_then(|()| usable(index, &name, &connection));
        let credential = application
            .as_ref()
            .is_ok_and(|application| credential::is_given(&holding, &name, &connection, application).is_ok());
        let refusal = application.err();
        match found.iter_mut().find(|usable| usable.name == name) {
            None => found.push(Usable { name, connection, marketplaces, refusal, credential }),
            Some(usable) if refusal.is_none() => {
                usable.credential = credential || (usable.credential && usable.refusal.is_none());
                // A second grant to the same connection adds its marketplaces, unless the first gave none that work.
                let known =
                    if usable.refusal.take().is_none() { std::mem::take(&mut usable.marketplaces) } else { vec![] };
                let all: BTreeSet<String> = known.into_iter().chain(marketplaces).collect();
                usable.marketplaces = all.into_iter().collect();
            }
            Some(_) => {}
        }
    }
    found
}

type Candidate = (Holding, NamespacedReference, Arc<AmazonConnection>);

/// Everything the caller holds, paired with each connection it covers and `wanted` takes.
pub(crate) fn all_candidates(
    index: &Index,
    caller: &Caller,
    wanted: impl Fn(&NamespacedReference) -> bool,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for holding in Holding::of(index, caller) {
        let object = holding.object();
        for name in &holding.scope().connections {
            let name = named(&object.namespace, name);
            if wanted(&name)
                && let Some(connection) = index.connections.get(&name).and_then(Entry::read)
                && holding.covers(&name, connection)
            {
                found.push((holding.clone(), name, connection.clone()));
            }
        }
    }
    found
}

/// The candidates for the connection that the caller named, or for the only one there is.
fn candidates(index: &Index, caller: &Caller, wanted: Option<&str>) -> Result<Vec<Candidate>, Refusal> {
    if let Some(wanted) = wanted {
        let wanted = caller.connection(wanted);
        return Ok(all_candidates(index, caller, |one| *one == wanted));
    }
    let found = all_candidates(index, caller, |_| true);
    let names: BTreeSet<&NamespacedReference> = found.iter().map(|(_, name, _)| name).collect();
    if names.len() > 1 {
        return Err(Refusal::Ambiguous { connections: names.into_iter().cloned().collect() });
    }
    Ok(found)
}

fn with(
    index: &Index,
    holding: Holding,
    name: NamespacedReference,
    connection: Arc<AmazonConnection>,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Authorized, Refusal> {
    holding.check(index, now)?;
    let application = usable(index, &name, &connection)?;
    let (found, query) = operation(request, &connection)?;
    let operation = found.operation;
    operation_allowed(operation, &name, &connection, &holding)?;
    let marketplaces = marketplaces::check(operation, &query, holding.scope(), &connection)?;
    let unchecked = |why| Err(Refusal::NotYetCheckable { operation: operation.name(), why });
    match operation.class() {
        amazon::Class::Restricted => return unchecked("it gives personal data"),
        amazon::Class::Write => return unchecked("it writes"),
        amazon::Class::Read | amazon::Class::Financial => {}
    }
    if amazon::asks_restricted(operation, &query) {
        return unchecked("the query asks for personal data");
    }
    let query = query.forwarded(operation);
    let path_parameters = found.parameters.into_iter().map(|parameter| parameter.decoded.into_owned()).collect();
    Ok(Authorized { name, connection, application, holding, operation, path_parameters, marketplaces, query })
}

/// Refuses what the connection or the caller's scope does not allow.
fn operation_allowed(
    operation: &Operation,
    name: &NamespacedReference,
    connection: &AmazonConnection,
    holding: &Holding,
) -> Result<(), Refusal> {
    let refused = |limit| {
        let class = operation.class().as_str();
        Err(Refusal::OperationNotAllowed { operation: operation.name(), class, limit })
    };
    if !operations::allows(connection.spec.operations.as_ref(), operation) {
        return refused(format!("AmazonConnection {name}"));
    }
    if !operations::allows(holding.scope().operations.as_ref(), operation) {
        return refused(holding.to_string());
    }
    Ok(())
}

/// The application of a connection that can be used now: nothing contained, nothing missing, accepted by Amazon.
pub(crate) fn usable(
    index: &Index,
    name: &NamespacedReference,
    connection: &AmazonConnection,
) -> Result<Arc<AmazonApplication>, Refusal> {
    containment::check(index, name, connection)?;
    let not_ready = |why: String| Refusal::NotReady { connection: name.clone(), why };
    let team = named(&name.namespace, &connection.spec.team_ref.name);
    let found = index.teams.get(&team).and_then(Entry::read);
    let found = found.ok_or_else(|| not_ready(format!("its Team {team} does not exist")))?;
    if rotation::rotation_outstanding(connection, Some(&found.metadata)) {
        return Err(not_ready("its credential is being rotated".to_owned()));
    }
    let reference = &connection.spec.application_ref;
    let application = index
        .applications
        .get(reference)
        .and_then(Entry::read)
        .filter(|application| namespaces::allowed(index, reference, application, &name.namespace))
        .ok_or_else(|| {
            not_ready(format!("AmazonApplication {reference} does not exist or is not for this namespace"))
        })?;
    let conditions = connection.status.as_ref().map_or(&[][..], |status| &status.conditions);
    match condition::find(conditions, condition::AUTHORIZED) {
        None => Err(not_ready("it was not verified with Amazon yet".to_owned())),
        Some(authorized) if authorized.status == "True" => Ok(application.clone()),
        Some(authorized) => Err(match AmazonRefusal::of_reason(&authorized.reason) {
            // In the same words as from the gateway that met the refusal itself.
            Some(refusal) if authorized.status == "False" => {
                Refusal::NotAuthorized { connection: name.clone(), refusal, why: authorized.message.clone() }
            }
            _ => not_ready(authorized.message.clone()),
        }),
    }
}

/// The operation that a request means, served and checkable at all.
fn operation<'q>(request: &Request<'q>, connection: &AmazonConnection) -> Result<(Match<'q>, Query<'q>), Refusal> {
    let found = amazon::find(request.method, request.path).map_err(|error| match error {
        PathError::Unknown => Refusal::OperationUnknown { method: request.method.chars().take(10).collect() },
        other => Refusal::Path(other.to_string()),
    })?;
    let operation = found.operation;
    if let Some(why) = operation.never_served(connection.spec.sandbox) {
        let why = match why {
            NeverServed::Grantless => "it acts for the application, not for one seller",
            NeverServed::RestrictedDataToken => "it would hand out a token that cannot be taken back",
            NeverServed::SandboxOnly => "it exists in Amazon's sandbox only, and this connection is for production",
        };
        return Err(Refusal::NeverServed { operation: operation.name(), why });
    }
    if let Some(seller) = found.parameter("sellerId")
        && connection.selling_partner_id() != Some(seller.decoded.as_ref())
    {
        return Err(Refusal::Path("its sellerId is not the connection's sellingPartnerId".to_owned()));
    }
    let query = Query::parse(request.query).map_err(|error| Refusal::Query(error.to_string()))?;
    Ok((found, query))
}
