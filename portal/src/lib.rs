//! The portal: people sign in with a code from their mail, connect sellers, issue runtime tokens, and contain.

mod arguments;
mod cookie;
mod keys;
mod network;
mod origin;
pub mod page;
mod route;
mod session;
mod sign_in;
mod users;

pub use arguments::Arguments;
