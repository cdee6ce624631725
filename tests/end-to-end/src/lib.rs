//! The whole product in front of a real kube-apiserver, without pods: every role is the real binary as a child process,
//! with the ServiceAccount, the token and the rights that its pod would have. Amazon is the emulator.
//!
//! [`house`] gives a test the one [`House`] of its test binary, started at the first call; [`alone`] gives it to one
//! test only, which may then stop roles, freeze the apiserver or make Amazon misbehave: when the guard is dropped,
//! everything runs again. A [`Tenant`] is a namespace with a Team, a proven connection and an agent, for one test.
//!
//! Needs what the control plane needs (`openteam_test_cluster`); the binary `openteam` is built by the first test, unless
//! `OPENTEAM_BINARY` names one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness of tests: what fails here fails the test that asked")]

mod amazon;
mod binary;
mod call;
mod house;
mod leaks;
mod objects;
mod raw;
mod role;
mod tenant;
mod visit;
mod wait;
mod wire;

pub use amazon::{Amazon, CA, DE, MX, US, revoked};
pub use call::{Answer, Call, Gateway, Streamed};
pub use house::{House, NAMESPACE};
pub use leaks::Planted;
pub use objects::Kept;
pub use raw::RawAnswer;
pub use tenant::Tenant;
pub use visit::{Visit, alone, house};
pub use wait::{eventually, within};
pub use wire::Heard;
