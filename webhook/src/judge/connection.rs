//! AmazonConnection: whether it can ever work as written.

use access::{Entry, allowed, scope, within};
use crds::{Access, AmazonConnection};

use super::{Findings, World, beside, look_for_team, readable};

pub(super) fn look(world: &World<'_>, connection: &AmazonConnection, found: &mut Findings) {
    let (meta, spec) = (&connection.metadata, &connection.spec);
    for fault in scope::operations_faults("spec.operations", spec.operations.as_ref()) {
        found.refuse(fault.message);
    }
    look_for_team(world, meta, &spec.team_ref.name, found);
    look_for_application(world, connection, found);

    let own = beside(meta, meta.name.as_deref().unwrap_or_default());
    let known = readable(world.index.connections.get(&own)).and_then(|now| now.status.as_ref());
    let participations = known.map_or(&[][..], |status| &status.participations);
    let takes_part = |id: &String| participations.iter().any(|it| it.marketplace_id == *id && it.is_participating);
    let absent: Vec<&str> = spec.marketplace_ids.iter().filter(|id| !takes_part(id)).map(String::as_str).collect();
    if !participations.is_empty() && !absent.is_empty() {
        let absent = absent.join(", ");
        found.warn(format!("spec.marketplaceIds: the seller takes no part in {absent}; calls naming them will fail"));
    }
    // Of other namespaces nothing is told: their connections do not exist for this one.
    let twin = spec.selling_partner_id.as_ref().and_then(|seller| {
        within(&world.index.connections, &own.namespace)
            .find(|(name, it)| **name != own && it.is_for(&spec.application_ref, spec.region, spec.sandbox, seller))
    });
    if let Some((twin, _)) = twin {
        let name = &twin.name;
        found.warn(format!(
            "spec.sellingPartnerId: AmazonConnection {name} is for the same seller, region and application already; one \
             is enough"
        ));
    }
}

fn look_for_application(world: &World<'_>, connection: &AmazonConnection, found: &mut Findings) {
    let name = &connection.spec.application_ref;
    let namespace = connection.metadata.namespace.as_deref().unwrap_or_default();
    let application = match world.index.applications.get(name) {
        None => {
            found.warn(format!(
                "spec.applicationRef: AmazonApplication {name} is not there (yet); nothing works until it is"
            ));
            return;
        }
        Some(Entry::Unreadable(_)) => return,
        Some(Entry::Read(application)) => application,
    };
    let is_known = world.index.namespaces.get(namespace).is_some();
    if is_known && !allowed(world.index, name, application, namespace) {
        found.refuse(format!(
            "spec.applicationRef: AmazonApplication {name} is not for namespace {namespace}: have its \
             spec.allowedNamespaces select it, or label the namespace so that it does, and apply again"
        ));
    }
    if connection.spec.access == Access::Credential && application.spec.access != Access::Credential {
        found.warn(format!(
            "spec.access: Credential does nothing while AmazonApplication {name} says Proxy in its own spec.access"
        ));
    }
}
