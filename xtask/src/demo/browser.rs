//! What a person's browser needs of the demo: addresses on this machine, which stay the same while pods come and go.

use std::{net::TcpListener, path::PathBuf};

use anyhow::Context;
use cluster::{Kubectl, free_port};

use super::{SYSTEM, install::scratch, outside::PortForward};

/// Local ports, chosen before anything is installed: the portal is told its own address.
pub(super) struct Ports {
    portal: u16,
    mailbox: u16,
    amazon: u16,
    gateway: u16,
}

impl Ports {
    /// The same at every demo, but for what is taken.
    pub(super) fn choose() -> anyhow::Result<Self> {
        let port = |wanted| match TcpListener::bind(("127.0.0.1", wanted)) {
            Ok(_) => Ok(wanted),
            Err(_) => free_port().context("no local port is free"),
        };
        Ok(Self { portal: port(9443)?, mailbox: port(9080)?, amazon: port(9444)?, gateway: port(9445)? })
    }

    /// Setting `publicUrl`.
    pub(super) fn portal(&self) -> String {
        format!("https://localhost:{}", self.portal)
    }

    /// Where mail is read. Not by the name: a browser may have learned from the portal that `localhost` is https only.
    pub(super) fn mailbox(&self) -> String {
        format!("http://127.0.0.1:{}", self.mailbox)
    }

    /// Where the seller consents: `endpoints.consent` of the application.
    pub(super) fn amazon(&self) -> String {
        format!("https://localhost:{}", self.amazon)
    }

    /// What the portal tells of the gateway, to people of this machine.
    pub(super) fn gateway(&self) -> String {
        format!("https://localhost:{}", self.gateway)
    }
}

/// The ports, as long as this is kept.
pub(super) struct Forwards(Vec<PortForward>);

impl Forwards {
    pub(super) fn open(kubectl: &Kubectl, ports: &Ports) -> anyhow::Result<Self> {
        let all = [
            (SYSTEM, "service/openteam-portal", 443, ports.portal),
            (SYSTEM, "service/openteam-gateway", 443, ports.gateway),
            ("mailbox", "service/mailbox", 8080, ports.mailbox),
            ("amazon", "service/amazon", 443, ports.amazon),
        ];
        let open =
            |(namespace, object, port, local)| PortForward::open_at(kubectl, namespace, object, port, Some(local));
        Ok(Self(all.into_iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Opens again what ended with its pod.
    pub(super) fn mend(&mut self, kubectl: &Kubectl) {
        for forward in &mut self.0 {
            // Until another pod is there it does not open, and is tried again.
            let _ = forward.open_again(kubectl);
        }
    }
}

/// The authorities that a browser would have to trust, as a file.
pub(super) fn authorities(kubectl: &Kubectl, amazon: &str) -> anyhow::Result<PathBuf> {
    let ca = r#"go-template={{index .data "ca.crt"}}"#;
    let own = kubectl.run(&["get", "configmap", "openteam-gateway", "-n", super::TEAM, "-o", ca])?;
    let file = scratch()?.join("authorities.crt");
    std::fs::write(&file, format!("{own}\n{amazon}"))?;
    Ok(file)
}
