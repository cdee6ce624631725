//! Evidence of incidents: made by itself, fetched by who may, checked without a cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::Duration,
};

use crds::{
    AmazonConnection, Incident, IncidentEvidence, IncidentPhase, IncidentStatus, Team,
    condition::{EVIDENCE_KEPT, find},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use openteam_end_to_end::{House, NAMESPACE, US, alone, house, within};
use serde_json::{Value, json};

const OPERATOR: &str = "openteam-operator-0";
const RECORDER: &str = "openteam-recorder-0";
/// A bundle waits until nothing more is contained, and half a minute after the one before.
const MADE: Duration = Duration::from_secs(90);

fn status(house: &House, name: &str) -> Option<IncidentStatus> {
    let api: Api<Incident> = Api::namespaced(house.client().clone(), NAMESPACE);
    house.block_on(api.get_opt(name)).unwrap()?.status
}

/// Waits for so many bundles.
fn evidence(house: &House, name: &str, bundles: usize) -> Vec<IncidentEvidence> {
    let made = || status(house, name).map(|status| status.evidence).filter(|evidence| evidence.len() == bundles);
    within(MADE, &format!("{name} has {bundles} bundles"), made).0
}

/// The reason why there is no evidence.
fn lacks(house: &House, name: &str) -> Option<String> {
    let status = status(house, name)?;
    find(&status.conditions, EVIDENCE_KEPT).filter(|kept| kept.status == "False").map(|kept| kept.reason.clone())
}

/// The journal's directory, beside which bundles are.
fn journal(house: &House) -> PathBuf {
    house.disk().join("journal")
}

/// A kubeconfig of somebody with these rights, those to fetch evidence, and no more.
fn person(house: &House, name: &str, cluster_role: &str) -> PathBuf {
    house.somebody(name, cluster_role, "openteam-evidence")
}

fn export(house: &House, kubeconfig: &Path, arguments: &[&str]) -> Output {
    export_with(house, kubeconfig, arguments, Vec::new())
}

fn export_with(
    house: &House,
    kubeconfig: &Path,
    arguments: &[&str],
    environment: Vec<(&'static str, String)>,
) -> Output {
    std::process::Command::new(house.program())
        .args(["incident", "export"])
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", house.desk("evidence-desk").path())
        .envs(environment)
        .output()
        .unwrap()
}

/// `openteam incident verify`, with no cluster to be found.
fn verify(house: &House, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = std::process::Command::new(house.program())
        .args(["incident", "verify", "-o", "json"])
        .args(arguments)
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(&text);
    assert!(value.is_ok(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), value.unwrap())
}

/// Files of an archive, by path.
fn unpacked(tar: &Path) -> Vec<(String, Vec<u8>)> {
    let bundle = evidence::Bundle::read(tar).unwrap();
    bundle.files().map(|(path, content)| (path.to_owned(), content.to_vec())).collect()
}

fn close(house: &House, name: &str) {
    let closed =
        json!({ "rootCause": "A token in a log.", "remedy": "The log redacts.", "waiver": "Ann: it was a test's." });
    house.patch::<Incident>(NAMESPACE, name, &json!({ "spec": { "closed": closed } }));
}

#[test]
fn promise_6_an_incidents_evidence_is_kept_exported_by_an_auditor_and_verified_offline() {
    let house = house();
    let tenant = house.tenant("evidence");
    let (agent, token) = (tenant.agent_token(), tenant.runtime_token("nightly"));
    let gateway = house.gateway(0);
    for _ in 0..3 {
        gateway.call(&token).orders(US).is_served();
    }
    gateway.call(&agent).orders(US).is_served();
    gateway.call(&agent).orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    // Under use.
    house.disable::<AmazonConnection>("evidence", &tenant.connection, "evidence-1");
    let first = evidence(&house, "evidence-1", 1);
    assert_eq!((first[0].sequence, first[0].missing.len()), (1, 0));
    assert_eq!(first[0].locations, [format!("recorder/{RECORDER}")]);
    assert!(first[0].position[0].sequence > 0);

    // Closed, there is a last one, which follows the first.
    house.restore::<AmazonConnection>("evidence", &tenant.connection);
    close(&house, "evidence-1");
    let both = evidence(&house, "evidence-1", 2);
    assert_eq!((both[1].phase, both[0].clone()), (IncidentPhase::Closed, first[0].clone()));

    let (auditor, to) = (person(&house, "audrey", "openteam-auditor"), house.state_dir().join("exported"));
    let to_text = to.display().to_string();
    let exported = export(&house, &auditor, &["evidence-1", "--to", &to_text, "-o", "json"]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let rows: Value = serde_json::from_slice(&exported.stdout).unwrap();
    assert_eq!(rows[1]["digest"], both[1].digest.as_str());
    let bundle = |sequence: u32| to.join(format!("evidence-1-{sequence:06}.tar")).display().to_string();
    let key = to.join("evidence-key.pem").display().to_string();
    let again = export(&house, &auditor, &["evidence-1", "--to", &to_text]);
    assert!(again.status.success(), "the same once more is no harm");

    // Whole, by the right key, after the first, at that record, as the Incident says.
    let record = &both[1].position[0];
    let (code, report) = verify(
        &house,
        &[
            &bundle(2),
            "--key",
            &key,
            "--previous",
            &bundle(1),
            "--journal-record",
            &record.digest,
            "--digest",
            &both[1].digest,
        ],
    );
    assert_eq!((code, &report["faults"]), (Some(0), &json!([])), "{report}");
    assert_eq!(report["keyId"], both[1].signed_by.as_str());
    let dir = journal(&house).display().to_string();
    let told = house.openteam(&["evidence", "record", &record.sequence.to_string(), "--dir", &dir], "");
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), record.digest, "the journal was not rewritten");
    let (code, report) = verify(&house, &[&bundle(1)]);
    assert_eq!((code, &report["trust"]), (Some(3), &json!("Unknown")), "nobody said whose key is right");

    // It tells who could, and who did.
    let files = unpacked(Path::new(&bundle(1)));
    let json = |path: &str| -> Value {
        let (_, content) = files.iter().find(|(at, _)| at == path).unwrap_or_else(|| panic!("{path} is there"));
        serde_json::from_slice(content).unwrap()
    };
    let access = json("access.json");
    assert_eq!(access["connections"][0]["disabledBy"], json!(["evidence-1"]));
    assert_eq!(access["runtimeTokens"][0]["name"], "nightly");
    assert!(
        access["runtimeTokens"][0]["lastUse"].is_string() && access["grants"][0]["lastUse"].is_string(),
        "{access}"
    );
    let used = json("use.json");
    let by = used["connections"][0]["by"].as_array().unwrap();
    let of =
        |name: &str| by.iter().find(|one| one["actor"]["name"] == name).unwrap_or_else(|| panic!("{name}: {used}"));
    let nightly = of("evidence/nightly");
    // Whoever issued it tried it, too.
    assert!(nightly["calls"].as_u64() >= Some(3), "{used}");
    assert_eq!(nightly["operations"], json!({ "orders/v0/getOrders": nightly["calls"] }), "each call counts once");
    assert_eq!(nightly["marketplaces"], json!({ US: nightly["calls"] }));
    let agent = of("system:serviceaccount:evidence:agent");
    assert_eq!((&agent["calls"], &agent["refused"]), (&json!(1), &json!(1)), "{used}");
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    for path in [
        "incident.yaml",
        "objects/AgentGrant/evidence/agent.yaml",
        "objects/AmazonConnection/evidence/evidence-na.yaml",
        "objects/RuntimeToken/evidence/nightly.yaml",
        "objects/Team/evidence/evidence.yaml",
        "journal/openteam-recorder-0.jsonl",
    ] {
        assert!(paths.contains(&path), "{path} is in {paths:?}");
    }
    let text = |path: &str| {
        let (_, content) = files.iter().find(|(at, _)| at == path).unwrap();
        String::from_utf8_lossy(content).into_owned()
    };
    let frozen = text("objects/AmazonConnection/evidence/evidence-na.yaml");
    assert!(frozen.contains("openteam.dev/disable: evidence-1") && frozen.contains("managedFields"), "{frozen}");
    for path in paths.iter().filter(|path| path.starts_with("objects/SealedCredential/")) {
        assert!(!text(path).contains("T1Rpbg"), "ciphertext in {path}");
    }
    assert!(paths.iter().any(|path| path.starts_with("objects/SealedCredential/evidence/")), "{paths:?}");
    assert!(!text("objects/RuntimeToken/evidence/nightly.yaml").contains(&token));
    let sealed = house.journal().into_iter().filter(|record| record["event"]["message"] == "evidence signed");
    let digests: Vec<String> = sealed.map(|record| record["event"]["unmapped"]["digest"].to_string()).collect();
    assert!(both.iter().all(|one| digests.contains(&format!("\"sha256:{}\"", one.digest))), "{digests:?}");

    // What somebody does to it is named.
    let tampered = to.join("tampered.tar");
    let mut bytes = fs::read(bundle(1)).unwrap();
    let at = bytes.windows(20).position(|window| window == b"openteam.dev/disable").unwrap();
    bytes[at] = b'x';
    fs::write(&tampered, &bytes).unwrap();
    let (code, report) = verify(&house, &[&tampered.display().to_string(), "--key", &key]);
    let faults = report["faults"].to_string();
    assert!(code == Some(1) && faults.contains("AmazonConnection/evidence/evidence-na.yaml"), "{faults}");
    let directory = to.join("unpacked");
    for (path, content) in &files {
        let at = directory.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
    let directory_text = directory.display().to_string();
    assert_eq!(verify(&house, &[&directory_text, "--key", &key]).0, Some(0), "a directory is as good");
    fs::remove_file(directory.join("use.json")).unwrap();
    let (code, report) = verify(&house, &[&directory_text, "--key", &key]);
    assert_eq!((code, &report["faults"][0]), (Some(1), &json!("use.json: is not there, manifest.json lists it")));
    fs::write(&tampered, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(verify(&house, &[&tampered.display().to_string()]).0, Some(1), "cut off");
}

#[test]
fn evidence_is_exported_into_a_bucket_and_overwrites_nothing_there() {
    let house = house();
    let tenant = house.tenant("bucket");
    house.disable::<AmazonConnection>("bucket", &tenant.connection, "bucket-1");
    evidence(&house, "bucket-1", 1);
    house.restore::<AmazonConnection>("bucket", &tenant.connection);
    let kubeconfig = person(&house, "bert", "openteam-auditor");
    let environment = house.create_bucket("evidence");
    let export =
        || export_with(&house, &kubeconfig, &["bucket-1", "--to", "s3://evidence/openteam"], environment.clone());
    let exported = export();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let there = house.object_in("evidence", "openteam/bucket-1-000001.tar").unwrap();
    let file = house.state_dir().join("from-the-bucket.tar");
    fs::write(&file, &there).unwrap();
    assert_eq!(verify(&house, &[&file.display().to_string()]).0, Some(3), "whole; nobody said whose key is right");
    assert!(export().status.success(), "the same once more is no harm");
    house.put_into("evidence", "openteam/bucket-1-000001.tar", b"something else");
    let refused = export();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("is there already and is something else"), "{said}");
    assert_eq!(house.object_in("evidence", "openteam/bucket-1-000001.tar").unwrap(), b"something else");
    tenant.wait_until_ready(&tenant.connection);
}

#[test]
fn the_role_for_evidence_reaches_the_recorders_pod_and_no_other() {
    let house = house();
    person(&house, "ivy", "openteam-responder");
    let may = |verb: &str, what: &str, sub: &str| {
        let words = ["auth", "can-i", verb, what, sub, "--as=ivy", "--namespace", NAMESPACE];
        let output = house.kubectl().output(&words).unwrap();
        String::from_utf8_lossy(&output.stdout).trim() == "yes"
    };
    assert!(may("create", "pods/openteam-recorder-0", "--subresource=exec"));
    assert!(may("get", "configmaps/openteam-evidence-key", "--subresource="));
    for pod in ["pods/openteam-operator-0", "pods/openteam-gateway-0", "pods"] {
        assert!(!may("create", pod, "--subresource=exec"), "{pod}");
    }
    for (verb, what) in [("get", "secrets/openteam-evidence-key"), ("get", "secrets"), ("update", "configmaps")] {
        assert!(!may(verb, what, "--subresource="), "{verb} {what}");
    }
}

#[test]
fn without_a_recorder_the_incident_says_that_there_is_no_evidence_until_there_is() {
    let house = alone();
    let tenant = house.tenant("unkept");
    house.stop(RECORDER);
    house.disable::<Team>("unkept", "unkept", "unkept-1");
    within(MADE, "the condition says why", || lacks(&house, "unkept-1").filter(|why| why == "RecorderUnavailable"));
    assert_eq!(status(&house, "unkept-1").unwrap().evidence, []);
    house.restart(RECORDER);
    let made = evidence(&house, "unkept-1", 1);
    assert_eq!(made[0].phase, IncidentPhase::Contained);
    within(MADE, "the condition is well", || lacks(&house, "unkept-1").is_none().then_some(()));
    house.restore::<Team>("unkept", "unkept");
    tenant.wait_until_ready(&tenant.connection);
}

#[test]
fn evidence_is_made_once_whenever_the_operator_is_killed() {
    let house = alone();
    let tenant = house.tenant("cutshort");
    // Kept, and killed before the status tells of it: what the recorder keeps is taken over.
    house.disable::<AmazonConnection>("cutshort", &tenant.connection, "cutshort-1");
    let made = evidence(&house, "cutshort-1", 1);
    house.kill(OPERATOR);
    let status: Api<Incident> = Api::namespaced(house.client_of(OPERATOR), NAMESPACE);
    let untold = Patch::Merge(json!({ "status": { "evidence": null } }));
    house.block_on(status.patch_status("cutshort-1", &PatchParams::default(), &untold)).unwrap();
    house.restart(OPERATOR);
    assert_eq!(evidence(&house, "cutshort-1", 1), made, "the same one");
    house.restore::<AmazonConnection>("cutshort", &tenant.connection);

    // At whichever moment: the bundle is made about five seconds after the annotation.
    for (step, wait) in [4800, 5000, 5200, 5500, 6000].into_iter().enumerate() {
        let name = format!("cutshort-at-{step}");
        house.disable::<AmazonConnection>("cutshort", &tenant.connection, &name);
        // The point in time is what is tried.
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
        let made = evidence(&house, &name, 1);
        let kept = fs::read_dir(journal(&house).join("evidence")).unwrap().flatten();
        let names: Vec<String> = kept.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let ours: Vec<&String> = names.iter().filter(|it| it.starts_with(&format!("{name}_"))).collect();
        assert_eq!(ours, [&made[0].name], "one bundle, and the one that the Incident names");
        house.restore::<AmazonConnection>("cutshort", &tenant.connection);
    }
    tenant.wait_until_ready(&tenant.connection);
}

#[test]
fn evidence_is_copied_to_the_place_that_the_setting_names() {
    let house = alone();
    let tenant = house.tenant("copied");
    let outside = house.state_dir().join("outside");
    house.disable::<Team>("copied", "copied", "copied-1");
    evidence(&house, "copied-1", 1);
    // What was made before is copied as well.
    house.set("evidenceUrl", Some(&format!("file://{}", outside.display())));
    house.stop(OPERATOR);
    house.restart(OPERATOR);
    let (made, _) = within(MADE, "it is copied", || {
        status(&house, "copied-1")?.evidence.into_iter().next().filter(|it| it.locations.len() == 2)
    });
    assert_eq!(made.locations[1], format!("file://{}/{}", outside.display(), made.name));
    let copy = outside.join(&made.name).display().to_string();
    assert_eq!(verify(&house, &[&copy, "--digest", &made.digest]).1["whole"], true);

    // A place that cannot be used is said, and nothing else waits for it.
    house.set("evidenceUrl", Some("file:///dev/null/evidence"));
    house.stop(OPERATOR);
    house.restart(OPERATOR);
    house.disable::<Team>("copied", "copied", "copied-1,copied-2");
    evidence(&house, "copied-2", 1);
    within(MADE, "the condition says why", || lacks(&house, "copied-2").filter(|why| why == "NotCopied"));
    house.set("evidenceUrl", None);
    house.stop(OPERATOR);
    house.restart(OPERATOR);
    house.restore::<Team>("copied", "copied");
    tenant.wait_until_ready(&tenant.connection);
}
