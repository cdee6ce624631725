//! The dashboard's queries and the names in the alerts, against a real Prometheus that scrapes real roles.

use std::collections::{BTreeMap, BTreeSet};

use openteam_end_to_end::{House, US, alone, eventually, repository};
use serde_json::Value;

/// Title of a panel and its expressions.
fn panels() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(repository().join("manifests/dashboards/openteam.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let expressions = |panel: &Value| -> Vec<String> {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    };
    let panels = dashboard["panels"].as_array().unwrap();
    let all = panels.iter().map(|panel| (panel["title"].as_str().unwrap().to_owned(), expressions(panel)));
    all.filter(|(_, expressions)| !expressions.is_empty()).collect()
}

/// Something of everything: granted, refused, refreshed, reconciled.
fn work(house: &House, connection: &str, token: &str) {
    for gateway in house.gateways() {
        gateway.call(token).orders(US).is_served();
        gateway.call(token).get("/no/such/operation").is_refused(403, "OperationUnknown");
        assert_eq!(gateway.exchange(&format!("{connection}~{token}")).status, 200);
        gateway.call(token).get("/openteam/v1/connections").is_served();
    }
}

#[test]
fn every_query_of_the_dashboard_finds_something_in_what_the_roles_tell() {
    // Alone, because a role is started anew, so that something happens before Prometheus' eyes.
    let house = alone();
    let tenant = house.tenant("dashboard");
    let token = tenant.runtime_token("nightly");
    // Something contained; the token stands on its own.
    let agent = ["annotate", "agentgrants", "--all", "--namespace=dashboard", "openteam.dev/disable=inc-1"];
    house.kubectl().run(&agent).unwrap();
    let prometheus = house.prometheus();
    let panels = panels();
    assert!(panels.len() > 20);
    // By the role that each tells of itself, which is part of its pod's name.
    let role = |pod: &str| pod.split('-').nth(1).unwrap().to_owned();
    let mut pods: Vec<_> = house.pods().into_iter().map(|pod| (pod.clone(), role(&pod))).collect();
    pods.sort();
    eventually("every pod of every role is scraped", || {
        let up = prometheus.query("openteam_build_info").unwrap();
        let label = |labels: &Value, name: &str| labels[name].as_str().unwrap_or_default().to_owned();
        let mut up: Vec<_> = up.iter().map(|(labels, _)| (label(labels, "pod"), label(labels, "role"))).collect();
        up.sort();
        (up == pods).then_some(())
    });
    // A certificate signed while Prometheus looks.
    house.stop("openteam-gateway-1");
    house.restart("openteam-gateway-1");
    eventually("the contained grant is counted", || {
        let contained = prometheus.query("sum(openteam_objects{condition=\"Contained\", status=\"True\"})").unwrap();
        (contained.first()?.1 >= 1.0).then_some(())
    });
    let mut passes = 0;
    for (title, expressions) in &panels {
        for expression in expressions {
            let expression = expression.replace("$__rate_interval", "1m").replace("$__range", "10m");
            eventually(&format!("panel {title:?} shows something: {expression}"), || {
                work(&house, "dashboard/dashboard-na", &token);
                passes += 1;
                let change = format!("example.com/pass={passes}");
                let touch = ["annotate", "teams", "--all", "--namespace=dashboard", "--overwrite", &change];
                house.kubectl().run(&touch).unwrap();
                let samples = prometheus.query(&expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
                samples.iter().any(|(_, value)| value.is_finite()).then_some(())
            });
        }
    }
}

/// Names of metrics as a role tells them, each with the name of its family.
fn exported(house: &House) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (pod, _) in house.scraped() {
        for line in house.metrics(&pod).lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (family, kind) = line.split_once(' ').unwrap();
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "info" => &["_info"],
                _ => &[""],
            };
            let told = if kind == "histogram" { family.to_owned() } else { format!("{family}{}", suffixes[0]) };
            names.extend(suffixes.iter().map(|suffix| (format!("{family}{suffix}"), told.clone())));
        }
    }
    names
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = |word: &&str| word.starts_with("openteam_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

#[test]
fn dashboard_alerts_and_documents_name_the_metrics_that_there_are() {
    let house = openteam_end_to_end::house();
    let tenant = house.tenant("metric-names");
    work(&house, "metric-names/metric-names-na", &tenant.runtime_token("nightly"));
    // Portal and webhook have nothing to tell before they are asked.
    assert_eq!(house.person("192.0.2.1").get("/sign-in").status.as_u16(), 200);
    house.create_reviewed_namespace("metric-names-reviewed");
    let mut team = crds::Team::new("reviewed", crds::TeamSpec::default());
    team.metadata.namespace = Some("metric-names-reviewed".to_owned());
    house.apply(&team);
    house.disable::<crds::Team>("metric-names-reviewed", "reviewed", "inc-1");
    eventually("the webhook records it", || {
        house.metrics(openteam_end_to_end::WEBHOOK).contains("openteam_webhook_records_total{").then_some(())
    });
    house.restore::<crds::Team>("metric-names-reviewed", "reviewed");
    let exported = exported(&house);
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    for path in ["manifests/dashboards/openteam.json", "manifests/alerts/openteam.rules.yaml"] {
        let unknown: Vec<_> = named(&read(path)).into_iter().filter(|name| !exported.contains_key(name)).collect();
        assert_eq!(unknown, Vec::<String>::new(), "{path} names what no role tells; they tell {exported:#?}");
    }
    let documented: BTreeSet<String> = named(&read("docs/reference/metrics.md"));
    let told: BTreeSet<String> = exported.into_values().collect();
    assert_eq!(documented, told, "docs/reference/metrics.md");
}
