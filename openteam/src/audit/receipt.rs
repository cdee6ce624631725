//! `openteam audit receipt`: the proof of one record.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use recorder::receipt::{Wanted, receipt};
use uuid::Uuid;

use super::Directory;

/// Print the receipt of one record: a .tlog-proof (c2sp.org/tlog-proof), which proves without the log at hand that the record is
/// in it, towards the newest checkpoint that the witness cosigned, or else that the log signed
#[derive(Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(crate) struct Arguments {
    /// The recorder's number of the record
    #[arg(long, group = "which")]
    sequence: Option<u64>,

    /// The event's own id, `metadata.uid`
    #[arg(long, group = "which")]
    uid: Option<Uuid>,

    #[command(flatten)]
    directory: Directory,

    /// Write the record to this file: the receipt is for exactly these bytes
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = match (arguments.sequence, arguments.uid) {
        (Some(sequence), _) => Wanted::Sequence(sequence),
        (None, Some(uid)) => Wanted::Uid(uid),
        (None, None) => anyhow::bail!("--sequence or --uid says which record"),
    };
    let place = arguments.directory.open()?;
    let given = receipt(&place, wanted)?;
    if let Some(path) = &arguments.record {
        std::fs::write(path, &given.record).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if !given.is_witnessed {
        eprintln!(
            "the witness has not cosigned a checkpoint with this record yet: the receipt is on the log's word alone"
        );
    }
    let text = given.receipt.to_string();
    std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written to")
}
