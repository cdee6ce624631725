//! `kubectl openteam incident`: what is known of an incident, and adding to it.

mod export;
mod notice;
mod verify;

use std::{io::Write, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use crds::{AMAZON_WAS_TOLD, Incident, IncidentNote, IncidentPhase, condition};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster,
    output::{Output, count, seconds, table},
};

/// How often an Incident is looked at again that somebody else wrote meanwhile.
const ATTEMPTS: usize = 10;

/// Where Incidents are, and how to print.
#[derive(Args)]
pub(crate) struct Common {
    /// The namespace OpenTeam runs in
    #[arg(long, short, default_value = "openteam-system")]
    namespace: String,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// What to do with incidents.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// All incidents, those that are not closed first
    List {
        #[command(flatten)]
        common: Common,
    },
    /// One incident: what it contains, what happened, what was noted
    Show {
        /// The incident
        incident: String,
        #[command(flatten)]
        common: Common,
    },
    /// Add a note, in your name as the apiserver knows it. Notes are never changed or removed
    Note {
        /// The incident
        incident: String,
        /// What was found out or done; no credentials
        text: String,
        /// The note says that Amazon was told, and begins so: no reminder comes any more
        #[arg(long)]
        amazon_was_told: bool,
        /// The namespace OpenTeam runs in
        #[arg(long, short, default_value = "openteam-system")]
        namespace: String,
    },
    /// Print a draft of the notice to Amazon: what was reached, when it was detected, what was done. Complete it and send it
    /// yourself
    Notice(notice::Arguments),
    Export(export::Arguments),
    Verify(verify::Arguments),
    /// Say how it ended. It is closed once nothing is contained by it any more
    Close {
        /// The incident
        incident: String,
        /// Why it happened
        #[arg(long)]
        root_cause: String,
        /// What keeps it from happening again
        #[arg(long)]
        remedy: String,
        /// Who decided, and why, that Amazon need not refuse every refresh token that may have leaked
        #[arg(long)]
        waiver: Option<String>,
        /// The namespace OpenTeam runs in
        #[arg(long, short, default_value = "openteam-system")]
        namespace: String,
    },
}

pub(crate) async fn run(command: &Command) -> anyhow::Result<ExitCode> {
    if let Command::Verify(arguments) = command {
        return verify::run(arguments);
    }
    let client = cluster::client().await?;
    match command {
        Command::Export(arguments) => export::run(&client, arguments).await?,
        // Needs no cluster, hence above.
        Command::Verify(_) => {}
        Command::List { common } => list(&client, common).await?,
        Command::Show { incident, common } => {
            let found = read(&api(&client, &common.namespace), incident).await?;
            common.output.print(&found, || told(&found))?;
        }
        Command::Notice(arguments) => {
            let found = read(&api(&client, &arguments.namespace), &arguments.incident).await?;
            let text = notice::draft(&client, arguments, &found).await?;
            std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written to")?;
        }
        Command::Note { incident, text, amazon_was_told, namespace } => {
            let author = cluster::who(&client).await?;
            let text = if *amazon_was_told { format!("{AMAZON_WAS_TOLD}: {text}") } else { text.clone() };
            let note = |found: &Incident| {
                let mut notes = found.spec.notes.clone();
                // Whole seconds, as everybody reads them; a note of the same second and author would be taken for this one.
                let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
                let last = notes.iter().filter(|note| note.author == author).map(|note| note.time.0).max();
                let time = last.map_or(now, |last| now.max(last + jiff::SignedDuration::from_secs(1)));
                notes.push(IncidentNote { time: Time(time), author: author.clone(), text: text.clone() });
                json!({ "notes": notes })
            };
            write(&api(&client, namespace), incident, note).await?;
            eprintln!("noted by {author}");
        }
        Command::Close { incident, root_cause, remedy, waiver, namespace } => {
            // Null takes away what an earlier closing said.
            let closed = json!({ "closed": { "rootCause": root_cause, "remedy": remedy, "waiver": waiver } });
            let found = write(&api(&client, namespace), incident, |_| closed.clone()).await?;
            match found.status.map_or(0, |status| status.contained) {
                0 => {
                    eprintln!("{incident} is closed, if Amazon refuses every refresh token that was within its reach");
                    eprintln!("kubectl openteam incident show {incident}");
                }
                many => {
                    eprintln!("{incident} is closed once it contains nothing any more; now it contains {many}");
                    eprintln!("kubectl openteam restore {incident} --all");
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn api(client: &Client, namespace: &str) -> Api<Incident> {
    Api::namespaced(client.clone(), namespace)
}

async fn read(api: &Api<Incident>, name: &str) -> anyhow::Result<Incident> {
    cluster::read(api, name).await.with_context(|| format!("Incident {name} cannot be read"))
}

/// Changes the spec over what was read, again where somebody else was faster.
async fn write(api: &Api<Incident>, name: &str, change: impl Fn(&Incident) -> Value) -> anyhow::Result<Incident> {
    for _ in 0..ATTEMPTS {
        let found = read(api, name).await?;
        let patch = json!({
            "metadata": { "resourceVersion": found.metadata.resource_version },
            "spec": change(&found),
        });
        match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(written) => return Ok(written),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(cluster::said(&error)).with_context(|| format!("Incident {name}")),
        }
    }
    bail!("Incident {name} is written by others all the time; try again")
}

async fn list(client: &Client, common: &Common) -> anyhow::Result<()> {
    let listed = api(client, &common.namespace).list(&ListParams::default()).await;
    let mut incidents = listed.map_err(|error| cluster::said(&error)).context("Incidents cannot be listed")?.items;
    incidents.sort_by_key(|one| (phase(one) == Some(IncidentPhase::Closed), one.creation_timestamp(), one.name_any()));
    common.output.print(&incidents, || {
        let rows = incidents.iter().map(|one| {
            [
                one.name_any(),
                one.spec.severity.map(|severity| format!("{severity:?}")).unwrap_or_default(),
                phase(one).map(|phase| phase.as_str().to_owned()).unwrap_or_default(),
                one.status.as_ref().map(|status| status.contained.to_string()).unwrap_or_default(),
                deadline(one),
                one.spec.title.clone().unwrap_or_default(),
            ]
        });
        table(["INCIDENT", "SEVERITY", "PHASE", "CONTAINED", "NOTIFY AMAZON BY", "TITLE"], &rows.collect::<Vec<_>>())
    })
}

fn phase(incident: &Incident) -> Option<IncidentPhase> {
    incident.status.as_ref()?.phase
}

fn deadline(incident: &Incident) -> String {
    let by = incident.status.as_ref().and_then(|status| status.notify_amazon_by.as_ref());
    by.map(|by| seconds(by.0)).unwrap_or_default()
}

/// An incident as people read it.
fn told(incident: &Incident) -> String {
    let spec = &incident.spec;
    let status = incident.status.clone().unwrap_or_default();
    let mut parts = vec![format!(
        "{}{}\n{}; {}; below it: {}, {} and {}\n",
        incident.name_any(),
        spec.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default(),
        status.phase.map_or("not looked at yet", IncidentPhase::as_str),
        match spec.amazon_was_told() {
            true => "Amazon was told".to_owned(),
            false => format!("Amazon must be told by {}", deadline(incident)),
        },
        count(status.reach.connections, "connection"),
        count(status.reach.grants, "agent grant"),
        count(status.reach.tokens, "runtime token"),
    )];
    if !status.targets.is_empty() {
        let rows = status.targets.iter().map(|target| {
            let ended = target.restored_at.as_ref().or(target.deleted_at.as_ref());
            [
                target.kind.clone(),
                format!("{}/{}", target.namespace, target.name),
                seconds(target.contained_at.0),
                ended.map(|time| seconds(time.0)).unwrap_or_default(),
            ]
        });
        parts.push(table(["KIND", "OBJECT", "CONTAINED", "RESTORED"], &rows.collect::<Vec<_>>()));
    }
    if !status.timeline.is_empty() {
        let rows = status.timeline.iter().map(|entry| {
            [seconds(entry.time.0), entry.event.as_str().to_owned(), entry.about.clone().unwrap_or_default()]
        });
        parts.push(table(["TIME", "WHAT", "ABOUT"], &rows.collect::<Vec<_>>()));
    }
    if let Some(notified) = condition::find(&status.conditions, condition::NOTIFIED) {
        let rows = status.notifications.iter().map(|one| {
            [
                one.kind.as_str().to_owned(),
                one.to.clone(),
                one.state.as_str().to_owned(),
                seconds(one.at.0),
                one.last_reason.clone().unwrap_or_default(),
            ]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            parts.push(table(["MAIL", "TO", "STATE", "AT", "REASON"], &rows));
        }
        if notified.status != "True" {
            parts.push(format!("Not everybody was told: {}\n", notified.message));
        }
    }
    if !status.evidence.is_empty() {
        let rows = status.evidence.iter().map(|one| {
            let missing = one.missing.join(", ");
            [one.sequence.to_string(), seconds(one.created_at.0), one.digest.clone(), one.locations.join(", "), missing]
        });
        let headings = ["EVIDENCE", "MADE", "MANIFEST SHA-256", "AT", "MISSING"];
        parts.push(table(headings, &rows.collect::<Vec<_>>()));
    }
    if let Some(kept) =
        condition::find(&status.conditions, condition::EVIDENCE_KEPT).filter(|kept| kept.status == "False")
    {
        parts.push(format!("Evidence is not kept: {} ({})\n", kept.message, kept.reason));
    }
    if !spec.notes.is_empty() {
        let note = |note: &IncidentNote| format!("{} {}\n  {}\n", seconds(note.time.0), note.author, note.text);
        parts.push(spec.notes.iter().map(note).collect());
    }
    if let Some(closed) = &spec.closed {
        let waiver = closed.waiver.as_ref().map(|waiver| format!("Waiver: {waiver}\n")).unwrap_or_default();
        parts.push(format!("Root cause: {}\nRemedy: {}\n{waiver}", closed.root_cause, closed.remedy));
    }
    let kept_open = crds::condition::find(&status.conditions, crds::condition::CLOSED);
    if let Some(why) = kept_open.filter(|it| it.status != "True" && !it.message.is_empty()) {
        parts.push(format!("Not closed: {}\n", why.message));
    }
    parts.join("\n")
}
