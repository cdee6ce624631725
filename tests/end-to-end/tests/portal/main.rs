//! People at the portal, with a real browser, a real mail server and an Ingress before it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod mailbox;
mod watching;
mod z_afterwards;
