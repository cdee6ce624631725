//! This process's own certificate: its key is made in memory, the operator signs, nothing is stored.
//!
//! The certificate comes as the leaf followed by the authorities to trust, so that a process learns both from the
//! apiserver and a changed authority arrives with the renewal.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use audit::Role;
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};
use prometheus_client::metrics::gauge::Gauge;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use crate::metrics::Metrics;

/// The signer of role certificates (Kubernetes, "Certificates and Certificate Signing Requests").
pub const SIGNER: &str = "openteam.dev/role";
/// How long a role certificate lives; renewed at half of it.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

const ASK_EVERY: Duration = Duration::from_millis(250);
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key or the request could not be made.
    #[error("role key cannot be made")]
    Key(#[from] rcgen::Error),
    /// The apiserver refused or did not answer.
    #[error("certificate request {0}")]
    Api(&'static str, #[source] kube::Error),
    /// The operator, or someone else, denied it.
    #[error("certificate request {name} was denied: {message}")]
    Denied {
        /// The CertificateSigningRequest.
        name: String,
        /// What the denial says.
        message: String,
    },
    /// Nobody signed it in time.
    #[error("certificate request {0} was not signed within 60 s: is the operator running?")]
    Unsigned(String),
    /// What came back is no certificate that TLS can use.
    #[error("signed certificate cannot be used: {0}")]
    Unusable(String),
}

/// Everything made from one certificate.
struct Issued {
    authorities: Vec<CertificateDer<'static>>,
    server: Arc<ServerConfig>,
    mutual: Arc<ServerConfig>,
    client: ClientConfig,
    renew_at: Instant,
    /// Seconds since 1970.
    expires: i64,
}

/// The role certificate of this process, kept renewed.
pub struct RoleCertificate {
    role: Role,
    client: Client,
    issued: ArcSwap<Issued>,
    expiry: Gauge,
    wanted_anew: Notify,
}

impl RoleCertificate {
    /// Asks for a certificate until there is one: with the operator down a new process waits. From then on `metrics` tell
    /// when it ends.
    pub async fn obtain(client: Client, role: Role, metrics: &Metrics) -> Arc<Self> {
        loop {
            match issue(&client, role).await {
                Ok(issued) => {
                    let expiry = metrics.register(
                        "role_certificate_expiry_timestamp_seconds",
                        "When this process's certificate ends, in seconds since 1970; renewed 12 hours before",
                        Gauge::default(),
                    );
                    expiry.set(issued.expires);
                    return Arc::new(Self {
                        role,
                        client,
                        issued: ArcSwap::from_pointee(issued),
                        expiry,
                        wanted_anew: Notify::new(),
                    });
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "no role certificate yet");
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Renews it at half its life, for as long as the future is polled. The old one serves on until then.
    pub async fn keep_renewed(self: Arc<Self>) {
        loop {
            let renew_at = self.issued.load().renew_at;
            tokio::select! {
                () = sleep_until(renew_at) => {}
                () = self.wanted_anew.notified() => {}
            }
            match issue(&self.client, self.role).await {
                Ok(issued) => {
                    self.expiry.set(issued.expires);
                    self.issued.store(Arc::new(issued));
                    tracing::info!("role certificate renewed");
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "role certificate not renewed; the old one serves on");
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Renews it now: whoever calls trusts another authority than the one that signed it.
    pub fn renew_now(&self) {
        self.wanted_anew.notify_one();
    }

    /// Whether a bundle of authorities (PEM) holds the one that signed it.
    #[must_use]
    pub fn is_trusted_by(&self, bundle: &[u8]) -> bool {
        let issued = self.issued.load();
        CertificateDer::pem_slice_iter(bundle).flatten().any(|trusted| issued.authorities.contains(&trusted))
    }

    /// The authorities that signed it, PEM: whom a caller of any role trusts.
    #[must_use]
    pub fn authorities(&self) -> String {
        let issued = self.issued.load();
        let pem = |der: &CertificateDer<'_>| {
            let text = BASE64_STANDARD.encode(der);
            let lines: Vec<&str> =
                text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
        };
        issued.authorities.iter().map(pem).collect()
    }

    /// For a listener whose callers have no certificate.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        self.issued.load().server.clone()
    }

    /// For a listener that other roles call.
    #[must_use]
    pub fn mutual_server(&self) -> Arc<ServerConfig> {
        self.issued.load().mutual.clone()
    }

    /// For calling other roles.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        self.issued.load().client.clone()
    }
}

async fn issue(client: &Client, role: Role) -> Result<Issued, CertificateError> {
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    let key = KeyPair::generate()?;
    // Names are the signer's to choose; the request only proves that we have the key.
    let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
    let asked = requests
        .create(&PostParams::default(), &request(role, csr))
        .await
        .map_err(|error| CertificateError::Api("was not accepted", error))?;
    let name = asked.metadata.name.unwrap_or_default();
    let deadline = Instant::now() + GIVE_UP_AFTER;
    let pem = loop {
        if Instant::now() > deadline {
            return Err(CertificateError::Unsigned(name));
        }
        sleep(ASK_EVERY).await;
        let request = requests.get(&name).await.map_err(|error| CertificateError::Api("cannot be read", error))?;
        let status = request.status.unwrap_or_default();
        if let Some(no) = status.conditions.iter().flatten().find(|c| c.type_ == "Denied" || c.type_ == "Failed") {
            return Err(CertificateError::Denied { name, message: no.message.clone().unwrap_or_default() });
        }
        if let Some(pem) = status.certificate {
            break pem.0;
        }
    };
    prepare(&pem, &key)
}

fn request(role: Role, csr: String) -> CertificateSigningRequest {
    CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some(format!("openteam-{role}-")), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(csr.into_bytes()),
            signer_name: SIGNER.to_owned(),
            expiration_seconds: i32::try_from(LIFETIME.as_secs()).ok(),
            usages: Some(["digital signature", "server auth", "client auth"].map(str::to_owned).to_vec()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    }
}

fn prepare(pem: &[u8], key: &KeyPair) -> Result<Issued, CertificateError> {
    let unusable = |why: &dyn std::fmt::Display| CertificateError::Unusable(why.to_string());
    let mut certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(&error))?
        .into_iter();
    let leaf = certificates.next().ok_or_else(|| unusable(&"it is empty"))?;
    let mut roots = RootCertStore::empty();
    let authorities: Vec<_> = certificates.collect();
    for authority in &authorities {
        roots.add(authority.clone()).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"it names no authority to trust"));
    }
    let expires = x509_parser::parse_x509_certificate(&leaf)
        .map_err(|error| unusable(&error))?
        .1
        .validity()
        .not_after
        .timestamp();
    let left = u64::try_from(expires - Timestamp::now().as_second()).unwrap_or_default();
    let roots = Arc::new(roots);
    let chain = vec![leaf];
    let private = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let verifier = WebPkiClientVerifier::builder(roots.clone()).build().map_err(|error| unusable(&error))?;
    let server = |builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>| {
        let mut config = builder.with_single_cert(chain.clone(), private()).map_err(|error| unusable(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok::<_, CertificateError>(Arc::new(config))
    };
    Ok(Issued {
        authorities,
        server: server(ServerConfig::builder().with_no_client_auth())?,
        mutual: server(ServerConfig::builder().with_client_cert_verifier(verifier))?,
        client: ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), private())
            .map_err(|error| unusable(&error))?,
        renew_at: Instant::now() + Duration::from_secs(left / 2),
        expires,
    })
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
