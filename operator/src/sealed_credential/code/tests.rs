use amazon::RetryCause;
use crds::{
    AmazonApplicationSpec, CredentialOwner, CredentialOwnerKind, SealedCredentialSpec,
    SealedCredentialState as Settled, SealedCredentialStatus, StoredRotation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    super::{
        INPUT,
        plan::{Fault, History, Target, plan, word},
    },
    *,
};
use crate::testing::{keyset, now, stored_client_secret, stored_refresh_token};

const SELLER: &str = "A1EXAMPLE00001";
const OTHER: &str = "A1EXAMPLE00002";
const REDIRECT: &str = "https://portal.example/amazon/callback";

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn input() -> SealedCredential {
    let spec = SealedCredentialSpec {
        r#for: CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: "na".to_owned() },
        field: CredentialField::AuthorizationCode,
        consent: Some(Consent { selling_partner_id: SELLER.to_owned(), redirect_uri: Some(REDIRECT.to_owned()) }),
        ciphertext: "AAAA".to_owned(),
    };
    let mut sealed = SealedCredential::new("consent", spec);
    sealed.metadata.namespace = Some("acme".to_owned());
    sealed.metadata.generation = Some(1);
    sealed
}

fn claim_of(id: &str, input: &str) -> ExchangeClaim {
    let (id, by, input) = (id.to_owned(), "openteam-operator-1".to_owned(), input.to_owned());
    ExchangeClaim { id, by, at: claim_time(now()), input }
}

fn claimed(mut sealed: SealedCredential, input: &str) -> SealedCredential {
    sealed.status = Some(SealedCredentialStatus {
        state: Some(Settled::Exchanging),
        claim: Some(claim_of("before", input)),
        observed_generation: sealed.metadata.generation,
        ..SealedCredentialStatus::default()
    });
    sealed
}

fn way() -> Way {
    let spec = AmazonApplicationSpec {
        client_id: "client".to_owned(),
        redirect_uri: Some(REDIRECT.to_owned()),
        ..AmazonApplicationSpec::default()
    };
    let addresses =
        access::addresses(&Default::default(), &AmazonApplication::new("app", spec.clone()), false).unwrap();
    Way {
        seller: None,
        contained: None,
        twin: None,
        reach: Ok((AmazonApplication::new("app", spec), addresses)),
        client_secret: Ok(stored_client_secret(&keyset(), "acme", "app", 3)),
        second_secret: None,
    }
}

fn code(way: Way) -> Code {
    Code { way: Some(way), outcome: None, not_before: None, claim: claim_of("new", "digest") }
}

/// What is seen of a code that was sealed a minute ago.
struct Look {
    sealed: SealedCredential,
    stored: Option<StoredCredential>,
    history: History,
    code: Code,
    opened: Result<i64, Fault>,
}

impl Look {
    fn at(code: Code) -> Self {
        Self { sealed: input(), stored: None, history: History::default(), code, opened: Ok(-60) }
    }

    fn claimed(code: Code) -> Self {
        Self { sealed: claimed(input(), "digest"), ..Self::at(code) }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn plan(&self) -> Plan {
        let opened = self.opened.map(|seconds| u64::try_from(later(seconds).as_millisecond()).unwrap());
        plan(&Observed {
            sealed: &self.sealed,
            input: "digest",
            target: if self.code.way.is_some() { &Target::Free } else { &Target::Absent },
            stored: self.stored.as_ref(),
            history: &self.history,
            code: Some(&self.code),
            opened,
            now: now(),
        })
    }
}

fn verdict(plan: &Plan) -> (Settled, &str) {
    (plan.status.state.unwrap(), plan.status.reason.as_deref().unwrap())
}

#[test]
fn a_code_is_claimed_with_all_that_the_call_needs() {
    let second = stored_client_secret(&keyset(), "acme", "app", 2);
    let plan = Look::at(code(Way { second_secret: Some(second.clone()), ..way() })).plan();
    assert_eq!(verdict(&plan), (Settled::Exchanging, "Exchanging"));
    assert_eq!(plan.status.claim, Some(claim_of("new", "digest")));
    let exchange = plan.exchange.unwrap();
    assert_eq!((exchange.client_id.as_str(), exchange.client_secret.spec.generation), ("client", 3));
    assert_eq!(exchange.second_secret, Some(second));
    assert_eq!(exchange.redirect_uri.as_deref(), Some(REDIRECT));
    assert_eq!(plan.store, None);

    let none_sent =
        Look::at(code(way())).with(|it| it.sealed.spec.consent.as_mut().unwrap().redirect_uri = None).plan();
    assert_eq!(none_sent.exchange.unwrap().redirect_uri, None, "none was sent to Amazon, though one is registered");
}

#[test]
fn what_is_in_the_way_is_told_and_nothing_is_sent() {
    use Settled::{Refused, Superseded, Waiting};
    let state = |reason: &str| State::no("Ready", reason, "why");
    let gone = Code { way: None, ..code(way()) };
    let rotating = History { rotating: true, ..History::default() };
    let mut no_redirect = way();
    no_redirect.reach.as_mut().unwrap().0.spec.redirect_uri = None;
    let fresh = stored_refresh_token(&keyset(), "acme", "na", 4);
    let rotation = StoredRotation { at: Some(claim_time(now())), ..StoredRotation::default() };
    let rotated = History { rotation: Some(rotation), ..History::default() };
    for (look, expected) in [
        (Look::at(code(way())).with(|it| it.opened = Ok(-300)), (Refused, EXPIRED)),
        (Look::at(gone).with(|it| it.opened = Ok(-300)), (Refused, EXPIRED)),
        (Look::at(code(way())).with(|it| it.opened = Ok(301)), (Refused, "FromTheFuture")),
        (Look::at(code(way())).with(|it| it.opened = Err(Fault::CannotOpen)), (Refused, "CannotOpen")),
        (Look::at(code(way())).with(|it| it.sealed.spec.consent = None), (Refused, "NotACredential")),
        (Look::at(Code { way: None, ..code(way()) }), (Waiting, "TargetNotFound")),
        (Look::at(code(way())).with(|it| it.history = rotating), (Waiting, "Rotating")),
        (Look::at(code(way())).with(|it| it.history = rotated), (Superseded, "Superseded")),
        (
            Look::at(code(way())).with(|it| {
                it.stored = Some(fresh);
                it.opened = Ok(-3600);
            }),
            (Superseded, "Superseded"),
        ),
        (Look::at(code(Way { contained: Some("by inc-7".into()), ..way() })), (Waiting, "Contained")),
        (Look::at(code(Way { seller: Some(OTHER.into()), ..way() })), (Refused, SELLER_MISMATCH)),
        (Look::at(code(Way { reach: Err(state("ApplicationNotFound")), ..way() })), (Waiting, "ApplicationNotFound")),
        (
            Look::at(code(Way { client_secret: Err(state("ClientSecretMissing")), ..way() })),
            (Waiting, "ClientSecretMissing"),
        ),
        (Look::at(code(no_redirect)), (Refused, REDIRECT_URI_MISMATCH)),
        (Look::at(Code { not_before: Some(later(1)), ..code(way()) }), (Waiting, TOO_OFTEN)),
        (Look::claimed(code(way())), (Refused, INTERRUPTED)),
        // Not even by a claim on a code that the target had to wait for.
        (Look::claimed(Code { way: None, ..code(way()) }), (Refused, INTERRUPTED)),
    ] {
        let plan = look.plan();
        assert_eq!(verdict(&plan), expected);
        assert_eq!((plan.store, plan.exchange), (None, None), "{expected:?}");
        assert_eq!(plan.status.claim.is_some(), look.sealed.status.is_some(), "a claim stays: {expected:?}");
        match expected.0 {
            Refused => assert_eq!(word(expected.1), expected.1, "events know it"),
            Waiting => assert!(plan.recheck.is_some_and(|after| after <= LOOK_EVERY), "{expected:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_seller_that_is_not_the_connections_is_told_from_it_and_others_connections_are_not_named() {
    let message = |way| Look::at(code(way)).plan().status.message.unwrap();
    let mismatch = message(Way { seller: Some(OTHER.into()), ..way() });
    assert!(mismatch.contains(SELLER) && mismatch.contains(OTHER), "{mismatch}");
    assert!(message(Way { twin: Some(Twin::Beside("eu".into())), ..way() }).starts_with("AmazonConnection eu is"));
    let granted = Code { outcome: Some(Outcome::Granted), ..code(Way { twin: Some(Twin::Elsewhere), ..way() }) };
    let elsewhere = Look::claimed(granted).plan().status.message.unwrap();
    assert!(elsewhere.starts_with("a connection of another namespace is"), "{elsewhere}");
    let made_up = Look::at(code(Way { twin: Some(Twin::Elsewhere), ..way() })).plan();
    assert!(
        made_up.exchange.is_some(),
        "of a seller elsewhere nothing is told before Amazon has shown that it consented"
    );
    let same = Look::at(code(Way { seller: Some(SELLER.into()), ..way() })).plan();
    assert!(same.exchange.is_some(), "the same seller consents again");
}

#[test]
fn a_claim_counts_for_the_very_ciphertext_and_whatever_else_of_the_spec_changes() {
    let mut edited = Look::claimed(code(way()));
    edited.sealed.metadata.generation = Some(2);
    assert_eq!(verdict(&edited.plan()), (Settled::Refused, INTERRUPTED));
    let another = Look::at(code(way())).with(|it| it.sealed = claimed(input(), "another digest"));
    assert!(another.plan().exchange.is_some(), "another code was sealed in its place");
}

#[test]
fn what_amazon_gave_is_stored_as_the_next_credential_of_that_seller() {
    let granted = || Code { outcome: Some(Outcome::Granted), ..code(way()) };
    let mut stored = stored_refresh_token(&keyset(), "acme", "na", 4);
    stored.metadata.resource_version = Some("77".to_owned());
    stored.spec.retired = true;
    // The call took long: what counts is when it was sealed.
    let plan = Look::claimed(granted()).with(|it| {
        it.stored = Some(stored.clone());
        it.opened = Ok(-310);
    });
    let plan = plan.plan();
    assert_eq!(verdict(&plan), (Settled::Accepted, "Accepted"));
    assert_eq!(plan.exchange, None);
    let new = plan.store.unwrap();
    assert_eq!((new.generation, new.replaces.as_deref(), new.seller.as_deref()), (5, Some("77"), Some(SELLER)));
    assert_eq!(new.sealed_at.0, later(-310));
    assert_eq!(new.previous.map(|it| it.until), Some(None), "what was rotated away is only tested");
    assert!(plan.status.claim.is_some());
}

#[test]
fn what_amazon_gave_is_not_stored_where_that_changed_meanwhile() {
    use Settled::{Exchanging, Refused};
    let granted = |of: Option<Way>| Code { outcome: Some(Outcome::Granted), way: of, ..code(way()) };
    let rotating = History { rotating: true, ..History::default() };
    for (look, expected) in [
        (Look::claimed(granted(None)), (Refused, INTERRUPTED)),
        (Look::claimed(granted(Some(Way { contained: Some("by inc-7".into()), ..way() }))), (Refused, INTERRUPTED)),
        (Look::claimed(granted(Some(Way { seller: Some(OTHER.into()), ..way() }))), (Refused, SELLER_MISMATCH)),
        (Look::claimed(granted(Some(Way { twin: Some(Twin::Elsewhere), ..way() }))), (Refused, DUPLICATE_SELLER)),
        (Look::claimed(granted(Some(way()))).with(|it| it.history = rotating), (Exchanging, "Rotating")),
    ] {
        let plan = look.plan();
        assert_eq!(verdict(&plan), expected);
        assert_eq!((plan.store, plan.exchange), (None, None), "{expected:?}");
        assert!(plan.status.claim.is_some(), "it was sent: {expected:?}");
    }
}

#[test]
fn amazons_answers_become_words_and_only_what_was_surely_not_sent_is_sent_again() {
    let refused = |error: &LwaError| match Outcome::of(error) {
        Outcome::Refused(reason, message) => {
            assert!(message.contains("have the seller consent again"), "the way out: {message}");
            reason
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&LwaError::InvalidGrant), REJECTED);
    assert_eq!(refused(&LwaError::InvalidClient), CLIENT_SECRET_REJECTED);
    assert_eq!(refused(&LwaError::Refused(RefusedCode::RedirectUri)), REDIRECT_URI_MISMATCH);
    assert_eq!(refused(&LwaError::Refused(RefusedCode::UnauthorizedClient)), REJECTED);
    for cause in
        [RetryCause::Timeout, RetryCause::Server(503), RetryCause::Throttled, RetryCause::Nonsense("its status")]
    {
        assert_eq!(refused(&LwaError::Retry(cause)), INTERRUPTED);
    }

    let not_sent = Outcome::NotSent("amazon could not be reached".to_owned());
    let look = Look::claimed(Code { outcome: Some(not_sent), not_before: Some(later(1)), ..code(way()) });
    let plan = look.plan();
    assert_eq!(verdict(&plan), (Settled::Waiting, "AmazonUnreachable"));
    assert_eq!(plan.status.claim, None, "given back");
    let given_back = |not_before| {
        let mut look = Look::at(Code { not_before, ..code(way()) });
        look.sealed.status = Some(plan.status.clone());
        look.plan()
    };
    assert_eq!(given_back(Some(later(1))).status, plan.status, "nothing is written while it waits");
    assert!(given_back(None).exchange.is_some(), "and sent again");

    let unopenable = Outcome::Unopenable("amazonapplication.app.clientsecret".to_owned());
    let plan = Look::at(Code { outcome: Some(unopenable), ..code(way()) }).plan();
    assert_eq!(verdict(&plan), (Settled::Waiting, "CredentialUnreadable"));
    assert_eq!(plan.exchange, None);
}

#[test]
fn a_settled_code_stays_so_but_one_given_up_may_have_ended_well_elsewhere() {
    let mut stored = stored_refresh_token(&keyset(), "acme", "na", 5);
    stored.metadata.annotations = Some([(INPUT.to_owned(), "digest".to_owned())].into());
    stored.spec.sealed_at = claim_time(later(-60));
    stored.spec.not_before = claim_time(later(-60));
    let mut sealed = claimed(input(), "digest");
    let state = |sealed: &mut SealedCredential, state| sealed.status.as_mut().unwrap().state = Some(state);
    assert!(!is_settled(&input(), "digest", None) && !is_settled(&sealed, "digest", None));
    for settled in [Settled::Accepted, Settled::Superseded, Settled::Refused] {
        state(&mut sealed, settled);
        assert!(is_settled(&sealed, "digest", None), "{settled:?}");
        let mut edited = sealed.clone();
        edited.metadata.generation = Some(2);
        assert!(!is_settled(&edited, "digest", None), "{settled:?}");
    }
    state(&mut sealed, Settled::Refused);
    assert!(!is_settled(&sealed, "digest", Some(&stored)));
    let look = Look::at(code(way())).with(|it| {
        it.sealed = sealed;
        it.stored = Some(stored);
    });
    assert_eq!(verdict(&look.plan()), (Settled::Accepted, "Accepted"));
}

#[test]
fn only_settled_codes_that_the_portal_made_are_deleted() {
    let made = |state: Option<Settled>, label: Option<&str>| {
        let mut sealed = claimed(input(), "digest");
        sealed.status.as_mut().unwrap().state = state;
        sealed.metadata.labels = label.map(|by| [(MANAGED_BY.to_owned(), by.to_owned())].into());
        sealed.metadata.creation_timestamp = Some(Time(now()));
        sealed
    };
    let after = |state, label| deleted_at(&made(Some(state), label)).map(|at| at.duration_since(now()).as_hours());
    assert_eq!(after(Settled::Accepted, Some(PORTAL)), Some(1));
    assert_eq!(after(Settled::Refused, Some(PORTAL)), Some(24));
    assert_eq!(after(Settled::Superseded, Some(PORTAL)), Some(24));
    for label in [None, Some("flux"), Some("")] {
        assert_eq!(after(Settled::Accepted, label), None, "{label:?}");
    }
    for state in [Settled::Waiting, Settled::Exchanging] {
        assert_eq!(after(state, Some(PORTAL)), None, "{state:?}");
    }
    assert_eq!(deleted_at(&made(None, Some(PORTAL))), None);
    let mut token = made(Some(Settled::Accepted), Some(PORTAL));
    token.spec.field = CredentialField::RefreshToken;
    assert_eq!(deleted_at(&token), None, "a pasted token");
}
