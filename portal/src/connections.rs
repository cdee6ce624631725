//! Connections: one in detail, as it changes, and what may be done with it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use access::Action;
use audit::{Change, CredentialField as Given, Kind};
use axum::{
    body::Body,
    http::{Response, StatusCode},
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use crds::{AmazonConnection, CredentialField, NamespacedReference, annotation};
use futures::stream;
use jiff::Timestamp;

use crate::{
    act,
    answer::{Refusal, found, page_with, see_other},
    consent, contain,
    page::{
        Connection, ConnectionDelete, ConnectionMay, ConnectionUser, Field, LiveStatus, MarketplaceRow, Problem,
        Status, Tone, When,
    },
    portal::{Ask, Fields, Membership, Portal},
    shown,
};

/// How often a page that follows is told that it is still being told.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is looked what there is to tell, at most.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);
/// How long a page is followed at most; it asks anew by itself.
const FOLLOWED: Duration = Duration::from_secs(15 * 60);
/// How often what ends by time alone is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A connection of the Team.
pub(crate) fn own(
    ask: &Ask,
    membership: &Membership,
    name: &str,
) -> Result<(NamespacedReference, Arc<AmazonConnection>), Refusal> {
    let name = NamespacedReference { namespace: membership.team.namespace.clone(), name: name.to_owned() };
    let connection = found(ask.index.connections.get(&name))?.clone();
    if connection.spec.team_ref.name != membership.team.name {
        return Err(Refusal::NotFound);
    }
    Ok((name, connection))
}

/// What is wrong with a form of the page.
#[derive(Default)]
pub(crate) struct Wrong {
    pub(crate) rename: Option<Field>,
    pub(crate) token: Option<String>,
}

/// `GET …/connections/{name}`, and the answer to its forms where something is wrong.
pub(crate) fn detail(ask: &Ask, membership: &Membership, name: &str, wrong: Wrong) -> Result<Response<Body>, Refusal> {
    let (name, connection) = own(ask, membership, name)?;
    let is_wrong = wrong.rename.is_some() || wrong.token.is_some();
    let contained = access::contained(&ask.index, &name, &connection);
    let state = shown::state(&connection, &contained, ask.portal.inputs.newest(&name).as_ref(), ask.now);
    let status = connection.status.clone().unwrap_or_default();
    let (is_contained, ours) = (!contained.is_empty(), act::is_ours(&connection.metadata));
    let connects = membership.may(Action::Connect);
    let may = ConnectionMay {
        consent: connects && !is_contained,
        renew: connects && !is_contained && state.status.tone != Tone::Wait,
        test: membership.may(Action::Test) && !is_contained,
        rename: connects && !is_contained && ours,
        contain: contain::may(membership, annotation::incidents(&connection.metadata).is_some()),
        delete: connects && !is_contained && ours,
    };
    let settled = state.steps.iter().all(|step| step.state == crate::page::StepState::Done);
    let page = Connection {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        name: name.name.clone(),
        display_name: shown::connection_name(&connection),
        status: state.status,
        summary: state.summary,
        steps: if is_contained || settled && !state.live { Vec::new() } else { state.steps },
        live: state.live,
        region: shown::region(connection.spec.region).to_owned(),
        seller: shown::seller(&connection),
        application: connection.spec.application_ref.name.clone(),
        endpoint: status.endpoint.clone().unwrap_or_default(),
        sandbox: connection.spec.sandbox,
        marketplaces: marketplaces(&connection),
        authorized: status.authorized_at.as_ref().map(|at| When(at.0)),
        expires: status.authorization_expires_at.as_ref().map(|at| When(at.0)),
        exposed_until: status.exposed_until.as_ref().map(|at| at.0).filter(|at| *at > ask.now).map(When),
        users: users(ask, membership, &name),
        may,
        rename: wrong.rename.unwrap_or_else(|| Field::of(shown::connection_name(&connection))),
        token_error: wrong.token,
        from_yaml: !ours,
    };
    let code = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let leave = if may.consent { consent::leave(ask, &connection) } else { Vec::new() };
    Ok(page_with(code, &page, &leave))
}

fn marketplaces(connection: &AmazonConnection) -> Vec<MarketplaceRow> {
    let participations = connection.status.iter().flat_map(|status| &status.participations);
    let participations: Vec<_> = participations.collect();
    let row = |id: &str, allowed: bool| {
        let told = participations.iter().find(|one| one.marketplace_id == id);
        let status = match told {
            Some(one) if one.has_suspended_listings => Status::new(Tone::Warn, "Listings suspended"),
            Some(one) if one.is_participating => Status::new(Tone::Good, "Seller takes part"),
            Some(_) => Status::new(Tone::Off, "Seller does not take part"),
            None if participations.is_empty() => Status::new(Tone::Wait, "Not known yet"),
            None => Status::new(Tone::Off, "Seller does not take part"),
        };
        let mut marketplace = shown::marketplace(id);
        if let Some(one) = told.filter(|_| marketplace.country.is_empty()) {
            marketplace.country.clone_from(&one.country_code);
        }
        MarketplaceRow { marketplace, allowed, status }
    };
    let mut rows: Vec<_> = connection.spec.marketplace_ids.iter().map(|id| row(id, true)).collect();
    let others = participations.iter().filter(|one| !connection.spec.marketplace_ids.contains(&one.marketplace_id));
    rows.extend(others.map(|one| row(&one.marketplace_id, false)));
    rows
}

/// Which tokens and agents open a connection.
fn users(ask: &Ask, membership: &Membership, name: &NamespacedReference) -> Vec<ConnectionUser> {
    let opens = |scope: &crds::Scope| scope.connections.contains(&name.name);
    let tokens = shown::tokens(&ask.index, &membership.team).filter(|(_, token)| opens(&token.spec.scope));
    let tokens = tokens.map(|(name, token)| ConnectionUser {
        kind: "Runtime token".to_owned(),
        name: name.name.clone(),
        who: token.spec.issued_by.clone(),
        status: shown::token_status(&ask.index, name, token, ask.now).0,
        expires: Some(When(token.spec.expires_at.0)),
    });
    let grants = shown::grants(&ask.index, &membership.team).filter(|(_, grant)| opens(&grant.spec.scope));
    let grants = grants.map(|(name, grant)| ConnectionUser {
        kind: "Agent".to_owned(),
        name: name.name.clone(),
        who: format!("ServiceAccount {}", grant.spec.service_account.name),
        status: match annotation::incidents(&grant.metadata) {
            Some(_) => Status::new(Tone::Bad, "Contained"),
            None => Status::new(Tone::Good, "Works"),
        },
        expires: None,
    });
    tokens.chain(grants).collect()
}

/// What a page that follows is about.
struct Followed {
    portal: Arc<Portal>,
    membership: Membership,
    connection: NamespacedReference,
    changes: tokio::sync::watch::Receiver<u64>,
    inputs: tokio::sync::watch::Receiver<()>,
    last: Option<String>,
    until: tokio::time::Instant,
    _counted: crate::metrics::Following,
    _place: crate::pace::Place,
}

impl Followed {
    /// What the page shows now; `None` where whoever looks may not any more.
    fn status(&self) -> Option<(String, bool)> {
        let now = Timestamp::now();
        let index = self.portal.index().ok()?;
        let membership = self.portal.still(&index, &self.membership, now)?;
        let connection = index.connections.get(&self.connection)?.read()?;
        if connection.spec.team_ref.name != membership.team.name {
            return None;
        }
        let contained = access::contained(&index, &self.connection, connection);
        let newest = self.portal.inputs.newest(&self.connection);
        let state = shown::state(connection, &contained, newest.as_ref(), now);
        Some((LiveStatus::new(&state.status, &state.summary, &state.steps, !state.live).to_json(), !state.live))
    }

    /// The next thing to tell.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let (status, over) = self.status()?;
            if self.last.as_ref() != Some(&status) {
                self.last = Some(status.clone());
                return Some((Ok(Event::default().data(status)), self));
            }
            if over {
                return None;
            }
            // However much changes in the cluster, a person reads no faster.
            tokio::time::sleep(AT_MOST_EVERY).await;
            let shutdown = self.portal.shutdown.clone();
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                changed = self.inputs.changed() => changed.ok()?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = tokio::time::sleep_until(self.until) => return None,
                () = shutdown.cancelled() => return None,
            }
        }
    }
}

/// `GET …/connections/{name}/events` (HTML Standard, server-sent events).
pub(crate) fn events(ask: &Ask, membership: &Membership, name: &str) -> Result<Response<Body>, Refusal> {
    let (connection, _) = own(ask, membership, name)?;
    let place = ask.portal.paces.follow(&membership.visitor.name);
    let place = place.ok_or(Refusal::Problem(Problem::TooMany { seconds: Some(5) }))?;
    let followed = Followed {
        portal: ask.portal.clone(),
        membership: membership.clone(),
        connection,
        changes: ask.portal.view.changes(),
        inputs: ask.portal.inputs.changes(),
        last: None,
        until: tokio::time::Instant::now() + FOLLOWED,
        _counted: ask.portal.counts.follows(),
        _place: place,
    };
    let sse = Sse::new(stream::unfold(followed, Followed::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(sse.into_response())
}

/// `POST …/connections/{name}/renew` and `…/test`: an annotation with a new value.
pub(crate) async fn ask_for(
    ask: &Ask,
    membership: &Membership,
    name: &str,
    key: &'static str,
) -> Result<Response<Body>, Refusal> {
    let (name, connection) = own(ask, membership, name)?;
    free(ask, &name, &connection)?;
    let by = membership.visitor.requester(ask);
    let (change, done) = match key {
        annotation::RENEW => (Change::RenewalAskedBy(by), "renew"),
        _ => (Change::TestAskedBy(by), "test"),
    };
    recorded(ask, membership, &name, &connection, change).await?;
    let value = format!("portal-{}", ask.now.strftime("%Y%m%dT%H%M%S%.3fZ"));
    ask.portal.annotate(done, &*connection, key, &value).await?;
    Ok(back(membership, &name, done))
}

/// `POST …/connections/{name}/name`.
pub(crate) async fn rename(
    ask: &Ask,
    membership: &Membership,
    name: &str,
    form: &Fields,
) -> Result<Response<Body>, Refusal> {
    let (name, connection) = own(ask, membership, name)?;
    ours(ask, &name, &connection)?;
    let wanted = form.text("name");
    if wanted.is_empty() || wanted.chars().count() > 100 || wanted.chars().any(char::is_control) {
        let error = "Give it a name of up to 100 letters.";
        let wrong = Wrong { rename: Some(Field::wrong(wanted, error)), token: None };
        return detail(ask, membership, &name.name, wrong);
    }
    let change = Change::RenamedBy(membership.visitor.requester(ask));
    recorded(ask, membership, &name, &connection, change).await?;
    ask.portal.rename(&connection, &wanted).await?;
    Ok(back(membership, &name, "renamed"))
}

/// `POST …/connections/{name}/token`: a token from Amazon's own authorization page, sealed before anything waits.
pub(crate) async fn paste(
    ask: &Ask,
    membership: &Membership,
    name: &str,
    form: &Fields,
) -> Result<Response<Body>, Refusal> {
    let (name, connection) = own(ask, membership, name)?;
    free(ask, &name, &connection)?;
    let mut sealed = match consent::seal(ask, &name, CredentialField::RefreshToken, form.one("token")).await? {
        Some(sealed) => sealed,
        None => {
            let token = Some(consent::NO_TOKEN.to_owned());
            return detail(ask, membership, &name.name, Wrong { rename: None, token });
        }
    };
    let change = Change::InputGivenBy(membership.visitor.requester(ask), Given::RefreshToken);
    recorded(ask, membership, &name, &connection, change).await?;
    sealed.metadata.owner_references = act::owned_by(&*connection);
    ask.portal.create("give a token", &sealed).await?;
    Ok(back(membership, &name, "pasted"))
}

/// `GET …/connections/{name}/delete`.
pub(crate) fn delete_form(
    ask: &Ask,
    membership: &Membership,
    name: &str,
    confirm: Field,
) -> Result<Response<Body>, Refusal> {
    let (name, connection) = own(ask, membership, name)?;
    ours(ask, &name, &connection)?;
    let opens = |scope: &crds::Scope| scope.connections.contains(&name.name);
    let tokens = shown::tokens(&ask.index, &membership.team).filter(|(_, token)| opens(&token.spec.scope));
    let agents = shown::grants(&ask.index, &membership.team).filter(|(_, grant)| opens(&grant.spec.scope));
    let code = if confirm.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = ConnectionDelete {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        name: name.name.clone(),
        display_name: shown::connection_name(&connection),
        tokens: tokens.map(|(name, _)| name.name.clone()).collect(),
        agents: agents.map(|(name, _)| name.name.clone()).collect(),
        confirm,
    };
    Ok(page_with(code, &page, &Vec::new()))
}

/// `POST …/connections/{name}/delete`.
pub(crate) async fn delete(
    ask: &Ask,
    membership: &Membership,
    name: &str,
    form: &Fields,
) -> Result<Response<Body>, Refusal> {
    let (name, connection) = own(ask, membership, name)?;
    ours(ask, &name, &connection)?;
    let typed = form.text("confirm");
    if typed != name.name {
        let error = format!("Type {} to delete it.", name.name);
        return delete_form(ask, membership, &name.name, Field::wrong(typed, error));
    }
    let change = Change::DeletedBy(membership.visitor.requester(ask));
    recorded(ask, membership, &name, &connection, change).await?;
    ask.portal.delete("delete a connection", &*connection).await?;
    Ok(see_other(&format!("{}?done=deleted", membership.path())))
}

/// Records what is about to be done with a connection.
async fn recorded(
    ask: &Ask,
    membership: &Membership,
    name: &NamespacedReference,
    connection: &AmazonConnection,
    change: Change,
) -> Result<(), Refusal> {
    let uid = connection.metadata.uid.as_deref();
    let event = act::event(Kind::AmazonConnection, name, uid, &membership.team.name, change)?;
    ask.portal.recorded(event).await
}

/// Refuses where something is contained: it is evidence, and frozen.
pub(crate) fn free(ask: &Ask, name: &NamespacedReference, connection: &AmazonConnection) -> Result<(), Refusal> {
    if contain::is_contained(ask, name, connection) {
        let text = "It is contained, so it cannot be changed. Whoever handles the incident restores it.".to_owned();
        return Err(Refusal::Problem(Problem::Contained { text }));
    }
    Ok(())
}

/// The same, and where it came by YAML.
fn ours(ask: &Ask, name: &NamespacedReference, connection: &AmazonConnection) -> Result<(), Refusal> {
    free(ask, name, connection)?;
    if !act::is_ours(&connection.metadata) {
        let text = "This connection came by YAML. It is changed where it came from.".to_owned();
        return Err(Refusal::Problem(Problem::BadRequest { text }));
    }
    Ok(())
}

fn back(membership: &Membership, name: &NamespacedReference, done: &str) -> Response<Body> {
    see_other(&format!("{}/connections/{}?done={done}", membership.path(), name.name))
}
