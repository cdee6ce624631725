//! `openteam audit review`: the digest of the record that a person is to look at, and their signature.

use std::{collections::BTreeMap, fmt::Write, process::ExitCode};

use anyhow::{Context, bail};
use audit::wire::digest::Digest;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use process::review::{Access, Kept, NAME, NOTE, OfRecorder, SIGNED_OFF, signature};
use serde::Serialize;
use serde_json::json;

use crate::{
    cluster,
    output::{Output, count, seconds, table},
};

/// Nobody has reviewed the record in time.
const OVERDUE: u8 = 1;
/// How often it is tried when the operator writes at the same time.
const ATTEMPTS: usize = 10;

/// Where the digest is, and what to do with it.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The namespace OpenTeam runs in
    #[arg(long, short, global = true, default_value = "openteam-system")]
    namespace: String,

    /// How to print
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    output: Output,
}

/// What to do.
#[derive(Subcommand)]
enum Command {
    /// Print the digest, and who has signed it off; ends with 1 when a review is overdue
    Show,
    /// Say that you have reviewed the digest, in your name as the apiserver knows it
    SignOff {
        /// What you found; no credentials, no addresses
        #[arg(long)]
        note: Option<String>,
        /// What you looked at, as it was printed: nothing is signed where the current digest is another one
        #[arg(long)]
        digest: Option<String>,
    },
}

/// What programs are told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    /// What is signed off.
    digest: String,
    made_at: Timestamp,
    /// Until when somebody must have signed off this one; once that is done, the next.
    due_by: Timestamp,
    is_overdue: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_off_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_off_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    review: &'a process::review::ReviewDigest,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let client = cluster::client().await?;
    match &arguments.command {
        None | Some(Command::Show) => {
            let (map, kept) = read(&client, &arguments.namespace).await?;
            let annotations = map.metadata.annotations.unwrap_or_default();
            let told = told(&kept, &annotations, Timestamp::now());
            arguments.output.print(&told, || page(&kept, &told))?;
            if told.is_overdue {
                return Ok(ExitCode::from(OVERDUE));
            }
        }
        Some(Command::SignOff { note, digest }) => {
            let user = cluster::who(&client).await?;
            sign_off(&client, &arguments.namespace, &user, note.as_deref(), digest.as_deref()).await?;
            eprintln!("signed off by {user}; the operator records that within a minute");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(client: &Client, namespace: &str) -> anyhow::Result<(ConfigMap, Kept)> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = maps.get_opt(NAME).await.map_err(|error| cluster::said(&error));
    let found = found.with_context(|| format!("ConfigMap {namespace}/{NAME} cannot be read"))?;
    let map = found.with_context(|| {
        format!(
            "there is no ConfigMap {namespace}/{NAME}: the operator makes the first review a day after the installation"
        )
    })?;
    let kept = Kept::parse(&map.data.clone().unwrap_or_default())?;
    Ok((map, kept))
}

/// Signs what there is at first, again where the operator writes at the same time, and nothing else.
async fn sign_off(
    client: &Client,
    namespace: &str,
    user: &str,
    note: Option<&str>,
    wanted: Option<&str>,
) -> anyhow::Result<()> {
    let mut wanted = wanted.map(str::to_owned);
    for _ in 0..ATTEMPTS {
        let (map, kept) = read(client, namespace).await?;
        let digest = kept.digest();
        if let Some(signed_off) = &kept.signed_off {
            bail!("{} signed it off already, at {}", signed_off.by, seconds(signed_off.at));
        }
        if *wanted.get_or_insert_with(|| digest.clone()) != digest {
            bail!("the current digest is another one, {digest}: look at it first");
        }
        // Null takes away what somebody noted before.
        let patch = json!({ "metadata": {
            "resourceVersion": map.metadata.resource_version,
            "annotations": { SIGNED_OFF: signature(&digest, user), NOTE: note },
        } });
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        match maps.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(cluster::said(&error)).context("the review is not signed off"),
        }
    }
    bail!("ConfigMap {namespace}/{NAME} is written by others all the time; try again")
}

fn told<'a>(kept: &'a Kept, annotations: &'a BTreeMap<String, String>, now: Timestamp) -> Told<'a> {
    let signed_off = kept.signed_off.as_ref();
    Told {
        digest: kept.digest(),
        made_at: kept.made_at,
        due_by: kept.due(),
        is_overdue: kept.due() < now,
        signed_off_by: signed_off.map(|it| it.by.as_str()),
        signed_off_at: signed_off.map(|it| it.at),
        note: annotations.get(NOTE).map(String::as_str),
        review: &kept.content,
    }
}

/// As people read it.
fn page(kept: &Kept, told: &Told<'_>) -> String {
    let content = &kept.content;
    let state = match (told.signed_off_by, told.signed_off_at) {
        (Some(by), Some(at)) if told.is_overdue => {
            let due = seconds(told.due_by);
            format!(
                "signed off by {by} at {}; OVERDUE: the next was due by {due}, and the operator made none",
                seconds(at)
            )
        }
        (Some(by), Some(at)) => format!("signed off by {by} at {}", seconds(at)),
        _ if told.is_overdue => {
            let due = seconds(told.due_by);
            format!("OVERDUE: to be signed off by {due}; promise 5, that the record is reviewed, is not kept")
        }
        _ => format!("to be signed off by {}", seconds(told.due_by)),
    };
    let whole = if content.is_verified { "every log is whole" } else { "NOT EVERY LOG WAS FOUND WHOLE" };
    let note = told.note.map(|note| format!("Note: {note}\n")).unwrap_or_default();
    let mut parts = vec![format!(
        "The record from {} to {}: {whole}\n{state}\n{note}{}\n",
        seconds(content.from),
        seconds(content.to),
        told.digest
    )];
    parts.extend(content.recorders.iter().map(of_recorder));
    if !content.witnessed.is_empty() {
        let rows = content.witnessed.iter().map(|log| [log.origin.clone(), log.size.to_string(), log.root.clone()]);
        parts.push(table(["WITNESSED LOG", "ENTRIES", "ROOT"], &rows.collect::<Vec<_>>()));
    }
    parts.push(access(&content.access));
    parts.join("\n")
}

fn of_recorder(one: &OfRecorder) -> String {
    let mut text = format!("Recorder {}\n", one.pod);
    // Writing to a String cannot fail.
    let Some(Digest { counts, detections, anomalies, unreadable, logs }) = &one.digest else {
        let _ = writeln!(text, "did not answer: {}", one.missing.as_deref().unwrap_or_default());
        return text;
    };
    let rows = counts.iter().map(|it| {
        let outcome = format!("{:?}", it.outcome);
        [it.class.to_string(), it.caption.clone(), outcome, it.events.to_string(), it.occurrences.to_string()]
    });
    text += &table(["CLASS", "EVENTS OF", "OUTCOME", "EVENTS", "FOR"], &rows.collect::<Vec<_>>());
    if !anomalies.is_empty() {
        let rows = anomalies.iter().map(|it| {
            let about = [&it.actor, &it.connection, &it.writer, &it.team].into_iter().flatten().next();
            let time = Timestamp::from_millisecond(it.time).map(seconds).unwrap_or_default();
            let many = it.count.map(|count| count.to_string()).unwrap_or_default();
            [time, it.kind.clone(), about.cloned().unwrap_or_default(), many]
        });
        let all: u64 = detections.iter().map(|kind| kind.events).sum();
        let _ = writeln!(text, "\n{} of {all} that need a look", anomalies.len());
        text += &table(["TIME", "WHAT", "ABOUT", "COUNT"], &rows.collect::<Vec<_>>());
    }
    if *unreadable > 0 {
        let _ = writeln!(text, "\nplaces that hold no event: {unreadable}");
    }
    let rows = logs.iter().map(|log| {
        let flaws = log.flaws.len() as u64 + log.more_flaws;
        let state = if flaws == 0 { "whole".to_owned() } else { count(flaws as i64, "flaw") };
        [log.shard.clone(), log.size.to_string(), log.root.clone(), state]
    });
    text.push('\n');
    text += &table(["LOG", "ENTRIES", "ROOT", "VERIFIED"], &rows.collect::<Vec<_>>());
    for (log, flaw) in logs.iter().flat_map(|log| log.flaws.iter().map(move |flaw| (log, flaw))) {
        let _ = writeln!(text, "{}: {flaw}", log.shard);
    }
    text
}

fn access(access: &Access) -> String {
    let rows = access.teams.iter().map(|team| {
        let of = |role: &str| team.members.iter().filter(|member| member.role == role).count();
        let grants = team.agent_grants.iter().map(|grant| format!("{}={}", grant.name, grant.service_account));
        let tokens = team.runtime_tokens.iter().map(|token| token.name.clone());
        [
            team.team.clone(),
            format!("{}/{}/{}", of("Owner"), of("Member"), of("Viewer")),
            team.connections.join(","),
            grants.collect::<Vec<_>>().join(","),
            tokens.collect::<Vec<_>>().join(","),
        ]
    });
    let headings = ["TEAM", "OWNERS/MEMBERS/VIEWERS", "CONNECTIONS", "GRANTS", "RUNTIME TOKENS"];
    let mut text = table(headings, &rows.collect::<Vec<_>>());
    if access.more_teams > 0 {
        let _ = writeln!(text, "and {} Teams more, for which the digest had no room", access.more_teams);
    }
    text
}

#[cfg(test)]
mod tests {
    use audit::wire::digest::{Anomaly, Count, Detections, Log, Outcome};
    use process::review::{MemberAccess, ReviewDigest, SignedOff, TeamAccess, WitnessedLog};

    use super::*;

    fn kept() -> Kept {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let root = "cm9vdA==".to_owned();
        let log = |shard: &str, flaws: &[&str]| Log {
            shard: shard.to_owned(),
            origin: format!("audit.c/openteam-recorder-0/{shard}"),
            size: 7,
            root: root.clone(),
            flaws: flaws.iter().map(|flaw| (*flaw).to_owned()).collect(),
            more_flaws: 0,
        };
        let digest = Digest {
            counts: vec![Count {
                class: 6003,
                caption: "API Activity".to_owned(),
                outcome: Outcome::Refused,
                events: 2,
                occurrences: 40,
            }],
            detections: vec![Detections { kind: "NewNetwork".to_owned(), events: 120 }],
            anomalies: vec![Anomaly {
                time: at("2026-11-12T10:00:00Z").as_millisecond(),
                kind: "NewNetwork".to_owned(),
                actor: Some("acme/ci".to_owned()),
                ..Anomaly::default()
            }],
            unreadable: 0,
            logs: vec![log("2026q3", &[]), log("2026q4", &["tile/0/000 is missing"])],
        };
        let member = |role: &str| MemberAccess { member: "hmac-sha256:00".to_owned(), role: role.to_owned() };
        let content = ReviewDigest {
            uid: serde_json::from_value(json!("0193683f-0000-7000-8000-000000000000")).unwrap(),
            from: at("2026-11-01T00:00:00Z"),
            to: at("2026-11-13T00:00:00Z"),
            is_verified: false,
            recorders: vec![
                OfRecorder { pod: "openteam-recorder-0".to_owned(), digest: Some(digest), missing: None },
                OfRecorder { pod: "openteam-recorder-1".to_owned(), digest: None, missing: Some("503".to_owned()) },
            ],
            witnessed: vec![WitnessedLog { origin: "audit.c/openteam-recorder-0/2026q4".to_owned(), size: 6, root }],
            access: Access {
                teams: vec![TeamAccess {
                    team: "acme/sales".to_owned(),
                    members: vec![member("Owner"), member("Viewer"), member("Viewer")],
                    connections: vec!["acme-na".to_owned()],
                    ..TeamAccess::default()
                }],
                more_teams: 0,
            },
        };
        let json = serde_json::to_string(&content).unwrap();
        let (made_at, due_by) = (at("2026-11-13T00:00:00Z"), at("2026-11-15T00:00:00Z"));
        Kept { content, json, made_at, due_by, mail: None, signed_off: None }
    }

    #[test]
    fn the_page_says_what_a_reviewer_must_know() {
        let mut kept = kept();
        let none = BTreeMap::new();
        let text = page(&kept, &told(&kept, &none, kept.made_at));
        for part in [
            "NOT EVERY LOG WAS FOUND WHOLE\nto be signed off by 2026-11-15T00:00:00Z\nsha256:",
            "6003   API Activity  Refused  2       40",
            "1 of 120 that need a look",
            "2026-11-12T10:00:00Z  NewNetwork  acme/ci",
            "2026q3  7        cm9vdA==  whole",
            "2026q4  7        cm9vdA==  1 flaw\n2026q4: tile/0/000 is missing\n",
            "Recorder openteam-recorder-1\ndid not answer: 503\n",
            "audit.c/openteam-recorder-0/2026q4  6",
            "acme/sales  1/0/2",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        kept.signed_off = Some(SignedOff { by: "jane@example.com".to_owned(), at: kept.made_at });
        let noted = BTreeMap::from([(NOTE.to_owned(), "the network is our VPN".to_owned())]);
        let text = page(&kept, &told(&kept, &noted, kept.made_at));
        assert!(
            text.contains("signed off by jane@example.com at 2026-11-13T00:00:00Z\nNote: the network is our VPN\n")
        );
    }

    #[test]
    fn a_review_that_nobody_made_in_time_is_overdue() {
        let mut kept = kept();
        let none = BTreeMap::new();
        let overdue = |kept: &Kept, now: Timestamp| {
            let told = told(kept, &none, now);
            (told.is_overdue, page(kept, &told).contains("OVERDUE"))
        };
        let (due, second) = (kept.due_by, jiff::SignedDuration::from_secs(1));
        assert_eq!(overdue(&kept, due), (false, false));
        assert_eq!(overdue(&kept, due + second), (true, true));
        // Once it is signed off, the next one is.
        kept.signed_off = Some(SignedOff { by: "jane@example.com".to_owned(), at: due });
        assert_eq!(overdue(&kept, due + second), (false, false));
        assert_eq!(overdue(&kept, kept.made_at + process::review::EVERY + second), (true, true));
    }

    #[test]
    fn programs_are_told_the_same() {
        let kept = kept();
        let none = BTreeMap::new();
        let told = serde_json::to_value(told(&kept, &none, kept.made_at)).unwrap();
        assert_eq!(told["digest"], kept.digest());
        assert_eq!(told["dueBy"], "2026-11-15T00:00:00Z");
        assert!(told.get("signedOffBy").is_none());
        assert_eq!(told["review"]["recorders"][0]["digest"]["logs"][1]["flaws"][0], "tile/0/000 is missing");
    }
}
