//! What was lost is worth nothing afterwards: the refresh token rotated, the seller's new consent, Amazon's word on the old one.

use anyhow::{Context, bail};
use cluster::Kubectl;
use serde_json::{Value, json};

use super::{
    CONNECTION, TEAM,
    install::{Amazon, seal},
    outside::PortForward,
    place::Place,
};
use crate::check::show;

/// Rotates the contained connection.
pub(super) fn rotate(place: &Place) -> anyhow::Result<()> {
    let object = format!("amzc/{TEAM}/{CONNECTION}");
    show(&format!("$ kubectl openteam rotate {object} --value inc-1 --yes"));
    show(&place.openteam(&["rotate", &object, "--value", "inc-1", "--yes"], "")?.0);
    wait(place.kubectl(), "ConsentRequested=True")?;
    show(&place.kubectl().run(&["get", "runtimetokens", "-n", TEAM])?);
    Ok(())
}

/// The seller consents again, and the new refresh token is sealed while the connection is still contained. Amazon accepts the
/// old one all the same, until the seller ends it.
pub(super) fn consent(place: &Place, amazon: &Amazon) -> anyhow::Result<()> {
    let kubectl = place.kubectl();
    let seller = amazon.seller()?.clone();
    let answer = control(kubectl, "consents", &json!({ "seller": seller.seller_id }))?;
    let token = answer["refreshToken"].as_str().context("the emulated Amazon gave no refresh token")?.to_owned();
    let sealed = seal(place, &format!("amazonconnection/{TEAM}/{CONNECTION}"), &token)?;
    show(&format!("$ openteam seal --for amazonconnection/{TEAM}/{CONNECTION} < new-token | kubectl apply -f -"));
    show(&kubectl.run_with(&["apply", "-f", "-"], &sealed)?);
    wait(kubectl, "ConsentRequested=False")?;
    wait(kubectl, "OldTokenStillAccepted=True")?;
    show(&kubectl.run(&["get", "amzc", "-n", TEAM, "-o", "wide"])?);

    control(kubectl, "switches", &json!({ "ended": [seller.refresh_token.expose()] }))?;
    show("the seller ends the old authorization; asked at once by openteam.dev/test:");
    kubectl.run(&["annotate", "--overwrite", &format!("amzc/{CONNECTION}"), "-n", TEAM, "openteam.dev/test=inc-1"])?;
    wait(kubectl, "OldTokenStillAccepted=False")?;
    show(&kubectl.run(&["get", "amzc", "-n", TEAM, "-o", "wide"])?);
    Ok(())
}

/// Closes the incident: nothing is contained by it any more, and Amazon refuses what was lost.
pub(super) fn close(place: &Place) -> anyhow::Result<()> {
    let ended = ["--root-cause", "a token in a build log", "--remedy", "logs hold no tokens; the old one is refused"];
    show("$ kubectl openteam incident close inc-1 --root-cause … --remedy …");
    show(&place.openteam(&[&["incident", "close", "inc-1"][..], &ended].concat(), "")?.1);
    let words = ["wait", "--for=condition=Closed", "incident/inc-1", "-n", super::SYSTEM, "--timeout=30s"];
    place.kubectl().run(&words)?;
    show("$ kubectl openteam incident show inc-1");
    let shown = place.openteam(&["incident", "show", "inc-1"], "")?.0;
    show(&shown);
    if !shown.contains("Closed") {
        bail!("inc-1 is not closed");
    }
    Ok(())
}

fn wait(kubectl: &Kubectl, condition: &str) -> anyhow::Result<()> {
    let condition = format!("--for=condition={condition}");
    kubectl.run(&["wait", &condition, &format!("amzc/{CONNECTION}"), "-n", TEAM, "--timeout=60s"])?;
    Ok(())
}

/// Asks the emulated Amazon's control API.
pub(super) fn control(kubectl: &Kubectl, what: &str, body: &Value) -> anyhow::Result<Value> {
    let forward = PortForward::open(kubectl, "amazon", "service/amazon", 8081)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("http://{}/control/{what}", forward.address());
    runtime.block_on(async {
        let answer = reqwest::Client::new().post(url).json(body).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    })
}
