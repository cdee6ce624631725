//! Tests across the parts: proofs, witness, receipts, stores, and the check of a whole log.

mod proofs;
mod stored;
mod strangers;
mod tampered;
mod witnessed;
