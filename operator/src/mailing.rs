//! A mail whose state is in the status of the object that it is about: written as `Pending` before it is sent, so that one
//! that was not sent is sent by whoever leads next. One that was sent by a process that was killed then is sent again, under
//! the same id.

use std::time::Duration;

use crds::{MailState, MailStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use process::mail::{MailError, Retry};

use crate::{error::delay, status::whole_seconds};

/// Reason of what was not sent because no server was set up, which may be mended.
const NOT_CONFIGURED: &str = MailError::NotConfigured.reason();

/// What the status says of the mail `wanted`, an id, after what it said `before`.
pub(crate) fn next(
    before: Option<MailStatus>,
    wanted: Option<String>,
    configured: bool,
    now: Timestamp,
) -> Option<MailStatus> {
    let Some(id) = wanted else {
        // Nobody need be told any more.
        return before.filter(|mail| mail.state != MailState::Pending);
    };
    let goes_on = |mail: &MailStatus| {
        let was_not_set_up = mail.last_reason.as_deref() == Some(NOT_CONFIGURED);
        mail.id == id && !(mail.state == MailState::Failed && was_not_set_up && configured)
    };
    let new = || MailStatus {
        id: id.clone(),
        state: MailState::Pending,
        attempts: 0,
        last_reason: None,
        at: Time(whole_seconds(now)),
    };
    Some(before.filter(goes_on).unwrap_or_else(new))
}

/// When a mail is to be tried next, if it is.
pub(crate) fn due(mail: Option<&MailStatus>) -> Option<Timestamp> {
    let mail = mail.filter(|mail| mail.state == MailState::Pending)?;
    let wait = match u32::try_from(mail.attempts).unwrap_or(u32::MAX) {
        0 => Duration::ZERO,
        failures => delay(failures, 1.0),
    };
    mail.at.0.checked_add(wait).ok()
}

/// A mail after an attempt.
pub(crate) fn tried(mail: MailStatus, error: Option<MailError>, now: Timestamp) -> MailStatus {
    let state = match error.map(MailError::retry) {
        None => MailState::Sent,
        Some(Retry::Later) => MailState::Pending,
        Some(Retry::Never) => MailState::Failed,
    };
    MailStatus {
        state,
        attempts: mail.attempts.saturating_add(1),
        last_reason: error.map(|error| error.reason().to_owned()),
        at: Time(whole_seconds(now)),
        id: mail.id,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::testing::now;

    fn new(id: &str) -> MailStatus {
        next(None, Some(id.to_owned()), true, now()).unwrap()
    }

    #[test]
    fn a_mail_is_sent_once_as_long_as_it_is_the_same() {
        let first = new("a");
        assert_eq!((first.state, first.attempts, due(Some(&first))), (MailState::Pending, 0, Some(now())));
        let again =
            |before: &MailStatus, id: &str| next(Some(before.clone()), Some(id.to_owned()), true, now()).unwrap();
        assert_eq!(again(&first, "a"), first, "and that is at rest");
        let sent = tried(first.clone(), None, now());
        assert_eq!((again(&sent, "a"), due(Some(&sent))), (sent.clone(), None));
        assert_eq!(again(&sent, "b"), new("b"));
        assert_eq!(next(Some(first), None, true, now()), None, "whoever need not be told is not");
        assert_eq!(next(Some(sent.clone()), None, true, now()), Some(sent));
    }

    #[test]
    fn what_was_not_sent_is_tried_again_while_that_can_help() {
        let (mut mail, mut waits) = (new("a"), Vec::new());
        for _ in 0..20 {
            mail = tried(mail, Some(MailError::Unreachable), now());
            assert_eq!(mail.state, MailState::Pending);
            waits.push(due(Some(&mail)).unwrap().duration_since(now()));
        }
        assert!(waits.is_sorted() && waits[0] > SignedDuration::ZERO, "{waits:?}");
        assert!(waits[19] <= SignedDuration::from_mins(20), "{waits:?}");
        mail = tried(mail, Some(MailError::Refused(550)), now());
        assert_eq!((mail.state, mail.last_reason.as_deref()), (MailState::Failed, Some("SmtpRefused")));
        let again = |mail: &MailStatus, configured| next(Some(mail.clone()), Some("a".to_owned()), configured, now());
        assert_eq!((again(&mail, true), due(Some(&mail))), (Some(mail.clone()), None));
        // Set up afterwards, it is sent after all.
        mail = tried(mail, Some(MailError::NotConfigured), now());
        assert_eq!(again(&mail, false), Some(mail.clone()));
        assert_eq!(again(&mail, true).unwrap().state, MailState::Pending);
    }
}
