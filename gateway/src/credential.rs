//! `GET /openteam/v1/connections/NAMESPACE/NAME/credential`: Amazon's own access token, where the connection and the
//! caller's scope both say `access: Credential` and the scope is the whole connection.
//!
//! What is handed out here cannot be taken back: Amazon honours it until it ends, whatever is contained. So it is
//! recorded, and `status.exposedUntil` says until when, before anybody gets it.

use std::{sync::Arc, time::Duration};

use access::{CredentialAuthorized, Entry};
use audit::{Call, Correlation, MarketplaceId, Operation, Phase, Reason};
use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderValue, Response, header},
    response::IntoResponse,
};
use crds::{AmazonConnection, NamespacedReference};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    answer::Denial,
    gateway::{Asking, Gateway, Of},
    record, status,
};

/// What an answer says of its own cost, and `/openteam/v1/connections` where it offers this.
pub(crate) const COST: &str = "Amazon honours this token for up to an hour whatever happens: containing the connection \
    does not end it, and OpenTeam neither checks nor records what is done with it. Use the gateway unless you cannot.";

/// The field manager of `status.exposedUntil` alone: what is applied under one manager is applied together.
const MANAGER: &str = "openteam-gateway-exposure";
/// How long a caller waits for the apiserver to take it.
const LIMIT: Duration = Duration::from_secs(2);
/// Until our view shows what another writer changed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const BEFORE: &str = "/openteam/v1/connections/";
const AFTER: &str = "/credential";

/// The address of a connection's credential.
pub(crate) fn path(connection: &NamespacedReference) -> String {
    format!("{BEFORE}{connection}{AFTER}")
}

/// Whether a path asks for a credential, whatever the connection's name in it is.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with(BEFORE) && path.ends_with(AFTER)
}

/// Handles the request.
pub(crate) async fn hand_out(
    gateway: &Arc<Gateway>,
    request: Request,
    correlation: Correlation,
) -> Result<Response<Body>, Denial> {
    let asked = asked(request.uri().path());
    let Asking { from, index, known } = gateway.asking(request).await?;
    let refused = |denial: Denial| {
        let named = asked.as_ref().map(ToString::to_string);
        let target = record::visible_target(&index, &known, Some(named.as_deref().unwrap_or_default()));
        let intent = record::intent(correlation, &known, from, Operation::CREDENTIAL, target);
        let call = record::refused(intent, denial.reason(), denial.status().as_u16());
        gateway.refusals.record(&known, from, denial.reason(), call);
        denial
    };
    let Some(name) = &asked else {
        return Err(refused(Denial::Refused(access::Refusal::NotFound { name: None })));
    };
    if known.bound_to.is_some() {
        // It passes through SDKs, which keep and print it; and it is for one connection's calls.
        return Err(refused(Denial::BadRequest(
            "the credential is given for your own token, not for one that /auth/o2/token answered with",
        )));
    }
    let authorized = access::decide_credential(&index, &known.caller, name, Timestamp::now())
        .map_err(|refusal| refused(Denial::Refused(refusal)))?;
    let of = Of::credential(&authorized);
    let upstream = gateway.upstream(of).map_err(refused)?;
    let token = gateway.token(of, &upstream, correlation).await.map_err(refused)?;

    let now = Timestamp::now();
    let ends = now.checked_add(token.left_at_most()).unwrap_or(Timestamp::MAX);
    // Rounded up: at no time may Amazon honour it and our status say that it is over.
    let until = Timestamp::from_second(ends.as_second() + 2).unwrap_or(ends);
    let marketplaces = authorized.connection.spec.marketplace_ids.iter();
    let intent = Call {
        marketplaces: marketplaces.filter_map(|id| MarketplaceId::parse(id).ok()).collect(),
        expires_at: Some(until),
        ..record::intent(
            correlation,
            &known,
            from,
            Operation::CREDENTIAL,
            record::target(&authorized.name, &authorized.connection),
        )
    };
    let _recorded = gateway.record(intent.clone()).await?;
    let exposed = async {
        gateway.expose(&authorized, ends, until).await?;
        let now = Timestamp::now();
        if known.expires_at.is_some_and(|end| end <= now) {
            return Err(Denial::TokenExpired);
        }
        // A containment since the decision stops it here.
        access::still_given(&*gateway.index()?, &authorized, now).map_err(Denial::Refused)
    };
    if let Err(denial) = exposed.await {
        gateway.conclude(intent, Phase::Failed { reason: Reason::new(denial.reason()) });
        return Err(denial);
    }
    gateway.recorder.record_later(record::answered(intent));
    let spec = &authorized.connection.spec;
    let body = json!({
        "accessToken": token.secret.expose_secret(),
        "expiresIn": token.left().as_secs(),
        "expiresAt": until.to_string(),
        "endpoint": upstream.selling_partner_api.as_str().trim_end_matches('/'),
        "sellingPartnerId": authorized.connection.selling_partner_id(),
        "marketplaceIds": spec.marketplace_ids,
        "cost": COST,
    });
    let mut response = Json(body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The connection in a path, which is taken as it stands: no name of ours needs encoding.
fn asked(path: &str) -> Option<NamespacedReference> {
    path.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse().ok()
}

impl Gateway {
    /// Makes sure that `status.exposedUntil` is not before `ends`, and writes `until` where it is. It only grows: of what
    /// was handed out the last counts. `until` is later by a second at least, so that the same token handed out once more
    /// writes nothing, whatever two readings of the clocks differ by.
    async fn expose(&self, authorized: &CredentialAuthorized, ends: Timestamp, until: Timestamp) -> Result<(), Denial> {
        let not_written = || Denial::unavailable("ExposureNotWritten", "status.exposedUntil could not be written");
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let index = self.index()?;
            let seen = index.connections.get(&authorized.name).and_then(Entry::read);
            let seen =
                seen.filter(|seen| seen.metadata.uid == authorized.connection.metadata.uid).ok_or_else(|| {
                    Denial::Refused(access::Refusal::NotFound { name: Some(authorized.name.to_string()) })
                })?;
            if exposed_until(seen).is_some_and(|exposed| exposed >= ends) {
                return Ok(());
            }
            let status = json!({ "exposedUntil": until.to_string() });
            match timeout_at(deadline, status::apply(&self.client, MANAGER, seen, &status)).await {
                Ok(Ok(())) => return Ok(()),
                // Someone wrote meanwhile, perhaps a later time: look again.
                Ok(Err(error)) if status::is(&error, 409) => sleep(LOOK_AGAIN).await,
                Ok(Err(error)) => {
                    tracing::warn!(connection = %authorized.name, %error, "exposedUntil not written");
                    return Err(not_written());
                }
                Err(_) => break,
            }
        }
        Err(not_written())
    }
}

fn exposed_until(connection: &AmazonConnection) -> Option<Timestamp> {
    connection.status.as_ref()?.exposed_until.as_ref().map(|until| until.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_one_connection_as_it_is_called() {
        let acme = NamespacedReference { namespace: "acme".to_owned(), name: "acme-na".to_owned() };
        assert_eq!(asked(&path(&acme)), Some(acme));
        for other in ["acme", "acme/", "/acme-na", "acme/acme-na/x", "ACME/acme-na", "acme/acme%2dna", "", "*/*"] {
            let path = format!("{BEFORE}{other}{AFTER}");
            assert!(is_path(&path));
            assert_eq!(asked(&path), None, "{other}");
        }
    }
}
