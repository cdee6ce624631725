//! `golden.json`, which has an example of every event there is, against OCSF's own schema, by a tool that is not ours.

use std::collections::BTreeMap;

use cluster::clients::Library;
use serde_json::{Value, json};

/// What is wrong with each of these events.
fn faults(events: &Value) -> BTreeMap<String, Vec<String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), events.to_string()).unwrap();
    let output = Library::OcsfJsonSchema.program("validate").unwrap().arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

#[test]
fn every_event_is_of_ocsf() {
    assert_eq!(faults(&golden()), BTreeMap::new());
}

#[test]
fn a_broken_event_is_found_by_ocsfs_own_schema() {
    let golden = golden();
    let broken = |sample: &str, change: &dyn Fn(&mut Value)| {
        let mut event = golden[sample].clone();
        change(&mut event);
        event
    };
    let events = json!({
        "no class": broken("started", &|event| event["class_uid"] = json!(1)),
        "no such activity": broken("log opened", &|event| { event["activity_id"] = json!(77); event["type_uid"] = json!(600_277); }),
        "other type": broken("call intended", &|event| event["type_uid"] = json!(600_301)),
        "no user": broken("member assigned", &|event| { event.as_object_mut().unwrap().remove("user"); }),
        "no privileges": broken("member revoked", &|event| { event.as_object_mut().unwrap().remove("privileges"); }),
        "no finding": broken("review made", &|event| { event.as_object_mut().unwrap().remove("finding_info"); }),
        "no uid": broken("new subject", &|event| { event["finding_info"].as_object_mut().unwrap().remove("uid"); }),
        "unknown member": broken("contained", &|event| event["secret"] = json!("x")),
        "time as text": broken("signed in", &|event| event["time"] = json!("2026-11-23T10:00:00Z")),
        "sequence as text": broken("signed in", &|event| event["metadata"]["sequence"] = json!("7")),
        "whole": golden["contained"].clone(),
    });
    let found = faults(&events);
    let all: Vec<&str> =
        events.as_object().unwrap().keys().map(String::as_str).filter(|name| *name != "whole").collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), all, "{found:#?}");
}
