//! The operator: turns what users write into what works, and shows what is missing.
//!
//! One module a kind, each observe → plan (pure) → apply. One replica leads, by Lease; the others wait. What nothing
//! works without (keyset, certificate authority, sealing keys) is made or read in `bootstrap`, role certificates are
//! signed in `certificate`.

mod admission;
mod agent_grant;
mod amazon_application;
mod amazon_connection;
mod authority;
mod bootstrap;
mod certificate;
mod client_secret;
mod consent;
mod contained;
mod controller;
mod credential;
mod dependents;
mod error;
mod incident;
mod lease;
mod mailing;
mod metrics;
mod review;
mod runtime_token;
mod sealed_credential;
mod spans;
mod status;
mod stores;
mod subject;
mod team;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod walk;
mod witness;
mod writer_gaps;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use audit::{Activity, Lifecycle, Role};
use jiff::Timestamp;
use process::{
    arguments::{Common, RecorderAddress},
    certificate::RoleCertificate,
    mail::Mailer,
    policies::Policies,
    probes, record,
    start::{Process, StartError},
    storage::Storage,
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use crate::{
    authority::AuthorityError,
    bootstrap::BootstrapError,
    incident::{Application, Reached, Seller, notice},
    lease::LeaseLost,
};
use crate::{
    bootstrap::{Foundation, KeysetSource, bootstrap},
    controller::{Context, run as control},
    stores::{Kind, Stores},
};

/// How long passes under way and undelivered events may take after SIGTERM.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Arguments of the operator.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// What every role takes.
    #[command(flatten)]
    pub common: Common,

    /// Where events are recorded.
    #[command(flatten)]
    pub recorder: RecorderAddress,

    /// Secret of OpenTeam's namespace with the keyset; made at the first start.
    #[arg(long, value_name = "NAME", default_value = "openteam-keyset")]
    pub keyset_secret: String,

    /// File with the keyset, instead of a Secret. Never made: mount it from wherever you keep keys.
    #[arg(long, value_name = "FILE", conflicts_with = "keyset_secret")]
    pub keyset: Option<PathBuf>,

    /// How many replicas the recorder's StatefulSet has; evidence of an incident has the journals of all.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub recorder_replicas: u32,

    /// Let AmazonApplications name other addresses than Amazon's own (spec.endpoints). For tests and demos:
    /// credentials are sent there.
    #[arg(long)]
    pub allow_endpoints: bool,

    /// Directory with user name and password for the SMTP server, as files `username` and `password`: the mounted Secret
    /// `openteam-smtp`. Read at every mail.
    #[arg(long, value_name = "DIR", default_value = "/etc/openteam/smtp")]
    pub smtp_credentials: PathBuf,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The keys that everything needs are not there.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Another replica leads now, or may.
    #[error("operator no longer leads")]
    Lease(#[from] LeaseLost),
    /// Nobody could ask how it is.
    #[error("probes could not be answered at the address of --probes")]
    Probes(#[source] io::Error),
    /// A part that runs as long as the process ended.
    #[error("operator's {0} ended unexpectedly")]
    Ended(&'static str),
}

/// Runs the operator until SIGTERM.
///
/// # Errors
/// [`RunError`]; the process ends then, and Kubernetes starts it anew.
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    let process = process::start::start(Role::Operator, &arguments.common).await?;
    // A replica that waits is ready: it is what a rollout waits for. One that leads is ready once it works.
    let starting = Arc::new(AtomicBool::new(false));
    let policies = Arc::new(Policies::new(&process.metrics));
    let answer = {
        let (starting, policies) = (starting.clone(), policies.clone());
        move || {
            if starting.load(Ordering::Relaxed) {
                return Err("leading, but not at work yet".to_owned());
            }
            policies.standing()
        }
    };
    tokio::select! {
        ended = probes::serve(arguments.common.probes, Arc::new(answer), process.metrics.clone()) => {
            Err(ended.map_or_else(RunError::Probes, |()| RunError::Ended("probes")))
        }
        () = policies.watch(&process.client) => Err(RunError::Ended("look at the policies")),
        done = wait_and_lead(&process, &arguments, &starting) => done,
    }
}

async fn wait_and_lead(process: &Process, arguments: &Arguments, starting: &AtomicBool) -> Result<(), RunError> {
    let identity = process.pod.as_str();
    let metrics = metrics::Metrics::register(&process.metrics);
    let witnessing = witness::Metrics::register(&process.metrics);
    let reviewing = review::Metrics::register(&process.metrics);
    let missing = writer_gaps::register(&process.metrics);
    let mailer = Mailer::new(&process.settings, arguments.smtp_credentials.clone(), &process.metrics);
    let mut held = tokio::select! {
        held = lease::acquire(process.client.clone(), &process.namespace, identity) => held,
        () = process.shutdown.cancelled() => return Ok(()),
    };
    starting.store(true, Ordering::Relaxed);
    tracing::info!("leading");
    metrics.leads();
    let led = tokio::select! {
        lost = held.hold() => return Err(lost.into()),
        led = lead(process, arguments, starting, metrics, (witnessing, reviewing, missing), mailer) => led,
    };
    held.release().await;
    led
}

/// Everything a leader does. Dropping it stops it at once, which is what losing the lease asks for.
async fn lead(
    process: &Process,
    arguments: &Arguments,
    starting: &AtomicBool,
    metrics: metrics::Metrics,
    (witnessing, reviewing, missing): (witness::Metrics, review::Metrics, Counter),
    mailer: Mailer,
) -> Result<(), RunError> {
    let source = match &arguments.keyset {
        Some(path) => KeysetSource::File(path.clone()),
        None => KeysetSource::Secret(arguments.keyset_secret.clone()),
    };
    let Foundation { keyset, authority, sealing_keys, evidence_key } =
        bootstrap(&process.client, &process.namespace, &source).await?;
    let authority = Arc::new(authority);
    let digests = bootstrap::digests(&keyset)?;

    let mut tasks = Tasks::default();
    // The signer first: without it neither the recorder nor this process gets a certificate.
    let (journal, signed) = unbounded_channel();
    let signer = certificate::Signer {
        client: process.client.clone(),
        authority: authority.clone(),
        namespace: process.namespace.clone(),
        journal,
        failures: error::Failures::default(),
        metrics: metrics.clone(),
    };
    tasks.spawn("signer of role certificates", certificate::run(signer, process.shutdown.clone()));
    let (stores, feeding) = Stores::watch(&process.client, &process.namespace);
    tasks.spawn("watches", feeding);

    let obtain = RoleCertificate::obtain(process.client.clone(), Role::Operator, &process.metrics);
    // Shutdown first in each of these: the signer ends with it, which is then no failure.
    let certificate = tokio::select! {
        biased;
        () = process.shutdown.cancelled() => return Ok(()),
        ended = tasks.first_to_end() => return Err(RunError::Ended(ended)),
        certificate = obtain => certificate,
    };
    let (recorder, delivery) = record::connect(
        Role::Operator,
        process.pod.clone(),
        &process.namespace,
        &arguments.recorder,
        record::https(&process.namespace, &arguments.recorder, certificate.clone()),
        &process.metrics,
    );
    let keeper = incident::evidence::Keeper {
        key: evidence_key,
        recorders: incident::evidence::Recorders::new(
            arguments.recorder.base(&process.namespace),
            &process.namespace,
            arguments.recorder_replicas,
            record::clients(&process.namespace, &arguments.recorder, certificate.clone()),
        ),
        storage: process.settings.evidence_url.as_ref().map(Storage::open),
    };
    let witness_key = witness::key(&keyset).ok_or(BootstrapError::NoKey)?;
    let cluster = keyset.cluster_id().to_string();
    let asking: Arc<dyn Fn() -> reqwest::Client + Send + Sync> =
        Arc::new(record::clients(&process.namespace, &arguments.recorder, certificate.clone()));
    tasks.spawn("renewal of the role certificate", certificate.keep_renewed());
    tasks.spawn("delivery of events", delivery.run());
    tasks.spawn("webhook's configuration", admission::run(process.client.clone(), authority.pem().to_owned()));
    tasks.spawn("journal of signed certificates", forward(signed, recorder.clone()));
    recorder.record_later(Lifecycle::Started);
    tokio::select! {
        biased;
        () = process.shutdown.cancelled() => return Ok(()),
        ended = tasks.first_to_end() => return Err(RunError::Ended(ended)),
        () = stores.synced() => {}
    }

    let gateway_url = process.settings.gateway_address(&process.namespace);
    let context = Arc::new(Context {
        client: process.client.clone(),
        stores,
        keyset,
        sealing_keys,
        recorder: recorder.clone(),
        digests,
        pod: process.pod.to_string(),
        leading_since: Timestamp::now(),
        authority: authority.pem().to_owned(),
        gateway_url,
        portal_url: process.settings.portal_address(&process.namespace),
        allow_endpoints: arguments.allow_endpoints,
        amazon: amazon::PerBundle::new(amazon_connection::Clients::new),
        calls: amazon_connection::Calls::default(),
        exchanges: sealed_credential::Exchanges::default(),
        queues: client_secret::queue::Queues::default(),
        failures: error::Failures::default(),
        unreadable: controller::Unreadable::default(),
        applied: status::Applied::default(),
        metrics,
        mailer,
        contacts: controller::Contacts::of(&process.settings),
        outbox: incident::mail::Outbox::default(),
    });
    let recorders =
        record::replicas(&arguments.recorder.base(&process.namespace), &process.namespace, arguments.recorder_replicas);
    let reviews = review::Reviews {
        context: context.clone(),
        recorders: recorders.clone(),
        http: asking.clone(),
        metrics: reviewing,
    };
    let witness = witness::Witness {
        client: process.client.clone(),
        namespace: process.namespace.clone(),
        cluster,
        key: witness_key,
        recorders: recorders.clone(),
        http: asking.clone(),
        recorder: recorder.clone(),
        held: {
            let context = context.clone();
            Box::new(move || incident::open_names(&context))
        },
        metrics: witnessing,
    };
    let writer_gaps = writer_gaps::WriterGaps { recorders, http: asking, recorder: recorder.clone(), missing };
    process.metrics.collect(metrics::Inventory(context.clone()));
    let mut controllers = controllers(&context, &process.shutdown);
    controllers.spawn("witness of the logs", witness::run(witness, process.shutdown.clone()));
    controllers.spawn("gaps in writers' numbers", writer_gaps::run(writer_gaps, process.shutdown.clone()));
    controllers.spawn("reviews of the record", review::run(reviews, process.shutdown.clone()));
    controllers.spawn("keeper of evidence", incident::evidence::run(context, keeper, process.shutdown.clone()));
    starting.store(false, Ordering::Relaxed);

    tokio::select! {
        biased;
        () = process.shutdown.cancelled() => {}
        ended = tasks.first_to_end() => return Err(RunError::Ended(ended)),
        ended = controllers.first_to_end() => return Err(RunError::Ended(ended)),
    }
    if tokio::time::timeout(DRAIN_LIMIT, controllers.all_to_end()).await.is_err() {
        tracing::warn!("passes were still under way when the drain ended");
    }
    recorder.record_later(Lifecycle::Stopped);
    if let Err(undelivered) = recorder.drain(DRAIN_LIMIT).await {
        tracing::warn!(%undelivered, "events lost");
    }
    Ok(())
}

fn controllers(context: &Arc<Context>, shutdown: &CancellationToken) -> Tasks {
    macro_rules! controller {
        ($tasks:ident, $module:ident, $kind:ident, $store:ident) => {
            $tasks.spawn(
                concat!("controller of ", stringify!($kind)),
                control(
                    context.clone(),
                    Kind::$kind,
                    context.stores.$store.store().clone(),
                    $module::affected,
                    $module::reconcile,
                    shutdown.clone(),
                ),
            )
        };
    }
    let mut tasks = Tasks::default();
    controller!(tasks, team, Team, teams);
    controller!(tasks, amazon_application, AmazonApplication, applications);
    controller!(tasks, amazon_connection, AmazonConnection, connections);
    controller!(tasks, agent_grant, AgentGrant, grants);
    controller!(tasks, runtime_token, RuntimeToken, runtime_tokens);
    controller!(tasks, sealed_credential, SealedCredential, sealed);
    controller!(tasks, incident, Incident, incidents);
    tasks.spawn("reader of queues", client_secret::queue::run(context.clone(), shutdown.clone()));
    tasks.spawn("sender of mail", incident::mail::run(context.clone(), shutdown.clone()));
    tasks.spawn("opener of Incidents", incident::open::run(context.clone(), shutdown.clone()));
    tasks
}

/// Records what was signed before there was anyone to record it.
async fn forward(mut signed: UnboundedReceiver<Activity>, recorder: audit::Recorder) {
    while let Some(activity) = signed.recv().await {
        recorder.record_later(activity);
    }
}

/// Tasks that live as long as the process; dropping them ends them.
#[derive(Default)]
struct Tasks(JoinSet<&'static str>);

impl Tasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            task.await;
            name
        });
    }

    /// The name of the first task that ends.
    async fn first_to_end(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(error)) => {
                tracing::error!(%error, "a task failed");
                "task"
            }
            None => std::future::pending().await,
        }
    }

    async fn all_to_end(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}
