//! What the portal may know of the keyset: two keys derived from it, which open nothing.

use seal::Keyset;

use super::{BootstrapError, Place};

/// The Secret that the portal mounts.
pub(super) const NAME: &str = "openteam-portal";
/// What codes, cookies and the names of PortalUsers are made with.
const PORTAL: (&str, &str) = ("portal.key", "openteam.dev/portal/v1");
/// What stands for e-mail addresses in the record, as gateways derive it by themselves.
const DIGEST: (&str, &str) = ("digest.key", super::DIGEST);

/// Makes the Secret where there is none. One that differs is put right by deleting it: everybody signs in anew then.
pub(super) async fn load(place: &Place<'_>, keyset: &Keyset) -> Result<(), BootstrapError> {
    let mut data = Vec::new();
    for (entry, purpose) in [PORTAL, DIGEST] {
        let key = keyset.derive(purpose, keyset.active_id()).ok_or(BootstrapError::NoKey)?;
        data.push((entry.to_owned(), key.to_vec()));
    }
    match place.secret(NAME).await? {
        None => place.create(NAME, data).await.map(drop),
        Some(secret) => {
            let same = |(entry, key): &(String, Vec<u8>)| {
                secret.data.as_ref().and_then(|found| found.get(entry)).is_some_and(|found| found.0 == *key)
            };
            if !data.iter().all(same) {
                let what = "it is not what the keyset gives; delete it, and it is made anew".to_owned();
                return Err(BootstrapError::Damaged { secret: NAME, what });
            }
            Ok(())
        }
    }
}
