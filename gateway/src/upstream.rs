//! Where a connection's calls go, and the clients for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use amazon::{ClientError, Endpoint, LWA_TOKEN_URL, LwaClient};
use crds::{AmazonApplication, AmazonConnection, Region};

/// Time for Amazon to begin its answer, and between two parts of it.
const READ_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Clients that trust one CA bundle.
pub(crate) struct Clients {
    pub(crate) lwa: LwaClient,
    pub(crate) http: reqwest::Client,
}

/// The addresses of a connection, with clients for them.
pub(crate) struct Upstream {
    pub(crate) lwa: Endpoint,
    pub(crate) selling_partner_api: Endpoint,
    pub(crate) clients: Arc<Clients>,
}

/// Why there is no address to call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("its AmazonApplication names endpoints of its own, and this gateway runs without --allow-endpoints")]
    NotAllowed,
    #[error("its AmazonApplication's endpoints cannot be used: {0}")]
    Invalid(String),
}

/// Makes clients once per CA bundle.
pub(crate) struct Upstreams {
    allow_endpoints: bool,
    clients: Mutex<HashMap<Option<String>, Arc<Clients>>>,
}

impl Upstreams {
    pub(crate) fn new(allow_endpoints: bool) -> Self {
        Self { allow_endpoints, clients: Mutex::default() }
    }

    /// Amazon's regional addresses, or the application's own where the process allows that.
    pub(crate) fn of(
        &self,
        connection: &AmazonConnection,
        application: &AmazonApplication,
    ) -> Result<Upstream, UpstreamError> {
        let own = application.spec.endpoints.as_ref();
        if own.is_some() && !self.allow_endpoints {
            return Err(UpstreamError::NotAllowed);
        }
        let region = match connection.spec.region {
            Region::Na => amazon::Region::Na,
            Region::Eu => amazon::Region::Eu,
            Region::Fe => amazon::Region::Fe,
        };
        let parse = |text: &str| text.parse::<Endpoint>().map_err(|error| UpstreamError::Invalid(error.to_string()));
        let lwa = parse(own.and_then(|own| own.lwa.as_deref()).unwrap_or(LWA_TOKEN_URL))?;
        let selling_partner_api = parse(
            own.and_then(|own| own.selling_partner_api.as_deref())
                .unwrap_or(region.selling_partner_api(connection.spec.sandbox)),
        )?;
        let bundle = own.and_then(|own| own.ca_bundle.clone());
        let clients = self.clients(bundle).map_err(|error| UpstreamError::Invalid(error.to_string()))?;
        Ok(Upstream { lwa, selling_partner_api, clients })
    }

    fn clients(&self, bundle: Option<String>) -> Result<Arc<Clients>, ClientError> {
        let mut clients = self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(clients) = clients.get(&bundle) {
            return Ok(clients.clone());
        }
        let pem = bundle.as_deref().map(str::as_bytes);
        let made = Arc::new(Clients {
            lwa: LwaClient::new(pem)?,
            http: amazon::streaming_client(pem, CONNECT_LIMIT, READ_LIMIT)?,
        });
        clients.insert(bundle, made.clone());
        Ok(made)
    }
}
