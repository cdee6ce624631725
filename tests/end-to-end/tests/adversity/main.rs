//! When things go wrong around the product: what it depends on stops, lies, is cut off or killed, and what it is given is
//! garbage. It refuses, says why, loses nothing, and recovers by itself.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod amazon;
mod certificates;
mod containment;
mod currency;
mod disk;
mod inputs;
mod runbook;
mod storm;
mod webhook;
mod z_afterwards;
