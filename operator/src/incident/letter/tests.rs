//! Against `letters.golden`; set `UPDATE_GOLDEN=1` to write it anew, and then read the difference.

use std::{collections::BTreeMap, fmt::Write};

use crds::{IncidentClosure, IncidentNote, IncidentSeverity, IncidentStatus};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{
    super::notice::{Application, Seller},
    *,
};
use crate::{stores::Kind, testing::now};

fn named(namespace: &str, name: &str) -> NamespacedReference {
    NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Of two tenants that know nothing of each other.
fn shares() -> Shares {
    let application = Name::new(Kind::AmazonApplication, Some("platform"), "main");
    let acme = Share {
        contained: vec![application.clone(), Name::new(Kind::AgentGrant, Some("acme"), "bot")],
        connections: ["acme-na".to_owned(), "acme-eu".to_owned()].into(),
        grants: (0..25).map(|number| format!("bot-{number:02}")).collect(),
        tokens: ["nightly".to_owned()].into(),
        exposed: BTreeMap::from([
            ("acme-na".to_owned(), now() + SignedDuration::from_mins(40)),
            ("acme-eu".to_owned(), now() - SignedDuration::from_mins(1)),
        ]),
    };
    let rival = Share { contained: vec![application], connections: ["rival-jp".to_owned()].into(), ..Share::default() };
    Shares::from([(named("acme", "acme"), acme), (named("rival", "rival"), rival)])
}

fn incident() -> Incident {
    let mut incident = Incident::new("inc-7", Default::default());
    incident.spec.title = Some("A token of rival in a log".to_owned());
    incident.spec.severity = Some(IncidentSeverity::High);
    incident.spec.notes = vec![IncidentNote {
        time: Time(now()),
        author: "ann@example.com".to_owned(),
        text: "rival's build log\nhad it".to_owned(),
    }];
    let target = |kind: &str, namespace: &str, name: &str| {
        json!({
            "kind": kind, "namespace": namespace, "name": name, "containedAt": now().to_string(),
        })
    };
    let status: IncidentStatus = serde_json::from_value(json!({
        "phase": "Contained",
        "contained": 2,
        "targets": [target("AmazonApplication", "platform", "main"), target("AgentGrant", "acme", "bot")],
        "reach": { "connections": 3, "grants": 25, "tokens": 1 },
        "notifyAmazonBy": (now() + SignedDuration::from_hours(24)).to_string(),
        "timeline": [
            { "time": now().to_string(), "event": "Opened" },
            { "time": now().to_string(), "event": "Contained", "about": "AmazonApplication platform/main, AgentGrant acme/bot" },
        ],
    }))
    .unwrap();
    incident.status = Some(status);
    incident
}

fn reached() -> Reached {
    let seller = |namespace: &str, name: &str, id: Option<&str>| Seller {
        name: named(namespace, name),
        id: id.map(str::to_owned),
        region: "NA",
        marketplaces: vec!["ATVPDKIKX0DER".to_owned(), "A2EUQ1WTGCTBG2".to_owned()],
        exposed_until: (name == "acme-na").then(|| now() + SignedDuration::from_mins(40)),
    };
    Reached {
        applications: vec![Application { name: named("platform", "main"), id: "amzn1.sp.solution.0".to_owned() }],
        sellers: vec![seller("acme", "acme-na", Some("A1EXAMPLE")), seller("rival", "rival-jp", None)],
    }
}

fn about<'a>(incident: &'a Incident, shares: &'a Shares) -> About<'a> {
    About {
        incident,
        shares,
        incident_contact: Some("oncall@example.com"),
        amazon_contact: Some("security@amazon.example"),
        now: now() + SignedDuration::from_mins(1),
    }
}

fn letters() -> Vec<(&'static str, Letter)> {
    let (incident, shares) = (incident(), shares());
    let about = about(&incident, &shares);
    let mut over = incident.clone();
    over.status.as_mut().unwrap().targets.iter_mut().for_each(|target| target.restored_at = Some(Time(now())));
    over.status.as_mut().unwrap().contained = 0;
    let mut closed = over.clone();
    closed.spec.closed = Some(IncidentClosure {
        root_cause: "rival's log level was debug".to_owned(),
        remedy: "no tokens in logs".to_owned(),
        waiver: None,
    });
    let none = Shares::new();
    let after = |incident| About { incident, shares: &none, ..about };
    vec![
        ("to a Team: contained", about.contained_to(&named("acme", "acme"))),
        ("to another Team: contained", about.contained_to(&named("rival", "rival"))),
        ("to a Team: contained, and restored before it was sent", after(&over).contained_to(&named("acme", "acme"))),
        ("to a Team: restored", after(&over).restored_to(&named("acme", "acme"))),
        ("to incidentContact: contained", about.contained(&reached())),
        ("to incidentContact: restored", after(&over).restored()),
        ("to incidentContact: closed", after(&closed).closed()),
        ("to incidentContact: reminder", after(&over).reminder(&reached())),
    ]
}

#[test]
fn letters_read_as_ever() {
    let mut seen = String::new();
    for (name, letter) in letters() {
        writeln!(seen, "=== {name}\nSubject: {}\n\n{}", letter.subject, letter.text).unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/incident/letter/letters.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &seen).unwrap();
    }
    assert_eq!(seen, std::fs::read_to_string(file).unwrap());
}

#[test]
fn a_team_reads_nothing_of_another_whoever_wrote_it() {
    let mut told = 0;
    for (name, letter) in letters().iter().filter(|(name, _)| name.starts_with("to a Team")) {
        let text = format!("{}\n{}", letter.subject, letter.text).to_lowercase();
        for foreign in ["rival", "rival-jp", "log level", "ann@example.com", "a1example", "debug"] {
            assert!(!text.contains(foreign), "{name}: {foreign} in {text}");
        }
        assert!(!text.contains("security@amazon.example"), "{name}");
        told += 1;
    }
    assert_eq!(told, 3);
}

#[test]
fn amazon_is_only_ever_told_by_people() {
    for (name, letter) in letters() {
        assert_eq!(letter.text.contains("To: security@amazon.example"), letter.text.contains("draft of"), "{name}");
    }
    let mut incident = incident();
    incident.spec.notes[0].text = format!("{AMAZON_WAS_TOLD} by Ann");
    let shares = shares();
    let text = about(&incident, &shares).contained(&reached()).text;
    assert!(!text.contains("Amazon must be told by"), "{text}");
}

#[test]
fn what_settings_leave_out_is_left_to_fill_in() {
    let (incident, shares) = (Incident::new("inc-8", Default::default()), Shares::new());
    let about = About { incident_contact: None, amazon_contact: None, ..about(&incident, &shares) };
    let text = about.contained(&Reached::default()).text;
    for gap in ["To: [", "Point of contact: [", "Detected: [", "What happened: [", "- [which applications"] {
        assert!(text.contains(gap), "{gap} in {text}");
    }
    let text = about.contained_to(&named("acme", "acme")).text;
    assert!(text.contains("writes to whoever runs OpenTeam"), "{text}");
}
