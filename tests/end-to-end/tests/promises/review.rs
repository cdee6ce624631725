//! Promise 5: what is recorded is reviewed every fortnight, by somebody who says so in their own name.

use std::time::Duration;

use audit::log::{Checkpoint, SignedCheckpoint};
use openteam_end_to_end::{House, NAMESPACE, US, commands_of, eventually, house, within};
use process::review::{Kept, NAME};
use serde_json::{Value, json};

use crate::record::told;

/// The operator looks every twenty seconds, and asks recorders that read all of their record.
const LOOKED: Duration = Duration::from_secs(150);

fn kept(house: &House) -> Option<Kept> {
    let json = house.kubectl().run(&["get", "configmap", NAME, "-n", NAMESPACE, "-o", "jsonpath={.data}"]).ok()?;
    Kept::parse(&serde_json::from_str(&json).ok()?).ok()
}

/// As somebody who puts a backup back.
fn put_back(house: &House, data: &Value) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": NAME, "namespace": NAMESPACE }, "data": data,
    });
    house.kubectl().run_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &map.to_string()).unwrap();
}

/// A gauge of the operator's, in seconds since 1970.
fn gauge(house: &House, name: &str) -> i64 {
    let operators = house.pods().into_iter().filter(|pod| pod.starts_with("openteam-operator"));
    let metrics: Vec<String> = operators.map(|pod| house.metrics(&pod)).collect();
    let values = metrics.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix(&format!("{name} ")));
    values.map(|value| value.parse::<f64>().unwrap() as i64).max().unwrap_or_default()
}

#[test]
fn promise_5_the_record_is_reviewed_by_name_and_an_overdue_review_is_told() {
    let house = house();
    let tenant = house.tenant("reviewed");
    let token = tenant.agent_token();
    house.gateway(0).call(&token).orders(US).is_served();
    house.gateway(0).call(&token).orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    let audrey = house.somebody("audrey", "openteam-auditor", "openteam-auditor");
    // The first comes a day after the installation; one that was damaged is made anew at once.
    put_back(&house, &json!({ "digest": "sha256:none" }));
    let (made, _) = within(LOOKED, "a digest is made", || kept(&house));
    let content = &made.content;
    assert!(content.is_verified, "{content:?}");
    let digest = content.recorders[0].digest.as_ref().unwrap();
    let counted = |class: u64| digest.counts.iter().filter(|it| it.class == class).map(|it| it.events).sum::<u64>();
    assert!(counted(6003) >= 3 && counted(3004) >= 1, "{digest:?}");
    assert!(!digest.logs.is_empty() && digest.logs.iter().all(|log| log.flaws.is_empty()), "{digest:?}");
    let access = content.access.teams.iter().find(|team| team.team == "reviewed/reviewed").unwrap();
    assert_eq!(access.connections, [&*tenant.connection]);
    assert!(!access.members.is_empty() && !access.agent_grants.is_empty(), "{access:?}");
    // It leaves the cluster with the newest checkpoints, which the witness has seen.
    let mail = eventually("the mail arrives", || {
        house.mails_to(House::INCIDENT_CONTACT).into_iter().find(|mail| mail.text.contains(&made.digest()))
    });
    let witnessed =
        house.kubectl().run(&["get", "configmap", "openteam-audit", "-n", NAMESPACE, "-o", "json"]).unwrap();
    let witnessed: Value = serde_json::from_str(&witnessed).unwrap();
    let notes = witnessed["data"].as_object().unwrap().values();
    let known: Vec<Checkpoint> =
        notes.filter_map(|note| Some(SignedCheckpoint::parse(note.as_str()?).ok()?.checkpoint().clone())).collect();
    assert!(!content.witnessed.is_empty());
    for log in &content.witnessed {
        assert!(mail.text.contains(&log.checkpoint()), "{}", mail.text);
        assert!(known.iter().any(|it| it.origin == log.origin && it.size >= log.size), "{known:?}");
    }

    let review = |more: &[&str]| house.openteam_with(&audrey, &[&["audit", "review"], more].concat(), "");
    let shown = review(&[]);
    assert_eq!(shown.status.code(), Some(0), "{}", told(&shown));
    assert!(told(&shown).contains("every log is whole\nto be signed off by "), "{}", told(&shown));
    // Not signed off in time: the command fails, and the figure that OpenTeamReviewOverdue is about says since when.
    let mut data = serde_json::to_value(made.data()).unwrap();
    data["dueBy"] = "2026-01-02T03:04:05Z".into();
    put_back(&house, &data);
    let overdue = review(&[]);
    assert_eq!(overdue.status.code(), Some(1), "{}", told(&overdue));
    assert!(told(&overdue).contains("OVERDUE: to be signed off by 2026-01-02T03:04:05Z"), "{}", told(&overdue));
    let since = 1_767_323_045;
    within(LOOKED, "the figure says so", || {
        (gauge(&house, "openteam_review_due_timestamp_seconds") == since).then_some(())
    });

    let other = review(&["sign-off", "--digest", "sha256:1"]);
    assert!(!other.status.success() && told(&other).contains("the current digest is another one"), "{}", told(&other));
    // As docs/audit.md says.
    let commands =
        commands_of("docs/audit.md").into_iter().find(|block| block.contains("audit review sign-off")).unwrap();
    let sign_off = commands.lines().find(|line| line.contains("sign-off")).unwrap();
    let signed = house.desk("auditor").run_with(&audrey, &[], sign_off);
    assert!(signed.status.success(), "{}", told(&signed));
    let (done, _) = within(LOOKED, "the operator takes note", || kept(&house).filter(|kept| kept.signed_off.is_some()));
    assert_eq!(done.signed_off.as_ref().unwrap().by, "audrey");
    let shown = review(&[]);
    assert_eq!(shown.status.code(), Some(0), "{}", told(&shown));
    assert!(told(&shown).contains("signed off by audrey at") && told(&shown).contains("Note: Refusals of the 12th"));
    within(LOOKED, "the figure is that of the next one", || {
        (gauge(&house, "openteam_review_due_timestamp_seconds") == done.due().as_second()).then_some(())
    });
    // Both are in the record, and the name.
    let said = |message: &str| {
        let journal = house.journal();
        let of = |event: &&Value| event["event"]["message"] == message;
        journal.iter().filter(of).map(|record| record["event"].to_string()).collect::<Vec<_>>()
    };
    assert!(!said("review of the record made").is_empty());
    let signed = said("review of the record signed off");
    assert!(signed.iter().any(|event| event.contains("audrey")), "{signed:?}");
}
