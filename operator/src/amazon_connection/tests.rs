use std::collections::BTreeMap;

use access::Kind as AccessKind;
use crds::{
    AmazonConnectionSpec, Endpoints, LocalReference, Participation, ProvenCredentials,
    annotation::DISABLE,
    condition::{AUTHORIZED, CONTAINED, CREDENTIAL_CURRENT, READY, find},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use seal::Keyset;

use super::{plan::Verdict, *};
use crate::testing::{keyset, now, stored_client_secret, stored_refresh_token, team};

const US: &str = "ATVPDKIKX0DER";
const CA: &str = "A2EUQ1WTGCTBG2";

/// A connection with everything it needs; tests take away or add.
struct Scene {
    keyset: Keyset,
    connection: AmazonConnection,
    team: Option<DeserializeGuard<Team>>,
    application: Option<DeserializeGuard<AmazonApplication>>,
    labels: BTreeMap<String, String>,
    refresh_token: Option<StoredCredential>,
    client_secret: Option<StoredCredential>,
    not_before: Option<Timestamp>,
}

impl Scene {
    fn new() -> Self {
        let keyset = keyset();
        let mut connection = AmazonConnection::new(
            "na",
            AmazonConnectionSpec {
                team_ref: LocalReference::to("acme"),
                application_ref: NamespacedReference { namespace: "apps".into(), name: "app".into() },
                marketplace_ids: vec![US.into(), CA.into()],
                ..AmazonConnectionSpec::default()
            },
        );
        connection.metadata.namespace = Some("acme".into());
        connection.metadata.generation = Some(1);
        let mut application = AmazonApplication::new("app", Default::default());
        application.metadata.namespace = Some("apps".into());
        application.spec.allowed_namespaces = Some(LabelSelector {
            match_labels: Some([("stage".to_owned(), "production".to_owned())].into()),
            ..LabelSelector::default()
        });
        Self {
            refresh_token: Some(stored_refresh_token(&keyset, "acme", "na", 1)),
            client_secret: Some(stored_client_secret(&keyset, "apps", "app", 1)),
            keyset,
            connection,
            team: Some(DeserializeGuard(Ok(team("acme", "acme")))),
            application: Some(DeserializeGuard(Ok(application))),
            labels: [("stage".to_owned(), "production".to_owned())].into(),
            not_before: None,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn application(&mut self) -> &mut AmazonApplication {
        self.application.as_mut().unwrap().0.as_mut().unwrap()
    }

    fn look(&self, answer: Option<&Answer>, later_seconds: i64) -> Plan {
        plan(&Observed {
            connection: &self.connection,
            team: self.team.as_ref(),
            application: self.application.as_ref(),
            namespace_labels: &self.labels,
            refresh_token: self.refresh_token.as_ref(),
            client_secret: self.client_secret.as_ref(),
            active_key: self.keyset.active_id(),
            allow_endpoints: false,
            ask_not_before: self.not_before,
            answer,
            now: now() + SignedDuration::from_secs(later_seconds),
        })
    }

    /// Plans, asks where that is planned, writes the status: what the shell does. Tells whether it asked.
    fn settle(&mut self, verdict: &Verdict) -> bool {
        let first = self.look(None, 0);
        let asked = first.ask.is_some();
        let plan = match first.ask {
            Some(question) => {
                self.look(Some(&Answer { asked_with: question.credentials(), verdict: verdict.clone() }), 1)
            }
            None => first,
        };
        self.connection.status = Some(plan.status);
        asked
    }

    fn condition(&self, type_: &str) -> (String, String) {
        let condition = find(&self.connection.status.as_ref().unwrap().conditions, type_).unwrap();
        (condition.status.clone(), condition.reason.clone())
    }
}

fn participation(id: &str, is_participating: bool) -> Participation {
    Participation { marketplace_id: id.into(), is_participating, ..Participation::default() }
}

fn authorized() -> Verdict {
    Verdict::Authorized(vec![participation(US, true), participation(CA, true)])
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn unreadable<K>(name: &str, annotation: Option<&str>) -> Option<DeserializeGuard<K>> {
    let mut metadata = team("acme", name).metadata;
    metadata.annotations = annotation.map(|value| [(DISABLE.to_owned(), value.to_owned())].into());
    Some(DeserializeGuard(Err(InvalidObject { error: "no such variant".into(), metadata })))
}

fn contain(meta: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) {
    meta.annotations = Some([(DISABLE.to_owned(), "inc-7".to_owned())].into());
}

#[test]
fn a_connection_is_proven_once_and_then_left_in_peace() {
    let mut scene = Scene::new();
    assert!(scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("True", "Ready"));
    assert_eq!(scene.condition(AUTHORIZED), is("True", "Authorized"));
    assert_eq!(scene.condition(CONTAINED), is("False", "NotContained"));
    assert_eq!(scene.condition(CREDENTIAL_CURRENT), is("True", "Current"));
    let status = scene.connection.status.clone().unwrap();
    assert_eq!(status.endpoint.as_deref(), Some("https://sellingpartnerapi-na.amazon.com"));
    assert_eq!(status.proven, Some(ProvenCredentials { refresh_token: 1, client_secret: 1, client_id: String::new() }));
    assert_eq!(status.participations[0].marketplace_id, CA, "in a stable order");
    let at = scene.refresh_token.as_ref().unwrap().spec.sealed_at.0;
    assert_eq!(status.authorization_expires_at.unwrap().0, at + SignedDuration::from_hours(365 * 24));
    // Whatever time passes, and after any restart: planning again asks nothing and changes nothing.
    for later in [1, 3600, 90 * 24 * 3600] {
        let again = scene.look(None, later);
        assert_eq!(again.ask, None);
        assert_eq!(Some(again.status), scene.connection.status);
    }
}

#[test]
fn every_lack_has_its_reason_and_asks_amazon_nothing() {
    type Lack = fn(&mut Scene);
    let lacks: [(&str, Lack); 11] = [
        ("TeamNotFound", |s| s.team = None),
        ("TeamNotFound", |s| s.team = unreadable("acme", None)),
        ("ApplicationNotFound", |s| s.application = None),
        ("ApplicationNotFound", |s| s.application = unreadable("app", None)),
        ("ApplicationNotAllowed", |s| s.labels.clear()),
        ("ApplicationNotAllowed", |s| s.application().spec.allowed_namespaces = None),
        ("EndpointNotAllowed", |s| {
            s.application().spec.endpoints =
                Some(Endpoints { lwa: Some("https://lwa.example".into()), ..Endpoints::default() });
        }),
        ("CredentialMissing", |s| s.refresh_token = None),
        ("CredentialMissing", |s| (s.refresh_token, s.client_secret) = (None, None)),
        ("ClientSecretMissing", |s| s.client_secret = None),
        ("TeamNotFound", |s| (s.team, s.application, s.refresh_token) = (None, None, None)),
    ];
    for (reason, lack) in lacks {
        let mut scene = Scene::new().with(lack);
        assert!(!scene.settle(&authorized()), "{reason}");
        assert_eq!(scene.condition(READY), is("False", reason));
        assert_eq!(scene.condition(AUTHORIZED), is("Unknown", reason));
        assert_eq!(Some(scene.look(None, 60).status), scene.connection.status);
    }
}

#[test]
fn amazons_no_is_remembered_until_the_credentials_change() {
    for (verdict, reason) in [
        (Verdict::Revoked, "AuthorizationRevoked"),
        (Verdict::ApplicationSecretRejected, "ApplicationSecretRejected"),
        (Verdict::Refused("status 404".into()), "AmazonRefused"),
    ] {
        let mut scene = Scene::new();
        assert!(scene.settle(&verdict));
        assert_eq!(scene.condition(AUTHORIZED), is("False", reason));
        assert_eq!(scene.condition(READY), is("False", reason));
        assert!(!scene.settle(&authorized()), "asked again after {reason}");
        scene.refresh_token = Some(stored_refresh_token(&scene.keyset, "acme", "na", 2));
        assert!(scene.settle(&authorized()));
        assert_eq!(scene.condition(READY), is("True", "Ready"));
        scene.client_secret = Some(stored_client_secret(&scene.keyset, "apps", "app", 2));
        assert!(scene.settle(&verdict));
        assert_eq!(scene.condition(AUTHORIZED), is("False", reason));
    }
}

#[test]
fn no_answer_is_no_verdict_and_is_asked_for_again_in_time() {
    for (verdict, reason) in [
        (Verdict::Unreachable("no answer from amazon in time".into()), "AmazonUnreachable"),
        (Verdict::Unopenable("amazonconnection.na.refreshtoken".into()), "CredentialUnreadable"),
    ] {
        let mut scene = Scene::new();
        assert!(scene.settle(&verdict));
        assert_eq!(scene.condition(AUTHORIZED), is("Unknown", reason));
        scene.not_before = Some(now() + SignedDuration::from_secs(30));
        let early = scene.look(None, 10);
        assert_eq!(early.ask, None);
        assert_eq!(Some(early.status), scene.connection.status, "nothing to write while it waits");
        assert!(early.recheck.unwrap().as_secs_f64() < 21.0);
        assert!(scene.look(None, 30).ask.is_some());
    }
}

#[test]
fn an_answer_about_other_credentials_proves_nothing() {
    let scene = Scene::new();
    let answer = Answer {
        asked_with: ProvenCredentials { refresh_token: 7, client_secret: 1, client_id: String::new() },
        verdict: authorized(),
    };
    let plan = scene.look(Some(&answer), 0);
    assert_eq!(plan.status.proven, None);
    assert!(plan.status.participations.is_empty());
    assert!(plan.ask.is_some(), "the credentials in use are still to be asked about");
}

#[test]
fn a_new_refresh_token_is_not_told_by_the_old_ones_participations() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    scene.refresh_token = Some(stored_refresh_token(&scene.keyset, "acme", "na", 2));
    scene.not_before = Some(now() + SignedDuration::from_secs(30));
    assert!(!scene.settle(&authorized()));
    assert!(scene.connection.status.as_ref().unwrap().participations.is_empty());
    assert_eq!(scene.condition(READY), is("False", "Verifying"));
}

#[test]
fn contained_by_whatever_it_hangs_from_it_asks_nothing_and_says_by_what() {
    type Containing = fn(&mut Scene);
    let ways: [(AccessKind, Containing); 4] = [
        (AccessKind::AmazonConnection, |s| contain(&mut s.connection.metadata)),
        (AccessKind::Team, |s| contain(&mut s.team.as_mut().unwrap().0.as_mut().unwrap().metadata)),
        (AccessKind::AmazonApplication, |s| contain(&mut s.application().metadata)),
        (AccessKind::Team, |s| s.team = unreadable("acme", Some("inc-7"))),
    ];
    for (kind, way) in ways {
        let mut scene = Scene::new().with(way);
        assert!(!scene.settle(&authorized()), "{kind}");
        assert_eq!(scene.condition(READY), is("False", "Contained"));
        assert_eq!(scene.condition(CONTAINED), is("True", "Disabled"));
        let status = scene.connection.status.clone().unwrap();
        assert_eq!(status.incidents, ["inc-7"]);
        let message = &find(&status.conditions, CONTAINED).unwrap().message;
        assert!(message.contains(&kind.to_string()) && message.contains("inc-7"), "{message}");
        assert_eq!(scene.look(None, 60).status, status);
    }
}

#[test]
fn what_was_proven_before_an_incident_still_is_after_it() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    contain(&mut scene.connection.metadata);
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(AUTHORIZED), is("True", "Authorized"));
    assert_eq!(scene.condition(READY), is("False", "Contained"));
    scene.connection.metadata.annotations = None;
    assert!(!scene.settle(&authorized()), "restoring costs no call");
    assert_eq!(scene.condition(READY), is("True", "Ready"));
    assert_eq!(scene.condition(CONTAINED), is("False", "NotContained"));
    assert!(scene.connection.status.unwrap().incidents.is_empty());
}

#[test]
fn marketplaces_the_seller_has_no_part_in_are_told() {
    for (participations, status, reason, mentions) in [
        (vec![participation(US, true), participation(CA, true)], "True", "Ready", ""),
        (vec![participation(US, true)], "True", "Ready", CA),
        (vec![participation(US, true), participation(CA, false)], "True", "Ready", CA),
        (vec![participation(US, false)], "False", "NotParticipating", US),
        (vec![participation("A1F83G8C2ARO7P", true)], "False", "NotParticipating", US),
        (vec![], "False", "NotParticipating", CA),
    ] {
        let mut scene = Scene::new();
        scene.settle(&Verdict::Authorized(participations));
        assert_eq!(scene.condition(READY), is(status, reason));
        let status = scene.connection.status.unwrap();
        let message = &find(&status.conditions, READY).unwrap().message;
        assert!(message.contains(mentions), "{message}");
    }
}

#[test]
fn only_what_a_connection_hangs_from_concerns_it() {
    let scene = Scene::new();
    let touched = |kind, namespace: &str, name: &str| Touched { kind, namespace: namespace.into(), name: name.into() };
    for (touched, expected) in [
        (touched(Kind::Team, "acme", "acme"), true),
        (touched(Kind::AmazonApplication, "apps", "app"), true),
        (touched(Kind::Namespace, "", "acme"), true),
        (touched(Kind::StoredCredential, "acme", "amazonconnection.na.refreshtoken"), true),
        (touched(Kind::StoredCredential, "apps", "amazonapplication.app.clientsecret"), true),
        (touched(Kind::Team, "apps", "acme"), false),
        (touched(Kind::Team, "acme", "other"), false),
        (touched(Kind::AmazonApplication, "acme", "app"), false),
        (touched(Kind::Namespace, "", "apps"), false),
        (touched(Kind::StoredCredential, "acme", "amazonapplication.app.clientsecret"), false),
        (touched(Kind::StoredCredential, "acme", "amazonconnection.eu.refreshtoken"), false),
        (touched(Kind::RuntimeToken, "acme", "na"), false),
    ] {
        assert_eq!(concerns(&touched, &scene.connection), expected, "{touched:?}");
    }
}

#[test]
fn an_operation_that_stands_for_nothing_is_told() {
    let mut scene = Scene::new();
    let lists = |allow: &str, deny: &str| Some(crds::Operations { allow: vec![allow.into()], deny: vec![deny.into()] });
    scene.connection.spec.operations = lists("read", "searchOrder");
    scene.settle(&authorized());
    assert_eq!(scene.condition(READY), is("False", "OperationUnknown"));
    scene.connection.spec.operations = lists("getOrder", "searchOrders");
    scene.settle(&authorized());
    assert_eq!(scene.condition(READY), is("False", "OperationAmbiguous"));
    scene.connection.spec.operations = lists("read", "searchOrders");
    scene.settle(&authorized());
    assert_eq!(scene.condition(READY), is("True", "Ready"));
}

#[test]
fn another_client_id_is_asked_about_anew() {
    let mut scene = Scene::new();
    scene.settle(&Verdict::ApplicationSecretRejected);
    assert_eq!(scene.look(None, 600).ask, None);
    let mut application = scene.application.take().unwrap().0.unwrap();
    application.spec.client_id = "another".into();
    scene.application = Some(DeserializeGuard(Ok(application)));
    assert!(scene.look(None, 600).ask.is_some());
}
