//! The record of the walk: verified where it is, against what the witness remembers, and outside by a tool that is not ours.

use std::{fs, process::Command};

use anyhow::{Context, bail};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use super::{SYSTEM, install::scratch, place::Place};
use crate::check::show;

const OPENTEAM: [&str; 5] = ["-n", SYSTEM, "openteam-recorder-0", "--", "/usr/local/bin/openteam"];

pub(super) fn verify(place: &Place) -> anyhow::Result<()> {
    let kubectl = place.kubectl();
    let known = kubectl.run(&["get", "configmap", "openteam-audit", "-n", SYSTEM, "-o", "yaml"])?;
    let words = [&["exec", "-i"], &OPENTEAM[..], &["audit", "verify", "--checkpoints", "/dev/stdin"]].concat();
    show(&format!("$ kubectl {} < checkpoints.yaml", words.join(" ")));
    show(&kubectl.run_with(&words, &known)?);
    let ours: Value = serde_json::from_str(&kubectl.run_with(&[&words[..], &["-o", "json"]].concat(), &known)?)?;

    let to = scratch()?.join("logs");
    if to.exists() {
        fs::remove_dir_all(&to).with_context(|| format!("{} cannot be removed", to.display()))?;
    }
    fs::create_dir_all(&to)?;
    let words = [&["exec"], &OPENTEAM[..], &["audit", "export", "--to", "-"]].concat();
    show(&format!("$ kubectl {} | tar -x", words.join(" ")));
    let exported = kubectl.output(&words)?;
    if !exported.status.success() {
        bail!("{}", String::from_utf8_lossy(&exported.stderr));
    }
    tar::Archive::new(&exported.stdout[..]).unpack(&to)?;
    let fsck = cluster::binaries::tlog_tools()?.fsck;
    for log in fs::read_dir(&to)? {
        let log = log?.path();
        let shard = log.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let theirs = Command::new(&fsck)
            .arg(format!("--storage_url=file://{}/", log.display()))
            .arg(format!("--public_key={}", log.join("vkey").display()))
            .arg("--ui=false")
            .output()?;
        let said = String::from_utf8_lossy(&theirs.stderr).into_owned();
        let line = said.lines().find(|line| line.contains("Successfully fsck'd log")).with_context(|| said.clone())?;
        show(&format!("$ fsck --storage_url=file://…/{shard}/ --public_key={shard}/vkey --ui=false\n{line}"));
        // What was exported is what was verified a moment ago, or what came on top of it since: both roots are shown.
        let note = fs::read_to_string(log.join("checkpoint"))?;
        let (size, root) = size_and_root(&note).context("a checkpoint without size and root")?;
        if !line.contains(&format!("size {size} ")) || !(line.contains(&root) || line.contains(&hex(&root)?)) {
            bail!("fsck found another log than the checkpoint says: {size}, {root}");
        }
        let found = ours["logs"].as_array().and_then(|logs| logs.iter().find(|one| one["shard"] == shard.as_str()));
        let found = found.with_context(|| format!("{shard} was not verified"))?;
        println!("   | ours: size {}, root {}", found["size"], found["root"].as_str().unwrap_or_default());
        println!("   | fsck: size {size}, root {root}");
    }
    Ok(())
}

fn hex(root: &str) -> anyhow::Result<String> {
    Ok(HEXLOWER.encode(&BASE64.decode(root.as_bytes())?))
}

fn size_and_root(note: &str) -> Option<(u64, String)> {
    let mut lines = note.lines().skip(1);
    Some((lines.next()?.parse().ok()?, lines.next()?.to_owned()))
}
