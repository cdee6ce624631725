//! `openteam audit fetch`: logs back from where they were copied to.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use process::storage::{self, Storage};
use recorder::fetch::{Fetched, fetch};

use super::Progress;
use crate::output::{Output, count};

/// Something was done to the copy.
const TAMPERED: u8 = 1;

/// Copy logs from where `auditUrl` or `audit export` put them into a directory, for `audit verify --dir` and other tools. Of a
/// bucket that keeps versions, as Object Lock does, nothing is believed that was put over a file later: of what never changes the first
/// version is taken, of checkpoints the largest that the log signed. Ends with 1 if there was anything else, which is
/// named.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where from: s3://BUCKET/PATH, with AWS_REGION, AWS_ACCESS_KEY_ID … in the environment, or file:///DIRECTORY
    #[arg(long, value_name = "URL")]
    from: String,

    /// The directory to put them into
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let storage = Storage::open(&storage::parse(&arguments.from)?)?;
    std::fs::create_dir_all(&arguments.to).with_context(|| format!("{} cannot be made", arguments.to.display()))?;
    let mut progress = Progress::new();
    let fetched =
        fetch(&storage, &arguments.to, &mut |done, of| progress.tell(&arguments.from, done, of, "files")).await;
    drop(progress);
    let fetched = fetched.with_context(|| format!("logs in {}", arguments.from))?;
    if fetched.files == 0 {
        bail!("there is no log in {}", arguments.from);
    }
    arguments.output.print(&fetched, || told(&fetched, arguments))?;
    Ok(if fetched.tampered.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(TAMPERED) })
}

fn told(fetched: &Fetched, arguments: &Arguments) -> String {
    let mut text = String::new();
    for one in &fetched.tampered {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  BAD  {}: {}", one.file.escape_debug(), one.what);
    }
    let files = count(i64::try_from(fetched.files).unwrap_or(i64::MAX), "file");
    text + &format!("{files} in {}; now `openteam audit verify --dir`\n", arguments.to.display())
}
