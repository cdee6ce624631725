//! `openteam evidence`: the bundles on a recorder's disk, for who may read it.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use evidence::BundleName;
use recorder::{Shelf, record_digest};

/// Where the journal is, beside which evidence is kept.
#[derive(Args)]
pub(crate) struct Directory {
    /// The journal's directory
    #[arg(long, default_value = "/var/lib/openteam/journal")]
    dir: PathBuf,
}

/// What to do with evidence.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// The names of the kept bundles
    List {
        #[command(flatten)]
        directory: Directory,
    },
    /// Write a bundle to standard output
    Get {
        /// Its name
        name: BundleName,
        #[command(flatten)]
        directory: Directory,
    },
    /// The digest of a record, to be held against a bundle: incident verify --journal-record
    Record {
        /// The record's sequence number
        sequence: u64,
        #[command(flatten)]
        directory: Directory,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::List { directory } => {
            let names = Shelf::of(&directory.dir).names();
            for name in names.with_context(|| format!("evidence in {}", directory.dir.display()))? {
                writeln!(out, "{name}")?;
            }
        }
        Command::Get { name, directory } => {
            let bundle = Shelf::of(&directory.dir).read(name);
            match bundle.with_context(|| format!("evidence in {}", directory.dir.display()))? {
                Some(tar) => out.write_all(&tar)?,
                None => bail!("{name} is not kept in {}", directory.dir.display()),
            }
        }
        Command::Record { sequence, directory } => {
            let digest = record_digest(&directory.dir, *sequence);
            match digest.with_context(|| format!("journal {}", directory.dir.display()))? {
                Some(digest) => writeln!(out, "{digest}")?,
                None => bail!("there is no record {sequence} in {}", directory.dir.display()),
            }
        }
    }
    out.flush().context("standard output cannot be written to")
}
