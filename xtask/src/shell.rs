//! Commands of the project's own, run from its root.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A command that runs in the project's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command whose output goes to the terminal.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be started", words(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", words(command));
    }
    Ok(())
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let mut text = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text = format!("{text} {}", argument.to_string_lossy());
    }
    text
}

/// Builds every program of the workspace. One selection for all, so that no dependency is built twice with other
/// features.
pub(crate) fn build() -> anyhow::Result<()> {
    run(cargo().args(["build", "--workspace", "--bins"]))
}

/// A program that [`build`] made.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    // This program lies beside the others.
    let here = std::env::current_exe().context("this program's own path is not known")?;
    let path = here.with_file_name(name);
    if !path.is_file() {
        bail!("{} was not built", path.display());
    }
    Ok(path)
}
