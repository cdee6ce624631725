//! What traces tell of a call: words of our own tables and a status. `process::traces` says where they go, if anywhere.

use audit::Operation;
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use process::traces::{TARGET, Traces, link};
use tracing::{Instrument, Span, field::Empty, info_span};

use crate::metrics::Route;

/// Makes a span of every call, where there are traces; where there are none, nothing.
pub(crate) fn around(router: Router, traces: &Traces) -> Router {
    if traces.are_on() { router.layer(from_fn(traced)) } else { router }
}

async fn traced(request: Request, next: Next) -> Response {
    let span = info_span!(target: TARGET, "gateway call", otel.kind = "server", otel.status_code = Empty,
        openteam.route = Empty, openteam.operation = Empty, openteam.outcome = Empty,
        http.response.status_code = Empty);
    link(&span, request.headers().get("traceparent").and_then(|value| value.to_str().ok()));
    let answer = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", answer.status().as_u16());
    if answer.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    answer
}

/// The operation that the present call is, or meant.
pub(crate) fn operation(Operation { api, version, id, .. }: &Operation) {
    Span::current().record("openteam.operation", tracing::field::display(format_args!("{api}/{version}/{id}")));
}

/// Where the present call went, and what became of it: served, or why not.
pub(crate) fn answered(route: Route, outcome: &'static str) {
    Span::current().record("openteam.route", route.as_str()).record("openteam.outcome", outcome);
}
