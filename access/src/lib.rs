//! Who may do what: membership, scope, containment, operations, marketplaces.
//!
//! Pure: no client, no clock, no randomness. [`decide`] is the one decision that the gateway asks for at every call,
//! over an [`Index`] that watches keep current; [`still_holds`] is asked again just before the token is attached and
//! while an answer streams.

mod caller;
mod consent;
mod containment;
mod credential;
mod decision;
mod endpoint;
mod holding;
mod index;
mod marketplaces;
mod membership;
mod namespaces;
mod operations;
mod refusal;
mod rotation;
mod runtime_token;
pub mod scope;

pub use caller::Caller;
pub use consent::{consent_page, same_seller};
pub use containment::{Containment, contained};
pub use credential::{CredentialAuthorized, decide_credential, still_given};
pub use decision::{Authorized, Request, Usable, decide, still_holds, usable_connection, usable_connections};
pub use endpoint::{Addresses, EndpointFault, addresses, amazon_region, own_endpoints};
pub use holding::{Holding, RuntimeTokenFault, connections_of, runtime_token_fault};
pub use index::{Entry, Index, Kind, Objects, within};
pub use membership::{Action, may, memberships, role_in};
pub use namespaces::{allowed, selects};
pub use refusal::Refusal;
pub use rotation::rotation_outstanding;
pub use runtime_token::{RuntimeTokenText, TokenTextError, authenticate, hash, looks_like_runtime_token};
