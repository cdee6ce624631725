//! Promise 5: what happens is recorded first, so that nobody can change it afterwards unseen; it is kept and can be read by who may.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use audit::log::{Checkpoint, Edge, SignedCheckpoint, SigningKey, entries, entries_path, leaf_hash};
use crds::AmazonConnection;
use openteam_end_to_end::{House, NAMESPACE, Tenant, US, alone, eventually, house, within};
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

fn told(output: &Output) -> String {
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

#[test]
fn promise_5_tools_that_are_not_ours_agree_about_an_exported_log() {
    let house = house();
    let tenant = house.tenant("exported");
    used(&tenant, &tenant.agent_token(), 3);
    let place = TempDir::new().unwrap();
    let known = checkpoints(&house, place.path());
    let (dir, to) = (copy(&house, place.path()), place.path().join("export"));
    let words = ["audit", "export", "--dir", &dir.display().to_string(), "--to", &to.display().to_string()];
    let exported = house.openteam(&words, "");
    assert!(exported.status.success(), "{}", told(&exported));
    let words = ["audit", "verify", "--dir", &to.display().to_string(), "--checkpoints", &known.display().to_string()];
    let ours = house.openteam(&[&words[..], &["-o", "json"]].concat(), "");
    assert_eq!(ours.status.code(), Some(0), "{}", told(&ours));
    let ours: Value = serde_json::from_slice(&ours.stdout).unwrap();
    let logs = ours["logs"].as_array().unwrap();
    assert!(!logs.is_empty());
    let fsck = cluster::binaries::tlog_tools().unwrap().fsck;
    for log in logs {
        // The commands of docs/audit.md.
        let plain = to.join(log["shard"].as_str().unwrap());
        let theirs = Command::new(&fsck)
            .arg(format!("--storage_url=file://{}/", plain.display()))
            .arg(format!("--public_key={}", plain.join("vkey").display()))
            .arg("--ui=false")
            .output()
            .unwrap();
        let said = told(&theirs);
        let root = data_encoding::BASE64.decode(log["root"].as_str().unwrap().as_bytes()).unwrap();
        let expected = format!("Successfully fsck'd log with size {} and root ", log["size"]);
        let line = said.lines().find(|line| line.contains(&expected)).unwrap_or_else(|| panic!("{expected}: {said}"));
        let hex = data_encoding::HEXLOWER.encode(&root);
        assert!(line.contains(&hex) || line.contains(log["root"].as_str().unwrap()), "{line}: {hex}");
    }
    // A receipt for one of its records, by the way of the command.
    let (receipt, record) = (place.path().join("receipt"), place.path().join("record"));
    let words = ["audit", "receipt", "--dir", &dir.display().to_string(), "--sequence", "1"];
    let made = house.openteam(&[&words[..], &["--record", &record.display().to_string()]].concat(), "");
    assert!(made.status.success(), "{}", told(&made));
    fs::write(&receipt, &made.stdout).unwrap();
    let words =
        ["audit", "verify", "--receipt", &receipt.display().to_string(), "--record", &record.display().to_string()];
    let checked = house.openteam(&[&words[..], &["--checkpoints", &known.display().to_string()]].concat(), "");
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    let mut bytes = fs::read(&record).unwrap();
    bytes[10] ^= 1;
    fs::write(&record, bytes).unwrap();
    let checked = house.openteam(&[&words[..], &["--checkpoints", &known.display().to_string()]].concat(), "");
    assert_eq!(checked.status.code(), Some(1), "{}", told(&checked));
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
