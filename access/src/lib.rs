//! Who may do what: membership, scope, containment, operations, marketplaces.
//!
//! Pure: no client, no clock, no randomness. [`decide`] is the one decision that the gateway asks for at every call,
//! over an [`Index`] that watches keep current; [`still_holds`] is asked again just before the token is attached and
//! while an answer streams.

mod caller;
mod containment;
mod decision;
mod endpoint;
mod holding;
mod index;
mod marketplaces;
mod namespaces;
mod operations;
mod refusal;
mod runtime_token;

pub use caller::Caller;
pub use containment::{Containment, contained};
pub use decision::{Authorized, Request, Usable, decide, still_holds, usable_connections};
pub use endpoint::{Addresses, EndpointFault, addresses, own_endpoints};
pub use holding::{Holding, RuntimeTokenFault, runtime_token_fault};
pub use index::{Entry, Index, Kind, Objects};
pub use namespaces::selects;
pub use refusal::Refusal;
pub use runtime_token::{RuntimeTokenText, TokenTextError, authenticate, hash, looks_like_runtime_token};
