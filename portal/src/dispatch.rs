//! From a request to an answer: limits, origin, who it is, whether that person may, and only then what it is about.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::Request,
    http::{Method, Response, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use process::serve::{From, names_a_path};

use crate::{
    activity,
    answer::{self, Refusal, refused, see_other},
    connections, consent,
    contain::{self, What},
    origin,
    page::{Field, Problem, Shell},
    portal::{Ask, Fields, Membership, Portal, Visitor},
    route::{ConnectionRoute, Needs, Route, TeamRoute, TokenRoute},
    security, sessions, shown, sign_in, team, tokens,
};

/// The longest body of a form.
const MOST_BODY: usize = 64 * 1024;
const NO_PATH: &str = "The request must name a path, and its host once.";
const ELSEWHERE: &str = "This did not come from OpenTeam’s own page. Nothing was done.";

fn bad(text: &str) -> Problem {
    Problem::BadRequest { text: text.to_owned() }
}

/// Answers a request.
pub(crate) async fn handle(portal: Arc<Portal>, request: Request) -> Response<Body> {
    let began = Instant::now();
    let route = Route::parse(request.uri().path());
    let label = route.as_ref().map_or("none", Route::label);
    let mut response = match route {
        _ if !names_a_path(&request) => refused(Refusal::Problem(bad(NO_PATH)), Shell::default(), None),
        Some(Route::Asset(file)) => asset(request.method(), &file),
        Some(route) => Box::pin(answer(&portal, route, request)).await,
        None => refused(Refusal::NotFound, Shell::default(), None),
    };
    answer::harden(&mut response);
    portal.counts.answered(label, response.status().as_u16(), began);
    response
}

/// Style sheet, script and icon: named after their content, and so kept for ever.
fn asset(method: &Method, file: &str) -> Response<Body> {
    let Some(asset) = crate::page::asset(file).filter(|_| [Method::GET, Method::HEAD].contains(method)) else {
        return refused(Refusal::NotFound, Shell::default(), None);
    };
    let mut response = answer::text(StatusCode::OK, asset.content_type, Bytes::from_static(asset.bytes));
    answer::set(&mut response, header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    response
}

async fn answer(portal: &Arc<Portal>, route: Route, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    // What HEAD has no body of is GET's business (RFC 9110, section 9.3.2); the server leaves the body out.
    let method = if head.method == Method::HEAD { Method::GET } else { head.method };
    let Some(needs) = route.needs(&method) else {
        return refused(Refusal::Problem(Problem::Method), Shell::default(), None);
    };
    if origin::check(&method, &head.headers, &portal.public_url).is_err() {
        return refused(Refusal::Problem(bad(ELSEWHERE)), Shell::default(), None);
    }
    let form = match body_of(&method, &head.headers, body).await {
        Ok(form) => form,
        Err(refusal) => return refused(refusal, Shell::default(), None),
    };
    let index = match portal.index() {
        Ok(index) => index,
        Err(refusal) => return refused(refusal, Shell::default(), None),
    };
    let connection = head.extensions.get::<From>().map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |from| from.0.ip());
    let ask = Ask {
        from: portal.client_address(connection, &head.headers),
        portal: portal.clone(),
        index,
        now: Timestamp::now(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
    };
    // A page that follows asks by itself.
    let counts = !matches!(route, Route::Team(_, TeamRoute::Connection(_, ConnectionRoute::Events)));
    let visitor = match portal.visitor(&ask.headers, ask.now, counts).await {
        Ok(visitor) => visitor,
        Err(refusal) => return refused(refusal, Shell::default(), None),
    };
    // Only for a refusal: pages make their own.
    let shell = |visitor: Option<&Visitor>| visitor.map_or_else(Shell::default, |visitor| shown::shell(&ask, visitor));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let answered = match (needs, visitor.as_ref()) {
        (Needs::Nobody, visitor) => public(&ask, &route, &method, &form, visitor).await,
        // Signed out meanwhile: the answer of Amazon's is in the address and goes nowhere else.
        (Needs::Person, visitor) if route == Route::Callback => consent::callback(&ask, visitor).await,
        (_, None) => Ok(to_sign_in(&method, path)),
        (Needs::Person, Some(visitor)) => person(&ask, &route, &method, &form, visitor).await,
        (Needs::Member(action), Some(visitor)) => {
            let Route::Team(name, route) = &route else { return refused(Refusal::Bug, shell(Some(visitor)), None) };
            match portal.membership(&ask.index, visitor, name) {
                None => Err(Refusal::NotFound),
                Some(membership) => member(&ask, &membership, route, &method, &form, action).await,
            }
        }
    };
    answered.unwrap_or_else(|refusal| {
        let back = match &route {
            Route::Team(team, _) => Some(format!("/teams/{}/{}", team.namespace, team.name)),
            _ => None,
        };
        // Of a Team that is not theirs they learn nothing, not even that there is a way back to it.
        let back = back.filter(|_| !matches!(refusal, Refusal::NotFound | Refusal::Problem(Problem::NotFound)));
        refused(refusal, shell(visitor.as_ref()), back)
    })
}

/// The fields of a form.
async fn body_of(method: &Method, headers: &axum::http::HeaderMap, body: Body) -> Result<Fields, Refusal> {
    if *method != Method::POST {
        return Ok(Fields::default());
    }
    let form = |value: &axum::http::HeaderValue| {
        value.to_str().is_ok_and(|text| {
            text.split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        })
    };
    let body = Limited::new(body, MOST_BODY).collect().await.map_err(|error| match error
        .downcast_ref::<http_body_util::LengthLimitError>(
    ) {
        Some(_) => Refusal::Problem(Problem::TooLarge),
        None => Refusal::Problem(bad("The form did not arrive whole. Send it again.")),
    })?;
    // In one piece, so that there is one copy to be wiped, where nobody else holds it.
    let body = body.to_bytes();
    if !body.is_empty() && !headers.get(header::CONTENT_TYPE).is_some_and(form) {
        return Err(Refusal::Problem(bad("This is not a form of OpenTeam’s.")));
    }
    let fields = Fields::read(&body);
    if let Ok(mut own) = body.try_into_mut() {
        zeroize::Zeroize::zeroize(&mut own[..]);
    }
    Ok(fields)
}

/// Signed out: signs in first, and comes back where that only shows something.
fn to_sign_in(method: &Method, path: &str) -> Response<Body> {
    match sign_in::own_path(path).filter(|_| *method == Method::GET && path != "/") {
        Some(next) => {
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            see_other(&format!("/sign-in?next={next}"))
        }
        None => see_other("/sign-in"),
    }
}

async fn public(
    ask: &Ask,
    route: &Route,
    method: &Method,
    form: &Fields,
    visitor: Option<&Visitor>,
) -> Result<Response<Body>, Refusal> {
    match (route, *method == Method::POST) {
        (Route::SignIn | Route::Code, false) if visitor.is_some() => Ok(see_other("/")),
        (Route::SignIn, false) => Ok(sign_in::form(ask)),
        (Route::SignIn, true) => sign_in::request(ask, form),
        (Route::Code, false) => Ok(sign_in::code_form(ask)),
        (Route::Code, true) => sign_in::enter(ask, form).await,
        (Route::Security, _) => Ok(security::show(ask, visitor)),
        (Route::SecurityTxt, _) => security::txt(ask),
        _ => Err(Refusal::Bug),
    }
}

async fn person(
    ask: &Ask,
    route: &Route,
    method: &Method,
    form: &Fields,
    visitor: &Visitor,
) -> Result<Response<Body>, Refusal> {
    match route {
        Route::Home => Ok(team::home(ask, visitor)),
        Route::SignOut => sign_in::out(ask, visitor).await,
        Route::Sessions => Ok(sessions::list(ask, visitor)),
        Route::EndSession(id) => sessions::end(ask, visitor, id).await,
        Route::EndOthers => sessions::end_others(ask, visitor).await,
        Route::Login if *method == Method::POST => consent::go_on(ask, visitor, form).await,
        Route::Login => consent::hop(ask, visitor),
        _ => Err(Refusal::Bug),
    }
}

/// Whether the membership was accepted a moment ago, by another replica.
async fn accepted_elsewhere(ask: &Ask, membership: &Membership, uid: Option<&str>) -> Result<bool, Refusal> {
    let user = ask.portal.users.read(&membership.visitor.name).await?;
    Ok(user.is_some_and(|user| Visitor { user, ..membership.visitor.clone() }.has_accepted(&membership.team, uid)))
}

async fn member(
    ask: &Ask,
    membership: &Membership,
    route: &TeamRoute,
    method: &Method,
    form: &Fields,
    action: access::Action,
) -> Result<Response<Body>, Refusal> {
    use ConnectionRoute as C;
    let post = *method == Method::POST;
    let uid = membership.object.metadata.uid.as_deref();
    if *route != TeamRoute::Accept && !membership.is_accepted() && !accepted_elsewhere(ask, membership, uid).await? {
        return Ok(if post { see_other(&membership.path()) } else { team::acceptance(ask, membership) });
    }
    if !membership.may(action) {
        return Err(Refusal::Problem(tokens::forbidden(membership, wanted(action), action)));
    }
    // Containing and revoking are never too much.
    if post
        && !matches!(action, access::Action::Contain | access::Action::RevokeTokens)
        && !ask.portal.paces.may_change(&membership.visitor.name)
    {
        return Err(Refusal::Problem(Problem::TooMany { seconds: Some(30) }));
    }
    match route {
        TeamRoute::Overview => Ok(team::overview(ask, membership)),
        TeamRoute::Accept => team::accept(ask, membership).await,
        TeamRoute::Members => Ok(team::members(ask, membership)),
        TeamRoute::NewConnection => Ok(consent::new_form(ask, membership)),
        TeamRoute::Connections => consent::begin_new(ask, membership, form).await,
        TeamRoute::Connection(name, what) => match what {
            C::Detail => connections::detail(ask, membership, name, connections::Wrong::default()),
            C::Events => connections::events(ask, membership, name),
            C::Consent => consent::begin_again(ask, membership, name).await,
            C::Paste => connections::paste(ask, membership, name, form).await,
            C::Renew => connections::ask_for(ask, membership, name, crds::annotation::RENEW).await,
            C::Test => connections::ask_for(ask, membership, name, crds::annotation::TEST).await,
            C::Rename => connections::rename(ask, membership, name, form).await,
            C::Delete if post => connections::delete(ask, membership, name, form).await,
            C::Delete => connections::delete_form(ask, membership, name, Field::default()),
            C::Contain => containing(ask, membership, What::connection(ask, membership, name)?, post, form).await,
        },
        TeamRoute::Tokens if post => tokens::issue(ask, membership, form).await,
        TeamRoute::Tokens => Ok(tokens::list(ask, membership, Field::default()).await),
        TeamRoute::NewToken => Ok(tokens::form(ask, membership)),
        TeamRoute::RevokeAll => tokens::revoke_all(ask, membership, form).await,
        TeamRoute::Token(name, TokenRoute::Revoke) => tokens::revoke(ask, membership, name).await,
        TeamRoute::Token(name, TokenRoute::Contain) => {
            containing(ask, membership, What::token(ask, membership, name)?, post, form).await
        }
        TeamRoute::Contain => containing(ask, membership, What::Team, post, form).await,
        TeamRoute::Activity => activity::show(ask, membership).await,
        TeamRoute::Export => activity::export(ask, membership).await,
    }
}

async fn containing(
    ask: &Ask,
    membership: &Membership,
    what: What,
    post: bool,
    form: &Fields,
) -> Result<Response<Body>, Refusal> {
    match post {
        true => contain::contain(ask, membership, &what, form).await,
        false => Ok(contain::form(ask, membership, &what)),
    }
}

/// What a role does not allow, in words.
const fn wanted(action: access::Action) -> &'static str {
    use access::Action;
    match action {
        Action::See => "see this",
        Action::IssueTokens => "issue or revoke tokens",
        Action::Test => "have a connection tested",
        Action::Connect => "connect a seller or change a connection",
        Action::RevokeTokens => "revoke the tokens of others",
        Action::Contain => "contain",
    }
}
