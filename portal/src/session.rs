//! Sessions, as a PortalUser keeps them. Pure.

use audit::Digest;
use crds::{KnownBrowser, PortalSession, PortalUserSpec};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use subtle::ConstantTimeEq;

/// A session that is not used for this long ends.
pub(crate) const IDLE: SignedDuration = SignedDuration::from_mins(30);
/// However much it is used, it ends after this.
pub(crate) const ABSOLUTE: SignedDuration = SignedDuration::from_hours(12);
/// How precisely its last use is kept: a write each time would be one for each page.
const PRECISION: SignedDuration = SignedDuration::from_mins(1);
/// More than these at a time, and the one that was used the longest ago ends.
const MOST: usize = 10;
const MOST_BROWSERS: usize = 8;

/// What a session, or a known browser, begins with.
pub(crate) struct New<'a> {
    /// Names it.
    pub(crate) id: &'a str,
    /// Hash of its secret.
    pub(crate) hash: &'a str,
}

/// A person has signed in.
pub(crate) fn begin(spec: &mut PortalUserSpec, new: &New<'_>, browser: String, network: String, now: Timestamp) {
    spec.sessions.retain(|session| lives(session, now));
    while spec.sessions.len() >= MOST {
        let oldest = spec.sessions.iter().enumerate().min_by_key(|(_, session)| session.used_at.0);
        let Some(at) = oldest.map(|(at, _)| at) else { break };
        spec.sessions.remove(at);
    }
    spec.sessions.push(PortalSession {
        id: new.id.to_owned(),
        hash: new.hash.to_owned(),
        created_at: MicroTime(now),
        used_at: MicroTime(now),
        browser,
        network,
    });
}

/// From now on the browser is known; in the place of `before`, where it was.
pub(crate) fn know(spec: &mut PortalUserSpec, before: Option<&str>, new: &New<'_>, now: Timestamp) {
    spec.browsers.retain(|browser| Some(browser.id.as_str()) != before);
    while spec.browsers.len() >= MOST_BROWSERS {
        let oldest = spec.browsers.iter().enumerate().min_by_key(|(_, browser)| browser.signed_in_at.0);
        let Some(at) = oldest.map(|(at, _)| at) else { break };
        spec.browsers.remove(at);
    }
    spec.browsers.push(KnownBrowser {
        id: new.id.to_owned(),
        hash: new.hash.to_owned(),
        signed_in_at: MicroTime(now),
        failures: 0,
        locked_until: None,
    });
}

/// The session whose secret has this hash, while it lives.
pub(crate) fn find<'a>(spec: &'a PortalUserSpec, hash: &str, now: Timestamp) -> Option<&'a PortalSession> {
    let same = |session: &&PortalSession| bool::from(session.hash.as_bytes().ct_eq(hash.as_bytes()));
    spec.sessions.iter().find(same).filter(|session| lives(session, now))
}

/// Those that live, the last used first.
pub(crate) fn living(spec: &PortalUserSpec, now: Timestamp) -> Vec<&PortalSession> {
    let mut living: Vec<_> = spec.sessions.iter().filter(|session| lives(session, now)).collect();
    living.sort_by_key(|session| std::cmp::Reverse(session.used_at.0));
    living
}

/// Whether a use at `now` must be written.
pub(crate) fn is_due(session: &PortalSession, now: Timestamp) -> bool {
    session.used_at.0 + PRECISION <= now
}

/// A session is used. Not written where that was done a moment ago: many requests of one person come at a time, and another
/// replica's clock may be ahead.
pub(crate) fn touch(spec: &mut PortalUserSpec, id: &str, now: Timestamp) {
    for session in spec.sessions.iter_mut().filter(|session| session.id == id && is_due(session, now)) {
        session.used_at = MicroTime(now);
    }
}

/// How the record names a session, by the hash of its secret.
pub(crate) fn digest(hash: &str) -> Digest {
    Digest::of_unguessable(hash.as_bytes())
}

/// When it ends if it is not used any more.
pub(crate) fn ends_at(session: &PortalSession) -> Timestamp {
    (session.used_at.0 + IDLE).min(session.created_at.0 + ABSOLUTE)
}

fn lives(session: &PortalSession, now: Timestamp) -> bool {
    now < ends_at(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn begun(spec: &mut PortalUserSpec, id: &str, minute: i64) {
        begin(spec, &New { id, hash: &format!("{id}-hash") }, "Firefox".into(), "192.0.2.0/24".into(), at(minute));
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_after_half_a_day_at_the_latest() {
        let mut spec = PortalUserSpec::default();
        begun(&mut spec, "a", 0);
        assert!(find(&spec, "a-hash", at(29)).is_some() && find(&spec, "a-hash", at(30)).is_none());
        assert!(find(&spec, "b-hash", at(0)).is_none());
        for minute in (0..12 * 60).step_by(20) {
            touch(&mut spec, "a", at(minute));
            assert!(find(&spec, "a-hash", at(minute)).is_some(), "{minute}");
        }
        touch(&mut spec, "a", at(719));
        assert!(find(&spec, "a-hash", at(719)).is_some() && find(&spec, "a-hash", at(720)).is_none());
    }

    #[test]
    fn uses_are_written_once_a_minute_and_never_back() {
        let mut spec = PortalUserSpec::default();
        begun(&mut spec, "a", 5);
        assert!(!is_due(&spec.sessions[0], at(5)) && is_due(&spec.sessions[0], at(6)));
        for earlier in [at(1), at(5), at(5) + SignedDuration::from_secs(59)] {
            touch(&mut spec, "a", earlier);
            assert_eq!(spec.sessions[0].used_at.0, at(5));
        }
        touch(&mut spec, "a", at(6));
        assert_eq!(spec.sessions[0].used_at.0, at(6));
    }

    #[test]
    fn there_are_ten_at_most_and_the_one_unused_longest_makes_way() {
        let mut spec = PortalUserSpec::default();
        for number in 0..11_i64 {
            begun(&mut spec, &format!("s{number}"), number);
            touch(&mut spec, "s0", at(number));
        }
        let ids: Vec<&str> = living(&spec, at(11)).iter().map(|session| session.id.as_str()).collect();
        assert_eq!(ids.len(), 10);
        assert!(ids.contains(&"s0") && !ids.contains(&"s1") && ids[0] == "s0" || ids[0] == "s10", "{ids:?}");
        begun(&mut spec, "later", 100);
        assert_eq!(spec.sessions.len(), 1, "what has ended is forgotten");
    }

    #[test]
    fn browsers_are_known_anew_at_each_sign_in_and_not_without_end() {
        let mut spec = PortalUserSpec::default();
        for number in 0..20_i64 {
            let id = format!("b{number}");
            know(&mut spec, None, &New { id: &id, hash: "h" }, at(number));
        }
        assert_eq!(spec.browsers.len(), 8);
        know(&mut spec, Some("b19"), &New { id: "anew", hash: "h" }, at(30));
        assert_eq!(spec.browsers.len(), 8);
        assert!(spec.browsers.iter().all(|browser| browser.id != "b19"));
    }
}
