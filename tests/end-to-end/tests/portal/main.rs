//! People at the portal, with a real browser, a real mail server and an Ingress before it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod activity;
mod banner;
mod connecting;
mod containing;
mod door;
mod flood;
mod framing;
mod issuing;
mod leaving;
mod looking;
mod mailbox;
mod others;
mod signing_in;
mod snippets;
mod teams;
mod tokens;
mod watching;
mod z_afterwards;

use crds::Role;
use openteam_end_to_end::Tenant;
use serde_json::{Value, json};

/// What a scenario is told of a tenant.
fn told(tenant: &Tenant<'_>) -> Value {
    let name = &tenant.name;
    json!({
        "team": format!("/teams/{name}/{name}"),
        "owner": tenant.member(Role::Owner),
        "member": tenant.member(Role::Member),
        "viewer": tenant.member(Role::Viewer),
        "connection": tenant.connection,
    })
}
