//! The words in which pages tell an event. Here, because recorders look for what pages show.

use std::borrow::Cow;

use super::{Outcome, Told};

/// Who or what an event names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party<'a> {
    /// A person by the digest of the address: nothing that people know somebody by.
    Person(&'a str),
    /// A connection by its object's name.
    Connection(&'a str),
    /// Something by the words that stand for it.
    Other(Cow<'a, str>),
}

impl Told {
    /// What happened.
    #[must_use]
    pub fn what(&self) -> String {
        if let Some(operation) = &self.operation {
            return operation.rsplit('/').next().unwrap_or(operation).to_owned();
        }
        let known = match self.message.as_str() {
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

    /// Who did it.
    #[must_use]
    pub fn who(&self) -> Party<'_> {
        let Some(actor) = &self.actor else { return Party::Other("Somebody unknown".into()) };
        let name = &actor.name;
        let last = |separator| name.rsplit(separator).next().unwrap_or(name);
        Party::Other(match actor.kind.as_str() {
            "Person" => return Party::Person(name),
            "RuntimeToken" => format!("Token {}", last('/')).into(),
            "ServiceAccount" if name.ends_with(":openteam-portal") => "OpenTeam portal".into(),
            "ServiceAccount" => format!("Agent {}", last(':')).into(),
            "System" => "OpenTeam".into(),
            // A digest is nothing that people know somebody by.
            _ if name.starts_with("sha256:") => "Somebody by kubectl".into(),
            _ => format!("{name} by kubectl").into(),
        })
    }

    /// What it happened to, if to something.
    #[must_use]
    pub fn object(&self) -> Option<Party<'_>> {
        match (&self.entity, &self.connection) {
            (Some(entity), _) if entity.kind == "AmazonConnection" => Some(Party::Connection(&entity.name)),
            // Whose membership it is; where they did it themselves, that is told already.
            (Some(entity), _) if entity.kind == "Person" => {
                let is_actor = self.actor.as_ref().is_some_and(|actor| actor.name == entity.name);
                (!is_actor).then_some(Party::Person(&entity.name))
            }
            (Some(entity), _) => Some(Party::Other(entity.name.as_str().into())),
            (None, of) => of.as_deref().map(Party::Connection),
        }
    }

    /// What came of it.
    #[must_use]
    pub fn came_of_it(&self) -> String {
        let because = |word: &str| match &self.reason {
            Some(reason) => format!("{word}: {}", spaced(reason)),
            None => word.to_owned(),
        };
        let is_call = self.operation.is_some();
        match self.outcome {
            Outcome::Succeeded if is_call => "Answered".to_owned(),
            Outcome::Succeeded => "Done".to_owned(),
            Outcome::Intended => "Begun".to_owned(),
            Outcome::Failed => because("Failed"),
            Outcome::Refused => because("Refused"),
        }
    }
}

/// With a capital.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
