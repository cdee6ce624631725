use std::collections::BTreeMap;

use access::Kind as AccessKind;
use crds::{
    AmazonConnectionSpec, Endpoints, LocalReference, Participation, ProvenCredentials,
    annotation::{DISABLE, RENEW, ROTATE, TEST},
    condition::{
        AUTHORIZED, CONSENT_REQUESTED, CONTAINED, CREDENTIAL_CURRENT, OLD_TOKEN_STILL_ACCEPTED, READY, REFRESHED,
        State, find, set,
    },
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use seal::Keyset;

use super::{
    plan::{Tidy, Verdict},
    *,
};
use crate::testing::{keyset, now, stored_client_secret, stored_refresh_token, team};
use crate::{dependents::Name, stores::Watched};

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
    newest_token: Option<Timestamp>,
    input_under_way: bool,
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
            newest_token: None,
            input_under_way: false,
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
        self.look_with(answer, None, later_seconds)
    }

    fn look_with(&self, answer: Option<&Answer>, tried: Option<&Tried>, later_seconds: i64) -> Plan {
        plan(&Observed {
            connection: &self.connection,
            team: self.team.as_ref(),
            application: self.application.as_ref(),
            namespace_labels: &self.labels,
            refresh_token: self.refresh_token.as_ref(),
            client_secret: self.client_secret.as_ref(),
            keyset: &self.keyset,
            allow_endpoints: false,
            input_under_way: self.input_under_way,
            ask_not_before: self.not_before,
            try_not_before: self.not_before,
            newest_token: self.newest_token,
            mail_configured: true,
            answer,
            tried,
            // What is written has whole seconds or microseconds, and the clock has not.
            now: now() + SignedDuration::from_secs(later_seconds) + SignedDuration::from_nanos(7),
        })
    }

    /// Plans, asks where that is planned, writes the status: what the shell does. Tells whether it asked.
    fn settle(&mut self, verdict: &Verdict) -> bool {
        let first = self.look(None, 0);
        let asked = first.ask.is_some();
        let plan = match first.ask {
            Some(question) => {
                let answer = answer_to(&question, verdict.clone());
                self.look(Some(&answer), 1)
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

fn answer_to(question: &plan::Question, verdict: Verdict) -> Answer {
    Answer { asked_with: question.credentials(), test: question.test.clone(), verdict, passed_over: None }
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
        test: None,
        passed_over: None,
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
        (vec![participation(US, true)], "True", "PartlyParticipating", CA),
        (vec![participation(US, true), participation(CA, false)], "True", "PartlyParticipating", CA),
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
fn a_connection_looks_at_what_it_hangs_from() {
    let names = Scene::new().connection.looks_at();
    let expected = [
        Name::new(Kind::Team, Some("acme"), "acme"),
        Name::new(Kind::AmazonApplication, Some("apps"), "app"),
        Name::namespace(Some("acme")),
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_missing_credential_is_not_told_while_an_input_is_opened() {
    type Lack = fn(&mut Scene);
    let lacks: [(bool, Lack); 4] = [
        (true, |s| s.refresh_token = None),
        (true, |s| s.client_secret = None),
        (false, |s| s.team = None),
        (false, |s| {
            s.refresh_token = None;
            contain(&mut s.connection.metadata);
        }),
    ];
    for (held, lack) in lacks {
        let mut scene = Scene::new().with(lack);
        assert!(!scene.look(None, 0).hold);
        scene.input_under_way = true;
        let plan = scene.look(None, 0);
        assert_eq!((plan.hold, plan.recheck.is_some(), plan.ask), (held, held, None));
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

/// What a gateway writes: the condition `Refreshed`, about the credentials that the operator verified.
fn refreshed(scene: &mut Scene, state: State, later_seconds: i64) {
    let status = scene.connection.status.as_mut().unwrap();
    status.refreshed_with = status.proven.clone();
    set(&mut status.conditions, state, None, now() + SignedDuration::from_secs(later_seconds));
}

fn annotate_test(scene: &mut Scene, value: &str) {
    scene.connection.metadata.annotations = Some([(TEST.to_owned(), value.to_owned())].into());
}

#[test]
fn what_a_gateway_was_refused_shows_at_once_and_asks_amazon_nothing() {
    for reason in ["AuthorizationRevoked", "ApplicationSecretRejected"] {
        let mut scene = Scene::new();
        scene.settle(&authorized());
        refreshed(&mut scene, State::no(REFRESHED, reason, "said a gateway"), 60);
        assert!(!scene.settle(&authorized()), "{reason}");
        assert_eq!(scene.condition(AUTHORIZED), is("False", reason));
        assert_eq!(scene.condition(READY), is("False", reason));
        assert_eq!(Some(scene.look(None, 3600).status), scene.connection.status, "and then rests");
        assert!(!scene.connection.status.as_ref().unwrap().participations.is_empty(), "they are the seller's still");

        // New credentials are another matter.
        scene.refresh_token = Some(stored_refresh_token(&scene.keyset, "acme", "na", 2));
        assert!(scene.settle(&authorized()));
        assert_eq!(scene.condition(READY), is("True", "Ready"));
    }
}

#[test]
fn a_refusal_for_another_reason_is_asked_about_once() {
    for (verdict, expected) in
        [(authorized(), is("True", "Ready")), (Verdict::Refused("status 404".into()), is("False", "AmazonRefused"))]
    {
        let mut scene = Scene::new();
        scene.settle(&authorized());
        refreshed(&mut scene, State::no(REFRESHED, "AmazonRefused", "said a gateway"), 60);
        assert!(scene.settle(&verdict));
        assert_eq!(scene.condition(READY), expected);
        assert!(!scene.settle(&authorized()), "what we were told is newer");
        assert_eq!(scene.condition(READY), expected);
    }
}

#[test]
fn a_refusal_of_other_credentials_says_nothing() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    refreshed(&mut scene, State::no(REFRESHED, "AuthorizationRevoked", ""), 60);
    for other in [
        ProvenCredentials { refresh_token: 2, client_secret: 1, client_id: String::new() },
        ProvenCredentials { refresh_token: 1, client_secret: 2, client_id: String::new() },
        ProvenCredentials { refresh_token: 1, client_secret: 1, client_id: "another".into() },
    ] {
        scene.connection.status.as_mut().unwrap().refreshed_with = Some(other);
        assert!(!scene.settle(&authorized()));
        assert_eq!(scene.condition(READY), is("True", "Ready"));
    }
}

#[test]
fn a_gateway_that_is_honoured_again_takes_its_refusal_back() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    refreshed(&mut scene, State::no(REFRESHED, "AuthorizationRevoked", ""), 60);
    scene.settle(&authorized());
    refreshed(&mut scene, State::yes(REFRESHED, "Refreshed", ""), 120);
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("True", "Ready"));

    // But what Amazon told us since counts for more than what a gateway saw before.
    annotate_test(&mut scene, "1");
    assert!(scene.settle(&Verdict::Revoked));
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("False", "AuthorizationRevoked"));
}

#[test]
fn a_test_asks_once_per_new_value_and_serving_goes_on_meanwhile() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    for value in ["", "again"] {
        annotate_test(&mut scene, value);
        assert_eq!(scene.look(None, 60).status.conditions, scene.connection.status.as_ref().unwrap().conditions);
        assert!(scene.settle(&authorized()), "{value:?}");
        assert_eq!(scene.connection.status.as_ref().unwrap().tested.as_deref(), Some(value));
        assert!(!scene.settle(&authorized()), "{value:?}");
        assert_eq!(scene.condition(READY), is("True", "Ready"));
    }
    scene.connection.metadata.annotations = None;
    assert!(!scene.settle(&authorized()), "taking the annotation away asks nothing");
    contain(&mut scene.connection.metadata);
    scene.connection.metadata.annotations.as_mut().unwrap().insert(TEST.into(), "third".into());
    assert!(!scene.settle(&authorized()), "what is contained is not tested");
}

#[test]
fn a_test_that_amazon_does_not_answer_takes_nothing_away_and_is_repeated_in_time() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    annotate_test(&mut scene, "1");
    assert!(scene.settle(&Verdict::Unreachable("no answer".into())));
    assert_eq!(scene.condition(READY), is("True", "Ready"));
    assert_eq!(scene.connection.status.as_ref().unwrap().tested, None);
    scene.not_before = Some(now() + SignedDuration::from_secs(30));
    let plan = scene.look(None, 0);
    assert_eq!((plan.ask, plan.recheck.map(|wait| wait.as_secs())), (None, Some(30)));
    scene.not_before = None;
    assert!(scene.settle(&authorized()));
    assert_eq!(scene.connection.status.as_ref().unwrap().tested.as_deref(), Some("1"));
}

#[test]
fn a_test_that_succeeds_ends_what_a_gateway_was_refused_and_a_later_refusal_counts_again() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    refreshed(&mut scene, State::no(REFRESHED, "AuthorizationRevoked", ""), 60);
    assert!(!scene.settle(&authorized()));
    annotate_test(&mut scene, "1");
    assert!(scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("True", "Ready"), "the refusal is older than Amazon's answer");
    assert!(!scene.settle(&authorized()));
    refreshed(&mut scene, State::yes(REFRESHED, "Refreshed", ""), 120);
    scene.settle(&authorized());
    assert_eq!(scene.condition(READY), is("True", "Ready"));
    refreshed(&mut scene, State::no(REFRESHED, "AuthorizationRevoked", ""), 180);
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("False", "AuthorizationRevoked"));
}

#[test]
fn the_end_of_an_authorization_is_told_ahead_once_per_stage() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    let day = 24 * 3600;
    // The token was sealed an hour before the tests' present.
    let mut told = Vec::new();
    for days in 0..=370 {
        let plan = scene.look(None, days * day);
        assert_eq!(plan.ask, None);
        if Some(&plan.status) != scene.connection.status.as_ref() {
            let authorized = find(&plan.status.conditions, AUTHORIZED).unwrap();
            assert_eq!(authorized.status, "True");
            told.push((365 - days, authorized.reason.clone()));
            scene.connection.status = Some(plan.status);
        }
        assert_eq!(scene.condition(READY), is("True", "Ready"));
    }
    let told: Vec<_> = told.iter().map(|(left, reason)| (*left, reason.as_str())).collect();
    let stages =
        [(60, "ExpiresWithin60Days"), (30, "ExpiresWithin30Days"), (7, "ExpiresWithin7Days"), (0, "ExpiryPassed")];
    assert_eq!(told, stages);
    scene.refresh_token.as_mut().unwrap().spec.sealed_at.0 += SignedDuration::from_hours(364 * 24);
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(AUTHORIZED), is("True", "Authorized"));
}

/// A new refresh token, or client secret, beside the one that was proven, which may be used for an hour.
fn renew(scene: &mut Scene, generation: i64, secret: bool) {
    let until = k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(now() + SignedDuration::from_hours(1));
    let (slot, new) = match secret {
        false => (&mut scene.refresh_token, stored_refresh_token(&scene.keyset, "acme", "na", generation)),
        true => (&mut scene.client_secret, stored_client_secret(&scene.keyset, "apps", "app", generation)),
    };
    let before = slot.replace(new).unwrap().spec;
    slot.as_mut().unwrap().spec.previous = Some(crds::PreviousCredential {
        generation: before.generation,
        sealed_at: before.sealed_at,
        data: before.data,
        wrap: before.wrap,
        until: Some(until),
    });
}

fn proven(scene: &Scene) -> (i64, i64) {
    let proven = scene.connection.status.as_ref().unwrap().proven.clone().unwrap();
    (proven.refresh_token, proven.client_secret)
}

#[test]
fn what_was_accepted_serves_until_the_new_credentials_are() {
    for secret in [false, true] {
        let (old, new) = ((1, 1), if secret { (1, 2) } else { (2, 1) });
        let mut scene = Scene::new();
        scene.settle(&authorized());
        let before = scene.connection.status.clone();
        renew(&mut scene, 2, secret);
        let outstanding = scene.look(None, 0);
        assert!(outstanding.ask.is_some());
        let served_by = |status: &crds::AmazonConnectionStatus| {
            let said = [READY, AUTHORIZED].map(|type_| find(&status.conditions, type_).cloned());
            (said, status.proven.clone(), status.participations.clone(), status.authorized_at.clone())
        };
        assert_eq!(Some(served_by(&outstanding.status)), before.as_ref().map(served_by), "serving goes on unchanged");
        for no_answer in [Verdict::Unreachable("no answer".into()), Verdict::Unopenable("x".into())] {
            assert!(scene.settle(&no_answer), "and is asked for again");
            assert_eq!((proven(&scene), scene.condition(READY)), (old, is("True", "Ready")));
        }
        assert!(scene.settle(&authorized()));
        assert_eq!((proven(&scene), scene.condition(READY)), (new, is("True", "Ready")));
        assert!(!scene.settle(&authorized()));
    }
}

#[test]
fn a_wrong_new_credential_takes_nothing_away_while_the_one_before_may_be_used() {
    for (verdict, reason) in [
        (Verdict::Revoked, "AuthorizationRevoked"),
        (Verdict::ApplicationSecretRejected, "ApplicationSecretRejected"),
        (Verdict::Refused("status 404".into()), "AmazonRefused"),
    ] {
        let mut scene = Scene::new();
        scene.settle(&authorized());
        renew(&mut scene, 2, false);
        assert!(scene.settle(&verdict));
        assert_eq!(proven(&scene), (1, 1));
        assert_eq!(scene.condition(READY), is("True", "Ready"));
        assert_eq!(scene.condition(AUTHORIZED), is("True", "NewCredentialRefused"));
        assert_eq!(scene.connection.status.as_ref().unwrap().refused.as_ref().unwrap().reason, reason);
        assert!(!scene.connection.status.as_ref().unwrap().participations.is_empty());
        let rests = scene.look(None, 60);
        assert_eq!((rests.ask, Some(rests.status)), (None, scene.connection.status.clone()));

        // A test asks about the new one again, and its time comes to an end.
        annotate_test(&mut scene, "1");
        assert!(scene.settle(&verdict));
        assert!(!scene.settle(&verdict));
        let over = scene.look(None, 3601);
        assert_eq!(over.ask, None, "what Amazon said of the new one is known");
        scene.connection.status = Some(over.status);
        assert_eq!(scene.condition(READY), is("False", reason));
        assert_eq!(scene.condition(AUTHORIZED), is("False", reason));
        renew(&mut scene, 3, false);
        assert!(scene.settle(&authorized()));
        assert_eq!((proven(&scene), scene.condition(READY)), ((3, 1), is("True", "Ready")));
        assert_eq!(scene.connection.status.as_ref().unwrap().refused, None);
    }
}

#[test]
fn what_amazon_has_refused_before_serves_for_nothing() {
    let mut scene = Scene::new();
    scene.settle(&Verdict::Revoked);
    renew(&mut scene, 2, false);
    assert!(scene.settle(&Verdict::Revoked));
    assert_eq!((proven(&scene), scene.condition(READY)), ((2, 1), is("False", "AuthorizationRevoked")));

    let mut scene = Scene::new();
    scene.settle(&authorized());
    refreshed(&mut scene, State::no(REFRESHED, "AuthorizationRevoked", ""), 60);
    renew(&mut scene, 2, false);
    assert!(scene.settle(&Verdict::Unreachable("no answer".into())));
    assert_eq!(scene.condition(READY), is("False", "AmazonUnreachable"), "a gateway was refused with the old one");
}

#[test]
fn with_a_secret_that_amazon_refuses_the_one_before_is_tried() {
    let mut scene = Scene::new();
    renew(&mut scene, 2, true);
    let question = scene.look(None, 0).ask.unwrap();
    assert_eq!(question.second_secret.as_ref().unwrap().spec.generation, 1);
    let refused = Verdict::ApplicationSecretRejected.refusal(question.credentials());
    let asked_with = ProvenCredentials { client_secret: 1, ..question.credentials() };
    let answer = Answer { asked_with, test: None, verdict: authorized(), passed_over: Some(refused) };
    scene.connection.status = Some(scene.look(Some(&answer), 1).status);
    assert_eq!((proven(&scene), scene.condition(READY)), ((1, 1), is("True", "Ready")));
    assert_eq!(scene.condition(AUTHORIZED), is("True", "NewCredentialRefused"));
    assert!(!scene.connection.status.as_ref().unwrap().participations.is_empty());
    assert!(!scene.settle(&authorized()), "and is not asked for without end");
}

#[test]
fn a_retired_refresh_token_is_never_used() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    renew(&mut scene, 2, false);
    scene.refresh_token.as_mut().unwrap().spec.retired = true;
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("False", "ConsentRequired"));
    assert_eq!(scene.condition(AUTHORIZED), is("Unknown", "ConsentRequired"));
}

fn annotate(meta: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta, key: &str, value: &str) {
    meta.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

fn team_meta(scene: &mut Scene) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
    &mut scene.team.as_mut().unwrap().0.as_mut().unwrap().metadata
}

/// Rotates the stored refresh token as the shell does, where that is planned; tells with what.
fn rotate(scene: &mut Scene, later_seconds: i64) -> Option<crds::StoredRotation> {
    let rotation = scene.look(None, later_seconds).rotate?;
    let spec = &mut scene.refresh_token.as_mut().unwrap().spec;
    spec.generation += 1;
    (spec.retired, spec.previous, spec.rotation) = (true, None, Some(rotation.clone()));
    spec.not_before = rotation.at.clone().unwrap();
    Some(rotation)
}

/// The new refresh token after a rotation, what was rotated away beside it.
fn consent(scene: &mut Scene, later_seconds: i64) {
    let spec = &mut scene.refresh_token.as_mut().unwrap().spec;
    let old = spec.clone();
    let destroyed = old.destroyed;
    let previous = crds::PreviousCredential {
        generation: old.generation,
        sealed_at: old.sealed_at,
        data: old.data,
        wrap: old.wrap,
        until: None,
    };
    spec.previous = Some(previous).filter(|_| !destroyed);
    spec.generation += 1;
    (spec.retired, spec.destroyed) = (false, false);
    spec.sealed_at.0 = now() + SignedDuration::from_secs(later_seconds);
}

/// Tries the old token where that is planned, and writes the status.
fn try_old(scene: &mut Scene, verdict: &Verdict, later_seconds: i64) -> Option<Tidy> {
    let question = scene.look(None, later_seconds).try_old?;
    let generation = question.refresh_token.spec.generation;
    let tried = Tried { generation, test: question.test, verdict: verdict.clone() };
    let plan = scene.look_with(None, Some(&tried), later_seconds);
    assert_eq!(plan.try_old, None, "once it is tried it is at rest");
    scene.connection.status = Some(plan.status);
    let again = scene.look(None, later_seconds);
    assert_eq!((again.try_old, Some(again.status)), (None, scene.connection.status.clone()));
    Some(plan.tidy).flatten()
}

#[test]
fn each_new_value_rotates_once_of_the_connection_and_of_its_team() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    assert_eq!(rotate(&mut scene, 0), None);
    annotate(&mut scene.connection.metadata, ROTATE, "1");
    scene.newest_token = Some(now() + SignedDuration::from_secs(30));
    let rotation = rotate(&mut scene, 10).unwrap();
    assert_eq!((rotation.value.as_deref(), rotation.team_value.as_deref()), (Some("1"), None));
    assert_eq!(rotation.at.unwrap().0, now() + SignedDuration::from_secs(30), "no token outlives it by a slow clock");
    scene.newest_token = None;
    for later in [10, 3600] {
        assert_eq!(rotate(&mut scene, later), None);
    }
    // With the status lost, as when a backup comes back, nothing happens again.
    scene.connection.status = None;
    assert_eq!(rotate(&mut scene, 20), None);
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.connection.status.as_ref().unwrap().rotation.as_ref().unwrap().value.as_deref(), Some("1"));

    annotate(team_meta(&mut scene), ROTATE, "1");
    let rotation = rotate(&mut scene, 40).unwrap();
    assert_eq!((rotation.value.as_deref(), rotation.team_value.as_deref()), (Some("1"), Some("1")));
    assert_eq!(rotate(&mut scene, 50), None);
    scene.connection.metadata.annotations = None;
    team_meta(&mut scene).annotations = None;
    assert_eq!(rotate(&mut scene, 60), None, "taking them away does nothing");
    annotate(&mut scene.connection.metadata, ROTATE, "1");
    assert_eq!(rotate(&mut scene, 70), None, "nor does setting them again");
    annotate(&mut scene.connection.metadata, ROTATE, "2");
    assert!(rotate(&mut scene, 80).is_some());
}

#[test]
fn what_is_rotated_away_is_used_no_more_and_says_what_the_seller_must_do() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    annotate(&mut scene.connection.metadata, ROTATE, "1");
    rotate(&mut scene, 10).unwrap();
    assert!(!scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("False", "ConsentRequired"));
    assert_eq!(scene.condition(CONSENT_REQUESTED), is("True", "Rotated"));
    assert_eq!(scene.condition(OLD_TOKEN_STILL_ACCEPTED), is("Unknown", "NotTriedYet"));
    let status = scene.connection.status.clone().unwrap();
    for type_ in [READY, CONSENT_REQUESTED] {
        let message = &find(&status.conditions, type_).unwrap().message;
        let link = "https://sellercentral.amazon.com/apps/authorize/consent?application_id=";
        assert!(
            message.contains(link) && message.contains("openteam seal --for amazonconnection/acme/na"),
            "{message}"
        );
    }
    consent(&mut scene, 100);
    assert!(scene.settle(&authorized()));
    assert_eq!(scene.condition(READY), is("True", "Ready"));
    assert_eq!(scene.condition(CONSENT_REQUESTED), is("False", "Consented"));
}

#[test]
fn the_old_token_is_tried_after_rotation_and_consent_each_day_and_when_asked_also_while_contained() {
    let accepted = || is("True", "AcceptedByAmazon");
    let day = 24 * 3600;
    for is_contained in [false, true] {
        let mut scene = Scene::new();
        scene.settle(&authorized());
        annotate(&mut scene.connection.metadata, ROTATE, "1");
        if is_contained {
            annotate(&mut scene.connection.metadata, DISABLE, "inc-7");
        }
        rotate(&mut scene, 10).unwrap();
        assert_eq!(scene.look(None, 10).ask, None);
        // An Amazon that does not answer says nothing, and is asked again in time.
        try_old_without_answer(&mut scene, 10);
        assert_eq!(try_old(&mut scene, &authorized(), 20), None);
        assert_eq!(scene.condition(OLD_TOKEN_STILL_ACCEPTED), accepted());
        assert!(scene.look(None, 30).try_old.is_none());
        consent(&mut scene, 100);
        assert_eq!(try_old(&mut scene, &authorized(), 110), None, "once more after the consent");
        assert!(scene.look(None, 120).try_old.is_none());
        annotate(&mut scene.connection.metadata, TEST, "now");
        assert_eq!(try_old(&mut scene, &authorized(), 130), None, "when somebody asks");
        assert!(scene.look(None, 130 + day - 1).try_old.is_none());
        assert_eq!(try_old(&mut scene, &authorized(), 130 + day), None, "and each day");
        let before = scene.connection.status.clone();
        let question = scene.look(None, 130 + 2 * day).try_old.unwrap();
        let generation = question.refresh_token.spec.generation;
        let tried = Tried { generation, test: None, verdict: Verdict::Unreachable("no answer".into()) };
        let plan = scene.look_with(None, Some(&tried), 130 + 2 * day);
        let said = |status: &crds::AmazonConnectionStatus| find(&status.conditions, OLD_TOKEN_STILL_ACCEPTED).cloned();
        assert_eq!(said(&plan.status), before.as_ref().and_then(said), "what is known is not taken back");

        assert_eq!(try_old(&mut scene, &Verdict::Revoked, 130 + 2 * day), Some(Tidy::Destroy));
        assert_eq!(scene.condition(OLD_TOKEN_STILL_ACCEPTED), is("False", "RefusedByAmazon"));
        assert_eq!(scene.look(None, 130 + 2 * day).tidy, Some(Tidy::Destroy), "until it is gone");
        scene.refresh_token.as_mut().unwrap().spec.previous = None;
        let rests = scene.look(None, 130 + 9 * day);
        assert_eq!((rests.tidy, rests.try_old), (None, None));
        assert_eq!(find(&rests.status.conditions, OLD_TOKEN_STILL_ACCEPTED).unwrap().status, "False");
    }
}

fn try_old_without_answer(scene: &mut Scene, later_seconds: i64) {
    let question = scene.look(None, later_seconds).try_old.unwrap();
    let generation = question.refresh_token.spec.generation;
    let tried = Tried { generation, test: None, verdict: Verdict::Unreachable("no answer".into()) };
    scene.connection.status = Some(scene.look_with(None, Some(&tried), later_seconds).status);
    assert_eq!(scene.condition(OLD_TOKEN_STILL_ACCEPTED), is("Unknown", "AmazonUnreachable"));
    scene.not_before = Some(now() + SignedDuration::from_secs(later_seconds + 5));
    let early = scene.look(None, later_seconds);
    assert_eq!((early.try_old, early.recheck.map(|wait| wait.as_secs())), (None, Some(5)));
    scene.not_before = None;
}

#[test]
fn what_amazon_refused_before_any_consent_is_destroyed_and_a_second_rotation_begins_anew() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    annotate(&mut scene.connection.metadata, ROTATE, "1");
    rotate(&mut scene, 10).unwrap();
    assert_eq!(try_old(&mut scene, &Verdict::Revoked, 20), Some(Tidy::Destroy));
    scene.refresh_token.as_mut().unwrap().spec.destroyed = true;
    assert_eq!((scene.look(None, 30).tidy, scene.look(None, 30).try_old), (None, None));
    consent(&mut scene, 100);
    assert!(scene.settle(&authorized()));
    assert_eq!(scene.condition(OLD_TOKEN_STILL_ACCEPTED), is("False", "RefusedByAmazon"));

    annotate(&mut scene.connection.metadata, ROTATE, "2");
    rotate(&mut scene, 200).unwrap();
    assert_eq!(try_old(&mut scene, &authorized(), 210), None);
    assert_eq!(scene.condition(OLD_TOKEN_STILL_ACCEPTED), is("True", "AcceptedByAmazon"), "the second one's own word");
}

#[test]
fn without_anything_stored_a_rotation_is_told_and_makes_what_was_sealed_by_then_old() {
    let mut scene = Scene::new().with(|s| s.refresh_token = None);
    annotate(&mut scene.connection.metadata, ROTATE, "1");
    scene.input_under_way = true;
    assert!(!scene.look(None, 0).hold, "an input waits for it");
    scene.settle(&authorized());
    let rotation = |scene: &Scene| scene.connection.status.clone().unwrap().rotation.unwrap();
    assert_eq!((rotation(&scene).value.as_deref(), rotation(&scene).at), (Some("1"), None), "from the start: nothing");
    annotate(team_meta(&mut scene), ROTATE, "7");
    scene.settle(&authorized());
    assert_eq!(rotation(&scene).team_value.as_deref(), Some("7"));
    assert_eq!(rotation(&scene).at.unwrap().0, now());
    assert_eq!(Some(scene.look(None, 60).status), scene.connection.status);
}

#[test]
fn what_is_written_comes_back_as_it_was() {
    let mut scene = Scene::new();
    scene.settle(&authorized());
    annotate(&mut scene.connection.metadata, RENEW, "1");
    annotate(&mut scene.connection.metadata, ROTATE, "1");
    for step in 0..3 {
        let status = scene.look(None, step).status;
        let kept: crds::AmazonConnectionStatus =
            serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
        let times = |status: &crds::AmazonConnectionStatus| {
            (status.renewal.clone(), status.rotation.clone(), status.consent_mail.clone(), status.old_token.clone())
        };
        assert_eq!(times(&status), times(&kept));
        scene.connection.status = Some(kept);
        rotate(&mut scene, step);
    }
}

#[test]
fn a_renewal_is_asked_for_once_and_over_with_a_newer_token_that_amazon_accepts() {
    let mut scene = Scene::new();
    annotate(&mut scene.connection.metadata, RENEW, "0");
    scene.settle(&authorized());
    let renewal = |scene: &Scene| scene.connection.status.clone().unwrap().renewal.unwrap();
    assert_eq!(renewal(&scene).asked_at, None, "what was there from the start asks nobody");
    assert!(find(&scene.connection.status.as_ref().unwrap().conditions, CONSENT_REQUESTED).is_none());
    annotate(&mut scene.connection.metadata, RENEW, "1");
    assert!(!scene.settle(&authorized()), "and costs no call");
    assert_eq!(renewal(&scene).asked_at.unwrap().0, now());
    assert_eq!(scene.condition(CONSENT_REQUESTED), is("True", "RenewalAsked"));
    assert_eq!(scene.condition(READY), is("True", "Ready"));
    assert_eq!(Some(scene.look(None, 3600).status), scene.connection.status);

    renew(&mut scene, 2, false);
    let sealed = now() + SignedDuration::from_secs(10);
    scene.refresh_token.as_mut().unwrap().spec.sealed_at.0 = sealed;
    assert!(scene.settle(&Verdict::Revoked));
    assert_eq!(renewal(&scene).done_at, None, "a wrong one ends nothing");
    assert_eq!(scene.condition(CONSENT_REQUESTED), is("True", "RenewalAsked"));
    renew(&mut scene, 3, false);
    scene.refresh_token.as_mut().unwrap().spec.sealed_at.0 = sealed;
    assert!(scene.settle(&authorized()));
    assert!(renewal(&scene).done_at.is_some());
    assert_eq!(scene.condition(CONSENT_REQUESTED), is("False", "Consented"));
    assert_eq!(scene.look(None, 60).tidy, None);
    assert_eq!(scene.look(None, 3601).tidy, Some(Tidy::DropPrevious), "when its time is over");
}

#[test]
fn who_consented_is_shown_where_the_spec_does_not_say_whose_it_is() {
    let consented = "A1EXAMPLE00001".to_owned();
    let mut scene = Scene::new();
    scene.refresh_token.as_mut().unwrap().spec.selling_partner_id = Some(consented.clone());
    scene.settle(&authorized());
    assert_eq!(scene.connection.selling_partner_id(), Some(consented.as_str()));
    // Rotated away it is still that seller's.
    scene.refresh_token.as_mut().unwrap().spec.retired = true;
    scene.settle(&authorized());
    assert_eq!(scene.connection.selling_partner_id(), Some(consented.as_str()));

    scene.connection.spec.selling_partner_id = Some("A1EXAMPLE00002".to_owned());
    scene.settle(&authorized());
    assert_eq!(scene.connection.status.as_ref().unwrap().selling_partner_id, None);
    assert_eq!(scene.connection.selling_partner_id(), Some("A1EXAMPLE00002"));
}
