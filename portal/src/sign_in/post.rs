//! Mails about signing in: sent beside everything else, and tried again while they can be of use.

use std::{sync::Arc, time::Duration};

use process::mail::{EmailAddress, Mail, MailKind, Mailer, Retry};
use tokio::{sync::Semaphore, time::sleep};

use super::{code::Code, plan};
use crate::{
    page::{CodeMail, LockMail},
    portal::Portal,
};

/// Mails that are given to the server at the same time.
const AT_A_TIME: usize = 8;
/// Mails that wait for that: of browsers that are known, and of others.
const KNOWN_WAITING: usize = 128;
const OTHERS_WAITING: usize = 384;
/// When a mail that the server did not take is tried again.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(90)];

/// Sends mails.
pub(crate) struct Post {
    mailer: Mailer,
    known: Arc<Semaphore>,
    others: Arc<Semaphore>,
    sending: Arc<Semaphore>,
}

impl Post {
    pub(crate) fn new(mailer: Mailer) -> Self {
        Self {
            mailer,
            known: Arc::new(Semaphore::new(KNOWN_WAITING)),
            others: Arc::new(Semaphore::new(OTHERS_WAITING)),
            sending: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Takes a mail on. It is lost with the process: a code is asked for again.
    fn send(&self, mail: Mail, known: bool) {
        let waiting = if known { &self.known } else { &self.others };
        let Ok(place) = waiting.clone().try_acquire_owned() else {
            tracing::error!("too many mails wait for the SMTP server; one is given up");
            return;
        };
        let (mailer, sending) = (self.mailer.clone(), self.sending.clone());
        tokio::spawn(async move {
            let _place = place;
            for wait in AGAIN.map(Some).into_iter().chain([None]) {
                let sent = {
                    let _turn = sending.acquire().await;
                    mailer.send(&mail).await
                };
                let Err(error) = sent else { return };
                tracing::warn!(%error, "a mail about signing in was not sent");
                match wait {
                    Some(wait) if error.retry() == Retry::Later => sleep(wait).await,
                    _ => return,
                }
            }
        });
    }
}

/// Mails a code.
pub(super) fn code(portal: &Portal, email: &str, code: &Code, known: bool) {
    let shown = code.shown();
    let minutes = u32::try_from(plan::CODE_LIFE.as_mins()).unwrap_or_default();
    let body = CodeMail { code: &shown, minutes, origin: &portal.public_url };
    mail(portal, email, ("code", known), CodeMail::SUBJECT, body.text(), body.html());
}

/// Mails that codes are not taken for a while.
pub(super) fn lock(portal: &Portal, email: &str) {
    let contact = portal.contact.as_ref().map(EmailAddress::as_str);
    let body = LockMail {
        failures: u32::try_from(plan::FAILURES).unwrap_or_default(),
        origin: &portal.public_url,
        minutes: u32::try_from(plan::LOCK.as_mins()).ok(),
        contact,
    };
    mail(portal, email, ("lock", false), LockMail::SUBJECT, body.text(), body.html());
}

fn mail(portal: &Portal, email: &str, (what, known): (&str, bool), subject: &str, text: String, html: String) {
    let (Ok(to), Ok(id)) = (email.parse(), super::random_id()) else { return };
    let mail = Mail {
        id: format!("sign-in/{what}/{id}"),
        kind: MailKind::SignIn,
        to: vec![to],
        subject: subject.to_owned(),
        text,
        html: Some(html),
    };
    portal.post.send(mail, known);
}
