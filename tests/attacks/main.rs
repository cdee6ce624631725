//! What an attacker tries at the gateway's door, against the whole product. The tapped line to Amazon is the witness: what
//! was refused must not have come over it, and what was let through must have left there what is not Amazon's business.

mod contained;
mod credentials;
mod evidence;
mod framing;
mod handout;
mod paths;
mod record;
mod rotated;
mod slow;
mod tenants;
mod through;
mod tokens;
mod upgrades;
mod webhook;
mod z_afterwards;

use openteam_end_to_end::{Gateway, RawAnswer, US};

/// A request for orders, with `mark` to be found again, and `headers` besides host and connection.
fn orders(gateway: &Gateway<'_>, mark: &str, headers: &str) -> String {
    let query = format!("MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark={mark}");
    format!("GET /orders/v0/orders?{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", gateway.host())
}

/// Demands a refusal that no HTTP client could take for anything else.
fn refused(answer: &RawAnswer, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text);
    assert!(answer.has_code(code), "{}", answer.text);
}
