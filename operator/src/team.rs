//! Team: its status, and the ConfigMap that tells the clients in its namespace where the gateway is.

mod members;

use std::{collections::BTreeMap, sync::Arc};

use access::Containment;
use crds::{
    NamespacedReference, Rotation, Team, TeamStatus, annotation,
    condition::{READY, State, set},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use process::mail::EmailAddress;

use crate::{
    controller::Context,
    dependents::Name,
    error::ReconcileError,
    status::{self, MANAGER},
    stores::{GATEWAY_CONFIG, Kind, Stores, Touched, read},
    subject::{Subject, contained_states, containment, reference},
};

/// The addresses of a Team that can be written to.
pub(crate) fn contacts(team: Option<&Team>) -> Vec<EmailAddress> {
    let contacts = team.map(|team| &team.spec.contacts[..]).unwrap_or_default();
    contacts.iter().filter_map(|contact| contact.parse().ok()).collect()
}

/// The Teams that a change of another object concerns: those of a namespace share its ConfigMap's ownership.
pub(crate) fn affected(stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    match touched.name.kind {
        Kind::Team | Kind::ConfigMap => stores.teams.looking_at(&Name::namespace(Some(&touched.name.namespace))),
        _ => Vec::new(),
    }
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, team: Team) -> Result<Action, ReconcileError> {
    let NamespacedReference { namespace, name } = reference(&team.metadata);
    let own = Name::new(Kind::Team, Some(&namespace), &name);
    let (status, contained_by) = plan(&team, context.stores.newest_token(&own), Timestamp::now());
    status::write(&context, &team, &status, &contained_by).await?;

    let teams = context.stores.teams_in(&namespace);
    let owners = teams.iter().filter_map(|team| owner(team.meta())).collect();
    let wanted = gateway_config(&namespace, owners, &context.gateway_url, &context.authority);
    let found = context.stores.gateway_config(&namespace);
    if differs(read(found.as_ref()), &wanted) {
        let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
        api.patch(GATEWAY_CONFIG, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted))
            .await
            .map_err(ReconcileError::about(format!("ConfigMap {namespace}/{GATEWAY_CONFIG}")))?;
    }
    members::record(&context, &team, &status).await?;
    Ok(Action::await_change())
}

/// The last rotation: once per new value, and of one that was there from the start nothing dies. Connections rotate by
/// themselves, they look at the same annotation.
fn rotation(team: &Team, newest_token: Option<Timestamp>, now: Timestamp) -> Option<Rotation> {
    let before = team.status.as_ref().and_then(|status| status.rotation.clone());
    let value = annotation::rotate(&team.metadata).map(str::to_owned);
    if value.is_none() || before.as_ref().is_some_and(|before| before.value == value) {
        return before;
    }
    // No clock that is behind the apiserver's lets a token outlive it.
    let at = newest_token.map_or(now, |newest| newest.max(now));
    // As it is kept: with nanoseconds it would differ from itself once it was written.
    let at = Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
    let at = team.status.as_ref().map(|_| MicroTime(at));
    Some(Rotation { value, team_value: None, at: at.or(before.and_then(|before| before.at)) })
}

/// Decides on the status.
fn plan(team: &Team, newest_token: Option<Timestamp>, now: Timestamp) -> (TeamStatus, Vec<Containment>) {
    let generation = team.metadata.generation;
    let contained_by: Vec<Containment> = containment(Team::ACCESS, &team.metadata).into_iter().collect();
    let (contained, stopped) = contained_states(&contained_by);
    let ready = stopped.unwrap_or_else(|| match team.spec.max_ttl() {
        Ok(_) => State::yes(READY, "Ready", ""),
        Err(error) => State::no(READY, "InvalidMaxTtl", format!("spec.runtimeTokens.maxTtl: {error}")),
    });
    let mut status = team.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    status.rotation = rotation(team, newest_token, now);
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
        annotation::{DISABLE, ROTATE},
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
            let (status, _) = plan(&team, None, now());
            assert_eq!(find(&status.conditions, READY).unwrap().reason, ready);
            assert_eq!(find(&status.conditions, CONTAINED).unwrap().reason, is_contained);
            let written = Team { status: Some(status.clone()), ..team };
            assert_eq!(plan(&written, None, now() + jiff::SignedDuration::from_secs(60)).0, status);
        }
    }

    #[test]
    fn a_team_is_rotated_once_per_new_value_and_not_by_what_was_there_from_the_start() {
        let mut team = team("acme");
        let annotate = |team: &mut Team, value: Option<&str>| {
            team.metadata.annotations = value.map(|value| [(ROTATE.to_owned(), value.to_owned())].into());
        };
        annotate(&mut team, Some("1"));
        let mut seen = Vec::new();
        let steps = [(Some("1"), None), (Some("2"), None), (Some("2"), None), (None, None), (Some("2"), None)];
        for (second, (value, newest)) in (0..).zip(steps.into_iter().chain([(Some("3"), Some(90))])) {
            annotate(&mut team, value);
            let at = |second| now() + jiff::SignedDuration::from_secs(second);
            team.status = Some(plan(&team, newest.map(at), at(second)).0);
            let rotation = team.status.as_ref().unwrap().rotation.clone().unwrap();
            seen.push((rotation.value.unwrap(), rotation.at.map(|at| at.0.duration_since(now()).as_secs())));
        }
        let expected = [("1", None), ("2", Some(1)), ("2", Some(1)), ("2", Some(1)), ("2", Some(1)), ("3", Some(90))];
        assert_eq!(seen, expected.map(|(value, at)| (value.to_owned(), at)));
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
