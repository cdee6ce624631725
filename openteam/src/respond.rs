//! `kubectl openteam disable | restore | rotate | renew | status`: what a responder does in the first minute and
//! afterwards, and what they look at.
//!
//! Nothing here is needed to contain: it is the annotation `openteam.dev/disable`, which kubectl sets too. These commands say
//! beforehand how far it reaches, keep other incidents' names, and do what policies want of a restoration.

mod change;
mod replicas;
mod rotate;
mod status;
mod target;
pub(crate) mod world;

use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use access::Index;
use anyhow::{Context, bail};
use clap::Args;
use kube::Client;
use serde::Serialize;

pub(crate) use rotate::{Arguments as RotateArguments, renew, rotate};
pub(crate) use status::{Arguments as StatusArguments, run as status};

use self::{
    change::Change,
    target::{Kind, Target, incident},
    world::Reach,
};
use crate::{
    cluster,
    output::{Output, table},
};

const PROGRAM: &str = "kubectl-openteam";
/// Nothing waits long for a name.
const WHO_LIMIT: Duration = Duration::from_secs(1);

/// An incident, and what it is about.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The incident, such as inc-7
    #[arg(value_parser = incident)]
    incident: String,

    /// Objects: AmazonApplication (amza), Team, AmazonConnection (amzc), AgentGrant or RuntimeToken. Everything below one
    /// is contained with it
    #[arg(value_name = "KIND/NAMESPACE/NAME", required_unless_present = "all", conflicts_with = "all")]
    targets: Vec<Target>,

    /// disable: every AmazonApplication, and with them everything. restore: whatever the incident contains
    #[arg(long)]
    all: bool,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    namespace: String,
    name: String,
    /// The incidents that contain it now.
    incidents: Vec<String>,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Contains.
pub(crate) async fn disable(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // The operator opens an Incident of the name. What an annotation names otherwise contains too, and can be restored.
    if !crds::is_incident_name(&arguments.incident) {
        bail!("an incident's name is small letters, digits, - and ., at most 63, such as inc-7");
    }
    let client = cluster::client().await?;
    // Looked at only to find what to contain or to say how far it reaches: neither may cost the time of who said `--yes`.
    let world = if arguments.all || !arguments.yes { Some(world::read(&client).await) } else { None };
    let targets = match (&world, arguments.all) {
        (Some(Ok(index)), true) => names(index, Kind::AmazonApplication, |_| true),
        (Some(Err(error)), true) => bail!("--all: {error:#}; name the objects"),
        _ => arguments.targets.clone(),
    };
    if targets.is_empty() {
        bail!("there is no AmazonApplication to contain");
    }
    let question = world.filter(|_| !arguments.yes).map(|world| {
        let reach = match world {
            Ok(index) => format!("{} stop working", Reach::of(&index, &targets)),
            // Nobody who may contain is kept from it because they may not list.
            Err(error) => format!("how far that reaches is not known: {error:#}"),
        };
        format!("{} will contain {}: {reach}.", arguments.incident, told(&targets))
    });
    carry_out(&client, arguments.output, &targets, Change::Disable(&arguments.incident), question).await
}

/// Restores.
pub(crate) async fn restore(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let client = cluster::client().await?;
    let index = world::read(&client).await?;
    let targets = if arguments.all {
        let named = |meta: &_| {
            crds::annotation::incidents(meta).is_some_and(|incidents| incidents.contains(&arguments.incident))
        };
        Kind::ALL.into_iter().flat_map(|kind| names(&index, kind, named)).collect()
    } else {
        arguments.targets.clone()
    };
    if targets.is_empty() {
        bail!("{} contains nothing", arguments.incident);
    }
    let question = (!arguments.yes).then(|| {
        format!(
            "{} will no longer contain {}: {} work again, where nothing else contains them.",
            arguments.incident,
            told(&targets),
            Reach::of(&index, &targets)
        )
    });
    carry_out(&client, arguments.output, &targets, Change::Restore(&arguments.incident), question).await
}

fn names(
    index: &Index,
    kind: Kind,
    wanted: impl Fn(&k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> bool,
) -> Vec<Target> {
    world::objects(index, kind).into_iter().filter(|(_, meta)| wanted(meta)).map(|(target, _)| target).collect()
}

/// One by name, several by number.
fn told(targets: &[Target]) -> String {
    match targets {
        [one] => one.to_string(),
        many => format!("{} objects", many.len()),
    }
}

/// Does it to each, once `question` is agreed to; none is asked of who said `--yes`.
async fn carry_out(
    client: &Client,
    output: Output,
    targets: &[Target],
    change: Change<'_>,
    question: Option<String>,
) -> anyhow::Result<ExitCode> {
    if let Some(question) = question
        && !agreed(&question)?
    {
        eprintln!("Nothing was changed.");
        return Ok(ExitCode::from(2));
    }
    let manager = manager(client).await;
    let mut rows = Vec::new();
    for target in targets {
        // What fails for one must not keep the others from it.
        let done = change.apply(client, &manager, target).await;
        let (incidents, changed, error) = match done {
            Ok(done) => (done.incidents, done.changed, None),
            Err(error) => (Vec::new(), false, Some(format!("{error:#}"))),
        };
        rows.push(Row {
            kind: target.kind.as_str(),
            namespace: target.object.namespace.clone(),
            name: target.object.name.clone(),
            incidents,
            changed,
            error,
        });
    }
    output.print(&rows, || {
        let cells = rows.iter().map(|row| {
            let result = match (&row.error, row.changed) {
                (Some(error), _) => error.clone(),
                (None, true) => "done".to_owned(),
                (None, false) => "already so".to_owned(),
            };
            [row.kind.to_owned(), format!("{}/{}", row.namespace, row.name), row.incidents.join(","), result]
        });
        table(["KIND", "OBJECT", "CONTAINED BY", "RESULT"], &cells.collect::<Vec<_>>())
    })?;
    Ok(ExitCode::from(u8::from(rows.iter().any(|row| row.error.is_some()))))
}

/// What an object's `managedFields` tell of the write: this program, and who used it.
async fn manager(client: &Client) -> String {
    let who = tokio::time::timeout(WHO_LIMIT, cluster::who(client)).await;
    named(who.ok().and_then(Result::ok).as_deref())
}

/// A field manager has at most 128 bytes, all of them printable (Kubernetes, "Server-Side Apply").
fn named(who: Option<&str>) -> String {
    let Some(who) = who else { return PROGRAM.to_owned() };
    let who: String =
        who.chars().filter(|character| character.is_ascii_graphic() || *character == ' ').take(100).collect();
    format!("{PROGRAM} ({who})")
}

fn agreed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{question}\nNobody can be asked here; add --yes to go on");
    }
    eprint!("{question}\nGo on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("no answer can be read")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_bears_the_name_of_who_made_it_as_far_as_kubernetes_takes_it() {
        assert_eq!(named(Some("ann@example.com")), "kubectl-openteam (ann@example.com)");
        assert_eq!(named(Some("a\u{7}né\n")), "kubectl-openteam (an)");
        assert!(named(Some(&"n".repeat(500))).len() <= 128);
        assert_eq!(named(None), "kubectl-openteam");
    }
}
