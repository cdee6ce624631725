//! What traces tell of a pass: kind, object and how it ended. `process::traces` says where they go, if anywhere.

use std::sync::Arc;

use futures::{FutureExt, future::Inspect};
use kube::{Resource, runtime::controller::Action};
use process::traces::TARGET;
use tracing::{Instrument, Span, field::Empty, info_span, instrument::Instrumented};

use crate::{controller::Context, error::ReconcileError, stores::Kind};

type Outcome = Result<Action, ReconcileError>;
/// A pass inside its span.
type Traced<F> = Instrumented<Inspect<F, fn(&Outcome)>>;

/// A reconciler whose every pass is a span.
pub(crate) fn traced<K: Resource<DynamicType = ()>, F: Future<Output = Outcome>>(
    kind: Kind,
    reconcile: impl Fn(Arc<Context>, K) -> F,
) -> impl Fn(Arc<Context>, K) -> Traced<F> {
    move |context, object| {
        let meta = object.meta();
        let span = info_span!(target: TARGET, "reconcile", otel.status_code = Empty, openteam.kind = %kind,
            k8s.namespace.name = meta.namespace, openteam.object = meta.name, openteam.outcome = Empty);
        reconcile(context, object).inspect(tell as fn(&Outcome)).instrument(span)
    }
}

fn tell(outcome: &Outcome) {
    let span = Span::current();
    match outcome {
        Ok(_) => span.record("openteam.outcome", "ok"),
        Err(error) => span.record("openteam.outcome", error.class().as_str()).record("otel.status_code", "ERROR"),
    };
}
