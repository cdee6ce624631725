//! An Amazon of our own to test against: Login with Amazon (LWA) and the Selling Partner API (SP-API) behind one TLS
//! listener, as callers meet them, with faults on demand and a ledger of every call.
//!
//! It is an oracle, so it shares no code with what it tests. What it answers is told by its source where the public
//! documentation or recorded live answers say so, and marked "assumed" where they do not.
//!
//! | Served | Not served |
//! |---|---|
//! | LWA `refresh_token`, `authorization_code` and `client_credentials` grants | the other grants: `unsupported_grant_type` |
//! | Seller Central's consent page, with and without the log-in URI | signing in: the page asks which seller it is |
//! | Application Management 2023-11-30 rotateApplicationClientSecret | the other grantless operations |
//! | Sellers v1 getMarketplaceParticipations | everything else: 403, as Amazon answers unknown paths |
//! | Orders v0 getOrders, getOrder, getOrderItems | restricted data tokens, so v0 never shows a buyer |
//! | Orders 2026-01-01 searchOrders, getOrder | |
//! | Catalog Items 2022-04-01 searchCatalogItems, getCatalogItem | |
//!
//! Lists come in one page; no continuation token is ever given out, so any that arrives is refused.
//!
//! [`Emulator::start`] runs one inside a test; the binary `amazon-emulator` runs the same in a cluster.

mod amazon;
mod authority;
mod catalog;
mod clock;
mod consent;
mod control;
mod emulator;
mod goods;
mod ledger;
mod listener;
mod lwa;
mod marketplace;
mod operations;
mod orders_2026;
mod orders_v0;
mod query;
mod refusal;
mod rotation;
mod seed;
mod sellers;
mod switches;
mod trickle;

pub use authority::{Authority, AuthorityError, Identity};
pub use clock::Clock;
pub use consent::Registration;
pub use emulator::{Emulator, Listeners, StartError};
pub use goods::{asin, order_id};
pub use ledger::{Call, Counters};
pub use marketplace::{MARKETPLACES, Marketplace, Region};
pub use rotation::{PostError, Queue, RotateError, Rotation};
pub use seed::{Application, Secret, Seed, SeedError, Seller};
pub use switches::{Change, Fault, Grant, State, SwitchError, Switches};
