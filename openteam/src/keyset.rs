//! `openteam keyset`: the keys that everything stored is encrypted under.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;
use jiff::Timestamp;
use seal::Keyset;
use secrecy::ExposeSecret;

/// What to do with a keyset.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new keyset, with a new cluster id, in a file that only you may read. Back it up: nothing stored opens
    /// without it
    New {
        /// The file; it must not exist yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::New { out } = command;
    let now = u64::try_from(Timestamp::now().as_millisecond()).context("the clock is before 1970")?;
    let keyset = Keyset::generate(now);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .with_context(|| format!("keyset {} cannot be made", out.display()))?;
    file.write_all(keyset.to_json().expose_secret().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("keyset {} cannot be written", out.display()))?;
    eprintln!("made keyset {} for cluster {}, key {}", out.display(), keyset.cluster_id(), keyset.active_id());
    Ok(())
}
