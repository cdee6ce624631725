//! The gateway's arguments.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use process::arguments::{Common, RecorderAddress};

/// The audience of ServiceAccount tokens for the gateway.
pub(crate) const AUDIENCE: &str = "openteam-gateway";

/// Serves agents and jobs: looks like Amazon, holds the credentials.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) recorder: RecorderAddress,

    /// Where to serve callers, over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub(crate) listen: SocketAddr,

    /// The keyset that credentials are sealed under: the mounted Secret `openteam-keyset`.
    #[arg(long, default_value = "/etc/openteam/keyset/keyset.json")]
    pub(crate) keyset: PathBuf,

    /// Let AmazonApplications name other addresses than Amazon's (`spec.endpoints`). For demos and tests: whoever may
    /// write AmazonApplications then chooses where credentials are sent.
    #[arg(long)]
    pub(crate) allow_endpoints: bool,
}
