use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use audit::wire::digest::{Count, Detections, Digest, Log, Outcome};
use http::StatusCode;
use jiff::SignedDuration;
use process::review::{OfRecorder, ReviewDigest, WitnessedLog, signature};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    plan::{FIRST_AFTER, MAKE_EVERY, SIGN_WITHIN, WAIT, due, next},
    *,
};
use crate::{
    stores::Stores,
    testing::{apiserver, context, now},
};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn log() -> Log {
    let (shard, origin) = ("2026q4".to_owned(), "audit.c/openteam-recorder-0/2026q4".to_owned());
    Log { shard, origin, size: 7, root: "cm9vdA==".to_owned(), flaws: Vec::new(), more_flaws: 0 }
}

fn content() -> ReviewDigest {
    let counts = vec![Count {
        class: 6003,
        caption: "API Activity".to_owned(),
        outcome: Outcome::Refused,
        events: 12,
        occurrences: 40,
    }];
    let detections = vec![Detections { kind: "NewNetwork".to_owned(), events: 2 }];
    let digest = Digest { counts, detections, logs: vec![log()], ..Digest::default() };
    ReviewDigest {
        uid: Uuid::now_v7(),
        from: now() - MAKE_EVERY,
        to: now(),
        is_verified: true,
        recorders: vec![OfRecorder { pod: "openteam-recorder-0".to_owned(), digest: Some(digest), missing: None }],
        witnessed: vec![WitnessedLog { origin: log().origin, size: 7, root: log().root }],
        access: process::review::Access::default(),
    }
}

fn made() -> Kept {
    let content = content();
    let json = serde_json::to_string(&content).unwrap();
    plan::kept(content, json, None, now())
}

fn seen<'a>(kept: Option<&'a Kept>, annotation: Option<&'a str>, now: Timestamp) -> Seen<'a> {
    Seen { installed: crate::testing::now() - MAKE_EVERY * 5, is_damaged: false, kept, annotation, now }
}

#[test]
fn the_first_digest_is_made_a_day_after_the_installation() {
    let first = |after: SignedDuration| {
        let seen = Seen { installed: now(), is_damaged: false, kept: None, annotation: None, now: now() + after };
        (due(&seen), format!("{:?}", next(&seen)))
    };
    let by = now() + FIRST_AFTER + SIGN_WITHIN;
    assert_eq!(first(FIRST_AFTER - SECOND), (by, "Wait".to_owned()));
    let from = now();
    assert_eq!(first(FIRST_AFTER), (by, format!("{:?}", Step::Make { from, may_lack: false })));
    assert_eq!(first(FIRST_AFTER + WAIT).1, format!("{:?}", Step::Make { from, may_lack: true }));
}

#[test]
fn between_two_signatures_there_are_14_days_at_most() {
    assert!(MAKE_EVERY + SIGN_WITHIN <= SignedDuration::from_hours(14 * 24));
    let mut kept = made();
    assert_eq!(next(&seen(Some(&kept), None, now() + MAKE_EVERY - SECOND)), Step::Wait);
    assert_eq!(due(&seen(Some(&kept), None, now())), now() + SIGN_WITHIN);
    // Nobody signed it off: the next one has all of it, and is as late.
    let Step::Make { from, .. } = next(&seen(Some(&kept), None, now() + MAKE_EVERY)) else { panic!() };
    assert_eq!(from, kept.content.from);
    let later = plan::kept(content(), "{}".to_owned(), Some(&kept), now() + MAKE_EVERY);
    assert_eq!(later.due_by, kept.due_by);
    kept.signed_off = Some(SignedOff { by: "jane".to_owned(), at: now() });
    let Step::Make { from, .. } = next(&seen(Some(&kept), None, now() + MAKE_EVERY)) else { panic!() };
    assert_eq!(from, kept.content.to);
    assert_eq!(due(&seen(Some(&kept), None, now())), now() + MAKE_EVERY + SIGN_WITHIN);
}

#[test]
fn a_signature_counts_once_and_for_this_digest_only() {
    let mut kept = made();
    let right = signature(&kept.digest(), "jane@example.com");
    // Even when the next one is due already.
    for at in [now(), now() + MAKE_EVERY * 2] {
        assert_eq!(next(&seen(Some(&kept), Some(&right), at)), Step::SignOff { by: "jane@example.com".to_owned() });
    }
    let other = signature("sha256:00", "jane@example.com");
    assert_eq!(next(&seen(Some(&kept), Some(&other), now())), Step::Wait);
    kept.signed_off = Some(SignedOff { by: "jane@example.com".to_owned(), at: now() });
    assert_eq!(next(&seen(Some(&kept), Some(&right), now())), Step::Wait);
}

#[test]
fn what_was_damaged_is_made_anew_at_once() {
    let seen = Seen { is_damaged: true, ..seen(None, None, now()) };
    assert!(matches!(next(&seen), Step::Make { .. }));
}

#[test]
fn a_mail_has_numbers_and_checkpoints_and_no_name_of_anybody() {
    let kept = made();
    let letter = letter::letter(&kept, "openteam-system");
    for part in [
        &kept.digest(),
        "every log is whole",
        "6003 API Activity Refused: 12",
        "needs a look: 2 NewNetwork",
        "audit.c/openteam-recorder-0/2026q4\n7\ncm9vdA==\n",
        "openteam audit review sign-off -n openteam-system",
    ] {
        assert!(letter.text.contains(part), "{part} is not in\n{}", letter.text);
    }
    let mut content = content();
    content.is_verified = false;
    content.recorders[0].digest = None;
    content.recorders[0].missing = Some("503".to_owned());
    let letter = letter::letter(&Kept { content, ..kept }, "openteam-system");
    assert!(letter.text.contains("NOT EVERY LOG") && letter.text.contains("did not answer: 503"), "{}", letter.text);
}

#[test]
fn a_digest_fits_into_a_configmap_however_many_teams_there_are() {
    let team = |number: usize| process::review::TeamAccess {
        team: format!("acme/{number}"),
        connections: vec!["a".repeat(253); 100],
        ..process::review::TeamAccess::default()
    };
    let access = process::review::Access { teams: (0..100).map(team).collect(), more_teams: 0 };
    let known = checkpoints::Checkpoints::default();
    let (content, json) = digest::made(now(), now(), Vec::new(), &known, access).unwrap();
    assert!(json.len() <= 700 * 1024 && !content.access.teams.is_empty());
    assert_eq!(content.access.teams.len() as u64 + content.access.more_teams, 100);
}

#[test]
fn one_log_that_is_not_whole_or_no_answer_and_the_digest_says_so() {
    let known = checkpoints::Checkpoints::default();
    let made = |digest: Option<Digest>| {
        let recorders = vec![OfRecorder { pod: "r".to_owned(), digest, missing: None }];
        digest::made(now(), now(), recorders, &known, process::review::Access::default()).unwrap().0.is_verified
    };
    assert!(made(Some(Digest { logs: vec![log()], ..Digest::default() })));
    assert!(!made(None));
    let broken = Log { flaws: vec!["tile/0/000 is missing".to_owned()], ..log() };
    assert!(!made(Some(Digest { logs: vec![log(), broken], ..Digest::default() })));
}

/// Reviews of an apiserver that keeps what is written, with no recorder at all.
fn reviews(maps: &Arc<Mutex<BTreeMap<String, Value>>>) -> Reviews {
    let maps = maps.clone();
    let client = apiserver(move |method, path, body| {
        let name = path.rsplit('/').next().unwrap().to_owned();
        let mut maps = maps.lock().unwrap_or_else(PoisonError::into_inner);
        if method != http::Method::GET {
            maps.insert(name.clone(), serde_json::from_slice(body).unwrap());
        }
        match maps.get(&name) {
            Some(map) => (StatusCode::OK, map.clone()),
            None => (
                StatusCode::NOT_FOUND,
                json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "" }),
            ),
        }
    });
    let (stores, _feeding) = Stores::watch(&client, "openteam-system");
    Reviews {
        context: Arc::new(context(client, stores)),
        recorders: Vec::new(),
        http: Arc::new(reqwest::Client::new),
        metrics: Metrics::register(&process::metrics::Metrics::new(audit::Role::Operator)),
    }
}

#[tokio::test]
async fn without_a_record_of_it_nothing_is_signed_off() {
    let kept = made();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": NAME, "namespace": "openteam-system", "resourceVersion": "7",
            "annotations": { SIGNED_OFF: signature(&kept.digest(), "jane") },
        },
        "data": kept.data(),
    });
    let installed = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": checkpoints::NAME, "creationTimestamp": "2026-01-01T00:00:00Z" },
    });
    let maps = Arc::new(Mutex::new(BTreeMap::from([
        (NAME.to_owned(), map.clone()),
        (checkpoints::NAME.to_owned(), installed),
    ])));
    let reviews = reviews(&maps);
    let error = reviews.pass(now(), true).await.unwrap_err();
    assert!(matches!(error, ReviewError::Record(_)), "{error}");
    assert_eq!(maps.lock().unwrap_or_else(PoisonError::into_inner)[NAME], map);
    assert_eq!(reviews.metrics.due.get(), kept.due_by.as_second());
}

/// The objects of a list.
fn there_is(path: &str) -> Vec<Value> {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "openteam.dev/v1alpha1", "kind": kind, "spec": spec,
            "metadata": { "namespace": "acme", "name": name, "resourceVersion": "1" },
        })
    };
    let scope = || json!({ "connections": ["na"], "marketplaceIds": ["ATVPDKIKX0DER"] });
    let token = |name: &str, ends: Timestamp| {
        let spec = json!({
            "teamRef": { "name": "sales" }, "scope": scope(), "expiresAt": ends.to_string(),
            "issuedBy": "ann@example.com", "hash": "0".repeat(64),
        });
        object("RuntimeToken", name, spec)
    };
    match path.rsplit('/').next().unwrap_or_default() {
        "teams" => {
            let members = json!([
                { "email": "Ann@example.com", "role": "Owner" }, { "email": "bob@example.com", "role": "Viewer" },
            ]);
            vec![object("Team", "sales", json!({ "members": members }))]
        }
        "agentgrants" => {
            let account = json!({ "name": "agent" });
            let spec = json!({ "teamRef": { "name": "gone" }, "serviceAccount": account, "scope": scope() });
            vec![object("AgentGrant", "grant", spec)]
        }
        "runtimetokens" => vec![token("later", now() + SECOND * 2), token("ended", now()), token("ci", now() + SECOND)],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn an_access_list_names_objects_and_people_only_by_their_digest() {
    let client = apiserver(|_, path, _| {
        (StatusCode::OK, json!({ "metadata": { "resourceVersion": "1" }, "items": there_is(path) }))
    });
    let (stores, feeding) = Stores::watch(&client, "openteam-system");
    tokio::spawn(feeding);
    stores.synced().await;
    let key = audit::DigestKey::new([7; 32]);
    let access = access::access(&stores, &|address| key.email(address), now());
    let [gone, sales] = &access.teams[..] else { panic!("{access:?}") };
    assert_eq!((&*gone.team, &*gone.agent_grants[0].service_account), ("acme/gone", "agent"));
    let ann = key.email("ann@example.com").as_str().to_owned();
    let members: Vec<_> = sales.members.iter().map(|it| (it.member.clone(), &*it.role)).collect();
    let bob = key.email("bob@example.com").as_str().to_owned();
    assert_eq!(members, [(ann.clone(), "Owner"), (bob, "Viewer")]);
    let tokens: Vec<_> = sales.runtime_tokens.iter().map(|it| (&*it.name, &it.issued_by)).collect();
    assert_eq!(tokens, [("ci", &ann), ("later", &ann)], "one has ended");
    assert!(!serde_json::to_string(&access).unwrap().contains("example.com"));
}
