//! `openteam audit`: the record, for who investigates it and for who trusts nobody.

mod export;
mod fetch;
mod given;
mod query;
mod receipt;
mod remote;
mod verify;

use std::{
    fmt::Display,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use recorder::Place;

use crate::review;

/// Between two lines of progress.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Where the logs are.
#[derive(Args)]
pub(crate) struct Directory {
    /// A recorder's directory, whether or not it runs, or a copy of its logs by `audit export`
    #[arg(long, default_value = "/var/lib/openteam/journal")]
    dir: PathBuf,
}

impl Directory {
    fn open(&self) -> anyhow::Result<Place> {
        Place::open(&self.dir).with_context(|| format!("there are no logs to be read in {}", self.dir.display()))
    }
}

/// What to do with the record.
#[derive(Subcommand)]
pub(crate) enum Command {
    Query(Box<query::Arguments>),
    Verify(verify::Arguments),
    Export(export::Arguments),
    Fetch(fetch::Arguments),
    Receipt(receipt::Arguments),
    /// What of the record is to be reviewed, who has signed it off, and signing it off
    Review(review::Arguments),
}

pub(crate) async fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Query(arguments) => query::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments),
        Command::Export(arguments) => export::run(arguments).await.map(|()| ExitCode::SUCCESS),
        Command::Fetch(arguments) => fetch::run(arguments).await,
        Command::Receipt(arguments) => receipt::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Review(arguments) => review::run(arguments).await,
    }
}

/// How far something is, on one line of standard error where that is a terminal.
struct Progress {
    is_shown: bool,
    told: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), told: None }
    }

    /// `about`: a shard, or where from.
    fn tell(&mut self, about: impl Display, done: u64, of: u64, what: &str) {
        if self.is_shown && self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            let percent = done.saturating_mul(100).checked_div(of).unwrap_or(100);
            // Who does not see it misses nothing.
            let _ = write!(std::io::stderr(), "\r\x1b[K{about}: {done} of {of} {what}, {percent} %");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// A small text file.
fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
