//! `cargo xtask promises`: what the project promises, and whether tests hold it to that.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::Args;
use cluster::Kubectl;
use jiff::Timestamp;
use process::review::{Kept, NAME};

use crate::{shell, test::each_line};

/// What is looked at.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Also ask the OpenTeam behind this context of your kubeconfig whether its record was reviewed in time: promise 5 takes a
    /// person, and fails without one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The namespace OpenTeam runs in there
    #[arg(long, default_value = "openteam-system", requires = "context")]
    namespace: String,
}

/// What OpenTeam promises, in short. A promise is built once its `built` is true; from then on it needs passing
/// tests, named `promise_<number>_…`.
const PROMISES: [Promise; 8] = [
    Promise {
        number: 1,
        built: true,
        text: "only members, and those they or RBAC granted, create and use connections",
    },
    Promise { number: 2, built: true, text: "runtime access is authenticated, scoped, and decided anew at every call" },
    Promise { number: 3, built: true, text: "credentials are written only AES-256-GCM-encrypted" },
    Promise { number: 4, built: true, text: "an access token is refreshed once when needed, and never shown" },
    Promise { number: 5, built: true, text: "what happens is recorded first, tamper-evident, kept, reviewed" },
    Promise {
        number: 6,
        built: true,
        text: "one annotation contains an incident; evidence is kept, the credential rotated, people told, Amazon asked",
    },
    Promise {
        number: 7,
        built: true,
        text: "work uses the stated connection, marketplaces and endpoint; nothing is guessed",
    },
    Promise {
        number: 8,
        built: true,
        text: "administrator secrets are unique, access-controlled, rotatable (client secrets; the rest is not yet built)",
    },
];

struct Promise {
    number: u32,
    built: bool,
    text: &'static str,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    cluster::packages::require(cluster::packages::CONTROL_PLANE)?;
    shell::build()?;
    let mut tests: BTreeMap<u32, Vec<(String, bool)>> = BTreeMap::new();
    let mut command = shell::cargo();
    // The results are told below; what the tests print is not.
    command.args(["test", "--quiet", "--workspace", "--no-fail-fast", "--", "promise_", "--format=pretty"]);
    let (_, ended_well) = each_line(&mut command, |line| {
        if let Some((number, name, ok)) = result(line) {
            tests.entry(number).or_default().push((name.to_owned(), ok));
        }
    })?;
    if let Some(context) = &arguments.context {
        let words = ["get", "configmap", NAME, "-n", &arguments.namespace, "-o", "jsonpath={.data}"];
        let found = Kubectl::for_context(context).run(&words).map_err(anyhow::Error::from);
        let overdue = found.and_then(|data| reviewed(&data, Timestamp::now()));
        let name = match &overdue {
            Ok(()) => format!("the record of {context} was reviewed in time"),
            Err(error) => format!("the record of {context}: {error:#}"),
        };
        tests.entry(5).or_default().push((name, overdue.is_ok()));
    }
    let mut broken = Vec::new();
    for promise in &PROMISES {
        let results = tests.remove(&promise.number).unwrap_or_default();
        let word = match (promise.built, results.is_empty(), results.iter().all(|(_, ok)| *ok)) {
            (false, true, _) => "not yet built",
            (true, true, _) => "NO TEST",
            (_, false, true) => "holds",
            (_, false, false) => "FAILS",
        };
        if matches!(word, "NO TEST" | "FAILS") {
            broken.push(promise.number);
        }
        println!("{}. {:14} {}", promise.number, word, promise.text);
        for (name, ok) in results {
            println!("     {} {name}", if ok { "ok    " } else { "FAILED" });
        }
    }
    if !tests.is_empty() {
        bail!("tests name promises that there are none: {:?}", tests.keys());
    }
    if !broken.is_empty() {
        bail!("promises not held: {broken:?}");
    }
    if !ended_well {
        bail!("the tests broke off");
    }
    Ok(())
}

/// Fails where nobody has reviewed the record in time, and says so.
fn reviewed(data: &str, now: Timestamp) -> anyhow::Result<()> {
    let kept = Kept::parse(&serde_json::from_str(data).context("ConfigMap without data")?)?;
    if kept.due() < now {
        bail!("its review is overdue since {}; `openteam audit review` shows what there is to look at", kept.due());
    }
    Ok(())
}

/// `test some::module::promise_6_a_sentence ... ok`
fn result(line: &str) -> Option<(u32, &str, bool)> {
    let (path, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = path.rsplit("::").next()?;
    let number = name.strip_prefix("promise_")?.split('_').next()?.parse().ok()?;
    match outcome.trim() {
        "ok" => Some((number, name, true)),
        outcome if outcome.starts_with("FAILED") => Some((number, name, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_nobody_reviewed_in_time_fails() {
        let json = r#"{"uid":"0193683f-0000-7000-8000-000000000000","from":"2026-11-01T00:00:00Z","to":"2026-11-13T00:00:00Z",
            "isVerified":true,"recorders":[],"witnessed":[],"access":{"teams":[],"moreTeams":0}}"#;
        let data = serde_json::json!({
            "digest.json": json, "digest": process::review::digest(json),
            "madeAt": "2026-11-13T00:00:00Z", "dueBy": "2026-11-15T00:00:00Z",
        });
        let reviewed = |now: &str| reviewed(&data.to_string(), now.parse().unwrap());
        assert!(reviewed("2026-11-15T00:00:00Z").is_ok());
        let error = reviewed("2026-11-15T00:00:01Z").unwrap_err().to_string();
        assert!(error.contains("overdue since 2026-11-15T00:00:00Z"), "{error}");
        assert!(
            super::reviewed("", Timestamp::UNIX_EPOCH).is_err()
                && super::reviewed("{}", Timestamp::UNIX_EPOCH).is_err()
        );
    }

    #[test]
    fn results_are_read_by_their_promise() {
        assert_eq!(result("test a::promise_6_it_contains ... ok"), Some((6, "promise_6_it_contains", true)));
        assert_eq!(result("test promise_2_x ... FAILED"), Some((2, "promise_2_x", false)));
        for other in ["test promise_x ... ok", "test other ... ok", "running 3 tests", "test promise_2_x ... ignored"] {
            assert_eq!(result(other), None, "{other}");
        }
    }
}
