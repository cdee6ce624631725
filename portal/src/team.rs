//! A person's Teams: the list, the first look, the members.

use access::{Action, Entry};
use audit::{MemberRole, MembershipChange, Person};
use axum::{body::Body, http::Response};
use crds::AcceptedMembership;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use crate::{
    act,
    answer::{Refusal, page, see_other},
    page::{
        Accept, ConnectionRow, EndingToken, MemberRow, Members, NextStep, NoTeam, Status, TeamPage, TeamRow, Teams,
        Tone, When,
    },
    portal::{Ask, Membership, Visitor},
    shown,
};

/// Tokens that end within this are told on the first page.
const TOKEN_ENDS_SOON: SignedDuration = SignedDuration::from_hours(24);

/// `GET /`.
pub(crate) fn home(ask: &Ask, visitor: &Visitor) -> Response<Body> {
    let shell = shown::shell(ask, visitor);
    let memberships = access::memberships(&ask.index, &visitor.email);
    let mut rows = Vec::new();
    for (team, role) in &memberships {
        let Some(object) = ask.index.teams.get(team).and_then(Entry::read) else { continue };
        let status = match crds::annotation::incidents(&object.metadata) {
            Some(_) => Status::new(Tone::Bad, "Contained"),
            None => Status::new(Tone::Good, "Open"),
        };
        rows.push(TeamRow {
            path: format!("/teams/{}/{}", team.namespace, team.name),
            name: shown::team_name(&ask.index, team),
            role: shown::role(*role).to_owned(),
            connections: shown::connections(&ask.index, team).count(),
            accepted: visitor.has_accepted(team, object.metadata.uid.as_deref()),
            status,
        });
    }
    match &rows[..] {
        [] => {
            let contact = ask.portal.contact.as_ref().map(ToString::to_string);
            page(&NoTeam { shell, email: visitor.email.clone(), contact })
        }
        [only] => see_other(&only.path),
        _ => {
            rows.sort_by_key(|row| row.accepted);
            page(&Teams { shell, teams: rows })
        }
    }
}

/// What somebody sees of a Team whose membership they have not accepted.
pub(crate) fn acceptance(ask: &Ask, membership: &Membership) -> Response<Body> {
    page(&Accept {
        shell: shown::shell(ask, &membership.visitor),
        path: membership.path(),
        team: membership.display_name(),
        role: shown::role(membership.role).to_owned(),
        email: membership.visitor.email.clone(),
    })
}

/// `POST …/accept`.
pub(crate) async fn accept(ask: &Ask, membership: &Membership) -> Result<Response<Body>, Refusal> {
    let uid = membership.object.metadata.uid.clone().unwrap_or_default();
    let team = &membership.team;
    let to = format!("{}?done=accepted", membership.path());
    if membership.visitor.has_accepted(team, Some(&uid)) {
        return Ok(see_other(&to));
    }
    ask.portal.recorded(accepted(ask, membership)?).await?;
    ask.portal
        .users
        .change(&membership.visitor.name, |spec| {
            spec.accepted.retain(|one| one.team != *team);
            let at = MicroTime(ask.now);
            spec.accepted.push(AcceptedMembership { team: team.clone(), uid: uid.clone(), at });
            // The oldest makes way: it is accepted once more if it is still one.
            let surplus = spec.accepted.len().saturating_sub(200);
            spec.accepted.drain(..surplus);
        })
        .await?;
    Ok(see_other(&to))
}

/// A membership that is about to be accepted, for the record.
fn accepted(ask: &Ask, membership: &Membership) -> Result<audit::Membership, Refusal> {
    let Person { address: member, source } = ask.person(&membership.visitor.email);
    Ok(audit::Membership {
        target: act::target(&membership.team).ok_or(Refusal::Bug)?,
        team_uid: membership.object.metadata.uid.as_deref().and_then(|uid| uid.parse().ok()),
        member,
        role: match membership.role {
            crds::Role::Owner => MemberRole::Owner,
            crds::Role::Member => MemberRole::Member,
            crds::Role::Viewer => MemberRole::Viewer,
        },
        change: MembershipChange::AcceptedBy(source),
    })
}

/// `GET /teams/{ns}/{team}`.
pub(crate) fn overview(ask: &Ask, membership: &Membership) -> Response<Body> {
    let (index, team) = (&ask.index, &membership.team);
    let mut connections: Vec<ConnectionRow> = Vec::new();
    let mut next = Vec::new();
    let mut works = false;
    for (name, connection) in shown::connections(index, team) {
        let contained = access::contained(index, name, connection);
        let state = shown::state(connection, &contained, ask.portal.inputs.newest(name).as_ref(), ask.now);
        let path = format!("{}/connections/{}", membership.path(), name.name);
        let display_name = shown::connection_name(connection);
        let status = connection.status.as_ref();
        let expires = status.and_then(|status| status.authorization_expires_at.as_ref()).map(|at| When(at.0));
        works |= matches!(state.status.tone, Tone::Good | Tone::Warn);
        let wants_consent = ["Waits for consent", "Consent needed", "Consent withdrawn", "Ends soon", "Not connected"];
        if membership.may(Action::Connect) && wants_consent.contains(&state.status.word.as_str()) {
            let by = expires.filter(|_| state.status.word == "Ends soon");
            next.push(NextStep::Consent { path: path.clone(), name: display_name.clone(), by });
        }
        connections.push(ConnectionRow {
            path,
            name: display_name,
            seller: shown::seller(connection),
            region: shown::region(connection.spec.region).to_owned(),
            marketplaces: connection.spec.marketplace_ids.iter().map(|id| shown::marketplace(id)).collect(),
            status: state.status,
            expires,
            sandbox: connection.spec.sandbox,
        });
    }
    let urgency = |row: &ConnectionRow| match row.status.tone {
        Tone::Bad => 0,
        Tone::Warn => 1,
        Tone::Wait => 2,
        Tone::Good | Tone::Off => 3,
    };
    connections.sort_by_key(urgency);
    let mut ending = Vec::new();
    let mut own_token = false;
    for (name, token) in shown::tokens(index, team) {
        let (status, _) = shown::token_status(index, name, token, ask.now);
        let ends = token.spec.expires_at.0;
        let own = token.spec.issued_by.eq_ignore_ascii_case(&membership.visitor.email);
        own_token |= own && status.tone == Tone::Good;
        if status.tone == Tone::Good && ends - TOKEN_ENDS_SOON <= ask.now {
            let (name, creator) = (name.name.clone(), token.spec.issued_by.clone());
            ending.push(EndingToken { name, creator, expires: When(ends) });
        }
    }
    ending.sort_by_key(|token| token.expires.0);
    if connections.is_empty() {
        next.push(match membership.may(Action::Connect) {
            true => NextStep::ConnectSeller,
            false => NextStep::AskOwner { owners: owners(membership) },
        });
    } else if works && !own_token && membership.may(Action::IssueTokens) {
        next.push(NextStep::IssueToken);
    }
    page(&TeamPage {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        connections,
        ending,
        next,
        may_connect: membership.may(Action::Connect),
        may_issue: membership.may(Action::IssueTokens),
    })
}

/// Addresses of a Team's Owners.
pub(crate) fn owners(membership: &Membership) -> Vec<String> {
    let members = membership.object.spec.members.iter();
    members.filter(|member| member.role == crds::Role::Owner).map(|member| member.email.clone()).collect()
}

/// `GET …/members`.
pub(crate) fn members(ask: &Ask, membership: &Membership) -> Response<Body> {
    let uid = membership.object.metadata.uid.as_deref().unwrap_or_default();
    let row = |member: &crds::Member| {
        let user = ask.portal.users.get(&ask.portal.keys.user_name(&member.email.to_lowercase()));
        let accepted = user.as_ref().and_then(|user| {
            let accepted = user.spec.accepted.iter().find(|one| one.team == membership.team && one.uid == uid)?;
            Some(When(accepted.at.0))
        });
        MemberRow {
            email: member.email.clone(),
            role: shown::role(member.role).to_owned(),
            accepted,
            contained: user.is_some_and(|user| crds::annotation::incidents(&user.metadata).is_some()),
            you: member.email.eq_ignore_ascii_case(&membership.visitor.email),
        }
    };
    let mut members: Vec<MemberRow> = membership.object.spec.members.iter().map(row).collect();
    members.sort_by(|a, b| a.email.cmp(&b.email));
    page(&Members { shell: shown::team_shell(ask, membership), place: shown::place(membership), members })
}
