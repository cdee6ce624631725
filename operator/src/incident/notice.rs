//! The draft of the notice to Amazon. OpenTeam never sends it: people do, when it is right.

use std::fmt::Write;

use crds::{AmazonConnection, Incident, IncidentEvent, NamespacedReference};
use jiff::Timestamp;
use kube::ResourceExt;

/// How many of a list are named.
const MOST: usize = 200;

/// What an incident gave access to at Amazon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The applications.
    pub applications: Vec<Application>,
    /// The sellers' authorizations.
    pub sellers: Vec<Seller>,
}

/// An application that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The AmazonApplication.
    pub name: NamespacedReference,
    /// Amazon's id of it.
    pub id: String,
}

/// A seller's authorization that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seller {
    /// The AmazonConnection.
    pub name: NamespacedReference,
    /// Amazon's id of the seller, if it is known.
    pub id: Option<String>,
    /// NA, EU or FE.
    pub region: &'static str,
    /// Amazon's ids of the marketplaces that callers could use.
    pub marketplaces: Vec<String>,
    /// Until when Amazon honours a token that was handed out.
    pub exposed_until: Option<Timestamp>,
}

impl Seller {
    /// What of a connection Amazon has to know.
    #[must_use]
    pub fn of(name: NamespacedReference, connection: &AmazonConnection) -> Self {
        let exposed = connection.status.as_ref().and_then(|status| status.exposed_until.as_ref());
        Self {
            name,
            id: connection.selling_partner_id().map(str::to_owned),
            region: connection.spec.region.as_str(),
            marketplaces: connection.spec.marketplace_ids.clone(),
            exposed_until: exposed.map(|until| until.0),
        }
    }
}

/// Writes it. `to` and `point_of_contact` are `amazonContact` and `incidentContact` of the settings.
#[must_use]
pub fn notice(incident: &Incident, reached: &Reached, to: Option<&str>, point_of_contact: Option<&str>) -> String {
    let (spec, status) = (&incident.spec, incident.status.clone().unwrap_or_default());
    let name = incident.name_any();
    let first = status.targets.iter().map(|target| target.contained_at.0).min();
    let detected = spec.detected_at.as_ref().map(|at| at.0).or(first);
    let mut text = String::new();
    let mut line = |said: String| {
        text += &said;
        text.push('\n');
    };
    line(format!("To: {}", to.unwrap_or("[the address in your Solution Provider Portal; setting amazonContact]")));
    line(format!("Subject: Security incident {name}: Selling Partner API"));
    line(String::new());
    line("We report a security incident that concerns access to the Selling Partner API.".to_owned());
    line(String::new());
    line(format!("Detected: {}", detected.map_or_else(|| "[when]".to_owned(), time)));
    line(format!(
        "Point of contact: {}",
        point_of_contact.unwrap_or("[name, address, telephone; setting incidentContact]")
    ));
    line(format!("What happened: {}", spec.title.as_deref().unwrap_or("[in a sentence]")));
    line(String::new());
    line("What was reached".to_owned());
    for application in &reached.applications {
        line(format!("- application {}", application.id));
    }
    for seller in reached.sellers.iter().take(MOST) {
        let id = seller.id.as_deref().unwrap_or("[id not known yet]");
        line(format!("- seller {id}, {}, marketplaces {}", seller.region, seller.marketplaces.join(" ")));
    }
    if let Some(more) = reached.sellers.len().checked_sub(MOST).filter(|more| *more > 0) {
        line(format!("- and {more} sellers more"));
    }
    if reached.sellers.is_empty() && reached.applications.is_empty() {
        line("- [which applications, sellers, data]".to_owned());
    }
    line("- [whether credentials were copied, and which data was read or changed: `openteam journal`]".to_owned());
    line(String::new());
    line("What was done".to_owned());
    for entry in &status.timeline {
        let what = match entry.event {
            IncidentEvent::Contained => "access stopped",
            IncidentEvent::Restored => "access given back",
            IncidentEvent::Deleted => "removed",
            _ => continue,
        };
        line(format!("- {} {what}: {}", time(entry.time.0), entry.about.as_deref().unwrap_or("(see the record)")));
    }
    for note in &spec.notes {
        line(format!("- {} {}", time(note.time.0), one_line(&note.text)));
    }
    for seller in reached.sellers.iter().filter(|seller| seller.exposed_until.is_some()).take(MOST) {
        let (id, until) = (seller.id.as_deref().unwrap_or("[id not known yet]"), seller.exposed_until.map(time));
        line(format!(
            "- an access token of seller {id} was handed out and is honoured until {}",
            until.unwrap_or_default()
        ));
    }
    line(String::new());
    let closed = spec.closed.as_ref();
    line(format!("Root cause: {}", closed.map_or("[not known yet]".to_owned(), |it| one_line(&it.root_cause))));
    line(format!("Remedy: {}", closed.map_or("[in work]".to_owned(), |it| one_line(&it.remedy))));
    let _ = write!(text, "\nWe keep the records and do not notify authorities or sellers on your behalf.\n");
    text
}

/// To the second, as Kubernetes writes it.
pub(super) fn time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
