//! The promises that are built, each kept by the whole product: `promise_N_…` tests promise N of ARCHITECTURE.md.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod containment;
mod credentials;
mod destinations;
mod record;
mod restore;
mod review;
mod scope;
mod secrets;
mod strangers;
mod tokens;
mod z_afterwards;
