//! The evidence of the incident: fetched from the recorder's pod, checked without the cluster.

use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{SYSTEM, install::scratch, place::Place};
use crate::{check::show, shell};

/// A bundle is made a few seconds after something was contained.
const LIMIT: Duration = Duration::from_secs(60);

/// Exports it once it is there, verifies it, changes a byte and has that named.
pub(super) fn export(place: &Place) -> anyhow::Result<()> {
    let openteam = shell::program("openteam")?;
    let to = scratch()?.join("evidence");
    // One of a demo before this is another cluster's.
    if to.exists() {
        fs::remove_dir_all(&to).with_context(|| format!("{} cannot be removed", to.display()))?;
    }
    let to = to.display().to_string();
    let started = Instant::now();
    show("$ kubectl openteam incident export inc-1 --to evidence");
    let exported = loop {
        let mut command = Command::new(&openteam);
        command.args(["incident", "export", "inc-1", "--to", &to]).env("PATH", path(place));
        place.direct(&mut command)?;
        let output = command.output()?;
        if output.status.success() || started.elapsed() > LIMIT {
            break output;
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    show(&demand(exported)?);
    let key = place.kubectl().run(&["get", "configmap", "openteam-evidence-key", "-n", SYSTEM, "-o", "yaml"])?;
    let key_file = format!("{to}/evidence-key.yaml");
    fs::write(&key_file, key)?;
    let bundle = format!("{to}/inc-1-000001.tar");
    let verify = |bundle: &str| {
        let mut command = Command::new(&openteam);
        command.args(["incident", "verify", bundle, "--key", &key_file]).env("KUBECONFIG", "/nonexistent");
        command.output().context("openteam cannot be run")
    };
    show("$ kubectl openteam incident verify evidence/inc-1-000001.tar --key evidence-key.yaml");
    show(&demand(verify(&bundle)?)?);

    let mut bytes = fs::read(&bundle)?;
    let at = bytes.windows(8).position(|window| window == b"lastUse\"").context("access.json is in the bundle")?;
    bytes[at] = b'L';
    let changed = format!("{to}/changed.tar");
    fs::write(&changed, bytes)?;
    let refused = verify(&changed)?;
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    if refused.status.code() != Some(1) || !told.contains("access.json") {
        bail!("a changed bundle was taken: {told}");
    }
    show("with one byte changed:");
    show(&told);
    Ok(())
}

/// Where the program finds this cluster's kubectl.
fn path(place: &Place) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let command = place.kubectl().command();
    let directory = std::path::Path::new(command.get_program()).parent().filter(|it| !it.as_os_str().is_empty());
    directory.map_or_else(|| path.clone(), |directory| format!("{}:{path}", directory.display()))
}

fn demand(output: Output) -> anyhow::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
