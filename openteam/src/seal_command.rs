//! `openteam seal`: a credential from standard input, sealed so that only the operator opens it.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Read},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use crds::{
    Consent, CredentialField, CredentialOwner, CredentialOwnerKind, SealedCredential, SealedCredentialSpec, is_name,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use seal::{Binding, MAX_SECRET_LEN, PublicKey, seal_input};
use zeroize::Zeroizing;

use crate::{cluster, manifest};

/// Name of the ConfigMap with the public keys, in OpenTeam's namespace.
const KEYS: &str = "openteam-sealing-keys";
/// Its entry that names the key to seal with.
const CURRENT: &str = "current";

/// What to seal, for what, with which key.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What the credential belongs to: amazonconnection/NAMESPACE/NAME or amazonapplication/NAMESPACE/NAME
    #[arg(long = "for", value_name = "KIND/NAMESPACE/NAME", value_parser = target)]
    target: Target,

    /// Which credential; by default the one that the kind has
    #[arg(long)]
    field: Option<Field>,

    /// Of an authorization-code: the seller that consented, selling_partner_id of Amazon's answer
    #[arg(long)]
    seller: Option<String>,

    /// Of an authorization-code: the redirect URI, where one was sent to Amazon
    #[arg(long, requires = "seller")]
    redirect_uri: Option<String>,

    /// Name of the SealedCredential; by default NAME-FIELD
    #[arg(long)]
    name: Option<String>,

    /// Read the public keys from this file (the YAML of ConfigMap openteam-sealing-keys) instead of the cluster
    #[arg(long)]
    keys: Option<PathBuf>,

    /// Seal with this key only, and fail when the cluster does not have it
    #[arg(long)]
    key_id: Option<String>,

    /// The namespace OpenTeam runs in
    #[arg(long, default_value = "openteam-system")]
    namespace: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Field {
    RefreshToken,
    AuthorizationCode,
    ClientSecret,
}

impl From<Field> for CredentialField {
    fn from(field: Field) -> Self {
        match field {
            Field::RefreshToken => Self::RefreshToken,
            Field::AuthorizationCode => Self::AuthorizationCode,
            Field::ClientSecret => Self::ClientSecret,
        }
    }
}

#[derive(Clone)]
struct Target {
    kind: CredentialOwnerKind,
    namespace: String,
    name: String,
}

fn target(text: &str) -> Result<Target, String> {
    let mut parts = text.split('/');
    let (Some(kind), Some(namespace), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("write KIND/NAMESPACE/NAME, such as amazonconnection/acme/acme-na".to_owned());
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "amazonconnection" | "amazonconnections" | "amzc" => CredentialOwnerKind::AmazonConnection,
        "amazonapplication" | "amazonapplications" | "amza" => CredentialOwnerKind::AmazonApplication,
        other => {
            return Err(format!("{other:?} has no credential; the kinds are amazonconnection and amazonapplication"));
        }
    };
    for part in [namespace, name] {
        if !is_name(part) {
            return Err(format!("{part:?} is not the name of a Kubernetes object"));
        }
    }
    Ok(Target { kind, namespace: namespace.to_owned(), name: name.to_owned() })
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Target { kind, namespace, name } = &arguments.target;
    let field = arguments.field.map_or(kind.field(), CredentialField::from);
    let is_code = *kind == CredentialOwnerKind::AmazonConnection && field == CredentialField::AuthorizationCode;
    if field != kind.field() && !is_code {
        bail!("an {} has a {}, not a {}", kind.as_str(), kind.field().as_str(), field.as_str());
    }
    let consent = consent(&arguments, field)?;
    let secret = read_secret(field)?;
    let key = key(&arguments).await?;
    let binding = Binding { namespace, kind: kind.as_str(), name, field: field.as_str() };
    let sealed_at = u64::try_from(Timestamp::now().as_millisecond()).context("the clock is before 1970")?;
    let ciphertext = seal_input(&key, &binding, sealed_at, secret.trim().as_bytes())?;
    let suffix = match field {
        CredentialField::RefreshToken => "refresh-token",
        CredentialField::AuthorizationCode => "authorization-code",
        CredentialField::ClientSecret => "client-secret",
    };
    let object_name = arguments.name.clone().unwrap_or_else(|| format!("{name}-{suffix}"));
    let mut object = SealedCredential::new(
        &object_name,
        SealedCredentialSpec { r#for: CredentialOwner { kind: *kind, name: name.clone() }, field, consent, ciphertext },
    );
    object.metadata.namespace = Some(namespace.clone());
    manifest::print(&object)
}

/// What Amazon told with a code, which is of no use without it.
fn consent(arguments: &Arguments, field: CredentialField) -> anyhow::Result<Option<Consent>> {
    let is_code = field == CredentialField::AuthorizationCode;
    match &arguments.seller {
        Some(_) if !is_code => bail!("--seller goes with --field authorization-code only"),
        None if is_code => bail!("an authorization-code needs --seller, the selling_partner_id of Amazon's answer"),
        seller => Ok(seller
            .clone()
            .map(|seller| Consent { selling_partner_id: seller, redirect_uri: arguments.redirect_uri.clone() })),
    }
}

/// The credential from standard input, without the line end that `echo` adds.
fn read_secret(field: CredentialField) -> anyhow::Result<Zeroizing<String>> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("Paste the {} and end with Ctrl-D:", field.as_str());
    }
    // All at once, so that no grown buffer leaves a copy behind.
    let mut secret = Zeroizing::new(String::with_capacity(MAX_SECRET_LEN + 2));
    stdin.by_ref().take(MAX_SECRET_LEN as u64 + 2).read_to_string(&mut secret).context("standard input is not text")?;
    match secret.trim().len() {
        0 => bail!("standard input is empty: give the {} on it", field.as_str()),
        length if length > MAX_SECRET_LEN => bail!("standard input is longer than {MAX_SECRET_LEN} bytes"),
        _ => Ok(secret),
    }
}

async fn key(arguments: &Arguments) -> anyhow::Result<PublicKey> {
    let (map, from) = match &arguments.keys {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("keys {} cannot be read", path.display()))?;
            let map: ConfigMap = serde_yaml::from_str(&text)
                .with_context(|| format!("{} is not the YAML of a ConfigMap", path.display()))?;
            (map, path.display().to_string())
        }
        None => {
            let client = cluster::client().await.context("the public keys cannot be read; --keys FILE gives them")?;
            let api: Api<ConfigMap> = Api::namespaced(client, &arguments.namespace);
            let from = format!("ConfigMap {}/{KEYS}", arguments.namespace);
            let map = cluster::read(&api, KEYS)
                .await
                .with_context(|| format!("{from} cannot be read: is OpenTeam running?"))?;
            (map, from)
        }
    };
    choose(&map.data.unwrap_or_default(), arguments.key_id.as_deref()).with_context(|| from)
}

/// The pinned key, or the one that the ConfigMap says to seal with.
fn choose(keys: &BTreeMap<String, String>, pinned: Option<&str>) -> anyhow::Result<PublicKey> {
    let id = match pinned {
        Some(id) => id,
        None => keys.get(CURRENT).map(String::as_str).context("it does not say which key to seal with")?,
    };
    let text = keys.get(id).with_context(|| format!("it has no key {id}"))?;
    PublicKey::from_entry(id, text).with_context(|| format!("key {id} cannot be used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_key_is_taken_unless_one_is_pinned() {
        let (old, new) = (seal::PrivateKey::generate(), seal::PrivateKey::generate());
        let mut keys: BTreeMap<String, String> =
            [&old, &new].iter().map(|key| (key.id().to_string(), key.public().to_string())).collect();
        assert!(choose(&keys, None).is_err());
        keys.insert(CURRENT.to_owned(), new.id().to_string());
        assert_eq!(choose(&keys, None).unwrap().id(), new.id());
        assert_eq!(choose(&keys, Some(&old.id().to_string())).unwrap().id(), old.id());
        assert!(choose(&keys, Some("0000000000000000")).is_err());
        keys.insert(old.id().to_string(), new.public().to_string());
        assert!(choose(&keys, Some(&old.id().to_string())).is_err(), "an id that is not its key's");
    }

    #[test]
    fn targets_are_kind_namespace_name() {
        assert!(target("amzc/acme/acme-na").is_ok());
        for text in ["", "acme-na", "amzc/acme", "team/acme/x", "amzc/acme/x/y", "amzc//x", "amzc/Acme/x", "amzc/a/"] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
