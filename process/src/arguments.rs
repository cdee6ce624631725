//! Arguments that every role takes. Nothing but this reads the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// Arguments that every role takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The namespace OpenTeam runs in.
    #[arg(long, env = "POD_NAMESPACE", default_value = "openteam-system")]
    pub namespace: String,

    /// The name of this pod; the apiserver vouches for it when the role certificate is asked for.
    #[arg(long, env = "POD_NAME")]
    pub pod: String,

    /// Directory with the settings, one file a key: the mounted ConfigMap `openteam`.
    #[arg(long, default_value = "/etc/openteam/settings")]
    pub settings: PathBuf,

    /// Where to answer /livez, /readyz and /metrics, in plain HTTP.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub probes: SocketAddr,

    /// Log lines as people read them, instead of JSON.
    #[arg(long)]
    pub log_text: bool,
}

/// How to reach the recorder; every role but the recorder itself records.
#[derive(Args, Clone, Debug)]
pub struct RecorderAddress {
    /// The recorder's Service. Its certificate must name this host.
    #[arg(long, env = "OPENTEAM_RECORDER")]
    pub recorder: Option<url::Url>,

    /// Connect here instead of looking the recorder's host up; its certificate must name the host all the same.
    /// For processes outside the cluster.
    #[arg(long)]
    pub recorder_connect: Option<SocketAddr>,
}

impl RecorderAddress {
    /// The recorder's base address: as given, or its Service in `namespace`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a namespace is a DNS label, so this is an address")]
    pub fn base(&self, namespace: &str) -> url::Url {
        self.recorder.clone().unwrap_or_else(|| {
            format!("https://openteam-recorder.{namespace}.svc").parse().expect("a DNS name in an address")
        })
    }
}
