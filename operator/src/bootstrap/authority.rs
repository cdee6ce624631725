//! The certificate authority, its private key stored sealed.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use seal::Keyset;

use super::{BootstrapError, Place, entries, sealed, text};
use crate::authority::Authority;

pub(super) const SECRET: &str = "openteam-ca";
const KIND: &str = "CertificateAuthority";
const CERTIFICATE: &str = "ca.crt";
const PRIVATE_KEY: &str = "private-key";

pub(super) async fn load(place: &Place<'_>, keyset: &Keyset) -> Result<Authority, BootstrapError> {
    if let Some(secret) = place.secret(SECRET).await? {
        return open(place, keyset, &secret);
    }
    let authority = Authority::generate(Timestamp::now())?;
    let private_key = keyset.seal(&place.binding(KIND, SECRET), &authority.private_key())?;
    let certificate = (CERTIFICATE.to_owned(), authority.pem().as_bytes().to_vec());
    let data = entries(PRIVATE_KEY, private_key).into_iter().chain([certificate]);
    match place.create(SECRET, data).await? {
        Some(_) => Ok(authority),
        None => {
            let gone = || BootstrapError::Damaged { secret: SECRET, what: "it came and went".to_owned() };
            open(place, keyset, &place.secret(SECRET).await?.ok_or_else(gone)?)
        }
    }
}

fn open(place: &Place<'_>, keyset: &Keyset, secret: &Secret) -> Result<Authority, BootstrapError> {
    let private_key = keyset
        .open(&place.binding(KIND, SECRET), &sealed(secret, SECRET, PRIVATE_KEY)?)
        .map_err(|source| BootstrapError::DoesNotOpen { secret: SECRET, source })?;
    Ok(Authority::open(text(secret, SECRET, CERTIFICATE)?, private_key.expose())?)
}
