//! A person's own machine: a RuntimeToken, `kubectl port-forward`, and client libraries that know nothing of either.

use std::{fs, process::Command};

use anyhow::{Context, bail};
use cluster::clients::Library;

use super::{
    CONNECTION, INSIDE, SYSTEM, TEAM,
    install::{scratch, write_private},
    outside::PortForward,
    place::Place,
};
use crate::{check::show, shell};

/// Does what `docs/clients.md` says, and lists orders with each library.
pub(super) fn walk(place: &Place) -> anyhow::Result<()> {
    let kubectl = place.kubectl();
    let directory = scratch()?.join("laptop");
    fs::create_dir_all(&directory)?;
    let ca = r#"go-template={{index .data "ca.crt"}}"#;
    fs::write(directory.join("ca.crt"), kubectl.run(&["get", "configmap", "openteam-gateway", "-n", TEAM, "-o", ca])?)?;

    let words = ["runtime-token", "acme/ada-laptop", "--team", TEAM, "--issued-by", "ada@acme.example"];
    let mut command = Command::new(shell::program("openteam")?);
    command.args(words).args(["--connection", CONNECTION, "--ttl", "8h"]);
    place.direct(&mut command)?;
    let output = command.output().context("openteam runtime-token")?;
    if !output.status.success() {
        bail!("openteam runtime-token: {}", String::from_utf8_lossy(&output.stderr));
    }
    write_private(&directory.join("token"), &String::from_utf8(output.stderr)?)?;
    kubectl.run(&["delete", "runtimetoken", "ada-laptop", "-n", TEAM, "--ignore-not-found"])?;
    kubectl.run_with(&["apply", "-f", "-"], &String::from_utf8(output.stdout)?)?;
    kubectl.run(&["wait", "--for=condition=Ready", "runtimetoken/ada-laptop", "-n", TEAM, "--timeout=30s"])?;
    show(&format!("$ openteam {} --connection {CONNECTION} --ttl 8h 2> token | kubectl apply -f -", words.join(" ")));

    let forward = PortForward::open(kubectl, SYSTEM, "service/openteam-gateway", 443)?;
    let url = format!("https://localhost:{}", forward.address().port());
    fs::write(directory.join("url"), &url)?;
    show(&format!("$ kubectl port-forward -n {SYSTEM} service/openteam-gateway {}:443", forward.address().port()));
    let connection = format!("{TEAM}/{CONNECTION}");
    for library in Library::ALL {
        let mut program = library.program("orders").with_context(|| library.name())?;
        program.args([connection.as_str(), INSIDE]).env("OPENTEAM", &directory).env("HOME", &directory);
        let output = program.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let orders: Vec<&str> = said.split_whitespace().collect();
        if !output.status.success() || orders.is_empty() {
            bail!("{}: {said}{}", library.name(), String::from_utf8_lossy(&output.stderr));
        }
        show(&format!("{:20} {url}   {}", library.name(), orders.join(" ")));
    }
    Ok(())
}
