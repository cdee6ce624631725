//! AmazonApplication: whether its selector and addresses mean anything, and whom a narrower selector stops.

use access::{allowed, own_endpoints};
use crds::AmazonApplication;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

use super::{Findings, World, beside};

pub(super) fn look(world: &World<'_>, application: &AmazonApplication, was_there: bool, found: &mut Findings) {
    let spec = &application.spec;
    if let Some(endpoints) = &spec.endpoints {
        for (field, address) in [("lwa", &endpoints.lwa), ("sellingPartnerApi", &endpoints.selling_partner_api)] {
            if let Some(Err(why)) = address.as_deref().map(str::parse::<amazon::Endpoint>) {
                found.refuse(format!("spec.endpoints.{field}: {why}; take it out for Amazon's own address"));
            }
        }
    }
    if let Err(fault) = own_endpoints(application, world.allow_endpoints) {
        found.warn(format!("{fault}: connections of it are not served until spec.endpoints is taken out"));
    }
    let requirements = spec.allowed_namespaces.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
    for requirement in requirements {
        if let Some(why) = meaningless(requirement) {
            let key: String = requirement.key.chars().take(63).collect();
            found.refuse(format!("spec.allowedNamespaces.matchExpressions: {key}: {why}"));
        }
    }
    if was_there {
        stopped(world, application, found);
    }
}

/// Why a requirement selects nothing, as Kubernetes reads it ("Labels and Selectors").
fn meaningless(requirement: &LabelSelectorRequirement) -> Option<&'static str> {
    let values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
    match (requirement.operator.as_str(), values) {
        ("In" | "NotIn", true) | ("Exists" | "DoesNotExist", false) => None,
        ("In" | "NotIn", false) => Some("In and NotIn need values: name some, or use Exists or DoesNotExist"),
        ("Exists" | "DoesNotExist", true) => Some("Exists and DoesNotExist take no values: use In or NotIn"),
        _ => Some("the operator must be In, NotIn, Exists or DoesNotExist"),
    }
}

/// Warns of namespaces whose connections a change of the selector stops. Told is how many, not which: they are others'.
fn stopped(world: &World<'_>, application: &AmazonApplication, found: &mut Findings) {
    let name = beside(&application.metadata, application.metadata.name.as_deref().unwrap_or_default());
    let Some(now) = super::readable(world.index.applications.get(&name)) else { return };
    let stops = |namespace: &str| {
        allowed(world.index, &name, now, namespace) && !allowed(world.index, &name, application, namespace)
    };
    let connections = world.index.connections.iter().filter_map(|(of, entry)| Some((of, entry.read()?)));
    let count = connections.filter(|(of, it)| it.spec.application_ref == name && stops(&of.namespace)).count();
    if count > 0 {
        found.warn(format!(
            "spec.allowedNamespaces: this stops {count} AmazonConnections of namespaces that it no longer selects"
        ));
    }
}
