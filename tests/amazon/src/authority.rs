//! A certificate authority for one emulator, and the certificate it serves with.

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::{fmt, path::Path, sync::Arc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{Error as PemError, PemObject},
        },
    },
};

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A name cannot stand in a certificate, or making it failed.
    #[error("could not make a certificate for {names}")]
    Make {
        /// The names asked for, comma-separated.
        names: String,
        /// What the certificate library says.
        #[source]
        source: rcgen::Error,
    },
    /// The clock's date is not one a certificate can hold.
    #[error("could not reckon a validity from today's date")]
    Date(#[source] jiff::Error),
    /// A PEM file is absent, unreadable or not PEM.
    #[error("could not read {what} from {file}")]
    Read {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        file: String,
        /// What reading says.
        #[source]
        source: PemError,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("could not serve with certificate and key")]
    Use(#[source] tokio_rustls::rustls::Error),
}

/// A made-up authority with one certificate it signed, all PEM. Its own key is thrown away: it signs nothing else.
pub struct Authority {
    /// The authority's certificate, for callers to trust.
    pub ca: String,
    /// The served certificate.
    pub certificate: String,
    /// The served certificate's key, PKCS#8.
    pub key: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority and a certificate for these DNS names and IP addresses, valid from yesterday for a year.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn make(names: &[String]) -> Result<Self, AuthorityError> {
        let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
        let from = today.checked_sub(1.day()).map_err(AuthorityError::Date)?;
        let until = today.checked_add(1.year()).map_err(AuthorityError::Date)?;
        Self::signed(names, from, until).map_err(|source| AuthorityError::Make { names: names.join(","), source })
    }

    fn signed(names: &[String], from: Date, until: Date) -> Result<Self, rcgen::Error> {
        let midnight =
            |date: Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "OpenTeam emulated Amazon authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = midnight(from);
        params.not_after = midnight(until);
        let key = KeyPair::generate()?;
        let ca = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);

        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "OpenTeam emulated Amazon");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // OpenSSL's strict check, the default since Python 3.13, refuses a certificate without it.
        params.use_authority_key_identifier_extension = true;
        params.not_before = midnight(from);
        params.not_after = midnight(until);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Self { ca, certificate, key: key.serialize_pem() })
    }
}

/// What the listener shows its callers.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}

impl Identity {
    /// From PEM texts: a certificate chain, the leaf first, and its key.
    ///
    /// # Errors
    /// When either is not PEM, or they do not go together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable("certificate", "text"))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable("key", "text"))?;
        Self::new(chain, key)
    }

    /// From PEM files.
    ///
    /// # Errors
    /// As [`Identity::from_pem`], and when a file cannot be read.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, AuthorityError> {
        let certificate_file = certificate.display().to_string();
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(unreadable("certificate", &certificate_file))?;
        let key_file = key.display().to_string();
        let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable("key", &key_file))?;
        Self::new(chain, key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, AuthorityError> {
        // Named, so that a second provider somewhere in the build cannot make the default ambiguous.
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(AuthorityError::Use)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// For a TLS listener that shows it.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

fn unreadable(what: &'static str, file: &str) -> impl FnOnce(PemError) -> AuthorityError {
    let file = file.to_owned();
    move |source| AuthorityError::Read { what, file, source }
}
