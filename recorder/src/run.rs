//! Starting the recorder, and ending it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use audit::{Lifecycle, Origin, Role};
use clap::Args;
use process::{
    arguments::Common,
    certificate::{RoleCertificate, chain},
    probes, serve,
    start::{Process, StartError, start},
    storage::Storage,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    AppendError, Care, Journal, Keeper, OpenError, Outside, Shelf,
    detect::{Detections, Watch},
    log::outside,
    metrics, readers,
    router::{router, writers},
};

/// Keeps what all roles record.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,

    /// Where to serve the other roles, over mutual TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,

    /// Where to serve people and their tools, who come with a ServiceAccount token.
    #[arg(long, default_value = "0.0.0.0:8444")]
    listen_readers: SocketAddr,

    /// The journal's directory.
    #[arg(long, default_value = "/var/lib/openteam/journal")]
    dir: PathBuf,
}

/// Why the recorder ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no place for evidence.
    #[error("directory for evidence cannot be made in {0}")]
    Shelf(PathBuf, #[source] std::io::Error),
    /// The log cannot be opened.
    #[error("log cannot be opened")]
    Log(#[source] std::io::Error),
    /// Its own start could not be recorded.
    #[error("the recorder's start could not be recorded")]
    Append(#[source] AppendError),
    /// An address cannot be listened on.
    #[error("{0} cannot be listened on")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A task that must run for as long as the process ended.
    #[error("a part of the recorder ended: {0}")]
    Ended(&'static str),
}

/// Runs the recorder until SIGTERM.
///
/// # Errors
/// [`RunError`]
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    let process = start(Role::Recorder, &arguments.common).await?;
    let origin = Origin { role: Role::Recorder, pod: process.pod.clone(), version: process::record::VERSION };
    // Here already, so that a disk that cannot be used is told at once.
    let journal = Journal::open(&arguments.dir, origin)?;
    let shelf = Shelf::open(&arguments.dir).map_err(|error| RunError::Shelf(arguments.dir.clone(), error))?;
    metrics::publish(&journal, &process.metrics);
    let detections = Detections::register(&process.metrics);
    let listener =
        TcpListener::bind(arguments.listen).await.map_err(|error| RunError::Listen(arguments.listen, error))?;

    let listen = arguments.listen_readers;
    let readers_listener = TcpListener::bind(listen).await.map_err(|error| RunError::Listen(listen, error))?;

    let certified = Arc::new(std::sync::OnceLock::new());
    let ready = {
        let certified = certified.clone();
        Arc::new(move || certified.get().copied().ok_or_else(|| "no role certificate yet".to_owned()))
    };
    let probes = probes::serve(arguments.common.probes, ready, process.metrics.clone());
    tokio::pin!(probes);
    let ended_probes = |ended: std::io::Result<()>| match ended {
        Ok(()) => RunError::Ended("the probes"),
        Err(error) => RunError::Listen(arguments.common.probes, error),
    };
    let certificate = tokio::select! {
        certificate = RoleCertificate::obtain(process.client.clone(), Role::Recorder, &process.metrics) => certificate,
        ended = &mut probes => return Err(ended_probes(ended)),
        () = process.shutdown.cancelled() => return Ok(()),
    };
    let outside = tokio::select! {
        (cluster, remembered) = outside(&process.client, &process.namespace) => Outside { cluster, remembered },
        ended = &mut probes => return Err(ended_probes(ended)),
        () = process.shutdown.cancelled() => return Ok(()),
    };
    let keeper = Keeper::open(journal.clone(), outside).await.map_err(RunError::Log)?;
    journal.record(Lifecycle::Started).await.map_err(RunError::Append)?;
    let (tell_writers, writers) = watch::channel(Arc::default());
    let serving = serve::serve(
        listener,
        {
            let certificate = certificate.clone();
            move || certificate.mutual_server()
        },
        router(journal.clone(), keeper.logs(), shelf).merge(writers::router(writers)),
        process.shutdown.clone(),
    );
    let serving_readers = serve::serve(
        readers_listener,
        {
            let certificate = certificate.clone();
            move || certificate.server()
        },
        readers(journal.clone(), keeper.logs(), process.client.clone()),
        process.shutdown.clone(),
    );
    let log_ended = CancellationToken::new();
    let care = Care {
        journal: journal.clone(),
        logs: keeper.logs(),
        storage: storage(&process, &journal).await,
        retention: process.settings.retention,
        client: process.client.clone(),
        namespace: process.namespace.clone(),
    };
    let caring = care.run(log_ended.clone());
    let watch = Watch {
        journal: journal.clone(),
        staleness_limit: process.settings.staleness_limit,
        detections,
        writers: tell_writers,
        client: process.client.clone(),
        namespace: process.namespace.clone(),
    };
    let watching = watch.run(log_ended.clone());
    let keeping = tokio::spawn(keeper.run(log_ended.clone()));
    // Only the first value counts, and there is no other.
    let _ = certified.set(());
    let ended = tokio::select! {
        // Each ends at the shutdown, when its calls in flight have.
        _ = async { tokio::join!(serving, serving_readers) } => Ok(()),
        ended = &mut probes => Err(ended_probes(ended)),
        () = caring => Err(RunError::Ended("the care of the logs")),
        () = watching => Err(RunError::Ended("the watch for what needs a look")),
        () = certificate.keep_renewed() => Err(RunError::Ended("the renewal of the certificate")),
    };
    if let Err(error) = journal.record(Lifecycle::Stopped).await {
        tracing::error!(%error, "the recorder's end could not be recorded");
    }
    log_ended.cancel();
    if keeping.await.is_err() {
        tracing::error!("the keeper of the log panicked");
    }
    ended
}

/// The place that logs are copied to. One that cannot be used is told and alarms by its metric; recording goes on.
async fn storage(process: &Process, journal: &Journal) -> Option<Storage> {
    let url = process.settings.audit_url.clone()?;
    // From here on an alert waits for a copy.
    journal.metrics().log_copied.set(jiff::Timestamp::now().as_second());
    // A directory is made, which blocks on its disk.
    match tokio::task::spawn_blocking(move || Storage::open(&url)).await {
        Ok(Ok(storage)) => Some(storage),
        Ok(Err(error)) => {
            tracing::error!(error = chain(&error), "auditUrl cannot be used: logs are not copied");
            None
        }
        Err(_) => None,
    }
}
