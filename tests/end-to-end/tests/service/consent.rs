//! The code of a seller's consent: exchanged once, whatever happens, or refused with what to do.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use amazon_emulator::{Change, Fault, Secret, Seller};
use crds::{
    AmazonApplication, AmazonConnection, AmazonConnectionSpec, CredentialField, CredentialOwner, CredentialOwnerKind,
    LocalReference, NamespacedReference, SealedCredential, SealedCredentialState as State, SealedCredentialStatus,
    StoredCredential,
    annotation::{RENEW, ROTATE},
    condition::{CONSENT_REQUESTED, OLD_TOKEN_STILL_ACCEPTED, READY, find},
    stored_credential_name,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use openteam_end_to_end::{House, NAMESPACE, Tenant, US, alone, eventually, house};
use serde_json::{Value, json};

const OPERATOR: &str = "openteam-operator-0";
const CALLBACK: &str = "https://portal.example/amazon/callback";

/// As Amazon's consent page gives it.
fn code(house: &House, seller: &Seller) -> Secret {
    house.amazon().emulator().code(&seller.seller_id, CALLBACK).unwrap()
}

fn status(tenant: &Tenant<'_>, input: &str) -> Option<SealedCredentialStatus> {
    let read: SealedCredential = tenant.house().read(&tenant.name, input);
    read.status.filter(|status| status.observed_generation == read.metadata.generation)
}

/// Waits until this is said of an input.
fn becomes(tenant: &Tenant<'_>, input: &str, state: State, reason: &str) -> SealedCredentialStatus {
    eventually(&format!("{input} is {state:?}, {reason}"), || {
        let status = status(tenant, input)?;
        (status.state == Some(state) && status.reason.as_deref() == Some(reason)).then_some(status)
    })
}

/// The same of a refusal: what its message says.
fn refused(tenant: &Tenant<'_>, input: &str, reason: &str) -> String {
    becomes(tenant, input, State::Refused, reason).message.unwrap()
}

fn stored(tenant: &Tenant<'_>, connection: &str) -> Option<StoredCredential> {
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: connection.to_owned() };
    let api: Api<StoredCredential> = Api::namespaced(tenant.house().client().clone(), &tenant.name);
    let name = stored_credential_name(&owner, CredentialField::RefreshToken);
    tenant.house().block_on(api.get_opt(&name)).unwrap()
}

fn generation(tenant: &Tenant<'_>, connection: &str) -> i64 {
    stored(tenant, connection).map_or(0, |stored| stored.spec.generation)
}

fn connection(tenant: &Tenant<'_>, name: &str) -> AmazonConnection {
    tenant.house().read(&tenant.name, name)
}

fn annotate(tenant: &Tenant<'_>, key: &str, value: &str) {
    let patch = json!({ "metadata": { "annotations": { key: value } } });
    tenant.house().patch::<AmazonConnection>(&tenant.name, &tenant.connection, &patch);
}

fn condition_becomes(tenant: &Tenant<'_>, type_: &str, status: &str, reason: &str) {
    eventually(&format!("{type_} is {status}, {reason}"), || {
        let found = connection(tenant, &tenant.connection).status?;
        let it = find(&found.conditions, type_)?;
        (it.status == status && it.reason == reason).then_some(())
    });
}

#[test]
fn a_consent_makes_its_connection_ready_and_says_whose_it_is() {
    let house = house();
    let tenant = house.tenant("consenting");
    let patch = json!({ "spec": { "redirectUri": CALLBACK } });
    house.patch::<AmazonApplication>(&tenant.name, "amazon", &patch);
    let seller = tenant.add_connection_without_consent("second");
    let code = code(&house, &seller);
    tenant.seal_code("consent", "second", &seller, &code, Some(CALLBACK));
    let accepted = becomes(&tenant, "consent", State::Accepted, "Accepted");
    let claim = accepted.claim.unwrap();
    assert_eq!(claim.by, OPERATOR);
    tenant.wait_until_ready("second");
    let found = connection(&tenant, "second");
    assert_eq!(found.spec.selling_partner_id, None);
    assert_eq!(found.status.unwrap().selling_partner_id.as_deref(), Some(seller.seller_id.as_str()));
    let kept = stored(&tenant, "second").unwrap();
    assert_eq!(kept.spec.selling_partner_id.as_deref(), Some(seller.seller_id.as_str()));
    assert_eq!((kept.spec.field, kept.spec.generation), (CredentialField::RefreshToken, 1));

    // Before the call it was recorded, and after it too; what was taken and stored as well.
    eventually("all of it is in the journal", || {
        let journal = house.journal();
        let of_call = |record: &&Value| record["event"]["metadata"]["correlation_uid"] == claim.id.as_str();
        let calls: Vec<&Value> = journal.iter().filter(of_call).collect();
        let messages: Vec<&str> = calls
            .iter()
            .filter(|it| it.to_string().contains("lwa/o2/authorizationCode"))
            .map(|it| it["event"]["message"].as_str().unwrap())
            .collect();
        let about = |name: &str, message: &str, field: &str| {
            journal.iter().any(|it| {
                let (event, text) = (&it["event"], it.to_string());
                event["message"] == message && text.contains(&format!("consenting/{name}\"")) && text.contains(field)
            })
        };
        let stored = "amazonconnection.second.refreshtoken";
        (messages.len() == 2
            && messages[0] == "call intended"
            && about("consent", "sealed credential accepted", "AuthorizationCode")
            && about(stored, "credential sealed", "RefreshToken"))
        .then_some(())
    });

    // It stays as it is, whatever comes later.
    tenant.seal_code("consent-2", "second", &seller, &self::code(&house, &seller), Some(CALLBACK));
    becomes(&tenant, "consent-2", State::Accepted, "Accepted");
    assert_eq!(generation(&tenant, "second"), 2);
    assert_eq!(status(&tenant, "consent").unwrap().state, Some(State::Accepted));
}

#[test]
fn a_code_that_is_used_garbage_or_too_old_is_refused_with_what_to_do() {
    let house = house();
    let tenant = house.tenant("refused-codes");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    let used = code(&house, &seller);
    tenant.seal_code("used", &connection, &seller, &used, None);
    becomes(&tenant, "used", State::Accepted, "Accepted");
    let before = generation(&tenant, &connection);
    tenant.seal_code("again", &connection, &seller, &used, None);
    let message = refused(&tenant, "again", "ConsentRejected");
    assert!(message.contains("used before") && message.contains("have the seller consent again"), "{message}");
    for (input, garbage) in [("letter", "x".to_owned()), ("long", "x&y=%7c".repeat(300))] {
        tenant.seal_code(input, &connection, &seller, &Secret::new(garbage), None);
        refused(&tenant, input, "ConsentRejected");
    }

    // Sealed a while ago, as by a portal whose operator was away.
    let keys: Api<ConfigMap> = Api::namespaced(house.client().clone(), NAMESPACE);
    let keys = house.block_on(keys.get("openteam-sealing-keys")).unwrap().data.unwrap();
    let key = seal::PublicKey::from_entry(&keys["current"], &keys[&keys["current"]]).unwrap();
    let binding = seal::Binding {
        namespace: &tenant.name,
        kind: "AmazonConnection",
        name: &connection,
        field: "AuthorizationCode",
    };
    // Later than what is stored, so that it is no replay; the clock is that of this machine.
    let other = tenant.add_connection_without_consent("late");
    let binding = seal::Binding { name: "late", ..binding };
    let at = Timestamp::now() - SignedDuration::from_secs(301);
    let fresh = code(&house, &other);
    let text = seal::seal_input(&key, &binding, u64::try_from(at.as_millisecond()).unwrap(), fresh.expose().as_bytes());
    let spec = json!({
        "for": { "kind": "AmazonConnection", "name": "late" }, "field": "AuthorizationCode",
        "consent": { "sellingPartnerId": other.seller_id }, "ciphertext": text.unwrap(),
    });
    let mut late = SealedCredential::new("late", serde_json::from_value(spec).unwrap());
    late.metadata.namespace = Some(tenant.name.clone());
    house.apply(&late);
    let message = refused(&tenant, "late", "ConsentExpired");
    assert!(message.contains("five minutes") && message.contains("consent again"), "{message}");
    assert_eq!(status(&tenant, "late").unwrap().claim, None, "Amazon was not asked");

    assert_eq!(generation(&tenant, &connection), before);
    house.gateway(0).call(&tenant.agent_token()).orders(US).is_served();
}

#[test]
fn another_seller_or_one_that_is_connected_already_is_told_and_nothing_is_stored() {
    let house = house();
    let (tenant, neighbour) = (house.tenant("doubling"), house.tenant("doubling-too"));
    let before = generation(&tenant, &tenant.connection);
    let stranger = tenant.add_connection_without_consent("second");
    tenant.seal_code("mismatch", &tenant.connection, &stranger, &code(&house, &stranger), None);
    let message = refused(&tenant, "mismatch", "SellerMismatch");
    assert!(message.contains(&stranger.seller_id) && message.contains(&tenant.seller.seller_id), "{message}");
    assert_eq!(generation(&tenant, &tenant.connection), before);

    tenant.seal_code("beside", "second", &tenant.seller, &code(&house, &tenant.seller), None);
    let message = refused(&tenant, "beside", "DuplicateSeller");
    assert!(message.contains("AmazonConnection doubling-na is authorized"), "{message}");

    // Of another namespace, by the same application.
    let all = json!({ "spec": { "allowedNamespaces": {} } });
    house.patch::<AmazonApplication>(&tenant.name, "amazon", &all);
    let mut elsewhere = AmazonConnection::new(
        "elsewhere",
        AmazonConnectionSpec {
            team_ref: LocalReference::to(&neighbour.name),
            application_ref: NamespacedReference { namespace: tenant.name.clone(), name: "amazon".to_owned() },
            marketplace_ids: vec![US.to_owned()],
            ..AmazonConnectionSpec::default()
        },
    );
    elsewhere.metadata.namespace = Some(neighbour.name.clone());
    house.apply(&elsewhere);
    neighbour.seal_code("far", "elsewhere", &tenant.seller, &code(&house, &tenant.seller), None);
    let message = refused(&neighbour, "far", "DuplicateSeller");
    assert!(message.contains("a connection of another namespace") && !message.contains("doubling-na"), "{message}");
    for input in ["mismatch", "beside"] {
        assert_eq!(status(&tenant, input).unwrap().claim, None, "Amazon was not asked");
    }
    assert_eq!((generation(&tenant, "second"), generation(&neighbour, "elsewhere")), (0, 0));

    // A seller that has consented to nothing else is welcome, and the connection is that seller's from then on.
    neighbour.seal_code("first", "elsewhere", &stranger, &code(&house, &stranger), None);
    becomes(&neighbour, "first", State::Accepted, "Accepted");
    neighbour.wait_until_ready("elsewhere");
    neighbour.seal_code("other", "elsewhere", &neighbour.seller, &code(&house, &neighbour.seller), None);
    refused(&neighbour, "other", "SellerMismatch");
}

#[test]
fn a_redirect_uri_other_than_the_registered_is_refused() {
    let house = house();
    let tenant = house.tenant("redirected");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    tenant.seal_code("unknown", &connection, &seller, &code(&house, &seller), Some(CALLBACK));
    let message = refused(&tenant, "unknown", "RedirectUriMismatch");
    assert!(message.contains("spec.redirectUri of AmazonApplication amazon"), "{message}");
    assert_eq!(status(&tenant, "unknown").unwrap().claim, None, "Amazon was not asked");
    // Registered here, but the code was given for another.
    let other = "https://portal.example/other";
    house.patch::<AmazonApplication>(&tenant.name, "amazon", &json!({ "spec": { "redirectUri": other } }));
    tenant.seal_code("another", &connection, &seller, &code(&house, &seller), Some(other));
    let message = refused(&tenant, "another", "RedirectUriMismatch");
    assert!(message.contains("registered with Amazon"), "{message}");
}

#[test]
fn a_code_waits_while_its_connection_is_contained() {
    let house = house();
    let tenant = house.tenant("contained-code");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    let before = generation(&tenant, &connection);
    for (kind, name) in [("amzc", connection.as_str()), ("amza", "amazon"), ("team", &tenant.name)] {
        let object = format!("{kind}/{name}");
        let input = format!("of-{kind}");
        let annotate = |value: &str| {
            house.kubectl().run(&["annotate", &object, "-n", &tenant.name, "--overwrite", value]).unwrap();
        };
        annotate("openteam.dev/disable=contained-code-1");
        // Seen by the operator before the code comes.
        condition_becomes(&tenant, READY, "False", "Contained");
        tenant.seal_code(&input, &connection, &seller, &code(&house, &seller), None);
        let waiting = becomes(&tenant, &input, State::Waiting, "Contained");
        assert!(waiting.message.unwrap().contains("contained-code-1") && waiting.claim.is_none());
        match kind {
            "amzc" => house.restore::<AmazonConnection>(&tenant.name, name),
            "amza" => house.restore::<AmazonApplication>(&tenant.name, name),
            _ => house.restore::<crds::Team>(&tenant.name, name),
        }
        becomes(&tenant, &input, State::Accepted, "Accepted");
    }
    assert_eq!(generation(&tenant, &connection), before + 3);
}

#[test]
fn a_consent_ends_a_rotation_and_a_renewal() {
    let house = house();
    let tenant = house.tenant("consent-rotates");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    annotate(&tenant, RENEW, "yearly");
    condition_becomes(&tenant, CONSENT_REQUESTED, "True", "RenewalAsked");
    tenant.seal_code("renewal", &connection, &seller, &code(&house, &seller), None);
    condition_becomes(&tenant, CONSENT_REQUESTED, "False", "Consented");
    let renewed = self::connection(&tenant, &connection).status.unwrap().renewal.unwrap();
    assert!(renewed.done_at.is_some());

    annotate(&tenant, ROTATE, "leaked");
    condition_becomes(&tenant, READY, "False", "ConsentRequired");
    tenant.seal_code("rotation", &connection, &seller, &code(&house, &seller), None);
    tenant.wait_until_ready(&connection);
    condition_becomes(&tenant, CONSENT_REQUESTED, "False", "Consented");
    condition_becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "True", "AcceptedByAmazon");
    let kept = stored(&tenant, &connection).unwrap().spec;
    assert!(!kept.retired && kept.previous.is_some_and(|previous| previous.until.is_none()));
    house.gateway(0).call(&tenant.agent_token()).orders(US).is_served();
}

#[test]
fn a_code_that_could_not_be_sent_is_given_back_and_sent_again() {
    let house = house();
    let tenant = house.tenant("unsent");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("https://localhost:{}", closed.local_addr().unwrap().port());
    drop(closed);
    let lwa = |address: &str| {
        let patch = json!({ "spec": { "endpoints": { "lwa": address } } });
        house.patch::<AmazonApplication>(&tenant.name, "amazon", &patch);
    };
    lwa(&nobody);
    tenant.seal_code("consent", &connection, &seller, &code(&house, &seller), None);
    let waiting = becomes(&tenant, "consent", State::Waiting, "AmazonUnreachable");
    assert!(waiting.claim.is_none() && waiting.message.unwrap().contains("was not sent"));
    lwa(house.amazon().endpoints().lwa.as_deref().unwrap());
    becomes(&tenant, "consent", State::Accepted, "Accepted");
}

#[test]
fn the_client_secret_before_is_tried_second_and_two_wrong_ones_are_told() {
    let house = house();
    let tenant = house.tenant_apart("second-secret", false);
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    let wrong = format!("amzn1.oa2-cs.v1.{}", "0".repeat(64));
    let secret = || house.seal("amazonapplication/second-secret/amazon", "client-secret", &wrong);
    secret();
    eventually("a wrong one was stored", || {
        let stored: StoredCredential = house.read(&tenant.name, "amazonapplication.amazon.clientsecret");
        (stored.spec.generation == 2).then_some(())
    });
    tenant.seal_code("second", &connection, &seller, &code(&house, &seller), None);
    becomes(&tenant, "second", State::Accepted, "Accepted");

    // At Amazon the one before ends too.
    let client = tenant.application.client_id.clone();
    let other = Secret::new(format!("amzn1.oa2-cs.v1.{}", "1".repeat(64)));
    let change = Change { client_secrets: [(client, Some(other))].into(), ..Change::default() };
    house.amazon().switches().apply(change).unwrap();
    tenant.seal_code("neither", &connection, &seller, &code(&house, &seller), None);
    let message = refused(&tenant, "neither", "ClientSecretRejected");
    assert!(message.contains("seal its current client secret"), "{message}");
}

#[test]
fn a_code_whose_answer_is_lost_is_never_sent_again() {
    let house = alone();
    let tenant = house.tenant("interrupted");
    let seller = tenant.add_connection_without_consent("second");
    let sent = || house.amazon().counters().all("lwa");
    let fault = |fault| house.amazon().switches().apply(Change { lwa: Some(fault), ..Change::default() }).unwrap();

    // Killed while Amazon hangs.
    fault(Fault::Hang);
    let before = sent();
    tenant.seal_code("killed", "second", &seller, &code(&house, &seller), None);
    let claim = becomes(&tenant, "killed", State::Exchanging, "Exchanging").claim.unwrap();
    eventually("it was sent", || (sent() == before + 1).then_some(()));
    house.kill(OPERATOR);
    fault(Fault::None);
    house.restart(OPERATOR);
    let status = becomes(&tenant, "killed", State::Refused, "ConsentInterrupted");
    assert_eq!(status.claim.as_ref(), Some(&claim));
    let message = status.message.unwrap();
    assert!(message.contains(OPERATOR) && message.contains("consent again"), "{message}");
    // Not even when something else of it changes.
    let patch = json!({ "spec": { "consent": { "redirectUri": CALLBACK } } });
    house.patch::<SealedCredential>(&tenant.name, "killed", &patch);
    refused(&tenant, "killed", "ConsentInterrupted");
    assert_eq!(sent(), before + 1);

    // Answers that nobody can use.
    for (input, fault_) in [("nonsense", Fault::Nonsense), ("failed", Fault::Status(503)), ("sent-on", Fault::Redirect)]
    {
        let before = sent();
        fault(fault_);
        tenant.seal_code(input, "second", &seller, &code(&house, &seller), None);
        let message = refused(&tenant, input, "ConsentInterrupted");
        assert!(message.contains("a code is good once"), "{message}");
        assert_eq!(sent(), before + 1, "{input}");
    }
    fault(Fault::None);
    assert_eq!(generation(&tenant, "second"), 0);
    tenant.seal_code("second-try", "second", &seller, &code(&house, &seller), None);
    becomes(&tenant, "second-try", State::Accepted, "Accepted");
    tenant.wait_until_ready("second");
}

#[test]
fn whoever_else_writes_meanwhile_loses_no_refresh_token() {
    let house = alone();
    let tenant = house.tenant("contended");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    let before = generation(&tenant, &connection);
    house.amazon().switches().apply(Change { lwa: Some(Fault::Slow { delay_ms: 700 }), ..Change::default() }).unwrap();
    tenant.seal_code("contended", &connection, &seller, &code(&house, &seller), None);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let stored = format!("amazonconnection.{connection}.refreshtoken");
            for round in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let patch = json!({ "metadata": { "annotations": { "example.com/round": round.to_string() } } });
                house.patch::<SealedCredential>(&tenant.name, "contended", &patch);
                house.patch::<StoredCredential>(&tenant.name, &stored, &patch);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("it is sent and answered, and what came of it is kept", || {
                (generation(&tenant, &connection) == before + 1).then_some(())
            });
        }));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    becomes(&tenant, "contended", State::Accepted, "Accepted");
    assert_eq!(generation(&tenant, &connection), before + 1, "once");
}

#[test]
fn killed_at_any_moment_a_consent_is_kept_or_lost_and_says_which() {
    let house = alone();
    let tenant = house.tenant("consent-killed");
    let (connection, seller) = (tenant.connection.clone(), tenant.seller.clone());
    for (round, wait) in [0, 10, 25, 50, 80, 120, 200].into_iter().enumerate() {
        let before = generation(&tenant, &connection);
        let input = format!("round-{round}");
        tenant.seal_code(&input, &connection, &seller, &code(&house, &seller), None);
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
        let state = eventually("it is settled", || {
            let status = status(&tenant, &input)?;
            let reason = status.reason.as_deref().unwrap().to_owned();
            matches!(status.state?, State::Accepted | State::Refused).then_some((status.state?, reason))
        });
        let kept = generation(&tenant, &connection) - before;
        match state {
            (State::Accepted, _) => assert_eq!(kept, 1, "round {round}"),
            (State::Refused, reason) => assert_eq!((kept, reason.as_str()), (0, "ConsentInterrupted"), "round {round}"),
            other => unreachable!("{other:?}"),
        }
    }
    tenant.seal_code("last", &connection, &seller, &code(&house, &seller), None);
    becomes(&tenant, "last", State::Accepted, "Accepted");
    tenant.wait_until_ready(&connection);
}
