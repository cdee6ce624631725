//! What every role shares: arguments, settings, role certificates and TLS, the authentication of callers, the watched
//! index, probes and shutdown.

pub mod arguments;
pub mod authentication;
pub mod certificate;
pub mod currency;
mod patience;
mod places;
pub mod probes;
pub mod record;
pub mod serve;
pub mod settings;
pub mod start;
pub mod view;
pub mod watch;
