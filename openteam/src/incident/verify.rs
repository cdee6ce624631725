//! `openteam incident verify`: whether a bundle of evidence is what was signed. Needs no cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use evidence::{Bundle, Expected, PublicKey, Report, Trust, Unreadable};
use serde_json::{Value, json};

use crate::output::{Output, count};

/// Something is wrong with it.
const FAULTY: u8 = 1;
/// It is whole, but nobody said whose key is right.
const NOT_TRUSTED: u8 = 3;

/// Check a bundle offline. Ends with 0 if it is whole and signed by the given key, with 1 if something is wrong with it, and
/// with 3 if it is whole, but no key was given to hold the signature against
#[derive(Args)]
pub(crate) struct Arguments {
    /// The bundle: an archive, or a directory with its files
    bundle: PathBuf,

    /// File with the public key, PEM, or the ConfigMap openteam-evidence-key as kubectl prints it. From elsewhere than the
    /// bundle
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The bundle before, which this one must follow
    #[arg(long, value_name = "BUNDLE")]
    previous: Option<PathBuf>,

    /// The digest of a record that a recorder must have stood at: openteam evidence record
    #[arg(long, value_name = "DIGEST")]
    journal_record: Option<String>,

    /// The digest of the manifest, as the Incident's status has it
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let keys = arguments.key.as_deref().map(keys).transpose()?;
    let bundle = match read(&arguments.bundle)? {
        Ok(bundle) => bundle,
        Err(refused) => {
            let what = refused.to_string();
            let value = json!({ "bundle": arguments.bundle, "whole": false, "faults": [what] });
            arguments.output.print(&value, || format!("{}: NOT a bundle: {what}\n", arguments.bundle.display()))?;
            return Ok(ExitCode::from(FAULTY));
        }
    };
    let previous = arguments.previous.as_deref().map(|path| {
        let read = Bundle::read(path);
        read.with_context(|| format!("the bundle before, {}, is none", path.display()))
    });
    let previous = previous.transpose()?;
    let expected = Expected {
        keys: keys.as_deref(),
        previous: previous.as_ref(),
        journal_record: arguments.journal_record.as_deref(),
        digest: arguments.digest.as_deref(),
    };
    let report = bundle.verify(&expected);
    arguments.output.print(&value(&arguments.bundle, &report), || told(&arguments.bundle, &report))?;
    Ok(ExitCode::from(match (report.is_whole(), report.trust) {
        (false, _) => FAULTY,
        (true, Trust::Unknown) => NOT_TRUSTED,
        (true, Trust::Known) => 0,
    }))
}

/// The bundle, or why it is none. A disk that fails says nothing about it.
fn read(path: &Path) -> anyhow::Result<Result<Bundle, Unreadable>> {
    match Bundle::read(path) {
        Err(error @ Unreadable::Disk { .. }) => Err(error.into()),
        read => Ok(read),
    }
}

/// The public keys in a file.
pub(super) fn keys(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    PublicKey::all_in(&text).with_context(|| path.display().to_string())
}

fn value(path: &Path, report: &Report) -> Value {
    json!({
        "bundle": path,
        "whole": report.is_whole(),
        "trust": report.trust,
        "digest": report.digest,
        "keyId": report.key_id,
        "checked": report.checked,
        "faults": report.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "manifest": report.manifest,
    })
}

fn told(path: &Path, report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: String| text += &(line + "\n");
    if let Some(manifest) = &report.manifest {
        line(format!(
            "{} of {}/{} ({}), made {} by {}",
            ordinal(manifest.sequence),
            manifest.incident.namespace,
            manifest.incident.name,
            format!("{:?}", manifest.reason).to_lowercase(),
            manifest.created_at,
            manifest.made_by.pod
        ));
        line(format!("manifest {}", report.digest));
    }
    for checked in &report.checked {
        line(format!("  ok   {checked}"));
    }
    for fault in &report.faults {
        line(format!("  BAD  {fault}"));
    }
    if let Some(manifest) = &report.manifest {
        for journal in &manifest.journal {
            line(format!("  {} stood at record {}, {}", journal.recorder, journal.sequence, journal.digest));
        }
        for missing in &manifest.missing {
            line(format!("  missing: {}: {}", missing.what, missing.why));
        }
    }
    let (path, key) = (path.display(), report.key_id.as_deref().unwrap_or("of none"));
    match (report.is_whole(), report.trust) {
        (false, _) => {
            let faults = count(i64::try_from(report.faults.len()).unwrap_or(i64::MAX), "fault");
            line(format!("{path}: NOT what was signed: {faults}"));
        }
        (true, Trust::Known) => line(format!("{path}: whole, signed by your key {key}")),
        (true, Trust::Unknown) => {
            line(format!("{path}: whole, signed by key {key}"));
            line(
                "Whose key that is, the bundle cannot prove. Compare it with ConfigMap openteam-evidence-key, or with"
                    .to_owned(),
            );
            line("signedBy in the Incident's status, or give --key".to_owned());
        }
    }
    text
}

fn ordinal(sequence: u32) -> String {
    format!("bundle {sequence}")
}
