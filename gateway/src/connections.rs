//! `GET /openteam/v1/connections`: what the caller may use, and the rules that go with it.

use std::sync::Arc;

use audit::{Correlation, Operation};
use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderValue, Response, header},
    response::IntoResponse,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    answer::Denial,
    credential,
    gateway::{Asking, Gateway},
    record,
};

/// The address.
pub(crate) const PATH: &str = "/openteam/v1/connections";

/// What an agent must keep to; written for whoever reads the answer, people and models alike.
const RULES: [&str; 4] = [
    "Call only these connections and marketplace ids, at the endpoint given here. Do not guess others.",
    "Name the connection in the header OpenTeam-Connection when there is more than one.",
    "Your own token is all you need. Never ask for, print or store a credential of Amazon's.",
    "A refusal says why. Do not try to get around it; tell the person you work for.",
];

/// Handles the request.
pub(crate) async fn list(
    gateway: &Arc<Gateway>,
    request: Request,
    correlation: Correlation,
) -> Result<Response<Body>, Denial> {
    let Asking { from, index, known } = gateway.asking(request).await?;
    let call = record::intent(correlation, &known, from, Operation::CONNECTIONS, None);
    let usable = access::usable_connections(&index, &known.caller, Timestamp::now());
    if usable.is_empty() {
        // Nothing is told, so nothing waits for the disk: any pod of the cluster may ask this, as often as it likes.
        gateway.refusals.record(&known, from, "NothingInScope", record::answered(call));
        return Ok(answer(&[]));
    }
    let connections: Vec<Value> = usable
        .iter()
        .filter(|one| known.bound_to.as_ref().is_none_or(|bound| *bound == one.name))
        .map(|one| {
            // Not for a token that `/auth/o2/token` answered with.
            let credential = one.credential && known.bound_to.is_none();
            json!({
                "name": one.name.to_string(),
                "displayName": one.connection.spec.display_name,
                "region": one.connection.spec.region.as_str(),
                "sandbox": one.connection.spec.sandbox,
                "endpoint": gateway.public_url,
                "sellingPartnerId": one.connection.selling_partner_id(),
                "marketplaceIds": one.marketplaces,
                "access": if credential { "Credential" } else { "Proxy" },
                "credential": credential.then(|| json!({
                    "url": format!("{}{}", gateway.public_url, credential::path(&one.name)),
                    "cost": credential::COST,
                })),
                "ready": one.refusal.is_none(),
                "reason": one.refusal.as_ref().map(access::Refusal::reason),
                "message": one.refusal.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let _recorded = gateway.record(record::answered(call)).await?;
    Ok(answer(&connections))
}

fn answer(connections: &[Value]) -> Response<Body> {
    let mut response = Json(json!({ "connections": connections, "rules": RULES })).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
