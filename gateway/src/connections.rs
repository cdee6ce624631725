//! `GET /openteam/v1/connections`: what the caller may use, and the rules that go with it.

use std::sync::Arc;

use audit::{Call, Correlation, Operation, Phase};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, Response, header},
    response::IntoResponse,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{answer::Denial, gateway::Gateway, proxy, record};

/// What an agent must keep to; written for whoever reads the answer, people and models alike.
const RULES: [&str; 4] = [
    "Call only these connections and marketplace ids, at the endpoint given here. Do not guess others.",
    "Name the connection in the header OpenTeam-Connection when there is more than one.",
    "Your own token is all you need. Never ask for, print or store a credential of Amazon's.",
    "A refusal says why. Do not try to get around it; tell the person you work for.",
];

/// Handles the request.
pub(crate) async fn handle(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let correlation = Correlation::random();
    match list(&gateway, request, correlation).await {
        Ok(list) => {
            let mut response = Json(list).into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(denial) => denial.response(correlation.0),
    }
}

async fn list(gateway: &Arc<Gateway>, request: Request, correlation: Correlation) -> Result<Value, Denial> {
    if request.method() != Method::GET {
        return Err(Denial::BadRequest("the method must be GET"));
    }
    let from = proxy::from(&request);
    let index = gateway.index()?;
    let known = gateway.known(&index, request.headers(), from).await?;
    let call = record::intent(correlation, &known, from, Operation::CONNECTIONS, None);
    let usable = access::usable_connections(&index, &known.caller, Timestamp::now());
    if usable.is_empty() {
        // Nothing is told, so nothing waits for the disk: any pod of the cluster may ask this, as often as it likes.
        let done = Call { phase: Phase::Outcome { status: 200, latency: std::time::Duration::ZERO }, ..call };
        gateway.refusals.record(&known, from, "NothingInScope", done);
        return Ok(json!({ "connections": [], "rules": RULES }));
    }
    let _recorded = gateway.intend(&call).await?;
    let connections: Vec<Value> = usable
        .iter()
        .filter(|one| known.bound_to.as_ref().is_none_or(|bound| *bound == one.name))
        .map(|one| {
            json!({
                "name": one.name.to_string(),
                "displayName": one.connection.spec.display_name,
                "region": one.connection.spec.region.as_str(),
                "sandbox": one.connection.spec.sandbox,
                "endpoint": gateway.public_url,
                "sellingPartnerId": one.connection.spec.selling_partner_id,
                "marketplaceIds": one.marketplaces,
                "ready": one.refusal.is_none(),
                "reason": one.refusal.as_ref().map(access::Refusal::reason),
                "message": one.refusal.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    gateway.conclude(&call, Phase::Outcome { status: 200, latency: std::time::Duration::ZERO });
    Ok(json!({ "connections": connections, "rules": RULES }))
}
