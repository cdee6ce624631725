//! Where the demo runs: a cluster of its own, or one of the user's.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use cluster::{Cluster, Kubectl};

use super::Arguments;
use crate::{check::show, shell};

/// A cluster, and how images get into it.
pub(super) enum Place {
    /// Made for the demo, gone with it.
    Own(Box<Cluster>),
    /// A context of the user's kubeconfig.
    Context { name: String, kubectl: Kubectl, load: Option<String> },
}

impl Place {
    pub(super) fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let place = match &arguments.context {
            None => Self::Own(Box::new(
                Cluster::start()
                    .context("a cluster of the demo's own cannot be made; --context NAME uses one of yours")?,
            )),
            Some(name) => {
                Self::Context { name: name.clone(), kubectl: Kubectl::for_context(name), load: arguments.load.clone() }
            }
        };
        show(&place.kubectl().run(&["get", "nodes", "-o", "wide"])?);
        Ok(place)
    }

    pub(super) fn kubectl(&self) -> &Kubectl {
        match self {
            Self::Own(cluster) => cluster.client(),
            Self::Context { kubectl, .. } => kubectl,
        }
    }

    /// Brings an image archive into the cluster. Without a way to, it is taken to be there already.
    pub(super) fn load(&self, archive: &Path) -> anyhow::Result<()> {
        match self {
            Self::Own(cluster) => Ok(cluster.import_image(archive)?),
            Self::Context { load: None, .. } => Ok(()),
            Self::Context { load: Some(line), .. } => {
                let line = line.replace("{}", &archive.display().to_string());
                let mut words = line.split_whitespace();
                let Some(program) = words.next() else { bail!("--load is empty") };
                shell::run(Command::new(program).args(words))
            }
        }
    }

    /// Runs our own program against this cluster: what it prints on standard output, and on standard error.
    pub(super) fn openteam(&self, words: &[&str], input: &str) -> anyhow::Result<(String, String)> {
        let mut command = Command::new(shell::program("openteam")?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.direct(&mut command)?;
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("openteam {}: {said}", words.join(" "));
        }
        Ok((String::from_utf8(output.stdout)?, said))
    }

    /// The environment that makes a program of ours talk to this cluster.
    pub(super) fn direct(&self, command: &mut Command) -> anyhow::Result<()> {
        match self {
            Self::Own(cluster) => {
                command.env("KUBECONFIG", cluster.kubeconfig());
            }
            // The user's kubeconfig may have another current context: give ours a copy that has this one.
            Self::Context { kubectl, .. } => {
                let config = kubectl.run(&["config", "view", "--minify", "--flatten", "--raw"])?;
                let path = super::install::scratch()?.join("kubeconfig");
                super::install::write_private(&path, &config)?;
                command.env("KUBECONFIG", path);
            }
        }
        Ok(())
    }

    pub(super) fn how_to_reach(&self) -> String {
        match self {
            Self::Own(cluster) => format!(
                "export KUBECONFIG={} PATH={}:$PATH",
                cluster.kubeconfig().display(),
                cluster::binaries::Binaries::ensure().map(|b| b.dir().display().to_string()).unwrap_or_default()
            ),
            Self::Context { name, .. } => format!("kubectl config use-context {name}"),
        }
    }
}
