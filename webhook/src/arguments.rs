//! The webhook's arguments.

use std::net::SocketAddr;

use clap::Args;
use process::arguments::{Common, RecorderAddress};

/// Advises the apiserver on admissions, and records who contained, restored and deleted.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) recorder: RecorderAddress,

    /// Where to serve the apiserver, over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub(crate) listen: SocketAddr,

    /// Do not warn of AmazonApplications that name other addresses than Amazon's (`spec.endpoints`): operator and gateways
    /// run with the same option.
    #[arg(long)]
    pub(crate) allow_endpoints: bool,
}
