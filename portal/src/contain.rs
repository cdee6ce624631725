//! Containing. Nothing waits for it: not a recorder, not a step-up, not the Incident.

use std::sync::Arc;

use access::{Action, Entry, Index};
use audit::{Change, Kind, Name};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use crds::{Incident, IncidentNote, IncidentSpec, NamespacedReference};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, api::PostParams};

use crate::{
    act,
    answer::{Refusal, page, page_with, see_other},
    connections,
    page::{Contain, Field, Problem, When},
    portal::{Ask, Fields, Membership, Portal},
    shown, tokens,
};

/// What is to be contained.
pub(crate) enum What {
    Team,
    Connection(NamespacedReference, Arc<crds::AmazonConnection>),
    Token(NamespacedReference, Arc<crds::RuntimeToken>),
}

impl What {
    pub(crate) fn connection(ask: &Ask, membership: &Membership, name: &str) -> Result<Self, Refusal> {
        let (name, connection) = connections::own(ask, membership, name)?;
        Ok(Self::Connection(name, connection))
    }

    pub(crate) fn token(ask: &Ask, membership: &Membership, name: &str) -> Result<Self, Refusal> {
        let (name, token) = tokens::own(ask, membership, name)?;
        Ok(Self::Token(name, token))
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Team => Kind::Team,
            Self::Connection(..) => Kind::AmazonConnection,
            Self::Token(..) => Kind::RuntimeToken,
        }
    }

    const fn kind_name(&self) -> &'static str {
        match self {
            Self::Team => "Team",
            Self::Connection(..) => "AmazonConnection",
            Self::Token(..) => "RuntimeToken",
        }
    }

    fn name<'a>(&'a self, membership: &'a Membership) -> &'a NamespacedReference {
        match self {
            Self::Team => &membership.team,
            Self::Connection(name, _) | Self::Token(name, _) => name,
        }
    }

    fn uid<'a>(&'a self, membership: &'a Membership) -> Option<&'a str> {
        match self {
            Self::Team => membership.object.metadata.uid.as_deref(),
            Self::Connection(_, object) => object.metadata.uid.as_deref(),
            Self::Token(_, object) => object.metadata.uid.as_deref(),
        }
    }

    /// Where the form goes, and where to go instead.
    fn paths(&self, membership: &Membership) -> (String, String) {
        let team = membership.path();
        match self {
            Self::Team => (format!("{team}/contain"), team),
            Self::Connection(name, _) => {
                let path = format!("{team}/connections/{}", name.name);
                (format!("{path}/contain"), path)
            }
            Self::Token(name, _) => (format!("{team}/tokens/{}/contain", name.name), format!("{team}/tokens")),
        }
    }
}

/// Begins the note that says who contained what, and why; the portal finds it again by this.
pub(crate) fn mark(kind: &str, name: &NamespacedReference) -> String {
    format!("Contained {kind} {name} in the portal.")
}

/// `GET …/contain`: what stops.
pub(crate) fn form(ask: &Ask, membership: &Membership, what: &What) -> Response<Body> {
    page(&form_page(ask, membership, what))
}

fn form_page(ask: &Ask, membership: &Membership, what: &What) -> Contain {
    let (index, team) = (&ask.index, &membership.team);
    let concerned = |name: &str| match what {
        What::Team => true,
        What::Connection(of, _) => of.name == name,
        What::Token(..) => false,
    };
    let connections: Vec<_> = shown::connections(index, team).filter(|(name, _)| concerned(&name.name)).collect();
    let opens = |scope: &crds::Scope| scope.connections.iter().any(|name| concerned(name));
    let tokens = match what {
        What::Token(name, _) => vec![name.name.clone()],
        _ => shown::tokens(index, team)
            .filter(|(_, token)| opens(&token.spec.scope))
            .map(|(name, _)| name.name.clone())
            .collect(),
    };
    let agents = match what {
        What::Token(..) => Vec::new(),
        _ => shown::grants(index, team)
            .filter(|(_, grant)| opens(&grant.spec.scope))
            .map(|(name, _)| name.name.clone())
            .collect(),
    };
    let exposed = connections.iter().filter_map(|(_, connection)| {
        let until = connection.status.as_ref()?.exposed_until.as_ref()?.0;
        (until > ask.now).then(|| (shown::connection_name(connection), When(until)))
    });
    let (action, back) = what.paths(membership);
    Contain {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        what: match what {
            What::Team => format!("the whole Team {}", membership.display_name()),
            What::Connection(_, connection) => format!("connection {}", shown::connection_name(connection)),
            What::Token(name, _) => format!("runtime token {}", name.name),
        },
        action,
        back,
        exposed: exposed.collect(),
        connections: connections.iter().map(|(_, connection)| shown::connection_name(connection)).collect(),
        tokens,
        agents,
        incident: Field::of(proposed(ask.now)),
        why: Field::default(),
    }
}

/// A name for an incident that has none yet; two Teams' are never the same by accident.
fn proposed(now: Timestamp) -> String {
    let day = now.strftime("inc-%Y%m%d");
    match crate::sign_in::random_id() {
        Ok(id) => format!("{day}-{}", &id[..6]),
        Err(_) => day.to_string(),
    }
}

/// `POST …/contain`.
pub(crate) async fn contain(
    ask: &Ask,
    membership: &Membership,
    what: &What,
    form: &Fields,
) -> Result<Response<Body>, Refusal> {
    if !form.has("incident") {
        // From a button of another page: what stops is shown first.
        return Ok(page(&form_page(ask, membership, what)));
    }
    let incident = form.text("incident").to_lowercase();
    let why: String = form.text("why").chars().take(1000).collect();
    if !crds::is_incident_name(&incident) {
        let error = "Use a name of letters, digits and hyphens, at most 63, such as inc-7.";
        let mut again = form_page(ask, membership, what);
        again.incident = Field::wrong(form.text("incident"), error);
        again.why = Field::of(why);
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &again, &Vec::new()));
    }
    let portal = &ask.portal;
    let done = match what {
        What::Team => {
            let newest = |index: &Index| index.teams.get(&membership.team).and_then(Entry::read).cloned();
            portal.contain("contain a Team", &*membership.object, &incident, newest).await
        }
        What::Connection(name, connection) => {
            let newest = |index: &Index| index.connections.get(name).and_then(Entry::read).cloned();
            portal.contain("contain a connection", &**connection, &incident, newest).await
        }
        What::Token(name, token) => {
            let newest = |index: &Index| index.runtime_tokens.get(name).and_then(Entry::read).cloned();
            portal.contain("contain a token", &**token, &incident, newest).await
        }
    };
    match done {
        Ok(true) => {}
        Ok(false) => return Ok(see_other(&format!("{}?done=contained", what.paths(membership).1))),
        // It may have happened all the same: what the record says of it is true of who asked for it.
        Err(refusal @ Refusal::Unavailable) => {
            record(ask, membership, what, &incident)?;
            return Err(refusal);
        }
        Err(refusal) => return Err(refusal),
    }
    record(ask, membership, what, &incident)?;
    let name = what.name(membership);
    tracing::warn!(kind = what.kind_name(), object = %name, incident, "contained in the portal");
    let note = IncidentNote {
        time: Time(ask.now),
        author: membership.visitor.email.clone(),
        text: format!("{} {why}", mark(what.kind_name(), name)).trim().to_owned(),
    };
    portal.note(&incident, &why, note, &membership.team.namespace).await;
    let (_, back) = what.paths(membership);
    Ok(see_other(&format!("{back}?done=contained")))
}

/// Records who contained what. Nothing waits for it.
fn record(ask: &Ask, membership: &Membership, what: &What, incident: &str) -> Result<(), Refusal> {
    let incidents = Name::parse(incident).into_iter().collect();
    let change = Change::ContainedBy(membership.visitor.requester(ask), incidents);
    let name = what.name(membership);
    let event = act::event(what.kind(), name, what.uid(membership), &membership.team.name, change)?;
    ask.portal.recorder.record_later(event);
    Ok(())
}

impl Portal {
    /// Writes who contained, and why, into the Incident, which the operator may be making at this moment. It is no part of
    /// containing: without it the record still knows.
    ///
    /// Not into one that is about other namespaces: whoever may contain here may name any incident, and its notes only grow.
    async fn note(&self, name: &str, why: &str, note: IncidentNote, namespace: &str) {
        let api: Api<Incident> = Api::namespaced(self.client.clone(), &self.namespace);
        for _ in 0..5 {
            let written = match act::finish("read an Incident", api.get_opt(name)).await {
                Ok(Some(incident)) if !is_of(&incident, namespace) => return,
                Ok(None) => {
                    let title = why.lines().next().map(|line| line.chars().take(200).collect::<String>());
                    let title = title.filter(|title| !title.is_empty());
                    let spec = IncidentSpec { title, notes: vec![note.clone()], ..IncidentSpec::default() };
                    act::finish("note", api.create(&PostParams::default(), &Incident::new(name, spec))).await
                }
                Ok(Some(mut incident)) => {
                    incident.spec.notes.push(note.clone());
                    act::finish("note", api.replace(name, &PostParams::default(), &incident)).await
                }
                Err(error) => Err(error),
            };
            match written {
                Ok(_) => return,
                Err(Refusal::Problem(Problem::Conflict { .. })) => {}
                Err(refusal) => return tracing::warn!(incident = name, %refusal, "no note in the Incident"),
            }
        }
    }
}

/// Notes of the portal's that an Incident takes; there is room for others'.
const MOST_NOTES: usize = 50;

/// Whether an Incident is about this namespace alone, and has room.
fn is_of(incident: &Incident, namespace: &str) -> bool {
    let targets = incident.status.iter().flat_map(|status| &status.targets);
    targets.into_iter().all(|target| target.namespace == namespace) && incident.spec.notes.len() < MOST_NOTES
}

/// Whether anything above a connection, or itself, is contained.
pub(crate) fn is_contained(ask: &Ask, name: &NamespacedReference, connection: &crds::AmazonConnection) -> bool {
    !access::contained(&ask.index, name, connection).is_empty()
}

/// Whether the person may contain, and it is not already.
pub(crate) fn may(membership: &Membership, contained: bool) -> bool {
    membership.may(Action::Contain) && !contained
}
