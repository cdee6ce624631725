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

mod afterwards;
mod amazon;
mod binary;
mod browser;
mod call;
mod desk;
mod good;
mod house;
mod ingress;
mod leaks;
mod line;
mod mailbox;
mod objects;
mod person;
mod portal;
mod prometheus;
mod raw;
mod review;
mod role;
mod rotating;
mod sqs;
mod tenant;
mod traces;
mod visit;
mod wait;
mod wire;

pub use afterwards::nothing_leaked_and_nobody_panicked;
pub use amazon::{Amazon, CA, DE, MX, US, ended, revoked};
pub use call::{Answer, Call, Gateway, Streamed};
pub use desk::{Desk, commands_of};
pub use good::good;
pub use house::{House, NAMESPACE, Plan, WEBHOOK};
pub use ingress::Ingress;
pub use leaks::{Planted, Searched, search};
pub use line::Cut;
pub use mailbox::{Mailbox, Received};
pub use objects::{Kept, REVIEWED, install};
pub use person::{Page, Person};
pub use portal::Portal;
pub use prometheus::{Prometheus, repository};
pub use raw::{RawAnswer, RawConnection};
pub use review::{Reviewer, admission_review};
pub use rotating::rotate_while_serving;
pub use tenant::Tenant;
pub use visit::{Visit, alone, house};
pub use wait::{eventually, within};
pub use wire::Heard;
