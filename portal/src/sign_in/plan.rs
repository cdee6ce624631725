//! What asking for a code and entering one does to a PortalUser. Pure.
//!
//! A stranger who knows an address can ask for codes in its name, and enter wrong ones. What comes from browsers that the
//! person has signed in with before counts by itself, so that this locks nobody out of these.

use crds::{KnownBrowser, PortalUserSpec, SentCode, SignInCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::code::same;

/// How long a code works.
pub(crate) const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Wrong codes that may be entered for one that was mailed.
pub(crate) const TRIES: i64 = 5;
/// Mails with a code in an hour: to one address, for each known browser and for all others together.
pub(crate) const MAILS_AN_HOUR: usize = 5;
/// Wrong codes in a row that lock.
pub(crate) const FAILURES: i64 = 10;
/// How long.
pub(crate) const LOCK: SignedDuration = SignedDuration::from_hours(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

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

/// A browser asks for a code, whose hash is `code`; `browser` is the hash of what it holds, `known` its id where it is known.
pub(crate) fn ask(spec: &mut PortalUserSpec, browser: &str, known: Option<&str>, code: &str, now: Timestamp) -> Asked {
    forget(spec, now);
    if locked(spec, known, now) {
        return Asked::Locked;
    }
    if spec.sent.iter().filter(|sent| sent.known.as_deref() == known).count() >= MAILS_AN_HOUR {
        return Asked::TooMany;
    }
    let known = known.map(str::to_owned);
    // One at a time.
    spec.codes.retain(|other| other.known != known);
    spec.codes.push(SignInCode {
        browser: browser.to_owned(),
        known: known.clone(),
        code: code.to_owned(),
        expires_at: MicroTime(now + CODE_LIFE),
        tries_left: TRIES,
    });
    spec.sent.push(SentCode { at: MicroTime(now), known });
    Asked::Mail
}

/// A browser enters a code; `browser` and `code` are hashes.
pub(crate) fn enter(spec: &mut PortalUserSpec, browser: &str, code: &str, now: Timestamp) -> Tried {
    forget(spec, now);
    let Some(at) = spec.codes.iter().position(|one| same(&one.browser, browser)) else {
        return Tried::NoCode;
    };
    let known = spec.codes[at].known.clone();
    if locked(spec, known.as_deref(), now) {
        return Tried::Locked;
    }
    if same(&spec.codes[at].code, code) {
        spec.codes.remove(at);
        count(spec, known.as_deref(), |failures, _| *failures = 0);
        return Tried::Right;
    }
    spec.codes[at].tries_left -= 1;
    if spec.codes[at].tries_left <= 0 {
        spec.codes.remove(at);
    }
    let mut tried = Tried::Wrong;
    count(spec, known.as_deref(), |failures, until| {
        *failures += 1;
        if *failures >= FAILURES {
            *failures = 0;
            *until = Some(MicroTime(now + LOCK));
            tried = Tried::LockedNow;
        }
    });
    if tried == Tried::LockedNow {
        spec.codes.retain(|one| one.known != known);
    }
    tried
}

/// What is over.
fn forget(spec: &mut PortalUserSpec, now: Timestamp) {
    spec.codes.retain(|code| code.expires_at.0 > now);
    spec.sent.retain(|sent| sent.at.0 + HOUR > now);
}

fn locked(spec: &PortalUserSpec, known: Option<&str>, now: Timestamp) -> bool {
    let until = match known {
        None => spec.locked_until.as_ref(),
        Some(id) => spec.browsers.iter().find(|browser| browser.id == id).and_then(|it| it.locked_until.as_ref()),
    };
    until.is_some_and(|until| until.0 > now)
}

fn count(spec: &mut PortalUserSpec, known: Option<&str>, change: impl FnOnce(&mut i64, &mut Option<MicroTime>)) {
    match known {
        None => change(&mut spec.failures, &mut spec.locked_until),
        Some(id) => {
            if let Some(browser) = spec.browsers.iter_mut().find(|browser| browser.id == id) {
                change(&mut browser.failures, &mut browser.locked_until);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
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
        assert_eq!(ask(&mut spec, "b", None, "right", at(0)), Asked::Mail);
        assert_eq!(enter(&mut spec.clone(), "other", "right", at(1)), Tried::NoCode, "another browser");
        assert_eq!(enter(&mut spec.clone(), "b", "right", at(10)), Tried::NoCode, "too late");
        assert_eq!(enter(&mut spec, "b", "right", at(9)), Tried::Right);
        assert_eq!(enter(&mut spec, "b", "right", at(9)), Tried::NoCode, "a second time");
    }

    #[test]
    fn five_wrong_ones_use_a_code_up() {
        let mut spec = ada();
        ask(&mut spec, "b", None, "right", at(0));
        for _ in 0..TRIES {
            assert_eq!(enter(&mut spec, "b", "wrong", at(1)), Tried::Wrong);
        }
        assert_eq!(enter(&mut spec, "b", "right", at(1)), Tried::NoCode);
    }

    #[test]
    fn there_is_one_code_at_a_time() {
        let mut spec = ada();
        ask(&mut spec, "b", None, "first", at(0));
        ask(&mut spec, "b", None, "second", at(1));
        assert_eq!(enter(&mut spec, "b", "first", at(1)), Tried::Wrong);
        assert_eq!(enter(&mut spec, "b", "second", at(1)), Tried::Right);
    }

    #[test]
    fn five_mails_an_hour_and_then_one_for_each_that_is_an_hour_old() {
        let mut spec = ada();
        for minute in 0..5 {
            assert_eq!(ask(&mut spec, "b", None, "code", at(minute)), Asked::Mail);
        }
        assert_eq!(ask(&mut spec, "b", None, "code", at(59)), Asked::TooMany);
        assert_eq!(ask(&mut spec, "b", None, "code", at(60)), Asked::Mail);
        assert_eq!(ask(&mut spec, "b", None, "code", at(60)), Asked::TooMany);
    }

    #[test]
    fn ten_wrong_ones_in_a_row_lock_for_an_hour_and_a_right_one_in_between_does_not() {
        let mut spec = ada();
        let wrong = |spec: &mut PortalUserSpec, times: i64| {
            let mut last = Tried::NoCode;
            for turn in 0..times {
                if turn % TRIES == 0 {
                    ask(spec, "b", None, "right", at(0));
                }
                last = enter(spec, "b", "wrong", at(0));
            }
            last
        };
        assert_eq!(wrong(&mut spec, FAILURES - 1), Tried::Wrong);
        let mut freed = spec.clone();
        assert_eq!(enter(&mut freed, "b", "right", at(1)), Tried::Right);
        assert_eq!(freed.failures, 0);
        assert_eq!(enter(&mut spec, "b", "wrong", at(1)), Tried::LockedNow);
        assert_eq!(ask(&mut spec, "b", None, "right", at(60)), Asked::Locked);
        assert_eq!(ask(&mut spec, "b", None, "right", at(61)), Asked::Mail);
    }

    #[test]
    fn what_a_stranger_does_locks_no_browser_that_the_person_knows() {
        let mut spec = ada();
        // Every mail that strangers get, and a lock.
        for _ in 0..10 {
            ask(&mut spec, "stranger", None, "code", at(0));
            for _ in 0..TRIES {
                enter(&mut spec, "stranger", "wrong", at(0));
            }
        }
        assert_eq!(ask(&mut spec, "stranger", None, "code", at(0)), Asked::Locked);
        assert_eq!(known(&spec, "home-hash", at(0)).map(|it| it.id.as_str()), Some("home"));
        assert_eq!(ask(&mut spec, "b", Some("home"), "right", at(0)), Asked::Mail);
        assert_eq!(enter(&mut spec, "b", "right", at(1)), Tried::Right);
    }

    #[test]
    fn a_stranger_does_not_take_the_place_of_a_known_browsers_code() {
        let mut spec = ada();
        ask(&mut spec, "b", Some("home"), "right", at(0));
        ask(&mut spec, "stranger", None, "other", at(0));
        assert_eq!(enter(&mut spec, "b", "right", at(1)), Tried::Right);
    }

    #[test]
    fn a_known_browser_has_a_lock_of_its_own_and_is_known_for_a_time() {
        let mut spec = ada();
        for _ in 0..2 {
            ask(&mut spec, "b", Some("home"), "right", at(0));
            for _ in 0..TRIES {
                enter(&mut spec, "b", "wrong", at(0));
            }
        }
        assert_eq!(ask(&mut spec, "b", Some("home"), "right", at(1)), Asked::Locked);
        assert_eq!(ask(&mut spec, "b", None, "right", at(1)), Asked::Mail);
        assert!(known(&spec, "other-hash", at(0)).is_none());
        assert!(known(&spec, "home-hash", at(181 * 24 * 60)).is_none());
    }
}
