//! Which gateway replicas heed what is contained.
//!
//! Each tells in its metrics up to which version of a kind it has seen every change. One that has seen the version that an
//! object has now has seen its annotation. Asked through the apiserver (Kubernetes, `pods/portforward`), as no address of a
//! pod can be reached from everywhere.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, anyhow, bail};
use futures::future::join_all;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde::Serialize;

use crate::cluster;

const GATEWAYS: &str = "app.kubernetes.io/name=openteam,app.kubernetes.io/component=gateway";
/// The port of probes and metrics (`manifests/base/gateway.yaml`).
const METRICS_PORT: u16 = 8080;
/// Long enough for a slow network, short enough for somebody who waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Far more than a gateway tells.
const LONGEST: usize = 4 << 20;

/// The versions of what is contained: by kind, the newest.
pub(crate) type Versions = BTreeMap<&'static str, u64>;

/// One replica of the gateway.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Replica {
    pub(crate) pod: String,
    /// Whether it refuses all that is contained; absent where that could not be learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refuses: Option<bool>,
    /// What it has not seen yet, or why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// Asks every replica.
///
/// # Errors
/// The pods cannot be listed.
pub(crate) async fn ask(client: &Client, namespace: &str, contained: &Versions) -> anyhow::Result<Vec<Replica>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = pods.list(&ListParams::default().labels(GATEWAYS)).await.map_err(|error| cluster::said(&error));
    let listed = listed.context("the gateway's pods cannot be listed")?;
    let replicas = listed.items.iter().filter(|pod| runs(pod)).map(async |pod| {
        let pod = pod.name_any();
        let asked = tokio::time::timeout(PATIENCE, metrics(&pods, &pod)).await;
        let asked = asked.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", PATIENCE.as_secs())));
        let (refuses, why) = match asked {
            Ok(metrics) => judge(&metrics, contained),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Replica { pod, refuses, why }
    });
    Ok(join_all(replicas).await)
}

/// One that does not run serves nobody.
fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

async fn metrics(pods: &Api<Pod>, pod: &str) -> anyhow::Result<String> {
    let forwarded = pods.portforward(pod, &[METRICS_PORT]).await.map_err(|error| cluster::said(&error));
    let mut forward = forwarded.context("it cannot be asked")?;
    let stream = forward.take_stream(METRICS_PORT).context("it cannot be asked")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/metrics").header("host", pod).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    if answer.status() != StatusCode::OK {
        bail!("it answers with {}", answer.status());
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    connection.abort();
    Ok(String::from_utf8(body.map_err(|error| anyhow!(error))?.to_bytes().into())?)
}

/// Whether a replica refuses all that is contained, by what it tells.
fn judge(metrics: &str, contained: &Versions) -> (Option<bool>, Option<String>) {
    let version = |kind: &str| {
        let start = format!("openteam_view_version{{kind=\"{kind}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse::<u64>().ok())
    };
    let mut unseen = Vec::new();
    for (kind, needed) in contained {
        match version(kind) {
            None => return (None, Some("it does not tell what it has seen; is it of an older version?".to_owned())),
            Some(seen) if seen < *needed => unseen.push(*kind),
            Some(_) => {}
        }
    }
    match unseen[..] {
        [] => (Some(true), None),
        _ => (Some(false), Some(format!("it has not seen the newest {}; ask again in a moment", unseen.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "# HELP openteam_view_version The resourceVersion\n\
        openteam_view_version{kind=\"Team\"} 812\n\
        openteam_view_version{kind=\"AmazonConnection\"} 790\n";

    #[test]
    fn a_replica_refuses_what_it_has_seen_and_no_other() {
        for (contained, refuses) in [
            (vec![], Some(true)),
            (vec![("Team", 812)], Some(true)),
            (vec![("Team", 813)], Some(false)),
            (vec![("Team", 800), ("AmazonConnection", 790)], Some(true)),
            (vec![("Team", 800), ("AmazonConnection", 800)], Some(false)),
            (vec![("AgentGrant", 1)], None),
        ] {
            let contained: Versions = contained.into_iter().collect();
            let (said, why) = judge(TOLD, &contained);
            assert_eq!(said, refuses, "{contained:?}");
            assert_eq!(why.is_none(), refuses == Some(true), "{why:?}");
        }
        let contained = Versions::from([("Team", 813), ("AmazonConnection", 800)]);
        assert!(judge(TOLD, &contained).1.unwrap().contains("newest AmazonConnection, Team"));
        assert_eq!(judge("<html>", &Versions::from([("Team", 1)])).0, None);
    }
}
