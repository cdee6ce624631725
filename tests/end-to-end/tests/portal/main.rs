//! People at the portal, with a real browser, a real mail server and an Ingress before it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod containing;
mod flood;
mod framing;
mod mailbox;
mod others;
mod signing_in;
mod teams;
mod tokens;
mod watching;
mod z_afterwards;
