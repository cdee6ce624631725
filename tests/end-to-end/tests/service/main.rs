//! The product at work: an unmodified client, the operator at rest, a recorder that is away, samples as a reader applies them, and
//! rights that end where they must.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod answers;
mod client_secret;
mod clients;
mod consent;
mod ending;
mod evidence;
mod incidents;
mod mail;
mod operator;
mod record;
mod refreshed;
mod respond;
mod rights;
mod rotation;
mod samples;
mod webhook;
mod z_afterwards;
