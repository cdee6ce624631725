//! What the gateway records, in the audit library's words.

use std::{net::IpAddr, sync::Mutex, time::Duration};

use access::{Authorized, HoldingKind, Index};
use audit::{
    Act, Call, Correlation, DigestKey, MarketplaceId, ObjectName, Operation, Phase, Reason, Recorder, RefusalCounter,
    Source, Target,
};
use crds::NamespacedReference;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use crate::caller::Known;

/// An object's name as the record writes it. Names come from the apiserver, so they parse.
fn object(name: &NamespacedReference) -> Option<ObjectName> {
    ObjectName::parse(&name.namespace, &name.name).ok()
}

/// Whose call it is.
pub(crate) fn target(authorized: &Authorized) -> Option<Target> {
    let team = &authorized.connection.spec.team_ref.name;
    Some(Target {
        team: ObjectName::parse(&authorized.name.namespace, team).ok()?,
        team_uid: None,
        connection: object(&authorized.name),
    })
}

/// A call on an SP-API operation, about to happen.
pub(crate) fn call(
    correlation: Correlation,
    known: &Known,
    from: IpAddr,
    authorized: &Authorized,
    path: &str,
    digests: &DigestKey,
) -> Call {
    let parameters = amazon::find(authorized.operation.method.as_str(), path).map(|found| found.parameters);
    Call {
        correlation,
        actor: known.actor.clone(),
        source: Source::Address(from),
        target: target(authorized),
        operation: operation(authorized.operation),
        marketplaces: authorized.marketplaces.iter().filter_map(|id| MarketplaceId::parse(id).ok()).collect(),
        resources: parameters.iter().flatten().map(|one| digests.digest(one.decoded.as_bytes())).collect(),
        expires_at: None,
        phase: Phase::Intent,
    }
}

/// A call that is refused once its caller is known.
pub(crate) fn refused(
    correlation: Correlation,
    known: &Known,
    from: IpAddr,
    operation: Operation,
    target: Option<Target>,
    reason: &'static str,
    status: u16,
) -> Call {
    Call {
        correlation,
        actor: known.actor.clone(),
        source: Source::Address(from),
        target,
        operation,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase: Phase::Refused { reason: Reason::new(reason), status },
    }
}

/// The record's words for an operation of Amazon's.
pub(crate) fn operation(operation: &'static amazon::Operation) -> Operation {
    Operation {
        api: operation.api,
        version: operation.version,
        id: operation.operation_id,
        act: Act::of_method(operation.method.as_str()),
    }
}

/// The operation that a refused request meant, as far as it can be told.
pub(crate) fn meant(method: &str, path: &str) -> Operation {
    amazon::find(method, path).map_or(Operation::UNKNOWN, |found| operation(found.operation))
}

/// The target of a refused call, where the caller may see the connection it named.
pub(crate) fn visible_target(index: &Index, known: &Known, named: Option<&str>) -> Option<Target> {
    let usable = access::usable_connections(index, &known.caller, Timestamp::now());
    let mut matching = usable.iter().filter(|one| {
        named.is_none_or(|named| {
            let (namespace, name) = named.split_once('/').unwrap_or((known.caller.namespace(), named));
            one.name.namespace == namespace && one.name.name == name
        })
    });
    let only = matching.next().filter(|_| matching.next().is_none())?;
    Some(Target {
        team: ObjectName::parse(&only.name.namespace, &only.connection.spec.team_ref.name).ok()?,
        team_uid: None,
        connection: object(&only.name),
    })
}

/// The kind of what let the caller pass, for logs.
pub(crate) const fn holding(kind: HoldingKind) -> &'static str {
    match kind {
        HoldingKind::AgentGrant => "AgentGrant",
        HoldingKind::RuntimeToken => "RuntimeToken",
    }
}

/// Refusals of callers whom nobody knows: counted, so that a flood of strangers does not fill the record.
pub(crate) struct Refusals {
    counter: Mutex<RefusalCounter>,
    recorder: Recorder,
}

impl Refusals {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self { counter: Mutex::default(), recorder }
    }

    pub(crate) fn count(&self, from: IpAddr, reason: &'static str) {
        self.counter().add(from, Reason::new(reason), Timestamp::now());
    }

    fn counter(&self) -> std::sync::MutexGuard<'_, RefusalCounter> {
        self.counter.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Hands what is due to the recorder, for as long as the future is polled.
    pub(crate) async fn deliver(&self) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let due = self.counter().due(Timestamp::now());
            due.into_iter().for_each(|refused| self.recorder.record_later(refused));
        }
    }

    /// Hands everything to the recorder, at the end.
    pub(crate) fn flush(&self) {
        let all = self.counter().all();
        all.into_iter().for_each(|refused| self.recorder.record_later(refused));
    }
}
