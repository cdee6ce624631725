//! `cargo xtask test`: everything that proves the project, from a bare machine, counted.

use std::{
    io::{BufRead, BufReader, IsTerminal},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use clap::Args;

use crate::shell::{cargo, command, root, words};

/// The version whose rules `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// What is run.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Leave out what needs a cluster of nodes: the node's own tests and the demo
    #[arg(long)]
    fast: bool,

    /// Run what takes long instead, for as long as it is meant to: the tests named soak_, which the others leave out.
    /// Each stops by itself
    #[arg(long, conflicts_with = "fast")]
    soak: bool,
}

/// Results, all runners added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut total = Count::default();
    let mut broken = Vec::new();
    let mut one = |name: &str, work: &mut dyn FnMut() -> anyhow::Result<Count>| {
        println!("\n== {name}");
        match work() {
            Ok(count) => {
                if count.failed > 0 {
                    broken.push(name.to_owned());
                }
                total.add(count);
            }
            Err(error) => {
                println!("{name}: {error:#}");
                broken.push(name.to_owned());
                total.add(Count { passed: 0, failed: 1 });
            }
        }
    };
    one("packages that the tests use", &mut || packages(arguments.fast));
    one("every program is built", &mut || done(crate::shell::build()));
    if arguments.soak {
        one("Kubernetes is built", &mut kubernetes);
        one("long tests", &mut || libtest(&mut soak()));
        return conclude(&broken, total);
    }
    one("formatting", &mut || whole(cargo().args(["fmt", "--all", "--check"])));
    one("generated files are current", &mut || done(crate::generate::run(true)));
    one("clippy", &mut || {
        whole(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    one("dependencies: bans, licenses, sources", &mut deny);
    one("documentation", &mut || {
        let mut docs = cargo();
        whole(docs.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    one("Kubernetes is built, and what reads logs", &mut kubernetes);
    one("client libraries, OCSF's schema, and what drives a browser, are installed", &mut clients);
    one("tests", &mut || libtest(&mut tests(arguments.fast)));
    if !arguments.fast {
        // By cargo: building for the tests may have put another file in this program's place.
        one("the demo's walk", &mut || whole(cargo().args(["xtask", "demo", "--once"])));
    }
    conclude(&broken, total)
}

fn conclude(broken: &[String], total: Count) -> anyhow::Result<()> {
    if !broken.is_empty() {
        println!("\nnot passed: {}", broken.join(", "));
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        std::process::exit(1)
    }
    Ok(())
}

/// All tests of the workspace; the feature is what `amazon`'s clients are tested with.
fn tests(fast: bool) -> Command {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    if fast {
        // Tests that need a node say so in their name.
        tests.args(["--", "--skip", "node_"]);
    }
    tests
}

/// The tests that are ignored for their length; one at a time, as each wants the machine for itself.
fn soak() -> Command {
    let mut tests = cargo();
    tests.args([
        "test",
        "--workspace",
        "--tests",
        "--no-fail-fast",
        "--",
        "--ignored",
        "soak_",
        "--test-threads=1",
        "--nocapture",
    ]);
    tests
}

fn packages(fast: bool) -> anyhow::Result<Count> {
    let cluster = if fast { cluster::packages::CONTROL_PLANE } else { cluster::packages::CLUSTER };
    cluster::packages::require(cluster)?;
    cluster::packages::require(cluster::packages::BROWSER)?;
    cluster::packages::unpacked("prometheus", "promtool")?;
    done(Ok(()))
}

/// Before the tests, which would each wait for it.
fn kubernetes() -> anyhow::Result<Count> {
    cluster::binaries::Binaries::for_control_plane()?;
    cluster::binaries::tlog_tools()?;
    done(Ok(()))
}

/// As Kubernetes.
fn clients() -> anyhow::Result<Count> {
    use cluster::clients::Library;
    for library in Library::ALL.into_iter().chain([Library::OcsfJsonSchema, Library::Browser]) {
        library.installed()?;
    }
    done(Ok(()))
}

/// A check that is one test.
fn done(result: anyhow::Result<()>) -> anyhow::Result<Count> {
    result.map(|()| Count { passed: 1, failed: 0 })
}

/// A command that is one test.
fn whole(command: &mut Command) -> anyhow::Result<Count> {
    done(crate::shell::run(command))
}

/// Runs `cargo test`, shows what it says, and counts by its own closing lines.
pub(crate) fn libtest(command: &mut Command) -> anyhow::Result<Count> {
    let (count, ended_well) = each_line(command, |line| println!("{line}"))?;
    if count == Count::default() {
        bail!("{} ran no test", words(command));
    }
    if !ended_well && count.failed == 0 {
        bail!("{} failed without a failing test: it did not build, or broke off", words(command));
    }
    Ok(count)
}

/// Runs a libtest command, hands over each line, and counts. Also whether it exited with 0.
pub(crate) fn each_line(command: &mut Command, mut line: impl FnMut(&str)) -> anyhow::Result<(Count, bool)> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| words(command))?;
    let mut count = Count::default();
    for said in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let said = said?;
        line(&said);
        count.add(closing_line(&said).unwrap_or_default());
    }
    Ok((count, child.wait()?.success()))
}

/// `test result: ok. 10 passed; 0 failed; 0 ignored; …`
fn closing_line(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        let before = rest.split(word).next()?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    Some(Count { passed: number(" passed")?, failed: number(" failed")? })
}

fn deny() -> anyhow::Result<Count> {
    let program = cargo_deny()?;
    whole(command(program).args(["--log-level", "error", "check", "bans", "licenses", "sources"]))
}

/// cargo-deny, installed once into the user's cache directory.
fn cargo_deny() -> anyhow::Result<PathBuf> {
    let place = cluster::binaries::cache_dir()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = place.join("bin/cargo-deny");
    if !program.is_file() {
        println!("installing cargo-deny {CARGO_DENY} into the cache directory; minutes, the first time");
        let mut install = cargo();
        install.args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]).arg(&place);
        // Outside the project, or its own target directory would be shared with it.
        install.current_dir(root().parent().unwrap_or(root()));
        if !std::io::stdout().is_terminal() {
            install.arg("--quiet");
        }
        crate::shell::run(&mut install)?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(closing_line(line), Some(Count { passed: 12, failed: 0 }));
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(closing_line(line), Some(Count { passed: 1, failed: 2 }));
        for other in ["", "test a ... ok", "running 3 tests", "test result: ok."] {
            assert_eq!(closing_line(other), None, "{other}");
        }
    }

    #[test]
    fn a_command_that_runs_no_test_has_not_passed() {
        assert!(libtest(&mut command("true")).is_err());
    }

    #[test]
    fn a_command_that_fails_after_its_tests_has_not_passed() {
        let line = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        assert_eq!(libtest(command("sh").args(["-c", line])).unwrap(), Count { passed: 1, failed: 0 });
        assert!(libtest(command("sh").args(["-c", &format!("{line}; exit 1")])).is_err());
    }
}
