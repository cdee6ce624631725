//! Promise 5: what happens is recorded first, so that nobody can change it afterwards unseen; it is kept and can be read by who may.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use audit::log::{Checkpoint, Edge, SignedCheckpoint, SigningKey, entries, entries_path, leaf_hash};
use crds::AmazonConnection;
use openteam_end_to_end::{House, NAMESPACE, Tenant, US, alone, commands_of, eventually, house, within};
use serde_json::Value;
use tempfile::TempDir;

const RECORDER: &str = "openteam-recorder-0";

/// What the witness remembers, as `kubectl get -o yaml` prints it, once it has seen everything that is recorded now.
fn checkpoints(house: &House, at: &Path) -> PathBuf {
    let file = at.join("checkpoints.yaml");
    let last = house.journal().last().unwrap()["sequence"].as_u64().unwrap();
    // It writes once a minute at most.
    let (file, _) = within(Duration::from_secs(150), "the witness has seen it", || {
        let words = ["get", "configmap", "openteam-audit", "-n", NAMESPACE, "-o", "yaml"];
        let yaml = house.kubectl().run(&words).unwrap();
        let map: Value = serde_yaml::from_str(&yaml).unwrap();
        let notes = map["data"].as_object()?.values().filter_map(|note| SignedCheckpoint::parse(note.as_str()?).ok());
        fs::write(&file, &yaml).unwrap();
        // Each log has a leaf that is no record.
        notes.map(|note| note.checkpoint().size - 1).sum::<u64>().ge(&last).then(|| file.clone())
    });
    file
}

/// A copy of the recorder's disk, which goes on recording: what is signed first, then what it is made of.
fn copy(house: &House, to: &Path) -> PathBuf {
    let (disk, copied) = (house.disk().join("journal"), to.join("journal"));
    fs::create_dir(&copied).unwrap();
    for what in ["log", "."] {
        let done = Command::new("cp").arg("-a").arg(disk.join(what)).arg(&copied).status().unwrap();
        assert!(done.success());
        // The second time around it would be newer than the rest.
        if what == "log" {
            fs::rename(copied.join("log"), to.join("log")).unwrap();
        }
    }
    fs::remove_dir_all(copied.join("log")).unwrap();
    fs::rename(to.join("log"), copied.join("log")).unwrap();
    copied
}

fn verify(house: &House, dir: &Path, checkpoints: &Path) -> Output {
    let (dir, checkpoints) = (dir.display().to_string(), checkpoints.display().to_string());
    house.openteam(&["audit", "verify", "--dir", &dir, "--checkpoints", &checkpoints], "")
}

/// What a command said.
pub(crate) fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Copies the disk, has something done to the copy, and tells what the verification says then.
fn after(house: &House, known: &Path, deed: impl FnOnce(&Path)) -> String {
    let place = TempDir::new().unwrap();
    let dir = copy(house, place.path());
    deed(&dir);
    let found = verify(house, &dir, known);
    assert_eq!(found.status.code(), Some(1), "{}", told(&found));
    told(&found)
}

/// The newest shard's directory.
fn newest(dir: &Path) -> PathBuf {
    let mut shards: Vec<_> = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    shards.sort();
    shards.pop().unwrap()
}

/// The newest segment of the journal.
fn segment(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "otj")).max().unwrap()
}

fn used(tenant: &Tenant<'_>, token: &str, times: usize) {
    for _ in 0..times {
        tenant.house().gateway(0).call(token).orders(US).is_served();
    }
}

#[test]
fn promise_5_whatever_is_done_to_the_record_is_found_and_named() {
    let house = house();
    let tenant = house.tenant("recorded");
    let token = tenant.agent_token();
    used(&tenant, &token, 1);
    let place = TempDir::new().unwrap();
    let old_disk = TempDir::new().unwrap();
    let old = copy(&house, old_disk.path());
    // More than a bundle on top.
    used(&tenant, &token, 140);
    let known = checkpoints(&house, place.path());
    let dir = copy(&house, place.path());
    let whole = verify(&house, &dir, &known);
    assert_eq!(whole.status.code(), Some(0), "{}", told(&whole));
    let shard = newest(&dir).file_name().unwrap().to_str().unwrap().to_owned();

    // The newest entries cut: the journal's, and the checkpoint of before in the place of the newest.
    let said = after(&house, &known, |dir| {
        let path = segment(dir);
        let length = fs::metadata(&path).unwrap().len();
        fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
    });
    assert!(said.contains(&shard), "{said}");
    // A whole old disk.
    let found = verify(&house, &old, &known);
    assert_eq!(found.status.code(), Some(1), "{}", told(&found));
    assert!(told(&found).contains("rolled back") || told(&found).contains("entries"), "{}", told(&found));
    // Any byte of what is in bundles or tiles, of the checkpoint, or of the chain.
    for file in ["tile/0/000", "tile/entries/000.gz", "checkpoint", "opening"] {
        let said = after(&house, &known, |dir| {
            let path = newest(dir).join(file);
            let mut bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        });
        assert!(said.contains(&shard), "{file}: {said}");
    }
    // A second history under the log's own key, which is on that disk: whole in itself, and not what was witnessed.
    let said = after(&house, &known, |dir| {
        let log = newest(dir);
        let export = dir.join("export");
        let words = ["audit", "export", "--dir", &dir.display().to_string(), "--to", &export.display().to_string()];
        assert!(house.openteam(&words, "").status.success());
        let plain = export.join(&shard);
        let note = SignedCheckpoint::parse(&fs::read_to_string(plain.join("checkpoint")).unwrap()).unwrap();
        let seed: [u8; 32] = fs::read(log.join("key")).unwrap().try_into().unwrap();
        forge(&plain, note.checkpoint(), &SigningKey::from_seed(&note.checkpoint().origin, &seed).unwrap());
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.path() != export {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
        }
        for entry in fs::read_dir(&export).unwrap().flatten() {
            fs::rename(entry.path(), dir.join(entry.file_name())).unwrap();
        }
        fs::remove_dir(export).unwrap();
    });
    assert!(said.contains(&shard) && !said.contains("signature"), "{said}");
}

/// Another log of that size with the same key: one record says something else, and everything above it follows.
fn forge(plain: &Path, of: &Checkpoint, key: &SigningKey) {
    let mut edge = Edge::new();
    let mut full = Vec::new();
    for bundle in 0..of.size.div_ceil(256) {
        let width = (of.size - bundle * 256).min(256) as u16;
        let path = plain.join(entries_path(bundle, width));
        let mut bytes = fs::read(&path).unwrap();
        if bundle == 0 {
            let at = bytes.windows(7).position(|window| window == b"started").unwrap();
            bytes[at..at + 7].copy_from_slice(b"stopped");
            fs::write(&path, &bytes).unwrap();
        }
        entries(&bytes).unwrap().into_iter().for_each(|entry| edge.push(leaf_hash(entry), &mut full));
    }
    for (tile, hashes) in full.into_iter().chain(edge.partial_tiles()) {
        fs::write(plain.join(tile.path()), hashes).unwrap();
    }
    let note = key.sign(&Checkpoint { root: edge.root(), ..of.clone() });
    fs::write(plain.join("checkpoint"), &note).unwrap();
    let _ = fs::remove_file(plain.join("witnessed"));
}

#[test]
fn promise_5_an_old_disk_that_is_put_back_is_noticed_by_the_recorder_itself() {
    let house = alone();
    let tenant = house.tenant("put-back");
    let token = tenant.agent_token();
    used(&tenant, &token, 1);
    let place = TempDir::new().unwrap();
    house.stop(RECORDER);
    let old = copy(&house, place.path());
    house.restart(RECORDER);
    eventually("it records again", || (house.gateway(0).call(&token).orders(US).status == 200).then_some(()));
    used(&tenant, &token, 3);
    checkpoints(&house, place.path());
    let before = house.journal().len();
    house.stop(RECORDER);
    let journal = house.disk().join("journal");
    fs::rename(&journal, place.path().join("newer")).unwrap();
    let put_back = Command::new("cp").arg("-a").arg(&old).arg(&journal).status().unwrap();
    assert!(put_back.success());
    house.restart(RECORDER);
    let fault = eventually("it says so", || {
        house.journal().into_iter().find(|record| record["event"]["status_detail"] == "LogRolledBack")
    });
    let unmapped = &fault["event"]["unmapped"];
    assert!(unmapped["remembered"].as_u64() > unmapped["found"].as_u64(), "{fault}");
    assert!(house.metrics(RECORDER).contains("openteam_recorder_log_faults_total 1"), "and alarms");
    let shard = newest(&journal).file_name().unwrap().to_str().unwrap().to_owned();
    assert!(shard.contains("-e"), "another epoch was begun: {shard}");
    eventually("calls go on", || (house.gateway(0).call(&token).orders(US).status == 200).then_some(()));
    // The newer disk back, so that others find what they recorded: that too is another epoch.
    house.stop(RECORDER);
    fs::rename(&journal, place.path().join("older")).unwrap();
    fs::rename(place.path().join("newer"), &journal).unwrap();
    house.restart(RECORDER);
    eventually("calls go on", || (house.gateway(0).call(&token).orders(US).status == 200).then_some(()));
    assert!(house.journal().len() >= before);
}

/// The one block of commands of docs/audit.md with this text in it.
fn page(text: &str) -> String {
    let blocks: Vec<_> = commands_of("docs/audit.md").into_iter().filter(|block| block.contains(text)).collect();
    assert_eq!(blocks.len(), 1, "docs/audit.md has commands with {text}: {blocks:?}");
    blocks.concat()
}

#[test]
fn promise_5_an_outsider_checks_an_exported_log_by_the_commands_of_the_page_alone() {
    let house = house();
    let tenant = house.tenant("acme");
    used(&tenant, &tenant.agent_token(), 3);
    let desk = house.desk("outsider");
    // What somebody remembered, some time ago.
    let known = checkpoints(&house, desk.directory());
    let shard = newest(&house.disk().join("journal")).file_name().unwrap().to_str().unwrap().to_owned();
    let environment = [
        house.create_bucket("page"),
        vec![("GOBIN", desk.directory().display().to_string()), ("BUCKET", "page".to_owned())],
    ]
    .concat();
    let run = |commands: String| {
        // The page names the quarter and the bucket of its writer.
        let commands = commands.replace("2026q4", &shard).replace("s3://BUCKET/PATH", "s3://page/logs");
        let output = desk.run_with(house.kubeconfig(), &environment, &commands);
        assert!(output.status.success(), "{commands}\n{}", told(&output));
        told(&output)
    };
    let asked = run(page("audit query").replace("2026-11-23T09:00:00Z", "2026-01-01T00:00:00Z"));
    assert!(asked.contains("getOrders"), "{asked}");
    assert!(run(page("kubectl get configmap openteam-audit")).ends_with("whole\n"));
    run(page("audit export"));
    let said = run(page("go install"));
    let signed = run(page("sed -n"));
    let [size, root] = signed.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{signed}") };
    assert!(said.contains(&format!("Successfully fsck'd log with size {size} and root {root} ")), "{said}: {signed}");
    // Ours says the same of it.
    let words = ["audit", "verify", "--dir", &desk.directory().display().to_string(), "-o", "json", "--checkpoints"];
    let ours = house.openteam(&[&words[..], &[&known.display().to_string()]].concat(), "");
    assert_eq!(ours.status.code(), Some(0), "{}", told(&ours));
    let ours: Value = serde_json::from_slice(&ours.stdout).unwrap();
    let of = |log: &&Value| log["shard"] == shard.as_str();
    let log = ours["logs"].as_array().unwrap().iter().find(of).unwrap();
    assert_eq!((log["size"].to_string().as_str(), &log["root"]), (size, &Value::from(root)));

    assert!(run(page("audit receipt")).contains("entry 1 of"));
    // A record that is another, by a byte.
    let record = desk.directory().join("record.json");
    let mut bytes = fs::read(&record).unwrap();
    bytes[10] ^= 1;
    fs::write(&record, bytes).unwrap();
    let verify = page("audit receipt").lines().last().unwrap().replace("2026q4", &shard);
    assert_eq!(desk.run(&verify).status.code(), Some(1));

    // As the recorder copies them.
    run("openteam audit export --dir . --to s3://BUCKET/PATH/openteam-recorder-0".to_owned());
    assert!(run(page("audit fetch")).ends_with("whole\n"));
    let all = commands_of("docs/audit.md");
    assert_eq!(all.len(), 8, "each is run by a test, the reviews' by that of reviews: {all:?}");
}

/// Runs `openteam` with what leads to a bucket in its environment.
fn with_bucket(house: &House, environment: &[(&'static str, String)], words: &[&str]) -> Output {
    let environment = environment.iter().map(|(name, value)| (name, value));
    Command::new(house.program()).args(words).envs(environment).output().unwrap()
}

#[test]
fn promise_5_a_bucket_keeps_what_was_exported_whatever_comes_later() {
    let house = house();
    let tenant = house.tenant("kept-outside");
    used(&tenant, &tenant.agent_token(), 2);
    let place = TempDir::new().unwrap();
    let dir = copy(&house, place.path());
    let environment = house.create_bucket("logs");
    let words = ["audit", "export", "--to", "s3://logs/openteam", "--dir", &dir.display().to_string()];
    let export = || with_bucket(&house, &environment, &words);
    let exported = export();
    assert!(exported.status.success(), "{}", told(&exported));
    let shard = newest(&dir).file_name().unwrap().to_str().unwrap().to_owned();
    let at = |file: &str| format!("openteam/{shard}/{file}");
    let note = String::from_utf8(house.object_in("logs", &at("checkpoint")).unwrap()).unwrap();
    let note = SignedCheckpoint::parse(&note).unwrap();
    let key = String::from_utf8(house.object_in("logs", &at("vkey")).unwrap()).unwrap();
    note.verify(&key.trim().parse().unwrap()).unwrap();
    assert!(export().status.success(), "once more is no harm");
    let first = at(&entries_path(0, note.checkpoint().size.min(256) as u16));
    house.put_into("logs", &first, b"something else");
    let refused = export();
    assert!(!refused.status.success() && told(&refused).contains("is there already and is something else"));
    assert_eq!(house.object_in("logs", &first).unwrap(), b"something else");
}

#[test]
fn promise_5_a_locked_bucket_gives_the_log_back_whatever_was_put_over_it() {
    let house = house();
    let tenant = house.tenant("locked");
    let token = tenant.agent_token();
    used(&tenant, &token, 1);
    let environment = house.create_locking_bucket("locked");
    let export = |dir: &Path| {
        let words = ["audit", "export", "--to", "s3://locked/openteam", "--dir", &dir.display().to_string()];
        let exported = with_bucket(&house, &environment, &words);
        assert!(exported.status.success(), "{}", told(&exported));
    };
    let earlier = TempDir::new().unwrap();
    export(&copy(&house, earlier.path()));
    let shard = newest(&earlier.path().join("journal")).file_name().unwrap().to_str().unwrap().to_owned();
    let at = |file: &str| format!("openteam/{shard}/{file}");
    let older = house.object_in("locked", &at("checkpoint")).unwrap();
    used(&tenant, &token, 1);
    let place = TempDir::new().unwrap();
    let known = checkpoints(&house, place.path());
    export(&copy(&house, place.path()));

    // Who has the recorder's credentials for the bucket, and wants the newest and one of the oldest records gone.
    let newest = house.object_in("locked", &at("checkpoint")).unwrap();
    let size = |note: &[u8]| SignedCheckpoint::parse(std::str::from_utf8(note).unwrap()).unwrap().checkpoint().size;
    assert!(size(&older) < size(&newest));
    let width = (size(&newest).min(256)) as u16;
    let (entries, tile) = (at(&entries_path(0, width)), at(&audit::log::Tile { level: 0, index: 0, width }.path()));
    for file in [&entries, &tile, &at("checkpoint")] {
        house.lock_in("locked", file);
    }
    house.put_into("locked", &entries, b"something else");
    house.put_into("locked", &at("checkpoint"), &older);
    assert!(house.delete_from("locked", &tile), "that hides it");
    let first = house.versions_in("locked", &entries).pop().unwrap();
    assert!(!house.delete_from("locked", &format!("{entries}?versionId={first}")), "it is locked");
    let fetched = place.path().join("fetched");
    let words = ["audit", "fetch", "--from", "s3://locked/openteam", "--to", &fetched.display().to_string()];
    let found = with_bucket(&house, &environment, &words);
    assert_eq!(found.status.code(), Some(1), "{}", told(&found));
    let said = told(&found);
    for (file, what) in [
        (&entries, "something else was put over it; its first version is used"),
        (&tile, "it was deleted; a version from before is used"),
        (&at("checkpoint"), "an older checkpoint, or none of the log's, was put over it"),
    ] {
        let line = format!("BAD  {}: {what}", file.strip_prefix("openteam/").unwrap());
        assert!(said.contains(&line), "{line}: {said}");
    }
    assert_eq!(said.matches("BAD").count(), 3, "{said}");
    assert_eq!(fs::read(fetched.join(&shard).join("checkpoint")).unwrap(), newest);
    let whole = verify(&house, &fetched, &known);
    assert_eq!(whole.status.code(), Some(0), "{}", told(&whole));
    // What is hidden keeps nobody from going on, and what was deleted is put once more.
    export(&place.path().join("journal"));
    let again = with_bucket(&house, &environment, &words);
    assert!(told(&again).contains(entries.strip_prefix("openteam/").unwrap()), "{}", told(&again));
    assert_eq!(told(&again).matches("BAD").count(), 1, "{}", told(&again));
    // Whoever reads what is newest there is not told the truth, and verification says so.
    fs::write(fetched.join(entries.strip_prefix("openteam/").unwrap()), "something else").unwrap();
    assert_eq!(verify(&house, &fetched, &known).status.code(), Some(1));
}

#[test]
fn promise_5_all_six_families_are_recorded_each_before_it_takes_effect() {
    let house = house();
    let tenant = house.tenant("families");
    let token = tenant.agent_token();
    used(&tenant, &token, 1);
    house.gateway(0).call(&token).orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    // Amazon wants to know since when.
    assert_eq!(house.gateway(0).call(&token).get(&format!("/orders/v0/orders?MarketplaceIds={US}")).status, 400);
    let _member = house.signed_in(&tenant.member(crds::Role::Owner));
    let seen = |class: u64, message: &str| {
        eventually(&format!("{class}: {message}"), || {
            house.journal().into_iter().find(|record| {
                record["event"]["class_uid"] == class && record["event"]["message"].as_str() == Some(message)
            })
        })
    };
    // Authentication, connection setup, runtime access, API errors, gateway activity, service events.
    seen(3002, "signed in");
    seen(3004, "credential sealed");
    let intended = seen(6003, "call intended");
    let answered = seen(6003, "call answered");
    seen(6003, "call answered with an error");
    seen(6003, "call refused");
    seen(6002, "started");
    // An intent is on disk before what it is about happens, and both tell of the same call.
    let correlation = &intended["event"]["metadata"]["correlation_uid"];
    let outcome = house
        .journal()
        .into_iter()
        .find(|record| record["event"]["metadata"]["correlation_uid"] == *correlation && *record != intended)
        .unwrap_or(answered);
    assert!(intended["sequence"].as_u64() < outcome["sequence"].as_u64());
    let connection: AmazonConnection = house.read(&tenant.name, &tenant.connection);
    assert!(connection.status.is_some());
}

#[test]
fn promise_5_less_than_a_year_is_refused_before_a_role_starts_with_it() {
    let house = house();
    let place = TempDir::new().unwrap();
    let file = place.path().join("openteam.yaml");
    for (retention, fits) in [("364d", false), ("365d", true)] {
        let map = format!("kind: ConfigMap\nmetadata: {{name: openteam}}\ndata:\n  retention: {retention}\n");
        fs::write(&file, map).unwrap();
        let checked = house.openteam(&["config", "check", "--file", &file.display().to_string()], "");
        assert_eq!(checked.status.success(), fits, "{}", told(&checked));
        let settings = place.path().join(retention);
        fs::create_dir(&settings).unwrap();
        fs::write(settings.join("retention"), retention).unwrap();
        assert_eq!(process::settings::Settings::read(&settings).is_ok(), fits);
    }
}
