//! The operator: what it writes and asks, and what it leaves alone.

use std::collections::BTreeMap;

use crds::{
    AgentGrant, AmazonApplication, AmazonConnection, ProvenCredentials, SealedCredential, StoredCredential,
    condition::{self, AUTHORIZED, READY},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ListParams, ObjectMeta, Patch, PatchParams},
};
use openteam_end_to_end::{House, NAMESPACE, Tenant, alone, eventually, house};
use serde_json::{Value, json};

use crate::incidents::told;

const OPERATOR: &str = "openteam-operator-0";
const TEST: &str = "openteam.dev/test";

/// How often the apiserver was asked to write what the operator may write, Leases, role certificates and what the witness saw
/// apart: that is the one ConfigMap that is replaced as a whole, once a minute at most while something is recorded.
fn writes(house: &House) -> BTreeMap<String, u64> {
    let text = house.kubectl().run(&["get", "--raw=/metrics"]).unwrap();
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let (verb, group, resource) = (label(line, "verb"), label(line, "group"), label(line, "resource"));
        let (verb, group, resource) = (verb.unwrap(), group.unwrap_or_default(), resource.unwrap_or_default());
        let ours = group.ends_with("openteam.dev") || ["events", "configmaps", "secrets"].contains(&resource.as_str());
        let is_witness = verb == "PUT" && resource == "configmaps";
        if ours && !is_witness && !["GET", "LIST", "WATCH"].contains(&verb.as_str()) {
            let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *found.entry(format!("{verb} {group}/{resource}")).or_default() += count as u64;
        }
    }
    found
}

/// One of the operator's metrics, its lines added.
fn metric(house: &House, line_begins: &str) -> f64 {
    let text = house.metrics(OPERATOR);
    text.lines()
        .filter(|line| line.starts_with(line_begins))
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

fn condition_of(house: &House, tenant: &Tenant<'_>, type_: &str) -> (String, String) {
    let read: AmazonConnection = house.read(&tenant.name, &tenant.connection);
    let status = read.status.unwrap_or_default();
    condition::find(&status.conditions, type_)
        .map_or_else(Default::default, |it| (it.status.clone(), it.reason.clone()))
}

fn becomes(house: &House, tenant: &Tenant<'_>, type_: &str, status: &str, reason: &str) {
    eventually(&format!("{type_} is {status} {reason}"), || {
        (condition_of(house, tenant, type_) == (status.to_owned(), reason.to_owned())).then_some(())
    });
}

#[test]
fn at_rest_and_after_a_new_leader_nothing_is_written_and_amazon_is_not_asked() {
    let house = alone();
    let tenants: Vec<_> = ["restful", "peaceful"].into_iter().map(|name| house.tenant(name)).collect();
    house.disable::<AgentGrant>("peaceful", "agent", "peaceful-1");
    eventually("what there is to tell is told", || {
        let on_grant = told(&house, "peaceful", "agent").contains(&"Disabled".to_owned());
        (on_grant && told(&house, NAMESPACE, "peaceful-1").contains(&"Contained".to_owned())).then_some(())
    });
    let asked = || tenants.iter().map(|it| house.amazon().refreshes_of(&it.seller)).sum::<usize>();
    let (before, asked_before) = (writes(&house), asked());
    assert!(
        before.keys().any(|key| key.contains("amazonconnections")),
        "what is counted is what is written: {before:?}"
    );

    house.stop(OPERATOR);
    house.restart(OPERATOR);
    // The first passes are over once there were as many as there are objects, and every kind has had its own.
    let objects = || metric(&house, "openteam_objects{") > 0.0;
    let passes = || metric(&house, "openteam_reconciles_total{");
    let all = || -> f64 {
        let parsed = |kind: &str| metric(&house, &format!("openteam_objects{{kind=\"{kind}\",condition=\"Parsed\""));
        let kinds = ["Team", "AmazonApplication", "AmazonConnection", "AgentGrant", "RuntimeToken"];
        kinds.iter().chain(&["SealedCredential", "Incident"]).map(|kind| parsed(kind)).sum()
    };
    eventually("every object was looked at", || (objects() && passes() >= all()).then_some(()));
    assert_eq!(metric(&house, "openteam_leader"), 1.0);
    assert_eq!(writes(&house), before);
    assert_eq!(asked(), asked_before);
    assert_eq!(metric(&house, "openteam_lwa_refreshes_total"), 0.0);
}

#[test]
fn what_a_gateway_is_refused_shows_and_a_test_asks_amazon_once() {
    let house = house();
    let tenant = house.tenant("refused");
    let asked = || house.amazon().refreshes_of(&tenant.seller);
    let asked_before = asked();

    // As a gateway writes it.
    let gateway = |status: &str, reason: &str, second: u32| {
        let read: AmazonConnection = house.read(&tenant.name, &tenant.connection);
        let proven: ProvenCredentials = read.status.unwrap().proven.unwrap();
        let body = json!({
            "apiVersion": "openteam.dev/v1alpha1", "kind": "AmazonConnection",
            "metadata": { "name": tenant.connection, "namespace": tenant.name },
            "status": {
                "refreshedWith": proven,
                "conditions": [{
                    "type": "Refreshed", "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": format!("2026-01-01T00:00:{second:02}Z"),
                }],
            },
        });
        let api: Api<AmazonConnection> = Api::namespaced(house.client().clone(), &tenant.name);
        let parameters = PatchParams::apply("openteam-gateway").force();
        house.block_on(api.patch_status(&tenant.connection, &parameters, &Patch::Apply(body))).unwrap();
    };
    gateway("False", "AuthorizationRevoked", 1);
    becomes(&house, &tenant, AUTHORIZED, "False", "AuthorizationRevoked");
    becomes(&house, &tenant, READY, "False", "AuthorizationRevoked");
    let printed = house.kubectl().run(&["get", "amzc", &tenant.connection, "--namespace", &tenant.name]).unwrap();
    assert!(printed.contains("AuthorizationRevoked"), "{printed}");
    assert_eq!(asked(), asked_before, "Amazon was not asked");
    let events = || house.kubectl().run(&["get", "events", "--namespace", &tenant.name, "--output=json"]).unwrap();
    eventually("an Event tells", || {
        let events: Value = serde_json::from_str(&events()).unwrap();
        let told = |event: &Value| event["reason"] == "AuthorizationRevoked" && event["type"] == "Warning";
        events["items"].as_array().unwrap().iter().any(told).then_some(())
    });

    // The seller never took anything back: a test finds that out, with one refresh.
    house.patch::<AmazonConnection>(
        &tenant.name,
        &tenant.connection,
        &json!({ "metadata": { "annotations": { TEST: "1" } } }),
    );
    becomes(&house, &tenant, READY, "True", "Ready");
    assert_eq!(asked(), asked_before + 1);
    let read: AmazonConnection = house.read(&tenant.name, &tenant.connection);
    let status = read.status.unwrap();
    assert_eq!(status.tested.as_deref(), Some("1"));
    let refreshed = condition::find(&status.conditions, condition::REFRESHED).unwrap();
    assert_eq!(refreshed.status, "False", "which stays the gateway's to say");
    assert!(status.refreshed_with.is_some());
    let managers = read.metadata.managed_fields.unwrap_or_default();
    let of_gateway = managers.iter().find(|it| it.manager.as_deref() == Some("openteam-gateway")).unwrap();
    let of_operator = managers.iter().find(|it| it.manager.as_deref() == Some("openteam-operator")).unwrap();
    let fields = |it: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        serde_json::to_string(&it.fields_v1).unwrap()
    };
    assert!(fields(of_gateway).contains("refreshedWith") && fields(of_gateway).contains("Refreshed"));
    assert!(!fields(of_operator).contains("refreshedWith") && !fields(of_operator).contains("Refreshed"));

    gateway("True", "Refreshed", 2);
    gateway("False", "ApplicationSecretRejected", 3);
    becomes(&house, &tenant, READY, "False", "ApplicationSecretRejected");
    assert_eq!(asked(), asked_before + 1);
}

/// What somebody else puts on an object, beside what is ours.
fn foreign() -> Value {
    json!({
        "labels": { "example.com/owner": "platform" }, "annotations": { "example.com/note": "theirs" },
    })
}

/// Whether all of it is there.
fn has_foreign(metadata: &ObjectMeta) -> bool {
    let has = |all: &Option<BTreeMap<String, String>>, key: &str, value: &str| {
        all.as_ref().and_then(|all| all.get(key)).is_some_and(|there| there == value)
    };
    has(&metadata.labels, "example.com/owner", "platform") && has(&metadata.annotations, "example.com/note", "theirs")
}

#[test]
fn what_others_put_on_an_applied_object_stays_and_over_our_own_fields_the_operator_wins() {
    let house = house();
    let tenant = house.tenant("shared");
    let authority = house.gateway_ca_told_in("shared");
    let maps: Api<ConfigMap> = Api::namespaced(house.client().clone(), "shared");
    let mut metadata = foreign();
    metadata["name"] = json!("openteam-gateway");
    let theirs = |data: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
    let apply = |data: Value, forced: bool| {
        let parameters = PatchParams::apply("somebody");
        let parameters = if forced { parameters.force() } else { parameters };
        house.block_on(maps.patch("openteam-gateway", &parameters, &Patch::Apply(theirs(data))))
    };
    // Nobody takes ours by accident; by force, and it is put right.
    let Err(kube::Error::Api(conflict)) = apply(json!({ "ca.crt": "theirs" }), false) else { panic!("a conflict") };
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"), "{}", conflict.message);
    let before = house.block_on(maps.get("openteam-gateway")).unwrap().metadata.resource_version;
    apply(json!({ "ca.crt": "theirs", "note": "theirs" }), true).unwrap();
    let map = eventually("the operator's own is back", || {
        let map = house.block_on(maps.get("openteam-gateway")).unwrap();
        (map.data.as_ref()?.get("ca.crt")? == &authority).then_some(map)
    });
    assert_ne!(map.metadata.resource_version, before, "it was another");
    assert_eq!(map.data.as_ref().unwrap().get("note").map(String::as_str), Some("theirs"));
    assert!(has_foreign(&map.metadata), "{:?}", map.metadata);
    let fields = |manager: &str| -> String {
        let all = map.metadata.managed_fields.iter().flatten();
        let own = all.filter(|entry| entry.manager.as_deref() == Some(manager));
        own.map(|entry| serde_json::to_string(&entry.fields_v1).unwrap()).collect()
    };
    assert!(fields("openteam-operator").contains("f:ca.crt") && !fields("openteam-operator").contains("f:note"));
    assert!(
        fields("somebody").contains("f:note") && !fields("somebody").contains("f:ca.crt"),
        "{}",
        fields("somebody")
    );

    // Nor is it taken off an object that is replaced as a whole.
    let name = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    house.patch::<StoredCredential>("shared", &name, &json!({ "metadata": foreign() }));
    let first: SealedCredential = house.read("shared", "shared-na-refresh-token");
    let sealed_at = first.status.unwrap().sealed_at.unwrap();
    eventually("a second has passed, the finest time that is kept", || {
        (Timestamp::now().as_second() > sealed_at.0.as_second()).then_some(())
    });
    tenant.seal(&tenant.seller.refresh_token);
    let stored = eventually("the newer is stored", || {
        let stored: StoredCredential = house.read("shared", &name);
        (stored.spec.generation == 2).then_some(stored)
    });
    assert!(has_foreign(&stored.metadata), "{:?}", stored.metadata);
    assert!(stored.metadata.annotations.unwrap().contains_key("internal.openteam.dev/input"));
}

#[test]
fn a_deleted_owner_takes_its_ciphertext_with_it_with_the_operator_down_too() {
    let house = alone();
    let tenant = house.tenant("leaving");
    let api: Api<StoredCredential> = Api::namespaced(house.client().clone(), &tenant.name);
    let kept = || {
        let list = house.block_on(api.list(&ListParams::default())).unwrap();
        list.items.into_iter().map(|it| it.metadata.name.unwrap()).collect::<Vec<_>>()
    };
    let connection = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    assert_eq!(kept(), ["amazonapplication.amazon.clientsecret".to_owned(), connection]);
    house.delete::<AmazonConnection>(&tenant.name, &tenant.connection);
    eventually("the refresh token is destroyed", || (kept().len() == 1).then_some(()));
    house.stop(OPERATOR);
    house.delete::<AmazonApplication>(&tenant.name, "amazon");
    eventually("the client secret is destroyed", || kept().is_empty().then_some(()));
}

#[test]
fn lost_ciphertext_is_made_anew_from_its_input() {
    let house = house();
    let tenant = house.tenant("remade");
    let name = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    let lost: StoredCredential = house.read(&tenant.name, &name);
    house.delete::<StoredCredential>(&tenant.name, &name);
    let api: Api<StoredCredential> = Api::namespaced(house.client().clone(), &tenant.name);
    let made = eventually("it is stored again", || {
        house.block_on(api.get_opt(&name)).unwrap().filter(|it| it.metadata.uid != lost.metadata.uid)
    });
    assert_ne!(made.spec.data, lost.spec.data, "sealed anew");
    tenant.wait_until_ready(&tenant.connection);
}
