//! `kubectl openteam incident notice`: the draft of the notice to Amazon, printed and never sent.

use std::collections::BTreeSet;

use access::Index;
use anyhow::Context;
use clap::Args;
use crds::{Incident, IncidentTarget, NamespacedReference, Scope};
use kube::Client;
use operator::{Application, Reached, Seller, notice};
use process::mail::EmailAddress;

use crate::{config, respond::world};

/// Which incident, and what settings say otherwise.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The incident
    pub(super) incident: String,

    /// The namespace OpenTeam runs in
    #[arg(long, short, default_value = "openteam-system")]
    pub(super) namespace: String,

    /// Where Amazon wants to be told, instead of setting amazonContact
    #[arg(long, value_name = "ADDRESS")]
    to: Option<EmailAddress>,

    /// Point of contact, instead of setting incidentContact
    #[arg(long, value_name = "ADDRESS")]
    contact: Option<EmailAddress>,
}

/// What it says.
pub(super) async fn draft(client: &Client, arguments: &Arguments, incident: &Incident) -> anyhow::Result<String> {
    // Who responds may see objects and need not see settings.
    let settings = match (&arguments.to, &arguments.contact) {
        (Some(_), Some(_)) => None,
        _ => config::in_cluster(&arguments.namespace).await,
    };
    let set =
        |of: fn(&process::settings::Settings) -> &Option<EmailAddress>| settings.as_ref().and_then(|it| of(it).clone());
    let to = arguments.to.clone().or_else(|| set(|it| &it.amazon_contact));
    let contact = arguments.contact.clone().or_else(|| set(|it| &it.incident_contact));
    let index = world::read(client).await.context("what the incident reaches cannot be looked at")?;
    let targets = incident.status.as_ref().map(|status| &status.targets[..]).unwrap_or_default();
    let as_text = |address: &Option<EmailAddress>| address.as_ref().map(ToString::to_string);
    Ok(notice(incident, &reached(&index, targets), as_text(&to).as_deref(), as_text(&contact).as_deref()))
}

/// The applications and sellers that the targets give access to, restored or not.
fn reached(index: &Index, targets: &[IncidentTarget]) -> Reached {
    let is = |kind: &str, name: &NamespacedReference| {
        targets.iter().any(|it| it.kind == kind && it.namespace == name.namespace && it.name == name.name)
    };
    let mut named: BTreeSet<NamespacedReference> = BTreeSet::new();
    let mut scoped = |name: &NamespacedReference, scope: &Scope| {
        let namespace = &name.namespace;
        named.extend(
            scope
                .connections
                .iter()
                .map(|name| NamespacedReference { namespace: namespace.clone(), name: name.clone() }),
        );
    };
    for (name, entry) in index.grants.iter().filter(|(name, _)| is("AgentGrant", name)) {
        entry.read().into_iter().for_each(|grant| scoped(name, &grant.spec.scope));
    }
    for (name, entry) in index.runtime_tokens.iter().filter(|(name, _)| is("RuntimeToken", name)) {
        entry.read().into_iter().for_each(|token| scoped(name, &token.spec.scope));
    }
    let mut sellers = Vec::new();
    let mut applications: BTreeSet<NamespacedReference> = BTreeSet::new();
    for (name, entry) in &index.connections {
        let Some(connection) = entry.read() else { continue };
        let team =
            NamespacedReference { namespace: name.namespace.clone(), name: connection.spec.team_ref.name.clone() };
        let application = &connection.spec.application_ref;
        if is("AmazonConnection", name)
            || is("Team", &team)
            || is("AmazonApplication", application)
            || named.contains(name)
        {
            applications.insert(application.clone());
            sellers.push(Seller::of(name.clone(), connection));
        }
    }
    sellers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = Vec::new();
    for (name, entry) in &index.applications {
        if let Some(application) = entry.read().filter(|_| applications.contains(name) || is("AmazonApplication", name))
        {
            found.push(Application { name: name.clone(), id: application.spec.application_id.clone() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Reached { applications: found, sellers }
}
