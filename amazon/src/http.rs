//! What both clients share: the HTTP client and its limits, and why a call is worth repeating.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::{Certificate, Response, redirect};
use thiserror::Error;
use zeroize::Zeroizing;

/// How OpenTeam names itself to Amazon, in the form SP-API's documentation asks for.
pub const USER_AGENT: &str = concat!("OpenTeam/", env!("CARGO_PKG_VERSION"), " (Language=Rust; Platform=Kubernetes)");

/// `x-amz-date` of a moment: `YYYYMMDDTHHMMSSZ` in UTC.
#[must_use]
pub fn amz_date(now: SystemTime) -> String {
    let now = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::MAX);
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    /// From the first byte sent to the last one read.
    pub(crate) total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(10) }
    }
}

/// A client for calls whose whole answer is read at once.
pub(crate) fn client(ca_bundle: Option<&[u8]>, limits: Limits) -> Result<reqwest::Client, ClientError> {
    finish(ca_bundle, reqwest::Client::builder().connect_timeout(limits.connect).timeout(limits.total))
}

/// A client for answers that are passed on while they arrive: `read` limits the silence before the answer and within it, not
/// the whole.
///
/// # Errors
///
/// [`ClientError`], when the bundle is not usable or TLS cannot be set up.
pub fn streaming_client(
    ca_bundle: Option<&[u8]>,
    connect: Duration,
    read: Duration,
) -> Result<reqwest::Client, ClientError> {
    finish(ca_bundle, reqwest::Client::builder().connect_timeout(connect).read_timeout(read))
}

/// It talks https only, follows no redirect, which would carry the token to wherever it points, and asks no environment
/// variable for a proxy. With a `ca_bundle` (PEM) it trusts that bundle alone, as Kubernetes' `caBundle` fields mean it; else
/// the system's authorities.
fn finish(ca_bundle: Option<&[u8]>, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ClientError> {
    let mut builder = builder.https_only(true).redirect(redirect::Policy::none()).no_proxy().user_agent(USER_AGENT);
    if let Some(pem) = ca_bundle {
        let authorities = Certificate::from_pem_bundle(pem).map_err(|e| ClientError::CaBundle(e.without_url()))?;
        if authorities.is_empty() {
            return Err(ClientError::EmptyCaBundle);
        }
        builder = builder.tls_certs_only(authorities);
    }
    builder.build().map_err(ClientError::Build)
}

/// Sets of clients kept at the same time; each has connections of its own.
const MOST_CLIENTS: usize = 64;

/// Clients, made once per CA bundle (PEM; none for the system's authorities): making them costs more than a call, and only
/// calls by the same client share connections.
pub struct PerBundle<T> {
    make: fn(Option<&[u8]>) -> Result<T, ClientError>,
    made: Mutex<HashMap<Option<String>, Arc<T>>>,
}

impl<T> PerBundle<T> {
    /// None yet; `make` makes them.
    #[must_use]
    pub fn new(make: fn(Option<&[u8]>) -> Result<T, ClientError>) -> Self {
        Self { make, made: Mutex::default() }
    }

    /// The clients that trust `bundle`.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when the bundle is not usable or TLS cannot be set up.
    pub fn of(&self, bundle: Option<String>) -> Result<Arc<T>, ClientError> {
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clients) = all.get(&bundle) {
            return Ok(clients.clone());
        }
        let made = Arc::new((self.make)(bundle.as_deref().map(str::as_bytes))?);
        // Bundles are what users write, and change: those that nobody names any more must not stay for ever.
        if all.len() >= MOST_CLIENTS {
            all.clear();
        }
        all.insert(bundle, made.clone());
        Ok(made)
    }
}

/// The answer's body; the buffer is wiped when dropped.
pub(crate) async fn body(mut answer: Response, limit: usize) -> Result<Zeroizing<Vec<u8>>, RetryCause> {
    // All at once: a buffer that grows leaves unwiped copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(limit));
    while let Some(chunk) = answer.chunk().await.map_err(RetryCause::from)? {
        if body.len() + chunk.len() > limit {
            return Err(RetryCause::Nonsense("it is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The bundle is not PEM, or holds what is no certificate.
    #[error("ca bundle is not a list of certificates in pem")]
    CaBundle(#[source] reqwest::Error),
    /// The bundle holds no certificate: trusting nobody is surely not meant.
    #[error("ca bundle has no certificate")]
    EmptyCaBundle,
    /// TLS could not be set up, for instance because the system has no authorities.
    #[error("http client could not be set up")]
    Build(#[source] reqwest::Error),
}

/// Why a call failed in a way that says nothing about its credentials: worth trying again later.
#[derive(Debug, Clone, Error)]
pub enum RetryCause {
    /// Amazon has trouble; the status.
    #[error("amazon answered with status {0}")]
    Server(u16),
    /// Amazon asks for fewer calls.
    #[error("amazon asks for fewer calls")]
    Throttled,
    /// No full answer within the time allowed.
    #[error("no answer from amazon in time")]
    Timeout,
    /// No connection: name, network or TLS. Nothing was sent.
    #[error("amazon could not be reached")]
    Connect(#[source] Arc<reqwest::Error>),
    /// The connection broke.
    #[error("the connection to amazon broke")]
    Broken(#[source] Arc<reqwest::Error>),
    /// An answer nobody can use; the text says in our words why.
    #[error("the answer makes no sense: {0}")]
    Nonsense(&'static str),
}

impl RetryCause {
    /// A fixed name, for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Nonsense(_) => "nonsense",
        }
    }
}

/// The error's source chain names hosts and reasons, never headers or bodies.
impl From<reqwest::Error> for RetryCause {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        // First: a connection that did not come about in time carried nothing either.
        if error.is_connect() {
            Self::Connect(Arc::new(error))
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken(Arc::new(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_has_amazons_form() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        assert_eq!(amz_date(moment), "20260528T202640Z");
        assert_eq!(amz_date(SystemTime::UNIX_EPOCH), "19700101T000000Z");
    }

    #[test]
    fn the_user_agent_has_amazons_form() {
        assert!(USER_AGENT.starts_with("OpenTeam/"));
        assert!(USER_AGENT.ends_with(" (Language=Rust; Platform=Kubernetes)"));
        assert!(USER_AGENT.len() < 500);
    }

    #[test]
    fn clients_are_made_once_per_bundle() {
        let clients = PerBundle::new(|bundle| match bundle {
            Some(b"bad") => Err(ClientError::EmptyCaBundle),
            _ => Ok(()),
        });
        let (a, b) = (clients.of(Some("a".into())).unwrap(), clients.of(None).unwrap());
        assert!(Arc::ptr_eq(&a, &clients.of(Some("a".into())).unwrap()));
        assert!(Arc::ptr_eq(&b, &clients.of(None).unwrap()) && !Arc::ptr_eq(&a, &b));
        assert!(clients.of(Some("bad".into())).is_err() && clients.of(Some("bad".into())).is_err());
        for number in 0..1000 {
            clients.of(Some(number.to_string())).unwrap();
        }
        assert!(clients.made.lock().unwrap().len() <= MOST_CLIENTS);
    }

    #[test]
    fn bundles_without_certificates_are_refused() {
        let refused = |pem: &str| client(Some(pem.as_bytes()), Limits::default()).unwrap_err();
        assert!(matches!(refused(""), ClientError::EmptyCaBundle));
        assert!(matches!(refused("hello"), ClientError::EmptyCaBundle));
        let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(refused(broken), ClientError::CaBundle(_)));
    }
}
