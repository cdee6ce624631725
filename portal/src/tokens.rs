//! RuntimeTokens: who has which, issuing and revoking them.

use std::sync::Arc;

use access::{Action, Entry, Index, RuntimeTokenText};
use audit::{Change, Granted, Kind, MarketplaceId, Name};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use crds::{
    Access, AmazonConnection, LocalReference, NamespacedReference, Operations, RuntimeToken, RuntimeTokenSpec, Scope,
    annotation, duration,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    act::{self, made},
    activity::Use,
    answer::{Refusal, found, page, page_with, see_other},
    keys::random,
    page::{
        ClassChoice, ConnectionChoice, Field, LastUse, LifetimeChoice, MarketplaceChoice, OperationClass, Problem,
        TokenIssued, TokenNew, TokenRow, Tokens, Tone, When,
    },
    portal::{Ask, Fields, Membership},
    shown,
};

const CLASSES: [OperationClass; 2] = [OperationClass::Read, OperationClass::Financial];
/// Tokens of one Team at a time: every gateway holds all of them.
const MOST: usize = 500;
/// Lives to choose among, as far as the Team allows them.
const LIFETIMES: [(&str, &str); 7] = [
    ("1h", "1 hour"),
    ("8h", "8 hours"),
    ("24h", "1 day"),
    ("168h", "7 days"),
    ("720h", "30 days"),
    ("1440h", "60 days"),
    ("2160h", "90 days"),
];

/// `GET …/tokens`, and the answer to `…/tokens/revoke-all` where it was not confirmed.
pub(crate) async fn list(ask: &Ask, membership: &Membership, confirm: Field) -> Response<Body> {
    let used = ask.portal.activity.last_use(membership).await;
    let revokes_any = membership.may(Action::RevokeTokens);
    let mut rows: Vec<(bool, TokenRow)> = Vec::new();
    for (name, token) in shown::tokens(&ask.index, &membership.team) {
        let (status, note) = shown::token_status(&ask.index, name, token, ask.now);
        let yours = token.spec.issued_by.eq_ignore_ascii_case(&membership.visitor.email);
        let operations = token.spec.scope.operations.as_ref();
        let works = status.tone == Tone::Good;
        rows.push((
            works,
            TokenRow {
                name: name.name.clone(),
                creator: token.spec.issued_by.clone(),
                yours,
                connections: token.spec.scope.connections.clone(),
                marketplaces: token.spec.scope.marketplace_ids.iter().map(|id| shown::marketplace(id)).collect(),
                operations: operations.map_or_else(|| vec!["read".to_owned()], |lists| lists.allow.clone()),
                last_use: {
                    let created = token.metadata.creation_timestamp.as_ref().map_or(ask.now, |at| at.0);
                    match used.as_ref().map(|used| used.of(&name.name, created)) {
                        Some(Use::At(at)) => LastUse::At(When(at)),
                        Some(Use::Never) => LastUse::Never,
                        Some(Use::Unknown) | None => LastUse::Unknown,
                    }
                },
                expires: When(token.spec.expires_at.0),
                may_revoke: act::is_ours(&token.metadata)
                    && annotation::incidents(&token.metadata).is_none()
                    && (revokes_any || yours && membership.may(Action::IssueTokens)),
                may_contain: membership.may(Action::Contain) && annotation::incidents(&token.metadata).is_none(),
                status,
                note,
            },
        ));
    }
    rows.sort_by_key(|(works, row)| (!works, std::cmp::Reverse(row.expires.0)));
    let revocable = rows.iter().filter(|(_, row)| row.may_revoke).count();
    let code = if confirm.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let list = Tokens {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        tokens: rows.into_iter().map(|(_, row)| row).collect(),
        may_issue: membership.may(Action::IssueTokens),
        may_revoke_all: (revokes_any && revocable > 0).then_some(revocable),
        confirm,
    };
    page_with(code, &list, &Vec::new())
}

/// `GET …/tokens/new`.
pub(crate) fn form(ask: &Ask, membership: &Membership) -> Response<Body> {
    let mut form = Fields::default();
    let chosen = ask.parameters().text("connection");
    if !chosen.is_empty() {
        form = ask.parameters();
    }
    page(&form_page(ask, membership, &form, true))
}

/// The form with what was chosen; `fresh` where nothing was yet.
fn form_page(ask: &Ask, membership: &Membership, form: &Fields, fresh: bool) -> TokenNew {
    let connections: Vec<_> = shown::connections(&ask.index, &membership.team).collect();
    let chosen = form.text("connection");
    let only = connections.len() == 1;
    let choice = |(name, connection): &(&NamespacedReference, &Arc<AmazonConnection>)| {
        let contained = access::contained(&ask.index, name, connection);
        let state = shown::state(connection, &contained, ask.portal.inputs.newest(name).as_ref(), ask.now);
        let selected = name.name == chosen || only;
        let ticked: Vec<&str> = form.all_of("marketplaces", &name.name).collect();
        let marketplace = |id: &String| MarketplaceChoice {
            marketplace: shown::marketplace(id),
            checked: if fresh { true } else { ticked.contains(&id.as_str()) },
        };
        ConnectionChoice {
            name: name.name.clone(),
            display_name: shown::connection_name(connection),
            marketplaces: connection.spec.marketplace_ids.iter().map(marketplace).collect(),
            note: (state.status.tone != Tone::Good).then_some(state.status.word),
            selected,
        }
    };
    let max = membership.object.spec.max_ttl().unwrap_or_default();
    let mut lifetimes: Vec<LifetimeChoice> = Vec::new();
    for (value, label) in LIFETIMES {
        if duration::parse(value).is_ok_and(|life| life <= max) {
            let selected = form.one("lifetime") == value;
            lifetimes.push(LifetimeChoice { value: value.to_owned(), label: label.to_owned(), selected });
        }
    }
    if lifetimes.is_empty() {
        let value = duration::format(max);
        lifetimes.push(LifetimeChoice { label: words(max), value, selected: true });
    } else if lifetimes.iter().all(|life| !life.selected) {
        // A day, or the longest below that.
        let at =
            lifetimes.iter().rposition(|life| ["1h", "8h", "24h"].contains(&life.value.as_str())).unwrap_or_default();
        lifetimes[at].selected = true;
    }
    let class = |class: OperationClass| ClassChoice {
        class,
        checked: if fresh {
            class == OperationClass::Read
        } else {
            form.all("operations").any(|one| one == class.as_str())
        },
    };
    TokenNew {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        name: Field::of(form.text("name")),
        connections: connections.iter().map(choice).collect(),
        classes: CLASSES.into_iter().map(class).collect(),
        lifetimes,
        limit: words(max),
        may_connect: membership.may(Action::Connect),
        ..TokenNew::default()
    }
}

/// A length of time in words.
fn words(life: std::time::Duration) -> String {
    let hours = life.as_secs() / 3600;
    match (hours, life.as_secs() % 3600) {
        (0, _) => format!("{} minutes", life.as_secs() / 60),
        (hours, 0) if hours % 24 == 0 && hours > 24 => format!("{} days", hours / 24),
        (24, 0) => "1 day".to_owned(),
        (1, 0) => "1 hour".to_owned(),
        (hours, _) => format!("{hours} hours"),
    }
}

/// `POST …/tokens`: the one answer that has the text.
pub(crate) async fn issue(ask: &Ask, membership: &Membership, form: &Fields) -> Result<Response<Body>, Refusal> {
    let mut again = form_page(ask, membership, form, false);
    let living = shown::tokens(&ask.index, &membership.team).filter(|(_, token)| token.spec.expires_at.0 > ask.now);
    if living.count() >= MOST {
        let text = format!("The Team has {MOST} tokens that have not ended. Revoke some that nobody uses.");
        return Err(Refusal::Problem(Problem::Conflict { text }));
    }
    let Some(wanted) = wanted(ask, membership, form, &mut again) else {
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &again, &Vec::new()));
    };
    let Wanted { name, connection, scope, life } = wanted;
    let text = RuntimeTokenText::new(&name, &*random()?);
    let expires_at = ask.now.checked_add(life).map_err(|_| Refusal::Bug)?;
    let granted = granted(&scope, expires_at);
    let marketplace = scope.marketplace_ids.first().cloned().unwrap_or_default();
    let mut token = RuntimeToken::new(
        &name.name,
        RuntimeTokenSpec {
            team_ref: LocalReference::to(&membership.team.name),
            scope,
            expires_at: Time(expires_at),
            issued_by: membership.visitor.email.clone(),
            hash: access::hash(&text),
        },
    );
    token.metadata = made(&name);
    let change = Change::IssuedBy(membership.visitor.requester(ask), granted);
    ask.portal.recorded(act::event(Kind::RuntimeToken, &name, None, &membership.team.name, change)?).await?;
    match ask.portal.create("issue a token", &token).await {
        Ok(_) => {}
        Err(Refusal::Problem(Problem::Conflict { .. })) => {
            again.name.error = Some("There is a token of this name. Choose another one.".to_owned());
            return Ok(page_with(StatusCode::CONFLICT, &again, &Vec::new()));
        }
        Err(other) => return Err(other),
    }
    Ok(page(&TokenIssued {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        name: name.name,
        token: text.secret().clone(),
        expires: When(expires_at),
        gateway: ask.portal.gateway_url.clone(),
        authority: ask.portal.certificate.authorities(),
        connection,
        marketplace,
    }))
}

/// A token to be made.
struct Wanted {
    name: NamespacedReference,
    connection: String,
    scope: Scope,
    life: SignedDuration,
}

/// What a form asks for, or what is wrong with it beside the fields.
fn wanted(ask: &Ask, membership: &Membership, form: &Fields, page: &mut TokenNew) -> Option<Wanted> {
    let name = form.text("name").to_lowercase();
    if name.is_empty() {
        page.name.error = Some("Give it a name that tells what it is for, such as nightly-report.".to_owned());
    } else if !is_label(&name) {
        page.name.error = Some("Use letters, digits and hyphens only, at most 50, such as nightly-report.".to_owned());
    }
    let connection = page.connections.iter().find(|one| one.selected).map(|one| one.name.clone());
    let object = connection.as_ref().and_then(|name| {
        let name = NamespacedReference { namespace: membership.team.namespace.clone(), name: name.clone() };
        ask.index.connections.get(&name).and_then(access::Entry::read)
    });
    if object.is_none() {
        page.connection_error = Some("Choose the connection that it opens.".to_owned());
    }
    let marketplace_ids: Vec<String> = object
        .map(|object| {
            let ticked: Vec<&str> = form.all_of("marketplaces", connection.as_deref().unwrap_or_default()).collect();
            object.spec.marketplace_ids.iter().filter(|id| ticked.contains(&id.as_str())).cloned().collect()
        })
        .unwrap_or_default();
    if object.is_some() && marketplace_ids.is_empty() {
        page.marketplaces_error = Some("Choose at least one marketplace.".to_owned());
    }
    let classes: Vec<String> =
        page.classes.iter().filter(|one| one.checked).map(|one| one.class.as_str().to_owned()).collect();
    if classes.is_empty() {
        page.operations_error = Some("Choose at least one kind of operation.".to_owned());
    }
    let max = membership.object.spec.max_ttl().unwrap_or_default();
    let life = duration::parse(form.one("lifetime")).ok().filter(|life| !life.is_zero() && *life <= max);
    if life.is_none() {
        page.lifetime_error = Some(format!("Choose how long it works, at most {}.", page.limit));
    }
    let wrong = [
        &page.name.error,
        &page.connection_error,
        &page.marketplaces_error,
        &page.operations_error,
        &page.lifetime_error,
    ];
    if wrong.into_iter().any(Option::is_some) {
        return None;
    }
    let (connection, life) = (connection?, SignedDuration::try_from(life?).ok()?);
    let scope = Scope {
        connections: vec![connection.clone()],
        marketplace_ids,
        operations: Some(Operations { allow: classes, deny: Vec::new() }),
        access: Access::Proxy,
    };
    let name = NamespacedReference { namespace: membership.team.namespace.clone(), name };
    Some(Wanted { name, connection, scope, life })
}

/// A DNS label (RFC 1123) of up to 50 letters: what stands before it in a token's text leaves room for that.
fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= 50 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn granted(scope: &Scope, expires_at: Timestamp) -> Granted {
    let classes = scope.operations.iter().flat_map(|lists| &lists.allow);
    let word = |class: &String| CLASSES.into_iter().map(OperationClass::as_str).find(|known| known == class);
    Granted {
        connections: scope.connections.iter().filter_map(|name| Name::parse(name).ok()).collect(),
        marketplaces: scope.marketplace_ids.iter().filter_map(|id| MarketplaceId::parse(id).ok()).collect(),
        operations: classes.filter_map(word).collect(),
        expires_at,
    }
}

/// `POST …/tokens/{name}/revoke`.
pub(crate) async fn revoke(ask: &Ask, membership: &Membership, name: &str) -> Result<Response<Body>, Refusal> {
    let (name, token) = own(ask, membership, name)?;
    let yours = token.spec.issued_by.eq_ignore_ascii_case(&membership.visitor.email);
    if !yours && !membership.may(Action::RevokeTokens) {
        return Err(Refusal::Problem(forbidden(membership, "revoke the tokens of others", Action::RevokeTokens)));
    }
    if !act::is_ours(&token.metadata) {
        let text = "This token came by YAML. It is revoked where it came from.".to_owned();
        return Err(Refusal::Problem(Problem::BadRequest { text }));
    }
    end(ask, membership, &name, &token).await?;
    Ok(see_other(&format!("{}/tokens?done=revoked", membership.path())))
}

/// `POST …/tokens/revoke-all`.
pub(crate) async fn revoke_all(ask: &Ask, membership: &Membership, form: &Fields) -> Result<Response<Body>, Refusal> {
    let typed = form.text("confirm");
    if typed != membership.team.name {
        let error = format!("Type {} to revoke all of them.", membership.team.name);
        return Ok(list(ask, membership, Field::wrong(typed, error)).await);
    }
    let all: Vec<_> = shown::tokens(&ask.index, &membership.team)
        .filter(|(_, token)| annotation::incidents(&token.metadata).is_none())
        .map(|(name, token)| (name.clone(), token.clone()))
        .collect();
    let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, token)| act::is_ours(&token.metadata));
    let mut last = Ok(());
    for (name, token) in ours {
        match end(ask, membership, &name, &token).await {
            // Somebody was faster.
            Ok(()) | Err(Refusal::NotFound) => {}
            // Those after it must end all the same.
            Err(refusal) => last = Err(refusal),
        }
    }
    last?;
    let done = if others.is_empty() { "revoked-all" } else { "revoked-ours" };
    Ok(see_other(&format!("{}/tokens?done={done}", membership.path())))
}

/// Ends a token: it is deleted, or, where it is evidence of what its Team or a connection is contained by, contained too.
/// Revoking waits for no recorder.
async fn end(
    ask: &Ask,
    membership: &Membership,
    name: &NamespacedReference,
    token: &RuntimeToken,
) -> Result<(), Refusal> {
    let by = membership.visitor.requester(ask);
    let change = match frozen_by(ask, membership, token) {
        Some(incident) => {
            let newest = |index: &Index| index.runtime_tokens.get(name).and_then(Entry::read).cloned();
            ask.portal.contain("revoke a token", token, &incident, newest).await?;
            Change::ContainedBy(by, Name::parse(&incident).into_iter().collect())
        }
        None => {
            ask.portal.delete("revoke a token", token).await?;
            Change::DeletedBy(by)
        }
    };
    let uid = token.metadata.uid.as_deref();
    ask.portal.recorder.record_later(act::event(Kind::RuntimeToken, name, uid, &membership.team.name, change)?);
    Ok(())
}

/// An incident that keeps a token from being deleted: of its Team, or of a connection that it opens.
fn frozen_by(ask: &Ask, membership: &Membership, token: &RuntimeToken) -> Option<String> {
    let namespace = &membership.team.namespace;
    let connections = access::connections_of(&ask.index, namespace, &token.spec.scope);
    let metas = connections.map(|connection| &connection.metadata).chain([&membership.object.metadata]);
    metas.filter_map(annotation::incidents).flatten().find(|incident| crds::is_incident_name(incident))
}

/// A token of the Team.
pub(crate) fn own(
    ask: &Ask,
    membership: &Membership,
    name: &str,
) -> Result<(NamespacedReference, Arc<RuntimeToken>), Refusal> {
    let name = NamespacedReference { namespace: membership.team.namespace.clone(), name: name.to_owned() };
    let token = found(ask.index.runtime_tokens.get(&name))?.clone();
    if token.spec.team_ref.name != membership.team.name {
        return Err(Refusal::NotFound);
    }
    Ok((name, token))
}

/// What a role does not allow, and who has one that does.
pub(crate) fn forbidden(membership: &Membership, wanted: &str, action: Action) -> Problem {
    Problem::Forbidden {
        wanted: wanted.to_owned(),
        needed: shown::role(action.least()).to_owned(),
        who: crate::team::owners(membership),
    }
}
