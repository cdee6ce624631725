//! `openteam audit verify`: whether the logs of a recorder are whole. Needs no cluster.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use audit::log::Receipt;
use clap::Args;
use recorder::{
    Place, Shard,
    receipt::{check_receipt, key_beside},
    verify::{Against, Log, Part, Report, Verdict, verify},
};
use serde_json::json;

use super::{Directory, Progress, given::Given, read};
use crate::output::{Output, count};

/// Something is wrong.
const FLAWED: u8 = 1;
/// Whole, but checked against nothing from elsewhere.
const ALONE: u8 = 3;

/// Check the logs of a recorder: every entry up to the signed root, that the logs follow each other, and what is known of them
/// elsewhere. Ends with 0 if all is whole, with 1 if something is wrong, which is named, and with 3 if all is whole in itself,
/// but a log was checked against nothing from elsewhere
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    directory: Directory,

    #[command(flatten)]
    given: Given,

    /// Only this log, such as 2026q4; may be repeated
    #[arg(long, value_name = "SHARD")]
    log: Vec<Shard>,

    /// Only the entries from this index on, and what leads from them to the root
    #[arg(long, requires = "to", requires = "log")]
    from: Option<u64>,

    /// Only the entries before this index
    #[arg(long, requires = "from")]
    to: Option<u64>,

    /// Check this receipt instead, with --record; the directory is not needed then
    #[arg(long, value_name = "FILE", requires = "record", conflicts_with_all = ["log", "from"])]
    receipt: Option<PathBuf>,

    /// The record that the receipt is for
    #[arg(long, value_name = "FILE", requires = "receipt")]
    record: Option<PathBuf>,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let (Some(receipt), Some(record)) = (&arguments.receipt, &arguments.record) {
        return one(arguments, receipt, record);
    }
    let expected = arguments.given.expected()?;
    let place = arguments.directory.open()?;
    let part =
        Part { shards: arguments.log.clone(), range: arguments.from.zip(arguments.to).map(|(from, to)| from..to) };
    let mut progress = Progress::new();
    let found = verify(&place, &expected, &part, &mut |shard, done, of| progress.tell(shard, done, of, "entries"));
    drop(progress);
    let report = found.with_context(|| format!("logs in {}", arguments.directory.dir.display()))?;
    if report.logs.is_empty() && report.faults.is_empty() {
        bail!("there is no log in {}", arguments.directory.dir.display());
    }
    let mut value = serde_json::to_value(&report)?;
    value["verdict"] = json!(word(report.verdict()));
    arguments.output.print(&value, || told(&report))?;
    Ok(code(report.verdict()))
}

fn one(arguments: &Arguments, receipt: &Path, record: &Path) -> anyhow::Result<ExitCode> {
    let expected = arguments.given.expected()?;
    let parsed = Receipt::parse(&read(receipt)?).with_context(|| receipt.display().to_string())?;
    let leaf = std::fs::read(record).with_context(|| format!("{} cannot be read", record.display()))?;
    let place = Place::open(&arguments.directory.dir).ok();
    let own = match &place {
        Some(place) => key_beside(place, &parsed.checkpoint)?,
        None => None,
    };
    let signed = parsed.checkpoint.checkpoint();
    if own.is_none() && expected.key(&signed.origin).is_none() {
        bail!("nothing says which key {} signs with; give --key or --checkpoints", signed.origin);
    }
    let mut value = json!({ "origin": signed.origin, "size": signed.size, "index": parsed.index });
    let (verdict, text) = match check_receipt(&parsed, &leaf, &expected, own.as_ref()) {
        Ok(verdict) => {
            (verdict, format!("entry {} of {}, which had {} entries\n", parsed.index, signed.origin, signed.size))
        }
        Err(why) => {
            value["fault"] = json!(why.to_string());
            (Verdict::Flawed, format!("NOT in {}: {:#}\n", signed.origin, anyhow::Error::new(why)))
        }
    };
    value["verdict"] = json!(word(verdict));
    let alone = if verdict == Verdict::Alone { HINT } else { "" };
    arguments.output.print(&value, || text + alone)?;
    Ok(code(verdict))
}

const HINT: &str = "Whoever wrote there could have written it anew with a key of their own. Give --checkpoints, the ConfigMap\n\
                    openteam-audit or an older copy of it, or --key or --witness\n";

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Whole => "whole",
        Verdict::Flawed => "flawed",
        Verdict::Alone => "alone",
    }
}

fn code(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Whole => 0,
        Verdict::Flawed => FLAWED,
        Verdict::Alone => ALONE,
    })
}

fn told(report: &Report) -> String {
    let mut text = String::new();
    for log in &report.logs {
        text += &line(log);
    }
    for fault in &report.faults {
        let _ = writeln!(text, "  BAD  {fault}");
    }
    let faults = u64::try_from(report.faults.len()).unwrap_or(u64::MAX).saturating_add(report.more);
    if report.more > 0 {
        let _ = writeln!(text, "  BAD  and {} more", report.more);
    }
    match report.verdict() {
        Verdict::Whole => text += "whole\n",
        Verdict::Flawed => {
            let faults = count(i64::try_from(faults).unwrap_or(i64::MAX), "fault");
            let _ = writeln!(text, "NOT whole: {faults}");
        }
        Verdict::Alone => {
            text += "whole in itself, but not every log was checked against something from elsewhere.\n";
            text += HINT;
        }
    }
    text
}

fn line(log: &Log) -> String {
    let name = log.origin.clone().unwrap_or_else(|| log.shard.to_string());
    let (Some(size), Some(root)) = (log.size, &log.root) else { return format!("{name}: no checkpoint\n") };
    let witnessed = log.witnessed.map_or_else(String::new, |size| format!(", {size} of them witnessed"));
    let against = if log.against.is_empty() {
        "nothing from elsewhere".to_owned()
    } else {
        let word = |against: &Against| match against {
            Against::Key => "a key",
            Against::Witness => "the witness",
            Against::Checkpoint => "a checkpoint",
            Against::Next => "the next log",
        };
        log.against.iter().map(word).collect::<Vec<_>>().join(", ")
    };
    format!("{name}\n  {size} entries{witnessed}, root {root}\n  checked against {against}\n")
}
