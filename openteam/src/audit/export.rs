//! `openteam audit export`: a copy of logs that anybody can check.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use process::storage::Storage;
use recorder::{
    Shard,
    export::{archive, export, upload},
};

use super::{Directory, Progress};
use crate::output::{Output, table};

/// Copy logs as plain files, as C2SP's tlog-tiles has them, for other tools and other places: a directory for each log with
/// `checkpoint`, `witnessed`, `vkey`, `tile/…`. Goes on where it ended, and adds what is new; a copy that the log contradicts is
/// left as it is. From a recorder's pod, of which one reaches the disk by a pipe alone:
///
///   kubectl exec -n openteam-system openteam-recorder-0 -- /usr/local/bin/openteam audit export --to - | tar -x
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Where to: a directory, or s3://BUCKET/PATH with AWS_REGION, AWS_ACCESS_KEY_ID … in the environment; - writes a tar archive
    /// to standard output
    #[arg(long, value_name = "DIR|URL")]
    to: PathBuf,

    #[command(flatten)]
    directory: Directory,

    /// Only this log, such as 2026q4; may be repeated
    #[arg(long, value_name = "SHARD")]
    log: Vec<Shard>,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let place = arguments.directory.open()?;
    let mut progress = Progress::new();
    if arguments.to.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        return archive(&place, &mut out, &arguments.log, &mut |shard, done, of| {
            progress.tell(shard, done, of, "files")
        })
        .with_context(|| format!("logs in {}", arguments.directory.dir.display()));
    }
    if let Some(url) = arguments.to.to_str().and_then(|to| process::storage::parse(to).ok()) {
        let storage = Storage::open(&url)?;
        return upload(&place, &storage, &arguments.log, &mut |shard, done, of| {
            progress.tell(shard, done, of, "files")
        })
        .await
        .with_context(|| format!("logs in {}", arguments.directory.dir.display()));
    }
    let done =
        export(&place, &arguments.to, &arguments.log, &mut |shard, done, of| progress.tell(shard, done, of, "files"));
    drop(progress);
    let logs = done.with_context(|| format!("logs in {}", arguments.directory.dir.display()))?;
    arguments.output.print(&logs, || {
        let rows: Vec<_> = logs
            .iter()
            .map(|log| {
                let at = log.at.display().to_string();
                [log.origin.clone(), log.size.to_string(), log.witnessed.to_string(), log.written.to_string(), at]
            })
            .collect();
        table(["LOG", "ENTRIES", "WITNESSED", "NEW FILES", "AT"], &rows)
    })
}
