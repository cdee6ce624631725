//! Team: its status, and the ConfigMap that tells the clients in its namespace where the gateway is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use access::Containment;
use crds::{
    Team, TeamStatus,
    condition::{READY, State, set},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};

use crate::{
    controller::Context,
    error::ReconcileError,
    status::{self, MANAGER},
    stores::{GATEWAY_CONFIG, Kind, Touched, read},
    subject::{Subject, contained_states, containment, reference},
};

const RECHECK: Duration = Duration::from_secs(600);

/// Whether a change of another object concerns a Team.
pub(crate) fn concerns(touched: &Touched, team: &Team) -> bool {
    // Other Teams of the namespace share the ConfigMap's ownership.
    [Kind::ConfigMap, Kind::Team].contains(&touched.kind)
        && Some(&touched.namespace) == team.metadata.namespace.as_ref()
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, team: Team) -> Result<Action, ReconcileError> {
    let (status, contained_by) = plan(&team, Timestamp::now());
    status::write(&context, &team, &status, &contained_by).await?;

    let namespace = reference(&team.metadata).namespace;
    let teams = context.stores.teams.state_filter(|other| other.meta().namespace.as_ref() == Some(&namespace));
    let owners = teams.iter().filter_map(|team| owner(team.meta())).collect();
    let wanted = gateway_config(&namespace, owners, &context.gateway_url, &context.authority);
    let found = context.stores.gateway_config(&namespace);
    if differs(read(found.as_ref()), &wanted) {
        let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
        api.patch(GATEWAY_CONFIG, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted))
            .await
            .map_err(ReconcileError::about(format!("ConfigMap {namespace}/{GATEWAY_CONFIG}")))?;
    }
    Ok(Action::requeue(RECHECK))
}

/// Decides on the status.
fn plan(team: &Team, now: Timestamp) -> (TeamStatus, Vec<Containment>) {
    let generation = team.metadata.generation;
    let contained_by: Vec<Containment> = containment(Team::ACCESS, &team.metadata).into_iter().collect();
    let (contained, stopped) = contained_states(&contained_by);
    let ready = stopped.unwrap_or_else(|| match team.spec.max_ttl() {
        Ok(_) => State::yes(READY, "Ready", ""),
        Err(error) => State::no(READY, "InvalidMaxTtl", format!("spec.runtimeTokens.maxTtl: {error}")),
    });
    let mut status = team.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    for state in [ready, contained] {
        set(&mut status.conditions, state, generation, now);
    }
    (status, contained_by)
}

/// A Team as an owner, unless it is on its way out.
fn owner(team: &ObjectMeta) -> Option<OwnerReference> {
    if team.deletion_timestamp.is_some() {
        return None;
    }
    Some(OwnerReference {
        api_version: Team::api_version(&()).into_owned(),
        kind: Team::kind(&()).into_owned(),
        name: team.name.clone()?,
        uid: team.uid.clone()?,
        ..OwnerReference::default()
    })
}

/// What the ConfigMap of a namespace must be. All its Teams own it, so that Kubernetes removes it with the last one.
fn gateway_config(namespace: &str, mut owners: Vec<OwnerReference>, url: &str, authority: &str) -> ConfigMap {
    owners.sort_by(|a, b| a.uid.cmp(&b.uid));
    let data = BTreeMap::from([("url", url), ("ca.crt", authority)].map(|(k, v)| (k.to_owned(), v.to_owned())));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(GATEWAY_CONFIG.to_owned()),
            namespace: Some(namespace.to_owned()),
            owner_references: Some(owners),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// Whether the ConfigMap must be written. Without an owner it is left to be collected: the last Team is going.
fn differs(found: Option<&ConfigMap>, wanted: &ConfigMap) -> bool {
    let owners = wanted.owner_references();
    if owners.is_empty() {
        return false;
    }
    found.is_none_or(|found| {
        let mut have = found.owner_references().to_vec();
        have.sort_by(|a, b| a.uid.cmp(&b.uid));
        found.data != wanted.data || have != owners
    })
}

#[cfg(test)]
mod tests {
    use crds::{
        RuntimeTokenLimits,
        annotation::DISABLE,
        condition::{CONTAINED, find},
    };

    use super::*;
    use crate::testing::now;

    fn team(name: &str) -> Team {
        let mut team = Team::new(name, Default::default());
        team.metadata.namespace = Some("acme".into());
        team.metadata.uid = Some(format!("uid-of-{name}"));
        team
    }

    #[test]
    fn a_team_is_ready_unless_it_is_contained_or_its_limit_makes_no_sense() {
        let mut contained = team("acme");
        contained.metadata.annotations = Some([(DISABLE.to_owned(), String::new())].into());
        let mut senseless = team("acme");
        senseless.spec.runtime_tokens = Some(RuntimeTokenLimits { max_ttl: Some("soon".into()) });
        for (team, ready, is_contained) in [
            (team("acme"), "Ready", "NotContained"),
            (contained, "Contained", "Disabled"),
            (senseless, "InvalidMaxTtl", "NotContained"),
        ] {
            let (status, _) = plan(&team, now());
            assert_eq!(find(&status.conditions, READY).unwrap().reason, ready);
            assert_eq!(find(&status.conditions, CONTAINED).unwrap().reason, is_contained);
            let written = Team { status: Some(status.clone()), ..team };
            assert_eq!(plan(&written, now() + jiff::SignedDuration::from_secs(60)).0, status);
        }
    }

    #[test]
    fn the_config_map_is_written_only_where_it_differs() {
        let owners = || ["b", "a"].iter().filter_map(|name| owner(&team(name).metadata)).collect::<Vec<_>>();
        let wanted = gateway_config("acme", owners(), "https://gateway", "pem");
        assert!(differs(None, &wanted));
        let mut found = wanted.clone();
        found.metadata.owner_references.as_mut().unwrap().reverse();
        assert!(!differs(Some(&found), &wanted), "the order of owners is nobody's concern");
        let mut edited = found.clone();
        edited.data.as_mut().unwrap().insert("url".into(), "https://elsewhere".into());
        assert!(differs(Some(&edited), &wanted));
        found.metadata.owner_references.as_mut().unwrap().pop();
        assert!(differs(Some(&found), &wanted), "a second Team came");
    }

    #[test]
    fn the_last_team_takes_the_config_map_with_it() {
        let mut going = team("acme");
        going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
        assert_eq!(owner(&going.metadata), None);
        assert!(!differs(None, &gateway_config("acme", vec![], "https://gateway", "pem")));
    }
}
