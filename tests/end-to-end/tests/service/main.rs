//! The product at work: an unmodified client, a recorder that is away, samples as a reader applies them, and
//! rights that end where they must.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod clients;
mod record;
mod rights;
mod samples;
