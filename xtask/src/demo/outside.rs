//! Calling pods from outside the cluster: through `kubectl port-forward`, which every cluster has.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, Stdio},
};

use anyhow::{Context, bail};
use cluster::Kubectl;

/// A port of a pod or Service on the loopback, until it is dropped.
pub(super) struct PortForward {
    namespace: String,
    object: String,
    port: u16,
    child: Child,
    address: SocketAddr,
    /// Held open: kubectl tells of each connection here, and dies when nobody can read it.
    _output: BufReader<ChildStdout>,
}

impl PortForward {
    /// Forwards to `port` of `object`, such as `pod/NAME` or `service/NAME`.
    pub(super) fn open(kubectl: &Kubectl, namespace: &str, object: &str, port: u16) -> anyhow::Result<Self> {
        Self::open_at(kubectl, namespace, object, port, None)
    }

    /// The same at a local port.
    pub(super) fn open_at(
        kubectl: &Kubectl,
        namespace: &str,
        object: &str,
        port: u16,
        local: Option<u16>,
    ) -> anyhow::Result<Self> {
        let ports = local.map_or_else(|| format!(":{port}"), |local| format!("{local}:{port}"));
        let mut command = kubectl.command();
        command.args(["port-forward", "-n", namespace, object, &ports, "--address=127.0.0.1"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("kubectl has no output")?;
        let mut output = BufReader::new(stdout);
        let mut line = String::new();
        output.read_line(&mut line)?;
        // «Forwarding from 127.0.0.1:41234 -> 8443»
        let address = line.split_whitespace().nth(2).and_then(|word| word.parse().ok());
        match address {
            Some(address) => {
                let (namespace, object) = (namespace.to_owned(), object.to_owned());
                Ok(Self { namespace, object, port, child, address, _output: output })
            }
            None => {
                let _ = child.kill();
                bail!("kubectl port-forward -n {namespace} {object} said {line:?}")
            }
        }
    }

    /// Opens it at the same address, if it has ended.
    pub(super) fn open_again(&mut self, kubectl: &Kubectl) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            let local = Some(self.address.port());
            *self = Self::open_at(kubectl, &self.namespace, &self.object, self.port, local)?;
        }
        Ok(())
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // It may have ended by itself, with the pod.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
