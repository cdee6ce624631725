//! What the gateway records, in the audit library's words.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use access::{Authorized, Caller, Index};
use audit::{
    Act, Call, Correlation, DigestKey, MarketplaceId, ObjectName, Operation, Phase, Reason, Recorder, RefusalCounter,
    Source, Target,
};
use crds::{AmazonConnection, NamespacedReference};
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use crate::{caller::Known, spans};

/// An object's name as the record writes it. Names come from the apiserver, so they parse.
fn object(name: &NamespacedReference) -> Option<ObjectName> {
    ObjectName::parse(&name.namespace, &name.name).ok()
}

/// Whose call it is.
pub(crate) fn target(name: &NamespacedReference, connection: &AmazonConnection) -> Option<Target> {
    Some(Target {
        team: ObjectName::parse(&name.namespace, &connection.spec.team_ref.name).ok()?,
        team_uid: None,
        connection: object(name),
    })
}

/// What a caller is about to do, as far as every call has it.
pub(crate) fn intent(
    correlation: Correlation,
    known: &Known,
    from: IpAddr,
    operation: Operation,
    target: Option<Target>,
) -> Call {
    spans::operation(&operation);
    Call {
        correlation,
        actor: known.actor.clone(),
        source: Source::Address(from),
        target,
        operation,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase: Phase::Intent,
    }
}

/// A call on an SP-API operation, about to happen.
pub(crate) fn call(
    correlation: Correlation,
    known: &Known,
    from: IpAddr,
    authorized: &Authorized,
    digests: &DigestKey,
) -> Call {
    let target = target(&authorized.name, &authorized.connection);
    Call {
        marketplaces: authorized.marketplaces.iter().filter_map(|id| MarketplaceId::parse(id).ok()).collect(),
        resources: authorized.path_parameters.iter().map(|value| digests.digest(value.as_bytes())).collect(),
        ..intent(correlation, known, from, operation(authorized.operation), target)
    }
}

/// What the gateway answers by itself, told once: nothing happens between the event and the answer.
pub(crate) fn answered(intent: Call) -> Call {
    Call { phase: Phase::Outcome { status: 200, latency: Duration::ZERO }, ..intent }
}

/// A call that is refused once its caller is known.
pub(crate) fn refused(intent: Call, reason: &'static str, status: u16) -> Call {
    Call { phase: Phase::Refused { reason: Reason::new(reason), status }, ..intent }
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
    let named = named.map(|named| known.caller.connection(named));
    let mut matching = usable.iter().filter(|one| named.as_ref().is_none_or(|named| one.name == *named));
    let only = matching.next().filter(|_| matching.next().is_none())?;
    target(&only.name, &only.connection)
}

/// How many fruitless calls of one caller are told one by one within [`WINDOW`]; the others are counted.
const TOLD_EACH: u32 = 60;
const WINDOW: Duration = Duration::from_secs(10);

/// How many fruitless calls each caller has made of late.
#[derive(Default)]
struct Pace(HashMap<Caller, (Instant, u32)>);

impl Pace {
    /// Whether one more call of this caller is told by itself.
    fn allows(&mut self, caller: &Caller, now: Instant) -> bool {
        let (_, count) = self.0.entry(caller.clone()).or_insert((now, 0));
        *count = count.saturating_add(1);
        *count <= TOLD_EACH
    }

    fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
    }
}

/// What gave nobody anything. Of callers whom nobody knows, and of those who do not stop, it is counted: any pod of the
/// cluster can get a token for the gateway, and a flood must neither fill the record's disk nor push out what else is
/// told.
pub(crate) struct Refusals {
    counter: Mutex<RefusalCounter>,
    pace: Mutex<Pace>,
    recorder: Recorder,
}

impl Refusals {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self { counter: Mutex::default(), pace: Mutex::default(), recorder }
    }

    pub(crate) fn count(&self, from: IpAddr, reason: &'static str) {
        self.counter().add(from, Reason::new(reason), Timestamp::now());
    }

    /// Records a fruitless call of a known caller, or counts it.
    pub(crate) fn record(&self, known: &Known, from: IpAddr, reason: &'static str, call: Call) {
        if self.pace().allows(&known.caller, Instant::now()) {
            self.recorder.record_later(call);
        } else {
            self.count(from, reason);
        }
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
            self.pace().forget_old(Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::ServiceAccount(NamespacedReference { namespace: "acme".to_owned(), name: name.to_owned() })
    }

    #[test]
    fn a_caller_that_does_not_stop_is_counted_and_others_are_still_told() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let told = (0..10_000).filter(|_| pace.allows(&caller("flood"), start)).count();
        assert_eq!(told, 60);
        assert!(pace.allows(&caller("other"), start));
        pace.forget_old(start + WINDOW / 2);
        assert!(!pace.allows(&caller("flood"), start + WINDOW / 2));
        pace.forget_old(start + WINDOW);
        assert!(pace.0.is_empty(), "who is quiet is forgotten");
        assert!(pace.allows(&caller("flood"), start + WINDOW));
    }
}
