//! What there is in the cluster, as far as who asks may list it.

use std::collections::BTreeSet;

use access::{Entry, Index, Objects};
use anyhow::Context;
use crds::{AgentGrant, AmazonApplication, AmazonConnection, NamespacedReference, RuntimeToken, Scope, Team};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, ResourceExt, api::ListParams, core::DeserializeGuard};
use serde::de::DeserializeOwned;

use super::target::{Kind, Target};
use crate::{cluster, output::count};

/// Objects of a page.
const PAGE: u32 = 500;

/// Lists everything that can be contained.
pub(crate) async fn read(client: &Client) -> anyhow::Result<Index> {
    let (applications, teams, connections, grants, runtime_tokens) = tokio::try_join!(
        list::<AmazonApplication>(client),
        list::<Team>(client),
        list::<AmazonConnection>(client),
        list::<AgentGrant>(client),
        list::<RuntimeToken>(client),
    )?;
    Ok(Index { teams, applications, connections, grants, runtime_tokens, ..Index::default() })
}

async fn list<K>(client: &Client) -> anyhow::Result<Objects<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let mut objects = Objects::default();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let listed = api.list(&page).await.map_err(|error| cluster::said(&error));
        let listed = listed.with_context(|| format!("{} cannot be listed", K::plural(&())))?;
        for guard in listed.items {
            let name = NamespacedReference { namespace: guard.namespace().unwrap_or_default(), name: guard.name_any() };
            // One that does not parse can be contained all the same.
            let entry = match guard.0 {
                Ok(object) => Entry::Read(object.into()),
                Err(invalid) => Entry::Unreadable(invalid.metadata.into()),
            };
            objects.insert_mut(name, entry);
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// The metadata of every object of a kind.
pub(crate) fn objects(index: &Index, kind: Kind) -> Vec<(Target, &ObjectMeta)> {
    fn of<K: kube::Resource>(objects: &Objects<K>, kind: Kind) -> Vec<(Target, &ObjectMeta)> {
        objects.iter().map(|(name, entry)| (Target { kind, object: name.clone() }, meta(entry))).collect()
    }
    match kind {
        Kind::AmazonApplication => of(&index.applications, kind),
        Kind::Team => of(&index.teams, kind),
        Kind::AmazonConnection => of(&index.connections, kind),
        Kind::AgentGrant => of(&index.grants, kind),
        Kind::RuntimeToken => of(&index.runtime_tokens, kind),
    }
}

fn meta<K: kube::Resource>(entry: &Entry<K>) -> &ObjectMeta {
    match entry {
        Entry::Read(object) => object.meta(),
        Entry::Unreadable(meta) => meta,
    }
}

/// What stops working with some objects, or works again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Connections.
    pub(crate) connections: BTreeSet<NamespacedReference>,
    /// Grants that reach one of them, or are contained themselves.
    pub(crate) grants: BTreeSet<NamespacedReference>,
    /// RuntimeTokens, likewise.
    pub(crate) runtime_tokens: BTreeSet<NamespacedReference>,
}

impl Reach {
    pub(crate) fn of(index: &Index, targets: &[Target]) -> Self {
        let hit = |kind, object: &NamespacedReference| {
            targets.iter().any(|target| target.kind == kind && target.object == *object)
        };
        let mut reach = Self::default();
        for (name, entry) in &index.connections {
            let hangs = entry.read().is_some_and(|connection| {
                let team = NamespacedReference {
                    namespace: name.namespace.clone(),
                    name: connection.spec.team_ref.name.clone(),
                };
                hit(Kind::AmazonApplication, &connection.spec.application_ref) || hit(Kind::Team, &team)
            });
            if hangs || hit(Kind::AmazonConnection, name) {
                reach.connections.insert(name.clone());
            }
        }
        for (name, entry) in &index.grants {
            let scope = entry.read().map(|grant| &grant.spec.scope);
            if hit(Kind::AgentGrant, name) || reach.covers(name, scope) {
                reach.grants.insert(name.clone());
            }
        }
        for (name, entry) in &index.runtime_tokens {
            let scope = entry.read().map(|token| &token.spec.scope);
            if hit(Kind::RuntimeToken, name) || reach.covers(name, scope) {
                reach.runtime_tokens.insert(name.clone());
            }
        }
        reach
    }

    fn covers(&self, holder: &NamespacedReference, scope: Option<&Scope>) -> bool {
        let connections = scope.map(|scope| &scope.connections).into_iter().flatten();
        connections.into_iter().any(|name| {
            let name = NamespacedReference { namespace: holder.namespace.clone(), name: name.clone() };
            self.connections.contains(&name)
        })
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |these: &BTreeSet<_>, one| count(i64::try_from(these.len()).unwrap_or(i64::MAX), one);
        write!(
            f,
            "{}, {} and {}",
            count(&self.connections, "connection"),
            count(&self.grants, "agent grant"),
            count(&self.runtime_tokens, "runtime token")
        )
    }
}

#[cfg(test)]
pub(super) mod testing {
    use crds::{
        AgentGrantSpec, AmazonApplicationSpec, AmazonConnectionSpec, LocalReference, RuntimeTokenSpec, TeamSpec,
    };
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    pub(crate) fn name(name: &str) -> NamespacedReference {
        NamespacedReference { namespace: "acme".to_owned(), name: name.to_owned() }
    }

    fn one<K>(of: &str, object: K) -> Objects<K> {
        Objects::from_iter([(name(of), Entry::Read(object.into()))])
    }

    /// Everything once: application, Team, connection, grant and token.
    pub(crate) fn index() -> Index {
        let scope = Scope { connections: vec!["na".to_owned()], ..Scope::default() };
        let (team, account) = (LocalReference::to("acme"), LocalReference::to("agent"));
        let connection = AmazonConnectionSpec {
            team_ref: team.clone(),
            application_ref: name("app"),
            ..AmazonConnectionSpec::default()
        };
        let grant = AgentGrantSpec { team_ref: team.clone(), service_account: account, scope: scope.clone() };
        let token = RuntimeTokenSpec {
            team_ref: team,
            scope,
            expires_at: Time(Timestamp::UNIX_EPOCH),
            issued_by: "ann@example.com".to_owned(),
            hash: String::new(),
        };
        Index {
            applications: one("app", AmazonApplication::new("app", AmazonApplicationSpec::default())),
            teams: one("acme", Team::new("acme", TeamSpec::default())),
            connections: one("na", AmazonConnection::new("na", connection)),
            grants: one("agent", AgentGrant::new("agent", grant)),
            runtime_tokens: one("nightly", RuntimeToken::new("nightly", token)),
            ..Index::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::index, *};

    fn reach(target: &str) -> String {
        Reach::of(&index(), &[target.parse().unwrap()]).to_string()
    }

    #[test]
    fn all_that_hangs_from_an_object_is_counted() {
        for target in ["amza/acme/app", "team/acme/acme", "amzc/acme/na"] {
            assert_eq!(reach(target), "1 connection, 1 agent grant and 1 runtime token", "{target}");
        }
        assert_eq!(reach("agentgrant/acme/agent"), "0 connections, 1 agent grant and 0 runtime tokens");
        assert_eq!(reach("runtimetoken/acme/nightly"), "0 connections, 0 agent grants and 1 runtime token");
        assert_eq!(reach("amzc/other/na"), "0 connections, 0 agent grants and 0 runtime tokens");
    }
}
