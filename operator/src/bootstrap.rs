//! What must exist before anything else works: keyset, certificate authority, sealing keys, the key of evidence, the portal's
//! keys. Made at the first start, and never again: what has been lost must be restored, or nothing that was sealed under it opens any more.

mod authority;
mod checkpoints;
mod evidence_key;
mod keyset;
mod portal;
mod sealing_keys;

use std::{collections::BTreeMap, fmt, path::PathBuf};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use seal::{Keyset, PrivateKey, Sealed, StoredBinding};

use crate::{
    authority::{Authority, AuthorityError},
    error::{Cause, cause},
    status::MANAGER,
};

/// What the key is derived by that makes digests of e-mail addresses in the record, by gateways likewise.
const DIGEST: &str = "openteam.dev/audit-digest/v1";

/// The key of digests in events.
pub(crate) fn digests(keyset: &Keyset) -> Result<audit::DigestKey, BootstrapError> {
    let key = keyset.derive(DIGEST, keyset.active_id()).ok_or(BootstrapError::NoKey)?;
    Ok(audit::DigestKey::new(*key))
}

/// Where the keyset is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysetSource {
    /// A Secret of the system namespace, made when there is none.
    Secret(String),
    /// A file, never made.
    File(PathBuf),
}

impl fmt::Display for KeysetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => write!(f, "Secret {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// Why the operator cannot begin. Nothing was changed that existed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The apiserver refused or did not answer.
    #[error("{what} could not be read or written")]
    Api {
        /// The object.
        what: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The keyset's file cannot be read.
    #[error("keyset file {path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The keyset is no keyset.
    #[error("keyset in {place} cannot be used")]
    Keyset {
        /// Secret or file.
        place: String,
        /// Why.
        #[source]
        source: seal::KeysetError,
    },
    /// There is no keyset, but something sealed under one.
    #[error(
        "the keyset was lost: {place} does not exist, but {evidence} does, which only the lost keyset opens. Restore \
         it from your backup; a new one would make every stored credential unreadable for good"
    )]
    KeysetLost {
        /// Where it should be.
        place: String,
        /// What is sealed under it.
        evidence: String,
    },
    /// A Secret of ours lacks a key or holds something else in it.
    #[error("Secret {secret} was changed: {what}. Restore it from your backup")]
    Damaged {
        /// The Secret.
        secret: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A private key does not open under the keyset.
    #[error("Secret {secret} does not open under this keyset: Secret and keyset are not of the same backup")]
    DoesNotOpen {
        /// The Secret.
        secret: &'static str,
        /// The reason, which says nothing on purpose.
        #[source]
        source: seal::OpenError,
    },
    /// The keyset's active key derives nothing, which is a bug.
    #[error("keyset derives no key")]
    NoKey,
    /// A private key cannot be sealed.
    #[error("private key cannot be sealed")]
    Seal(#[from] seal::SealError),
    /// The authority cannot be made or used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// What the operator works with.
pub(crate) struct Foundation {
    pub(crate) keyset: Keyset,
    pub(crate) authority: Authority,
    pub(crate) sealing_keys: Vec<PrivateKey>,
    pub(crate) evidence_key: evidence::PrivateKey,
}

/// Reads everything, and makes what a first start lacks.
pub(crate) async fn bootstrap(
    client: &Client,
    namespace: &str,
    source: &KeysetSource,
) -> Result<Foundation, BootstrapError> {
    let place = Place { secrets: Api::namespaced(client.clone(), namespace), client: client.clone(), namespace };
    let keyset = keyset::load(&place, source).await?;
    let authority = authority::load(&place, &keyset).await?;
    let sealing_keys = sealing_keys::load(&place, &keyset).await?;
    let evidence_key = evidence_key::load(&place, &keyset).await?;
    portal::load(&place, &keyset).await?;
    checkpoints::load(&place, &keyset).await?;
    tracing::info!(cluster = %keyset.cluster_id(), keyset = %source, sealing_keys = sealing_keys.len(), "keys are ready");
    Ok(Foundation { keyset, authority, sealing_keys, evidence_key })
}

/// The system namespace and its Secrets.
struct Place<'a> {
    client: Client,
    namespace: &'a str,
    secrets: Api<Secret>,
}

impl Place<'_> {
    async fn secret(&self, name: &str) -> Result<Option<Secret>, BootstrapError> {
        self.secrets.get_opt(name).await.map_err(api(format!("Secret {}/{name}", self.namespace)))
    }

    /// Creates a Secret. `None` where another process was faster: read that one then.
    async fn create(
        &self,
        name: &str,
        data: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Option<Secret>, BootstrapError> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace.to_owned()),
                labels: Some([("app.kubernetes.io/part-of".to_owned(), "openteam".to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
            ..Secret::default()
        };
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(api(format!("Secret {}/{name}", self.namespace))(error)),
        }
    }

    /// Publishes the public halves of keys. Repairs what someone changed: a foreign key there would be believed.
    async fn publish(&self, name: &str, data: BTreeMap<String, String>) -> Result<(), BootstrapError> {
        let wanted = public(self.namespace, name, data);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        let what = || format!("ConfigMap {}/{name}", self.namespace);
        let found = maps.get_opt(name).await.map_err(api(what()))?;
        if found.as_ref().is_some_and(|found| found.data == wanted.data) {
            return Ok(());
        }
        // What is in it and not ours goes too, which applying alone would leave.
        if let Some(found) = found {
            let replacement = ConfigMap { data: wanted.data, binary_data: None, ..found };
            return maps.replace(name, &PostParams::default(), &replacement).await.map(drop).map_err(api(what()));
        }
        let parameters = PatchParams::apply(MANAGER).force();
        maps.patch(name, &parameters, &Patch::Apply(&wanted)).await.map(drop).map_err(api(what()))
    }

    /// What a private key of ours is bound to. Written once, so there is one generation.
    fn binding<'a>(&'a self, kind: &'a str, name: &'a str) -> StoredBinding<'a> {
        StoredBinding { namespace: self.namespace, kind, name, field: "PrivateKey", generation: 1 }
    }
}

fn public(namespace: &str, name: &str, data: BTreeMap<String, String>) -> ConfigMap {
    let (name, namespace) = (Some(name.to_owned()), Some(namespace.to_owned()));
    ConfigMap {
        metadata: ObjectMeta { name, namespace, ..ObjectMeta::default() },
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn api(what: String) -> impl FnOnce(kube::Error) -> BootstrapError {
    move |error| BootstrapError::Api { what, source: cause(error) }
}

/// A text in a Secret of ours.
fn text(secret: &Secret, name: &'static str, key: &str) -> Result<String, BootstrapError> {
    let damaged = |what: String| BootstrapError::Damaged { secret: name, what };
    let value = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| damaged(format!("{key} is gone")))?;
    String::from_utf8(value.0.clone()).map_err(|_| damaged(format!("{key} is not text")))
}

/// A sealed value in a Secret of ours: keys `PREFIX.data` and `PREFIX.wrap`.
fn sealed(secret: &Secret, name: &'static str, prefix: &str) -> Result<Sealed, BootstrapError> {
    Ok(Sealed {
        data: text(secret, name, &format!("{prefix}.data"))?,
        wrap: text(secret, name, &format!("{prefix}.wrap"))?,
    })
}

/// The same, to be written.
fn entries(prefix: &str, sealed: Sealed) -> [(String, Vec<u8>); 2] {
    [(format!("{prefix}.data"), sealed.data.into_bytes()), (format!("{prefix}.wrap"), sealed.wrap.into_bytes())]
}

#[cfg(test)]
mod tests;
