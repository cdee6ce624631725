//! How much memory a gateway needs when there are very many connections.

use anyhow::Context;
use crds::{
    AmazonConnection, AmazonConnectionSpec, CredentialField, CredentialOwner, CredentialOwnerKind, Scope,
    StoredCredential, StoredCredentialSpec, stored_credential_name,
};
use end_to_end::{CA, House, Tenant, US, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{Report, process};

const CONNECTIONS: usize = 10_000;
const AT_A_TIME: usize = 32;
/// As long as what the operator writes for a refresh token, in base64.
const SEALED: usize = 600;

/// Fills the cluster and waits until the gateway has it all.
pub(crate) fn measure(house: &House, tenant: &Tenant<'_>, pod: &str, report: &mut Report) -> anyhow::Result<()> {
    // Nobody asks Amazon about these.
    house.stop("openteam-operator-0");
    eprintln!("making {CONNECTIONS} connections");
    let example: AmazonConnection = house.read(&tenant.name, &tenant.connection);
    house.block_on(fill(house.client(), &example))?;
    // The last one is granted to the agent, which is told of it only when it is in the index.
    tenant.grant("agent", &Scope { connections: vec![name(CONNECTIONS - 1)], ..tenant.scope() });
    let (gateway, token) = (house.gateway(0), tenant.agent_token());
    eventually("the gateway has seen all", || {
        gateway.call(&token).get("/openteam/v1/connections").text.contains(&name(CONNECTIONS - 1)).then_some(())
    });
    let pid = house.pid(pod).context("the gateway is gone")?;
    report.figure("index_connections", CONNECTIONS as f64);
    report.at_most("index_rss_mib", process::resident_mib(pid)?, 100.0);
    report.figure("index_peak_rss_mib", process::peak_mib(pid)?);
    Ok(())
}

fn name(number: usize) -> String {
    format!("seller-{number:05}")
}

async fn fill(client: &Client, example: &AmazonConnection) -> anyhow::Result<()> {
    let all_but_one = stream::iter(0..CONNECTIONS - 1).map(|number| one(client, example, number));
    all_but_one.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
    one(client, example, CONNECTIONS - 1).await
}

async fn one(client: &Client, example: &AmazonConnection, number: usize) -> anyhow::Result<()> {
    let name = name(number);
    let namespace = example.metadata.namespace.as_deref().unwrap_or_default();
    let spec = AmazonConnectionSpec {
        team_ref: example.spec.team_ref.clone(),
        application_ref: example.spec.application_ref.clone(),
        marketplace_ids: vec![US.to_owned(), CA.to_owned()],
        selling_partner_id: Some(format!("A{number:012}")),
        ..AmazonConnectionSpec::default()
    };
    let connections: Api<AmazonConnection> = Api::namespaced(client.clone(), namespace);
    connections.create(&PostParams::default(), &AmazonConnection::new(&name, spec)).await?;
    let patch = json!({ "status": example.status });
    connections.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;

    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: name.clone() };
    let stored = stored_credential_name(&owner, CredentialField::RefreshToken);
    let at = MicroTime(Timestamp::now());
    let spec = StoredCredentialSpec {
        field: CredentialField::RefreshToken,
        generation: 1,
        sealed_at: at.clone(),
        not_before: at,
        data: "x".repeat(SEALED),
        wrap: "x".repeat(SEALED / 4),
        retired: false,
        destroyed: false,
        previous: None,
        rotation: None,
        told: None,
        selling_partner_id: None,
        r#for: owner,
    };
    let credentials: Api<StoredCredential> = Api::namespaced(client.clone(), namespace);
    credentials.create(&PostParams::default(), &StoredCredential::new(&stored, spec)).await?;
    Ok(())
}
