//! `openteam audit query`: what is recorded.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use audit::{Class, Name, ObjectName, wire::reading::Outcome};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use recorder::{
    query::{Format, Options, Query, class, print},
    read::ReadError,
};

use super::remote;

/// Between looks for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Print what is recorded, oldest first: from a recorder's directory, in its pod, or from its API with --url, for which RBAC lets
/// you read a namespace (`get` on records.openteam.dev) or everything (`audit` on teams.openteam.dev):
///
///   kubectl create token NAME --audience openteam-recorder > token
///   kubectl get configmap openteam-gateway -n NAMESPACE -o go-template='{{index .data "ca.crt"}}' > ca.crt
///   kubectl port-forward -n openteam-system service/openteam-recorder 8444 &
///   openteam audit query --url https://openteam-recorder.openteam-system.svc:8444 --connect 127.0.0.1:8444 --token-file token
///     --ca ca.crt --namespace NAMESPACE
#[derive(Args)]
#[command(verbatim_doc_comment)]
#[allow(rustdoc::bare_urls, reason = "the command's help, to be pasted as it is")]
pub(crate) struct Arguments {
    /// The recorder's directory
    #[arg(long, default_value = "/var/lib/openteam/journal")]
    dir: PathBuf,

    /// Only what was stored at this time or later, such as 2026-11-23T09:00:00Z
    #[arg(long)]
    since: Option<Timestamp>,

    /// Only what was stored before this time
    #[arg(long)]
    until: Option<Timestamp>,

    /// Only what is of this namespace alone, as its readers are told
    #[arg(long)]
    namespace: Option<String>,

    /// Only records of this Team
    #[arg(long, value_name = "NAMESPACE/NAME")]
    team: Option<ObjectName>,

    /// Only records of this AmazonConnection
    #[arg(long, value_name = "NAMESPACE/NAME")]
    connection: Option<ObjectName>,

    /// Only what was done by somebody whose name holds this text
    #[arg(long, value_name = "TEXT")]
    actor: Option<String>,

    /// Only this class of OCSF, by number or name: 6003, ApiActivity
    #[arg(long, value_name = "UID|NAME", value_parser = known_class)]
    class: Option<Class>,

    /// Only what ended so; may be repeated
    #[arg(long, value_enum)]
    outcome: Vec<Ended>,

    /// Only records with this text in them, as it is written there
    #[arg(long, value_name = "WORD")]
    text: Option<String>,

    /// Only the newest so many; with --url 1000 if nothing is said
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Go on with what is stored from now on, until interrupted
    #[arg(long, short, conflicts_with = "url")]
    follow: bool,

    #[command(flatten)]
    remote: remote::Arguments,

    /// How to print: columns, or records as they are stored, one a line
    #[arg(long, short, value_enum, default_value = "table")]
    output: As,
}

/// How to print records.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum As {
    Table,
    Json,
}

/// How something ended.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ended {
    /// It was about to happen
    Intended,
    /// It happened
    Succeeded,
    /// It was allowed, and failed
    Failed,
    /// It was not allowed
    Refused,
}

fn known_class(text: &str) -> Result<Class, String> {
    let all = || Class::ALL.map(|class| format!("{class:?} ({})", class.uid())).join(", ");
    class(text).ok_or_else(|| format!("not one of {}", all()))
}

impl Arguments {
    fn query(&self) -> anyhow::Result<Query> {
        let namespace = self.namespace.as_deref().map(Name::parse).transpose().context("--namespace")?;
        let outcome = |ended: &Ended| match ended {
            Ended::Intended => Outcome::Intended,
            Ended::Succeeded => Outcome::Succeeded,
            Ended::Failed => Outcome::Failed,
            Ended::Refused => Outcome::Refused,
        };
        Ok(Query {
            namespace,
            team: self.team.clone(),
            connection: self.connection.clone(),
            actor: self.actor.clone(),
            class: self.class,
            outcomes: self.outcome.iter().map(outcome).collect(),
            text: self.text.clone(),
            since: self.since,
            until: self.until,
        })
    }
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let query = arguments.query()?;
    let format = match arguments.output {
        As::Table => Format::Table,
        As::Json => Format::Json,
    };
    if arguments.remote.is_meant() {
        let lines = remote::ask(&arguments.remote, &query, arguments.limit).await?;
        let printed = recorder::query::print_lines(lines.iter().map(String::as_str), format, &mut stdout());
        return ended(printed).map(|_| ExitCode::SUCCESS);
    }
    let options = Options { format, limit: arguments.limit };
    let mut wait = || {
        if arguments.follow {
            std::thread::sleep(LOOK_EVERY);
        }
        arguments.follow
    };
    let dir = &arguments.dir;
    if !dir.is_dir() || !recorder::read::exists(dir)? {
        bail!("there is no record in {}", dir.display());
    }
    let answered = print(dir, &query, options, &mut stdout(), &mut wait);
    let Some(answered) = ended(answered).with_context(|| format!("record in {}", dir.display()))? else {
        return Ok(ExitCode::SUCCESS);
    };
    if !answered.unreadable.is_empty() {
        bail!("the record is not complete; openteam audit verify says more: {}", answered.unreadable.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}

fn stdout() -> impl Write {
    io::BufWriter::with_capacity(64 * 1024, io::stdout().lock())
}

/// Whoever reads our output may have seen enough.
fn ended<T>(printed: Result<T, ReadError>) -> anyhow::Result<Option<T>> {
    match printed {
        Ok(printed) => Ok(Some(printed)),
        Err(ReadError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error.into()),
    }
}
