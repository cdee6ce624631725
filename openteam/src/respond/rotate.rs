//! `kubectl openteam rotate | renew`: credentials out of use, or asked for anew.
//!
//! Each is one annotation whose new value acts once. The operator does the rest.

use std::{collections::BTreeSet, process::ExitCode};

use access::Index;
use anyhow::bail;
use clap::Args;
use jiff::Timestamp;

use super::{
    carry_out,
    change::Change,
    target::{Kind, Target},
    told,
    world::{self, Reach},
};
use crate::{
    cluster,
    output::{Output, count, seconds},
};

/// What to rotate or renew.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Objects. rotate: AmazonConnection (amzc), Team with all its connections, AmazonApplication (amza). renew:
    /// AmazonConnection
    #[arg(value_name = "KIND/NAMESPACE/NAME", required = true)]
    targets: Vec<Target>,

    /// The annotation's value, which acts once; left out: the time
    #[arg(long, value_parser = value)]
    value: Option<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

fn value(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > crds::annotation::VALUE_LENGTH {
        return Err(format!("a value is 1 to {} characters, such as a date", crds::annotation::VALUE_LENGTH));
    }
    Ok(text.to_owned())
}

fn rotation(value: &str) -> Change<'_> {
    Change::Rotate(value)
}

fn renewal(value: &str) -> Change<'_> {
    Change::Renew(value)
}

/// Rotates.
pub(crate) async fn rotate(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let kinds = [Kind::AmazonConnection, Kind::Team, Kind::AmazonApplication];
    let consequence = |index: &Index| consequence(index, &arguments.targets);
    run(arguments, &kinds, ("This will rotate", rotation), consequence).await
}

/// Renews.
pub(crate) async fn renew(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let ask =
        |index: &Index| format!("{} asked to consent again; everything goes on", sellers(index, &arguments.targets));
    run(arguments, &[Kind::AmazonConnection], ("This will ask for a renewal of", renewal), ask).await
}

async fn run(
    arguments: &Arguments,
    kinds: &[Kind],
    (what, change): (&str, for<'v> fn(&'v str) -> Change<'v>),
    consequence: impl FnOnce(&Index) -> String,
) -> anyhow::Result<ExitCode> {
    if let Some(other) = arguments.targets.iter().find(|target| !kinds.contains(&target.kind)) {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        bail!("{other}: that is for {} only", names.join(", "));
    }
    let client = cluster::client().await?;
    let mut question = None;
    if !arguments.yes {
        let consequence = match world::read(&client).await {
            Ok(index) => consequence(&index),
            // Nobody who may rotate is kept from it because they may not list.
            Err(error) => format!("how far that reaches is not known: {error:#}"),
        };
        question = Some(format!("{what} {}: {consequence}.", told(&arguments.targets)));
    }
    let value = arguments.value.clone().unwrap_or_else(|| seconds(Timestamp::now()));
    carry_out(&client, arguments.output, &arguments.targets, change(&value), question).await
}

/// What stops with a rotation, and what brings it back.
fn consequence(index: &Index, targets: &[Target]) -> String {
    let (applications, others): (Vec<_>, Vec<_>) =
        targets.iter().cloned().partition(|target| target.kind == Kind::AmazonApplication);
    let mut parts = Vec::new();
    if !others.is_empty() {
        let reach = Reach::of(index, &others);
        parts.push(format!(
            "{} until the seller has consented again, {} for good; {} asked to",
            verb(reach.connections.len(), "connection", "stop"),
            verb(reach.runtime_tokens.len(), "runtime token", "end"),
            sellers(index, &others)
        ));
    }
    if !applications.is_empty() {
        parts.push(format!("{} replaced at Amazon, while everything goes on", is(applications.len(), "client secret")));
    }
    parts.join("; ")
}

fn many(number: usize, one: &str) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX), one)
}

fn verb(number: usize, one: &str, verb: &str) -> String {
    format!("{} {verb}{}", many(number, one), if number == 1 { "s" } else { "" })
}

fn is(number: usize, one: &str) -> String {
    format!("{} {}", many(number, one), if number == 1 { "is" } else { "are" })
}

/// How many sellers are concerned; one whose id is not known counts as one of its own.
fn sellers(index: &Index, targets: &[Target]) -> String {
    let reach = Reach::of(index, targets);
    let seller = |name: &crds::NamespacedReference| {
        let connection = index.connections.get(name).and_then(access::Entry::read);
        connection.and_then(|it| it.selling_partner_id()).map_or_else(|| name.to_string(), str::to_owned)
    };
    let sellers: BTreeSet<String> = reach.connections.iter().map(seller).collect();
    is(sellers.len(), "seller")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::world::testing::index;

    fn said(targets: &[&str]) -> String {
        let targets: Vec<Target> = targets.iter().map(|target| target.parse().unwrap()).collect();
        consequence(&index(), &targets)
    }

    #[test]
    fn what_stops_and_who_must_consent_is_said_beforehand() {
        let one = "1 connection stops until the seller has consented again, 1 runtime token ends for good; 1 seller is asked to";
        assert_eq!(said(&["amzc/acme/na"]), one);
        assert_eq!(said(&["team/acme/acme"]), one);
        assert_eq!(said(&["amza/acme/app"]), "1 client secret is replaced at Amazon, while everything goes on");
        assert!(said(&["amza/acme/app", "amzc/acme/na"]).starts_with(one));
    }

    #[test]
    fn a_value_says_something_and_is_short() {
        assert!(value("2026-11-27").is_ok());
        for text in ["", " ", &"x".repeat(129)] {
            assert!(value(text).is_err(), "{text:?}");
        }
    }
}
