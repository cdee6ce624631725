//! The operator's metrics. What counts objects is worked out at each scrape from the watches' stores.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicI64},
};

use amazon::LwaError;
use audit::Role;
use crds::{
    Incident, IncidentNotificationState, IncidentPhase, SealedCredential, SealedCredentialState,
    condition::{
        AUTHORIZED, CLIENT_SECRET_CURRENT, CONSENT_REQUESTED, CONTAINED, CREDENTIAL_CURRENT, OLD_TOKEN_STILL_ACCEPTED,
        READY, REFRESHED,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

use crate::{
    client_secret::{Fate, Outcome},
    controller::Context,
    error::ReconcileError,
    stores::{Guarded, Kind, Objects},
    subject::Subject,
};

/// Seconds. A pass that changes nothing takes microseconds, one that asks Amazon up to some seconds.
const DURATIONS: [f64; 10] = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Durations = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// What passes, refreshes and signatures are counted in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    leader: Gauge<i64, AtomicI64>,
    reconciles: Family<Labels<2>, Counter>,
    durations: Durations,
    refreshes: Family<Labels<1>, Counter>,
    certificates: Family<Labels<1>, Counter>,
    secret_questions: Family<Labels<1>, Counter>,
    secret_notices: Family<Labels<1>, Counter>,
}

impl Metrics {
    pub(crate) fn register(metrics: &process::metrics::Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(DURATIONS);
        let own = Self {
            leader: metrics.register("leader", "Whether this replica leads", Gauge::default()),
            reconciles: metrics.register(
                "reconciles",
                "Passes over an object, by how they ended: ok, or the class of the error",
                Family::default(),
            ),
            durations: metrics.register(
                "reconcile_duration_seconds",
                "Time a pass over an object took",
                Family::new_with_constructor(histogram),
            ),
            refreshes: metrics.register(
                "lwa_refreshes",
                "Refresh tokens used at Login with Amazon, by its answer",
                Family::default(),
            ),
            certificates: metrics.register(
                "role_certificates_signed",
                "Role certificates signed, by role",
                Family::default(),
            ),
            secret_questions: metrics.register(
                "client_secret_questions",
                "Questions to Amazon about a client secret by itself, or for a new one, by the answer",
                Family::default(),
            ),
            secret_notices: metrics.register(
                "client_secret_notices",
                "Messages of queues for notices about client secrets, by what became of them",
                Family::default(),
            ),
        };
        // There from the start, as 0: an alert on an increase does not see a counter that begins with its first failure.
        for outcome in ["ok", "revoked", "secret_rejected", "refused", "unreachable", "unreadable"] {
            drop(own.refreshes.get_or_create(&[("outcome", outcome)]));
        }
        for outcome in Outcome::ALL {
            drop(own.secret_questions.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for fate in Fate::ALL {
            drop(own.secret_notices.get_or_create(&[("outcome", fate.as_str())]));
        }
        own
    }

    #[cfg(test)]
    pub(crate) fn reconciles(&self, kind: Kind, outcome: &'static str) -> u64 {
        self.reconciles.get_or_create(&[("kind", kind.as_str()), ("outcome", outcome)]).get()
    }

    pub(crate) fn leads(&self) {
        self.leader.set(1);
    }

    pub(crate) fn reconciled(&self, kind: Kind, result: Result<(), &ReconcileError>, seconds: f64) {
        let outcome = result.map_or_else(|error| error.class().as_str(), |()| "ok");
        self.reconciles.get_or_create(&[("kind", kind.as_str()), ("outcome", outcome)]).inc();
        self.durations.get_or_create(&[("kind", kind.as_str())]).observe(seconds);
    }

    pub(crate) fn refreshed<T>(&self, answer: &Result<T, LwaError>) {
        self.refreshes.get_or_create(&[("outcome", refresh_outcome(answer))]).inc();
    }

    pub(crate) fn asked_about_secret(&self, outcome: &Outcome) {
        self.secret_questions.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn noticed(&self, fate: Fate) {
        self.secret_notices.get_or_create(&[("outcome", fate.as_str())]).inc();
    }

    pub(crate) fn signed(&self, role: Role) {
        self.certificates.get_or_create(&[("role", role.as_str())]).inc();
    }
}

const fn refresh_outcome<T>(answer: &Result<T, LwaError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(LwaError::InvalidGrant) => "revoked",
        Err(LwaError::InvalidClient) => "secret_rejected",
        Err(LwaError::Refused(_)) => "refused",
        Err(LwaError::Retry(amazon::RetryCause::Nonsense(_))) => "unreadable",
        Err(LwaError::Retry(_)) => "unreachable",
    }
}

/// Counts the objects of a leader.
pub(crate) struct Inventory(pub(crate) Arc<Context>);

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inventory")
    }
}

impl Collector for Inventory {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stores = &self.0.stores;
        let mut count = Count::new(Timestamp::now());
        count.subjects(Kind::Team, &stores.teams);
        for application in count.subjects(Kind::AmazonApplication, &stores.applications) {
            let status = application.0.as_ref().ok().and_then(|application| application.status.as_ref());
            let rotation = status.and_then(|status| status.secret_rotation.as_ref());
            count
                .deadline("client_secret_expiry", rotation.and_then(|it| it.secret_expires_at.as_ref()).map(|at| at.0));
        }
        count.subjects(Kind::AgentGrant, &stores.grants);
        for connection in count.subjects(Kind::AmazonConnection, &stores.connections) {
            let status = connection.0.as_ref().ok().and_then(|connection| connection.status.as_ref());
            let ends = status.and_then(|status| status.authorization_expires_at.as_ref());
            count.deadline("authorization", ends.map(|at| at.0));
        }
        for token in count.subjects(Kind::RuntimeToken, &stores.runtime_tokens) {
            count.deadline("runtime_token", token.0.as_ref().ok().map(|token| token.spec.expires_at.0));
        }
        for sealed in stores.sealed.store().state() {
            count.sealed(&sealed);
        }
        for incident in stores.incidents.store().state() {
            count.incident(&incident);
        }
        count.encode(encoder)
    }
}

/// The windows before a deadline that are told, in days.
const WITHIN: [(&str, i64); 4] = [("60d", 60), ("30d", 30), ("7d", 7), ("0d", 0)];
const CONDITIONS: [&str; 8] = [
    READY,
    AUTHORIZED,
    REFRESHED,
    CONTAINED,
    CREDENTIAL_CURRENT,
    CONSENT_REQUESTED,
    OLD_TOKEN_STILL_ACCEPTED,
    CLIENT_SECRET_CURRENT,
];

struct Count {
    now: Timestamp,
    objects: BTreeMap<(&'static str, &'static str, &'static str), i64>,
    due: BTreeMap<(&'static str, &'static str), i64>,
    next: BTreeMap<&'static str, Timestamp>,
    incidents: BTreeMap<&'static str, i64>,
    notifications: BTreeMap<&'static str, i64>,
}

impl Count {
    fn new(now: Timestamp) -> Self {
        let deadlines = ["authorization", "client_secret_expiry", "runtime_token", "notify_amazon"];
        let due = deadlines.iter().flat_map(|name| WITHIN.map(|(within, _)| ((*name, within), 0))).collect();
        let incidents = IncidentPhase::ALL.map(|phase| (phase.as_str(), 0)).into();
        let notifications = IncidentNotificationState::ALL.map(|state| (state.as_str(), 0)).into();
        Self { now, objects: BTreeMap::new(), due, next: BTreeMap::new(), incidents, notifications }
    }

    fn one(&mut self, kind: Kind, condition: &'static str, status: &'static str) {
        *self.objects.entry((kind.as_str(), condition, status)).or_default() += 1;
    }

    /// Counts conditions, and as `Parsed` whether objects could be read.
    fn subjects<K: Subject>(&mut self, kind: Kind, objects: &Objects<Guarded<K>>) -> Vec<Arc<Guarded<K>>> {
        let all = objects.store().state();
        for object in &all {
            self.one(kind, "Parsed", if object.0.is_ok() { "True" } else { "False" });
            let conditions = object.0.as_ref().ok().and_then(|object| object.status()).map(K::conditions);
            conditions.unwrap_or_default().iter().for_each(|condition| self.condition(kind, condition));
        }
        all
    }

    fn condition(&mut self, kind: Kind, condition: &Condition) {
        let status = match condition.status.as_str() {
            "True" => "True",
            "False" => "False",
            _ => "Unknown",
        };
        if let Some(type_) = CONDITIONS.iter().find(|type_| **type_ == condition.type_) {
            self.one(kind, type_, status);
        }
    }

    /// An input that is in use is as good as a condition that holds.
    fn sealed(&mut self, sealed: &Guarded<SealedCredential>) {
        let kind = Kind::SealedCredential;
        self.one(kind, "Parsed", if sealed.0.is_ok() { "True" } else { "False" });
        let state = sealed.0.as_ref().ok().and_then(|sealed| sealed.status.as_ref()).and_then(|status| status.state);
        let status = match state {
            Some(SealedCredentialState::Accepted) => "True",
            Some(SealedCredentialState::Refused | SealedCredentialState::Superseded) => "False",
            Some(SealedCredentialState::Waiting | SealedCredentialState::Exchanging) | None => "Unknown",
        };
        self.one(kind, "Accepted", status);
    }

    /// Once Amazon was told, or it is closed, it has no deadline any more; once closed nobody waits for its mails.
    fn incident(&mut self, incident: &Guarded<Incident>) {
        self.one(Kind::Incident, "Parsed", if incident.0.is_ok() { "True" } else { "False" });
        let Some(status) = incident.0.as_ref().ok().and_then(|incident| incident.status.as_ref()) else { return };
        let Some(phase) = status.phase else { return };
        *self.incidents.entry(phase.as_str()).or_default() += 1;
        if phase != IncidentPhase::Closed {
            let told = incident.0.as_ref().is_ok_and(|incident| incident.spec.amazon_was_told());
            self.deadline("notify_amazon", status.notify_amazon_by.as_ref().filter(|_| !told).map(|at| at.0));
            for one in &status.notifications {
                *self.notifications.entry(one.state.as_str()).or_default() += 1;
            }
        }
    }

    fn deadline(&mut self, name: &'static str, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        let left = at.duration_since(self.now);
        for (within, days) in WITHIN {
            if left <= SignedDuration::from_hours(days * 24) {
                *self.due.entry((name, within)).or_default() += 1;
            }
        }
        if left > SignedDuration::ZERO {
            let next = self.next.entry(name).or_insert(at);
            *next = at.min(*next);
        }
    }

    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let objects = self.objects.iter().map(|((kind, condition, status), count)| {
            ([("kind", *kind), ("condition", *condition), ("status", *status)], *count)
        });
        gauges(&mut encoder, "objects", "Objects by what a condition says of them", objects)?;
        let incidents = self.incidents.iter().map(|(phase, count)| ([("phase", *phase)], *count));
        gauges(&mut encoder, "incidents", "Incidents by phase", incidents)?;
        let notifications = self.notifications.iter().map(|(state, count)| ([("state", *state)], *count));
        gauges(&mut encoder, "notifications", "Mails about incidents that are not closed, by state", notifications)?;
        let due = self.due.iter().map(|((name, within), count)| ([("deadline", *name), ("within", *within)], *count));
        gauges(&mut encoder, "deadlines_due", "Deadlines that end within so many days; 0d: that have passed", due)?;
        let next = self.next.iter().map(|(name, at)| ([("deadline", *name)], at.as_second()));
        gauges(&mut encoder, "next_deadline_timestamp_seconds", "When the next deadline ends", next)
    }
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (L, i64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;

    #[derive(Debug)]
    struct Told(Timestamp, Vec<SignedDuration>);

    impl Collector for Told {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut count = Count::new(self.0);
            for left in &self.1 {
                count.deadline("authorization", Some(self.0 + *left));
            }
            count.one(Kind::Team, READY, "True");
            count.one(Kind::Team, READY, "True");
            count.encode(encoder)
        }
    }

    #[test]
    fn a_refresh_that_has_not_failed_yet_is_told_as_0() {
        let metrics = process::metrics::Metrics::new(Role::Operator);
        let _own = Metrics::register(&metrics);
        let text = metrics.text();
        assert!(text.contains("openteam_lwa_refreshes_total{outcome=\"secret_rejected\"} 0\n"), "{text}");
    }

    #[test]
    fn deadlines_are_counted_in_every_window_they_fall_into() {
        let metrics = process::metrics::Metrics::new(Role::Operator);
        let days = [-1, 3, 20, 59, 300].map(|days| SignedDuration::from_hours(days * 24));
        metrics.collect(Told(now(), days.to_vec()));
        let text = metrics.text();
        for (within, count) in [("60d", 4), ("30d", 3), ("7d", 2), ("0d", 1)] {
            let line = format!("openteam_deadlines_due{{deadline=\"authorization\",within=\"{within}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        let next = (now() + days[1]).as_second();
        let line = format!("openteam_next_deadline_timestamp_seconds{{deadline=\"authorization\"}} {next}\n");
        assert!(text.contains(&line), "{text}");
        assert!(!text.contains("seconds{deadline=\"runtime_token\"}"), "there is none: {text}");
        assert!(text.contains("openteam_objects{kind=\"Team\",condition=\"Ready\",status=\"True\"} 2\n"), "{text}");
    }

    #[derive(Debug)]
    struct Incidents(Vec<(Option<IncidentPhase>, SignedDuration)>);

    impl Collector for Incidents {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut count = Count::new(now());
            for (phase, left) in &self.0 {
                let mut incident = Incident::new("inc", Default::default());
                incident.status = phase.map(|phase| crds::IncidentStatus {
                    phase: Some(phase),
                    notify_amazon_by: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now() + *left)),
                    ..Default::default()
                });
                count.incident(&kube::core::DeserializeGuard(Ok(incident)));
            }
            count.encode(encoder)
        }
    }

    #[test]
    fn incidents_are_counted_by_phase_and_have_a_deadline_until_they_are_closed() {
        let metrics = process::metrics::Metrics::new(Role::Operator);
        let hours = SignedDuration::from_hours;
        metrics.collect(Incidents(vec![
            (None, hours(1)),
            (Some(IncidentPhase::Closed), hours(2)),
            (Some(IncidentPhase::Closed), hours(-2)),
            (Some(IncidentPhase::Contained), hours(3)),
            (Some(IncidentPhase::Contained), hours(-3)),
        ]));
        let text = metrics.text();
        let next = (now() + hours(3)).as_second();
        for line in [
            "openteam_incidents{phase=\"Contained\"} 2",
            "openteam_incidents{phase=\"Open\"} 0",
            "openteam_incidents{phase=\"Closed\"} 2",
            "openteam_objects{kind=\"Incident\",condition=\"Parsed\",status=\"True\"} 5",
            "openteam_deadlines_due{deadline=\"notify_amazon\",within=\"0d\"} 1",
            &format!("openteam_next_deadline_timestamp_seconds{{deadline=\"notify_amazon\"}} {next}"),
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_happens_is_counted_under_fixed_words() {
        let registry = process::metrics::Metrics::new(Role::Operator);
        let metrics = Metrics::register(&registry);
        metrics.leads();
        metrics.signed(Role::Gateway);
        metrics.reconciled(Kind::Team, Ok(()), 0.002);
        let conflict = ReconcileError::Conflict { what: "Team acme/secret".into() };
        metrics.reconciled(Kind::Team, Err(&conflict), 0.002);
        metrics.refreshed::<()>(&Err(LwaError::InvalidGrant));
        metrics.refreshed::<()>(&Err(LwaError::Retry(amazon::RetryCause::Nonsense("its status"))));
        let text = registry.text();
        for line in [
            "openteam_leader 1",
            "openteam_role_certificates_signed_total{role=\"gateway\"} 1",
            "openteam_reconciles_total{kind=\"Team\",outcome=\"ok\"} 1",
            "openteam_reconciles_total{kind=\"Team\",outcome=\"conflict\"} 1",
            "openteam_reconcile_duration_seconds_count{kind=\"Team\"} 2",
            "openteam_lwa_refreshes_total{outcome=\"revoked\"} 1",
            "openteam_lwa_refreshes_total{outcome=\"unreadable\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("secret\""), "{text}");
    }
}
