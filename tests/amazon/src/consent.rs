//! Seller Central's consent page, and what it leads to (SP-API documentation, "Website authorization workflow").
//!
//! | Call | Answer |
//! |---|---|
//! | `GET /apps/authorize/consent` with `application_id`, `state`, `redirect_uri`, `version=beta` | the page, or why there is none |
//! | `POST /apps/authorize/consent`, the page's form | back to the redirect URI with a code, or by way of the log-in URI |
//! | `GET /apps/authorize/confirm/APPLICATION` with `amazon_state`, `state`, `redirect_uri`, `version=beta` | back from the log-in URI: to the redirect URI with a code |
//!
//! The page asks who is signed in, where Seller Central knows it. The numbers of errors are those of the documentation
//! ("Authorization errors"); their words, and what is marked so, are assumed.

use crate::{
    SwitchError,
    amazon::Amazon,
    seed::{Application, Secret, Seller, random_capitals},
};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};
use url::Url;

/// What all of its paths begin with.
pub(crate) const PREFIX: &str = "/apps/authorize/";
const PAGE: &str = "/apps/authorize/consent";
const RETURN: &str = "/apps/authorize/confirm/";

/// How long a code is good for.
const CODE_LIFE: SignedDuration = SignedDuration::from_mins(5);
/// How long the whole may take.
const CONSENT_LIFE: SignedDuration = SignedDuration::from_mins(10);
const FORM_LIMIT: usize = 16 * 1024;

/// What a developer registers of an application beside its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Registration {
    /// OAuth Redirect URIs; where none is named the first is taken.
    pub redirect_uris: Vec<String>,
    /// OAuth Login URI; with one the way back leads by it.
    pub login_uri: Option<String>,
    /// Whether it is not published yet: then everything needs `version=beta`.
    pub draft: bool,
    /// Whether Cancel sends the seller back with `error=access_denied` (RFC 6749 section 4.1.2.1). What Amazon documents is
    /// that it ends the process; sellers and developers report that nothing comes back
    /// (amzn/selling-partner-api-models, issues 665 and 1542), so that is how it is without this.
    pub cancel_returns: bool,
}

/// A code that was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    seller: String,
    client: String,
    redirect_uri: String,
    expires: Timestamp,
    used: bool,
}

/// A seller on the way by the log-in URI.
struct Pending {
    seller: String,
    client: String,
    redirect_uri: String,
    until: Timestamp,
}

/// Why a code gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadCode {
    /// There is none such for this client, it was used, or it is too old.
    Code,
    /// It was given for another redirect URI.
    RedirectUri,
}

/// Codes, and sellers on their way.
#[derive(Default)]
pub(crate) struct Consents(Mutex<Book>);

#[derive(Default)]
struct Book {
    codes: HashMap<String, Given>,
    refresh_tokens: Vec<Secret>,
    pending: HashMap<String, Pending>,
}

impl Consents {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every code that was given.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.book().codes.keys().cloned().collect()
    }

    /// Every refresh token that a code was exchanged for.
    pub(crate) fn refresh_tokens(&self) -> Vec<Secret> {
        self.book().refresh_tokens.clone()
    }

    /// A code was exchanged for it.
    pub(crate) fn gave(&self, refresh_token: &Secret) {
        self.book().refresh_tokens.push(refresh_token.clone());
    }

    /// Takes a code, which is good once; whose it is. Clients that leave the redirect URI out are served, as the libraries
    /// that do it show.
    pub(crate) fn take(
        &self,
        code: &str,
        client: &str,
        redirect_uri: Option<&str>,
        now: Timestamp,
    ) -> Result<String, BadCode> {
        let mut book = self.book();
        let given = book.codes.get_mut(code).filter(|given| given.client == client).ok_or(BadCode::Code)?;
        if given.used || given.expires <= now {
            return Err(BadCode::Code);
        }
        if redirect_uri.is_some_and(|uri| uri != given.redirect_uri) {
            return Err(BadCode::RedirectUri);
        }
        given.used = true;
        Ok(given.seller.clone())
    }
}

/// What Seller Central shows instead of going on.
struct Fault(&'static str, &'static str);

const DRAFT: Fault = Fault("MD1000", "The application does not exist, or is a draft and version=beta is missing.");
const REDIRECT: Fault = Fault("MD5101", "The redirect_uri is not one of those registered for the application.");
const FRAGMENT: Fault = Fault("MD5110", "The redirect_uri must not have a fragment.");
const UNREGISTERED: Fault = Fault("MD9100", "The application has no redirect URI.");
const NOT_PRIMARY: Fault = Fault("SPDC8143", "Only the primary user of the account can authorize an application.");
/// Of what has no number that is documented (assumed).
const OTHER: Fault = Fault("MD9999", "The request is not understood, or came too late.");

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self(code, text) = self;
        page(StatusCode::BAD_REQUEST, "Error", &format!("<p>{text}</p><p>Error code: <strong>{code}</strong></p>"))
    }
}

/// What a request is for: all that it was checked for.
struct Asked<'a> {
    application: &'a Application,
    registration: Registration,
    redirect_uri: String,
}

/// One value of each parameter: of one that comes twice the last (assumed).
type Parameters = HashMap<String, String>;

fn parameters(raw: &[u8]) -> Parameters {
    url::form_urlencoded::parse(raw).into_owned().collect()
}

/// What is asked for, in the order that Amazon is taken to check.
fn asked<'a>(
    amazon: &'a Amazon,
    application_id: &str,
    given: &Parameters,
    begun_with: Option<&str>,
) -> Result<Asked<'a>, Fault> {
    let application = amazon.seed.applications.iter().find(|one| one.application_id == application_id).ok_or(DRAFT)?;
    let registration = amazon.switches.registration(&application.client_id);
    if registration.draft && given.get("version").is_none_or(|version| version != "beta") {
        return Err(DRAFT);
    }
    let first = registration.redirect_uris.first().ok_or(UNREGISTERED)?;
    let named = given.get("redirect_uri").map(String::as_str).filter(|uri| !uri.is_empty()).or(begun_with);
    let redirect_uri = named.unwrap_or(first).to_owned();
    if redirect_uri.contains('#') {
        return Err(FRAGMENT);
    }
    if !registration.redirect_uris.contains(&redirect_uri) {
        return Err(REDIRECT);
    }
    Ok(Asked { application, registration, redirect_uri })
}

/// Answers what is under [`PREFIX`].
pub(crate) async fn answer(amazon: &Amazon, parts: &Parts, body: Body) -> Response {
    let (method, path) = (&parts.method, parts.uri.path());
    let query = parameters(parts.uri.query().unwrap_or_default().as_bytes());
    let answered = match path {
        PAGE if method == Method::GET => show(amazon, &query),
        PAGE if method == Method::POST => match to_bytes(body, FORM_LIMIT).await {
            Ok(body) => decided(amazon, parts, &parameters(&body)),
            Err(_) => Err(OTHER),
        },
        _ => match path.strip_prefix(RETURN).filter(|_| method == Method::GET) {
            Some(application_id) => returned(amazon, application_id, &query),
            None => Err(OTHER),
        },
    };
    answered.unwrap_or_else(Fault::into_response)
}

/// The page. Its form brings back what it was asked with.
fn show(amazon: &Amazon, query: &Parameters) -> Result<Response, Fault> {
    let id = query.get("application_id").ok_or(OTHER)?;
    let asked = asked(amazon, id, query, None)?;
    let mut form = format!("<form method=\"post\" action=\"{PAGE}\">");
    for name in ["application_id", "state", "redirect_uri", "version"] {
        if let Some(value) = query.get(name) {
            let _ = write!(form, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value));
        }
    }
    form += "<p><label for=\"seller\">Signed in as seller</label> <select id=\"seller\" name=\"seller\">";
    for seller in amazon.seed.sellers.iter().filter(|one| one.client_id == asked.application.client_id) {
        let _ = write!(form, "<option>{}</option>", escaped(&seller.seller_id));
    }
    form += "</select></p><p><label for=\"user\">as its</label> <select id=\"user\" name=\"user\">\
             <option value=\"primary\">primary user</option><option value=\"secondary\">secondary user</option></select></p>\
             <p><button name=\"decision\" value=\"authorize\">Authorize</button> \
             <button name=\"decision\" value=\"cancel\">Cancel</button></p></form>";
    let draft = if asked.registration.draft { " It is a draft." } else { "" };
    let text = format!(
        "<p>Application <strong>{}</strong> asks for access to your selling account.{draft}</p><p>You then go on to {}</p>{form}",
        escaped(id),
        escaped(&asked.redirect_uri),
    );
    Ok(page(StatusCode::OK, "Authorize an application", &text))
}

/// The page's form.
fn decided(amazon: &Amazon, parts: &Parts, form: &Parameters) -> Result<Response, Fault> {
    let id = form.get("application_id").ok_or(OTHER)?;
    let asked = asked(amazon, id, form, None)?;
    let state = form.get("state").map(String::as_str);
    match form.get("decision").map(String::as_str) {
        Some("authorize") => {}
        Some("cancel") if asked.registration.cancel_returns => {
            return back(&asked.redirect_uri, &[("error", Some("access_denied")), ("state", state)]);
        }
        Some("cancel") => {
            let text = "<p>Nothing was authorized, and the application was not told. You may close this page.</p>";
            return Ok(page(StatusCode::OK, "Cancelled", text));
        }
        _ => return Err(OTHER),
    }
    if form.get("user").is_some_and(|user| user != "primary") {
        return Err(NOT_PRIMARY);
    }
    let client = &asked.application.client_id;
    let seller = amazon.seed.sellers.iter().find(|one| Some(&one.seller_id) == form.get("seller"));
    let seller = seller.filter(|one| one.client_id == *client).ok_or(OTHER)?;
    let Some(login_uri) = &asked.registration.login_uri else {
        return with_code(amazon, seller, &asked.redirect_uri, state);
    };
    let amazon_state = random_capitals(40).map_err(|_| OTHER)?;
    let until = amazon.clock.now().saturating_add(CONSENT_LIFE).map_err(|_| OTHER)?;
    let (of, redirect_uri) = (seller.seller_id.clone(), asked.redirect_uri.clone());
    let pending = Pending { seller: of, client: client.clone(), redirect_uri, until };
    amazon.consents.book().pending.insert(amazon_state.clone(), pending);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).ok_or(OTHER)?;
    let callback = format!("https://{host}{RETURN}{id}");
    back(
        login_uri,
        &[
            ("amazon_callback_uri", Some(&callback)),
            ("amazon_state", Some(&amazon_state)),
            ("selling_partner_id", Some(&seller.seller_id)),
            ("version", asked.registration.draft.then_some("beta")),
        ],
    )
}

/// Back from the log-in URI. The state is the application's from here on; what it named at first is forgotten.
fn returned(amazon: &Amazon, application_id: &str, query: &Parameters) -> Result<Response, Fault> {
    let pending = query.get("amazon_state").and_then(|state| amazon.consents.book().pending.remove(state));
    let pending = pending.filter(|it| it.until > amazon.clock.now()).ok_or(OTHER)?;
    let asked = asked(amazon, application_id, query, Some(&pending.redirect_uri))?;
    if asked.application.client_id != pending.client {
        return Err(OTHER);
    }
    let seller = amazon.seed.sellers.iter().find(|one| one.seller_id == pending.seller).ok_or(OTHER)?;
    with_code(amazon, seller, &asked.redirect_uri, query.get("state").map(String::as_str))
}

/// To the redirect URI, with a code.
fn with_code(amazon: &Amazon, seller: &Seller, redirect_uri: &str, state: Option<&str>) -> Result<Response, Fault> {
    let code = amazon.give_code(seller, redirect_uri).map_err(|_| OTHER)?;
    back(
        redirect_uri,
        &[("state", state), ("selling_partner_id", Some(&seller.seller_id)), ("spapi_oauth_code", Some(code.expose()))],
    )
}

impl Amazon {
    /// The code that the consent page would give.
    #[expect(clippy::expect_used, reason = "a program of tests")]
    pub(crate) fn code(&self, seller: &str, redirect_uri: &str) -> Result<Secret, SwitchError> {
        let known = self.seed.sellers.iter().find(|one| one.seller_id == seller);
        let known = known.ok_or_else(|| SwitchError::Seller(seller.to_owned()))?;
        Ok(self.give_code(known, redirect_uri).expect("the operating system gives random bytes"))
    }

    /// A code for a seller's consent to its application.
    fn give_code(&self, seller: &Seller, redirect_uri: &str) -> Result<Secret, getrandom::Error> {
        // The documentation's examples have 20 letters; these are long enough to be found in a search for leaks.
        let code = random_capitals(40)?;
        let now = self.clock.now();
        let given = Given {
            seller: seller.seller_id.clone(),
            client: seller.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            expires: now.saturating_add(CODE_LIFE).unwrap_or(now),
            used: false,
        };
        self.consents.book().codes.insert(code.clone(), given);
        Ok(Secret::new(code))
    }
}

fn back(to: &str, with: &[(&str, Option<&str>)]) -> Result<Response, Fault> {
    let mut to = Url::parse(to).map_err(|_| UNREGISTERED)?;
    for (name, value) in with {
        if let Some(value) = value {
            to.query_pairs_mut().append_pair(name, value);
        }
    }
    let location = HeaderValue::try_from(to.as_str()).map_err(|_| UNREGISTERED)?;
    Ok(guarded((StatusCode::FOUND, [(header::LOCATION, location)]).into_response()))
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut all, one| {
        match one {
            '&' => all += "&amp;",
            '<' => all += "&lt;",
            '>' => all += "&gt;",
            '"' => all += "&quot;",
            '\'' => all += "&#39;",
            other => all.push(other),
        }
        all
    })
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title} - emulated Amazon</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}}\
         p{{overflow-wrap:anywhere}}button,select{{font:inherit;min-height:2.75rem;padding:0 1rem;max-width:100%}}</style>\
         </head><body><main><h1>{title}</h1><p>This is the emulated Amazon, for tests: no account is real.</p>{text}</main>\
         </body></html>\n"
    );
    guarded((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// The code is in an address: neither a cache nor the next page may learn it.
fn guarded(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
