//! The kinds of OpenTeam: what a user writes, what the operator answers, and the rules one object can check alone.
//!
//! No client, no clock: everything here is data and pure functions over it. The CRD YAML under `manifests/crds` is
//! generated from these types (`cargo xtask generate`), so field docs here are the user documentation that
//! `kubectl explain` prints.

#![allow(unreachable_pub, reason = "KubeSchema repeats each pub struct inside a private block")]

pub mod annotation;
pub mod condition;
pub mod duration;
mod schema;
mod scope;

mod agent_grant;
mod amazon_application;
mod amazon_connection;
mod amazon_refusal;
mod incident;
mod mail_status;
mod portal_user;
mod runtime_token;
mod sealed_credential;
mod stored_credential;
mod team;

pub use agent_grant::*;
pub use amazon_application::*;
pub use amazon_connection::*;
pub use amazon_refusal::AmazonRefusal;
pub use incident::*;
pub use mail_status::*;
pub use portal_user::*;
pub use runtime_token::*;
pub use schema::definitions;
pub use scope::*;
pub use sealed_credential::*;
pub use stored_credential::*;
pub use team::*;

/// The API group of everything a user writes.
pub const GROUP: &str = "openteam.dev";
/// The API group of what only OpenTeam's own processes read and write.
pub const INTERNAL_GROUP: &str = "internal.openteam.dev";
/// The one served version of both groups.
pub const VERSION: &str = "v1alpha1";

/// The label that says what made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value on what the portal made. Only the portal may set it.
pub const PORTAL: &str = "openteam-portal";
