//! `BurstOfRefusals`, `RefreshFailures` and `SignInAttack`: too much of what is refused, in a span of time.

use audit::DetectionKind;

use super::{Finding, MINUTE, recent::Recent, seen::Seen, window::Window};
use crate::view::Named;

/// Refused calls of one caller, or of one network whose callers are not known, in [`BURST_SPAN`].
pub(crate) const BURST: u64 = 100;
pub(crate) const BURST_SPAN: i64 = 5 * MINUTE;
/// Refreshes of one connection that Login with Amazon refused in [`REFRESH_SPAN`], none having succeeded in between. The
/// gateway and the operator ask ever more seldom, so it is a matter of hours and not of hundreds.
pub(crate) const REFRESHES: u64 = 5;
pub(crate) const REFRESH_SPAN: i64 = 60 * MINUTE;
/// Codes of one network that were wrong, or not given out, in [`SIGN_IN_SPAN`]. The portal takes 40 in ten minutes from one
/// network: more means that somebody goes on although nothing is taken from them.
pub(crate) const SIGN_INS: u64 = 50;
pub(crate) const SIGN_IN_SPAN: i64 = 10 * MINUTE;
/// Times that one address is locked in [`LOCK_SPAN`]: each is ten wrong codes in a row. Once may be a person.
pub(crate) const LOCKS: u64 = 2;
pub(crate) const LOCK_SPAN: i64 = 24 * 60 * MINUTE;
/// Callers, networks, connections or addresses that are counted.
const MOST: usize = 16_384;
const REFRESH: &str = "lwa/o2/refreshToken";

/// Counts what is refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    calls: Recent<String, Window>,
    refreshes: Recent<String, Window>,
    networks: Recent<String, Window>,
    locks: Recent<String, Window>,
}

impl Default for Refusals {
    fn default() -> Self {
        let [calls, refreshes, networks, locks] = [(); 4].map(|()| Recent::new(MOST));
        Self { calls, refreshes, networks, locks }
    }
}

impl Refusals {
    pub(crate) fn see(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        match seen.event.class_uid {
            6003 if seen.event.action_id == Some(2) => self.refused(seen, found),
            6003 if seen.event.operation() == Some(REFRESH) => self.refreshed(seen, found),
            3001 | 3002 => self.signed_in(seen, found),
            _ => {}
        }
    }

    fn refused(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        // Too many calls, or OpenTeam's own trouble: the caller does nothing that it may not.
        if seen.event.status().is_some_and(|status| status == 429 || status >= 500) {
            return;
        }
        let network = || seen.event.network().map(|network| network.to_string());
        let Some(who) = seen.event.caller().map(str::to_owned).or_else(network) else { return };
        let window = self.calls.entry(who.clone(), || Window::new(BURST_SPAN));
        let counted = window.add(seen.time, seen.event.count.unwrap_or(1));
        if counted.count >= BURST {
            // Whose connection the last of them was about says nothing.
            let evidence = super::Evidence { target: None, ..seen.evidence() };
            found.push(Finding::counted(DetectionKind::BurstOfRefusals, who, evidence, counted, seen.time));
        }
    }

    fn refreshed(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        let Some(connection) = seen.event.unmapped.connection.as_ref().map(Named::key) else { return };
        match &*seen.event.message {
            "call answered" => self.refreshes.remove(&connection),
            // No answer is Amazon's trouble or the network's, and told by OpenTeamLWAFailing.
            "call failed" if seen.event.status_detail.as_deref() == Some("AmazonUnreachable") => {}
            "call failed" | "call answered with an error" => {
                let counted = self.refreshes.entry(connection.clone(), || Window::new(REFRESH_SPAN)).add(seen.time, 1);
                if counted.count >= REFRESHES {
                    // OpenTeam's own process asked; that is no suspect.
                    let evidence = super::Evidence { suspect: None, source: None, ..seen.evidence() };
                    let kind = DetectionKind::RefreshFailures;
                    found.push(Finding::counted(kind, connection, evidence, counted, seen.time));
                }
            }
            _ => {}
        }
    }

    fn signed_in(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        let kind = DetectionKind::SignInAttack;
        match &*seen.event.message {
            "sign-in locked" => {
                let Some(person) = seen.event.person().map(str::to_owned) else { return };
                let counted = self.locks.entry(person.clone(), || Window::new(LOCK_SPAN)).add(seen.time, 1);
                if counted.count >= LOCKS {
                    found.push(Finding::counted(kind, person, seen.evidence(), counted, seen.time));
                }
            }
            "sign-in failed" | "sign-in code refused" | "strangers refused" => {
                let Some(network) = seen.event.network().map(|network| network.to_string()) else { return };
                let window = self.networks.entry(network.clone(), || Window::new(SIGN_IN_SPAN));
                let counted = window.add(seen.time, seen.event.count.unwrap_or(1));
                if counted.count >= SIGN_INS {
                    // Of the addresses that were tried the last is no more suspect than the others.
                    let evidence = super::Evidence { suspect: None, ..seen.evidence() };
                    found.push(Finding::counted(kind, network, evidence, counted, seen.time));
                }
            }
            _ => {}
        }
    }
}
