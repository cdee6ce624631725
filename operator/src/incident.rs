//! Incident: what it contains, and what happened to it.
//!
//! It only tells. What contains are the annotations, which gateways read themselves.

pub(crate) mod evidence;
mod letter;
pub(crate) mod mail;
mod notice;
pub(crate) mod open;
mod plan;
mod refused;
mod share;
#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use crds::{Incident, IncidentEvent, IncidentStatus, IncidentTarget, IncidentTimelineEntry, NamespacedReference};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::controller::Action};

pub use self::notice::{Application, Reached, Seller, notice};
use self::plan::{Observed, plan};
use crate::{
    contained,
    controller::Context,
    dependents::Name,
    error::ReconcileError,
    status::{self, Event},
    stores::{Kind, Stores, Touched},
    subject::reference,
};

/// The Incidents that a change of another object concerns: those that its annotation names, and those that it is, or was, a
/// target of.
pub(crate) fn affected(stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    let mut concerned = stores.incidents.looking_at(&touched.name);
    // What becomes of its refresh token keeps Incidents open that contain what it hangs from.
    if touched.name.kind == Kind::AmazonConnection {
        let Name { namespace, name, .. } = touched.name.clone();
        let above = refused::above(stores, &NamespacedReference { namespace, name });
        concerned.extend(above.iter().flat_map(|name| stores.incidents.looking_at(name)));
    }
    if let Some(contained) = stores.contained_at(&touched.name) {
        let named = contained.incidents.into_iter();
        concerned.extend(named.map(|name| Arc::new(NamespacedReference { namespace: stores.system.clone(), name })));
    }
    concerned
}

/// The object that a target names; `None` for a kind that this version does not contain.
pub(crate) fn name_of(target: &IncidentTarget) -> Option<Name> {
    Some(Name::new(contained::kind(&target.kind)?, Some(&target.namespace), &target.name))
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, incident: Incident) -> Result<Action, ReconcileError> {
    // The watch brings what was written, and with it another pass.
    if status::is_outdated(&context, &incident) {
        return Ok(Action::await_change());
    }
    let contained = context.stores.contained_by(&reference(&incident.metadata).name);
    let known = incident.status.iter().flat_map(|status| &status.targets).filter_map(name_of);
    let all: HashSet<Name> = known.chain(contained.iter().cloned()).collect();
    let now = Timestamp::now();
    let mails = mail::look(&context, &incident, &contained);
    mails.post(&context, &incident, now);
    let mut plan = plan(&Observed {
        incident: &incident,
        contained: &contained,
        is_there: &|name| context.stores.is_there(name),
        reach: context.stores.reach(all.iter()),
        unproven: &|targets| refused::unproven(&context.stores, targets),
        now,
    });
    let notices = mails.plan(&context, &incident, &mut plan.status, now);
    let before = incident.status.as_ref();
    if let Some(wait) = plan.waits(before, now) {
        return Ok(Action::requeue(wait));
    }
    if before != Some(&plan.status) && status::apply_to_version(&context, &incident, &ours(&plan.status)).await? {
        for news in plan.happened.iter().map(happened).chain(plan.kept_open_by(before).map(kept_open)) {
            status::publish(&context, &incident, news).await;
        }
        mails.written(&context);
        for ended in &notices.ended {
            mail::record(&context, &incident, ended);
            if let Some(news) = mail::failed(ended) {
                status::publish(&context, &incident, news).await;
            }
        }
    }
    Ok(match notices.again_at {
        // A moment later, so that it is due then by a clock of whole seconds.
        Some(at) => Action::requeue(at.duration_since(now).unsigned_abs() + Duration::from_millis(100)),
        None => Action::await_change(),
    })
}

/// What of a status is applied with this reconciler's field manager.
fn ours(status: &IncidentStatus) -> IncidentStatus {
    let mut ours = IncidentStatus { evidence: Vec::new(), ..status.clone() };
    ours.conditions.retain(|condition| !evidence::is_of_evidence(condition));
    ours
}

fn kept_open(condition: &Condition) -> Event {
    let (reason, note) = (condition.reason.clone(), Some(condition.message.clone()));
    Event { warns: true, reason, note, action: "Follow".to_owned() }
}

fn happened(entry: &IncidentTimelineEntry) -> Event {
    let warns = match entry.event {
        IncidentEvent::Contained | IncidentEvent::Deleted | IncidentEvent::Reopened | IncidentEvent::Full => true,
        IncidentEvent::Opened | IncidentEvent::Restored | IncidentEvent::NoteAdded | IncidentEvent::Closed => false,
    };
    Event { warns, reason: entry.event.as_str().to_owned(), note: entry.about.clone(), action: "Follow".to_owned() }
}

/// The names of the Incidents that are not closed.
pub(crate) fn open_names(context: &Context) -> Vec<String> {
    let all = context.stores.incidents.store().state();
    let is_open = |incident: &Incident| {
        incident.status.as_ref().and_then(|status| status.phase) != Some(crds::IncidentPhase::Closed)
    };
    all.iter().filter(|it| it.0.as_ref().ok().is_none_or(is_open)).map(|it| it.name_any()).collect()
}
