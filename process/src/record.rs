//! The connection of a role to the recorders.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use audit::{Delivery, Https, Name, Origin, Recorder, Role, Transport};
use url::Url;

use crate::{arguments::RecorderAddress, certificate::RoleCertificate, metrics::Metrics};

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
    transport: Arc<dyn Transport>,
    metrics: &Metrics,
) -> (Recorder, Delivery) {
    let origin = Origin { role, pod, version: VERSION };
    let (recorder, delivery) =
        Recorder::new(audit::Settings { origin, recorders: vec![address.base(namespace)], transport });
    let told = recorder.metrics().clone();
    metrics.register("record_wait_seconds", "How long what may only happen once it is recorded waited", told.wait);
    metrics.register("record_failures", "What did not happen because it could not be recorded", told.failures);
    metrics.register("record_dropped", "Events lost because too many waited for a recorder", told.dropped);
    metrics.register("record_queue", "Events that wait to be sent to a recorder", told.queue);
    (recorder, delivery)
}

/// What brings events to the recorders.
#[must_use]
pub fn https(namespace: &str, address: &RecorderAddress, certificate: Arc<RoleCertificate>) -> Arc<dyn Transport> {
    Arc::new(Https::new(clients(namespace, address, certificate)))
}

/// The pods and addresses of the recorders that a StatefulSet of so many replicas has: one is asked at its Service, several
/// each at its own name, as its certificate has it.
#[must_use]
pub fn replicas(base: &Url, namespace: &str, replicas: u32) -> Vec<(String, Url)> {
    let own = |pod: &str| format!("https://{pod}.openteam-recorder-peers.{namespace}.svc:8443").parse().ok();
    let one = |number| {
        let pod = format!("openteam-recorder-{number}");
        let url = if replicas > 1 { own(&pod).unwrap_or_else(|| base.clone()) } else { base.clone() };
        (pod, url)
    };
    (0..replicas.max(1)).map(one).collect()
}

/// Gives a client for recorders, with the certificate of the time.
pub fn clients(
    namespace: &str,
    address: &RecorderAddress,
    certificate: Arc<RoleCertificate>,
) -> impl Fn() -> reqwest::Client + Send + Sync + use<> {
    let base = address.base(namespace);
    let at = address.recorder_connect.map(|at| (base.host_str().unwrap_or_default().to_owned(), at));
    let make = move || (Instant::now(), client(&certificate, at.as_ref()));
    let current = ArcSwap::from_pointee(make());
    move || {
        if current.load().0.elapsed() > CLIENT_LIFE {
            current.store(Arc::new(make()));
        }
        current.load().1.clone()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recorder_is_asked_at_its_service_and_several_each_at_its_own_name() {
        let base: Url = "https://openteam-recorder.ns.svc".parse().unwrap();
        for none_or_one in [0, 1] {
            let all = replicas(&base, "ns", none_or_one);
            assert_eq!(all, [("openteam-recorder-0".to_owned(), base.clone())]);
        }
        let urls: Vec<_> = replicas(&base, "ns", 2).into_iter().map(|(_, url)| url.to_string()).collect();
        assert_eq!(urls[1], "https://openteam-recorder-1.openteam-recorder-peers.ns.svc:8443/");
    }
}
