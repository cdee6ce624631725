//! What people and connections of a Team are called on its pages, instead of by what the record has.

use std::collections::BTreeMap;

use audit::wire::reading::{NotSought, Outcome, Party, Sought, Told, folded};
use jiff::Timestamp;

use crate::{
    page::{ActivityEvent, Status, Tone, When},
    portal::{Ask, Membership},
    shown,
};

/// Who is suggested at most, so that the page stays small.
const MOST_SUGGESTED: usize = 50;

/// Names, by what the record has.
#[derive(Clone, Default)]
pub(super) struct Names {
    /// Addresses of members, by digest.
    people: BTreeMap<String, String>,
    /// Names of connections that people see, by the object's.
    connections: BTreeMap<String, String>,
    /// Tokens and agents, as [`Told::who`] calls them.
    programs: Vec<String>,
}

impl Names {
    pub(super) fn of(ask: &Ask, membership: &Membership) -> Self {
        let digest = |email: &str| ask.portal.keys.digests.email(email).as_str().to_owned();
        let members = &membership.object.spec.members;
        let people = members.iter().map(|member| (digest(&member.email), member.email.clone())).collect();
        let connections = shown::connections(&ask.index, &membership.team)
            .map(|(name, connection)| (name.name.clone(), shown::connection_name(connection)))
            .collect();
        let tokens = shown::tokens(&ask.index, &membership.team).map(|(name, _)| format!("Token {}", name.name));
        let agents = shown::grants(&ask.index, &membership.team)
            .map(|(_, grant)| format!("Agent {}", grant.spec.service_account.name));
        Self { people, connections, programs: tokens.chain(agents).collect() }
    }

    /// The connections there are: the object's name, and the one that people see.
    pub(super) fn connections(&self) -> impl Iterator<Item = (&str, &str)> {
        self.connections.iter().map(|(name, shown)| (name.as_str(), shown.as_str()))
    }

    pub(super) fn connection(&self, name: &str) -> Option<&str> {
        self.connections.get(name).map(String::as_str)
    }

    /// Who may have done something, some of them.
    pub(super) fn suggested(&self) -> Vec<String> {
        let mut all: Vec<String> = self.people.values().chain(&self.programs).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(MOST_SUGGESTED);
        all
    }

    /// These words, with the people and connections they fit. Of people only members: what the address of somebody else did
    /// here no page tells, so no filter does.
    pub(super) fn sought(&self, words: &str) -> Result<Sought, NotSought> {
        let wanted = folded(words);
        let fitting = |all: &BTreeMap<String, String>| -> Vec<String> {
            let fits = all.iter().filter(|(_, shown)| folded(shown).contains(&wanted));
            fits.map(|(name, _)| name.clone()).collect()
        };
        Sought::new(words, fitting(&self.people), fitting(&self.connections))
    }

    /// An event, as pages tell it.
    pub(super) fn tell(&self, event: &Told) -> Option<ActivityEvent> {
        let at = Timestamp::from_millisecond(event.time).ok()?;
        let tone = match event.outcome {
            Outcome::Succeeded => Tone::Good,
            Outcome::Intended => Tone::Wait,
            Outcome::Failed | Outcome::Refused => Tone::Bad,
        };
        Some(ActivityEvent {
            at: When(at),
            who: self.named(event.who()),
            what: event.what(),
            object: event.object().map(|object| self.named(object)),
            outcome: Status::new(tone, event.came_of_it()),
        })
    }

    fn named(&self, party: Party<'_>) -> String {
        match party {
            Party::Person(digest) => {
                self.people.get(digest).cloned().unwrap_or_else(|| "Somebody who is no longer a member".to_owned())
            }
            Party::Connection(name) => self.connection(name).unwrap_or(name).to_owned(),
            Party::Other(words) => words.into_owned(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use audit::wire::reading::{ToldActor, ToldEntity};

    use super::*;

    pub(in super::super) fn told(message: &str, kind: &str, name: &str) -> Told {
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

    pub(in super::super) fn names() -> Names {
        Names {
            people: [("hmac-sha256:1".to_owned(), "ada@acme.example".to_owned())].into(),
            connections: [("acme-na".to_owned(), "Acme, North America".to_owned())].into(),
            programs: vec!["Token laptop".to_owned(), "Agent bot".to_owned()],
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
            let event = told("created by", kind, name);
            assert_eq!(names().tell(&event).unwrap().who, who);
            // By what a page calls somebody, they are found; who is no member any more has no name to be found by.
            let found = names().sought(who).unwrap().did(&event);
            assert_eq!(found, name != "hmac-sha256:2", "{who}");
        }
        let nobody = Told { actor: None, ..told("created by", "", "") };
        assert_eq!(names().tell(&nobody).unwrap().who, "Somebody unknown");
        assert_eq!(names().suggested(), ["Agent bot", "Token laptop", "ada@acme.example"]);
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
        let shown = names().tell(&call).unwrap();
        assert_eq!((shown.what.as_str(), shown.object.as_deref()), ("getOrder", Some("Acme, North America")));
        assert_eq!(shown.outcome, Status::new(Tone::Bad, "Refused: marketplace not in scope"));
        for words in ["getorder", "NORTH america", "not in scope", "laptop"] {
            assert!(names().sought(words).unwrap().is_told_in(&call), "{words}");
        }
        let issued = Told {
            entity: Some(ToldEntity { kind: "RuntimeToken".to_owned(), name: "laptop".to_owned() }),
            ..told("issued by", "Person", "hmac-sha256:1")
        };
        let shown = names().tell(&issued).unwrap();
        assert_eq!((shown.what.as_str(), shown.object.as_deref()), ("Issued a token", Some("laptop")));
        assert_eq!(shown.outcome, Status::new(Tone::Good, "Done"));
        let member = |by, name| Told {
            entity: Some(ToldEntity { kind: "Person".to_owned(), name: "hmac-sha256:1".to_owned() }),
            ..told("member assigned", by, name)
        };
        let shown = names().tell(&member("System", "openteam:operator")).unwrap();
        assert_eq!((shown.what.as_str(), shown.object.as_deref()), ("Saw a new member", Some("ada@acme.example")));
        assert_eq!(names().tell(&member("Person", "hmac-sha256:1")).unwrap().object, None);
        // What has no words of its own yet is told in the record's.
        assert_eq!(names().tell(&told("credential sealed", "System", "x")).unwrap().what, "Credential sealed");
        assert_eq!(names().tell(&Told { time: i64::MAX, ..told("a", "System", "x") }), None);
    }
}
