//! `openteam config`: what the roles would make of ConfigMap `openteam`, before they do.

mod source;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use process::settings::{ALL, Fault, Settings, check};
use serde::Serialize;

use self::source::Found;
use crate::output::{Output, table};

/// What to do with the settings.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check the settings and print what is in effect. Ends with 0 if they are right, with 1 if not, with 2 if there are
    /// none to check
    Check(Arguments),
}

/// Which settings; without any of these, those that the gateways of the cluster run with.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Check the ConfigMap openteam in this YAML, such as `kubectl kustomize` prints it (- is standard input), or a
    /// directory with one file a key, as it is mounted
    #[arg(long, short, value_name = "PATH")]
    file: Option<PathBuf>,

    /// The namespace OpenTeam runs in
    #[arg(long, short, default_value = "openteam-system")]
    namespace: String,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    source: String,
    valid: bool,
    settings: Vec<Row>,
    faults: Vec<Wrong>,
}

#[derive(Debug, Serialize)]
struct Row {
    key: &'static str,
    value: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Default,
    Set,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Wrong {
    key: String,
    message: String,
}

pub(crate) async fn run(command: &Command) -> ExitCode {
    let Command::Check(arguments) = command;
    match report(arguments).await {
        Ok(report) if report.valid => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The settings of the cluster, as far as they are right; `None` if they cannot be read.
pub(crate) async fn in_cluster(namespace: &str) -> Option<Settings> {
    let found = source::cluster(namespace).await.ok()?;
    Some(check(&found.values).0)
}

async fn report(arguments: &Arguments) -> anyhow::Result<Report> {
    let found = match &arguments.file {
        Some(path) => source::path(path)?,
        None => source::cluster(&arguments.namespace).await?,
    };
    let report = Report::of(found, &arguments.namespace);
    arguments.output.print(&report, || report.table())?;
    Ok(report)
}

impl Report {
    fn of(found: Found, namespace: &str) -> Self {
        let (settings, faults) = check(&found.values);
        let mut faults: Vec<Wrong> = faults.iter().map(Wrong::from).collect();
        faults.extend(found.faults);
        let row = |setting: &process::settings::Setting| {
            let wrong = faults.iter().any(|fault| fault.key == setting.key);
            let given = found.values.get(setting.key);
            let (value, state) = match given {
                // Not the value itself: it may be a password that does not belong there.
                _ if wrong => (String::new(), State::Wrong),
                Some(_) => (setting.value(&settings, namespace), State::Set),
                None => (setting.value(&Settings::default(), namespace), State::Default),
            };
            Row { key: setting.key, value, state }
        };
        Self { settings: ALL.iter().map(row).collect(), source: found.source, valid: faults.is_empty(), faults }
    }

    fn table(&self) -> String {
        let rows = self.settings.iter().map(|row| {
            let state = match row.state {
                State::Default => "default",
                State::Set => "set",
                State::Wrong => "wrong",
            };
            [row.key.to_owned(), row.value.clone(), state.to_owned()]
        });
        let mut lines = vec![table(["SETTING", "VALUE", "STATE"], &rows.collect::<Vec<_>>())];
        lines.extend(self.faults.iter().map(|fault| fault.message.clone()));
        lines.push(match self.faults.len() {
            0 => format!("{}: the settings are right", self.source),
            1 => format!("{}: 1 mistake; no role starts with it", self.source),
            many => format!("{}: {many} mistakes; no role starts with them", self.source),
        });
        lines.join("\n") + "\n"
    }
}

impl From<&Fault> for Wrong {
    fn from(fault: &Fault) -> Self {
        Self { key: fault.key().to_owned(), message: fault.to_string() }
    }
}

#[cfg(test)]
mod tests;
