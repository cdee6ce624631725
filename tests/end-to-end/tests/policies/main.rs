//! What the apiserver itself refuses, tried with kubectl as people and their tools would: by accounts with a right and
//! without, and with all verbs, as GitOps controllers have them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod containing;
mod evidence;
mod freezing;
mod guard;
mod incidents;
mod internal;
mod keys;
mod place;
mod portal;
mod restart;
mod reviewing;
mod roles;
mod rotating;
