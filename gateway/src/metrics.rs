//! What the gateway counts. All labels are words of ours, made at compile time: a call costs no allocation here.

use std::time::Instant;

use amazon::{LwaError, RetryCause};
use process::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// What is asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/auth/o2/token`.
    Token,
    /// A path of the Selling Partner API, or of nothing.
    SpApi,
    /// `/openteam/v1/connections`.
    Connections,
    /// A connection's credential.
    Credential,
}

impl Route {
    pub(crate) const ALL: [Self; 4] = [Self::Token, Self::SpApi, Self::Connections, Self::Credential];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::SpApi => "sp_api",
            Self::Connections => "connections",
            Self::Credential => "credential",
        }
    }
}

/// `outcome` of a request that was served; else it is the denial's reason.
pub(crate) const SERVED: &str = "served";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refresh {
    outcome: &'static str,
}

/// Half a millisecond to half a minute: a token answer takes about one, Amazon's own up to thirty seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

/// The gateway's counts.
pub(crate) struct Counts {
    requests: Family<Request, Counter>,
    durations: [Histogram; Route::ALL.len()],
    in_flight: Gauge,
    refreshes: Family<Refresh, Counter>,
}

impl Counts {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let requests = metrics.register("gateway_requests", "Requests, by what became of them", Family::default());
        let durations: Family<OfRoute, Histogram> = metrics.register(
            "gateway_request_duration_seconds",
            "Until the head of the answer",
            Family::new_with_constructor(|| Histogram::new(SECONDS)),
        );
        let durations = Route::ALL.map(|route| durations.get_or_create_owned(&OfRoute { route: route.as_str() }));
        let in_flight =
            metrics.register("gateway_in_flight", "Requests whose answer is not whole yet", Gauge::default());
        let refreshes: Family<Refresh, Counter> =
            metrics.register("lwa_refreshes", "Uses of refresh tokens at Login with Amazon", Family::default());
        // From the start, so that the first failure is an increase and not a new series.
        for outcome in ["ok", "revoked", "secret_rejected", "refused", "unreachable", "unreadable"] {
            drop(refreshes.get_or_create(&Refresh { outcome }));
        }
        Self { requests, durations, in_flight, refreshes }
    }

    /// A request whose answer is on its way for as long as this lives.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: Route, outcome: &'static str, since: Instant) {
        self.requests.get_or_create(&Request { route: route.as_str(), outcome }).inc();
        self.durations[route as usize].observe(since.elapsed().as_secs_f64());
    }

    /// Login with Amazon was asked.
    pub(crate) fn refreshed<T>(&self, answer: &Result<T, LwaError>) {
        self.count_refresh(match answer {
            Ok(_) => "ok",
            Err(LwaError::InvalidGrant) => "revoked",
            Err(LwaError::InvalidClient) => "secret_rejected",
            Err(LwaError::Refused(_)) => "refused",
            Err(LwaError::Retry(RetryCause::Nonsense(_))) => "unreadable",
            Err(LwaError::Retry(_)) => "unreachable",
        });
    }

    fn count_refresh(&self, outcome: &'static str) {
        self.refreshes.get_or_create(&Refresh { outcome }).inc();
    }
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_outcome_and_forgotten_when_their_answer_ends() {
        let metrics = Metrics::new(audit::Role::Gateway);
        let counts = Counts::new(&metrics);
        let (first, second) = (counts.in_flight(), counts.in_flight());
        counts.answered(Route::SpApi, SERVED, Instant::now());
        counts.answered(Route::SpApi, SERVED, Instant::now());
        counts.answered(Route::Token, "TokenInvalid", Instant::now());
        drop(first);
        let text = metrics.text();
        for line in [
            "openteam_gateway_requests_total{route=\"sp_api\",outcome=\"served\"} 2",
            "openteam_gateway_requests_total{route=\"token\",outcome=\"TokenInvalid\"} 1",
            "openteam_gateway_request_duration_seconds_count{route=\"sp_api\"} 2",
            "openteam_gateway_request_duration_seconds_count{route=\"credential\"} 0",
            "openteam_gateway_in_flight 1",
            "openteam_lwa_refreshes_total{outcome=\"revoked\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(second);
        assert!(metrics.text().contains("openteam_gateway_in_flight 0"));
    }
}
