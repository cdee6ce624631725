//! Login with Amazon: a refresh token for an access token, the application's own secret for a grantless one, and the code of
//! a consent for a refresh token.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;
use tracing::{Instrument, Span, field::Empty};
use zeroize::Zeroizing;

use crate::http::{self, Limits};
use crate::{ClientError, Endpoint, LWA_TOKEN_PATH, RetryCause};

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// More than ten times what Amazon's answers measure.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;
/// Amazon documents at most 2048.
const TOKEN_LIMIT_BYTES: usize = 4096;
/// Amazon's live an hour. A longer promise than a day is a mistake somewhere, and must not be cached.
const EXPIRY_LIMIT_SECONDS: u64 = 24 * 60 * 60;

/// A token for calls to the Selling Partner API on behalf of one seller.
#[derive(Debug)]
pub struct AccessToken {
    /// Its text: visible ASCII, so it fits a header.
    pub token: SecretString,
    /// How long it is good for, counted from the answer; more than zero, at most a day.
    pub expires_in: Duration,
}

/// What a token is for that no seller granted (SP-API documentation, "Grantless operations").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantlessScope {
    /// Rotating the application's client secret.
    SecretRotation,
}

impl GrantlessScope {
    /// As LWA spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretRotation => "sellingpartnerapi::client_credential:rotation",
        }
    }
}

/// Calls Login with Amazon. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct LwaClient {
    http: reqwest::Client,
}

/// Why there is no token. None holds anything secret, nor Amazon's own words.
#[derive(Debug, Clone, Error)]
pub enum LwaError {
    /// The seller took the authorization back, or it ran out; of a code, that it was used before, is too old or is another
    /// application's: only a new consent helps.
    #[error("login with amazon refused the refresh token or code")]
    InvalidGrant,
    /// The application's secret is wrong or expired, for all its sellers.
    #[error("login with amazon refused the application's id or secret")]
    InvalidClient,
    /// It refused for another reason; asking again will not help.
    #[error("login with amazon refused the request ({0})")]
    Refused(RefusedCode),
    /// It could not be asked, or could not answer.
    #[error("login with amazon could not be asked")]
    Retry(#[source] RetryCause),
}

/// LWA's other error codes; only known ones are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each is LWA's own code")]
pub enum RefusedCode {
    #[error("invalid_request")]
    InvalidRequest,
    #[error("invalid_scope")]
    InvalidScope,
    #[error("unauthorized_client")]
    UnauthorizedClient,
    #[error("unsupported_grant_type")]
    UnsupportedGrantType,
    #[error("access_denied")]
    AccessDenied,
    /// One of the others, about the redirect URI.
    #[error("redirect_uri")]
    RedirectUri,
    #[error("an unknown code")]
    Unknown,
}

impl LwaClient {
    /// A client that trusts the system's authorities, or with a `ca_bundle` (PEM) that bundle alone.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when the bundle is not usable or TLS cannot be set up.
    pub fn new(ca_bundle: Option<&[u8]>) -> Result<Self, ClientError> {
        Self::with_limits(ca_bundle, Limits::default())
    }

    pub(crate) fn with_limits(ca_bundle: Option<&[u8]>, limits: Limits) -> Result<Self, ClientError> {
        let http = http::client(ca_bundle, limits)?;
        Ok(Self { http })
    }

    /// Asks for an access token. One request, at most 10 s; what to repeat is the caller's choice.
    ///
    /// `endpoint` is the token endpoint; without a path it is taken to be at `/auth/o2/token`.
    ///
    /// # Errors
    ///
    /// [`LwaError`], by what would help: a new consent, another secret, time, or nothing.
    pub async fn refresh(
        &self,
        endpoint: &Endpoint,
        client_id: &str,
        client_secret: &SecretString,
        refresh_token: &SecretString,
    ) -> Result<AccessToken, LwaError> {
        let form = form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
            ("client_id", client_id),
            ("client_secret", client_secret.expose_secret()),
        ]);
        // For traces: the target is that of `process::traces`, which this crate does not know.
        let span = tracing::info_span!(target: "openteam_trace", "lwa refresh", otel.kind = "client",
            http.response.status_code = Empty, otel.status_code = Empty);
        self.traced(span, endpoint, form, read_token).await
    }

    /// Asks for an access token of the application itself, without a seller; also the proof that its secret is right. One
    /// request, at most 10 s.
    ///
    /// # Errors
    ///
    /// [`LwaError`] as for [`Self::refresh`]. [`RefusedCode::InvalidScope`] may mean that the application cannot do this
    /// at all, and says nothing against its secret.
    pub async fn grantless(
        &self,
        endpoint: &Endpoint,
        client_id: &str,
        client_secret: &SecretString,
        scope: GrantlessScope,
    ) -> Result<AccessToken, LwaError> {
        let form = form(&[
            ("grant_type", "client_credentials"),
            ("scope", scope.as_str()),
            ("client_id", client_id),
            ("client_secret", client_secret.expose_secret()),
        ]);
        let span = tracing::info_span!(target: "openteam_trace", "lwa grantless", otel.kind = "client",
            http.response.status_code = Empty, otel.status_code = Empty);
        self.traced(span, endpoint, form, read_token).await
    }

    /// Exchanges the code of a seller's consent for a refresh token. One request, at most 10 s; a code is good once, so that
    /// nothing is to be repeated unless it surely was not sent ([`RetryCause::Connect`]). The access token that comes with it
    /// is not kept.
    ///
    /// `redirect_uri` is the one that was sent to Amazon's consent page, if any was.
    ///
    /// # Errors
    ///
    /// [`LwaError`] as for [`Self::refresh`]; of [`RefusedCode::RedirectUri`] that it is not the one of the consent.
    pub async fn exchange(
        &self,
        endpoint: &Endpoint,
        client_id: &str,
        client_secret: &SecretString,
        code: &SecretString,
        redirect_uri: Option<&str>,
    ) -> Result<SecretString, LwaError> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("client_id", client_id),
            ("client_secret", client_secret.expose_secret()),
        ];
        fields.extend(redirect_uri.map(|uri| ("redirect_uri", uri)));
        let form = form(&fields);
        let span = tracing::info_span!(target: "openteam_trace", "lwa exchange", otel.kind = "client",
            http.response.status_code = Empty, otel.status_code = Empty);
        self.traced(span, endpoint, form, read_refresh_token).await
    }

    async fn traced<T>(&self, span: Span, endpoint: &Endpoint, form: Bytes, read: Read<T>) -> Result<T, LwaError> {
        let answered = self.ask(endpoint, form, read).instrument(span.clone()).await;
        if answered.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        answered
    }

    async fn ask<T>(&self, endpoint: &Endpoint, form: Bytes, read: Read<T>) -> Result<T, LwaError> {
        let answer = self
            .http
            .post(endpoint.or_path(LWA_TOKEN_PATH))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(form)
            .send()
            .await
            .map_err(|error| LwaError::Retry(error.into()))?;
        let status = answer.status().as_u16();
        Span::current().record("http.response.status_code", status);
        let body = http::body(answer, ANSWER_LIMIT_BYTES).await.map_err(LwaError::Retry)?;
        match status {
            200 => read(&body).map_err(|why| LwaError::Retry(RetryCause::Nonsense(why))),
            400..=499 => Err(read_refusal(status, &body)),
            500..=599 => Err(LwaError::Retry(RetryCause::Server(status))),
            _ => Err(LwaError::Retry(RetryCause::Nonsense("its status"))),
        }
    }
}

/// Reads a success, or says why it is none.
type Read<T> = fn(&[u8]) -> Result<T, &'static str>;

/// A form body that is wiped when it has been sent.
fn form(fields: &[(&str, &str)]) -> Bytes {
    let length: usize = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    // Enough for the worst case: a buffer that grows leaves unwiped copies behind.
    let mut body = Zeroizing::new(String::with_capacity(length));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        body.extend(utf8_percent_encode(value, ENCODED));
    }
    Bytes::from_owner(body)
}

fn read_token(body: &[u8]) -> Result<AccessToken, &'static str> {
    #[derive(Deserialize)]
    struct Granted<'a> {
        #[serde(borrow)]
        access_token: Cow<'a, str>,
        #[serde(borrow)]
        token_type: Option<Cow<'a, str>>,
        expires_in: u64,
    }
    let granted: Granted<'_> = serde_json::from_slice(body).map_err(|_| "it is not a token answer")?;
    let token = token_text(granted.access_token)?;
    if granted.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("the type of its token");
    }
    if !(1..=EXPIRY_LIMIT_SECONDS).contains(&granted.expires_in) {
        return Err("the lifetime of its token");
    }
    Ok(AccessToken { token, expires_in: Duration::from_secs(granted.expires_in) })
}

fn read_refresh_token(body: &[u8]) -> Result<SecretString, &'static str> {
    #[derive(Deserialize)]
    struct Granted<'a> {
        #[serde(borrow)]
        refresh_token: Cow<'a, str>,
    }
    let granted: Granted<'_> = serde_json::from_slice(body).map_err(|_| "it has no refresh token")?;
    token_text(granted.refresh_token)
}

fn token_text(text: Cow<'_, str>) -> Result<SecretString, &'static str> {
    let token = Zeroizing::new(text.into_owned());
    if token.is_empty() || token.len() > TOKEN_LIMIT_BYTES {
        return Err("the length of its token");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the characters of its token");
    }
    Ok(SecretString::from(token.as_str()))
}

/// RFC 6749 section 5.2. An answer without a code is not from Login with Amazon but from something in between.
fn read_refusal(status: u16, body: &[u8]) -> LwaError {
    #[derive(Deserialize)]
    struct Refusal<'a> {
        #[serde(borrow)]
        error: Cow<'a, str>,
        #[serde(borrow)]
        error_description: Option<Cow<'a, str>>,
    }
    if status == 429 {
        return LwaError::Retry(RetryCause::Throttled);
    }
    let Ok(refusal) = serde_json::from_slice::<Refusal<'_>>(body) else {
        return LwaError::Retry(RetryCause::Nonsense("it is not a refusal either"));
    };
    // Which of the codes comes with it is told nowhere, but what the parameter is called every refusal says.
    let about_redirect = refusal.error_description.is_some_and(|it| it.contains("redirect_uri"));
    if about_redirect && ["invalid_grant", "invalid_request"].contains(&refusal.error.as_ref()) {
        return LwaError::Refused(RefusedCode::RedirectUri);
    }
    let code = match refusal.error.as_ref() {
        "invalid_grant" => return LwaError::InvalidGrant,
        "invalid_client" => return LwaError::InvalidClient,
        "server_error" | "temporarily_unavailable" => {
            return LwaError::Retry(RetryCause::Server(status));
        }
        "invalid_request" => RefusedCode::InvalidRequest,
        "invalid_scope" => RefusedCode::InvalidScope,
        "unauthorized_client" => RefusedCode::UnauthorizedClient,
        "unsupported_grant_type" => RefusedCode::UnsupportedGrantType,
        "access_denied" => RefusedCode::AccessDenied,
        _ => RefusedCode::Unknown,
    };
    LwaError::Refused(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Answer, Server, unused_endpoint};

    const CLIENT_ID: &str = "amzn1.application-oa2-client.example";

    fn secret() -> SecretString {
        SecretString::from("not a real secret/+=&")
    }

    fn refresh_token() -> SecretString {
        SecretString::from(format!("Atzr{}not-a-real-token/+ é", '|'))
    }

    fn access_token() -> String {
        format!("Atza{}not-a-real-token", '|')
    }

    async fn refresh(server: &Server) -> Result<AccessToken, LwaError> {
        let client = LwaClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        client.refresh(&server.endpoint(), CLIENT_ID, &secret(), &refresh_token()).await
    }

    async fn refusal(answer: Answer) -> LwaError {
        let server = Server::start(answer).await;
        let error = refresh(&server).await.unwrap_err();
        let mut texts = format!("{error:?} {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            texts.push_str(&format!(" {error:?} {error}"));
            source = error.source();
        }
        for text in ["not a real", "not-a-real", "Atz", "marker"] {
            assert!(!texts.contains(text), "{texts}");
        }
        error
    }

    fn json(status: u16, body: &str) -> Answer {
        Answer::json(status, body)
    }

    fn granted(token: &str, rest: &str) -> Answer {
        json(200, &format!("{{\"access_token\":\"{token}\"{rest}}}"))
    }

    #[tokio::test]
    async fn a_refresh_gives_the_token_and_its_lifetime() {
        let token = access_token();
        let rest = ",\"token_type\":\"bearer\",\"expires_in\":3600,\"refresh_token\":\"x\"";
        let server = Server::start(granted(&token, rest)).await;
        let got = refresh(&server).await.unwrap();
        assert_eq!(got.token.expose_secret(), token);
        assert_eq!(got.expires_in, Duration::from_secs(3600));
        assert!(!format!("{got:?}").contains("Atza"), "{got:?}");

        let request = server.request();
        assert!(request.starts_with("POST /auth/o2/token HTTP/1.1\r\n"), "{request}");
        let head = request.to_ascii_lowercase();
        assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"));
        assert!(head.contains("\r\nuser-agent: openteam/"));
        let body = request.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(
            body,
            "grant_type=refresh_token\
             &refresh_token=Atzr%7Cnot-a-real-token%2F%2B%20%C3%A9\
             &client_id=amzn1.application-oa2-client.example\
             &client_secret=not%20a%20real%20secret%2F%2B%3D%26"
        );
    }

    #[tokio::test]
    async fn a_grantless_token_is_asked_for_with_the_secret_and_a_scope_alone() {
        let token = format!("Atc{}not-a-real-token", '|');
        let rest = ",\"token_type\":\"bearer\",\"expires_in\":3600,\"scope\":\"x\"";
        let server = Server::start(granted(&token, rest)).await;
        let client = LwaClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        let scope = GrantlessScope::SecretRotation;
        let granted = client.grantless(&server.endpoint(), CLIENT_ID, &secret(), scope).await.unwrap();
        assert_eq!(granted.token.expose_secret(), token);
        assert_eq!(
            server.request().split_once("\r\n\r\n").unwrap().1,
            "grant_type=client_credentials\
             &scope=sellingpartnerapi%3A%3Aclient_credential%3Arotation\
             &client_id=amzn1.application-oa2-client.example\
             &client_secret=not%20a%20real%20secret%2F%2B%3D%26"
        );
    }

    async fn exchange(server: &Server, redirect_uri: Option<&str>) -> Result<SecretString, LwaError> {
        let client = LwaClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        let code = SecretString::from("not a real code/&");
        client.exchange(&server.endpoint(), CLIENT_ID, &secret(), &code, redirect_uri).await
    }

    #[tokio::test]
    async fn a_code_is_exchanged_for_a_refresh_token_with_the_redirect_uri_only_where_one_was_sent() {
        let refresh = format!("Atzr{}not-a-real-token", '|');
        let rest = format!(",\"token_type\":\"bearer\",\"expires_in\":3600,\"refresh_token\":\"{refresh}\"");
        let server = Server::start(granted(&access_token(), &rest)).await;
        let got = exchange(&server, None).await.unwrap();
        assert_eq!(got.expose_secret(), refresh);
        assert!(!format!("{got:?}").contains("Atzr"), "{got:?}");
        let sent = "grant_type=authorization_code\
             &code=not%20a%20real%20code%2F%26\
             &client_id=amzn1.application-oa2-client.example\
             &client_secret=not%20a%20real%20secret%2F%2B%3D%26";
        assert_eq!(server.request().split_once("\r\n\r\n").unwrap().1, sent);

        let server = Server::start(granted(&access_token(), &rest)).await;
        exchange(&server, Some("https://portal.example/amazon/callback")).await.unwrap();
        let with_redirect = format!("{sent}&redirect_uri=https%3A%2F%2Fportal.example%2Famazon%2Fcallback");
        assert_eq!(server.request().split_once("\r\n\r\n").unwrap().1, with_redirect);
    }

    #[tokio::test]
    async fn a_success_without_a_usable_refresh_token_is_none() {
        let ok = ",\"expires_in\":3600,\"refresh_token\":";
        for token in ["null", "\"\"", "\"marker marker\"", "7", &format!("\"{}\"", "m".repeat(5000))] {
            let server = Server::start(granted("x", &format!("{ok}{token}"))).await;
            let error = exchange(&server, None).await.unwrap_err();
            assert!(matches!(&error, LwaError::Retry(RetryCause::Nonsense(_))), "{token:.20} {error:?}");
        }
        let server = Server::start(granted("x", ",\"expires_in\":3600")).await;
        let error = exchange(&server, None).await.unwrap_err();
        assert!(matches!(&error, LwaError::Retry(RetryCause::Nonsense(_))), "{error:?}");
    }

    #[tokio::test]
    async fn a_refused_code_and_a_wrong_redirect_uri_are_told_apart() {
        let refused = |code: &str, description: &str| {
            json(400, &format!("{{\"error\":\"{code}\",\"error_description\":\"{description}\"}}"))
        };
        let of_code = "The request has an invalid grant parameter : code";
        let of_redirect = "The request has an invalid parameter : redirect_uri";
        assert!(matches!(refusal(refused("invalid_grant", of_code)).await, LwaError::InvalidGrant));
        for code in ["invalid_grant", "invalid_request"] {
            let error = refusal(refused(code, of_redirect)).await;
            assert!(matches!(error, LwaError::Refused(RefusedCode::RedirectUri)), "{error:?}");
        }
        assert!(matches!(refusal(refused("invalid_client", of_redirect)).await, LwaError::InvalidClient));
    }

    #[tokio::test]
    async fn a_refused_refresh_token_asks_for_a_new_consent() {
        let body = r#"{"error":"invalid_grant","error_description":"marker","error_index":"1","request_id":"r"}"#;
        assert!(matches!(refusal(json(400, body)).await, LwaError::InvalidGrant));
    }

    #[tokio::test]
    async fn a_refused_secret_blames_the_application() {
        let body = r#"{"error":"invalid_client","error_description":"marker"}"#;
        assert!(matches!(refusal(json(401, body)).await, LwaError::InvalidClient));
    }

    #[tokio::test]
    async fn other_codes_are_named_and_unknown_ones_are_not_repeated() {
        for (status, code, expected) in [
            (400, "invalid_scope", RefusedCode::InvalidScope),
            (400, "invalid_request", RefusedCode::InvalidRequest),
            (400, "unsupported_grant_type", RefusedCode::UnsupportedGrantType),
            (400, "unauthorized_client", RefusedCode::UnauthorizedClient),
            (401, "access_denied", RefusedCode::AccessDenied),
            (400, "marker", RefusedCode::Unknown),
        ] {
            let error = refusal(json(status, &format!("{{\"error\":\"{code}\"}}"))).await;
            assert!(matches!(error, LwaError::Refused(got) if got == expected), "{error:?}");
        }
    }

    #[tokio::test]
    async fn trouble_at_amazon_is_worth_another_try() {
        for (status, body, class) in [
            (500, r#"{"error":"server_error"}"#, "server"),
            (503, r#"{"error":"temporarily_unavailable"}"#, "server"),
            (502, "<html>marker</html>", "server"),
            // A broken server's opinion of the grant counts for nothing.
            (500, r#"{"error":"invalid_grant"}"#, "server"),
            (400, r#"{"error":"server_error"}"#, "server"),
            (429, "", "throttled"),
            (403, "<html>marker</html>", "nonsense"),
            (400, r#"{"error":400}"#, "nonsense"),
            (204, "", "nonsense"),
            (201, r#"{"access_token":"marker","expires_in":3600}"#, "nonsense"),
        ] {
            let error = refusal(json(status, body)).await;
            assert!(matches!(&error, LwaError::Retry(c) if c.class() == class), "{status} {error:?}");
        }
    }

    #[tokio::test]
    async fn a_success_that_is_none_is_not_taken_for_one() {
        let ok = ",\"expires_in\":3600";
        for answer in [
            json(200, ""),
            json(200, "null"),
            json(200, "{}"),
            json(200, "<html>marker</html>"),
            json(200, r#"{"error":"invalid_grant"}"#),
            json(200, r#"{"access_token":null,"expires_in":3600}"#),
            granted("", ok),
            granted("marker", ""),
            granted("marker", ",\"expires_in\":0"),
            granted("marker", ",\"expires_in\":-1"),
            granted("marker", ",\"expires_in\":86401"),
            granted("marker", ",\"expires_in\":1e30"),
            granted("marker", ",\"expires_in\":\"3600\""),
            granted("marker\\r\\nx: y", ok),
            granted("marker marker", ok),
            granted("marker\\u0000", ok),
            granted("markér", ok),
            granted("marker", ",\"expires_in\":3600,\"token_type\":\"mac\""),
            granted(&"m".repeat(5000), ok),
            granted(&"m".repeat(70_000), ok),
        ] {
            let error = refusal(answer).await;
            assert!(matches!(&error, LwaError::Retry(RetryCause::Nonsense(_))), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let error = refusal(Answer::redirect("https://127.0.0.1:1/auth/o2/token")).await;
        assert!(matches!(error, LwaError::Retry(RetryCause::Nonsense(_))), "{error:?}");
    }

    #[tokio::test]
    async fn silence_and_broken_answers_are_worth_another_try() {
        let error = refusal(Answer::Silence).await;
        assert!(matches!(error, LwaError::Retry(RetryCause::Timeout)), "{error:?}");
        let error = refusal(Answer::HangUp).await;
        assert!(matches!(error, LwaError::Retry(RetryCause::Broken(_))), "{error:?}");
        let error = refusal(Answer::HalfBody).await;
        assert!(matches!(error, LwaError::Retry(RetryCause::Broken(_))), "{error:?}");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_server_that_the_bundle_does_not_cover() {
        let server = Server::start(granted("marker", ",\"expires_in\":3600")).await;
        let stranger = Server::start(Answer::Silence).await;
        let client = LwaClient::with_limits(Some(stranger.ca_pem()), server.limits()).unwrap();
        let error = client.refresh(&server.endpoint(), CLIENT_ID, &secret(), &refresh_token()).await.unwrap_err();
        assert!(matches!(error, LwaError::Retry(RetryCause::Connect(_))), "{error:?}");
        assert_eq!(server.requests(), 0);
    }

    #[tokio::test]
    async fn nobody_there_is_worth_another_try() {
        let server = Server::start(Answer::Silence).await;
        let client = LwaClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        let error = client.refresh(&unused_endpoint().await, CLIENT_ID, &secret(), &refresh_token()).await.unwrap_err();
        assert!(matches!(error, LwaError::Retry(RetryCause::Connect(_))), "{error:?}");
    }
}
