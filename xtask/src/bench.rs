//! `cargo xtask bench`: figures, each a count, or a ratio to a reference measured in the same run. Goals are told, never
//! enforced: machines are noisy.

mod amazon;
mod audit;
mod bare;
mod containment;
mod gateway;
mod herd;
mod index;
mod load;
mod operator;
mod portal;
mod process;
mod unrecorded;
mod webhook;
mod wire;

use std::collections::BTreeMap;

use anyhow::Context;
use clap::{Args, ValueEnum};
use end_to_end::{Gateway, House, Plan};
use serde::Serialize;

use crate::shell;

/// Runs its arguments with as many open files as are allowed: 2,000 callers are 8,000 connections in one process.
const MANY_FILES: &str = r#"ulimit -Sn "$(ulimit -Hn)"; exec "$@""#;

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The bench; all of them without it
    name: Option<Name>,

    /// Print the figures alone, as one line of JSON per bench
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// 2,000 callers meet an expired token: one call to Login with Amazon, no failed caller
    Herd,
    /// What the gateway costs, against a bare server, against itself without recording, and against no gateway
    Gateway,
    /// 500 times: how long after the annotation calls are still granted
    Containment,
    /// The operator with 1,000 and with 10,000 connections
    Operator,
    /// The portal with 1,000 Teams and 10,000 connections: its first page, alone and while strangers flood the door
    Portal,
    /// How long a review takes, with 10,000 connections in the webhook's index
    Webhook,
    /// The record: events acknowledged a second against the disk's own syncs, a year's size, verifying against fsck
    Audit,
}

/// What a bench starts as processes of their own, so that each has a core.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// The load generator
    #[command(hide = true, name = "bench-load")]
    Load,
    /// The bare server that the gateway is compared with
    #[command(hide = true, name = "bench-bare")]
    Bare,
    /// The gateway, recording nothing
    #[command(hide = true, name = "bench-gateway")]
    Gateway(Box<::gateway::Arguments>),
}

impl Part {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Load => load::generate(),
            Self::Bare => bare::serve(),
            Self::Gateway(arguments) => unrecorded::run(arguments),
        }
    }
}

/// What a bench found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) bench: &'static str,
    /// The machine's one-minute load average when the bench began, and how many cores there are.
    pub(crate) load: Load,
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) goals: Vec<Goal>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) average: f64,
    pub(crate) cores: usize,
}

impl Load {
    /// The machine's load now (proc(5), `/proc/loadavg`).
    pub(crate) fn now() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
        let average = text.split_whitespace().next().and_then(|first| first.parse().ok());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { average: average.context("/proc/loadavg has another form")?, cores })
    }
}

/// A figure and what it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Goal {
    pub(crate) figure: &'static str,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) met: bool,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> anyhow::Result<Self> {
        Ok(Self { bench, load: Load::now()?, figures: BTreeMap::new(), goals: Vec::new() })
    }

    /// A figure without a goal.
    pub(crate) fn figure(&mut self, figure: &'static str, value: f64) {
        self.figures.insert(figure, value);
    }

    /// A figure that should be at most `limit`.
    pub(crate) fn at_most(&mut self, figure: &'static str, value: f64, limit: f64) {
        self.figure(figure, value);
        self.goals.push(Goal { figure, value, limit, met: value <= limit });
    }

    /// A figure that should be at least `limit`.
    pub(crate) fn at_least(&mut self, figure: &'static str, value: f64, limit: f64) {
        self.figure(figure, value);
        self.goals.push(Goal { figure, value, limit, met: value >= limit });
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        if !json {
            println!("\n== {} (load {} on {} cores)", self.bench, self.load.average, self.load.cores);
            for (figure, value) in &self.figures {
                let goal = self.goals.iter().find(|goal| goal.figure == *figure);
                let goal = goal.map_or(String::new(), |goal| {
                    format!("   {} the limit of {}", if goal.met { "within" } else { "MISSES" }, goal.limit)
                });
                println!("   {figure:<48} {value:>12.3}{goal}");
            }
        }
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// Each bench is a process of its own, built for release.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let (Some(name), false) = (arguments.name, cfg!(debug_assertions)) {
        return measure(name)?.print(arguments.json);
    }
    let packages = ["--package=openteam", "--package=openteam-amazon-emulator", "--package=xtask"];
    shell::run(shell::cargo().args(["build", "--release"]).args(packages))?;
    for name in Name::value_variants().iter().filter(|name| arguments.name.is_none_or(|wanted| wanted == **name)) {
        let name = name.to_possible_value().context("a bench without a name")?;
        let mut command = shell::command("sh");
        command.args(["-c", MANY_FILES, "bench"]).arg(shell::root().join("target/release/xtask"));
        shell::run(command.args(["bench", name.get_name()]).args(arguments.json.then_some("--json")))?;
    }
    Ok(())
}

fn measure(name: Name) -> anyhow::Result<Report> {
    match name {
        Name::Herd => herd::measure(),
        Name::Gateway => gateway::measure(),
        Name::Containment => containment::measure(),
        Name::Operator => operator::measure(),
        Name::Portal => portal::measure(),
        Name::Webhook => webhook::measure(),
        Name::Audit => audit::measure(),
    }
}

/// A house as roles run in production: built for release, logging what is wrong and no more, without traces.
fn plan() -> anyhow::Result<Plan> {
    Ok(Plan { openteam: Some(shell::program("openteam")?), log: "warn".to_owned(), traces: false, ..Plan::default() })
}

/// Starts control plane, roles and Amazon. Whatever fails in there ends the bench.
fn house(plan: Plan) -> House {
    eprintln!("starting Kubernetes, OpenTeam and Amazon");
    House::start(&plan)
}

/// A gateway, for the load generator.
fn server(gateway: &Gateway<'_>) -> wire::Server {
    wire::Server { port: gateway.port, host: gateway.host().to_owned(), ca: gateway.ca().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_told_whether_met_or_not() {
        let mut report = Report::new("test").unwrap();
        report.at_most("calls", 1.0, 1.0);
        report.at_least("ratio", 0.2, 0.3);
        assert_eq!(report.goals.iter().map(|goal| goal.met).collect::<Vec<_>>(), [true, false]);
        let line = serde_json::to_value(&report).unwrap();
        assert_eq!(line["figures"]["calls"], 1.0);
        assert!(line["load"]["cores"].as_u64().unwrap() > 0);
    }
}
