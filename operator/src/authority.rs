//! The internal certificate authority: ECDSA P-256, signs role certificates only.

use audit::{Peer, Role};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

const LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// For clocks that run behind ours.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// The authority could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate or key is not what it should be.
    #[error("certificate authority's key or certificate cannot be used")]
    Certificate(#[from] rcgen::Error),
    /// The certificate is another key's.
    #[error("certificate authority's certificate and private key do not belong together")]
    Mismatch,
    /// A time that no certificate can state.
    #[error("time {0} cannot stand in a certificate")]
    Time(Timestamp),
    /// The operating system gave no randomness.
    #[error("no randomness for a serial number")]
    Randomness(#[from] getrandom::Error),
}

/// Signs.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, valid for 10 years.
    pub(crate) fn generate(now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = named("OpenTeam internal authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        set_validity(&mut parameters, now, now + LIFE)?;
        parameters.serial_number = Some(serial()?);
        let pem = parameters.self_signed(&key)?.pem();
        Self::load(pem, key)
    }

    /// The one with this certificate (PEM) and private key (PKCS #8, DER).
    pub(crate) fn open(pem: String, private_key: &[u8]) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&private_key.into(), &PKCS_ECDSA_P256_SHA256)?;
        Self::load(pem, key)
    }

    fn load(pem: String, key: KeyPair) -> Result<Self, AuthorityError> {
        let (_, document) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| AuthorityError::Mismatch)?;
        let certificate = document.parse_x509().map_err(|_| AuthorityError::Mismatch)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(AuthorityError::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
        Ok(Self { pem, issuer })
    }

    /// Its certificate, PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Its private key, PKCS #8 in DER, to be stored sealed.
    pub(crate) fn private_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().serialize_der())
    }

    /// A certificate for a role's process, followed by the authority's own, both PEM. Everything but the public key
    /// (SubjectPublicKeyInfo, DER) is ours to say.
    pub(crate) fn sign(
        &self,
        peer: &Peer,
        namespace: &str,
        public_key: &[u8],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<String, AuthorityError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = named(&format!("openteam-{}", peer.role));
        parameters.subject_alt_names = vec![SanType::URI(peer.to_string().try_into()?)];
        for name in dns_names(peer, namespace) {
            parameters.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        set_validity(&mut parameters, now, until)?;
        parameters.serial_number = Some(serial()?);
        let certificate = parameters.signed_by(&SubjectPublicKeyInfo::from_der(public_key)?, &self.issuer)?;
        Ok(certificate.pem() + &self.pem)
    }
}

/// Names of the Service that a role answers at, of the recorder's single pods, and for gateway and portal `localhost`: what
/// `kubectl port-forward` makes of them, which no client library and no browser could otherwise check.
fn dns_names(peer: &Peer, namespace: &str) -> Vec<String> {
    let role = peer.role;
    match role {
        Role::Operator => Vec::new(),
        Role::Webhook | Role::Portal | Role::Gateway | Role::Recorder => {
            let service = format!("openteam-{role}");
            let mut names = vec![
                service.clone(),
                format!("{service}.{namespace}"),
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
            ];
            match role {
                Role::Recorder => names.push(format!("{}.{service}-peers.{namespace}.svc", peer.pod)),
                Role::Gateway | Role::Portal => names.push("localhost".to_owned()),
                _ => {}
            }
            names
        }
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(parameters: &mut CertificateParams, now: Timestamp, until: Timestamp) -> Result<(), AuthorityError> {
    // x509-parser and rcgen share their time type, which saves a dependency of our own on it.
    let moment = |time: Timestamp| {
        ASN1Time::from_timestamp(time.as_second())
            .map(|time| time.to_datetime())
            .map_err(|_| AuthorityError::Time(time))
    };
    parameters.not_before = moment(now - BACKDATED)?;
    parameters.not_after = moment(until)?;
    Ok(())
}

/// 127 random bits: positive, as RFC 5280 §4.1.2.2 wants it, and never twice.
fn serial() -> Result<SerialNumber, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}
