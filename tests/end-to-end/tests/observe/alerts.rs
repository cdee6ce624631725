//! The alerts, by Prometheus' own tool.

use std::process::Command;

use openteam_end_to_end::repository;

fn promtool(arguments: &[&str]) {
    let program = cluster::packages::unpacked("prometheus", "promtool").unwrap();
    let output =
        Command::new(program).args(arguments).current_dir(repository().join("manifests/alerts")).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {}:\n{}", arguments.join(" "), String::from_utf8_lossy(&said));
}

#[test]
fn alerts_are_well_formed() {
    promtool(&["check", "rules", "--lint-fatal", "openteam.rules.yaml"]);
}

#[test]
fn each_alert_comes_when_it_should_and_not_before() {
    promtool(&["test", "rules", "openteam.test.yaml"]);
}

#[test]
fn each_alert_says_what_to_do_and_is_explained() {
    let text = std::fs::read_to_string(repository().join("manifests/alerts/openteam.rules.yaml")).unwrap();
    let document = std::fs::read_to_string(repository().join("docs/reference/alerts.md")).unwrap();
    let tests = std::fs::read_to_string(repository().join("manifests/alerts/openteam.test.yaml")).unwrap();
    let rules: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let alerts: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(alerts.len() > 20);
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].as_str().is_some_and(|text| text.len() > 20), "{name} {text}");
        }
        let anchor = format!("docs/reference/alerts.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook"], anchor, "{name}");
        assert!(document.contains(&format!("\n## {name}\n")), "docs/reference/alerts.md explains {name}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "openteam.test.yaml makes {name} come");
        assert!(tests.contains(&format!("alertname: {name}}}")), "openteam.test.yaml says when {name} does not come");
    }
}
