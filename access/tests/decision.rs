//! The decision as tables: who, holding what, calls what, and what comes of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use crds::{
    AgentGrant, AgentGrantSpec, AmazonApplication, AmazonApplicationSpec, AmazonConnection, AmazonConnectionSpec,
    AmazonConnectionStatus, Endpoints, LocalReference, Member, NamespacedReference, Operations, Participation, Region,
    Role, RuntimeToken, RuntimeTokenSpec, Scope, Team, TeamSpec, annotation, condition,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use openteam_access::{Caller, Entry, Index, Objects, Refusal, Request, decide, still_holds, usable_connections};

const US: &str = "ATVPDKIKX0DER";
const CA: &str = "A2EUQ1WTGCTBG2";
const MX: &str = "A1AM78C64UM0Y8";
const DE: &str = "A1PA6795UKMFR9";

const SEARCH: &str = "/orders/2026-01-01/orders";
const CATALOG: &str = "/catalog/2022-04-01/items/B000000001";

fn name(namespace: &str, name: &str) -> NamespacedReference {
    NamespacedReference { namespace: namespace.into(), name: name.into() }
}

fn meta(object: &NamespacedReference) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(object.namespace.clone()),
        name: Some(object.name.clone()),
        creation_timestamp: Some(Time(now())),
        ..ObjectMeta::default()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn put<K>(objects: &mut Objects<K>, name: NamespacedReference, object: K) {
    objects.insert_mut(name, Entry::Read(Arc::new(object)));
}

fn change<K: Clone>(objects: &mut Objects<K>, name: &NamespacedReference, change: impl FnOnce(&mut K)) {
    let mut object = K::clone(objects[name].read().unwrap());
    change(&mut object);
    put(objects, name.clone(), object);
}

fn remove<K>(objects: &mut Objects<K>, name: &NamespacedReference) {
    objects.remove_mut(name);
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn scope(connections: &[&str], marketplaces: &[&str]) -> Scope {
    Scope { connections: list(connections), marketplace_ids: list(marketplaces), ..Scope::default() }
}

fn connection(team: &str, marketplaces: &[&str], taken_part: &[&str]) -> AmazonConnection {
    let mut connection = AmazonConnection::new(
        "",
        AmazonConnectionSpec {
            team_ref: LocalReference::to(team),
            application_ref: name("acme", "app"),
            region: Region::Na,
            marketplace_ids: list(marketplaces),
            selling_partner_id: Some("A1SELLER00001".into()),
            ..AmazonConnectionSpec::default()
        },
    );
    let mut status = AmazonConnectionStatus {
        participations: taken_part
            .iter()
            .map(|id| Participation {
                marketplace_id: (*id).into(),
                is_participating: true,
                ..Participation::default()
            })
            .collect(),
        ..AmazonConnectionStatus::default()
    };
    condition::set(&mut status.conditions, condition::State::yes(condition::AUTHORIZED, "Verified", ""), None, now());
    connection.status = Some(status);
    connection
}

/// Namespace acme: Team acme, application app, connection na (US, CA of US, CA, MX), an agent with a grant to US.
fn world() -> Index {
    let mut index = Index::default();
    let mut team = Team::new("acme", TeamSpec::default());
    team.spec.members = vec![
        Member { email: "Ann@example.com".into(), role: Role::Owner },
        Member { email: "vic@example.com".into(), role: Role::Viewer },
    ];
    put(&mut index.teams, name("acme", "acme"), team);
    put(&mut index.applications, name("acme", "app"), AmazonApplication::new("app", AmazonApplicationSpec::default()));
    let mut na = connection("acme", &[US, CA], &[US, CA, MX]);
    na.metadata = meta(&name("acme", "na"));
    put(&mut index.connections, name("acme", "na"), na);
    put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&["na"], &[US])));
    put(&mut index.runtime_tokens, name("acme", "nightly"), token("ann@EXAMPLE.com", 3600));
    index
}

fn grant(account: &str, scope: Scope) -> AgentGrant {
    let spec =
        AgentGrantSpec { team_ref: LocalReference::to("acme"), service_account: LocalReference::to(account), scope };
    let mut grant = AgentGrant::new("agent", spec);
    grant.metadata = meta(&name("acme", "agent"));
    grant
}

fn token(issuer: &str, seconds: i64) -> RuntimeToken {
    let mut token = RuntimeToken::new(
        "nightly",
        RuntimeTokenSpec {
            team_ref: LocalReference::to("acme"),
            scope: scope(&["na"], &[US]),
            expires_at: Time(Timestamp::from_second(now().as_second() + seconds).unwrap()),
            issued_by: issuer.into(),
            hash: "0".repeat(64),
        },
    );
    token.metadata = meta(&name("acme", "nightly"));
    token
}

fn agent() -> Caller {
    Caller::ServiceAccount(name("acme", "agent"))
}

fn nightly() -> Caller {
    Caller::RuntimeToken(name("acme", "nightly"))
}

fn get<'a>(path: &'a str, query: &'a str) -> Request<'a> {
    Request { method: "GET", path, query, connection: None }
}

fn us() -> Request<'static> {
    get(SEARCH, "marketplaceIds=ATVPDKIKX0DER")
}

fn refusal(index: &Index, caller: &Caller, request: &Request<'_>) -> Refusal {
    decide(index, caller, request, now()).expect_err("must be refused")
}

fn reason(index: &Index, caller: &Caller, request: &Request<'_>) -> &'static str {
    refusal(index, caller, request).reason()
}

#[test]
fn a_call_within_everything_is_allowed() {
    let index = world();
    for caller in [agent(), nightly()] {
        let authorized = decide(&index, &caller, &us(), now()).unwrap();
        assert_eq!(authorized.name, name("acme", "na"));
        assert_eq!(authorized.marketplaces, [US]);
        assert_eq!(authorized.operation.operation_id, "searchOrders");
        assert_eq!(still_holds(&index, &authorized, now()), Ok(()));
    }
}

#[test]
fn what_a_caller_may_not_see_does_not_exist() {
    let index = world();
    let strangers = [
        Caller::ServiceAccount(name("acme", "other")),
        Caller::ServiceAccount(name("evil", "agent")),
        Caller::RuntimeToken(name("acme", "unknown")),
    ];
    for caller in strangers {
        assert_eq!(reason(&index, &caller, &us()), "ConnectionNotFound");
        for named in ["na", "acme/na", "nothing"] {
            let request = Request { connection: Some(named), ..us() };
            assert_eq!(reason(&index, &caller, &request), "ConnectionNotFound", "{named}");
        }
        assert!(usable_connections(&index, &caller, now()).is_empty());
    }
    for named in ["other", "evil/na", "acme/na/x", "", "/na", "acme/"] {
        let request = Request { connection: Some(named), ..us() };
        assert_eq!(reason(&index, &agent(), &request), "ConnectionNotFound", "{named}");
    }
}

#[test]
fn a_connection_of_another_team_is_not_in_scope() {
    let mut index = world();
    change(&mut index.connections, &name("acme", "na"), |na| na.spec.team_ref = LocalReference::to("rivals"));
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotFound");
}

#[test]
fn one_connection_may_be_unnamed_and_several_are_listed() {
    let mut index = world();
    let mut second = connection("acme", &[US], &[US]);
    second.metadata = meta(&name("acme", "second"));
    put(&mut index.connections, name("acme", "second"), second);
    put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&["na", "second"], &[US])));
    let Refusal::Ambiguous { connections } = refusal(&index, &agent(), &us()) else { panic!("not ambiguous") };
    assert_eq!(connections, [name("acme", "na"), name("acme", "second")]);
    let request = Request { connection: Some("second"), ..us() };
    assert_eq!(decide(&index, &agent(), &request, now()).unwrap().name, name("acme", "second"));
}

#[test]
fn every_object_that_lets_someone_act_contains() {
    fn disable(meta: &mut ObjectMeta) {
        meta.annotations = Some([(annotation::DISABLE.to_owned(), "inc-1".to_owned())].into());
    }
    type Contain = fn(&mut Index);
    let ways: [(&str, Caller, Contain); 5] = [
        ("Team", agent(), |index| change(&mut index.teams, &name("acme", "acme"), |o| disable(&mut o.metadata))),
        ("AmazonApplication", agent(), |index| {
            change(&mut index.applications, &name("acme", "app"), |o| disable(&mut o.metadata));
        }),
        ("AmazonConnection", agent(), |index| {
            change(&mut index.connections, &name("acme", "na"), |o| disable(&mut o.metadata));
        }),
        ("AgentGrant", agent(), |index| {
            change(&mut index.grants, &name("acme", "agent"), |o| disable(&mut o.metadata))
        }),
        ("RuntimeToken", nightly(), |index| {
            change(&mut index.runtime_tokens, &name("acme", "nightly"), |o| disable(&mut o.metadata));
        }),
    ];
    for (kind, caller, contain) in ways {
        let mut index = world();
        let authorized = decide(&index, &caller, &us(), now()).unwrap();
        contain(&mut index);
        let refusal = refusal(&index, &caller, &us());
        assert_eq!(refusal.reason(), "Contained", "{kind}");
        assert!(refusal.to_string().contains(kind) && refusal.to_string().contains("inc-1"), "{refusal}");
        assert_eq!(still_holds(&index, &authorized, now()).unwrap_err().reason(), "Contained", "{kind}");
        assert!(usable_connections(&index, &caller, now())[0].refusal.is_some(), "{kind}");
    }
}

#[test]
fn an_unreadable_object_refuses_what_depends_on_it() {
    let unreadable = |object: &NamespacedReference| meta(object);
    let mut index = world();
    let team = name("acme", "acme");
    index.teams = Objects::from_iter([(team.clone(), Entry::Unreadable(Arc::new(unreadable(&team))))]);
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotReady");
    let mut contained = unreadable(&team);
    contained.annotations = Some([(annotation::DISABLE.to_owned(), String::new())].into());
    index.teams = Objects::from_iter([(team, Entry::Unreadable(Arc::new(contained)))]);
    assert_eq!(reason(&index, &agent(), &us()), "Contained");

    let mut index = world();
    let na = name("acme", "na");
    index.connections = Objects::from_iter([(na.clone(), Entry::Unreadable(Arc::new(unreadable(&na))))]);
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotFound");
}

#[test]
fn a_connection_needs_its_team_its_application_and_amazons_word() {
    let na = name("acme", "na");
    let mut index = world();
    remove(&mut index.teams, &name("acme", "acme"));
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotReady");

    let mut index = world();
    remove(&mut index.applications, &name("acme", "app"));
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotReady");

    let mut index = world();
    change(&mut index.connections, &na, |na| na.status = None);
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotReady");

    let mut index = world();
    change(&mut index.connections, &na, |na| {
        let status = na.status.as_mut().unwrap();
        let revoked = condition::State::no(condition::AUTHORIZED, "AuthorizationRevoked", "revoked at Amazon");
        condition::set(&mut status.conditions, revoked, None, now());
    });
    assert!(refusal(&index, &agent(), &us()).to_string().contains("revoked at Amazon"));
}

#[test]
fn an_application_is_for_its_own_namespace_unless_it_says_otherwise() {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    let mut index = world();
    let central = name("central", "app");
    change(&mut index.connections, &name("acme", "na"), |na| na.spec.application_ref = central.clone());
    put(&mut index.applications, central.clone(), AmazonApplication::new("app", AmazonApplicationSpec::default()));
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotReady");
    change(&mut index.applications, &central, |app| {
        let labels = [("seller".to_owned(), "yes".to_owned())].into();
        app.spec.allowed_namespaces = Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() });
    });
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotReady");
    let labels = [("seller".to_owned(), "yes".to_owned())].into();
    index.namespaces = [("acme".to_owned(), labels)].into_iter().collect();
    assert!(decide(&index, &agent(), &us(), now()).is_ok());
}

#[test]
fn marketplaces_outside_the_scope_are_refused_in_every_spelling() {
    let index = world();
    for query in [
        &format!("marketplaceIds={CA}"),
        &format!("marketplaceIds={MX}"),
        &format!("marketplaceIds={DE}"),
        &format!("marketplaceIds={US},{CA}"),
        &format!("marketplaceIds={US}%2C{CA}"),
        &format!("marketplaceIds={US}&marketplaceIds={CA}"),
        &format!("marketplaceIds={US}&MarketplaceId={CA}"),
        &format!("marketplace_ids={CA}"),
        &format!("MARKETPLACEIDS={CA}&marketplaceIds={US}"),
        "marketplaceIds=AAAAAAAAAAAAA1",
    ] {
        assert_eq!(reason(&index, &agent(), &get(SEARCH, query)), "MarketplaceNotInScope", "{query}");
    }
    for query in ["marketplaceIds=nonsense", "marketplaceIds=%zz", "marketplaceIds=A%00B"] {
        assert_eq!(reason(&index, &agent(), &get(SEARCH, query)), "InvalidQuery", "{query}");
    }
    // The scope may name more than the connection: what works is what both allow.
    let mut wide = world();
    put(&mut wide.grants, name("acme", "agent"), grant("agent", scope(&["na"], &[US, MX])));
    assert_eq!(reason(&wide, &agent(), &get(SEARCH, &format!("marketplaceIds={MX}"))), "MarketplaceNotInScope");
}

#[test]
fn a_marketplace_must_be_named_unless_the_scope_covers_the_seller() {
    let mut index = world();
    assert_eq!(reason(&index, &agent(), &get(SEARCH, "")), "MarketplaceMissing");
    assert_eq!(reason(&index, &agent(), &get(CATALOG, "")), "MarketplaceMissing");
    assert_eq!(reason(&index, &agent(), &get("/orders/v0/orders/1", "")), "NotYetCheckable");
    // Naming a marketplace where Amazon does not read it ties the call to nothing.
    assert_eq!(
        reason(&index, &agent(), &get("/orders/v0/orders/1", &format!("MarketplaceIds={US}"))),
        "NotYetCheckable"
    );

    let mut all = connection("acme", &[US, CA, MX], &[US, CA, MX]);
    all.metadata = meta(&name("acme", "na"));
    put(&mut index.connections, name("acme", "na"), all);
    put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&["na"], &[US, CA, MX])));
    assert!(decide(&index, &agent(), &get(SEARCH, ""), now()).is_ok());
    assert!(decide(&index, &agent(), &get("/orders/v0/orders/1", ""), now()).is_ok());
    assert_eq!(reason(&index, &agent(), &get(CATALOG, "")), "MarketplaceMissing");

    // Nothing known of the seller's marketplaces covers nothing.
    change(&mut index.connections, &name("acme", "na"), |na| na.status.as_mut().unwrap().participations.clear());
    assert_eq!(reason(&index, &agent(), &get("/orders/v0/orders/1", "")), "NotYetCheckable");
}

#[test]
fn a_connection_may_allow_an_operation_without_marketplace_by_name() {
    let mut index = world();
    change(&mut index.connections, &name("acme", "na"), |na| {
        let allow = list(&["read", "orders/v0/getOrder"]);
        na.spec.operations = Some(Operations { allow, deny: Vec::new() });
    });
    assert!(decide(&index, &agent(), &get("/orders/v0/orders/1", ""), now()).is_ok());
    assert_eq!(reason(&index, &agent(), &get("/orders/v0/orders/1/orderItems", "")), "NotYetCheckable");
    // By name it is open without a marketplace, not with one outside the scope.
    let outside = format!("marketplaceIds={CA}");
    assert_eq!(reason(&index, &agent(), &get("/orders/v0/orders/1", &outside)), "MarketplaceNotInScope");
}

#[test]
fn operations_must_be_known_served_and_allowed() {
    let mut index = world();
    let cases = [
        ("GET", "/nothing/here", "OperationUnknown"),
        ("DELETE", SEARCH, "OperationUnknown"),
        ("HEAD", SEARCH, "OperationUnknown"),
        ("GET", "/orders/2026-01-01//orders", "InvalidPath"),
        ("GET", "/orders/2026-01-01/../orders", "InvalidPath"),
        ("GET", "/orders/2026-01-01/%2e%2e/orders", "InvalidPath"),
        ("POST", "/tokens/2021-03-01/restrictedDataToken", "OperationNeverServed"),
        ("GET", "/notifications/v1/destinations", "OperationNeverServed"),
        ("POST", "/applications/2023-11-30/clientSecret", "OperationNeverServed"),
        ("POST", "/feeds/2021-06-30/feeds", "OperationNotAllowed"),
        ("GET", "/finances/v0/financialEvents", "OperationNotAllowed"),
        ("GET", "/orders/v0/orders/1/address", "OperationNotAllowed"),
        ("GET", "/listings/2021-08-01/items/A1SOMEONEELSE/sku", "InvalidPath"),
    ];
    for (method, path, expected) in cases {
        let request = Request { method, path, query: "", connection: None };
        assert_eq!(reason(&index, &agent(), &request), expected, "{method} {path}");
    }
    // Allowed by both, what cannot be checked yet is refused all the same.
    let everything = Some(Operations { allow: list(&["read", "write", "restricted", "financial"]), deny: vec![] });
    change(&mut index.connections, &name("acme", "na"), |na| na.spec.operations = everything.clone());
    let mut wide = grant("agent", scope(&["na"], &[US]));
    wide.spec.scope.operations = everything;
    put(&mut index.grants, name("acme", "agent"), wide);
    for (method, path, query) in [
        ("POST", "/feeds/2021-06-30/feeds", ""),
        ("GET", "/orders/v0/orders/1/address", ""),
        ("GET", SEARCH, "marketplaceIds=ATVPDKIKX0DER&includedData=BUYER"),
        ("GET", SEARCH, "marketplaceIds=ATVPDKIKX0DER&dataElements=buyerInfo"),
        ("PUT", "/listings/2021-08-01/items/A1SELLER00001/sku", "marketplaceIds=ATVPDKIKX0DER"),
    ] {
        let request = Request { method, path, query, connection: None };
        assert_eq!(reason(&index, &agent(), &request), "NotYetCheckable", "{method} {path}");
    }
}

#[test]
fn the_seller_in_a_path_is_the_specs_else_the_one_that_consented() {
    let mut index = world();
    let path = |seller: &str| format!("/listings/2021-08-01/items/{seller}/sku");
    let seen = |index: &Index, seller: &str| {
        let path = path(seller);
        let query = format!("marketplaceIds={US}");
        let request = Request { method: "GET", path: &path, query: &query, connection: None };
        decide(index, &agent(), &request, now()).map(drop).map_err(|refusal| refusal.reason())
    };
    let mut with = |spec: Option<&str>, consented: Option<&str>| {
        change(&mut index.connections, &name("acme", "na"), |na| {
            na.spec.selling_partner_id = spec.map(str::to_owned);
            na.status.as_mut().unwrap().selling_partner_id = consented.map(str::to_owned);
        });
        ["A1SELLER00001", "A1SELLER00002"].map(|seller| seen(&index, seller))
    };
    let other = || Err("InvalidPath");
    assert_eq!(with(None, None), [other(), other()], "nothing is guessed");
    assert_eq!(with(None, Some("A1SELLER00002")), [other(), Ok(())]);
    assert_eq!(with(Some("A1SELLER00001"), Some("A1SELLER00002")), [Ok(()), other()], "the spec wins");
}

#[test]
fn a_runtime_token_is_good_only_while_its_issuer_could_issue_it() {
    let team = name("acme", "acme");
    let object = name("acme", "nightly");
    let mut index = world();
    let authorized = decide(&index, &nightly(), &us(), now()).unwrap();
    put(&mut index.runtime_tokens, object.clone(), token("ann@example.com", 0));
    assert_eq!(reason(&index, &nightly(), &us()), "Expired");
    assert_eq!(still_holds(&index, &authorized, now()).unwrap_err().reason(), "Expired");
    for issuer in ["vic@example.com", "eve@example.com", ""] {
        put(&mut index.runtime_tokens, object.clone(), token(issuer, 3600));
        assert_eq!(reason(&index, &nightly(), &us()), "IssuerNotMember", "{issuer}");
    }
    put(&mut index.runtime_tokens, object.clone(), token("ann@example.com", 25 * 3600));
    assert_eq!(reason(&index, &nightly(), &us()), "LivesTooLong");

    let mut index = world();
    change(&mut index.teams, &team, |team| team.spec.members.retain(|member| member.role == Role::Viewer));
    assert_eq!(reason(&index, &nightly(), &us()), "IssuerNotMember");
    remove(&mut index.runtime_tokens, &object);
    assert_eq!(reason(&index, &nightly(), &us()), "ConnectionNotFound");
    assert_eq!(still_holds(&index, &authorized, now()).unwrap_err().reason(), "ConnectionNotFound");
}

#[test]
fn what_was_decided_ends_with_what_it_rested_on() {
    let start = world();
    let authorized = decide(&start, &agent(), &us(), now()).unwrap();
    type Change = fn(&mut Index);
    let changes: [(&str, Change); 12] = [
        ("the grant no longer reaches the marketplace", |index| {
            put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&["na"], &[CA])));
        }),
        ("the connection no longer has the marketplace", |index| {
            change(&mut index.connections, &name("acme", "na"), |na| na.spec.marketplace_ids = list(&[CA]));
        }),
        ("the grant no longer allows the operation", |index| {
            change(&mut index.grants, &name("acme", "agent"), |grant| {
                grant.spec.scope.operations = Some(Operations { allow: list(&["getCatalogItem"]), deny: vec![] });
            });
        }),
        ("the connection denies the operation", |index| {
            change(&mut index.connections, &name("acme", "na"), |na| {
                na.spec.operations = Some(Operations { allow: list(&["read"]), deny: list(&["searchOrders"]) });
            });
        }),
        ("another connection has its name", |index| {
            change(&mut index.connections, &name("acme", "na"), |na| na.metadata.uid = Some("another".to_owned()));
        }),
        ("another application has its name", |index| {
            change(&mut index.applications, &name("acme", "app"), |it| it.metadata.uid = Some("another".to_owned()));
        }),
        ("the application is elsewhere", |index| {
            change(&mut index.applications, &name("acme", "app"), |it| it.spec.endpoints = Some(Endpoints::default()));
        }),
        ("the grant is gone", |index| remove(&mut index.grants, &name("acme", "agent"))),
        ("the grant is someone else's", |index| {
            put(&mut index.grants, name("acme", "agent"), grant("other", scope(&["na"], &[US])));
        }),
        ("the grant no longer names the connection", |index| {
            put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&[], &[US])));
        }),
        ("the connection is gone", |index| remove(&mut index.connections, &name("acme", "na"))),
        ("the Team is gone", |index| remove(&mut index.teams, &name("acme", "acme"))),
    ];
    for (what, change) in changes {
        let mut index = start.clone();
        change(&mut index);
        assert!(still_holds(&index, &authorized, now()).is_err(), "{what}");
    }
}

#[test]
fn a_call_that_names_no_marketplace_ends_when_the_seller_joins_another() {
    let mut index = world();
    let mut all = connection("acme", &[US, CA], &[US, CA]);
    all.metadata = meta(&name("acme", "na"));
    put(&mut index.connections, name("acme", "na"), all);
    put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&["na"], &[US, CA])));
    let authorized = decide(&index, &agent(), &get("/orders/v0/orders/1", ""), now()).unwrap();
    assert_eq!(still_holds(&index, &authorized, now()), Ok(()));
    change(&mut index.connections, &name("acme", "na"), |na| {
        let joined = Participation { marketplace_id: MX.into(), is_participating: true, ..Participation::default() };
        na.status.as_mut().unwrap().participations.push(joined);
    });
    assert_eq!(still_holds(&index, &authorized, now()).unwrap_err().reason(), "NotYetCheckable");
}

#[test]
fn what_changes_nothing_for_a_call_does_not_end_it() {
    let mut index = world();
    let authorized = decide(&index, &agent(), &us(), now()).unwrap();
    change(&mut index.connections, &name("acme", "na"), |na| na.spec.display_name = Some("New name".to_owned()));
    change(&mut index.grants, &name("acme", "agent"), |grant| {
        grant.spec.scope.marketplace_ids = list(&[CA, US]);
        grant.spec.scope.operations = Some(Operations { allow: list(&["searchOrders"]), deny: vec![] });
    });
    assert_eq!(still_holds(&index, &authorized, now()), Ok(()));
}

#[test]
fn any_grant_may_allow_a_call_and_the_furthest_refusal_is_told() {
    let mut index = world();
    let mut canada = grant("agent", scope(&["na"], &[CA]));
    canada.metadata = meta(&name("acme", "canada"));
    put(&mut index.grants, name("acme", "canada"), canada);
    assert!(decide(&index, &agent(), &us(), now()).is_ok());
    assert!(decide(&index, &agent(), &get(SEARCH, &format!("marketplaceIds={CA}")), now()).is_ok());
    // Each grant alone must allow the whole call.
    let both = format!("marketplaceIds={US},{CA}");
    assert_eq!(reason(&index, &agent(), &get(SEARCH, &both)), "MarketplaceNotInScope");
    // A contained grant is not used; the other one still is.
    change(&mut index.grants, &name("acme", "agent"), |grant| {
        grant.metadata.annotations = Some([(annotation::DISABLE.to_owned(), "inc-2".to_owned())].into());
    });
    assert_eq!(reason(&index, &agent(), &us()), "MarketplaceNotInScope");
    assert!(decide(&index, &agent(), &get(SEARCH, &format!("marketplaceIds={CA}")), now()).is_ok());
    let usable = usable_connections(&index, &agent(), now());
    assert_eq!(usable.len(), 1);
    assert_eq!(usable[0].marketplaces, [CA]);
}

#[test]
fn an_empty_scope_grants_nothing() {
    let mut index = world();
    put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&["na"], &[])));
    assert_eq!(reason(&index, &agent(), &us()), "MarketplaceNotInScope");
    put(&mut index.grants, name("acme", "agent"), grant("agent", scope(&[], &[US])));
    assert_eq!(reason(&index, &agent(), &us()), "ConnectionNotFound");
}
