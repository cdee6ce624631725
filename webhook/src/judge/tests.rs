use std::{collections::BTreeMap, sync::Arc};

use access::{Entry, Index};
use crds::{
    Access, AmazonApplication, AmazonConnection, LocalReference, Member, NamespacedReference, Operations,
    Participation, Role, RuntimeToken, RuntimeTokenSpec, Scope, Team, annotation::DISABLE,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use serde_json::{Value, json};

use super::*;

const US: &str = "ATVPDKIKX0DER";
const CA: &str = "A2EUQ1WTGCTBG2";
const NOW: i64 = 1_767_225_600;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn meta(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.into()), name: Some(name.into()), ..ObjectMeta::default() }
}

fn named(namespace: &str, name: &str) -> NamespacedReference {
    NamespacedReference { namespace: namespace.into(), name: name.into() }
}

/// Team and application `acme`, connection `na` of it in the US, and in the same namespace connection `other` of Team
/// `globex`; namespace `shop` uses the application too.
fn index() -> Index {
    let mut index = Index::default();
    let mut team = Team::new("", Default::default());
    team.metadata = meta("acme", "acme");
    team.spec.members = [("ann@example.com", Role::Member), ("vic@example.com", Role::Viewer)]
        .map(|(email, role)| Member { email: email.into(), role })
        .to_vec();
    index.teams.insert_mut(named("acme", "acme"), Entry::Read(Arc::new(team)));
    let mut application = AmazonApplication::new("", Default::default());
    application.metadata = meta("acme", "app");
    let labels: BTreeMap<String, String> = [("stage".to_owned(), "live".to_owned())].into();
    let selector = LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() };
    application.spec.allowed_namespaces = Some(selector);
    index.applications.insert_mut(named("acme", "app"), Entry::Read(Arc::new(application)));
    for (namespace, name, team) in [("acme", "na", "acme"), ("acme", "other", "globex"), ("shop", "eu", "shop")] {
        let mut connection = AmazonConnection::new("", Default::default());
        connection.metadata = meta(namespace, name);
        connection.spec.team_ref = LocalReference::to(team);
        connection.spec.application_ref = named("acme", "app");
        connection.spec.marketplace_ids = vec![US.into()];
        connection.spec.selling_partner_id = Some(format!("A{:012}", name.len()));
        index.connections.insert_mut(named(namespace, name), Entry::Read(Arc::new(connection)));
    }
    index.namespaces.insert_mut("acme".into(), BTreeMap::new());
    index.namespaces.insert_mut("shop".into(), labels);
    index.namespaces.insert_mut("dark".into(), BTreeMap::new());
    index
}

fn keys() -> SealingKeys {
    let [old, current] = ["0000000000000001", "0000000000000002"].map(|id| id.parse().unwrap());
    SealingKeys { all: [old, current].into(), current }
}

fn judged_in(index: &Index, new: &Subject, old: Option<&Subject>) -> Verdict {
    let keys = keys();
    let world =
        World { index, sealing_keys: Some(&keys), account_exists: Some(true), allow_endpoints: false, now: now() };
    judge(&world, new, old)
}

fn judged(new: &Subject) -> Verdict {
    judged_in(&index(), new, None)
}

/// Demands a refusal with these words, or that there is none.
fn demand_refusal(verdict: &Verdict, words: &str, about: &str) {
    match (&verdict.refusal, words) {
        (None, "") => {}
        (Some(Refusal::Invalid(why)), words) if !words.is_empty() => assert!(why.contains(words), "{about}: {why}"),
        (refusal, _) => panic!("{about}: {words:?} was expected, not {refusal:?}"),
    }
}

fn demand_warning(verdict: &Verdict, words: &str, about: &str) {
    let warnings = &verdict.warnings;
    match words {
        "" => assert!(warnings.is_empty(), "{about}: {warnings:?}"),
        words => assert!(warnings.iter().any(|it| it.contains(words)), "{about}: {words:?} in {warnings:?}"),
    }
}

fn object(kind: &str, namespace: &str, spec: Value) -> Subject {
    let object = json!({
        "apiVersion": "openteam.dev/v1alpha1", "kind": kind,
        "metadata": { "namespace": namespace, "name": "new" },
        "spec": spec,
    });
    Subject::read(kind, &object).unwrap_or_else(|| panic!("{object}"))
}

fn connection(namespace: &str, change: impl FnOnce(&mut Value)) -> Subject {
    let mut spec = json!({
        "teamRef": { "name": "acme" }, "applicationRef": { "namespace": "acme", "name": "app" },
        "region": "NA", "marketplaceIds": [US],
    });
    change(&mut spec);
    object("AmazonConnection", namespace, spec)
}

fn grant(connections: &[&str], marketplaces: &[&str], operations: Option<Operations>) -> Subject {
    let scope = Scope {
        connections: connections.iter().map(ToString::to_string).collect(),
        marketplace_ids: marketplaces.iter().map(ToString::to_string).collect(),
        operations,
        ..Scope::default()
    };
    let spec = json!({ "teamRef": { "name": "acme" }, "serviceAccount": { "name": "agent" }, "scope": scope });
    object("AgentGrant", "acme", spec)
}

fn allow(names: &[&str]) -> Option<Operations> {
    Some(Operations { allow: names.iter().map(ToString::to_string).collect(), deny: Vec::new() })
}

fn token(issuer: &str, hours: i64) -> RuntimeToken {
    let spec = RuntimeTokenSpec {
        team_ref: LocalReference::to("acme"),
        scope: Scope { connections: vec!["na".into()], marketplace_ids: vec![US.into()], ..Scope::default() },
        expires_at: Time(now() + SignedDuration::from_hours(hours)),
        issued_by: issuer.into(),
        hash: "0".repeat(64),
    };
    let mut token = RuntimeToken::new("new", spec);
    token.metadata = meta("acme", "new");
    token
}

#[test]
fn a_connection_is_refused_for_what_can_never_be_right_and_warned_of_what_is_not_there() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str, &str); 9] = [
        ("acme", |_| (), "", ""),
        ("shop", |spec| spec["teamRef"]["name"] = json!("gone"), "", "Team gone is not in this namespace (yet)"),
        ("dark", |_| (), "AmazonApplication acme/app is not for namespace dark", "Team acme"),
        ("unseen", |_| (), "", "Team acme is not"),
        (
            "acme",
            |spec| spec["applicationRef"]["name"] = json!("gone"),
            "",
            "AmazonApplication acme/gone is not there (yet)",
        ),
        ("acme", |spec| spec["operations"] = json!({ "allow": ["reed"] }), "spec.operations: reed are no classes", ""),
        ("acme", |spec| spec["operations"] = json!({ "allow": ["getOrder"] }), "orders/v0/getOrder", ""),
        ("acme", |spec| spec["access"] = json!("Credential"), "", "spec.access: Credential does nothing"),
        ("acme", |spec| spec["sellingPartnerId"] = json!("A000000000002"), "", "AmazonConnection na is for the same"),
    ];
    for (namespace, change, refusal, warning) in cases {
        let subject = connection(namespace, change);
        let verdict = judged(&subject);
        let about = format!("{namespace} {refusal} {warning}");
        demand_refusal(&verdict, refusal, &about);
        demand_warning(&verdict, warning, &about);
    }
    // Of another namespace's connections nothing is told.
    let elsewhere = connection("shop", |spec| {
        spec["teamRef"]["name"] = json!("gone");
        spec["sellingPartnerId"] = json!("A000000000005");
    });
    assert_eq!(judged(&elsewhere).warnings.len(), 1);
}

#[test]
fn a_marketplace_that_the_seller_has_not_is_a_warning() {
    let mut index = index();
    let mut known = AmazonConnection::clone(index.connections.get(&named("acme", "na")).unwrap().read().unwrap());
    let takes_part = |id: &str, is_participating| Participation {
        marketplace_id: id.into(),
        is_participating,
        ..Participation::default()
    };
    known.status = Some(crds::AmazonConnectionStatus {
        participations: vec![takes_part(US, true), takes_part(CA, false)],
        ..crds::AmazonConnectionStatus::default()
    });
    index.connections.insert_mut(named("acme", "na"), Entry::Read(Arc::new(known.clone())));
    demand_warning(&judged_in(&index, &Subject::Connection(Box::new(known.clone())), None), "", "as it is");
    known.spec.marketplace_ids.push(CA.into());
    demand_warning(
        &judged_in(&index, &Subject::Connection(Box::new(known)), None),
        "takes no part in A2EUQ1WTGCTBG2",
        "more",
    );
}

#[test]
fn a_grant_is_refused_for_other_teams_and_unknown_operations_and_warned_of_the_rest() {
    for (subject, refusal, warning) in [
        (grant(&["na"], &[US], None), "", ""),
        (grant(&["na"], &[US], allow(&["read", "orders/v0/getOrder"])), "", ""),
        (grant(&["na"], &[US], allow(&["reed", "getOrder"])), "reed are no classes", ""),
        (grant(&["na"], &[US], allow(&["reed", "getOrder"])), "spec.scope.operations.allow: write which one", ""),
        (grant(&["na", "other"], &[US], None), "other belong to another Team than acme", ""),
        (grant(&["na", "gone"], &[US], None), "", "spec.scope.connections: gone do not exist"),
        (grant(&["na"], &[CA], None), "", "none of its connections has A2EUQ1WTGCTBG2"),
        (grant(&["na"], &[US, CA], None), "", "no connection has A2EUQ1WTGCTBG2"),
        (grant(&[], &[US], None), "", "an empty list"),
    ] {
        let verdict = judged(&subject);
        demand_refusal(&verdict, refusal, refusal);
        demand_warning(&verdict, warning, warning);
    }
    let index = index();
    let world = |account_exists| World {
        index: &index,
        sealing_keys: None,
        account_exists,
        allow_endpoints: false,
        now: now(),
    };
    let subject = grant(&["na"], &[US], None);
    demand_warning(&judge(&world(Some(false)), &subject, None), "ServiceAccount agent is not", "absent");
    demand_warning(&judge(&world(None), &subject, None), "", "not known");
    let Subject::Grant(mut credential) = grant(&["na"], &[US], None) else { unreachable!() };
    credential.spec.scope.access = Access::Credential;
    demand_warning(&judged(&Subject::Grant(credential)), "whose own spec.access says Proxy", "credential");
}

#[test]
fn a_token_is_refused_that_its_team_would_never_honour() {
    for (issuer, hours, refusal, warning) in [
        ("ann@example.com", 24, "", ""),
        ("ANN@example.com", 1, "", ""),
        ("ann@example.com", 25, "live 24h at most", ""),
        ("ann@example.com", -1, "this is over already", ""),
        ("vic@example.com", 1, "no Owner or Member of Team acme", ""),
        ("bob@example.com", 1, "no Owner or Member of Team acme", ""),
    ] {
        let verdict = judged(&Subject::Token(token(issuer, hours)));
        demand_refusal(&verdict, refusal, issuer);
        demand_warning(&verdict, warning, issuer);
    }
    let mut orphan = token("bob@example.com", 100);
    orphan.spec.team_ref = LocalReference::to("gone");
    orphan.spec.scope.connections.clear();
    let verdict = judged(&Subject::Token(orphan));
    demand_refusal(&verdict, "", "whose it is, is not known yet");
    demand_warning(&verdict, "Team gone is not", "orphan");
}

#[test]
fn a_change_of_a_team_says_how_many_tokens_it_ends() {
    let mut index = index();
    for (name, issuer) in [("one", "ann@example.com"), ("two", "ann@example.com"), ("over", "bob@example.com")] {
        index.runtime_tokens.insert_mut(named("acme", name), Entry::Read(Arc::new(token(issuer, 12))));
    }
    let old = Team::clone(index.teams.get(&named("acme", "acme")).unwrap().read().unwrap());
    let mut without_ann = old.clone();
    without_ann.spec.members.retain(|member| member.email != "ann@example.com");
    let mut shorter = old.clone();
    shorter.spec.runtime_tokens = Some(crds::RuntimeTokenLimits { max_ttl: Some("1h".into()) });
    let mut twice = old.clone();
    twice.spec.members.push(Member { email: "ANN@example.com".into(), role: Role::Owner });
    let before = Subject::Team(old.clone());
    for (new, warning) in [
        (old, ""),
        (without_ann, "ends 2 RuntimeTokens that work now (IssuerNotMember)"),
        (shorter, "ends 2 RuntimeTokens that work now (LivesTooLong)"),
        (twice, "listed twice"),
    ] {
        let verdict = judged_in(&index, &Subject::Team(new), Some(&before));
        demand_refusal(&verdict, "", warning);
        demand_warning(&verdict, warning, warning);
    }
}

#[test]
fn an_application_is_refused_for_a_selector_that_selects_nothing_and_warned_of_whom_it_stops() {
    let index = index();
    let known = AmazonApplication::clone(index.applications.get(&named("acme", "app")).unwrap().read().unwrap());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut object = serde_json::to_value(&known).unwrap();
        change(&mut object["spec"]);
        Subject::read("AmazonApplication", &object).unwrap()
    };
    let expression = |operator: &str, values: Value| json!({ "matchExpressions": [{ "key": "stage", "operator": operator, "values": values }] });
    let old = Subject::Application(Box::new(known.clone()));
    for (selector, refusal, warning) in [
        (expression("In", json!(["live"])), "", ""),
        (expression("Exists", json!([])), "", ""),
        (expression("In", json!(["test"])), "", "this stops 1 AmazonConnections"),
        (json!(null), "", "this stops 1 AmazonConnections"),
        (expression("Near", json!(["live"])), "must be In, NotIn, Exists or DoesNotExist", "this stops 1"),
        (expression("In", json!([])), "need values", "this stops 1"),
        (expression("DoesNotExist", json!(["live"])), "take no values", "this stops 1"),
    ] {
        let new = with(&|spec| spec["allowedNamespaces"] = selector.clone());
        let verdict = judged_in(&index, &new, Some(&old));
        demand_refusal(&verdict, refusal, &selector.to_string());
        demand_warning(&verdict, warning, &selector.to_string());
    }
    let elsewhere = with(&|spec| spec["endpoints"] = json!({ "lwa": "https://amazon.example" }));
    demand_warning(&judged_in(&index, &elsewhere, Some(&old)), "runs without --allow-endpoints", "endpoints");
    let unusable = with(&|spec| spec["endpoints"] = json!({ "lwa": "https://" }));
    demand_refusal(&judged_in(&index, &unusable, Some(&old)), "spec.endpoints.lwa", "endpoints");
}

fn sealed(ciphertext: &str, name: &str) -> Subject {
    let spec = json!({
        "for": { "kind": "AmazonConnection", "name": name }, "field": "RefreshToken", "ciphertext": ciphertext,
    });
    object("SealedCredential", "acme", spec)
}

#[test]
fn an_input_is_refused_that_no_key_of_the_cluster_opens() {
    let key = seal::PrivateKey::generate();
    let binding = seal::Binding { namespace: "acme", kind: "AmazonConnection", name: "na", field: "RefreshToken" };
    let text = seal::seal_input(key.public(), &binding, 1, b"fake").unwrap();
    let mut index = index();
    let verdict = |index: &Index, keys: Option<&SealingKeys>, subject: &Subject| {
        judge(
            &World { index, sealing_keys: keys, account_exists: None, allow_endpoints: false, now: now() },
            subject,
            None,
        )
    };
    let current = SealingKeys { all: [key.id()].into(), current: key.id() };
    let old = SealingKeys { all: [key.id(), keys().current].into(), current: keys().current };
    for (keys, subject, refusal, warning) in [
        (Some(&current), sealed(&text, "na"), "", ""),
        (Some(&old), sealed(&text, "na"), "", "sealed for the old key"),
        (Some(&keys()), sealed(&text, "na"), "which this cluster does not have", ""),
        (None, sealed(&text, "na"), "", "has no sealing keys (yet)"),
        (Some(&current), sealed(&text, "gone"), "", "AmazonConnection gone is not in this namespace (yet)"),
        (Some(&current), sealed(&text[..text.len() / 2], "na"), "not what `openteam seal` prints", ""),
        (Some(&current), sealed("AAAA", "na"), "not what `openteam seal` prints", ""),
        (None, sealed("AAAA", "na"), "not what `openteam seal` prints", ""),
    ] {
        let verdict = verdict(&index, keys, &subject);
        demand_refusal(&verdict, refusal, refusal);
        demand_warning(&verdict, warning, warning);
        if let Some(Refusal::Invalid(why)) = &verdict.refusal {
            assert!(!why.contains(&text[..40]) && !why.contains("AAAA"), "the ciphertext is not repeated: {why}");
        }
    }
    let mut contained = AmazonConnection::clone(index.connections.get(&named("acme", "na")).unwrap().read().unwrap());
    contained.metadata.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
    index.connections.insert_mut(named("acme", "na"), Entry::Read(Arc::new(contained)));
    demand_warning(&verdict(&index, Some(&current), &sealed(&text, "na")), "is contained by inc-7", "contained");
}

#[test]
fn of_a_code_is_said_what_makes_it_useless_in_minutes() {
    let key = seal::PrivateKey::generate();
    let keys = SealingKeys { all: [key.id()].into(), current: key.id() };
    let text = |field| {
        let binding = seal::Binding { namespace: "acme", kind: "AmazonConnection", name: "na", field };
        seal::seal_input(key.public(), &binding, 1, b"fake").unwrap()
    };
    let code = |redirect: Option<&str>| {
        let mut consent = json!({ "sellingPartnerId": "A1EXAMPLE00001" });
        if let Some(redirect) = redirect {
            consent["redirectUri"] = json!(redirect);
        }
        let spec = json!({
            "for": { "kind": "AmazonConnection", "name": "na" }, "field": "AuthorizationCode", "consent": consent,
            "ciphertext": text("AuthorizationCode"),
        });
        object("SealedCredential", "acme", spec)
    };
    let mut index = index();
    let verdict = |index: &Index, subject: &Subject| {
        let keys = Some(&keys);
        let world = World { index, sealing_keys: keys, account_exists: None, allow_endpoints: false, now: now() };
        judge(&world, subject, None)
    };
    let callback = "https://portal.example/amazon/callback";
    demand_warning(&verdict(&index, &code(None)), "", "none was sent");
    demand_warning(
        &verdict(&index, &code(Some(callback))),
        "is not spec.redirectUri of AmazonApplication",
        "none here",
    );
    let connection = index.connections.get(&named("acme", "na")).unwrap().read().unwrap();
    let name = connection.spec.application_ref.clone();
    let mut application = crds::AmazonApplication::clone(index.applications.get(&name).unwrap().read().unwrap());
    application.spec.redirect_uri = Some(callback.to_owned());
    index.applications.insert_mut(name.clone(), Entry::Read(Arc::new(application)));
    demand_warning(&verdict(&index, &code(Some(callback))), "", "the same");
    index.applications.remove_mut(&name);
    demand_warning(&verdict(&index, &code(Some(callback))), "of the connection is not there (yet)", "gone");
}

#[test]
fn a_fault_that_was_let_in_before_does_not_lock_the_rest() {
    let faulty = connection("dark", |spec| spec["operations"] = json!({ "allow": ["retiredOperation"] }));
    let renamed = connection("dark", |spec| {
        spec["operations"] = json!({ "allow": ["retiredOperation"] });
        spec["displayName"] = json!("Acme");
    });
    let verdict = judged_in(&index(), &renamed, Some(&faulty));
    demand_refusal(&verdict, "", "both faults were there");
    demand_warning(&verdict, "retiredOperation", "and are told");
    demand_warning(&verdict, "is not for namespace dark", "and are told");
    let worse = connection("dark", |spec| spec["operations"] = json!({ "allow": ["retiredOperation", "reed"] }));
    demand_refusal(&judged_in(&index(), &worse, Some(&faulty)), "reed", "this one is new");
}

#[test]
fn what_is_no_object_of_its_kind_is_not_judged() {
    for (kind, object) in [
        ("Team", json!(null)),
        ("Team", json!({ "metadata": {}, "spec": { "members": [{ "email": 1 }] } })),
        ("AmazonConnection", json!({ "metadata": { "name": "x" } })),
        ("Incident", json!({ "metadata": {}, "spec": {} })),
    ] {
        assert!(Subject::read(kind, &object).is_none(), "{kind} {object}");
    }
}
