//! The portal's arguments.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use process::arguments::{Common, RecorderAddress};

/// Serves people: sign in by a code from one's mail, connect sellers, issue runtime tokens, contain.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) recorder: RecorderAddress,

    /// How many replicas the recorder's StatefulSet has: the activity page has the journals of all.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) recorder_replicas: u32,

    /// Where to serve people, over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub(crate) listen: SocketAddr,

    /// Directory with the portal's keys: the mounted Secret `openteam-portal`, which the operator makes.
    #[arg(long, default_value = "/etc/openteam/portal")]
    pub(crate) keys: PathBuf,

    /// Directory with `username` and `password` for the SMTP server: the mounted Secret `openteam-smtp`. Without these
    /// files nobody logs in there.
    #[arg(long, default_value = "/etc/openteam/smtp")]
    pub(crate) smtp_credentials: PathBuf,

    /// Send people to the consent pages that AmazonApplications name (`spec.endpoints`): operator and gateways run with the
    /// same option.
    #[arg(long)]
    pub(crate) allow_endpoints: bool,
}
