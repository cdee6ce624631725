use std::time::Duration;

use amazon::{SecretNews, SecretNotice};
use crds::{
    AmazonApplication, AmazonApplicationStatus, PreviousCredential, SecretRotation, SecretRotationCause,
    SecretRotationPhase, SecretRotationStatus, StoredCredential, StoredTold, annotation::ROTATE,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use seal::Sealed;

use super::{
    notice::{Fate, Judgement, judge, with_new},
    plan::{Observed, Outcome, Plan, QueueState, Step, after, is_entitled, plan},
    queue::Queue,
};
use crate::testing::{keyset, now, stored_client_secret};

const CLIENT: &str = "amzn1.application-oa2-client.0123456789abcdef0123456789abcdef";
const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/openteam";

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(days * 24)
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn micro(time: Timestamp) -> Option<MicroTime> {
    Some(MicroTime(time))
}

/// One application through its passes.
struct Life {
    application: AmazonApplication,
    stored: StoredCredential,
    queue: QueueState,
    now: Timestamp,
}

impl Life {
    /// With a secret of generation 3 that was sealed an hour ago and that Amazon accepts.
    fn new() -> Self {
        let mut application = AmazonApplication::new("app", Default::default());
        application.metadata.namespace = Some("acme".into());
        application.metadata.uid = Some("1".into());
        application.spec.client_id = CLIENT.to_owned();
        application.spec.secret_rotation = Some(SecretRotation { queue_url: URL.to_owned() });
        let mut life = Self {
            application,
            stored: stored_client_secret(&keyset(), "acme", "app", 3),
            queue: QueueState::Open,
            now: now(),
        };
        assert!(matches!(life.pass().step, Some(Step::Prove(_))));
        life.comes_of(3, &Outcome::Accepted);
        life
    }

    fn annotated(mut self, value: &str) -> Self {
        self.annotate(value);
        self
    }

    fn annotate(&mut self, value: &str) {
        self.application.metadata.annotations = Some([(ROTATE.to_owned(), value.to_owned())].into());
    }

    fn look(&self) -> Plan {
        plan(&Observed {
            application: &self.application,
            stored: Some(&self.stored),
            queue: &self.queue,
            now: self.now,
        })
    }

    /// One pass, and its status written.
    fn pass(&mut self) -> Plan {
        let plan = self.look();
        let status = AmazonApplicationStatus { secret_rotation: Some(plan.status.clone()), ..Default::default() };
        self.application.status = Some(status);
        plan
    }

    fn status(&self) -> SecretRotationStatus {
        self.application.status.clone().unwrap().secret_rotation.unwrap()
    }

    fn comes_of(&mut self, generation: i64, outcome: &Outcome) {
        let status = after(&self.status(), CLIENT, generation, outcome, self.now);
        self.application.status.as_mut().unwrap().secret_rotation = Some(status);
    }

    /// A pass that asks Amazon for a new secret with this one.
    #[track_caller]
    fn requests(&mut self, with: i64) {
        match self.pass().step {
            Some(Step::Request(secret)) => assert_eq!(secret.spec.generation, with),
            step => panic!("{step:?}"),
        }
    }

    /// A pass that only tells.
    #[track_caller]
    fn rests(&mut self, status: Option<bool>, reason: &str) {
        let plan = self.pass();
        assert_eq!((plan.step, plan.state.status, plan.state.reason.as_str()), (None, status, reason));
        let again = self.look();
        assert_eq!(again.status, self.status(), "planning again changes nothing");
    }

    fn later(&mut self, by: SignedDuration) {
        self.now += by;
    }

    /// A newer secret came, the old one is good for seven days.
    fn renewed(&mut self) {
        let spec = &mut self.stored.spec;
        spec.previous = Some(PreviousCredential {
            generation: spec.generation,
            sealed_at: spec.sealed_at.clone(),
            data: spec.data.clone(),
            wrap: spec.wrap.clone(),
            until: micro(self.now + days(7)),
        });
        spec.generation += 1;
        spec.sealed_at = MicroTime(self.now);
        spec.told =
            Some(StoredTold { notice_at: micro(self.now), expires_at: micro(self.now + days(180)), warned_at: None });
    }
}

#[test]
fn a_secret_is_proven_once_and_rests_until_its_end_is_near() {
    let mut life = Life::new();
    life.rests(Some(true), "Current");
    life.later(days(140));
    life.rests(Some(true), "Current");
    life.later(days(11));
    life.requests(3);
    assert_eq!(life.status().cause, Some(SecretRotationCause::Schedule));
}

#[test]
fn each_new_value_asks_amazon_once_and_a_newer_secret_ends_it() {
    let mut life = Life::new().annotated("1");
    life.requests(3);
    let status = life.status();
    assert_eq!((status.value.as_deref(), status.phase), (Some("1"), Some(SecretRotationPhase::Requesting)));
    life.comes_of(3, &Outcome::Requested);
    life.rests(Some(true), "Rotating");
    life.later(seconds(100));
    life.rests(Some(true), "Rotating");
    life.renewed();
    assert!(matches!(life.pass().step, Some(Step::Prove(secret)) if secret.spec.generation == 4));
    life.comes_of(4, &Outcome::Accepted);
    life.rests(Some(true), "Current");
    let status = life.status();
    assert_eq!((status.phase, status.replaces, status.attempts), (None, None, None));
    assert!(status.rotated_at.is_some() && status.old_secret_until.is_some());
    life.later(days(1));
    life.rests(Some(true), "Current");
    life.annotate("2");
    life.requests(4);
    // A new value while one is under way is a further rotation, no sooner than Amazon lets us.
    life.comes_of(4, &Outcome::Requested);
    life.annotate("3");
    life.rests(Some(true), "Rotating");
    life.later(seconds(70));
    life.requests(4);
}

#[test]
fn what_was_acted_on_is_known_from_a_restored_backup_too() {
    let mut life = Life::new().annotated("1");
    life.stored.spec.rotation = Some(crds::StoredRotation { value: Some("1".into()), ..Default::default() });
    life.rests(Some(true), "Current");
    life.annotate("2");
    life.requests(3);
}

#[test]
fn a_question_of_which_nobody_knows_whether_it_was_heard_is_repeated_after_a_while() {
    let mut killed = Life::new().annotated("1");
    killed.requests(3);
    let mut unknown = Life::new().annotated("1");
    unknown.requests(3);
    unknown.comes_of(3, &Outcome::Unknown);
    for mut life in [killed, unknown] {
        life.rests(Some(true), "Rotating");
        life.later(seconds(80));
        life.rests(Some(true), "Rotating");
        life.later(seconds(20));
        life.requests(3);
        assert_eq!(life.status().attempts, Some(2));
        // Had the first been heard, the secret that it made ends this one.
        life.renewed();
        life.pass();
        assert_eq!(life.status().phase, None);
    }
}

#[test]
fn a_refusal_is_told_with_what_to_do_and_asked_about_again_ever_more_rarely() {
    for (outcome, reason) in [
        (Outcome::NotEnrolled, "NotEnrolled"),
        (Outcome::NotAllowed, "RotationNotAllowed"),
        (Outcome::Refused, "AmazonRefused"),
        (Outcome::Unreachable, "AmazonUnreachable"),
        (Outcome::Unopenable, "CredentialUnreadable"),
    ] {
        let mut life = Life::new().annotated("1");
        for pause in [120, 300, 900, 1800, 3600, 3600] {
            life.requests(3);
            life.comes_of(3, &outcome);
            life.rests(Some(false), reason);
            assert!(life.look().state.message.contains("openteam seal --for amazonapplication/acme/app"));
            life.later(seconds(pause - 10));
            life.rests(Some(false), reason);
            life.later(seconds(11));
        }
        life.requests(3);
        life.comes_of(3, &Outcome::Requested);
        life.rests(Some(true), "Rotating");
    }
}

#[test]
fn a_new_secret_that_does_not_come_is_told_of_and_asked_for_again_before_the_old_one_dies() {
    let mut life = Life::new().annotated("1");
    life.requests(3);
    life.comes_of(3, &Outcome::Requested);
    life.later(seconds(3599));
    life.rests(Some(true), "Rotating");
    life.later(seconds(2));
    life.rests(Some(false), "NewSecretOverdue");
    life.later(days(1));
    life.requests(3);
}

#[test]
fn without_a_queue_people_are_told_what_to_do_and_their_new_secret_ends_it() {
    let mut life = Life::new().annotated("1");
    (life.queue, life.application.spec.secret_rotation) = (QueueState::None, None);
    life.rests(Some(false), "RotateByHand");
    assert!(life.look().state.message.contains("Developer Console"));
    life.renewed();
    life.rests(Some(true), "Current");
    life.later(days(110));
    life.stored.spec.previous = None;
    for (wait, reason) in [(11, "ExpiresWithin60Days"), (30, "ExpiresWithin30Days"), (23, "ExpiresWithin7Days")] {
        life.later(days(wait));
        life.rests(Some(true), reason);
    }
    life.later(days(7));
    life.rests(Some(false), "ClientSecretExpired");
}

#[test]
fn nothing_is_begun_while_the_queue_cannot_be_read() {
    for (queue, status, reason) in
        [(QueueState::Fault("no".into()), Some(false), "QueueUnreadable"), (QueueState::Unknown, Some(true), "Current")]
    {
        let mut life = Life::new().annotated("1");
        life.queue = queue;
        life.rests(status, reason);
        assert_eq!(life.status().value, None, "it is not forgotten");
        life.queue = QueueState::Open;
        life.requests(3);
    }
}

#[test]
fn amazons_word_that_a_secret_ends_rotates_it() {
    let mut life = Life::new();
    life.stored.spec.told = Some(StoredTold {
        expires_at: micro(life.now + days(90)),
        warned_at: micro(life.now),
        ..StoredTold::default()
    });
    life.requests(3);
    assert_eq!(life.status().cause, Some(SecretRotationCause::Notice));
    life.comes_of(3, &Outcome::Requested);
    life.rests(Some(true), "Rotating");
    assert_eq!(life.status().secret_expires_at.unwrap().0, life.now + days(90));
}

#[test]
fn a_secret_that_amazon_refuses_is_passed_over_for_the_one_before() {
    let mut life = Life::new();
    life.renewed();
    assert!(matches!(life.pass().step, Some(Step::Prove(_))));
    life.comes_of(4, &Outcome::Rejected);
    // The one before was proven already.
    life.rests(Some(false), "ClientSecretRejected");
    assert!(is_entitled(&life.application, &life.stored));
    life.annotate("1");
    life.requests(3);

    let mut life = Life::new();
    life.application.status = None;
    life.renewed();
    assert!(matches!(life.pass().step, Some(Step::Prove(_))));
    life.comes_of(4, &Outcome::Rejected);
    assert!(matches!(life.pass().step, Some(Step::Prove(secret)) if secret.spec.generation == 3));
    life.comes_of(3, &Outcome::Rejected);
    life.annotate("1");
    life.rests(Some(false), "ClientSecretRejected");
    assert!(!is_entitled(&life.application, &life.stored));
}

#[test]
fn only_who_has_shown_a_secret_of_this_client_is_entitled_to_the_next() {
    let life = Life::new();
    assert!(is_entitled(&life.application, &life.stored));
    let mut died = Life::new();
    died.comes_of(3, &Outcome::Rejected);
    assert!(is_entitled(&died.application, &died.stored), "it died while nobody looked");
    let mut of_another = life.application.clone();
    of_another.spec.client_id = CLIENT.replace('0', "1");
    assert!(!is_entitled(&of_another, &life.stored));
    let mut new = life.application.clone();
    new.status = None;
    assert!(!is_entitled(&new, &life.stored));
    let mut not_allowed = Life::new();
    not_allowed.application.status = None;
    not_allowed.pass();
    not_allowed.comes_of(3, &Outcome::NotAllowed);
    assert!(!is_entitled(&not_allowed.application, &not_allowed.stored));
}

#[test]
fn a_secret_that_has_died_at_amazon_is_destroyed_here() {
    let mut life = Life::new();
    life.renewed();
    life.pass();
    life.comes_of(4, &Outcome::Accepted);
    life.rests(Some(true), "Current");
    life.later(days(7));
    let plan = life.pass();
    assert_eq!((plan.step, plan.status.old_secret_until), (Some(Step::Destroy), None));
}

fn new_secret(published_at: Timestamp) -> SecretNotice {
    let news = SecretNews::New {
        secret: "plainly fake".into(),
        expires_at: published_at + days(180),
        old_expires_at: published_at + days(7),
    };
    SecretNotice { client_id: CLIENT.to_owned(), published_at, news }
}

fn expiry(published_at: Timestamp, at: Timestamp) -> SecretNotice {
    SecretNotice { client_id: CLIENT.to_owned(), published_at, news: SecretNews::Expires(at) }
}

#[test]
fn a_notice_is_judged_by_what_is_stored_whatever_order_they_come_in() {
    let mut spec = stored_client_secret(&keyset(), "acme", "app", 3).spec;
    let sealed = spec.sealed_at.0;
    assert_eq!(judge(&spec, &new_secret(now()), now()), Judgement::Try);
    assert_eq!(
        judge(&spec, &new_secret(sealed - days(1)), now()),
        Judgement::Try,
        "pasted later, perhaps an older one"
    );
    assert_eq!(judge(&spec, &new_secret(now() - days(181)), now()), Judgement::Over);
    let told = StoredTold { expires_at: micro(now() + days(9)), warned_at: micro(now()), notice_at: None };
    assert_eq!(judge(&spec, &expiry(now(), now() + days(9)), now()), Judgement::Note(told.clone()));
    assert_eq!(judge(&spec, &expiry(sealed - days(1), now()), now()), Judgement::Over, "it is about the one before");

    spec.told = Some(told);
    assert_eq!(judge(&spec, &expiry(now(), now() + days(9)), now()), Judgement::Known);
    assert_eq!(judge(&spec, &expiry(now() - seconds(1), now() + days(8)), now()), Judgement::Known, "an older one");
    assert_eq!(judge(&spec, &new_secret(now() - seconds(1)), now()), Judgement::Try, "published before the warning");

    spec.told = Some(StoredTold { notice_at: micro(now()), ..StoredTold::default() });
    for older in [seconds(0), seconds(1), days(3)] {
        assert_eq!(judge(&spec, &new_secret(now() - older), now()), Judgement::Known);
        assert_eq!(judge(&spec, &expiry(now() - older, now()), now()), Judgement::Over);
    }
    assert_eq!(judge(&spec, &new_secret(now() + seconds(1)), now()), Judgement::Try);
}

#[test]
fn the_new_secret_takes_its_place_beside_the_one_that_works() {
    let stored = stored_client_secret(&keyset(), "acme", "app", 3).spec;
    let sealed = || Sealed { data: "new".to_owned(), wrap: "new-wrap".to_owned() };
    let ends = (now() + days(180), now() + days(7));
    let store = |stored: &crds::StoredCredentialSpec, proven, published| {
        with_new(stored, proven, sealed(), &new_secret(published), ends, Some("1".to_owned()), now())
    };
    let new = store(&stored, Some(3), now() - seconds(5));
    assert_eq!((new.generation, new.data.as_str(), new.wrap.as_str()), (4, "new", "new-wrap"));
    assert_eq!((new.sealed_at.0, new.not_before.0), (now() - seconds(5), now() - seconds(5)));
    let previous = new.previous.clone().unwrap();
    assert_eq!((previous.generation, &previous.data, previous.until), (3, &stored.data, micro(now() + days(7))));
    assert_eq!(new.rotation.as_ref().unwrap().value.as_deref(), Some("1"));
    let told = new.told.clone().unwrap();
    assert_eq!((told.notice_at, told.expires_at), (micro(now() - seconds(5)), micro(now() + days(180))));

    // The newest never worked: what did stays.
    let next = store(&new, Some(3), now());
    assert_eq!((next.generation, next.previous.unwrap().generation), (5, 3));
    let next = store(&new, Some(4), now());
    assert_eq!((next.generation, next.previous.unwrap().generation), (5, 4));

    // Pasted after the notice was published: perhaps the newest of all, so it is kept for as long as it can live.
    let late = store(&stored, Some(3), stored.sealed_at.0 - days(1));
    assert_eq!(late.previous.unwrap().until, micro(stored.sealed_at.0 + days(180)));
    assert_eq!(late.not_before, stored.not_before, "no older input comes back");

    // A clock of Amazon's that is ahead stops no input for long.
    assert_eq!(store(&stored, Some(3), now() + seconds(60)).not_before.0, now());
    let dead = with_new(&stored, Some(3), sealed(), &new_secret(now()), (ends.0, now()), None, now());
    assert_eq!(dead.previous, None, "the old one is dead already");
}

#[test]
fn no_message_goes_round_and_round() {
    for fate in Fate::ALL {
        let pauses: Vec<Option<Duration>> = (1..40).map(|received| fate.hidden_for(received)).collect();
        if matches!(fate, Fate::Taken | Fate::Known | Fate::Over) {
            assert!(pauses.iter().all(Option::is_none));
            continue;
        }
        assert!(pauses.iter().all(|pause| pause.unwrap() >= Duration::from_secs(5)), "{fate:?}");
        assert!(pauses.is_sorted() && pauses.last() > pauses.first(), "{fate:?}");
        assert!(pauses.iter().all(|pause| pause.unwrap() <= Duration::from_secs(12 * 3600)), "{fate:?}");
    }
    assert!(Fate::Over < Fate::Failed, "one application that has not taken it keeps it in the queue");
}

#[test]
fn a_queue_elsewhere_takes_permission_and_its_region_is_in_its_url() {
    let mut application = Life::new().application;
    let queue = Queue::of(&application, false).unwrap().unwrap();
    assert_eq!(application.spec.secret_rotation.as_ref().unwrap().region(), Some("eu-west-1"));
    application.spec.endpoints =
        Some(crds::Endpoints { sqs: Some("https://sqs.example".into()), ..Default::default() });
    assert!(Queue::of(&application, false).unwrap().is_err());
    assert_ne!(Queue::of(&application, true).unwrap().unwrap(), queue);
    application.spec.secret_rotation = None;
    assert!(Queue::of(&application, true).is_none());
}
