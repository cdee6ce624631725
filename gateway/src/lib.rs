//! The gateway: one listener that looks like Amazon. Callers hold OpenTeam's tokens; Amazon's stay in here.
//!
//! A call passes: `caller` (who) → `access::decide` (may they) → `record` (on disk first) → `tokens` (Amazon's
//! token, refreshed once however many ask) → `access::still_holds` (contained meanwhile?) → `proxy` (forward, stream).

mod answer;
mod arguments;
mod caller;
mod connections;
mod credential;
mod credentials;
mod gateway;
mod lwa;
mod metrics;
mod proxy;
mod record;
mod refresh;
mod refreshed;
mod run;
mod sealed_token;
mod spans;
mod status;
mod stream;
mod tokens;
mod upstream;
#[cfg(test)]
mod walk;

pub use arguments::Arguments;
pub use run::{RunError, run, run_over};
