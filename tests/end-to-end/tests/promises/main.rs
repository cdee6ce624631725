//! The promises that are built, each kept by the whole product: `promise_N_…` tests promise N of ARCHITECTURE.md.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod containment;
mod credentials;
mod destinations;
mod scope;
mod strangers;
mod tokens;
