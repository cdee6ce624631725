//! `portal`: how long people wait for their first page, with very many Teams and connections in the index, alone and while
//! strangers flood the door; what it costs beside a bare server that answers the same bytes; when a real browser paints it.
//!
//! The portal has core 0 for itself, and so has the bare server: they take turns. Everything else has core 1.

use std::{thread, time::Duration};

use anyhow::{Context, ensure};
use crds::{AmazonConnection, AmazonConnectionSpec, LocalReference, Member, Role, Team, TeamSpec};
use end_to_end::{CA, House, Plan, Tenant, US, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Report,
    bare::{Bare, Canned, Served},
    load::{How, Load, Measured, median},
    process,
    wire::Server,
};

const TEAMS: usize = 1_000;
const CONNECTIONS_EACH: usize = 10;
const MEMBERS_EACH: usize = 10;
/// The Team whose page is asked for.
const TEAM: &str = "bench";
const PORTAL: &str = "openteam-portal-0";
const AT_A_TIME: usize = 32;
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 64;
const PAGES_A_SECOND: f64 = 500.0;
const STRANGERS_A_SECOND: f64 = 1_000.0;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
/// More than come while one round is measured, so that nobody comes twice.
const STRANGERS: usize = 10_000;
const PAINTS: usize = 15;

pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("portal")?;
    process::move_to_core(1)?;
    let plan = super::plan()?;
    let openteam = plan.openteam.as_ref().context("no binary")?.display().to_string();
    let portal = [process::on_core(0), vec![openteam, "portal".to_owned()]].concat();
    let house = super::house(Plan { gateways: vec![Vec::new()], portals: vec![portal], ..plan });
    let tenant = house.tenant(TEAM);
    let email = tenant.member(Role::Owner);
    fill(&house, &tenant)?;
    report.figure("teams", TEAMS as f64);
    report.figure("connections", (TEAMS * CONNECTIONS_EACH) as f64);

    let owner = house.signed_in(&email);
    owner.join(TEAM);
    let path = format!("/teams/{TEAM}/{TEAM}");
    let shown = owner.get(&path).shown();
    let rows = (0..CONNECTIONS_EACH - 1).filter(|number| shown.contains(&name(*number))).count();
    ensure!(rows == CONNECTIONS_EACH - 1, "the page does not show the Team's connections: {shown}");
    report.figure("page_bytes", shown.len() as f64);
    let cookie = format!("__Host-sid={}", owner.cookie("__Host-sid").context("no session")?);
    process::give_way(&cluster::cache_dir()?)?;

    let pid = house.pid(PORTAL).context("the portal is gone")?;
    let at = house.portal(0);
    let portal = Server { port: at.port, host: at.host().to_owned(), ca: house.authority().to_owned() };
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    let bare = Bare::start(
        0,
        &Served { canned: vec![Canned { path: path.clone(), headers, body: shown }], ..Served::default() },
    )?;
    let pages = |server: &Server, pid| page_load(server, &path, &cookie, pid);
    let (mut alone, mut reference, mut flooded) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let same = pages(&bare.server, bare.pid())?;
        let own = pages(&portal, pid)?;
        let meanwhile = thread::scope(|scope| {
            let flood = scope.spawn(|| flood(&portal, round));
            let pages = pages(&portal, pid)?;
            let strangers = flood.join().map_err(|_| anyhow::anyhow!("the flood failed"))??;
            anyhow::Ok((pages, strangers))
        })?;
        eprintln!(
            "round {round} of {ROUNDS}: p99 {:.2} ms, bare {:.2}, flooded {:.2} by {:.0} a second; {:.0} µs of CPU, bare {:.0}",
            own.p99_ms,
            same.p99_ms,
            meanwhile.0.p99_ms,
            meanwhile.1,
            own.cpu_us(),
            same.cpu_us()
        );
        alone.push(own);
        reference.push(same);
        flooded.push(meanwhile);
    }
    let over = |all: &[Measured], of: fn(&Measured) -> f64| median(all.iter().map(of).collect());
    report.figure("pages_per_second", over(&alone, Measured::per_second));
    report.figure("page_p50_ms", over(&alone, |one| one.p50_ms));
    report.at_most("page_p99_ms", over(&alone, |one| one.p99_ms), 10.0);
    report.figure("page_p99_ms_bare", over(&reference, |one| one.p99_ms));
    report.figure("page_cpu_us", over(&alone, Measured::cpu_us));
    report.figure("page_cpu_us_bare", over(&reference, Measured::cpu_us));
    report.figure("flood_per_second", median(flooded.iter().map(|one| one.1).collect()));
    report.at_most("page_p99_ms_in_flood", median(flooded.iter().map(|one| one.0.p99_ms).collect()), 50.0);
    report.at_most("rss_mib", process::resident_mib(pid)?, 80.0);
    report.figure("peak_rss_mib", process::peak_mib(pid)?);
    drop(bare);

    let mut paints = Vec::new();
    house.browse("painting", &json!({ "email": email, "path": path, "times": PAINTS }), |_, painted| {
        paints.extend(painted["ms"].as_f64());
        Value::Null
    });
    ensure!(paints.len() == PAINTS, "{} of {PAINTS} pages were painted", paints.len());
    report.at_most("first_contentful_paint_ms", median(paints), 200.0);
    Ok(report)
}

/// Everybody's first page, at the rate that is asked for.
fn page_load(server: &Server, path: &str, cookie: &str, pid: u32) -> anyhow::Result<Measured> {
    let how = How::Paced { per_second: PAGES_A_SECOND, warm_up: WARM_UP, measured: MEASURED };
    let requests = vec![server.page(path, cookie)];
    let load = Load { server: server.clone(), requests, connections: CONNECTIONS, how, pid: Some(pid) };
    let measured = load.run()?;
    ensure!(measured.failed() == 0, "{} pages were not served: {:?}", measured.failed(), measured.failed);
    Ok(measured)
}

/// Strangers ask for codes, each from a network of their own; how many a second were answered.
fn flood(server: &Server, round: usize) -> anyhow::Result<f64> {
    let how = How::Paced { per_second: STRANGERS_A_SECOND, warm_up: WARM_UP, measured: MEASURED };
    let stranger = |number: usize| {
        let form = format!("email=nobody-{round}-{number:05}%40flood.example");
        let from = format!("x-forwarded-for: 2001:db8:{round:x}:{number:x}::1\r\nsec-fetch-site: same-origin\r\n\r\n");
        server.post_form("/sign-in", &form).replacen("\r\n\r\n", &format!("\r\n{from}"), 1)
    };
    let requests = (0..STRANGERS).map(stranger).collect();
    let load = Load { server: server.clone(), requests, connections: CONNECTIONS, how, pid: None };
    let measured = load.run_for_any_answer()?;
    // Either a code seems to be on its way, or it is too much at a time.
    let odd: Vec<u16> = measured.failed.keys().copied().filter(|status| ![303, 429].contains(status)).collect();
    ensure!(odd.is_empty(), "strangers are answered {odd:?}");
    Ok(measured.failed() as f64 / measured.seconds)
}

fn name(number: usize) -> String {
    format!("seller-{number:05}")
}

/// Fills the cluster and waits until the portal has it all.
fn fill(house: &House, tenant: &Tenant<'_>) -> anyhow::Result<()> {
    // Nobody asks Amazon about these.
    house.stop("openteam-operator-0");
    eprintln!("making {TEAMS} Teams with {CONNECTIONS_EACH} connections each");
    let example: AmazonConnection = house.read(TEAM, &tenant.connection);
    let client = house.client();
    house.block_on(async {
        connections(client, &example, TEAM, CONNECTIONS_EACH - 1).await?;
        let others = (1..TEAMS).map(|number| team(client, &example, number));
        stream::iter(others).buffer_unordered(AT_A_TIME).try_collect::<()>().await
    })?;
    let all =
        format!("openteam_view_objects{{kind=\"AmazonConnection\",parsed=\"true\"}} {}", TEAMS * CONNECTIONS_EACH);
    eventually("the portal has seen all", || house.metrics(PORTAL).contains(&all).then_some(()));
    Ok(())
}

/// A Team in a namespace of its own.
async fn team(client: &Client, example: &AmazonConnection, number: usize) -> anyhow::Result<()> {
    let name = format!("team-{number:04}");
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let role = |at| if at == 0 { Role::Owner } else { Role::Member };
    let member = |at| Member { email: format!("person-{at}@{name}.example"), role: role(at) };
    let members = (0..MEMBERS_EACH).map(member).collect();
    let team = Team::new(&name, TeamSpec { members, ..TeamSpec::default() });
    Api::namespaced(client.clone(), &name).create(&PostParams::default(), &team).await?;
    connections(client, example, &name, CONNECTIONS_EACH).await
}

/// So many connections of a Team, as the operator left the example.
async fn connections(client: &Client, example: &AmazonConnection, team: &str, count: usize) -> anyhow::Result<()> {
    let connections: Api<AmazonConnection> = Api::namespaced(client.clone(), team);
    for number in 0..count {
        let name = name(number);
        let spec = AmazonConnectionSpec {
            team_ref: LocalReference::to(team),
            application_ref: example.spec.application_ref.clone(),
            marketplace_ids: vec![US.to_owned(), CA.to_owned()],
            selling_partner_id: Some(format!("A{number:012}")),
            ..AmazonConnectionSpec::default()
        };
        connections.create(&PostParams::default(), &AmazonConnection::new(&name, spec)).await?;
        let patch = json!({ "status": example.status });
        connections.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    }
    Ok(())
}
