//! An object of each kind that nothing refuses.

use serde_json::{Value, json};

/// One of a kind, in namespace `default`, its name being the kind's in lower case.
///
/// # Panics
/// It is no kind.
#[must_use]
pub fn good(kind: &str) -> Value {
    let scope = json!({ "connections": ["acme-na"], "marketplaceIds": ["ATVPDKIKX0DER"] });
    let spec = match kind {
        "Team" => {
            json!({ "members": [{ "email": "a@example.com", "role": "Owner" }], "runtimeTokens": { "maxTtl": "24h" } })
        }
        "AmazonApplication" => json!({
            "applicationId": "amzn1.sp.solution.00000000-0000-0000-0000-000000000000",
            "clientId": format!("amzn1.application-oa2-client.{}", "0".repeat(32)),
            "endpoints": { "lwa": "https://amazon.example" },
        }),
        "AmazonConnection" => json!({
            "teamRef": { "name": "acme" },
            "applicationRef": { "namespace": "default", "name": "amazon" },
            "region": "NA",
            "marketplaceIds": ["ATVPDKIKX0DER"],
            "sellingPartnerId": "A1EXAMPLE00001",
            "operations": { "allow": ["read"] },
        }),
        "AgentGrant" => json!({ "teamRef": { "name": "acme" }, "serviceAccount": { "name": "agent" }, "scope": scope }),
        "RuntimeToken" => json!({
            "teamRef": { "name": "acme" },
            "scope": scope,
            "expiresAt": "2027-01-01T00:00:00Z",
            "issuedBy": "a@example.com",
            "hash": "0".repeat(64),
        }),
        "SealedCredential" => json!({
            "for": { "kind": "AmazonConnection", "name": "acme-na" }, "field": "RefreshToken", "ciphertext": "AAAA",
        }),
        "Incident" => json!({
            "title": "A token in a log",
            "severity": "High",
            "detectedAt": "2026-01-01T00:00:00Z",
            "notes": [{ "time": "2026-01-01T01:00:00Z", "author": "a@example.com", "text": "Seen in a ticket." }],
            "closed": { "rootCause": "The log had headers.", "remedy": "It has none." },
        }),
        "StoredCredential" => json!({
            "for": { "kind": "AmazonConnection", "name": "acme-na" },
            "field": "RefreshToken",
            "generation": 1,
            "sealedAt": "2026-01-01T00:00:00Z",
            "notBefore": "2026-01-01T00:00:00Z",
            "data": "AAAA",
            "wrap": "AAAA",
        }),
        "PortalUser" => json!({ "email": "a@example.com" }),
        other => unreachable!("{other} is no kind"),
    };
    let group =
        if matches!(kind, "PortalUser" | "StoredCredential") { "internal.openteam.dev" } else { "openteam.dev" };
    json!({
        "apiVersion": format!("{group}/v1alpha1"),
        "kind": kind,
        "metadata": { "name": kind.to_lowercase(), "namespace": "default" },
        "spec": spec,
    })
}
