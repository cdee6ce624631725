//! The settings of mail.

use std::collections::BTreeMap;

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{Fault, Setting};
use crate::mail::EmailAddress;

const ADDRESS: &str = "an e-mail address";

pub(super) const AMAZON_CONTACT: Setting = Setting {
    key: "amazonContact",
    takes: ADDRESS,
    does: "where Amazon wants to be told of incidents, as your Solution Provider Portal says; the notice is drafted for it and \
           sent by you, never by OpenTeam",
    set: |settings, value| address(value).map(|it| settings.amazon_contact = Some(it)),
    told: |settings, _| text(settings.amazon_contact.as_ref()),
};

pub(super) const INCIDENT_CONTACT: Setting = Setting {
    key: "incidentContact",
    takes: ADDRESS,
    does: "who is mailed about every incident, and gets the draft of the notice to Amazon; the contacts of a Team are mailed \
           about their own objects only",
    set: |settings, value| address(value).map(|it| settings.incident_contact = Some(it)),
    told: |settings, _| text(settings.incident_contact.as_ref()),
};

pub(super) const SMTP_CA_BUNDLE: Setting = Setting {
    key: "smtpCaBundle",
    takes: "certificates in PEM",
    does: "the only authorities that may have signed the SMTP server's certificate; without it those that the image trusts",
    set: |settings, value| authorities(value).map(|_| settings.smtp_ca_bundle = Some(value.to_owned())),
    told: |settings, _| match settings.smtp_ca_bundle.as_deref().map(authorities) {
        Some(Ok(1)) => "1 certificate".to_owned(),
        Some(Ok(many)) => format!("{many} certificates"),
        _ => String::new(),
    },
};

pub(super) const SMTP_FROM: Setting = Setting {
    key: "smtpFrom",
    takes: ADDRESS,
    does: "the address that mail comes from",
    set: |settings, value| address(value).map(|it| settings.smtp_from = Some(it)),
    told: |settings, _| text(settings.smtp_from.as_ref()),
};

pub(super) const SMTP_URL: Setting = Setting {
    key: "smtpUrl",
    takes: "smtps://HOST or smtp://HOST, with :PORT if it is not 465 or 587",
    does: "the server that mail is given to, over TLS from the first byte (`smtps`) or by STARTTLS (`smtp`), never without; \
           user name and password are in Secret openteam-smtp; without it nobody is mailed",
    set: |settings, value| value.parse().map(|it| settings.smtp_url = Some(it)).map_err(str::to_owned),
    told: |settings, _| text(settings.smtp_url.as_ref()),
};

fn address(value: &str) -> Result<EmailAddress, String> {
    value.parse().map_err(|error: crate::mail::NotAnAddress| error.to_string())
}

fn authorities(pem: &str) -> Result<usize, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let trusted =
        |certificate: &CertificateDer<'_>| rustls::RootCertStore::empty().add(certificate.clone().into_owned());
    match all {
        Ok(all) if !all.is_empty() && all.iter().all(|one| trusted(one).is_ok()) => Ok(all.len()),
        Ok(all) if all.is_empty() => Err("there is no certificate in it".to_owned()),
        _ => Err("there is something in it that is no certificate".to_owned()),
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// What is missing where only one of the two is given that are needed together.
pub(super) fn half_set(values: &BTreeMap<String, String>) -> Option<Fault> {
    let missing = |missing: &Setting, given: &str| Fault::Invalid {
        key: missing.key,
        why: format!("it is not set, and {given} is"),
        takes: missing.takes,
    };
    match (values.contains_key(SMTP_URL.key), values.contains_key(SMTP_FROM.key)) {
        (true, false) => Some(missing(&SMTP_FROM, SMTP_URL.key)),
        (false, true) => Some(missing(&SMTP_URL, SMTP_FROM.key)),
        _ => None,
    }
}
