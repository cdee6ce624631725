//! What mails about an incident say. Pure.
//!
//! A Team's are made from its [`Share`] and from what settings say, and from nothing else: title, notes and cause of an
//! incident are written by people and may name other tenants.

use crds::{AMAZON_WAS_TOLD, Incident, NamespacedReference};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    notice::{Reached, notice, time},
    share::{Share, Shares},
};
use crate::dependents::Name;

/// How many objects of a kind are named.
const NAMED: usize = 20;

/// Subject and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
}

/// What all letters need.
pub(super) struct About<'a> {
    pub(super) incident: &'a Incident,
    /// Every Team that it concerns now.
    pub(super) shares: &'a Shares,
    pub(super) incident_contact: Option<&'a str>,
    pub(super) amazon_contact: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl About<'_> {
    fn name(&self) -> String {
        self.incident.name_any()
    }

    /// To the contacts of a Team: something of theirs stopped.
    pub(super) fn contained_to(&self, team: &NamespacedReference) -> Letter {
        let none = Share::default();
        let share = self.shares.get(team).unwrap_or(&none);
        let name = self.name();
        let mut lines = vec![
            format!("What Team {team} uses of Amazon through OpenTeam was stopped by incident {name}:"),
            "something may have been lost or misused. Nothing was deleted.".to_owned(),
            String::new(),
        ];
        if share.contained.is_empty() {
            lines.extend(["Meanwhile all of it works again.".to_owned(), String::new()]);
        }
        lines.extend(listed("Contained", share.contained.iter().map(Name::to_string)));
        lines.extend(listed("Connections that do not work", share.connections.iter().cloned()));
        lines.extend(listed("Grants that are cut short", share.grants.iter().cloned()));
        lines.extend(listed("Runtime tokens that are cut short", share.tokens.iter().cloned()));
        if !share.contained.is_empty() {
            lines.extend(still_works(self.now, share.exposed.iter().map(|(name, until)| (name.clone(), *until))));
        }
        let contact = self.incident_contact.unwrap_or("whoever runs OpenTeam");
        lines.extend([
            "What to do".to_owned(),
            "- Expect that calls are refused (`Contained`) until it is restored; nobody has to stop anything."
                .to_owned(),
            "- Delete nothing, and keep the logs of your agents and jobs: they are evidence.".to_owned(),
            format!(
                "- Who knows of a cause, such as a token in a log or a lost laptop, writes to {contact}, naming {name}."
            ),
            "- Amazon is told by whoever runs OpenTeam. Do not notify Amazon, authorities or customers yourselves."
                .to_owned(),
            String::new(),
            "You are written to again when more of yours is stopped, and when all of it works.".to_owned(),
        ]);
        Letter {
            subject: format!("OpenTeam: incident {name} stops calls to Amazon of Team {team}"),
            text: joined(lines),
        }
    }

    /// To the contacts of a Team: nothing of theirs is stopped any more.
    pub(super) fn restored_to(&self, team: &NamespacedReference) -> Letter {
        let name = self.name();
        let contact = self.incident_contact.unwrap_or("whoever runs OpenTeam");
        let again = self.shares.get(team).is_some_and(|share| !share.contained.is_empty());
        let lines = [
            format!("Incident {name} stops nothing of Team {team} any more: its calls to Amazon are served again,"),
            "unless another incident contains the same objects (`kubectl get openteam`).".to_owned(),
            if again { "Since then something of it was stopped again.".to_owned() } else { String::new() },
            format!("Questions go to {contact}, naming {name}."),
        ];
        let subject = format!("OpenTeam: incident {name} is over for Team {team}");
        Letter { subject, text: joined(lines.into_iter().filter(|line| !line.is_empty()).collect()) }
    }

    /// To the platform: what is contained.
    pub(super) fn contained(&self, reached: &Reached) -> Letter {
        let name = self.name();
        let status = self.incident.status.clone().unwrap_or_default();
        let mut lines = vec![self.headline(), String::new()];
        let contained = status.targets.iter().filter(|target| target.is_contained());
        let contained: Vec<_> = contained.map(|it| format!("{} {}/{}", it.kind, it.namespace, it.name)).collect();
        if contained.is_empty() {
            lines.extend(["Meanwhile nothing is contained any more.".to_owned(), String::new()]);
        }
        lines.extend(listed("Contained", contained.into_iter()));
        lines.push(format!(
            "With what is below them: connections {}, grants {}, runtime tokens {}.",
            status.reach.connections, status.reach.grants, status.reach.tokens
        ));
        lines.push(String::new());
        lines.extend(listed("Teams concerned", self.shares.keys().map(ToString::to_string)));
        let exposed = self.shares.iter().flat_map(|(team, share)| {
            share.exposed.iter().map(move |(name, until)| (format!("{}/{name}", team.namespace), *until))
        });
        if status.contained > 0 {
            lines.extend(still_works(self.now, exposed));
        }
        lines.extend(self.deadline());
        lines.extend([
            "What to do".to_owned(),
            format!("- Look: kubectl openteam incident show {name}; kubectl openteam status"),
            "- Contain more if in doubt; delete nothing.".to_owned(),
            format!("- Write down what you find: kubectl openteam incident note {name} \"…\""),
            "- Tell Amazon: below is a draft. Complete and send it yourself.".to_owned(),
            format!("- When you have: kubectl openteam incident note {name} \"{AMAZON_WAS_TOLD}: …\""),
            String::new(),
        ]);
        lines.extend(self.draft(reached));
        Letter {
            subject: format!("OpenTeam: incident {name} contains {} objects", status.contained),
            text: joined(lines),
        }
    }

    /// To the platform: nothing is contained any more.
    pub(super) fn restored(&self) -> Letter {
        let name = self.name();
        let mut lines =
            vec![self.headline(), String::new(), "Nothing is contained by it any more.".to_owned(), String::new()];
        lines.extend(self.deadline());
        lines.push(format!(
            "Close it with its cause: kubectl openteam incident close {name} --root-cause \"…\" --remedy \"…\""
        ));
        Letter { subject: format!("OpenTeam: incident {name} contains nothing any more"), text: joined(lines) }
    }

    /// To the platform: it is closed.
    pub(super) fn closed(&self) -> Letter {
        let name = self.name();
        let mut lines = vec![self.headline(), String::new()];
        match &self.incident.spec.closed {
            Some(closed) => lines.extend([
                "It is closed.".to_owned(),
                String::new(),
                format!("Root cause: {}", closed.root_cause),
                format!("Remedy: {}", closed.remedy),
                String::new(),
            ]),
            None => lines.extend(["It was closed, and is open again.".to_owned(), String::new()]),
        }
        if !self.incident.spec.amazon_was_told() {
            lines.push(format!("No note says that Amazon was told (one that begins with \"{AMAZON_WAS_TOLD}\")."));
        }
        Letter { subject: format!("OpenTeam: incident {name} is closed"), text: joined(lines) }
    }

    /// To the platform: Amazon must be told soon.
    pub(super) fn reminder(&self, reached: &Reached) -> Letter {
        let name = self.name();
        let mut lines = vec![
            self.headline(),
            String::new(),
            format!("No note says that Amazon was told (one that begins with \"{AMAZON_WAS_TOLD}\")."),
            String::new(),
        ];
        lines.extend(self.deadline());
        lines.extend([
            "Complete the draft below, send it yourself, and say so:".to_owned(),
            format!("kubectl openteam incident note {name} \"{AMAZON_WAS_TOLD}: …\""),
            String::new(),
        ]);
        lines.extend(self.draft(reached));
        let by = self.notify_by().map(time).unwrap_or_default();
        Letter { subject: format!("OpenTeam: Amazon must be told of incident {name} by {by}"), text: joined(lines) }
    }

    fn headline(&self) -> String {
        let spec = &self.incident.spec;
        let title = spec.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default();
        let severity = spec.severity.map(|severity| format!(" ({severity:?})")).unwrap_or_default();
        format!("Incident {}{title}{severity}", self.name())
    }

    fn notify_by(&self) -> Option<Timestamp> {
        self.incident.status.as_ref()?.notify_amazon_by.as_ref().map(|by| by.0)
    }

    fn deadline(&self) -> Vec<String> {
        let Some(by) = self.notify_by().filter(|_| !self.incident.spec.amazon_was_told()) else { return Vec::new() };
        let passed = if by < self.now { ", WHICH HAS PASSED" } else { "" };
        vec![format!("Amazon must be told by {}{passed}: 24 hours after it was detected.", time(by)), String::new()]
    }

    fn draft(&self, reached: &Reached) -> Vec<String> {
        vec![
            "-------- draft of the notice to Amazon --------".to_owned(),
            notice(self.incident, reached, self.amazon_contact, self.incident_contact),
        ]
    }
}

/// A list under its heading, and an empty line; nothing of nothing.
fn listed(heading: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let all: Vec<_> = names.collect();
    if all.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading.to_owned()];
    lines.extend(all.iter().take(NAMED).map(|name| format!("- {name}")));
    if all.len() > NAMED {
        lines.push(format!("- and {} more", all.len() - NAMED));
    }
    lines.push(String::new());
    lines
}

fn still_works(now: Timestamp, exposed: impl Iterator<Item = (String, Timestamp)>) -> Vec<String> {
    let still = exposed.filter(|(_, until)| *until > now).map(|(name, until)| format!("{name} until {}", time(until)));
    let lines = listed("What works all the same: tokens of Amazon's own that were handed out", still);
    if lines.is_empty() {
        return vec!["No token of Amazon's own that was handed out works any more.".to_owned(), String::new()];
    }
    lines
}

fn joined(lines: Vec<String>) -> String {
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;
