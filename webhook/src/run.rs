//! Starting the webhook, and ending it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use audit::{Lifecycle, Role};
use process::{
    certificate::RoleCertificate,
    policies::Policies,
    probes, record, serve,
    start::{StartError, start},
    view::View,
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Arguments,
    claims::Claims,
    door::Door,
    metrics::Counts,
    router::{Webhook, router},
};

/// How long SIGTERM waits for the record's last events.
const RECORD_DRAIN: Duration = Duration::from_secs(5);
/// How long what was told just before the end may take to be seen.
const LAST_CLAIMS: Duration = Duration::from_secs(1);

/// Why the webhook ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An address cannot be listened on.
    #[error("{0} cannot be listened on")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A task that must run for as long as the process ended.
    #[error("a part of the webhook ended: {0}")]
    Ended(&'static str),
}

/// Runs the webhook until SIGTERM.
///
/// # Errors
/// [`RunError`]
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    let process = start(Role::Webhook, &arguments.common).await?;
    let listener =
        TcpListener::bind(arguments.listen).await.map_err(|error| RunError::Listen(arguments.listen, error))?;
    let mut watches = JoinSet::new();
    let view = View::start(&process.client, &mut watches);
    process.metrics.collect(view.clone());
    let limit = process.settings.staleness_limit;

    let policies = Arc::new(Policies::new(&process.metrics));
    // Filled when there is a certificate, without which nothing is Ready.
    let serving: Arc<ArcSwapOption<(Arc<Webhook>, Arc<RoleCertificate>)>> = Arc::default();
    let ready = {
        let (view, shutdown) = (view.clone(), process.shutdown.clone());
        let (policies, serving) = (policies.clone(), serving.clone());
        Arc::new(move || {
            // First of all at the end, so that whoever balances load looks elsewhere.
            if shutdown.is_cancelled() {
                return Err("shutting down".to_owned());
            }
            view.current(limit).map_err(|stale| stale.to_string())?;
            policies.standing()?;
            match &*serving.load() {
                Some(parts) => parts.0.door.ready(&parts.1),
                None => Err("no role certificate yet".to_owned()),
            }
        })
    };
    let probes = probes::serve(arguments.common.probes, ready, process.metrics.clone());
    tokio::pin!(probes);

    // Probes answer while the certificate is waited for: the kubelet must see a live process.
    let certificate = tokio::select! {
        certificate = RoleCertificate::obtain(process.client.clone(), Role::Webhook, &process.metrics) => certificate,
        ended = &mut probes => return Err(ended_probes(arguments.common.probes, ended)),
        () = process.shutdown.cancelled() => return Ok(()),
    };
    let (pod, namespace, address) = (process.pod.clone(), &process.namespace, &arguments.recorder);
    let transport = record::https(namespace, address, certificate.clone());
    let (recorder, delivery) = record::connect(Role::Webhook, pod, namespace, address, transport, &process.metrics);
    let delivery = tokio::spawn(delivery.run());
    let webhook = Arc::new(Webhook {
        client: process.client.clone(),
        namespace: process.namespace.clone(),
        door: Door::default(),
        view,
        staleness_limit: limit,
        allow_endpoints: arguments.allow_endpoints,
        sealing_keys: ArcSwapOption::empty(),
        claims: Claims::default(),
        recorder: recorder.clone(),
        counts: Counts::new(&process.metrics),
        places: Webhook::places(),
    });
    serving.store(Some(Arc::new((webhook.clone(), certificate.clone()))));
    recorder.record_later(Lifecycle::Started);
    let serve = serve::serve(
        listener,
        {
            let certificate = certificate.clone();
            // The apiserver has no certificate of ours.
            move || certificate.server()
        },
        router(webhook.clone()),
        process.shutdown.clone(),
    );
    let ended = tokio::select! {
        () = serve => Ok(()),
        ended = &mut probes => Err(ended_probes(arguments.common.probes, ended)),
        _ = watches.join_next() => Err(RunError::Ended("a watch")),
        () = certificate.clone().keep_renewed() => Err(RunError::Ended("the renewal of the certificate")),
        () = webhook.door.watch(&process.client, &certificate) => Err(RunError::Ended("the look at the configuration")),
        () = policies.watch(&process.client) => Err(RunError::Ended("the look at the policies")),
        () = webhook.claims.follow(&webhook.view, &recorder, &webhook.counts) => {
            Err(RunError::Ended("the record of what happened"))
        }
    };
    tokio::time::sleep(LAST_CLAIMS).await;
    webhook.claims.record(&webhook.view, &recorder, &webhook.counts);
    recorder.record_later(Lifecycle::Stopped);
    if let Err(lost) = recorder.drain(RECORD_DRAIN).await {
        tracing::error!(%lost, "events were not delivered before the end");
    }
    delivery.abort();
    ended
}

fn ended_probes(address: SocketAddr, ended: std::io::Result<()>) -> RunError {
    match ended {
        Ok(()) => RunError::Ended("the probes"),
        Err(error) => RunError::Listen(address, error),
    }
}
