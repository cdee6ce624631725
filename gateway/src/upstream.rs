//! Where a connection's calls go, and the clients for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use access::{Addresses, EndpointFault};
use amazon::{ClientError, Endpoint, LwaClient, PerBundle};
use crds::{AmazonApplication, AmazonConnection, NamespacedReference, Region};

/// Time for Amazon to begin its answer, and between two parts of it.
const READ_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Clients that trust one CA bundle.
pub(crate) struct Clients {
    pub(crate) lwa: LwaClient,
    pub(crate) http: reqwest::Client,
}

impl Clients {
    fn new(bundle: Option<&[u8]>) -> Result<Self, ClientError> {
        Ok(Self { lwa: LwaClient::new(bundle)?, http: amazon::streaming_client(bundle, CONNECT_LIMIT, READ_LIMIT)? })
    }
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

/// Applications whose addresses are kept at the same time.
const MOST: usize = 1024;

/// What addresses depend on besides what the application says.
type Of = (NamespacedReference, Region, bool);

/// An application, and the addresses that were read from this very object.
type Kept = (Arc<AmazonApplication>, Arc<Upstream>);

/// Addresses, and the clients for them.
pub(crate) struct Upstreams {
    allow_endpoints: bool,
    clients: PerBundle<Clients>,
    kept: Mutex<HashMap<Of, Kept>>,
}

impl Upstreams {
    pub(crate) fn new(allow_endpoints: bool) -> Self {
        Self { allow_endpoints, clients: PerBundle::new(Clients::new), kept: Mutex::default() }
    }

    /// Amazon's regional addresses, or the application's own where the process allows that.
    pub(crate) fn of(
        &self,
        connection: &AmazonConnection,
        application: &Arc<AmazonApplication>,
    ) -> Result<Arc<Upstream>, UpstreamError> {
        let spec = &connection.spec;
        let of = (spec.application_ref.clone(), spec.region, spec.sandbox);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read_from, upstream)) = kept.get(&of)
            && Arc::ptr_eq(read_from, application)
        {
            return Ok(upstream.clone());
        }
        let Addresses { lwa, selling_partner_api, ca_bundle } =
            access::addresses(spec, application, self.allow_endpoints)?;
        let clients = self.clients.of(ca_bundle)?;
        let upstream = Arc::new(Upstream { lwa, selling_partner_api, clients });
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(of, (application.clone(), upstream.clone()));
        Ok(upstream)
    }
}
