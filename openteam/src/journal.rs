//! `openteam journal`: what is recorded, for who may read the recorder's disk.

use std::path::PathBuf;

use anyhow::{Context, bail};
use audit::ObjectName;
use clap::Args;
use jiff::Timestamp;
use recorder::read::{Filter, print};

/// The filters; without any, everything is printed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The journal's directory
    #[arg(long, default_value = "/var/lib/openteam/journal")]
    dir: PathBuf,

    /// Only records of this Team
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = object)]
    team: Option<ObjectName>,

    /// Only records of this AmazonConnection
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = object)]
    connection: Option<ObjectName>,

    /// Only records stored at this time or later, such as 2026-11-23T09:00:00Z
    #[arg(long)]
    since: Option<Timestamp>,

    /// Only records stored before this time
    #[arg(long)]
    until: Option<Timestamp>,
}

fn object(text: &str) -> Result<ObjectName, String> {
    let wanted = || format!("{text:?} is not NAMESPACE/NAME");
    let (namespace, name) = text.split_once('/').ok_or_else(wanted)?;
    ObjectName::parse(namespace, name).map_err(|_| wanted())
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let filter = Filter {
        team: arguments.team.clone(),
        connection: arguments.connection.clone(),
        since: arguments.since,
        until: arguments.until,
    };
    let printed = print(&arguments.dir, &filter, &mut std::io::stdout().lock())
        .with_context(|| format!("journal {}", arguments.dir.display()))?;
    if !recorder::read::exists(&arguments.dir)? {
        bail!("there is no journal in {}", arguments.dir.display());
    }
    if printed.flaws > 0 {
        bail!("the journal is not complete: {} places are unreadable or missing", printed.flaws);
    }
    Ok(())
}
