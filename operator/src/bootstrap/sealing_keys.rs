//! The keys that inputs are sealed for: private halves in a Secret, stored sealed; public halves in a ConfigMap, from
//! which anyone who seals takes them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use seal::{KeyId, Keyset, PrivateKey};

use super::{BootstrapError, Place, entries, sealed, text};

/// Name of both the Secret and the ConfigMap.
pub(super) const NAME: &str = "openteam-sealing-keys";
const KIND: &str = "SealingKey";
/// Entry that names the key to seal with. No key id is spelled so.
const CURRENT: &str = "current";

pub(super) async fn load(place: &Place<'_>, keyset: &Keyset) -> Result<Vec<PrivateKey>, BootstrapError> {
    let secret = match place.secret(NAME).await? {
        Some(secret) => secret,
        None => create(place, keyset).await?,
    };
    let keys = open(place, keyset, &secret)?;
    place.publish(NAME, published(&keys, &text(&secret, NAME, CURRENT)?)).await?;
    Ok(keys)
}

async fn create(place: &Place<'_>, keyset: &Keyset) -> Result<Secret, BootstrapError> {
    let key = PrivateKey::generate();
    let id = key.id().to_string();
    let private_key = keyset.seal(&place.binding(KIND, &id), key.to_bytes().as_slice())?;
    let current = (CURRENT.to_owned(), id.clone().into_bytes());
    match place.create(NAME, entries(&id, private_key).into_iter().chain([current])).await? {
        Some(secret) => Ok(secret),
        None => {
            let gone = || BootstrapError::Damaged { secret: NAME, what: "it came and went".to_owned() };
            place.secret(NAME).await?.ok_or_else(gone)
        }
    }
}

/// All private keys. One that does not open stops everything: an input sealed for it would be refused for good.
fn open(place: &Place<'_>, keyset: &Keyset, secret: &Secret) -> Result<Vec<PrivateKey>, BootstrapError> {
    let damaged = |what: String| BootstrapError::Damaged { secret: NAME, what };
    let ids = secret.data.iter().flat_map(|data| data.keys()).filter_map(|key| key.strip_suffix(".data"));
    let keys = ids
        .map(|id| {
            let bytes = keyset
                .open(&place.binding(KIND, id), &sealed(secret, NAME, id)?)
                .map_err(|source| BootstrapError::DoesNotOpen { secret: NAME, source })?;
            let key = PrivateKey::from_bytes(bytes.expose()).map_err(|error| damaged(error.to_string()))?;
            match id.parse::<KeyId>() {
                Ok(id) if id == key.id() => Ok(key),
                _ => Err(damaged(format!("{id} is not the id of the key under it"))),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let current = text(secret, NAME, CURRENT)?;
    if keys.iter().any(|key| key.id().to_string() == current) {
        Ok(keys)
    } else {
        Err(damaged(format!("{CURRENT} names a key that is not there")))
    }
}

/// The public halves, as anybody finds them.
pub(super) fn published(keys: &[PrivateKey], current: &str) -> BTreeMap<String, String> {
    let entries = keys.iter().map(|key| (key.id().to_string(), key.public().to_string()));
    entries.chain([(CURRENT.to_owned(), current.to_owned())]).collect()
}
