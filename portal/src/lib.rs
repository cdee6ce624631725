//! The portal: people sign in with a code from their mail, connect sellers, issue runtime tokens, and contain.
//!
//! `page` is what they see: plain data and templates. A request goes through `dispatch`, which knows every route and what it
//! needs (`route`), before any handler sees it.

mod act;
mod activity;
mod answer;
mod arguments;
mod connections;
mod consent;
mod contain;
mod cookie;
mod dispatch;
mod inputs;
mod keys;
mod metrics;
mod network;
mod origin;
mod pace;
pub mod page;
mod portal;
mod route;
mod run;
mod security;
mod session;
mod sessions;
mod shown;
mod sign_in;
mod team;
mod tokens;
mod users;
#[cfg(test)]
mod walk;

pub use arguments::Arguments;
pub use run::{RunError, run};
