//! One call, from arrival to answer.

use crate::{
    Clock, Fault, Marketplace, Region, Secret, Seed, Seller, Switches,
    consent::{self, Consents},
    ledger::{Call, Entry, Ledger},
    lwa,
    operations::{self, Asked, Operation},
    query::Query,
    refusal::Refusal,
    rotation, trickle,
};
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-amz-access-token");
const RATE: HeaderName = HeaderName::from_static("x-amzn-ratelimit-limit");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What [`Fault::Nonsense`] answers: neither JSON nor UTF-8.
const NONSENSE: &[u8] = b"{\"access_token\": <html>\xff\xfe";
/// Where [`Fault::Redirect`] leads. Nobody has this name (RFC 2606 §2).
const ELSEWHERE: &str = "https://elsewhere.invalid/";

/// All an emulator knows.
pub(crate) struct Amazon {
    pub(crate) seed: Seed,
    pub(crate) clock: Arc<Clock>,
    pub(crate) switches: Switches,
    pub(crate) ledger: Ledger,
    pub(crate) consents: Consents,
    started: Timestamp,
    /// By access token; expired ones stay, so that they are told from garbage.
    issued: Mutex<HashMap<String, Issued>>,
    /// By grantless access token.
    grantless: Mutex<HashMap<String, Grantless>>,
}

/// A grantless access token handed out.
#[derive(Clone)]
struct Grantless {
    client: String,
    scope: String,
    expires: Timestamp,
}

/// An access token handed out.
#[derive(Clone)]
struct Issued {
    /// Position in the seed.
    seller: usize,
    /// The grant it was issued under; see [`Switches::grant`].
    grant: u64,
    /// The refresh token that it was made with.
    made_with: Secret,
    expires: Timestamp,
}

/// What a call is for.
enum Wanted<'a> {
    Token,
    Operation(&'static Operation, &'a str),
    Rotation,
    /// Seller Central's consent page, which is neither of the two services.
    Consent,
    Unknown,
}

impl Wanted<'_> {
    fn of<'a>(method: &Method, path: &'a str) -> Wanted<'a> {
        // Amazon's own samples spell it both `/auth/o2/token` and `/auth/O2/token`.
        if method == Method::POST && path.eq_ignore_ascii_case("/auth/o2/token") {
            return Wanted::Token;
        }
        if method == Method::POST && path == rotation::PATH {
            return Wanted::Rotation;
        }
        if path.starts_with(consent::PREFIX) {
            return Wanted::Consent;
        }
        operations::find(method, path).map_or(Wanted::Unknown, |(operation, id)| Wanted::Operation(operation, id))
    }

    fn name(&self) -> &'static str {
        match self {
            Wanted::Token => "lwa",
            Wanted::Operation(operation, _) => operation.name,
            Wanted::Rotation => rotation::NAME,
            Wanted::Consent => "consent",
            Wanted::Unknown => "unknown",
        }
    }
}

impl Amazon {
    pub(crate) fn new(seed: Seed, clock: Arc<Clock>) -> Self {
        Self {
            switches: Switches::new(&seed, Arc::clone(&clock)),
            started: whole_second(clock.now()),
            seed,
            clock,
            ledger: Ledger::default(),
            consents: Consents::default(),
            issued: Mutex::default(),
            grantless: Mutex::default(),
        }
    }

    /// Makes an access token good for an hour.
    pub(crate) fn issue(&self, token: &Secret, seller: &Seller, grant: u64, made_with: Secret) {
        let Some(seller) = self.seed.sellers.iter().position(|known| known.seller_id == seller.seller_id) else {
            return;
        };
        let now = self.clock.now();
        let life = SignedDuration::from_secs(lwa::ACCESS_TOKEN_SECONDS.into());
        let issued = Issued { seller, grant, made_with, expires: now.saturating_add(life).unwrap_or(now) };
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(token.expose().to_owned(), issued);
    }

    /// Makes a grantless access token good for an hour.
    pub(crate) fn issue_grantless(&self, token: &Secret, client: &str, scope: &str) {
        let now = self.clock.now();
        let life = SignedDuration::from_secs(lwa::ACCESS_TOKEN_SECONDS.into());
        let expires = now.saturating_add(life).unwrap_or(now);
        let issued = Grantless { client: client.to_owned(), scope: scope.to_owned(), expires };
        self.grantless.lock().unwrap_or_else(PoisonError::into_inner).insert(token.expose().to_owned(), issued);
    }

    /// Every access token handed out so far.
    pub(crate) fn access_tokens(&self) -> Vec<String> {
        let mut all: Vec<String> = self.issued.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        all.extend(self.grantless.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned());
        all
    }

    /// Whose grantless token of this scope is in the request. One of a seller's is of no use there, nor is one of another
    /// scope (assumed).
    fn application(&self, parts: &Parts, scope: &str) -> Result<String, Refusal> {
        check_form(parts)?;
        let mut values = parts.headers.get_all(ACCESS_TOKEN).iter();
        let token = values.next().filter(|value| !value.is_empty()).ok_or_else(Refusal::token_missing)?;
        let token = token.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(Refusal::token_invalid)?;
        let grantless = self.grantless.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        let Some(grantless) = grantless else {
            let of_a_seller = self.issued.lock().unwrap_or_else(PoisonError::into_inner).contains_key(token);
            return Err(if of_a_seller { Refusal::no_access() } else { Refusal::token_invalid() });
        };
        if grantless.expires <= self.clock.now() {
            return Err(Refusal::token_expired());
        }
        if !grantless.scope.split(' ').any(|one| one == scope) {
            return Err(Refusal::no_access());
        }
        Ok(grantless.client)
    }

    fn rotation(self: &Arc<Self>, parts: &Parts) -> Result<Response, Refusal> {
        let client = self.application(parts, rotation::SCOPE)?;
        let mut response = self.answer_rotation(&client).unwrap_or_else(Refusal::into_response);
        response.headers_mut().insert(RATE, HeaderValue::from_static(rotation::RATE));
        Ok(response)
    }

    /// The token in the request, whether or not it is still good.
    fn presented(&self, parts: &Parts) -> Result<Issued, Refusal> {
        let mut values = parts.headers.get_all(ACCESS_TOKEN).iter();
        let token = values.next().filter(|value| !value.is_empty()).ok_or_else(Refusal::token_missing)?;
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let known = token.to_str().ok().and_then(|token| issued.get(token)).cloned();
        known.filter(|_| values.next().is_none()).ok_or_else(Refusal::token_invalid)
    }

    /// Answers a call to an SP-API path, in the order Amazon is taken to check: the request's form, the token, whether the
    /// path exists, the region, the quota, the parameters.
    fn selling_partner(&self, entry: Entry, parts: &Parts, wanted: &Wanted<'_>) -> Result<Response, Refusal> {
        let presented = self.presented(parts);
        if let Ok(issued) = &presented {
            let seller = self.seed.sellers[issued.seller].seller_id.clone();
            self.ledger.note(entry, |call| call.seller = Some(seller));
        }
        check_form(parts)?;
        let issued = presented?;
        let seller = &self.seed.sellers[issued.seller];
        if self.switches.grant(&seller.seller_id) != Some(issued.grant) || self.switches.is_ended(&issued.made_with) {
            return Err(Refusal::token_invalid());
        }
        let now = self.clock.now();
        if issued.expires <= now {
            return Err(Refusal::token_expired());
        }
        let Wanted::Operation(operation, id) = *wanted else {
            return Err(Refusal::no_access());
        };
        let region = self.region(parts);
        if seller.region != region {
            return Err(Refusal::no_access());
        }
        if self.switches.throttles(&seller.seller_id) {
            return Err(Refusal::failure(StatusCode::TOO_MANY_REQUESTS));
        }
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let answer = marketplaces(operation, &query, seller, region).and_then(|marketplaces| {
            (operation.answer)(&Asked {
                seller,
                seller_number: issued.seller + 1,
                marketplaces,
                id,
                query,
                now: whole_second(now),
                started: self.started,
            })
        });
        let mut response = answer.map_or_else(Refusal::into_response, |value| Json(value).into_response());
        // Never on the statuses of throttled and unauthorized calls.
        if response.status().is_success() || [400, 404].contains(&response.status().as_u16()) {
            response.headers_mut().insert(RATE, HeaderValue::from_static(operation.rate));
        }
        Ok(response)
    }

    /// The region this host serves.
    fn region(&self, parts: &Parts) -> Region {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.and_then(Region::of_host).unwrap_or(self.seed.region)
    }
}

/// Answers any call.
pub(crate) async fn answer(State(amazon): State<Arc<Amazon>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let wanted = Wanted::of(&parts.method, parts.uri.path());
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let mut call = Call::arriving(amazon.clock.now(), wanted.name(), &parts.headers);
    call.parameters = query.names();
    if let Wanted::Operation(Operation { marketplaces: Some(parameter), .. }, _) = wanted {
        call.marketplaces = query.list(parameter.name).into_iter().map(str::to_owned).collect();
    }
    let entry = amazon.ledger.arrived(call);

    if matches!(wanted, Wanted::Consent) {
        let response = consent::answer(&amazon, &parts, body).await;
        amazon.ledger.answered(entry, wanted.name(), response.status().as_u16());
        return response;
    }
    let state = amazon.switches.state();
    let token_wanted = matches!(wanted, Wanted::Token);
    let fault = if token_wanted { state.lwa } else { state.selling_partner };
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Slow { delay_ms } => tokio::time::sleep(Duration::from_millis(delay_ms)).await,
        Fault::None | Fault::Status(_) | Fault::Nonsense | Fault::Redirect | Fault::Trickle { .. } => {}
    }
    let mut response = match fault {
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if token_wanted {
                lwa::Denial::Failure(status).into_response()
            } else {
                Refusal::failure(status).into_response()
            }
        }
        Fault::Nonsense => ([(header::CONTENT_TYPE, "application/json")], NONSENSE).into_response(),
        Fault::Redirect => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, ELSEWHERE)]).into_response(),
        _ if token_wanted => lwa::answer(&amazon, entry, &parts, body).await,
        _ if matches!(wanted, Wanted::Rotation) => amazon.rotation(&parts).unwrap_or_else(Refusal::into_response),
        _ => amazon.selling_partner(entry, &parts, &wanted).unwrap_or_else(Refusal::into_response),
    };
    if let Ok(id) = HeaderValue::try_from(uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    amazon.ledger.answered(entry, wanted.name(), response.status().as_u16());
    match fault {
        Fault::Trickle { bytes, every_ms } => {
            trickle::trickle(&amazon, response, bytes, Duration::from_millis(every_ms)).await
        }
        _ => response,
    }
}

/// Amazon's times have no fractions.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// What Amazon documents as 400 whatever the operation.
fn check_form(parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let has_body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].iter().any(|name| headers.contains_key(name));
    if parts.method == Method::GET && has_body {
        return Err(Refusal::invalid_input("A GET request must not have a body."));
    }
    if headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Refusal::invalid_input("A request must have one Host header."));
    }
    if headers.get(header::USER_AGENT).is_some_and(|agent| agent.len() > 500) {
        return Err(Refusal::invalid_input("The User-Agent header is longer than 500 characters."));
    }
    if parts.uri.path().to_ascii_lowercase().contains("%25") {
        return Err(Refusal::invalid_input("The path is encoded twice."));
    }
    Ok(())
}

/// The marketplaces a call is about.
fn marketplaces(
    operation: &Operation,
    query: &Query,
    seller: &Seller,
    region: Region,
) -> Result<Vec<&'static Marketplace>, Refusal> {
    let named = operation.marketplaces.as_ref().map(|parameter| (parameter, query.list(parameter.name)));
    let Some((parameter, ids)) = named.filter(|(parameter, ids)| parameter.required || !ids.is_empty()) else {
        return Ok(seller.marketplaces.iter().filter_map(|id| Marketplace::find(id)).collect());
    };
    if ids.is_empty() {
        return Err(Refusal::invalid_input(&format!("{} is required.", parameter.name)));
    }
    if ids.len() > parameter.max {
        return Err(Refusal::invalid_input(&format!("{} takes at most {}.", parameter.name, parameter.max)));
    }
    ids.into_iter()
        .map(|id| {
            let known =
                Marketplace::find(id).filter(|known| known.region == region).ok_or_else(Refusal::other_region)?;
            if seller.marketplaces.iter().any(|own| own == id) { Ok(known) } else { Err(Refusal::no_access()) }
        })
        .collect()
}
