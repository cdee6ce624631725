//! `herd`: very many callers meet an expired token at once. Amazon is asked for a new one once, and nobody's call fails.

use std::time::Duration;

use amazon_emulator::{Change, Fault};
use anyhow::Context;
use end_to_end::{House, Plan, US, eventually};

use super::{
    Report,
    load::{How, Load},
    wire::{Connection, Server},
};

const CALLERS: usize = 2000;
/// More than an access token lives, in seconds.
const PAST_EXPIRY: u32 = 3700;
const HANGING: Fault = Fault::Slow { delay_ms: 3000 };

pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("herd")?;
    let house = super::house(Plan { gateways: vec![Vec::new()], ..super::plan()? });
    let tenant = house.tenant("herd");
    let gateway = house.gateway(0);
    let server = super::server(&gateway);
    let target = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z");
    let token = tenant.agent_token();
    let requests = vec![server.get(&target, &token)];
    let load = Load { server, requests, connections: CALLERS, how: How::Once, pid: None };
    eventually("the gateway serves", || (gateway.call(&token).orders(US).status == 200).then_some(()));

    report.figure("callers", CALLERS as f64);
    let (calls, failed) = herd(&house, &load, Fault::None, false)?;
    report.at_most("lwa_calls", calls, 1.0);
    report.at_most("failed_callers", failed, 0.0);
    let (calls, failed) = herd(&house, &load, HANGING, false)?;
    report.at_most("lwa_calls_with_lwa_hanging", calls, 1.0);
    report.at_most("failed_callers_with_lwa_hanging", failed, 0.0);
    let (calls, failed) = herd(&house, &load, HANGING, true)?;
    report.at_most("lwa_calls_with_the_first_caller_gone", calls, 1.0);
    report.at_most("failed_callers_with_the_first_caller_gone", failed, 0.0);
    Ok(report)
}

/// Lets the token expire and the herd come: the calls to Login with Amazon, and the callers that were not served.
fn herd(house: &House, load: &Load, lwa: Fault, first_leaves: bool) -> anyhow::Result<(f64, f64)> {
    let asked = || house.amazon().counters().all("lwa");
    let change = Change { lwa: Some(lwa), advance_seconds: PAST_EXPIRY, ..Change::default() };
    house.amazon().switches().apply(change)?;
    let before = asked();
    if first_leaves {
        let first = house.block_on(first(&load.server, &load.requests[0]))?;
        eventually("Login with Amazon was asked for the first caller", || (asked() > before).then_some(()));
        drop(first);
    }
    let measured = load.run()?;
    house.amazon().switches().apply(Change { lwa: Some(Fault::None), ..Change::default() })?;
    // What is still under way, if anything wrongly is, has come in by now.
    std::thread::sleep(Duration::from_millis(500));
    Ok(((asked() - before) as f64, measured.failed() as f64))
}

/// A caller that has sent its call and waits.
async fn first(server: &Server, request: &str) -> anyhow::Result<Connection> {
    let tls = server.tls()?;
    let mut connection = Connection::open(server, &tls, 0).await?;
    connection.send(request.as_bytes()).await.context("the first caller's call")?;
    Ok(connection)
}
