//! Every path of the Selling Partner API: decide, record, swap the token, forward the raw path, stream the answer.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use access::Request as Asked;
use amazon::{USER_AGENT, Unauthorized, amz_date};
use audit::{Correlation, Phase, Reason, Recorded};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::{
    answer::Denial,
    caller::{Known, named_connection},
    gateway::{Gateway, Of},
    metrics::InFlight,
    record,
    stream::Guard,
    tokens::Token,
};

/// Largest request body, in bytes; SP-API's own documents go to pre-signed addresses, not through here.
const BODY_LIMIT: usize = 1024 * 1024;
/// Largest error body that is read to learn why Amazon refused.
const ERROR_LIMIT: usize = 64 * 1024;

/// When a caller may try again whom the Selling Partner API did not answer. Nothing is known of when it will.
const UPSTREAM_RETRY: Duration = Duration::from_secs(5);

/// What is passed on to Amazon. Everything else stays here: credentials, hop-by-hop headers (RFC 9110 §7.6.1), cookies,
/// and whatever a caller might invent. Nor the encodings a caller takes: a compressed error could not be read here.
const TO_AMAZON: [HeaderName; 5] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    HeaderName::from_static("x-amzn-idempotency-key"),
    HeaderName::from_static("x-amzn-shipping-business-id"),
];

/// What is passed back, besides everything that begins with `x-amzn-`.
const FROM_AMAZON: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
];

/// Handles a call.
pub(crate) async fn forward(
    gateway: &Arc<Gateway>,
    request: Request,
    correlation: Correlation,
    in_flight: InFlight,
) -> Result<Response<Body>, Denial> {
    let from = from(&request);
    let (parts, body) = request.into_parts();
    let index = gateway.index().map_err(gateway.turned_away(from))?;
    let known = gateway.known(&index, &parts.headers, from).await?;
    let (named, contradiction) = match connection(&known, &parts.headers) {
        Ok(named) => (named, None),
        Err(denial) => (None, Some(denial)),
    };
    let asked = Asked {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        connection: named.as_deref(),
    };
    let refused = |denial: Denial| {
        let operation = record::meant(asked.method, asked.path);
        let target = record::visible_target(&index, &known, asked.connection);
        let (status, reason) = (denial.status().as_u16(), denial.reason());
        let intent = record::intent(correlation, &known, from, operation, target);
        let call = record::refused(intent, reason, status);
        gateway.refusals.record(&known, from, reason, call);
        denial
    };
    if let Some(denial) = contradiction {
        return Err(refused(denial));
    }
    let authorized = access::decide(&index, &known.caller, &asked, Timestamp::now())
        .map_err(|refusal| refused(Denial::Refused(refusal)))?;
    let body = read(&parts.method, &parts.headers, body).await.map_err(refused)?;
    let upstream = gateway.upstream(Of::call(&authorized)).map_err(refused)?;
    let call = record::call(correlation, &known, from, &authorized, &gateway.verifier.digests);
    tracing::debug!(caller = %known.caller, connection = %authorized.name, operation = %authorized.operation,
        through = %authorized.holding, "call allowed");
    let recorded = gateway.record(call.clone()).await?;

    let mut url = upstream.selling_partner_api.below(asked.path);
    if !authorized.query.is_empty() {
        url.set_query(Some(&authorized.query));
    }
    let outgoing = Outgoing { method: parts.method.clone(), url, headers: outgoing_headers(&parts.headers), body };
    let started = Instant::now();
    let answered = async {
        let mut token = gateway.token(Of::call(&authorized), &upstream, correlation).await?;
        let mut last = false;
        loop {
            // The last look before the token leaves: a containment since the decision stops the call here.
            access::still_holds(&*gateway.index()?, &authorized, Timestamp::now())?;
            match send(&upstream.clients.http, &outgoing, &token, &recorded).await? {
                Answered::Yes(answer) => {
                    gateway.token_taken(&authorized, &token);
                    return Ok(answer);
                }
                Answered::TokenDead if last => return Err(gateway.token_refused(&authorized, &token)),
                Answered::TokenDead => {
                    gateway.tokens.forget(&authorized.name, &token);
                    token = gateway.token(Of::call(&authorized), &upstream, correlation).await?;
                    last = true;
                }
            }
        }
    };
    // A caller that leaves before Amazon answers drops all this; the intent stays, and says that it may have happened.
    match answered.await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            gateway.conclude(call, Phase::Outcome { status, latency: started.elapsed() });
            let guard = Guard::new(gateway.clone(), authorized, known.expires_at, in_flight);
            Ok(respond(guard, answer))
        }
        Err(denial) => {
            gateway.conclude(call, Phase::Failed { reason: Reason::new(denial.reason()) });
            Err(denial)
        }
    }
}

/// Demands a path as the target, and one Host.
pub(crate) fn names_a_path(request: &Request) -> Result<(), Denial> {
    match process::serve::names_a_path(request) {
        true => Ok(()),
        false => Err(Denial::BadRequest("the request must name a path, and its host once")),
    }
}

/// The address the call came from.
pub(crate) fn from(request: &Request) -> IpAddr {
    request
        .extensions()
        .get::<process::serve::From>()
        .map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |from| from.0.ip())
}

/// The connection a call is for: what the token was got for, or what the header names. They must not differ.
fn connection(known: &Known, headers: &HeaderMap) -> Result<Option<String>, Denial> {
    let named = named_connection(headers)?;
    let Some(bound) = &known.bound_to else { return Ok(named) };
    match named {
        Some(named) if named != bound.name && named != bound.to_string() => {
            Err(Denial::BadRequest("the access token was got for another connection than OpenTeam-Connection names"))
        }
        _ => Ok(Some(bound.to_string())),
    }
}

/// The request's body, whole. Amazon refuses a GET with a body, so it is refused here.
async fn read(method: &Method, headers: &HeaderMap, body: Body) -> Result<Bytes, Denial> {
    let bodiless = method == Method::GET || method == Method::HEAD || method == Method::DELETE;
    let announced = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    if bodiless && announced {
        return Err(Denial::BadRequest("a GET or DELETE carries no body"));
    }
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Denial::TooLarge),
        Err(_) => Err(Denial::BadRequest("the request's body broke off")),
    }
}

struct Outgoing {
    method: Method,
    url: url::Url,
    headers: HeaderMap,
    body: Bytes,
}

fn outgoing_headers(incoming: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in TO_AMAZON {
        if let Some(value) = incoming.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers
}

enum Answered {
    Yes(reqwest::Response),
    /// Amazon says that the token is dead.
    TokenDead,
}

/// One call to Amazon; demands the proof that its intent is on disk.
async fn send(
    client: &reqwest::Client,
    outgoing: &Outgoing,
    token: &Token,
    _recorded: &Recorded,
) -> Result<Answered, Denial> {
    let mut secret = HeaderValue::from_str(token.secret.expose_secret())
        .map_err(|_| Denial::nonsense("Amazon's token cannot be sent"))?;
    secret.set_sensitive(true);
    let answer = client
        .request(outgoing.method.clone(), outgoing.url.clone())
        .headers(outgoing.headers.clone())
        .header("x-amz-date", amz_date(std::time::SystemTime::now()))
        .header("x-amz-access-token", secret)
        .body(outgoing.body.clone())
        .send()
        .await
        .map_err(|error| unreachable(&error))?;
    if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
        return Err(Denial::Upstream {
            reason: "AmazonRedirect",
            why: "Amazon answered with a redirect",
            retry_after: None,
        });
    }
    // `101 Switching Protocols` passed on would end our own server's rules for the connection to the caller.
    if answer.status().is_informational() {
        return Err(Denial::nonsense("Amazon's answer is none"));
    }
    if answer.status() != StatusCode::FORBIDDEN {
        return Ok(Answered::Yes(answer));
    }
    // Whether the token is dead is only in the text. The body is small; what was read is put back.
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body: reqwest::Body = answer.into();
    let body = Limited::new(body, ERROR_LIMIT)
        .collect()
        .await
        .map_err(|_| Denial::nonsense("Amazon's error could not be read"))?
        .to_bytes();
    if matches!(Unauthorized::of(&body), Unauthorized::Expired | Unauthorized::Invalid) {
        return Ok(Answered::TokenDead);
    }
    let mut rebuilt = Response::new(body);
    *rebuilt.status_mut() = status;
    *rebuilt.headers_mut() = headers;
    Ok(Answered::Yes(rebuilt.into()))
}

fn unreachable(error: &reqwest::Error) -> Denial {
    tracing::warn!(timeout = error.is_timeout(), connect = error.is_connect(), "Selling Partner API did not answer");
    let (reason, why) = if error.is_timeout() {
        ("AmazonTimeout", "the Selling Partner API did not answer in time; try again")
    } else {
        ("AmazonUnreachable", "the Selling Partner API could not be reached; try again")
    };
    Denial::Upstream { reason, why, retry_after: Some(UPSTREAM_RETRY) }
}

fn respond(guard: Guard, answer: reqwest::Response) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    for (name, value) in answer.headers() {
        if FROM_AMAZON.contains(name) || name.as_str().starts_with("x-amzn-") {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = guard.stream(answer);
    response
}
