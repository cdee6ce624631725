//! Where a connection's calls go, and the clients for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use access::{Addresses, EndpointFault};
use amazon::{ClientError, Endpoint, LwaClient};
use crds::{AmazonApplication, AmazonConnection};

/// Time for Amazon to begin its answer, and between two parts of it.
const READ_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Clients kept; each has connections of its own.
const MOST_CLIENTS: usize = 64;

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
    #[error("its AmazonApplication's {0}")]
    Addresses(#[from] EndpointFault),
    #[error("its AmazonApplication's spec.endpoints.caBundle cannot be used")]
    CaBundle(#[from] ClientError),
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
        let Addresses { lwa, selling_partner_api, ca_bundle } =
            access::addresses(&connection.spec, application, self.allow_endpoints)?;
        Ok(Upstream { lwa, selling_partner_api, clients: self.clients(ca_bundle)? })
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
        // Bundles come from AmazonApplications, which change: those nobody names any more must not stay for ever.
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        clients.insert(bundle, made.clone());
        Ok(made)
    }
}
