//! What every role does first: logs, TLS provider, settings, client, signals.

use std::io::IsTerminal;

use audit::{Name, Role};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::Common,
    settings::{Settings, SettingsError},
};

/// A role that has started.
pub struct Process {
    /// What it is.
    pub role: Role,
    /// Its pod's name.
    pub pod: Name,
    /// The namespace OpenTeam runs in.
    pub namespace: String,
    /// A client for the apiserver.
    pub client: Client,
    /// The settings of all roles.
    pub settings: Settings,
    /// Cancelled at SIGTERM or SIGINT.
    pub shutdown: CancellationToken,
}

/// Why a role could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `--pod` is no name.
    #[error("--pod {0:?} is not the name of a pod")]
    Pod(String),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Neither a kubeconfig nor a pod's ServiceAccount.
    #[error("no cluster to talk to: neither KUBECONFIG nor a ServiceAccount's files can be used")]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The apiserver's address or certificates cannot be used.
    #[error("client for the apiserver cannot be made")]
    Client(#[source] Box<kube::Error>),
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to")]
    Signals(#[source] std::io::Error),
}

/// Starts a role.
///
/// # Errors
/// [`StartError`] names what is wrong and where.
pub async fn start(role: Role, common: &Common) -> Result<Process, StartError> {
    logs(common.log_text);
    provide_tls();
    let pod = Name::parse(&common.pod).map_err(|_| StartError::Pod(common.pod.clone()))?;
    let settings = Settings::read(&common.settings)?;
    let config = kube::Config::infer().await.map_err(|error| StartError::NoCluster(Box::new(error)))?;
    let client = Client::try_from(config).map_err(|error| StartError::Client(Box::new(error)))?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let token = shutdown.clone();
    // Not awaited: it ends with the process, and nothing depends on its end.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
        token.cancel();
    });
    tracing::info!(%role, pod = %common.pod, version = crate::record::VERSION, "started");
    Ok(Process { role, pod, namespace: common.namespace.clone(), client, settings, shutdown })
}

/// Makes aws-lc-rs the process's TLS provider. Harmless when it is one already.
pub fn provide_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn logs(text: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn,hyper=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A test may have set one already.
    let _ = if text || std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
