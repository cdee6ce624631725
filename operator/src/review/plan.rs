//! What is to be done about reviews, decided from what is kept of the last one.

use jiff::{SignedDuration, Timestamp};
use process::review::{EVERY, Kept, ReviewDigest};

const _: () = assert!(MAKE_EVERY.as_secs() + SIGN_WITHIN.as_secs() == EVERY.as_secs());

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(days * 24)
}

/// After the installation, for the first: there is something to look at, and somebody who remembers setting it up.
pub(super) const FIRST_AFTER: SignedDuration = days(1);
/// Between digests. With [`SIGN_WITHIN`] no more than [`EVERY`] lies between two signatures.
pub(super) const MAKE_EVERY: SignedDuration = days(12);
/// For a person to look at it.
pub(super) const SIGN_WITHIN: SignedDuration = days(2);
/// How long a digest waits for a recorder that does not answer.
pub(super) const WAIT: SignedDuration = SignedDuration::from_hours(6);

/// What one pass looks at.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// When OpenTeam was installed.
    pub(super) installed: Timestamp,
    /// Whether what is kept cannot be read.
    pub(super) is_damaged: bool,
    pub(super) kept: Option<&'a Kept>,
    /// Who says that they signed it off.
    pub(super) annotation: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// The next thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing but to mail what was not mailed yet.
    Wait,
    /// A digest of what was recorded from this time on. `may_lack`: of those recorders that answer.
    Make { from: Timestamp, may_lack: bool },
    /// Take note of who signed off.
    SignOff { by: String },
}

/// Decides. A signature comes first: it is of the digest that is still there.
pub(super) fn next(seen: &Seen<'_>) -> Step {
    let by = seen.kept.filter(|kept| kept.signed_off.is_none()).and_then(|kept| kept.signatory(seen.annotation?));
    if let Some(by) = by {
        return Step::SignOff { by: by.to_owned() };
    }
    let at = make_at(seen);
    if seen.now < at {
        return Step::Wait;
    }
    let from = match seen.kept {
        // What nobody signed off is in the next one too.
        Some(kept) if kept.signed_off.is_none() => kept.content.from,
        Some(kept) => kept.content.to,
        None => seen.installed.max(seen.now.saturating_sub(EVERY).unwrap_or(Timestamp::MIN)),
    };
    Step::Make { from, may_lack: seen.now.duration_since(at) >= WAIT }
}

/// When the next digest is made.
fn make_at(seen: &Seen<'_>) -> Timestamp {
    match seen.kept {
        Some(kept) => later(kept.made_at, MAKE_EVERY),
        None if seen.is_damaged => seen.installed,
        None => later(seen.installed, FIRST_AFTER),
    }
}

/// Until when somebody must have signed a digest off: the one that there is, or else the next.
pub(super) fn due(seen: &Seen<'_>) -> Timestamp {
    match seen.kept {
        Some(kept) => kept.due(),
        None => later(make_at(seen), SIGN_WITHIN),
    }
}

/// A new digest as it is kept. Its predecessor's time goes on running if nobody signed that off.
pub(super) fn kept(content: ReviewDigest, json: String, before: Option<&Kept>, now: Timestamp) -> Kept {
    let overdue = before.filter(|before| before.signed_off.is_none()).map(|before| before.due_by);
    let due_by = overdue.unwrap_or_else(|| later(now, SIGN_WITHIN));
    Kept { content, json, made_at: now, due_by, mail: None, signed_off: None }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}
