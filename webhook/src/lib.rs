//! The webhook: what the apiserver asks before it stores an object of ours.
//!
//! It refuses what can never become right and warns of what is not there (yet), with the same functions by which operator and
//! gateways act; security never rests on it. And it records who contained, restored or deleted, which only admission knows.
//!
//! Whoever asks is taken for the apiserver only by the path, which the operator makes up and writes where the apiserver reads
//! it (see `door`): nobody else may learn from answers what other namespaces hold, or have things recorded.

mod arguments;
mod claims;
mod door;
mod judge;
mod metrics;
mod restoration;
mod review;
mod router;
mod run;
mod sealing_keys;
mod thing;
#[cfg(test)]
mod walk;

pub use arguments::Arguments;
pub use run::{RunError, run};
