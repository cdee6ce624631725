//! Who may have Amazon's own token: every combination of what it takes, and every way of falling short.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use crds::{
    Access, AgentGrant, AgentGrantSpec, AmazonApplication, AmazonApplicationSpec, AmazonConnection,
    AmazonConnectionSpec, AmazonConnectionStatus, LocalReference, NamespacedReference, Operations, Scope, Team,
    TeamSpec, annotation, condition,
};
use jiff::Timestamp;
use openteam_access::{Caller, Entry, Index, Objects, decide_credential, still_given, usable_connections};

const US: &str = "ATVPDKIKX0DER";
const CA: &str = "A2EUQ1WTGCTBG2";
const MX: &str = "A1AM78C64UM0Y8";

fn named(name: &str) -> NamespacedReference {
    NamespacedReference { namespace: "acme".to_owned(), name: name.to_owned() }
}

fn agent() -> Caller {
    Caller::ServiceAccount(named("agent"))
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn operations(allow: &[&str], deny: &[&str]) -> Option<Operations> {
    Some(Operations { allow: list(allow), deny: list(deny) })
}

fn one<K>(name: &str, object: K) -> Objects<K> {
    [(named(name), Entry::Read(Arc::new(object)))].into_iter().collect()
}

/// Connection na with US and CA, the whole scope for it, and its application, all with access: Credential.
#[derive(Clone)]
struct World {
    application: AmazonApplicationSpec,
    connection: AmazonConnectionSpec,
    scopes: Vec<Scope>,
    authorized: bool,
    contained: bool,
}

impl World {
    fn new() -> Self {
        let connection = AmazonConnectionSpec {
            team_ref: LocalReference::to("acme"),
            application_ref: named("app"),
            marketplace_ids: list(&[US, CA]),
            access: Access::Credential,
            ..AmazonConnectionSpec::default()
        };
        let scope = Scope {
            connections: list(&["na"]),
            marketplace_ids: list(&[US, CA]),
            access: Access::Credential,
            ..Scope::default()
        };
        let application = AmazonApplicationSpec { access: Access::Credential, ..AmazonApplicationSpec::default() };
        Self { application, connection, scopes: vec![scope], authorized: true, contained: false }
    }

    fn index(&self) -> Index {
        let mut connection = AmazonConnection::new("na", self.connection.clone());
        connection.metadata.uid = Some("1".to_owned());
        let state = if self.authorized {
            condition::State::yes(condition::AUTHORIZED, "Authorized", "")
        } else {
            condition::State::no(condition::AUTHORIZED, "AuthorizationRevoked", "")
        };
        let mut status = AmazonConnectionStatus::default();
        condition::set(&mut status.conditions, state, None, now());
        connection.status = Some(status);
        if self.contained {
            connection.metadata.annotations = Some([(annotation::DISABLE.to_owned(), "inc-1".to_owned())].into());
        }
        let grants = self.scopes.iter().enumerate().map(|(number, scope)| {
            let spec = AgentGrantSpec {
                team_ref: LocalReference::to("acme"),
                service_account: LocalReference::to("agent"),
                scope: scope.clone(),
            };
            (named(&format!("grant-{number}")), Entry::Read(Arc::new(AgentGrant::new("grant", spec))))
        });
        Index {
            teams: one("acme", Team::new("acme", TeamSpec::default())),
            applications: one("app", AmazonApplication::new("app", self.application.clone())),
            connections: one("na", connection),
            grants: grants.collect(),
            ..Index::default()
        }
    }

    /// `given`, or why not.
    fn decided(&self) -> &'static str {
        let index = self.index();
        let decided = decide_credential(&index, &agent(), &named("na"), now());
        let offered = usable_connections(&index, &agent(), now());
        let offered = offered.iter().any(|one| one.credential && one.refusal.is_none());
        assert_eq!(decided.is_ok(), offered, "what is offered is what is given");
        decided.map_or_else(|refusal| refusal.reason(), |_| "given")
    }
}

#[test]
fn it_takes_all_of_it_at_once() {
    for bits in 0..1_u32 << 7 {
        let bit = |n: u32| bits >> n & 1 == 1;
        let mut world = World::new();
        if bit(0) {
            world.connection.access = Access::Proxy;
        }
        if bit(1) {
            world.scopes[0].access = Access::Proxy;
        }
        if bit(2) {
            world.scopes[0].marketplace_ids = list(&[US]);
        }
        if bit(3) {
            world.scopes[0].operations = operations(&["read"], &["searchOrders"]);
        }
        world.authorized = !bit(4);
        world.contained = bit(5);
        if bit(6) {
            world.application.access = Access::Proxy;
        }
        let expected = match bits {
            0 => "given",
            _ if bit(5) => "Contained",
            _ if bit(4) => "AuthorizationRevoked",
            _ => "CredentialNotGiven",
        };
        assert_eq!(world.decided(), expected, "{bits:07b}");
    }
}

#[test]
fn a_scope_that_lacks_any_single_operation_or_marketplace_of_the_connection_is_too_narrow() {
    const CLASSES: [&str; 4] = ["read", "write", "financial", "restricted"];
    let mut world = World::new();
    world.connection.operations = operations(&CLASSES, &[]);
    world.scopes[0].operations = operations(&CLASSES, &[]);
    assert_eq!(world.decided(), "given");
    let all = amazon::operations();
    assert!(all.len() > 300);
    for operation in all {
        let mut lacking = world.clone();
        lacking.scopes[0].operations = operations(&CLASSES, &[&operation.name()]);
        assert_eq!(lacking.decided(), "CredentialNotGiven", "{}", operation.name());
        // What the connection does not allow either, the scope need not have.
        lacking.connection.operations = operations(&CLASSES, &[&operation.name()]);
        assert_eq!(lacking.decided(), "given", "{}", operation.name());
    }
    for class in CLASSES {
        let mut lacking = world.clone();
        lacking.scopes[0].operations = operations(&CLASSES, &[class]);
        assert_eq!(lacking.decided(), "CredentialNotGiven", "{class}");
    }
    world.scopes[0].operations = None;
    assert_eq!(world.decided(), "CredentialNotGiven", "class read is not all");
    world.connection.operations = None;
    assert_eq!(world.decided(), "given");
    world.connection.marketplace_ids.push(MX.to_owned());
    assert_eq!(world.decided(), "CredentialNotGiven");
    world.scopes[0].marketplace_ids.push(MX.to_owned());
    assert_eq!(world.decided(), "given");
}

#[test]
fn two_narrow_grants_are_not_a_wide_one_and_a_narrow_one_takes_nothing_from_a_wide_one() {
    let mut world = World::new();
    world.scopes = [&[US][..], &[CA]]
        .map(|marketplaces| Scope { marketplace_ids: list(marketplaces), ..world.scopes[0].clone() })
        .to_vec();
    assert_eq!(world.decided(), "CredentialNotGiven");
    world.scopes.push(World::new().scopes.remove(0));
    assert_eq!(world.decided(), "given");
}

#[test]
fn what_is_not_in_scope_does_not_exist() {
    let index = World::new().index();
    let other = |namespace: &str, name: &str| NamespacedReference { namespace: namespace.into(), name: name.into() };
    for name in [other("acme", "eu"), other("other", "na"), other("acme", "NA")] {
        assert_eq!(decide_credential(&index, &agent(), &name, now()).unwrap_err().reason(), "ConnectionNotFound");
    }
    for caller in [
        Caller::ServiceAccount(named("stranger")),
        Caller::ServiceAccount(other("other", "agent")),
        Caller::RuntimeToken(named("agent")),
    ] {
        let refusal = decide_credential(&index, &caller, &named("na"), now()).unwrap_err();
        assert_eq!(refusal.reason(), "ConnectionNotFound", "{caller}");
    }
}

#[test]
fn what_comes_in_between_is_noticed() {
    let given = decide_credential(&World::new().index(), &agent(), &named("na"), now()).unwrap();
    assert!(still_given(&World::new().index(), &given, now()).is_ok());
    let changed = |change: fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        still_given(&world.index(), &given, now()).map_err(|refusal| refusal.reason())
    };
    assert_eq!(changed(|world| world.contained = true), Err("Contained"));
    assert_eq!(changed(|world| world.authorized = false), Err("AuthorizationRevoked"));
    assert_eq!(changed(|world| world.connection.access = Access::Proxy), Err("CredentialNotGiven"));
    assert_eq!(changed(|world| world.scopes[0].access = Access::Proxy), Err("CredentialNotGiven"));
    assert_eq!(changed(|world| world.scopes[0].marketplace_ids = list(&[US])), Err("CredentialNotGiven"));
    assert_eq!(changed(|world| world.scopes[0].connections.clear()), Err("ConnectionNotFound"));
    assert_eq!(changed(|world| world.scopes.clear()), Err("ConnectionNotFound"));
}
