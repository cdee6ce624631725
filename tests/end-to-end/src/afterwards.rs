//! What is looked at when everything in a test binary has run: that nothing leaked, and nobody panicked.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{House, Planted, alone, eventually, leaks::search, raw, within};

/// The authority and keys of the test's own cluster.
const OF_THE_CLUSTER: &str = "pki";
/// More than all tests of a binary take.
const PATIENCE: Duration = Duration::from_secs(1200);
/// The kernel keeps so much of a thread's name.
const THREAD_NAME: usize = 15;

/// Searches everything that any test of this binary has left, for every credential there was. To be the last test of
/// each binary with a house: libtest begins tests in the order of their names, and this waits for the others' end.
///
/// # Panics
/// Something is there that must not be.
pub fn nothing_leaked_and_nobody_panicked() {
    let others = names_of_the_others();
    within(PATIENCE, "every other test has ended", || {
        let running = threads().into_iter().any(|name| others.contains(&name));
        (!running).then_some(())
    });
    let house = alone();
    house.nobody_panicked();
    assert_eq!(house.ingress().broken(), Vec::<String>::new(), "the portal has always known what to answer");
    house.nothing_leaked();
}

/// The tests of this binary but for the one that asks, as their threads are called.
fn names_of_the_others() -> BTreeSet<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format=terse"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let own = thread::current().name().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|name| *name != own)
        .map(|name| name.chars().take(THREAD_NAME).collect())
        .collect();
    assert!(!names.is_empty(), "the binary lists its tests");
    names
}

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.filter_map(|task| Some(fs::read_to_string(task.path().join("comm")).ok()?.trim_end().to_owned())).collect()
}

impl House {
    /// Demands that no role has ever panicked.
    ///
    /// # Panics
    /// One has.
    pub fn nobody_panicked(&self) {
        for (pod, log) in self.logs() {
            let panicked: Vec<_> = log.lines().filter(|line| line.contains("panicked at")).collect();
            assert!(panicked.is_empty(), "{pod}: {panicked:#?}");
        }
    }

    /// Demands that none of the credentials of this house is in etcd's files, an object, an event, a log, the journal, a
    /// metric, a trace, an answer of the portal's, or a process's arguments and environment.
    ///
    /// # Panics
    /// One is.
    pub fn nothing_leaked(&self) {
        self.write_down_what_is_said();
        let searched = search(&[self.state_dir()], OF_THE_CLUSTER, &self.credentials());
        eprintln!(
            "{} credentials looked for in {} files, {} MiB: {}",
            searched.secrets,
            searched.files,
            searched.bytes >> 20,
            if searched.found.is_empty() { "none" } else { "FOUND" }
        );
        assert_eq!(searched.found, Vec::<String>::new());
    }

    /// Puts beside the files that are there what is no file: every object, the metrics, what the processes were told.
    pub fn write_down_what_is_said(&self) {
        let seen = self.state_dir().join("house/seen");
        fs::create_dir_all(&seen).unwrap();
        let kinds = self.kubectl().run(&["api-resources", "--verbs=list", "--output=name"]).unwrap();
        let others: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
        for (file, kinds) in [("secrets.json", "secrets"), ("objects.json", &others.join(","))] {
            let objects = self.kubectl().run(&["get", kinds, "--all-namespaces", "--output=json"]).unwrap();
            fs::write(seen.join(file), objects).unwrap();
        }
        eventually("traces are sent", || {
            let traces = self.traces();
            ["openteam-gateway", "openteam-operator"].iter().all(|role| traces.contains(role)).then_some(())
        });
        for (pod, process, probes) in self.processes() {
            let metrics = eventually("metrics are served", || raw::plain_get(probes, "/metrics"));
            assert!(metrics.contains("openteam_"), "{pod} has metrics: {metrics}");
            fs::write(seen.join(format!("{pod}.metrics")), metrics).unwrap();
            for what in ["cmdline", "environ"] {
                fs::write(seen.join(format!("{pod}.{what}")), fs::read(process.join(what)).unwrap()).unwrap();
            }
        }
    }

    /// Every credential that this house has or had.
    fn credentials(&self) -> Vec<Planted> {
        let amazon = self.amazon();
        let secrets = amazon.client_secrets();
        let mut all: Vec<_> = secrets.iter().map(|text| Planted::new("client secret", last_part(text))).collect();
        all.extend(amazon.sellers().iter().map(|seller| Planted::new("refresh token", seller.refresh_token.expose())));
        all.extend(amazon.switches().consented().iter().map(|token| Planted::new("refresh token", token.expose())));
        let emulator = amazon.emulator();
        all.extend(emulator.codes().iter().map(|code| Planted::new("authorization code", code)));
        all.extend(emulator.exchanged().iter().map(|token| Planted::new("refresh token of a code", token.expose())));
        all.extend(amazon.access_tokens().iter().map(|token| Planted::new("access token", token)));
        // The kubelet mounts it, kubectl is told it in a file, the portal tells a new one once; the keyset's Secret is in
        // etcd, as a Secret.
        let homes = [".kubeconfig", "/house/agents/", ".POST.tokens.200"];
        all.extend(self.planted().into_iter().map(|(name, text)| Planted::new(&name, &text).at_home_in(&homes)));
        for mail in self.mails() {
            all.extend(mail.code().into_iter().flat_map(|code| {
                [code.to_owned(), code.replace('-', "")].map(|code| Planted::short("sign-in code", &code))
            }));
        }
        let sessions = self.ingress().sessions().into_iter();
        all.extend(sessions.map(|session| Planted::new("session", &session).at_home_in(&["/answers/"])));
        let keyset: Value = serde_json::from_str(&fs::read_to_string(self.keyset_file()).unwrap()).unwrap();
        for key in keyset["keys"].as_array().unwrap() {
            let key = BASE64_URL_SAFE_NO_PAD.decode(key["secret"].as_str().unwrap()).unwrap();
            let homes = ["/keyset.json", "/seen/secrets.json", "/etcd/"];
            all.push(Planted::key("key of the keyset", &key).at_home_in(&homes));
        }
        all
    }
}

/// What is secret of a text with fixed beginnings: what follows the last dot.
fn last_part(text: &str) -> &str {
    text.rsplit('.').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// All Rust files below a directory, as one text.
    fn text(of: &Path) -> String {
        let entries = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { text(&path) } else { fs::read_to_string(&path).unwrap() }).collect()
    }

    #[test]
    fn every_binary_with_a_house_searches_it_at_the_end() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tests = fs::read_dir(root.join("tests")).unwrap().map(|entry| entry.unwrap().path());
        let binaries: Vec<_> = tests.chain([root.join("../attacks")]).collect();
        let mut searched = 0;
        for binary in binaries {
            let text = if binary.is_dir() { text(&binary) } else { fs::read_to_string(&binary).unwrap() };
            if text.contains("house()") || text.contains("alone()") {
                assert!(text.contains("nothing_leaked_and_nobody_panicked()"), "{} does not", binary.display());
                searched += 1;
            }
        }
        assert!(searched >= 4, "{searched}");
    }
}
