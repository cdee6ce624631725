//! What every role does first: logs, TLS provider, settings, client, signals.

use std::io::IsTerminal;

use audit::{Name, Role};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    arguments::Common,
    metrics::Metrics,
    settings::{LogLevel, Settings, SettingsError},
    traces::{self, Traces, TracesError},
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
    /// Its metrics; [`crate::probes::serve`] tells them.
    pub metrics: Metrics,
    /// Cancelled at SIGTERM or SIGINT.
    pub shutdown: CancellationToken,
    /// Sends traces for as long as it is kept.
    pub traces: Traces,
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
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
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
    provide_tls();
    let pod = Name::parse(&common.pod).map_err(|_| StartError::Pod(common.pod.clone()))?;
    let settings = Settings::read(&common.settings)?;
    let traces = Traces::start(&settings, role, &pod, &common.namespace)?;
    observe(common.log_text, settings.log_level, &traces);
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
    Ok(Process {
        role,
        pod,
        namespace: common.namespace.clone(),
        client,
        settings,
        metrics: Metrics::new(role),
        shutdown,
        traces,
    })
}

/// Makes aws-lc-rs the process's TLS provider. Harmless when it is one already.
pub fn provide_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Whatever `RUST_LOG` says: at this level Amazon's SDK writes whole answers, and one of Amazon SQS holds a client secret.
fn may_be_logged(target: &str, level: Level) -> bool {
    level < Level::TRACE || !target.starts_with("aws_")
}

/// Where log lines and spans go from now on.
fn observe(text: bool, level: LogLevel, traces: &Traces) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{},kube=warn,hyper=warn", level.as_str())));
    // Spans of traces are no part of log lines.
    let filter = match format!("{}=off", traces::TARGET).parse() {
        Ok(off) => filter.add_directive(off),
        Err(_) => filter,
    };
    let filter = filter.and(filter_fn(|meta| may_be_logged(meta.target(), *meta.level())));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines =
        if text || std::io::stderr().is_terminal() { lines.boxed() } else { lines.json().flatten_event(true).boxed() };
    // A test may have set one already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer()).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_hold_a_client_secret_are_never_logged() {
        let target = "aws_smithy_runtime::client::orchestrator";
        assert!(!may_be_logged(target, Level::TRACE) && may_be_logged(target, Level::DEBUG));
        assert!(may_be_logged("openteam_operator::lease", Level::TRACE));
    }
}
