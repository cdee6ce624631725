//! The portal: people sign in with a code from their mail, connect sellers, issue runtime tokens, and contain.

pub mod page;
