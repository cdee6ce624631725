//! What asking for a code and entering one does to a PortalUser. Pure.
//!
//! A stranger who knows an address can ask for codes in its name, and enter wrong ones. So each browser has a code of its own,
//! and what is too much counts by network; what comes from a browser that the person has signed in with before counts by that
//! browser alone. Nobody is locked out by what others do elsewhere.

use crds::{KnownBrowser, NetworkFailures, PortalUserSpec, SentCode, SignInCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::code::same;

/// How long a code works.
pub(crate) const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Wrong codes that may be entered for one that was mailed.
pub(crate) const TRIES: i64 = 5;
/// Mails with a code to one address in an hour, for each known browser and for each network.
pub(crate) const MAILS_AN_HOUR: usize = 5;
/// The same for all networks together: a mailbox is not to be flooded either.
pub(crate) const MAILS_IN_ALL: usize = 20;
/// What is remembered of an address's mails; the schema has room for no more.
const MOST_SENT: usize = 60;
/// Networks whose wrong codes are told apart; the schema has room for no more.
const MOST_NETWORKS: usize = 16;
/// Wrong codes in a row that lock.
pub(crate) const FAILURES: i64 = 10;
/// How long.
pub(crate) const LOCK: SignedDuration = SignedDuration::from_hours(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// How far another replica's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// What came of asking for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is to be mailed.
    Mail,
    /// Too many wrong ones were entered.
    Locked,
    /// Too many were mailed in an hour.
    TooMany,
}

/// What came of entering one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It was right, and works no more.
    Right,
    /// It was wrong.
    Wrong,
    /// It was wrong, and no more are taken for a while: the person is to be told.
    LockedNow,
    /// There is none to compare with: none was asked for in this browser, or it is used up or over.
    NoCode,
    /// No code is taken for now.
    Locked,
}

/// The known browser that holds what has this hash.
pub(crate) fn known<'a>(spec: &'a PortalUserSpec, hash: &str, now: Timestamp) -> Option<&'a KnownBrowser> {
    let lives = SignedDuration::from_hours(24 * crate::cookie::BROWSER_DAYS);
    spec.browsers.iter().find(|browser| same(&browser.hash, hash) && browser.signed_in_at.0 + lives > now)
}

/// Where something comes from: a browser that the person has signed in with, by its id, or else a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From<'a> {
    /// Hash of what the browser holds.
    pub(crate) browser: &'a str,
    /// Its id, where it is known.
    pub(crate) known: Option<&'a str>,
    /// The network, as it is kept.
    pub(crate) network: &'a str,
}

/// A browser asks for a code, whose hash is `code`.
pub(crate) fn ask(spec: &mut PortalUserSpec, from: &From<'_>, code: &str, now: Timestamp) -> Asked {
    forget(spec, now);
    if locked(spec, from.known, from.network, now) {
        return Asked::Locked;
    }
    let of_others = || spec.sent.iter().filter(|sent| sent.known.is_none());
    let too_many = match from.known {
        Some(id) => spec.sent.iter().filter(|sent| sent.known.as_deref() == Some(id)).count() >= MAILS_AN_HOUR,
        None => {
            of_others().filter(|sent| sent.network == from.network).count() >= MAILS_AN_HOUR
                || of_others().count() >= MAILS_IN_ALL
        }
    };
    if too_many || spec.sent.len() >= MOST_SENT {
        return Asked::TooMany;
    }
    let known = from.known.map(str::to_owned);
    let network = from.network.to_owned();
    // One at a time: the newest of this known browser, or of this network.
    spec.codes.retain(|other| match &known {
        Some(_) => other.known != known,
        None => other.known.is_some() || other.network != network,
    });
    spec.codes.push(SignInCode {
        browser: from.browser.to_owned(),
        network: network.clone(),
        known: known.clone(),
        code: code.to_owned(),
        expires_at: MicroTime(now + CODE_LIFE),
        tries_left: TRIES,
    });
    spec.sent.push(SentCode { at: MicroTime(now), network, known });
    Asked::Mail
}

/// A browser enters a code from `network`; `browser` and `code` are hashes.
pub(crate) fn enter(spec: &mut PortalUserSpec, browser: &str, network: &str, code: &str, now: Timestamp) -> Tried {
    forget(spec, now);
    let Some(at) = spec.codes.iter().position(|one| same(&one.browser, browser)) else {
        return Tried::NoCode;
    };
    let known = spec.codes[at].known.clone();
    if locked(spec, known.as_deref(), network, now) {
        return Tried::Locked;
    }
    if same(&spec.codes[at].code, code) {
        spec.codes.remove(at);
        count(spec, known.as_deref(), network, now, |failures, _| *failures = 0);
        return Tried::Right;
    }
    spec.codes[at].tries_left -= 1;
    if spec.codes[at].tries_left <= 0 {
        spec.codes.remove(at);
    }
    let mut tried = Tried::Wrong;
    count(spec, known.as_deref(), network, now, |failures, until| {
        *failures += 1;
        if *failures >= FAILURES {
            *failures = 0;
            *until = Some(MicroTime(now + LOCK));
            tried = Tried::LockedNow;
        }
    });
    if tried == Tried::LockedNow {
        spec.codes.retain(|one| one.known != known || (known.is_none() && one.network != network));
    }
    tried
}

/// What is over. What lies ahead of the clock was written by one that was wrong, and counts for nothing.
fn forget(spec: &mut PortalUserSpec, now: Timestamp) {
    let ahead = now + AHEAD;
    spec.codes.retain(|code| code.expires_at.0 > now && code.expires_at.0 <= ahead + CODE_LIFE);
    spec.sent.retain(|sent| sent.at.0 + HOUR > now && sent.at.0 <= ahead);
    spec.failures.retain(|one| one.at.0 + HOUR > now && one.at.0 <= ahead);
}

fn locked(spec: &PortalUserSpec, known: Option<&str>, network: &str, now: Timestamp) -> bool {
    let until = match known {
        None => spec.failures.iter().find(|one| one.network == network).and_then(|one| one.locked_until.as_ref()),
        Some(id) => spec.browsers.iter().find(|browser| browser.id == id).and_then(|it| it.locked_until.as_ref()),
    };
    until.is_some_and(|until| until.0 > now && until.0 <= now + LOCK + AHEAD)
}

fn count(
    spec: &mut PortalUserSpec,
    known: Option<&str>,
    network: &str,
    now: Timestamp,
    change: impl FnOnce(&mut i64, &mut Option<MicroTime>),
) {
    let Some(id) = known else {
        let mut one = match spec.failures.iter().position(|one| one.network == network) {
            Some(at) => spec.failures.remove(at),
            None => {
                NetworkFailures { network: network.to_owned(), failures: 0, locked_until: None, at: MicroTime(now) }
            }
        };
        change(&mut one.failures, &mut one.locked_until);
        one.at = MicroTime(now);
        if one.failures > 0 || one.locked_until.is_some() {
            // The one that was quiet the longest makes way.
            let surplus = (spec.failures.len() + 1).saturating_sub(MOST_NETWORKS);
            spec.failures.drain(..surplus);
            spec.failures.push(one);
        }
        return;
    };
    if let Some(browser) = spec.browsers.iter_mut().find(|browser| browser.id == id) {
        change(&mut browser.failures, &mut browser.locked_until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn from<'a>(browser: &'a str, known: Option<&'a str>, network: &'a str) -> From<'a> {
        From { browser, known, network }
    }

    /// Ada, who has signed in once with the browser `home`.
    fn ada() -> PortalUserSpec {
        let home = KnownBrowser {
            id: "home".into(),
            hash: "home-hash".into(),
            signed_in_at: MicroTime(at(-1000)),
            failures: 0,
            locked_until: None,
        };
        PortalUserSpec { email: "ada@acme.example".into(), browsers: vec![home], ..PortalUserSpec::default() }
    }

    #[test]
    fn a_code_works_once_in_the_browser_that_asked_for_ten_minutes() {
        let mut spec = ada();
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "right", at(0)), Asked::Mail);
        assert_eq!(enter(&mut spec.clone(), "other", "net", "right", at(1)), Tried::NoCode, "another browser");
        assert_eq!(enter(&mut spec.clone(), "b", "net", "right", at(10)), Tried::NoCode, "too late");
        assert_eq!(enter(&mut spec, "b", "net", "right", at(9)), Tried::Right);
        assert_eq!(enter(&mut spec, "b", "net", "right", at(9)), Tried::NoCode, "a second time");
    }

    #[test]
    fn five_wrong_ones_use_a_code_up() {
        let mut spec = ada();
        ask(&mut spec, &from("b", None, "net"), "right", at(0));
        for _ in 0..TRIES {
            assert_eq!(enter(&mut spec, "b", "net", "wrong", at(1)), Tried::Wrong);
        }
        assert_eq!(enter(&mut spec, "b", "net", "right", at(1)), Tried::NoCode);
    }

    #[test]
    fn what_a_stranger_does_elsewhere_locks_no_new_browser_out_either() {
        let mut spec = ada();
        assert_eq!(ask(&mut spec, &from("new", None, "home"), "right", at(0)), Asked::Mail);
        for _ in 0..10 {
            ask(&mut spec, &from("stranger", None, "elsewhere"), "code", at(0));
            for _ in 0..TRIES {
                enter(&mut spec, "stranger", "elsewhere", "wrong", at(0));
            }
        }
        assert_eq!(ask(&mut spec, &from("stranger", None, "elsewhere"), "code", at(0)), Asked::Locked);
        assert_eq!(enter(&mut spec, "new", "home", "right", at(1)), Tried::Right, "its code is still good");
        assert_eq!(ask(&mut spec, &from("new", None, "home"), "code", at(1)), Asked::Mail);
    }

    #[test]
    fn a_mailbox_is_not_flooded_from_many_networks_and_nothing_outgrows_the_schema() {
        let mut spec = ada();
        let mailed = (0..200).filter(|number| {
            let network = format!("net{}", number % 50);
            ask(&mut spec, &from("stranger", None, &network), "code", at(0)) == Asked::Mail
        });
        assert_eq!(mailed.count(), MAILS_IN_ALL);
        for number in 0..50 {
            let network = format!("net{number}");
            spec.codes.push(SignInCode {
                browser: network.clone(),
                network: network.clone(),
                known: None,
                code: "right".into(),
                expires_at: MicroTime(at(10)),
                tries_left: TRIES,
            });
            enter(&mut spec, &network, &network, "wrong", at(1));
        }
        assert!(spec.failures.len() <= 16 && spec.sent.len() <= 64, "{spec:?}");
        assert_eq!(ask(&mut spec, &from("b", Some("home"), "net"), "code", at(0)), Asked::Mail);
    }

    #[test]
    fn what_a_clock_that_was_ahead_wrote_locks_nobody() {
        let mut spec = ada();
        for _ in 0..2 {
            ask(&mut spec, &from("b", None, "net"), "right", at(10_000));
            for _ in 0..TRIES {
                enter(&mut spec, "b", "net", "wrong", at(10_000));
            }
        }
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "right", at(0)), Asked::Mail);
        assert_eq!(enter(&mut spec, "b", "net", "right", at(1)), Tried::Right);
    }

    #[test]
    fn there_is_one_code_at_a_time() {
        let mut spec = ada();
        ask(&mut spec, &from("b", None, "net"), "first", at(0));
        ask(&mut spec, &from("b", None, "net"), "second", at(1));
        assert_eq!(enter(&mut spec, "b", "net", "first", at(1)), Tried::Wrong);
        assert_eq!(enter(&mut spec, "b", "net", "second", at(1)), Tried::Right);
    }

    #[test]
    fn five_mails_an_hour_and_then_one_for_each_that_is_an_hour_old() {
        let mut spec = ada();
        for minute in 0..5 {
            assert_eq!(ask(&mut spec, &from("b", None, "net"), "code", at(minute)), Asked::Mail);
        }
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "code", at(59)), Asked::TooMany);
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "code", at(60)), Asked::Mail);
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "code", at(60)), Asked::TooMany);
    }

    #[test]
    fn ten_wrong_ones_in_a_row_lock_for_an_hour_and_a_right_one_in_between_does_not() {
        let mut spec = ada();
        let wrong = |spec: &mut PortalUserSpec, times: i64| {
            let mut last = Tried::NoCode;
            for turn in 0..times {
                if turn % TRIES == 0 {
                    ask(spec, &from("b", None, "net"), "right", at(0));
                }
                last = enter(spec, "b", "net", "wrong", at(0));
            }
            last
        };
        assert_eq!(wrong(&mut spec, FAILURES - 1), Tried::Wrong);
        let mut freed = spec.clone();
        assert_eq!(enter(&mut freed, "b", "net", "right", at(1)), Tried::Right);
        assert_eq!(freed.failures, []);
        assert_eq!(enter(&mut spec, "b", "net", "wrong", at(1)), Tried::LockedNow);
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "right", at(60)), Asked::Locked);
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "right", at(61)), Asked::Mail);
    }

    #[test]
    fn what_a_stranger_does_locks_no_browser_that_the_person_knows() {
        let mut spec = ada();
        // Every mail that strangers get, and a lock.
        for _ in 0..10 {
            ask(&mut spec, &from("stranger", None, "net"), "code", at(0));
            for _ in 0..TRIES {
                enter(&mut spec, "stranger", "net", "wrong", at(0));
            }
        }
        assert_eq!(ask(&mut spec, &from("stranger", None, "net"), "code", at(0)), Asked::Locked);
        assert_eq!(known(&spec, "home-hash", at(0)).map(|it| it.id.as_str()), Some("home"));
        assert_eq!(ask(&mut spec, &from("b", Some("home"), "net"), "right", at(0)), Asked::Mail);
        assert_eq!(enter(&mut spec, "b", "net", "right", at(1)), Tried::Right);
    }

    #[test]
    fn a_stranger_does_not_take_the_place_of_a_known_browsers_code() {
        let mut spec = ada();
        ask(&mut spec, &from("b", Some("home"), "net"), "right", at(0));
        ask(&mut spec, &from("stranger", None, "net"), "other", at(0));
        assert_eq!(enter(&mut spec, "b", "net", "right", at(1)), Tried::Right);
    }

    #[test]
    fn a_known_browser_has_a_lock_of_its_own_and_is_known_for_a_time() {
        let mut spec = ada();
        for _ in 0..2 {
            ask(&mut spec, &from("b", Some("home"), "net"), "right", at(0));
            for _ in 0..TRIES {
                enter(&mut spec, "b", "net", "wrong", at(0));
            }
        }
        assert_eq!(ask(&mut spec, &from("b", Some("home"), "net"), "right", at(1)), Asked::Locked);
        assert_eq!(ask(&mut spec, &from("b", None, "net"), "right", at(1)), Asked::Mail);
        assert!(known(&spec, "other-hash", at(0)).is_none());
        assert!(known(&spec, "home-hash", at(181 * 24 * 60)).is_none());
    }
}
