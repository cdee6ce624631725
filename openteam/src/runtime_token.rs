//! `openteam runtime-token`: issue a RuntimeToken without the portal.
//!
//! Until admission policies say who may create RuntimeTokens, whoever may create them may name any member as issuer.

use std::collections::BTreeSet;

use access::{RuntimeTokenText, hash};
use anyhow::Context;
use clap::Args;
use crds::{
    Access, AmazonConnection, LocalReference, NamespacedReference, Operations, RuntimeToken, RuntimeTokenSpec, Scope,
    duration,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::{cluster, manifest};

/// What the token is for.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Namespace and name of the RuntimeToken
    #[arg(value_name = "NAMESPACE/NAME")]
    object: NamespacedReference,

    /// The Team, in the same namespace
    #[arg(long)]
    team: String,

    /// Address of the Owner or Member of the Team who issues it; it dies with their membership
    #[arg(long, value_name = "EMAIL")]
    issued_by: String,

    /// AmazonConnections it opens; may be given several times
    #[arg(long = "connection", value_name = "NAME", required = true)]
    connections: Vec<String>,

    /// Marketplace ids it opens, such as ATVPDKIKX0DER; may be given several times. Without it, those that the
    /// connections have in the cluster now
    #[arg(long = "marketplace", value_name = "ID")]
    marketplaces: Vec<String>,

    /// Operations or classes it allows; without it, what only reads and gives no personal or financial data
    #[arg(long = "allow", value_name = "OPERATION")]
    allow: Vec<String>,

    /// Operations or classes it does not allow, even where --allow names them
    #[arg(long = "deny", value_name = "OPERATION")]
    deny: Vec<String>,

    /// Credential: its holder may also have Amazon's own access token, which nobody can take back for up to an hour; the
    /// connection must say so too
    #[arg(long, value_name = "ACCESS", value_parser = access, default_value = "Proxy")]
    access: Access,

    /// How long it lives, such as 1h or 30m; at most the Team's runtimeTokens.maxTtl
    #[arg(long, default_value = "1h", value_parser = ttl)]
    ttl: std::time::Duration,
}

/// A life that a Team can allow at all.
fn ttl(text: &str) -> Result<std::time::Duration, String> {
    let ttl = duration::parse(text).map_err(|error| error.to_string())?;
    if ttl.is_zero() || ttl > duration::LONGEST_RUNTIME_TOKEN {
        return Err("it must be more than 0s and at most 2160h (90 days)".to_owned());
    }
    Ok(ttl)
}

fn access(text: &str) -> Result<Access, String> {
    match text {
        "Proxy" => Ok(Access::Proxy),
        "Credential" => Ok(Access::Credential),
        _ => Err("it must be Proxy or Credential".to_owned()),
    }
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let marketplace_ids = match arguments.marketplaces.as_slice() {
        [] => marketplaces(arguments).await?,
        named => named.to_vec(),
    };
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut_slice()).context("the system gives no randomness")?;
    let text = RuntimeTokenText::new(&arguments.object, &random);
    let ttl = SignedDuration::try_from(arguments.ttl).context("--ttl is too long")?;
    let expires_at = Timestamp::now().checked_add(ttl).context("--ttl is too long")?;
    let mut token = RuntimeToken::new(
        &arguments.object.name,
        RuntimeTokenSpec {
            team_ref: LocalReference::to(&arguments.team),
            scope: Scope {
                connections: arguments.connections.clone(),
                marketplace_ids,
                operations: operations(arguments),
                access: arguments.access,
            },
            expires_at: Time(expires_at),
            issued_by: arguments.issued_by.clone(),
            hash: hash(&text),
        },
    );
    token.metadata.namespace = Some(arguments.object.namespace.clone());
    manifest::print(&token)?;
    eprintln!("{}", text.secret().expose_secret());
    Ok(())
}

/// What is allowed besides the default; denying alone takes from the default.
fn operations(Arguments { allow, deny, .. }: &Arguments) -> Option<Operations> {
    let allow = match (allow.is_empty(), deny.is_empty()) {
        (true, true) => return None,
        (true, false) => vec!["read".to_owned()],
        (false, _) => allow.clone(),
    };
    Some(Operations { allow, deny: deny.clone() })
}

/// The marketplaces of the named connections, so that the manifest states them.
async fn marketplaces(arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    let client = cluster::client().await.context("name marketplaces by --marketplace")?;
    let namespace = &arguments.object.namespace;
    let api: Api<AmazonConnection> = Api::namespaced(client, namespace);
    let mut all = BTreeSet::new();
    for name in &arguments.connections {
        let connection = cluster::read(&api, name).await.with_context(|| {
            format!("AmazonConnection {namespace}/{name} cannot be read; name marketplaces by --marketplace")
        })?;
        all.extend(connection.spec.marketplace_ids);
    }
    Ok(all.into_iter().collect())
}
