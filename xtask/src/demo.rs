//! `cargo xtask demo`: the whole product on a real Kubernetes, the main job walked step by step.

mod browser;
mod evidence;
mod images;
mod incident;
mod install;
mod laptop;
mod leaks;
mod outside;
mod place;
mod portal;
mod record;
mod rotation;
mod work;

use std::{collections::BTreeMap, path::PathBuf, pin::pin, time::Duration};

use anyhow::Context;
use clap::Args;
use cluster::{Kubectl, clients::Library};
use serde_json::json;

use crate::{
    check::{Steps, show},
    shell,
};
use browser::{Forwards, Ports};
use place::Place;

/// The namespace OpenTeam runs in, as the manifests have it.
const SYSTEM: &str = "openteam-system";
/// The samples' namespace and connection.
const TEAM: &str = "acme";
const CONNECTION: &str = "acme-na";
/// The Owner of the samples' Team.
const MEMBER: &str = "ada@acme.example";
/// In the samples, the agent may use the first and the connection has the second too.
const INSIDE: &str = "ATVPDKIKX0DER";
const OUTSIDE: &str = "A2EUQ1WTGCTBG2";

/// How the demo runs.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// End after the walk instead of staying up
    #[arg(long)]
    once: bool,

    /// Use this context of your kubeconfig instead of a cluster of the demo's own
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// With --context: how an image archive gets into that cluster; {} is its path, such as 'kind load image-archive {}'
    #[arg(long, value_name = "COMMAND", requires = "context")]
    load: Option<String>,
}

/// What the walk learned.
#[derive(Default)]
struct Figures {
    containment_ms: Option<u128>,
    lwa_calls: Option<u64>,
    versions: BTreeMap<String, String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let mut figures = Figures::default();
    let walked = walk(arguments, &mut steps, &mut figures);
    let ok = walked.is_ok();
    if let Ok(walked) = walked
        && !arguments.once
    {
        stay(walked)?;
    }
    // The cluster has ended before the last line, so that nothing is said after it.
    println!(
        "\n{}",
        json!({
            "steps": steps.done(),
            "containment_ms": figures.containment_ms,
            "lwa_calls": figures.lwa_calls,
            "versions": figures.versions,
        })
    );
    if ok { Ok(()) } else { std::process::exit(1) }
}

/// What is there after the walk. The forwards end before the cluster does.
struct Walked {
    ports: Ports,
    forwards: Forwards,
    authorities: PathBuf,
    place: Place,
}

fn walk(arguments: &Arguments, steps: &mut Steps, figures: &mut Figures) -> anyhow::Result<Walked> {
    let place = steps.step("Kubernetes", || Place::open(arguments))?;
    let ports = Ports::choose()?;
    let walked = (|| {
        let kubectl = place.kubectl();
        steps.step("Images", || images::build(&place))?;
        let amazon = steps.step("Manifests, every pod Ready", || install::install(kubectl, &ports))?;
        steps.step("openteam seal, samples applied", || install::samples(&place, &amazon, &ports))?;
        steps.step("kubectl get amzc shows READY", || install::ready(kubectl))?;
        steps.step("An agent pod lists orders through python-amazon-sp-api", || work::agent(&place, &amazon))?;
        steps.step("A laptop does through kubectl port-forward, with three libraries", || laptop::walk(&place))?;
        let forwards = Forwards::open(kubectl, &ports)?;
        let authorities = browser::authorities(kubectl, amazon.authority())?;
        let walk = || portal::walk(&ports, &amazon, &std::fs::read_to_string(&authorities)?);
        steps.step("A member signs in, connects a seller, issues a token, uses it", walk)?;
        let contained =
            steps.step("openteam.dev/disable: every gateway replica refuses", || incident::contain(&place))?;
        figures.containment_ms = Some(contained.slowest.as_millis());
        steps.step("incident export: evidence, verified offline", || evidence::export(&place))?;
        steps.step("Rotated: the refresh token is used no more", || rotation::rotate(&place))?;
        let consent = || rotation::consent(&place, &amazon);
        steps.step("The seller consents again; Amazon refuses the old token", consent)?;
        steps.step("Restored: every replica serves", || incident::restore(&place, contained))?;
        steps.step("The incident is closed, with its remedy", || rotation::close(&place))?;
        steps.step("The journal lists it all", || work::journal(kubectl))?;
        steps.step("The record is verified, by us and by tessera's fsck", || record::verify(&place))?;
        steps.step("Amazon's credentials looked for everywhere: none", || leaks::look(&place, &amazon))?;
        figures.lwa_calls = Some(steps.step("What Amazon saw", || work::amazon_calls(kubectl))?);
        figures.versions = versions(kubectl)?;
        Ok((forwards, authorities))
    })();
    match walked {
        Ok((forwards, authorities)) => Ok(Walked { ports, forwards, authorities, place }),
        Err(error) => {
            explain(place.kubectl());
            Err(error)
        }
    }
}

fn versions(kubectl: &Kubectl) -> anyhow::Result<BTreeMap<String, String>> {
    let said = kubectl.run(&["version", "-o", "json"]).context("kubectl version")?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let server = said["serverVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned();
    let own = [("kubernetes".to_owned(), server), ("openteam".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    let mut versions = BTreeMap::from(own);
    for library in Library::ALL {
        versions.insert(library.name().to_owned(), library.version()?);
    }
    Ok(versions)
}

/// What a person would look at first when something did not come up.
fn explain(kubectl: &Kubectl) {
    println!("\n-- what the cluster says");
    for words in [
        &["get", "pods", "-A", "-o", "wide"][..],
        &["get", "events", "-A", "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"],
        &["get", "openteam", "-A"],
        &["logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=openteam", "--tail=15", "--prefix", "--all-containers"],
    ] {
        if let Ok(output) = kubectl.output(words) {
            println!("   $ kubectl {}", words.join(" "));
            show(&String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// Stays up until Ctrl-C.
fn stay(walked: Walked) -> anyhow::Result<()> {
    let Walked { ports, mut forwards, authorities, place } = walked;
    println!("\nThe demo stays up; Ctrl-C ends it and leaves nothing behind. In another terminal:");
    println!("   {}", place.how_to_reach());
    println!("   kubectl get openteam -A");
    println!("   kubectl annotate amzc/{CONNECTION} -n {TEAM} openteam.dev/disable=inc-2");
    println!("   {} --help", shell::program("openteam")?.display());
    println!("In a browser on this machine, as a member of the Team:");
    println!("   {}   the portal: sign in as {MEMBER}", ports.portal());
    println!("   {}    the mailbox: the code arrives here", ports.mailbox());
    println!(
        "   Their certificates are the demo's own: accept the warning, or trust {} meanwhile",
        authorities.display()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut end = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                ended = &mut end => return ended.context("Ctrl-C cannot be waited for"),
                () = tokio::time::sleep(Duration::from_secs(1)) => forwards.mend(place.kubectl()),
            }
        }
    })
}
