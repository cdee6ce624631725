//! Mails about an incident: decided on in its status, so that none is lost or told anew after a kill, and sent beside the
//! reconcilers, so that nothing waits for a mail server.
//!
//! A mail is `Pending` in the status before it is first tried, and `Sent` only after the server took it: what was sent when the
//! operator died is sent again, with the same Message-ID.

mod plan;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use audit::{Change, EntityChange, ObjectName, Reason, Target};
use crds::{
    Incident, IncidentNotification, IncidentNotificationKind as Says, IncidentNotificationState as Progress,
    IncidentStatus, NamespacedReference,
};
use futures::StreamExt;
use jiff::Timestamp;
use process::mail::{EmailAddress, Mail, MailError, MailKind, Retry, Sent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

pub(super) use self::plan::{Ended, Notices};
use self::plan::{PLATFORM, Recipient, Seen};
use super::{
    letter::{About, Letter},
    name_of,
    share::{self, Shares},
};
use crate::{
    controller::Context,
    dependents::Name,
    status::Event,
    stores::{Kind, read},
    subject::{entity, reference},
    team,
};

/// Mails that are given to the server at the same time.
const CONCURRENCY: usize = 8;
/// How long outcomes gather before they are written: a mail to each of a thousand Teams is then some writes, not a thousand.
const GATHERING: Duration = Duration::from_millis(500);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The notification's id.
    id: String,
    /// When it began.
    began: Timestamp,
    /// How many targets the mail told of.
    targets: i64,
    result: Result<Sent, MailError>,
    /// 0 to 1, to spread what is tried again.
    jitter: f64,
}

/// A mail to be tried once.
pub(crate) struct Job {
    uid: String,
    incident: NamespacedReference,
    id: String,
    targets: i64,
    mail: Mail,
    /// Addresses that are none.
    unusable: usize,
}

#[derive(Default)]
struct Tray {
    in_flight: HashSet<String>,
    done: Vec<Outcome>,
}

/// What is under way, by UID of the Incident, and what came of it until that is written.
pub(crate) struct Outbox {
    trays: Mutex<HashMap<String, Tray>>,
    jobs: UnboundedSender<Job>,
    waiting: Mutex<Option<UnboundedReceiver<Job>>>,
}

impl Default for Outbox {
    fn default() -> Self {
        let (jobs, waiting) = unbounded_channel();
        Self { trays: Mutex::default(), jobs, waiting: Mutex::new(Some(waiting)) }
    }
}

impl Outbox {
    fn trays(&self) -> MutexGuard<'_, HashMap<String, Tray>> {
        self.trays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of attempts since it was last written.
    fn outcomes(&self, uid: &str) -> Vec<Outcome> {
        self.trays().get(uid).map(|it| it.done.clone()).unwrap_or_default()
    }

    /// These are written.
    fn forget(&self, uid: &str, written: &[Outcome]) {
        let mut trays = self.trays();
        if let Some(one) = trays.get_mut(uid) {
            one.done.retain(|outcome| !written.contains(outcome));
            if one.done.is_empty() && one.in_flight.is_empty() {
                trays.remove(uid);
            }
        }
    }

    /// Takes a job on, unless the same is under way or its end is not written yet.
    fn post(&self, job: Job) {
        let mut trays = self.trays();
        let one = trays.entry(job.uid.clone()).or_default();
        if one.done.iter().all(|outcome| outcome.id != job.id) && one.in_flight.insert(job.id.clone()) {
            // Nobody takes it on once the process ends; the next one will.
            let _ = self.jobs.send(job);
        }
    }

    fn ended(&self, uid: &str, outcome: Outcome) {
        let mut trays = self.trays();
        let one = trays.entry(uid.to_owned()).or_default();
        one.in_flight.remove(&outcome.id);
        one.done.push(outcome);
    }
}

/// Sends what reconcilers post, until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let waiting = context.outbox.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(jobs) = waiting else { return };
    let jobs = futures::stream::unfold(jobs, |mut jobs| async move { Some((jobs.recv().await?, jobs)) });
    jobs.take_until(shutdown.cancelled_owned()).for_each_concurrent(CONCURRENCY, |job| send(&context, job)).await;
}

async fn send(context: &Context, job: Job) {
    let began = Timestamp::now();
    let mut result = context.mailer.send(&job.mail).await;
    if let Ok(sent) = &mut result {
        sent.left_out += job.unusable;
    }
    let (incident, notification) = (&job.incident, &job.id);
    match &result {
        Ok(Sent { left_out }) => tracing::info!(%incident, notification, left_out, "mail sent"),
        Err(error) => tracing::warn!(%incident, notification, reason = error.reason(), %error, "mail not sent"),
    }
    let outcome = Outcome { id: job.id, began, targets: job.targets, result, jitter: fastrand::f64() };
    context.outbox.ended(&job.uid, outcome);
    tokio::time::sleep(GATHERING).await;
    context.stores.look_again(Name::new(Kind::Incident, Some(&job.incident.namespace), &job.incident.name));
}

/// What a pass looks at beside the Incident itself.
pub(super) struct Looked {
    uid: String,
    shares: Shares,
    outcomes: Vec<Outcome>,
}

/// Looks.
pub(super) fn look(context: &Context, incident: &Incident, contained: &[Name]) -> Looked {
    let uid = incident.metadata.uid.clone().unwrap_or_default();
    let outcomes = context.outbox.outcomes(&uid);
    Looked { shares: share::shares(&context.stores, contained), outcomes, uid }
}

impl Looked {
    /// Adds what is to be mailed to a planned status.
    pub(super) fn plan(
        &self,
        context: &Context,
        incident: &Incident,
        status: &mut IncidentStatus,
        now: Timestamp,
    ) -> Notices {
        plan::plan(
            &Seen {
                spec: &incident.spec,
                generation: incident.metadata.generation,
                shares: &self.shares,
                has_contacts: &|team| !contacts(context, team).0.is_empty(),
                is_configured: context.mailer.is_configured(),
                incident_contact: context.contacts.incidents.is_some(),
                outcomes: &self.outcomes,
                now,
            },
            status,
        )
    }

    /// A status with the outcomes in it was written.
    pub(super) fn written(&self, context: &Context) {
        context.outbox.forget(&self.uid, &self.outcomes);
    }

    /// Posts what is due in the status as it is kept.
    pub(super) fn post(&self, context: &Context, incident: &Incident, now: Timestamp) {
        let Some(status) = incident.status.as_ref().filter(|_| context.mailer.is_configured()) else { return };
        for one in status.notifications.iter().filter(|one| plan::is_due(one, now)) {
            context.outbox.post(self.job(context, incident, status, one, now));
        }
    }

    fn job(
        &self,
        context: &Context,
        incident: &Incident,
        status: &IncidentStatus,
        one: &IncidentNotification,
        now: Timestamp,
    ) -> Job {
        let recipient = Recipient::parse(&one.to);
        let (to, unusable) = match &recipient {
            Recipient::Platform => (context.contacts.incidents.iter().cloned().collect(), 0),
            Recipient::Team(team) => contacts(context, team),
        };
        let Letter { subject, text } = self.letter(context, incident, status, one.kind, &recipient, now);
        let id = format!("incident/{}/{}", self.uid, one.id);
        let mail = Mail { id, kind: MailKind::Incident, to, subject, text, html: None };
        let targets = i64::try_from(status.targets.len()).unwrap_or(i64::MAX);
        let incident = reference(&incident.metadata);
        Job { uid: self.uid.clone(), incident, id: one.id.clone(), targets, mail, unusable }
    }

    fn letter(
        &self,
        context: &Context,
        incident: &Incident,
        status: &IncidentStatus,
        kind: Says,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Letter {
        let about = About {
            incident,
            shares: &self.shares,
            incident_contact: context.contacts.incidents.as_ref().map(EmailAddress::as_str),
            amazon_contact: context.contacts.amazon.as_ref().map(EmailAddress::as_str),
            now,
        };
        let reached = || {
            let names: Vec<Name> = status.targets.iter().filter_map(name_of).collect();
            share::reached(&context.stores, names.iter())
        };
        match (recipient, kind) {
            (Recipient::Team(team), Says::Contained) => about.contained_to(team),
            (Recipient::Team(team), _) => about.restored_to(team),
            (Recipient::Platform, Says::Contained) => about.contained(&reached()),
            (Recipient::Platform, Says::Restored) => about.restored(),
            (Recipient::Platform, Says::Closed) => about.closed(),
            (Recipient::Platform, Says::Reminder) => about.reminder(&reached()),
        }
    }
}

/// The addresses of a Team that can be written to, and how many cannot.
fn contacts(context: &Context, team: &NamespacedReference) -> (Vec<EmailAddress>, usize) {
    let object = context.stores.team(&team.namespace, &team.name);
    let team = read(object.as_ref());
    let usable = team::contacts(team);
    let unusable = team.map_or(0, |team| team.spec.contacts.len()) - usable.len();
    (usable, unusable)
}

/// Records that somebody was told, or that they will not be.
pub(super) fn record(context: &Context, incident: &Incident, ended: &Ended) {
    let change = match ended.state {
        Progress::Pending => return,
        Progress::Sent => Change::Notified(ended.kind.as_str()),
        Progress::Failed => {
            Change::NotNotified(ended.kind.as_str(), Reason::new(ended.reason.unwrap_or("NotNotified")))
        }
    };
    let team = match Recipient::parse(&ended.to) {
        Recipient::Platform => None,
        Recipient::Team(team) => ObjectName::parse(&team.namespace, &team.name).ok(),
    };
    let target = team.map(|team| Target { team, team_uid: None, connection: None });
    let Ok(entity) = entity(audit::Kind::Incident, &incident.metadata) else { return };
    context.recorder.record_later(EntityChange { correlation: None, target, entity, change });
}

/// What is told on the Incident: only that somebody was not.
pub(super) fn failed(ended: &Ended) -> Option<Event> {
    let reason = ended.reason.filter(|_| ended.state == Progress::Failed)?;
    let note = format!(
        "The mail {} to {} was given up: {reason}. Tell them yourself; docs/reference/errors.md explains the reason",
        ended.kind.as_str(),
        if ended.to == PLATFORM { "incidentContact of the settings" } else { &ended.to },
    );
    Some(Event { warns: true, reason: "NotNotified".to_owned(), note: Some(note), action: "Notify".to_owned() })
}

/// Whether trying again can help, in words of the queue.
fn is_final(error: MailError) -> bool {
    error.retry() == Retry::Never
}
