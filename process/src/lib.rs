//! What every role shares: arguments, settings, role certificates and TLS, the authentication of callers, the watched
//! index, mail, metrics, traces, probes and shutdown.

pub mod admission;
pub mod answer;
pub mod arguments;
pub mod authentication;
pub mod authorization;
pub mod certificate;
pub mod checkpoints;
mod client_timeouts;
mod connection_limit;
pub mod currency;
pub mod journals;
pub mod mail;
pub mod metrics;
pub mod policies;
pub mod probes;
pub mod record;
pub mod review;
pub mod serve;
pub mod settings;
pub mod start;
pub mod storage;
pub mod traces;
pub mod view;
pub mod watch;
