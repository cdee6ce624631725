//! `openteam`: the roles and the commands, in one binary.

mod audit;
mod cluster;
mod config;
mod evidence;
mod incident;
mod journal;
mod keyset;
mod manifest;
mod output;
mod respond;
mod review;
mod runtime_token;
mod seal_command;

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Scoped access to Amazon's Selling Partner API, without handing out the credentials.
#[derive(Parser)]
#[command(name = "openteam", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reconcile: verify connections, keep credentials sealed, sign role certificates
    Operator(operator::Arguments),
    /// Serve agents and jobs: looks like Amazon, holds the credentials
    Gateway(gateway::Arguments),
    /// Advise the apiserver: refuse what can never become right, record who contained, restored or deleted
    Webhook(webhook::Arguments),
    /// Serve people: sign in by a code, connect sellers, issue runtime tokens, contain
    Portal(portal::Arguments),
    /// Keep what all roles record
    Recorder(recorder::Arguments),
    /// Contain objects by an incident: nothing below them works until it is restored
    Disable(respond::Arguments),
    /// Take an incident out of the objects that it contains
    Restore(respond::Arguments),
    /// Take the credentials of connections out of use: their sellers must consent again. Of an AmazonApplication: replace its
    /// client secret
    Rotate(respond::RotateArguments),
    /// Ask sellers to consent again, while everything goes on
    Renew(respond::RotateArguments),
    /// What is contained, what works at Amazon all the same, what does not work, what ends soon
    Status(respond::StatusArguments),
    /// Incidents: what they contain, what happened, notes, the end
    Incident {
        /// What to do
        #[command(subcommand)]
        command: incident::Command,
    },
    /// Seal a credential for the cluster and print it as a SealedCredential
    Seal(seal_command::Arguments),
    /// Issue a RuntimeToken: its manifest on standard output, its text, once, on standard error
    RuntimeToken(runtime_token::Arguments),
    /// Make a keyset, for keeping it elsewhere than in a Secret
    Keyset {
        /// What to do
        #[command(subcommand)]
        command: keyset::Command,
    },
    /// Settings of the roles
    Config {
        /// What to do
        #[command(subcommand)]
        command: config::Command,
    },
    /// The record: look things up, verify that nothing is missing or changed, copy it, prove one record
    Audit {
        /// What to do
        #[command(subcommand)]
        command: audit::Command,
    },
    /// Print the records of a journal directory as JSON lines
    Journal(journal::Arguments),
    /// Evidence of incidents on a recorder's disk
    Evidence {
        /// What to do
        #[command(subcommand)]
        command: evidence::Command,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// As `kubectl-openteam` in the PATH it is called by `kubectl openteam` (Kubernetes, "Extend kubectl with plugins"), and
/// says so in its help.
fn command() -> clap::Command {
    let called = std::env::args_os().next().map(std::path::PathBuf::from);
    let plugin = called.is_some_and(|path| path.file_stem().is_some_and(|name| name == "kubectl-openteam"));
    if plugin { Cli::command().bin_name("kubectl openteam") } else { Cli::command() }
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    process::start::provide_tls();
    let runtime = tokio::runtime::Runtime::new().context("threads cannot be started")?;
    runtime.block_on(async {
        let done: anyhow::Result<()> = match cli.command {
            Command::Operator(arguments) => Ok(operator::run(arguments).await?),
            Command::Gateway(arguments) => Ok(gateway::run(arguments).await?),
            Command::Webhook(arguments) => Ok(webhook::run(arguments).await?),
            Command::Portal(arguments) => Ok(portal::run(arguments).await?),
            Command::Recorder(arguments) => Ok(recorder::run(arguments).await?),
            Command::Disable(arguments) => return respond::disable(&arguments).await,
            Command::Restore(arguments) => return respond::restore(&arguments).await,
            Command::Rotate(arguments) => return respond::rotate(&arguments).await,
            Command::Renew(arguments) => return respond::renew(&arguments).await,
            Command::Status(arguments) => respond::status(&arguments).await,
            Command::Incident { command } => return incident::run(&command).await,
            Command::Seal(arguments) => seal_command::run(arguments).await,
            Command::RuntimeToken(arguments) => runtime_token::run(&arguments).await,
            Command::Keyset { command } => keyset::run(&command),
            Command::Config { command } => return Ok(config::run(&command).await),
            Command::Journal(arguments) => journal::run(&arguments),
            Command::Audit { command } => return audit::run(&command).await,
            Command::Evidence { command } => evidence::run(&command),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "openteam", &mut std::io::stdout());
                Ok(())
            }
        };
        done.map(|()| ExitCode::SUCCESS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
