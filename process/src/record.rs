//! The connection of a role to the recorders.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use audit::{Delivery, Name, Origin, Recorder, Role};

use crate::{arguments::RecorderAddress, certificate::RoleCertificate};

/// How long a client is used before one with the then current certificate takes its place.
const CLIENT_LIFE: Duration = Duration::from_secs(60);

/// This build's version, as events tell it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A recorder handle for this process. Nothing is delivered unless [`Delivery::run`] is polled.
#[must_use]
pub fn connect(
    role: Role,
    pod: Name,
    namespace: &str,
    address: &RecorderAddress,
    certificate: Arc<RoleCertificate>,
) -> (Recorder, Delivery) {
    let base = address.base(namespace);
    let at = address.recorder_connect.map(|at| (base.host_str().unwrap_or_default().to_owned(), at));
    let make = move || (Instant::now(), client(&certificate, at.as_ref()));
    let current = ArcSwap::from_pointee(make());
    Recorder::new(audit::Settings {
        origin: Origin { role, pod, version: VERSION },
        recorders: vec![base],
        client: Arc::new(move || {
            if current.load().0.elapsed() > CLIENT_LIFE {
                current.store(Arc::new(make()));
            }
            current.load().1.clone()
        }),
    })
}

#[expect(clippy::expect_used, reason = "fails only for TLS settings that were already used to serve")]
fn client(certificate: &RoleCertificate, at: Option<&(String, SocketAddr)>) -> reqwest::Client {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(certificate.client())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(1))
        .https_only(true);
    if let Some((host, address)) = at {
        builder = builder.resolve(host, *address);
    }
    builder.build().expect("a client over a checked TLS configuration")
}
