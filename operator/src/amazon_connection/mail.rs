//! The mail by which the contacts of a Team are asked for a consent: after a rotation, for a renewal, and where the seller
//! took it back.
//!
//! Its state is in the connection's status ([`mailing`]).

use audit::{Change, EntityChange};
use crds::{
    AmazonConnection, AmazonConnectionStatus, MailState, MailStatus,
    condition::{AUTHORIZED, CONSENT_REQUESTED, find},
};
use jiff::Timestamp;
use kube::Api;
use process::mail::{EmailAddress, Mail, MailError, MailKind};

use crate::{
    consent,
    controller::Context,
    error::ReconcileError,
    mailing,
    status::{self, Event, whole_seconds},
    stores::read,
    subject::{Subject, entity, reference, target},
    team::contacts,
};

/// `status.consentMail`: one for each time that the seller is asked.
pub(super) fn told(
    connection: &AmazonConnection,
    status: &AmazonConnectionStatus,
    configured: bool,
    now: Timestamp,
) -> Option<MailStatus> {
    mailing::next(status.consent_mail.clone(), wanted(connection, status), configured, now)
}

/// Why the seller is asked to consent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Rotated,
    Renewal,
    Revoked,
}

impl Why {
    /// The reason, and since when it is one.
    fn of(status: &AmazonConnectionStatus) -> Option<(Self, Timestamp)> {
        if let Some(asked) = find(&status.conditions, CONSENT_REQUESTED).filter(|it| it.status == "True") {
            return if asked.reason == "Rotated" {
                status.rotation.as_ref()?.at.as_ref().map(|at| (Self::Rotated, at.0))
            } else {
                status.renewal.as_ref()?.asked_at.as_ref().map(|at| (Self::Renewal, at.0))
            };
        }
        let refused = find(&status.conditions, AUTHORIZED).filter(|it| it.reason == "AuthorizationRevoked")?;
        // Of a token that never worked only whoever sealed it need know, and they look.
        let worked = !status.participations.is_empty();
        // As it is kept: with a fraction it would name another mail once it was written.
        worked.then_some((Self::Revoked, whole_seconds(refused.last_transition_time.0)))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "Rotated",
            Self::Renewal => "RenewalAsked",
            Self::Revoked => "Revoked",
        }
    }

    const fn kind(self) -> MailKind {
        match self {
            Self::Rotated | Self::Renewal => MailKind::Consent,
            Self::Revoked => MailKind::Revoked,
        }
    }
}

/// Names the mail that is to be sent, where the seller is asked to consent.
fn wanted(connection: &AmazonConnection, status: &AmazonConnectionStatus) -> Option<String> {
    let (why, since) = Why::of(status)?;
    let uid = connection.metadata.uid.as_deref().unwrap_or_default();
    Some(format!("consent/{uid}/{}/{since}", why.as_str()))
}

/// When a mail is to be tried next, if it is.
pub(super) fn due(status: &AmazonConnectionStatus) -> Option<Timestamp> {
    mailing::due(status.consent_mail.as_ref())
}

/// Sends what is due, and writes what became of it.
pub(super) async fn send(context: &Context, connection: &AmazonConnection) -> Result<(), ReconcileError> {
    let name = reference(&connection.metadata);
    let api: Api<AmazonConnection> = Api::namespaced(context.client.clone(), &name.namespace);
    let found = api.get_opt(&name.name).await.map_err(ReconcileError::about(format!("AmazonConnection {name}")))?;
    // The watch may lag behind: what was sent is not sent again.
    let Some(found) = found else { return Ok(()) };
    let Some(mut status) = found.status.clone() else { return Ok(()) };
    let now = Timestamp::now();
    let Some(mail) = status.consent_mail.clone().filter(|_| due(&status).is_some_and(|at| at <= now)) else {
        return Ok(());
    };
    let application = context.stores.application(&found.spec.application_ref);
    let application = read(application.as_ref());
    let how = consent::how(&found, application, context.allow_endpoints);
    let team = context.stores.team(&name.namespace, &found.spec.team_ref.name);
    let Some((why, _)) = Why::of(&status) else { return Ok(()) };
    let letter = letter(&found, why, &mail.id, &how, contacts(read(team.as_ref())));
    let error = match letter.to.is_empty() {
        true => Some(MailError::NoRecipient),
        false => context.mailer.send(&letter).await.err(),
    };
    let mail = mailing::tried(mail, error, Timestamp::now());
    match error {
        None => {
            let entity = entity(AmazonConnection::KIND, &found.metadata)?;
            let change = Change::ConsentMailed;
            context.recorder.record_later(EntityChange { correlation: None, target: target(&found)?, entity, change });
        }
        Some(error) => {
            tracing::warn!(kind = "AmazonConnection", object = %name, reason = error.reason(), "consent not mailed");
            if mail.state == MailState::Failed {
                let note = Some(format!("nobody was mailed ({error}): {how}"));
                let (reason, action) = ("ConsentNotMailed".to_owned(), "Mail".to_owned());
                status::publish(context, &found, Event { warns: true, reason, note, action }).await;
            }
        }
    }
    status.consent_mail = Some(mail);
    status::write(context, &found, &status, &[]).await
}

fn letter(connection: &AmazonConnection, why: Why, id: &str, how: &str, to: Vec<EmailAddress>) -> Mail {
    let name = reference(&connection.metadata);
    let seller = connection.selling_partner_id().unwrap_or("not known yet");
    let (subject, told) = match why {
        Why::Rotated => (
            "Please consent again",
            "Its credential was taken out of use, since somebody may know it. Nothing works by this connection until the \
             seller has consented again.\n\nFirst the seller must end the old credential: in Seller Central, under Manage \
             Your Apps, disable the application. A new consent alone does not end it.\n\nThen: ",
        ),
        Why::Renewal => (
            "Please consent again",
            "A renewal of the seller's consent was asked for. Everything goes on meanwhile.\n\nPlease: ",
        ),
        Why::Revoked => (
            "Amazon refuses the seller's authorization",
            "It worked, and Amazon refuses it now: the seller took the authorization back, or it ran out. Nothing works by \
             this connection.\n\nIf that was not meant: ",
        ),
    };
    Mail {
        id: id.to_owned(),
        kind: why.kind(),
        to,
        subject: format!("{subject}: Amazon connection {name}"),
        text: format!("Amazon connection {name}, seller {seller}.\n\n{told}{how}\n\nThis mail was sent by OpenTeam.\n"),
        html: None,
    }
}

#[cfg(test)]
mod tests {
    use crds::{
        Renewal, Rotation,
        condition::{State, set},
    };
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;
    use crate::testing::now;

    fn connection() -> AmazonConnection {
        let mut connection = AmazonConnection::new("na", Default::default());
        connection.metadata.namespace = Some("acme".to_owned());
        connection.metadata.uid = Some("uid".to_owned());
        connection
    }

    fn asked(state: State) -> AmazonConnectionStatus {
        let at = |seconds| Some(MicroTime(now() - SignedDuration::from_secs(seconds)));
        let mut status = AmazonConnectionStatus {
            rotation: Some(Rotation { at: at(60), ..Rotation::default() }),
            renewal: Some(Renewal { value: "1".to_owned(), asked_at: at(30), done_at: None }),
            ..AmazonConnectionStatus::default()
        };
        set(&mut status.conditions, state, None, now());
        status
    }

    fn rotated() -> State {
        State::yes(CONSENT_REQUESTED, "Rotated", "")
    }

    #[test]
    fn the_seller_is_written_to_once_each_time_they_are_asked() {
        let mut status = asked(rotated());
        let look = |status: &AmazonConnectionStatus| told(&connection(), status, true, now());
        let first = look(&status).unwrap();
        assert_eq!((first.state, first.attempts), (MailState::Pending, 0));
        status.consent_mail = Some(first.clone());
        assert_eq!(look(&status), Some(first.clone()), "and that is at rest");
        assert_eq!(due(&status), Some(now()));
        status.consent_mail = Some(mailing::tried(first.clone(), None, now()));
        assert_eq!((look(&status), due(&status)), (status.consent_mail.clone(), None));
        // Asked for another reason, or once more, it is another mail.
        let mut renewal = asked(State::yes(CONSENT_REQUESTED, "RenewalAsked", ""));
        renewal.consent_mail = status.consent_mail.clone();
        let second = look(&renewal).unwrap();
        assert_ne!(second.id, first.id);
        let mut over = asked(State::no(CONSENT_REQUESTED, "Consented", ""));
        over.consent_mail = Some(second);
        assert_eq!(look(&over), None, "whoever has consented is not asked");
    }

    #[test]
    fn what_a_seller_took_back_is_told_once_and_only_where_it_worked() {
        let revoked = |worked: bool| {
            let mut status = asked(State::no(AUTHORIZED, "AuthorizationRevoked", ""));
            status.participations = vec![crds::Participation::default(); usize::from(worked)];
            status
        };
        let mut status = revoked(true);
        let mail = told(&connection(), &status, true, now()).unwrap();
        assert!(mail.id.contains("Revoked"), "{mail:?}");
        status.consent_mail = Some(mailing::tried(mail, None, now()));
        assert_eq!(told(&connection(), &status, true, now()), status.consent_mail);
        assert_eq!(told(&connection(), &revoked(false), true, now()), None, "it never worked");
        let since = |later: SignedDuration| {
            let mut status = revoked(true);
            let refused = status.conditions.iter_mut().find(|it| it.type_ == AUTHORIZED).unwrap();
            refused.last_transition_time.0 = now() + later;
            told(&connection(), &status, true, now()).unwrap().id
        };
        assert_eq!(since(SignedDuration::from_millis(700)), since(SignedDuration::ZERO), "as it is written");
        assert_ne!(since(SignedDuration::from_secs(1)), since(SignedDuration::ZERO), "once more");
        // Somebody who rotates because of it is asked for that.
        set(&mut status.conditions, rotated(), None, now());
        assert!(told(&connection(), &status, true, now()).unwrap().id.contains("Rotated"));
    }

    #[test]
    fn a_letter_says_what_must_be_done_and_goes_to_who_can_be_written_to() {
        let mut team = crate::testing::team("acme", "acme");
        team.spec.contacts = vec!["ops@acme.example".into(), "no address".into()];
        let letter = |why| {
            let how = consent::how(&connection(), None, false);
            letter(&connection(), why, "id", &how, contacts(Some(&team)))
        };
        let mail = letter(Why::Rotated);
        assert_eq!(mail.to.iter().map(EmailAddress::as_str).collect::<Vec<_>>(), ["ops@acme.example"]);
        for part in ["acme/na", "disable the application", "openteam seal --for amazonconnection/acme/na"] {
            assert!(mail.text.contains(part), "{}", mail.text);
        }
        assert!(letter(Why::Renewal).text.contains("Everything goes on"));
        let revoked = letter(Why::Revoked);
        assert!(revoked.subject.contains("Amazon refuses") && revoked.text.contains("took the authorization back"));
        assert_eq!((mail.kind, revoked.kind), (MailKind::Consent, MailKind::Revoked));
        assert!(contacts(None).is_empty());
    }
}
