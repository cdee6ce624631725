//! `webhook`: how long the apiserver waits for a review, with very many objects in the webhook's index.

use std::time::Instant;

use crds::{AmazonConnection, AmazonConnectionSpec, LocalReference, NamespacedReference};
use end_to_end::{Plan, US, WEBHOOK, admission_review, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use super::Report;

const OBJECTS: usize = 10_000;
const REVIEWS: usize = 2_000;
const AT_A_TIME: usize = 32;
const NAMESPACE: &str = "many";

pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("webhook")?;
    let house = super::house(Plan { gateways: vec![Vec::new()], ..super::plan()? });
    let tenant = house.tenant(NAMESPACE);
    // Nobody asks Amazon about these.
    house.stop("openteam-operator-0");
    eprintln!("making {OBJECTS} connections");
    house.block_on(fill(house.client()))?;
    let all = format!("openteam_view_objects{{kind=\"AmazonConnection\",parsed=\"true\"}} {}", OBJECTS + 1);
    eventually("the webhook has seen all", || house.metrics(WEBHOOK).contains(&all).then_some(()));

    let key = house.webhook_key().unwrap_or_default();
    let path = format!("/validate/{key}");
    let example: AmazonConnection = house.read(NAMESPACE, &tenant.connection);
    let connection = |number: usize| {
        let mut one = example.clone();
        one.metadata.name = Some(format!("new-{number}"));
        one.metadata.managed_fields = None;
        one.spec.selling_partner_id = Some(format!("B{number:012}").replace('B', "A9"));
        admission_review("CREATE", "bench", &json!(one), &Value::Null)
    };
    let grant = |number: usize| {
        let scope = json!({ "connections": [name(number % OBJECTS)], "marketplaceIds": [US] });
        let object = json!({
            "apiVersion": "openteam.dev/v1alpha1", "kind": "AgentGrant",
            "metadata": { "namespace": NAMESPACE, "name": format!("new-{number}") },
            "spec": { "teamRef": { "name": NAMESPACE }, "serviceAccount": { "name": "agent" }, "scope": scope },
        });
        admission_review("CREATE", "bench", &object, &Value::Null)
    };
    let reviewer = house.reviewer();
    let times = |of: &dyn Fn(usize) -> Value| -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::with_capacity(REVIEWS);
        for number in 0..REVIEWS {
            let review = of(number);
            let asked = Instant::now();
            let (status, answer) = reviewer.ask(&path, &review);
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
            anyhow::ensure!(status == 200 && !answer.contains("warnings"), "{status}: {answer}");
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    };
    report.figure("index_objects", OBJECTS as f64);
    for (kind, of) in [("connection", &connection as &dyn Fn(usize) -> Value), ("grant", &grant)] {
        let times = times(of)?;
        let (median, late) = (times[REVIEWS / 2], times[REVIEWS * 99 / 100]);
        match kind {
            "connection" => {
                report.figure("connection_p50_ms", median);
                report.at_most("connection_p99_ms", late, 10.0);
            }
            _ => {
                report.figure("grant_p50_ms", median);
                report.at_most("grant_p99_ms", late, 10.0);
            }
        }
    }
    Ok(report)
}

fn name(number: usize) -> String {
    format!("seller-{number:05}")
}

async fn fill(client: &Client) -> anyhow::Result<()> {
    let all = stream::iter(0..OBJECTS).map(|number| one(client, number));
    Ok(all.buffer_unordered(AT_A_TIME).try_collect::<()>().await?)
}

async fn one(client: &Client, number: usize) -> Result<(), kube::Error> {
    let spec = AmazonConnectionSpec {
        team_ref: LocalReference::to(NAMESPACE),
        application_ref: NamespacedReference { namespace: NAMESPACE.to_owned(), name: "amazon".to_owned() },
        marketplace_ids: vec![US.to_owned()],
        selling_partner_id: Some(format!("A{number:012}")),
        ..AmazonConnectionSpec::default()
    };
    let connections: Api<AmazonConnection> = Api::namespaced(client.clone(), NAMESPACE);
    connections.create(&PostParams::default(), &AmazonConnection::new(&name(number), spec)).await.map(drop)
}
