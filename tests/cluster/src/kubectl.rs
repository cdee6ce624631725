//! kubectl against one cluster.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Error;
use crate::spawn::{self, tethered};

/// kubectl with the options that lead to one cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    options: Vec<OsString>,
}

impl Kubectl {
    /// The `kubectl` in the PATH, for a context of the user's own kubeconfig.
    pub fn for_context(name: &str) -> Self {
        Self { program: PathBuf::from("kubectl"), options: vec![format!("--context={name}").into()] }
    }

    /// `program` with the kubeconfig `config`. Discovery is cached in `cache`, not in the user's home: a later cluster on
    /// the same port would be taken for this one.
    pub(crate) fn for_config(program: PathBuf, config: &Path, cache: &Path) -> Self {
        let option = |name: &str, path: &Path| {
            let mut text = OsString::from(name);
            text.push(path);
            text
        };
        Self { program, options: vec![option("--kubeconfig=", config), option("--cache-dir=", cache)] }
    }

    /// A command to be given arguments: for output that is streamed, or a child that runs on (`port-forward`). It dies with
    /// this process if it is spawned from a thread that lives as long.
    pub fn command(&self) -> Command {
        let mut command = tethered(&self.program);
        command.args(&self.options);
        command
    }

    /// Runs kubectl and returns what it wrote, whatever its status.
    ///
    /// # Errors
    /// It could not be started.
    pub fn output(&self, args: &[&str]) -> Result<Output, Error> {
        let mut command = self.command();
        command.args(args);
        spawn::output(command)
    }

    /// Runs kubectl and returns its standard output.
    ///
    /// # Errors
    /// It could not be started, or failed; then with what it wrote.
    pub fn run(&self, args: &[&str]) -> Result<String, Error> {
        spawn::checked(format!("kubectl {}", args.join(" ")), &self.output(args)?)
    }

    /// Runs kubectl with `input` as its standard input (`-f -`) and returns its standard output.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(&self, args: &[&str], input: &str) -> Result<String, Error> {
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn::spawn(command)?;
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl may fail before it has read everything; its own words say why better than a broken pipe.
            drop(stdin.write_all(input.as_bytes()));
        }
        let output = child.wait_with_output().map_err(Error::file("wait for", &self.program))?;
        spawn::checked(format!("kubectl {}", args.join(" ")), &output)
    }
}
