//! People at the portal: scenarios of `tests/browser`, each a program that drives a real Chromium and tells each step here.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU8, Ordering},
};

use cluster::{clients::Library, packages, spawn, tethered};
use serde_json::{Value, json};

use crate::House;

/// Bundle of authorities in the home directory.
const NODE_TRUSTS: &str = "authorities.pem";
/// Tells the scenarios of one binary apart.
static NUMBER: AtomicU8 = AtomicU8::new(0);

/// A home directory for Chromium, in which it finds whom to trust.
pub(crate) struct Browser {
    home: PathBuf,
}

impl Browser {
    /// Trusts these authorities, PEM, as Debian's Chromium has it: in a database of NSS in its home directory.
    pub(crate) fn trusting(home: PathBuf, authorities: &[&str]) -> Self {
        packages::require(packages::BROWSER).unwrap();
        let database = home.join(".pki/nssdb");
        fs::create_dir_all(&database).unwrap();
        let database = format!("sql:{}", database.display());
        let certutil = |arguments: &[&str]| {
            let mut command = tethered("certutil");
            command.args(["-d", &database]).args(arguments);
            assert!(spawn(command).unwrap().wait().unwrap().success(), "certutil {arguments:?}");
        };
        certutil(&["-N", "--empty-password"]);
        // And Node, for what scenarios ask by themselves.
        fs::write(home.join(NODE_TRUSTS), authorities.join("\n")).unwrap();
        for (number, authority) in authorities.iter().enumerate() {
            let file = home.join(format!("{number}.crt"));
            fs::write(&file, authority).unwrap();
            certutil(&["-A", "-t", "C,,", "-n", &format!("authority {number}"), "-i", &file.display().to_string()]);
        }
        Self { home }
    }
}

impl House {
    /// Runs a scenario of `tests/browser/scenarios`. `told` is added to what it is told anyway; `answer` does what the scenario
    /// asks for, by its name and details, and returns what that is told of it.
    ///
    /// # Panics
    /// The scenario failed, or made no step.
    pub fn browse(&self, scenario: &str, told: &Value, mut answer: impl FnMut(&str, &Value) -> Value) {
        let browser = self.browser();
        let mut all = json!({
            "chromium": "/usr/bin/chromium",
            "screenshots": Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots"),
            "number": NUMBER.fetch_add(1, Ordering::Relaxed),
            "origins": {
                "portal": self.ingress().url(),
                "mailbox": self.mailbox().page(),
                "amazon": self.amazon().consent_url(),
            },
        });
        let (all_of_it, told) = (all.as_object_mut().unwrap(), told.as_object().expect("what is told has names"));
        all_of_it.extend(told.clone());

        let mut command = Library::Browser.program(&format!("scenarios/{scenario}")).unwrap();
        // It makes its profiles in a temporary directory and takes them away.
        command.env("HOME", &browser.home).env("TMPDIR", &browser.home);
        command.env("NODE_EXTRA_CA_CERTS", browser.home.join(NODE_TRUSTS));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command).unwrap();
        let (mut asked, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        writeln!(asked, "{all}").unwrap();
        let mut done = None;
        for line in said.lines() {
            let line = line.unwrap();
            let Ok(line) = serde_json::from_str::<Value>(&line) else { panic!("{scenario} says {line}") };
            if let Some(step) = line["step"].as_str() {
                eprintln!("{scenario}: {step} ({} ms)", line["ms"]);
            } else if let Some(what) = line["ask"].as_str() {
                writeln!(asked, "{}", answer(what, &line)).unwrap();
            } else if let Some(failed) = line["failed"].as_str() {
                let error = line["error"].as_str().unwrap_or_default();
                panic!("{scenario}, {failed}: {error}\n{:#}", line["open"]);
            } else {
                done = line["done"].as_u64();
            }
        }
        assert!(child.wait().unwrap().success(), "{scenario} ends with 0");
        assert!(done.is_some_and(|steps| steps > 0), "{scenario} made no step");
    }
}
