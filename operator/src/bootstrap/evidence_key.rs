//! The key that evidence is signed with: its seed in a Secret, stored sealed; the public half in a ConfigMap, with which
//! anyone checks.

use std::collections::BTreeMap;

use evidence::{PrivateKey, PublicKey};
use k8s_openapi::api::core::v1::Secret;
use seal::Keyset;
use zeroize::Zeroizing;

use super::{BootstrapError, Place, entries, sealed, text};
use crate::authority::AuthorityError;

/// Name of both the Secret and the ConfigMap.
pub(super) const NAME: &str = "openteam-evidence-key";
const KIND: &str = "EvidenceKey";
/// Entry that names the key. No key id is spelled so.
const CURRENT: &str = "current";

pub(super) async fn load(place: &Place<'_>, keyset: &Keyset) -> Result<PrivateKey, BootstrapError> {
    let secret = match place.secret(NAME).await? {
        Some(secret) => secret,
        None => create(place, keyset).await?,
    };
    let key = open(place, keyset, &secret)?;
    place.publish(NAME, published(&key.public())).await?;
    Ok(key)
}

async fn create(place: &Place<'_>, keyset: &Keyset) -> Result<Secret, BootstrapError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(AuthorityError::from)?;
    let id = key(seed.as_slice())?.public().id();
    let entry = entries(&id, keyset.seal(&place.binding(KIND, &id), seed.as_slice())?);
    let current = (CURRENT.to_owned(), id.clone().into_bytes());
    match place.create(NAME, entry.into_iter().chain([current])).await? {
        Some(secret) => Ok(secret),
        None => place.secret(NAME).await?.ok_or_else(|| damaged("it came and went")),
    }
}

fn open(place: &Place<'_>, keyset: &Keyset, secret: &Secret) -> Result<PrivateKey, BootstrapError> {
    let id = text(secret, NAME, CURRENT)?;
    let seed = keyset
        .open(&place.binding(KIND, &id), &sealed(secret, NAME, &id)?)
        .map_err(|source| BootstrapError::DoesNotOpen { secret: NAME, source })?;
    let key = key(seed.expose())?;
    if key.public().id() == id { Ok(key) } else { Err(damaged("current is not the id of the key under it")) }
}

fn key(seed: &[u8]) -> Result<PrivateKey, BootstrapError> {
    PrivateKey::from_seed(seed).map_err(|_| damaged("its key is none"))
}

fn damaged(what: &str) -> BootstrapError {
    BootstrapError::Damaged { secret: NAME, what: what.to_owned() }
}

/// The public half, as anybody finds it.
fn published(key: &PublicKey) -> BTreeMap<String, String> {
    let id = key.id();
    [(format!("{id}.pem"), key.to_pem()), (CURRENT.to_owned(), id)].into()
}
