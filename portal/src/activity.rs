//! What happened in a Team, as far as the recorders tell it.

use std::collections::HashMap;

use audit::{
    Change, Kind,
    wire::reading::{Asked, Outcome, Told},
};
use axum::{body::Body, http::Response};
use jiff::Timestamp;
use process::journals::{Cursor, Journals};

use crate::{
    act,
    answer::{Refusal, page},
    page::{Activity, ActivityEvent, Status, Tone, When},
    portal::{Ask, Membership},
    shown,
};

/// Events of a page.
const EVENTS: usize = 50;
/// The parameter that says where a page begins.
const BEFORE: &str = "before";

/// The recorders, as they are asked.
pub(crate) struct Source {
    journals: Journals,
}

/// When RuntimeTokens were last used.
pub(crate) struct Uses {
    last: HashMap<String, Timestamp>,
    /// From when on nothing is missing; `None` where nothing is at all.
    since: Option<Timestamp>,
}

/// What is known of a token's last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Then.
    At(Timestamp),
    /// It was not.
    Never,
    /// The record that was looked at begins after the token.
    Unknown,
}

impl Uses {
    /// Of the token with this name that was created then: a use before that is one of a token that had the name before.
    pub(crate) fn of(&self, name: &str, created: Timestamp) -> Use {
        // A second is for the clock of whoever created it.
        match self.last.get(name).filter(|at| **at >= created - jiff::SignedDuration::from_secs(1)) {
            Some(at) => Use::At(*at),
            None if self.since.is_some_and(|since| since > created) => Use::Unknown,
            None => Use::Never,
        }
    }
}

impl Source {
    pub(crate) const fn new(journals: Journals) -> Self {
        Self { journals }
    }

    /// When the RuntimeTokens of the Team's namespace were last used; `None` where no recorder answers.
    pub(crate) async fn last_use(&self, membership: &Membership) -> Option<Uses> {
        let told = self.journals.last_use(&membership.team.namespace).await.ok()?;
        let time = |at: i64| Timestamp::from_millisecond(at).ok();
        Some(Uses {
            last: told.runtime_tokens.into_iter().filter_map(|(name, at)| Some((name, time(at)?))).collect(),
            since: told.is_partial.then(|| time(told.since)).flatten(),
        })
    }
}

/// `GET …/activity`.
pub(crate) async fn show(ask: &Ask, membership: &Membership) -> Result<Response<Body>, Refusal> {
    let from = ask.parameters().text(BEFORE).parse::<Cursor>().ok();
    let team = &membership.team;
    let uid = membership.object.metadata.uid.as_deref();
    let by = membership.visitor.requester(ask);
    let event = act::event(Kind::Team, team, uid, &team.name, Change::RecordReadBy(by))?;
    let asked = Asked {
        namespace: team.namespace.clone(),
        team: Some(team.name.clone()),
        team_uid: uid.and_then(|uid| uid.parse().ok()),
        before: None,
        limit: Some(EVENTS),
    };
    // What cannot be recorded is not read.
    let read = ask.portal.recorder.record(event).await.ok();
    let found = match read {
        Some(read) => ask.portal.activity.journals.activity(read, &asked, from.as_ref()).await.ok(),
        None => None,
    };
    let path = format!("{}/activity", membership.path());
    let mut shows = Activity {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        unavailable: found.is_none(),
        newer: from.map(|_| path.clone()),
        ..Activity::default()
    };
    if let Some(found) = found {
        let words = Words::of(ask, membership);
        shows.events = found.events.iter().filter_map(|event| words.tell(event)).collect();
        shows.older = found.older.map(|older| format!("{path}?{BEFORE}={older}"));
    }
    Ok(page(&shows))
}

/// What people are called by, instead of by what the record has.
struct Words {
    /// Addresses of members, by digest.
    people: HashMap<String, String>,
    /// Display names of connections.
    connections: HashMap<String, String>,
}

impl Words {
    fn of(ask: &Ask, membership: &Membership) -> Self {
        let digest = |email: &str| ask.portal.keys.digests.email(email).as_str().to_owned();
        let members = &membership.object.spec.members;
        let people = members.iter().map(|member| (digest(&member.email), member.email.clone())).collect();
        let named = shown::connections(&ask.index, &membership.team)
            .filter_map(|(name, connection)| Some((name.name.clone(), connection.spec.display_name.clone()?)));
        Self { people, connections: named.collect() }
    }

    fn tell(&self, event: &Told) -> Option<ActivityEvent> {
        let at = Timestamp::from_millisecond(event.time).ok()?;
        let connection = |name: &String| self.connections.get(name).unwrap_or(name).clone();
        let object = match (&event.entity, &event.connection) {
            (Some(entity), _) if entity.kind == "AmazonConnection" => Some(connection(&entity.name)),
            // Whose membership it is; where they did it themselves, that is told already.
            (Some(entity), _) if entity.kind == "Person" => {
                let is_actor = event.actor.as_ref().is_some_and(|actor| actor.name == entity.name);
                (!is_actor).then(|| self.person(&entity.name))
            }
            (Some(entity), _) => Some(entity.name.clone()),
            (None, of) => of.as_ref().map(connection),
        };
        Some(ActivityEvent { at: When(at), who: self.who(event), what: what(event), object, outcome: outcome(event) })
    }

    fn person(&self, digest: &str) -> String {
        self.people.get(digest).cloned().unwrap_or_else(|| "Somebody who is no longer a member".to_owned())
    }

    fn who(&self, event: &Told) -> String {
        let Some(actor) = &event.actor else { return "Somebody unknown".to_owned() };
        let name = &actor.name;
        let last = |separator| name.rsplit(separator).next().unwrap_or(name);
        match actor.kind.as_str() {
            "Person" => self.person(name),
            "RuntimeToken" => format!("Token {}", last('/')),
            "ServiceAccount" if name.ends_with(":openteam-portal") => "OpenTeam portal".to_owned(),
            "ServiceAccount" => format!("Agent {}", last(':')),
            "System" => "OpenTeam".to_owned(),
            // A digest is nothing that people know somebody by.
            _ if name.starts_with("sha256:") => "Somebody by kubectl".to_owned(),
            _ => format!("{name} by kubectl"),
        }
    }
}

/// What happened, in words.
fn what(event: &Told) -> String {
    if let Some(operation) = &event.operation {
        return operation.rsplit('/').next().unwrap_or(operation).to_owned();
    }
    let known = match event.message.as_str() {
        "authorized" | "connection authorized" => "Amazon accepted the authorization",
        "connection unauthorized" => "Amazon refused the authorization",
        "consent begun by" => "Went to Amazon for the seller’s consent",
        "consent returned by" => "Came back from Amazon with the seller’s consent",
        "consent not returned by" => "Came back from Amazon without a consent",
        "contained by" => "Contained",
        "created by" => "Created",
        "deleted by" => "Deleted",
        "issued by" => "Issued a token",
        "member assigned" => "Saw a new member",
        "member revoked" => "Saw that somebody is no longer a member",
        "member's role changed" => "Saw that a member has another role",
        "membership accepted by" => "Accepted the membership",
        "record read by" => "Looked at this page",
        "renamed by" => "Renamed",
        "renewal asked for by" => "Asked for a renewal of the consent",
        "rotation asked for by" => "Asked for a rotation",
        "about to be restored by" => "Was about to restore",
        "sealed credential given by" => "Gave a secret, which was sealed",
        "test asked for by" => "Asked for a test",
        other => return capital(other),
    };
    known.to_owned()
}

/// With a capital.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn outcome(event: &Told) -> Status {
    let because = |word: &str| match &event.reason {
        Some(reason) => format!("{word}: {}", spaced(reason)),
        None => word.to_owned(),
    };
    let is_call = event.operation.is_some();
    match event.outcome {
        Outcome::Succeeded if is_call => Status::new(Tone::Good, "Answered"),
        Outcome::Succeeded => Status::new(Tone::Good, "Done"),
        Outcome::Intended => Status::new(Tone::Wait, "Begun"),
        Outcome::Failed => Status::new(Tone::Bad, because("Failed")),
        Outcome::Refused => Status::new(Tone::Bad, because("Refused")),
    }
}

/// A reason in words: `MarketplaceNotInScope` is `marketplace not in scope`.
fn spaced(reason: &str) -> String {
    let mut words = String::with_capacity(reason.len() + 8);
    for letter in reason.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use audit::wire::reading::{ToldActor, ToldEntity};

    use super::*;

    fn told(message: &str, kind: &str, name: &str) -> Told {
        Told {
            sequence: 1,
            time: 1_790_000_000_000,
            class: 3004,
            activity: 1,
            message: message.to_owned(),
            outcome: Outcome::Succeeded,
            reason: None,
            actor: Some(ToldActor { kind: kind.to_owned(), name: name.to_owned() }),
            connection: None,
            operation: None,
            marketplaces: vec![],
            entity: None,
        }
    }

    fn words() -> Words {
        Words {
            people: [("hmac-sha256:1".to_owned(), "ada@acme.example".to_owned())].into(),
            connections: [("acme-na".to_owned(), "Acme, North America".to_owned())].into(),
        }
    }

    #[test]
    fn who_did_something_is_told_as_people_know_them() {
        for (kind, name, who) in [
            ("Person", "hmac-sha256:1", "ada@acme.example"),
            ("Person", "hmac-sha256:2", "Somebody who is no longer a member"),
            ("RuntimeToken", "acme/laptop", "Token laptop"),
            ("ServiceAccount", "system:serviceaccount:acme:bot", "Agent bot"),
            ("ServiceAccount", "system:serviceaccount:openteam-system:openteam-portal", "OpenTeam portal"),
            ("System", "openteam:operator", "OpenTeam"),
            ("User", "kubernetes-admin", "kubernetes-admin by kubectl"),
            ("User", "sha256:1", "Somebody by kubectl"),
        ] {
            assert_eq!(words().tell(&told("created by", kind, name)).unwrap().who, who);
        }
        let nobody = Told { actor: None, ..told("created by", "", "") };
        assert_eq!(words().tell(&nobody).unwrap().who, "Somebody unknown");
    }

    #[test]
    fn what_happened_and_what_came_of_it_is_told_in_words() {
        let call = Told {
            operation: Some("orders/v0/getOrder".to_owned()),
            connection: Some("acme-na".to_owned()),
            outcome: Outcome::Refused,
            reason: Some("MarketplaceNotInScope".to_owned()),
            ..told("call refused", "RuntimeToken", "acme/laptop")
        };
        let shown = words().tell(&call).unwrap();
        assert_eq!((shown.what.as_str(), shown.object.as_deref()), ("getOrder", Some("Acme, North America")));
        assert_eq!(shown.outcome, Status::new(Tone::Bad, "Refused: marketplace not in scope"));
        let issued = Told {
            entity: Some(ToldEntity { kind: "RuntimeToken".to_owned(), name: "laptop".to_owned() }),
            ..told("issued by", "Person", "hmac-sha256:1")
        };
        let shown = words().tell(&issued).unwrap();
        assert_eq!((shown.what.as_str(), shown.object.as_deref()), ("Issued a token", Some("laptop")));
        assert_eq!(shown.outcome, Status::new(Tone::Good, "Done"));
        let member = |by, name| Told {
            entity: Some(ToldEntity { kind: "Person".to_owned(), name: "hmac-sha256:1".to_owned() }),
            ..told("member assigned", by, name)
        };
        let shown = words().tell(&member("System", "openteam:operator")).unwrap();
        assert_eq!((shown.what.as_str(), shown.object.as_deref()), ("Saw a new member", Some("ada@acme.example")));
        assert_eq!(words().tell(&member("Person", "hmac-sha256:1")).unwrap().object, None);
        // What has no words of its own yet is told in the record's.
        assert_eq!(words().tell(&told("credential sealed", "System", "x")).unwrap().what, "Credential sealed");
        assert_eq!(words().tell(&Told { time: i64::MAX, ..told("a", "System", "x") }), None);
    }

    #[test]
    fn a_token_was_never_used_only_where_the_record_would_know() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let whole = Uses { last: [("laptop".to_owned(), at(100))].into(), since: None };
        assert_eq!(whole.of("laptop", at(50)), Use::At(at(100)));
        assert_eq!(whole.of("laptop", at(200)), Use::Never, "another one had the name");
        assert_eq!(whole.of("other", at(50)), Use::Never);
        let part = Uses { since: Some(at(60)), ..whole };
        assert_eq!((part.of("other", at(50)), part.of("other", at(70))), (Use::Unknown, Use::Never));
    }
}
