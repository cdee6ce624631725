//! OpenTelemetry traces: off unless ConfigMap `openteam` names a collector.
//!
//! Only spans made for it are sent, those of [`TARGET`]: libraries make spans too, and put addresses into them. Ours hold
//! fixed words, names of operations and of objects, statuses; never a path, a query, a header or a token. Nothing waits for
//! a collector: spans go through a bounded queue to a thread of their own, and are dropped when it is full.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use audit::{Name, Role};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};
use url::Url;

use crate::{record::VERSION, settings::Settings};

/// The target of the spans that traces are made of. A span: `info_span!(target: TARGET, …)`.
pub const TARGET: &str = "openteam_trace";

/// How long a collector may take for a batch.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
/// How long the last spans may keep a process from ending.
const LAST_LIMIT: Duration = Duration::from_secs(2);
/// Spans that may wait; a span of ours has about 1 KB.
const QUEUE: usize = 2048;

/// Sends spans for as long as it lives; dropped, it sends the last ones, for 2 s at most.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent: {0}")]
pub struct TracesError(String);

impl Traces {
    /// With the sending thread, if `settings` ask for traces.
    ///
    /// # Errors
    /// A client cannot be made; that the collector is away is no error.
    pub(crate) fn start(settings: &Settings, role: Role, pod: &Name, namespace: &str) -> Result<Self, TracesError> {
        let Some(endpoint) = &settings.traces_endpoint else { return Ok(Self(None)) };
        let exporter = Telling { to: exporter(endpoint)?, failing: AtomicBool::new(false) };
        let queue = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let resource = Resource::builder_empty()
            .with_service_name(format!("openteam-{role}"))
            .with_attributes([
                KeyValue::new("service.namespace", "openteam"),
                KeyValue::new("service.version", VERSION),
                KeyValue::new("service.instance.id", pod.to_string()),
                KeyValue::new("k8s.namespace.name", namespace.to_owned()),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            // The parts of a trace go with its beginning, which is always ours: a caller's is only linked to.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.traces_ratio))))
            .with_resource(resource)
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(queue).build())
            .build();
        Ok(Self(Some(provider)))
    }

    /// Whether any are sent.
    #[must_use]
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// What hands the spans of [`TARGET`] over.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> Option<impl Layer<S> + use<S>> {
        let tracer = self.0.as_ref()?.tracer("openteam");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            // Names of source files and threads help nobody who runs OpenTeam.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(filter_fn(|metadata| metadata.target() == TARGET)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(LAST_LIMIT)
        {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}

/// Links `span` to the caller's trace, if the request names one (W3C Trace Context, `traceparent`). It is not made a part of
/// it: a stranger does not decide what we sample. The caller's `tracestate` is ignored: it is text of theirs.
pub fn link(span: &Span, traceparent: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    let Some(traceparent) = traceparent else { return };
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Traceparent(traceparent));
    let caller = context.span().span_context().clone();
    if caller.is_valid() {
        span.add_link(caller);
    }
}

struct Traceparent<'a>(&'a str);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

fn exporter(endpoint: &Url) -> Result<opentelemetry_otlp::SpanExporter, TracesError> {
    // A blocking client brings a runtime of its own, which may not be made on a thread of ours.
    let client = thread::spawn(|| {
        reqwest::blocking::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(EXPORT_LIMIT)
            .build()
    });
    let client = client.join().map_err(|_| TracesError("no thread".to_owned()))?;
    let client = client.map_err(|error| TracesError(crate::certificate::chain(&error)))?;
    opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.as_str())
        .with_timeout(EXPORT_LIMIT)
        .build()
        .map_err(|error| TracesError(error.to_string()))
}

/// Says in the log when sending begins to fail and when it works again, not each time.
#[derive(Debug)]
struct Telling<E> {
    to: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.to.export(batch).await;
        match (&sent, self.failing.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "traces are lost: the collector does not take them"),
            (Ok(()), true) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.to.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.to.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.to.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
