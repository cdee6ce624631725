//! Calls to a gateway, as an agent makes them.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::{House, RawAnswer, RawConnection, raw};

/// How long a gateway may be behind what the apiserver already says of a connection.
const BEHIND: Duration = Duration::from_secs(2);

/// An answer that does not come of being an event behind: a connection that has just become Ready is asked for again, and
/// so is an answer that was cut off by a change while it was on its way.
fn settled(ask: impl Fn() -> Option<Answer>) -> Answer {
    let started = Instant::now();
    loop {
        let answer = ask();
        let behind = |answer: &Answer| matches!(answer.status, 400 | 403) && answer.text.contains("cannot be used: ");
        if started.elapsed() > BEHIND || answer.as_ref().is_some_and(|answer| !behind(answer)) {
            return answer.expect("the gateway answers");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The gateway's name, which its certificate has.
const HOST: &str = "openteam-gateway.openteam-system.svc";

/// One gateway replica.
pub struct Gateway<'h> {
    house: &'h House,
    /// Its port on loopback.
    pub port: u16,
    ca: &'h str,
    http: reqwest::Client,
}

impl<'h> Gateway<'h> {
    pub(crate) fn new(house: &'h House, port: u16, ca: &'h str) -> Self {
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
            .resolve(HOST, SocketAddr::from(([127, 0, 0, 1], port)))
            .no_proxy()
            .build()
            .unwrap();
        Self { house, port, ca, http }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}", self.port)
    }

    /// Its name, for a `Host` header.
    #[must_use]
    pub const fn host(&self) -> &'static str {
        HOST
    }

    /// The authority to trust, PEM.
    #[must_use]
    pub const fn ca(&self) -> &str {
        self.ca
    }

    /// A call with `token` as `x-amz-access-token`, as SP-API clients send it.
    #[must_use]
    pub fn call(&self, token: &str) -> Call<'_> {
        self.anonymous().header("x-amz-access-token", token)
    }

    /// A call without a credential.
    #[must_use]
    pub fn anonymous(&self) -> Call<'_> {
        Call { gateway: self, headers: HeaderMap::new() }
    }

    /// `POST /auth/o2/token` as SP-API clients send it, with `refresh_token`.
    #[must_use]
    pub fn exchange(&self, refresh_token: &str) -> Answer {
        settled(|| self.try_exchange(refresh_token))
    }

    /// The same; nothing where the gateway is gone, or goes meanwhile.
    #[must_use]
    pub fn try_exchange(&self, refresh_token: &str) -> Option<Answer> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", "not looked at"),
            ("client_secret", "not looked at"),
        ];
        let request = self.http.post(format!("{}/auth/o2/token", self.url())).form(&form);
        let answer = self.house.block_on(try_answer(request))?;
        if let Some(token) = answer.json()["access_token"].as_str() {
            let (_prefix, sealed) = token.split_once('_').unwrap();
            self.house.plant("exchanged token", sealed);
        }
        Some(answer)
    }

    /// Sends bytes as they are and reads until the gateway closes.
    #[must_use]
    pub fn raw(&self, bytes: &[u8]) -> RawAnswer {
        raw::send(raw::trusting(self.ca), HOST, self.port, bytes)
    }

    /// Opens a connection to say bytes on.
    #[must_use]
    pub fn open(&self) -> RawConnection {
        RawConnection::open(self.house, raw::trusting(self.ca), HOST, self.port)
    }
}

/// A call to be made.
#[derive(Clone)]
pub struct Call<'g> {
    gateway: &'g Gateway<'g>,
    headers: HeaderMap,
}

impl Call<'_> {
    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// Names the connection.
    #[must_use]
    pub fn on(self, connection: &str) -> Self {
        self.header("openteam-connection", connection)
    }

    /// Makes it.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        settled(|| self.try_get(path))
    }

    /// Makes it; nothing where the gateway is gone, or goes meanwhile.
    #[must_use]
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.gateway.house.block_on(try_answer(self.request(path)))
    }

    /// Makes it so many times at once.
    #[must_use]
    pub fn get_at_once(&self, times: usize, path: &str) -> Vec<Answer> {
        let requests = (0..times).map(|_| answer(self.request(path)));
        self.gateway.house.block_on(futures::future::join_all(requests))
    }

    /// Lists the orders of a marketplace: the call that most tests make.
    #[must_use]
    pub fn orders(&self, marketplace: &str) -> Answer {
        self.get(&format!("/orders/v0/orders?MarketplaceIds={marketplace}&CreatedAfter=2020-01-01T00:00:00Z"))
    }

    /// Makes it, and leaves the body to be read piece by piece.
    #[must_use]
    pub fn stream(&self, path: &str) -> Streamed<'_> {
        let response = self.gateway.house.block_on(self.request(path).send()).unwrap();
        let status = response.status().as_u16();
        Streamed { house: self.gateway.house, status, response }
    }

    fn request(&self, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.gateway.url());
        self.gateway.http.request(Method::GET, url).headers(self.headers.clone())
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    try_answer(request).await.expect("the gateway answers")
}

async fn try_answer(request: reqwest::RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.ok()?;
    Some(Answer { status, headers, text })
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    fn error(&self, field: &str) -> String {
        self.json()["errors"][0][field].as_str().unwrap_or_default().to_owned()
    }

    /// `errors[0].code`.
    #[must_use]
    pub fn code(&self) -> String {
        self.error("code")
    }

    /// `errors[0].message`.
    #[must_use]
    pub fn message(&self) -> String {
        self.error("message")
    }

    /// `errors[0].details`.
    #[must_use]
    pub fn details(&self) -> String {
        self.error("details")
    }

    /// Demands a refusal of this status and code.
    ///
    /// # Panics
    /// It is something else.
    pub fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text);
    }

    /// Demands an answer of Amazon's.
    ///
    /// # Panics
    /// It is something else.
    pub fn is_served(&self) {
        assert_eq!(self.status, 200, "{}", self.text);
    }
}

/// An answer whose body is on its way.
pub struct Streamed<'h> {
    house: &'h House,
    /// The status.
    pub status: u16,
    response: reqwest::Response,
}

impl Streamed<'_> {
    /// The length of the next piece; `None` at the end. An answer that broke off is an error.
    ///
    /// # Errors
    /// The connection broke before the body was whole.
    pub fn piece(&mut self) -> Result<Option<usize>, reqwest::Error> {
        let piece = self.house.block_on(self.response.chunk())?;
        Ok(piece.map(|piece| piece.len()))
    }
}
