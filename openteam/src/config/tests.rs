use super::*;

fn checked(yaml: &str) -> Report {
    Report::of(source::manifest("a.yaml", yaml).unwrap(), "ns")
}

const OTHERS: &str = "kind: ConfigMap\nmetadata: {name: openteam-gateway}\ndata: {colour: red}\n---\nkind: Service\n\
                      metadata: {name: openteam}\n---\n";

#[test]
fn the_config_map_is_found_among_what_kustomize_prints() {
    for name in ["openteam", "openteam-c8f2m76t5k"] {
        let map = format!("kind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  stalenessLimit: 30s\n");
        for yaml in [map.clone(), format!("{OTHERS}{map}")] {
            let report = checked(&yaml);
            assert!(report.valid, "{report:?}");
            let row = report.settings.iter().find(|row| row.key == "stalenessLimit").unwrap();
            assert_eq!((row.value.as_str(), row.state), ("30s", State::Set));
            assert_eq!(report.settings.iter().filter(|row| row.state == State::Default).count(), ALL.len() - 1);
        }
    }
    let list = "kind: List\nitems:\n- kind: ConfigMap\n  metadata: {name: openteam}\n  data: {logLevel: warn}\n";
    assert!(checked(list).valid);
}

#[test]
fn none_or_two_of_them_or_no_yaml_cannot_be_checked() {
    let map = "kind: ConfigMap\nmetadata: {name: openteam}\n";
    for (yaml, why) in [
        ("", "no ConfigMap openteam"),
        (OTHERS, "no ConfigMap openteam"),
        (&format!("{map}---\n{map}"), "2 ConfigMaps openteam"),
        ("a: [", "no YAML"),
        ("data: {a: 1, a: 2}", "no YAML"),
    ] {
        let error = format!("{:#}", source::manifest("a.yaml", yaml).unwrap_err());
        assert!(error.contains(why) && error.contains("a.yaml"), "{error}");
    }
}

#[test]
fn every_mistake_is_named_and_a_wrong_value_is_not_repeated() {
    let report = checked(
        "kind: ConfigMap\nmetadata: {name: openteam}\nbinaryData: {a: AAAA}\ndata:\n  stalenesslimit: 10s\n  \
         tracesRatio: 0.5\n  tracesEndpoint: https://me:hunter2@host\n  retention: 30d\n",
    );
    let table = report.table();
    for line in [
        "stalenesslimit is not a setting; did you mean stalenessLimit?",
        "tracesRatio: the apiserver takes text only: put the value in quotes",
        "retention: \"30d\" is out of range; it takes 365d to 3660d",
        "binaryData: settings are text, under data",
        "a.yaml: 5 mistakes",
    ] {
        assert!(table.contains(line), "{table}");
    }
    assert!(!table.contains("hunter2"), "{table}");
    assert!(!report.valid);
    let wrong: Vec<_> = report.settings.iter().filter(|row| row.state == State::Wrong).map(|row| row.key).collect();
    assert_eq!(wrong, ["retention", "tracesEndpoint", "tracesRatio"]);
}
