//! `openteam`: the roles and the commands, in one binary.

mod cluster;
mod journal;
mod keyset;
mod manifest;
mod runtime_token;
mod seal_command;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

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
    /// Keep what all roles record
    Recorder(recorder::Arguments),
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
    /// Print the records of a journal directory as JSON lines
    Journal(journal::Arguments),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    process::start::provide_tls();
    let runtime = tokio::runtime::Runtime::new().context("threads cannot be started")?;
    runtime.block_on(async {
        match cli.command {
            Command::Operator(arguments) => Ok(operator::run(arguments).await?),
            Command::Gateway(arguments) => Ok(gateway::run(arguments).await?),
            Command::Recorder(arguments) => Ok(recorder::run(arguments).await?),
            Command::Seal(arguments) => seal_command::run(arguments).await,
            Command::RuntimeToken(arguments) => runtime_token::run(&arguments).await,
            Command::Keyset { command } => keyset::run(&command),
            Command::Journal(arguments) => journal::run(&arguments),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "openteam", &mut std::io::stdout());
                Ok(())
            }
        }
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
