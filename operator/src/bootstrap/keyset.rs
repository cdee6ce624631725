//! The keyset, and with it the cluster's id.

use crds::StoredCredential;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, api::ListParams};
use seal::Keyset;
use secrecy::{ExposeSecret, SecretString};

use super::{BootstrapError, KeysetSource, Place, api, authority, evidence_key, sealing_keys};

const KEY: &str = "keyset.json";

/// Reads it; makes it in a Secret when nothing was ever sealed here.
pub(super) async fn load(place: &Place<'_>, source: &KeysetSource) -> Result<Keyset, BootstrapError> {
    let name = match source {
        KeysetSource::File(path) => {
            let json = tokio::fs::read_to_string(path)
                .await
                .map(SecretString::from)
                .map_err(|source| BootstrapError::File { path: path.clone(), source })?;
            return parse(source, &json);
        }
        KeysetSource::Secret(name) => name,
    };
    if let Some(secret) = place.secret(name).await? {
        return parse(source, &json(&secret));
    }
    if let Some(evidence) = evidence(place).await? {
        return Err(BootstrapError::KeysetLost { place: source.to_string(), evidence });
    }
    let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let keyset = Keyset::generate(now_ms);
    let document = keyset.to_json().expose_secret().as_bytes().to_vec();
    if place.create(name, [(KEY.to_owned(), document)]).await?.is_some() {
        tracing::warn!(secret = name, "a new keyset was made: back it up, nothing stored opens without it");
        return Ok(keyset);
    }
    match place.secret(name).await? {
        Some(secret) => parse(source, &json(&secret)),
        None => Err(BootstrapError::KeysetLost { place: source.to_string(), evidence: "a trace of it".to_owned() }),
    }
}

fn json(secret: &Secret) -> SecretString {
    let value = secret.data.as_ref().and_then(|data| data.get(KEY));
    // What is no UTF-8 is no JSON either, and is told as such.
    value.and_then(|value| std::str::from_utf8(&value.0).ok()).unwrap_or_default().into()
}

fn parse(source: &KeysetSource, json: &SecretString) -> Result<Keyset, BootstrapError> {
    Keyset::parse(json.expose_secret())
        .map_err(|error| BootstrapError::Keyset { place: source.to_string(), source: error })
}

/// Something that was sealed under a keyset, if anything was.
async fn evidence(place: &Place<'_>) -> Result<Option<String>, BootstrapError> {
    let all: Api<StoredCredential> = Api::all(place.client.clone());
    // Metadata only: an object that does not parse is evidence as well.
    let stored =
        all.list_metadata(&ListParams::default().limit(1)).await.map_err(api("StoredCredentials".to_owned()))?;
    if let Some(one) = stored.items.first() {
        return Ok(Some(format!("StoredCredential {}/{}", one.namespace().unwrap_or_default(), one.name_any())));
    }
    for name in [authority::SECRET, sealing_keys::NAME, evidence_key::NAME] {
        if place.secret(name).await?.is_some() {
            return Ok(Some(format!("Secret {name}")));
        }
    }
    Ok(None)
}
