//! `openteam audit`: what people do with the record.

use std::process::ExitCode;

use clap::Subcommand;

use crate::review;

/// What to do with the record.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// What of the record is to be reviewed, who has signed it off, and signing it off
    Review(review::Arguments),
}

pub(crate) async fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Review(arguments) => review::run(arguments).await,
    }
}
