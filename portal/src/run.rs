//! Starting the portal, and ending it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use audit::{Lifecycle, Role};
use axum::{Router, extract::Request};
use crds::{Incident, PortalUser, SealedCredential};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use process::{
    certificate::RoleCertificate,
    journals::Journals,
    mail::Mailer,
    policies::Policies,
    probes, record, serve,
    start::{StartError, start},
    view::View,
};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use crate::{
    Arguments, activity,
    answer::chain,
    dispatch,
    inputs::Inputs,
    keys::{Keys, KeysError},
    metrics::Counts,
    pace::Paces,
    portal::Portal,
    session,
    sign_in::{self, Door, Post},
    users::Users,
};

/// How long SIGTERM waits for the record's last events.
const RECORD_DRAIN: Duration = Duration::from_secs(5);
/// How often PortalUsers of people who left are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// Why the portal ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It has no keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// An address cannot be listened on.
    #[error("{0} cannot be listened on")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A task that must run for as long as the process ended.
    #[error("a part of the portal ended: {0}")]
    Ended(&'static str),
}

/// Runs the portal until SIGTERM.
///
/// # Errors
/// [`RunError`]
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    let process = start(Role::Portal, &arguments.common).await?;
    let keys = Keys::read(&arguments.keys)?;
    let listener =
        TcpListener::bind(arguments.listen).await.map_err(|error| RunError::Listen(arguments.listen, error))?;
    let mut watches = JoinSet::new();
    let view = View::start(&process.client, &mut watches);
    process.metrics.collect(view.clone());
    let (users, inputs) = (Arc::new(Users::new(&process.client, &process.namespace)), Arc::new(Inputs::default()));
    let own = users.clone();
    let api = Api::namespaced(process.client.clone(), &process.namespace);
    view.follow_by::<PortalUser>(api, &mut watches, "PortalUser", move |change| own.apply(change));
    let own = inputs.clone();
    view.follow::<SealedCredential>(&process.client, &mut watches, "SealedCredential", move |change| {
        own.apply_input(change);
    });
    let own = inputs.clone();
    let api = Api::namespaced(process.client.clone(), &process.namespace);
    view.follow_by::<Incident>(api, &mut watches, "Incident", move |change| own.apply_incident(change));
    let limit = process.settings.staleness_limit;
    let policies = Arc::new(Policies::new(&process.metrics));
    let ready = {
        let (view, shutdown, policies) = (view.clone(), process.shutdown.clone(), policies.clone());
        Arc::new(move || {
            // First of all at the end, so that whoever balances load looks elsewhere.
            if shutdown.is_cancelled() {
                return Err("shutting down".to_owned());
            }
            view.current(limit).map_err(|stale| stale.to_string())?;
            policies.standing()
        })
    };
    let probes = probes::serve(arguments.common.probes, ready, process.metrics.clone());
    tokio::pin!(probes);

    // Probes answer while the certificate is waited for: the kubelet must see a live process.
    let certificate = tokio::select! {
        certificate = RoleCertificate::obtain(process.client.clone(), Role::Portal, &process.metrics) => certificate,
        ended = &mut probes => return Err(ended_probes(arguments.common.probes, ended)),
        () = process.shutdown.cancelled() => return Ok(()),
    };
    let (pod, namespace, address) = (process.pod.clone(), &process.namespace, &arguments.recorder);
    let transport = record::https(namespace, address, certificate.clone());
    let (recorder, delivery) = record::connect(Role::Portal, pod, namespace, address, transport, &process.metrics);
    let delivery = tokio::spawn(delivery.run());
    let clients = record::clients(namespace, address, certificate.clone());
    let journals = Journals::new(&address.base(namespace), namespace, arguments.recorder_replicas, clients);
    let (door, requests) = Door::new();
    let mailer = Mailer::new(&process.settings, arguments.smtp_credentials.clone(), &process.metrics);
    if !mailer.is_configured() {
        tracing::warn!("smtpUrl is not set: nobody can sign in, as no code can be mailed");
    }
    let portal = Arc::new(Portal {
        client: process.client.clone(),
        namespace: process.namespace.clone(),
        public_url: process.settings.portal_address(&process.namespace),
        gateway_url: process.settings.gateway_address(&process.namespace),
        trusted_proxies: process.settings.trusted_proxies,
        allow_endpoints: arguments.allow_endpoints,
        contact: process.settings.incident_contact.clone(),
        view,
        staleness_limit: limit,
        inputs,
        keys,
        certificate: certificate.clone(),
        users,
        door,
        post: Post::new(mailer),
        paces: Paces::default(),
        policies: policies.clone(),
        recorder: recorder.clone(),
        activity: activity::Source::new(journals),
        counts: Counts::new(&process.metrics),
        shutdown: process.shutdown.clone(),
    });
    recorder.record_later(Lifecycle::Started);
    let serving = serve::serve(
        listener,
        {
            let certificate = certificate.clone();
            // People have no certificate.
            move || certificate.server()
        },
        router(portal.clone()),
        process.shutdown.clone(),
    );
    let ended = tokio::select! {
        () = serving => Ok(()),
        ended = &mut probes => Err(ended_probes(arguments.common.probes, ended)),
        _ = watches.join_next() => Err(RunError::Ended("a watch")),
        () = certificate.keep_renewed() => Err(RunError::Ended("the renewal of the certificate")),
        () = policies.watch(&process.client) => Err(RunError::Ended("the look at the policies")),
        () = sign_in::serve(portal.clone(), requests) => Err(RunError::Ended("the sending of codes")),
        () = portal.door.tell(&recorder) => Err(RunError::Ended("the counting of strangers")),
        () = tidy(&portal) => Err(RunError::Ended("the tidying")),
    };
    portal.door.flush(&recorder);
    recorder.record_later(Lifecycle::Stopped);
    if let Err(lost) = recorder.drain(RECORD_DRAIN).await {
        tracing::error!(%lost, "events were not delivered before the end");
    }
    delivery.abort();
    ended
}

/// Every path goes to one place, which knows all of them.
fn router(portal: Arc<Portal>) -> Router {
    Router::new().fallback(move |request: Request| dispatch::handle(portal.clone(), request))
}

/// Deletes the PortalUsers of people who belong to no Team any more and are signed in nowhere. One that is contained is
/// evidence and stays.
async fn tidy(portal: &Portal) {
    loop {
        sleep(TIDY_EVERY).await;
        portal.paces.forget_old();
        let Ok(index) = portal.index() else { continue };
        let now = Timestamp::now();
        for user in portal.users.all() {
            let gone = access::memberships(&index, &user.spec.email).is_empty()
                && session::living(&user.spec, now).is_empty()
                && crds::annotation::incidents(&user.metadata).is_none();
            if !gone {
                continue;
            }
            match portal.users.delete(&user).await {
                Ok(()) => tracing::info!(object = user.name_any(), "PortalUser of nobody's Team deleted"),
                Err(error) => tracing::warn!(error = chain(&error), "PortalUser not deleted"),
            }
        }
    }
}

fn ended_probes(address: SocketAddr, ended: std::io::Result<()>) -> RunError {
    match ended {
        Ok(()) => RunError::Ended("the probes"),
        Err(error) => RunError::Listen(address, error),
    }
}
