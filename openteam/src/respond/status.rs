//! `kubectl openteam status`: what is contained, what works at Amazon all the same, what does not work, what ends soon.

use access::Index;
use clap::Args;
use crds::{AmazonConnection, NamespacedReference, SecretRotationStatus, annotation, condition};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::{
    replicas::{self, Replica, Versions},
    target::Kind,
    world,
};
use crate::{
    cluster,
    output::{Output, seconds, table},
};

/// How long ahead an authorization's end is told; as the operator's first Event about it.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(60 * 24);

/// How to tell.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The namespace OpenTeam runs in
    #[arg(long, short, default_value = "openteam-system")]
    namespace: String,

    /// How to print
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// Objects with the annotation.
    contained: Vec<Contained>,
    /// Which gateway replicas heed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replicas: Vec<Replica>,
    /// Why none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas_not_asked: Option<String>,
    /// Connections that do not work because of it.
    stopped: Vec<Stopped>,
    /// Tokens of Amazon's that are out there and work whatever is contained.
    exposed: Vec<Exposed>,
    /// Connections that do not work for another reason.
    not_ready: Vec<NotReady>,
    /// Sellers that are asked to consent again.
    consents: Vec<Consent>,
    /// Refresh tokens that were rotated away and that Amazon is not known to refuse.
    old_tokens: Vec<OldToken>,
    /// Authorizations that end soon.
    ending: Vec<Ending>,
    /// Client secrets that end soon, and replaced ones that Amazon accepts yet.
    client_secrets: Vec<ClientSecret>,
    /// What to do next.
    next: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Contained {
    kind: &'static str,
    object: String,
    incidents: Vec<String>,
    /// When the annotation was last written, and with what; `kubectl openteam` says there who used it, kubectl does not. The
    /// record has it from the apiserver.
    since: Option<Timestamp>,
    by: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Stopped {
    connection: String,
    by: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Exposed {
    connection: String,
    until: Timestamp,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct NotReady {
    connection: String,
    reason: String,
    message: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Consent {
    connection: String,
    reason: String,
    since: Timestamp,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct OldToken {
    connection: String,
    /// Whether Amazon accepts it; not known, where it could not be tried.
    accepted: Option<bool>,
    /// When it was last tried.
    tried_at: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Ending {
    connection: String,
    at: Timestamp,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientSecret {
    application: String,
    /// When the newest one ends, where that is soon.
    ends_at: Option<Timestamp>,
    /// Until when Amazon accepts the one before.
    old_accepted_until: Option<Timestamp>,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let client = cluster::client().await?;
    let index = world::read(&client).await?;
    let mut status = Status::of(&index, Timestamp::now());
    if !status.contained.is_empty() {
        match replicas::ask(&client, &arguments.namespace, &versions(&index)).await {
            Ok(replicas) => status.replicas = replicas,
            // Whoever may not ask pods sees the rest all the same.
            Err(error) => status.replicas_not_asked = Some(format!("{error:#}")),
        }
    }
    status.next = status.advice();
    arguments.output.print(&status, || status.table())
}

/// The newest version of what is contained, by kind.
fn versions(index: &Index) -> Versions {
    let mut versions = Versions::new();
    for kind in Kind::ALL {
        let contained =
            world::objects(index, kind).into_iter().filter(|(_, meta)| annotation::incidents(meta).is_some());
        let version = contained.filter_map(|(_, meta)| meta.resource_version.as_ref()?.parse().ok()).max();
        versions.extend(version.map(|version| (kind.as_str(), version)));
    }
    versions
}

impl Status {
    fn of(index: &Index, now: Timestamp) -> Self {
        let mut status = Self::default();
        for kind in Kind::ALL {
            for (target, meta) in world::objects(index, kind) {
                let Some(incidents) = annotation::incidents(meta) else { continue };
                let (since, by) = written(meta).unzip();
                let object = target.object.to_string();
                status.contained.push(Contained { kind: kind.as_str(), object, incidents, since: since.flatten(), by });
            }
        }
        for (name, connection) in &index.connections {
            if let Some(connection) = connection.read() {
                status.connection(index, name, connection, now);
            }
        }
        for (name, application) in &index.applications {
            let told = application.read().and_then(|it| it.status.as_ref()?.secret_rotation.as_ref());
            status.client_secrets.extend(told.and_then(|told| client_secret(name, told, now)));
        }
        status
    }

    fn connection(&mut self, index: &Index, name: &NamespacedReference, object: &AmazonConnection, now: Timestamp) {
        let connection = name.to_string();
        let by: Vec<String> =
            access::contained(index, name, object).iter().map(|by| format!("{} {}", by.kind, by.object)).collect();
        let told = object.status.as_ref();
        let contained = !by.is_empty();
        if contained {
            self.stopped.push(Stopped { connection: connection.clone(), by });
        }
        if let Some(until) = told.and_then(|told| told.exposed_until.as_ref()).filter(|until| until.0 > now) {
            self.exposed.push(Exposed { connection: connection.clone(), until: until.0 });
        }
        let ready = condition::find(told.map_or(&[][..], |told| &told.conditions), condition::READY);
        if !contained && ready.is_none_or(|ready| ready.status != "True") {
            let (reason, message) = ready.map_or_else(
                || ("NotLookedAtYet".to_owned(), "the operator has not looked at it yet".to_owned()),
                |ready| (ready.reason.clone(), ready.message.clone()),
            );
            self.not_ready.push(NotReady { connection: connection.clone(), reason, message });
        }
        let conditions = told.map_or(&[][..], |told| &told.conditions);
        if let Some(asked) = condition::find(conditions, condition::CONSENT_REQUESTED).filter(|it| it.status == "True")
        {
            let (connection, since) = (connection.clone(), asked.last_transition_time.0);
            self.consents.push(Consent { connection, reason: asked.reason.clone(), since });
        }
        let old = condition::find(conditions, condition::OLD_TOKEN_STILL_ACCEPTED).filter(|it| it.status != "False");
        if let Some(old) = old {
            let accepted = (old.status == "True").then_some(true);
            let tried_at = told.and_then(|told| told.old_token.as_ref()).map(|old| old.tried_at.0);
            self.old_tokens.push(OldToken { connection: connection.clone(), accepted, tried_at });
        }
        if let Some(at) =
            told.and_then(|told| told.authorization_expires_at.as_ref()).filter(|at| at.0 < now + ENDS_SOON)
        {
            self.ending.push(Ending { connection, at: at.0 });
        }
    }

    fn advice(&self) -> Vec<String> {
        let mut next = Vec::new();
        if let Some(why) = &self.replicas_not_asked {
            next.push(format!("whether gateways refuse was not asked: {why}"));
        } else if let Some(one) = self.replicas.iter().find(|one| one.refuses != Some(true)) {
            next.push(format!(
                "{}: ask again; a gateway that sees nothing new refuses every call after stalenessLimit",
                one.pod
            ));
        }
        if let Some(last) = self.exposed.iter().map(|one| one.until).max() {
            next.push(format!(
                "Amazon honours tokens that were handed out until {}: ask the seller to revoke the authorization if that is \
                 too long",
                seconds(last)
            ));
        }
        if let Some(one) = self.old_tokens.first() {
            let (namespace, name) = one.connection.split_once('/').unwrap_or_default();
            next.push(format!(
                "what ends an old refresh token: kubectl -n {namespace} describe amzc {name}, condition OldTokenStillAccepted"
            ));
        }
        if let Some(first) = self.contained.first().and_then(|one| one.incidents.first()) {
            next.push(format!("when it is over: kubectl openteam restore {first} --all"));
        }
        if let Some(one) = self.not_ready.first() {
            let (namespace, name) = one.connection.split_once('/').unwrap_or_default();
            next.push(format!("why a connection does not work: kubectl -n {namespace} describe amzc {name}"));
        }
        next
    }

    fn table(&self) -> String {
        let part = |title: &str, table: String| format!("{title}\n{table}");
        let mut parts = Vec::new();
        if self.contained.is_empty() {
            parts.push("Nothing is contained.\n".to_owned());
        } else {
            let rows = self.contained.iter().map(|one| {
                [
                    one.kind.to_owned(),
                    one.object.clone(),
                    one.incidents.join(","),
                    one.since.map(seconds).unwrap_or_default(),
                    one.by.clone().unwrap_or_default(),
                ]
            });
            let headings = ["KIND", "OBJECT", "INCIDENTS", "SINCE", "WITH"];
            parts.push(part("Contained", table(headings, &rows.collect::<Vec<_>>())));
        }
        if !self.replicas.is_empty() {
            let rows = self.replicas.iter().map(|one| {
                let refuses = one.refuses.map(|refuses| if refuses { "yes" } else { "not yet" });
                [one.pod.clone(), refuses.unwrap_or("not known").to_owned(), one.why.clone().unwrap_or_default()]
            });
            parts.push(part("Gateways", table(["POD", "REFUSES IT", "WHY"], &rows.collect::<Vec<_>>())));
        }
        if !self.stopped.is_empty() {
            let rows = self.stopped.iter().map(|one| [one.connection.clone(), one.by.join(", ")]);
            parts.push(part(
                "Connections that do not work because of it",
                table(["CONNECTION", "BY"], &rows.collect::<Vec<_>>()),
            ));
        }
        if !self.exposed.is_empty() {
            let rows = self.exposed.iter().map(|one| [one.connection.clone(), seconds(one.until)]);
            let title = "Amazon's tokens that were handed out; they work whatever is contained";
            parts.push(part(title, table(["CONNECTION", "UNTIL"], &rows.collect::<Vec<_>>())));
        }
        if !self.not_ready.is_empty() {
            let rows =
                self.not_ready.iter().map(|one| [one.connection.clone(), one.reason.clone(), one.message.clone()]);
            parts.push(part("Not Ready", table(["CONNECTION", "REASON", "MESSAGE"], &rows.collect::<Vec<_>>())));
        }
        if !self.consents.is_empty() {
            let rows = self.consents.iter().map(|one| [one.connection.clone(), one.reason.clone(), seconds(one.since)]);
            let title = "Sellers that are asked to consent again";
            parts.push(part(title, table(["CONNECTION", "REASON", "SINCE"], &rows.collect::<Vec<_>>())));
        }
        if !self.old_tokens.is_empty() {
            let rows = self.old_tokens.iter().map(|one| {
                let accepted = if one.accepted == Some(true) { "accepted" } else { "not known" };
                [one.connection.clone(), accepted.to_owned(), one.tried_at.map(seconds).unwrap_or_default()]
            });
            let title = "Refresh tokens that were rotated away and that Amazon is not known to refuse";
            parts.push(part(title, table(["CONNECTION", "AT AMAZON", "TRIED"], &rows.collect::<Vec<_>>())));
        }
        if !self.ending.is_empty() {
            let rows = self.ending.iter().map(|one| [one.connection.clone(), seconds(one.at)]);
            parts.push(part("Authorizations that end soon", table(["CONNECTION", "AT"], &rows.collect::<Vec<_>>())));
        }
        if !self.client_secrets.is_empty() {
            let time = |time: Option<Timestamp>| time.map(seconds).unwrap_or_default();
            let rows = self.client_secrets.iter();
            let rows = rows.map(|one| [one.application.clone(), time(one.ends_at), time(one.old_accepted_until)]);
            let headings = ["APPLICATION", "ENDS", "OLD ONE ACCEPTED UNTIL"];
            parts.push(part("Client secrets", table(headings, &rows.collect::<Vec<_>>())));
        }
        if !self.next.is_empty() {
            parts.push(format!("Next\n{}", self.next.iter().map(|one| format!("- {one}\n")).collect::<String>()));
        }
        parts.join("\n")
    }
}

fn client_secret(name: &NamespacedReference, told: &SecretRotationStatus, now: Timestamp) -> Option<ClientSecret> {
    let ends_at = told.secret_expires_at.as_ref().map(|at| at.0).filter(|at| *at < now + ENDS_SOON);
    let old_accepted_until = told.old_secret_until.as_ref().map(|until| until.0).filter(|until| *until > now);
    (ends_at.is_some() || old_accepted_until.is_some()).then(|| ClientSecret {
        application: name.to_string(),
        ends_at,
        old_accepted_until,
    })
}

/// When the annotation was last written, and the field manager that did (Kubernetes, "Server-Side Apply": `managedFields`).
fn written(meta: &ObjectMeta) -> Option<(Option<Timestamp>, String)> {
    let key = format!("f:{}", annotation::DISABLE);
    let entry = meta.managed_fields.iter().flatten().find(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields["f:metadata"]["f:annotations"].get(&key).is_some())
    })?;
    Some((entry.time.as_ref().map(|time| time.0), entry.manager.clone().unwrap_or_default()))
}

#[cfg(test)]
mod tests;
