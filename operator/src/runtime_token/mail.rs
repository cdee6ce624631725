//! The mail to who issued a RuntimeToken that it is about to end. Its state is in the token's status ([`mailing`]).

use audit::{Change, EntityChange};
use crds::{MailState, RuntimeToken, RuntimeTokenStatus, annotation};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use process::mail::{Mail, MailError, MailKind};

use crate::{
    controller::Context,
    error::ReconcileError,
    mailing,
    status::{self, Event},
    subject::{Subject, entity, reference, target},
};

/// Of a token that lives no longer nobody need be told: they have just issued it.
const SHORT: SignedDuration = SignedDuration::from_hours(1);
/// At most so long before the end; of shorter lives a fifth.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// As events and metrics name it.
const NOTIFICATION: &str = "TokenExpiry";

/// From when on its issuer is told that a token ends; `None` for one whose issuer is not told.
pub(super) fn from(token: &RuntimeToken) -> Option<Timestamp> {
    let end = token.spec.expires_at.0;
    let life = end.duration_since(token.metadata.creation_timestamp.as_ref()?.0);
    (life > SHORT).then(|| end - AHEAD.min(life / 5))
}

/// Names the mail that is to be sent now about a token that is good.
pub(super) fn wanted(token: &RuntimeToken, now: Timestamp) -> Option<String> {
    let is_time = from(token)? <= now && now < token.spec.expires_at.0;
    let uid = token.metadata.uid.as_deref().unwrap_or_default();
    is_time.then(|| format!("token-expiry/{uid}"))
}

/// When it is to be tried next, if it is.
pub(super) fn due(status: &RuntimeTokenStatus) -> Option<Timestamp> {
    mailing::due(status.expiry_mail.as_ref())
}

/// Sends what is due, and writes what became of it.
pub(super) async fn send(context: &Context, token: &RuntimeToken) -> Result<(), ReconcileError> {
    let name = reference(&token.metadata);
    let api: Api<RuntimeToken> = Api::namespaced(context.client.clone(), &name.namespace);
    let found = api.get_opt(&name.name).await.map_err(ReconcileError::about(format!("RuntimeToken {name}")))?;
    // The watch may lag behind: what was sent is not sent again, and of what was revoked or contained meanwhile nobody is
    // told.
    let Some(found) = found.filter(|found| found.metadata.uid == token.metadata.uid) else { return Ok(()) };
    let Some(mut status) = found.status.clone() else { return Ok(()) };
    let now = Timestamp::now();
    let stopped = found.metadata.deletion_timestamp.is_some() || annotation::incidents(&found.metadata).is_some();
    if stopped || wanted(&found, now).is_none() {
        return Ok(());
    }
    let Some(mail) = status.expiry_mail.clone().filter(|_| due(&status).is_some_and(|at| at <= now)) else {
        return Ok(());
    };
    let letter = letter(&found, &mail.id, &context.portal_url);
    let error = match letter.to.is_empty() {
        true => Some(MailError::NoRecipient),
        false => context.mailer.send(&letter).await.err(),
    };
    let mail = mailing::tried(mail, error, Timestamp::now());
    match error {
        None => {
            let entity = entity(RuntimeToken::KIND, &found.metadata)?;
            let change = Change::Notified(NOTIFICATION);
            context.recorder.record_later(EntityChange { correlation: None, target: target(&found)?, entity, change });
        }
        Some(error) => {
            tracing::warn!(kind = "RuntimeToken", object = %name, reason = error.reason(), "end of a token not mailed");
            if mail.state == MailState::Failed {
                let note =
                    Some(format!("who issued it was not mailed that it ends at {}: {error}", found.spec.expires_at.0));
                let (reason, action) = ("ExpiryNotMailed".to_owned(), "Mail".to_owned());
                status::publish(context, &found, Event { warns: true, reason, note, action }).await;
            }
        }
    }
    status.expiry_mail = Some(mail);
    status::write(context, &found, &status, &[]).await
}

fn letter(token: &RuntimeToken, id: &str, portal: &str) -> Mail {
    let name = reference(&token.metadata);
    let team = &token.spec.team_ref.name;
    let end = token.spec.expires_at.0.strftime("%-d %B %Y, %H:%M UTC").to_string();
    let link = format!("{portal}/teams/{}/{team}/tokens", name.namespace);
    let what = format!("The runtime token {} of Team {team}, which you issued, ends on {end}.", name.name);
    let then = "What uses it is refused from then on. A token cannot be prolonged: issue another one, put it in the place of \
                this one, and revoke this one.";
    Mail {
        id: id.to_owned(),
        kind: MailKind::TokenExpiry,
        to: token.spec.issued_by.parse().into_iter().collect(),
        subject: format!("Runtime token {name} ends on {end}"),
        text: format!("{what}\n\n{then}\n\n{link}\n\nThis mail was sent by OpenTeam.\n"),
        html: Some(format!(
            "<p>{}</p>\n<p>{then}</p>\n<p><a href=\"{link}\">{link}</a></p>\n<p>This mail was sent by OpenTeam.</p>\n",
            escaped(&what),
            link = escaped(&link),
        )),
    }
}

/// A text as HTML has it, also within quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crds::{LocalReference, RuntimeTokenSpec, Scope};
    use http::{Method, StatusCode};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use process::mail::EmailAddress;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        stores::Stores,
        testing::{self, now},
    };

    fn token(life: SignedDuration) -> RuntimeToken {
        let spec = RuntimeTokenSpec {
            team_ref: LocalReference::to("acme"),
            scope: Scope::default(),
            expires_at: Time(now() + life),
            issued_by: "ann@example.com".into(),
            hash: "0".repeat(64),
        };
        let mut token = RuntimeToken::new("laptop", spec);
        token.metadata.namespace = Some("acme".into());
        token.metadata.uid = Some("uid".into());
        token.metadata.creation_timestamp = Some(Time(now()));
        token
    }

    #[test]
    fn who_issued_it_is_told_when_a_fifth_of_its_life_or_a_day_is_left() {
        let (minutes, hours) = (SignedDuration::from_mins, SignedDuration::from_hours);
        for (life, ahead) in [
            (minutes(10), None),
            (hours(1), None),
            (minutes(61), Some(minutes(61) / 5)),
            (hours(10), Some(hours(2))),
            (hours(24 * 5), Some(hours(24))),
            (hours(24 * 90), Some(hours(24))),
            (hours(-1), None),
        ] {
            let token = token(life);
            assert_eq!(from(&token), ahead.map(|ahead| now() + life - ahead), "{life:?}");
            let Some(ahead) = ahead else {
                assert_eq!(wanted(&token, now() + life / 2), None);
                continue;
            };
            let at = |before: SignedDuration| wanted(&token, now() + life - before);
            let second = SignedDuration::from_secs(1);
            assert_eq!((at(ahead + second), at(SignedDuration::ZERO), at(-second)), (None, None, None));
            assert_eq!(
                (at(ahead), at(second)),
                (Some("token-expiry/uid".to_owned()), Some("token-expiry/uid".to_owned()))
            );
        }
        let mut never_made = token(hours(10));
        never_made.metadata.creation_timestamp = None;
        assert_eq!(from(&never_made), None);
    }

    /// What is written to an apiserver that has this token, when its mail is due.
    async fn written(found: Option<RuntimeToken>) -> Vec<(String, Value)> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (kept, answered) = (written.clone(), found.clone());
        let client = testing::apiserver(move |method, path, body| {
            let missing = json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound" });
            if method == Method::GET {
                return match &answered {
                    _ if !path.ends_with("/laptop") => {
                        (StatusCode::OK, json!({ "metadata": { "resourceVersion": "1" }, "items": [] }))
                    }
                    Some(found) => (StatusCode::OK, serde_json::to_value(found).unwrap()),
                    None => (StatusCode::NOT_FOUND, missing),
                };
            }
            let object: Value = serde_json::from_slice(body).unwrap();
            kept.lock().unwrap().push((format!("{method} {path}"), object.clone()));
            let token = serde_json::to_value(&answered).unwrap();
            (StatusCode::OK, if path.ends_with("/events") { object } else { token })
        });
        let (stores, feeding) = Stores::watch(&client, "openteam-system");
        tokio::spawn(feeding);
        stores.synced().await;
        send(&testing::context(client, stores), &pending()).await.unwrap();
        let written = written.lock().unwrap();
        written.clone()
    }

    /// One that ends in an hour, of ten, with a mail that is to be sent.
    fn pending() -> RuntimeToken {
        let (now, hour) = (Timestamp::now(), SignedDuration::from_hours(1));
        let mut token = token(hour);
        token.metadata.creation_timestamp = Some(Time(now - hour * 9));
        token.spec.expires_at = Time(now + hour);
        let expiry_mail = mailing::next(None, wanted(&token, now), true, now);
        token.status = Some(RuntimeTokenStatus { expiry_mail, ..RuntimeTokenStatus::default() });
        token
    }

    #[tokio::test]
    async fn what_became_of_it_is_written_and_of_a_token_that_was_ended_meanwhile_nobody_is_told() {
        // Without a server it is given up at once, and said.
        let told = written(Some(pending())).await;
        let [(event, said), (patch, status)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(event, "POST /apis/events.k8s.io/v1/namespaces/acme/events");
        assert_eq!(said["reason"], "ExpiryNotMailed");
        assert_eq!(patch, "PATCH /apis/openteam.dev/v1alpha1/namespaces/acme/runtimetokens/laptop/status");
        let mail = &status["status"]["expiryMail"];
        assert_eq!(
            (&mail["state"], &mail["attempts"], &mail["id"]),
            (&json!("Failed"), &json!(1), &json!("token-expiry/uid"))
        );

        let with = |change: fn(&mut RuntimeToken)| {
            let mut token = pending();
            change(&mut token);
            Some(token)
        };
        for found in [
            None,
            with(|token| token.metadata.uid = Some("another".into())),
            with(|token| token.metadata.deletion_timestamp = Some(Time(Timestamp::now()))),
            with(|token| token.metadata.annotations = Some([("openteam.dev/disable".into(), "inc-7".into())].into())),
            with(|token| token.spec.expires_at = Time(Timestamp::now())),
            with(|token| token.status = None),
            with(|token| {
                let status = token.status.as_mut().unwrap();
                status.expiry_mail.as_mut().unwrap().state = MailState::Sent;
            }),
        ] {
            let told = written(found.clone()).await;
            assert!(told.is_empty(), "{found:?}: {told:?}");
        }
    }

    #[test]
    fn the_letter_says_what_ends_and_when_and_holds_no_text_of_others_as_html() {
        let mut token = token(SignedDuration::from_hours(10));
        let mail = letter(&token, "id", "https://portal.example");
        assert_eq!(mail.to.iter().map(EmailAddress::as_str).collect::<Vec<_>>(), ["ann@example.com"]);
        assert!(mail.subject.starts_with("Runtime token acme/laptop ends on "), "{}", mail.subject);
        let html = mail.html.unwrap();
        for text in [&mail.text, &html] {
            for part in
                ["laptop", "Team acme", "UTC", "https://portal.example/teams/acme/acme/tokens", "issue another one"]
            {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert_eq!((mail.id.as_str(), mail.kind), ("id", MailKind::TokenExpiry));
        token.spec.team_ref = LocalReference::to("a\"><script>&");
        let html = letter(&token, "id", "https://portal.example").html.unwrap();
        assert!(!html.contains("<script>") && html.contains("a&quot;&gt;&lt;script&gt;&amp;"), "{html}");
        token.spec.issued_by = "no address".into();
        assert_eq!(letter(&token, "id", "https://portal.example").to, []);
    }
}
