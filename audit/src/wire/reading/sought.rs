//! A text that is looked for in the words of events.
//!
//! People and connections have names on a page that the record has not: addresses are digests there, display names change.
//! The portal knows them, so it sends along whom the text fits. As text: the words in the first line, then in a line each
//! `person DIGEST` and `connection NAME`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Party, Told};

/// Words, and who and what else they stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sought {
    /// [`folded`].
    words: String,
    people: Vec<String>,
    connections: Vec<String>,
}

/// What cannot be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotSought {
    /// The words are empty, too long or not of one line, or a line after them is none of ours.
    #[error("not words to look for")]
    NoWords,
    /// The words fit too many people or connections.
    #[error("words that fit too much")]
    TooMany,
}

impl Sought {
    /// Most letters of the words.
    pub const MOST_LETTERS: usize = 100;
    /// The longest text of one, so that a question with two of them is an address that every server takes.
    const MOST_BYTES: usize = 4096;

    /// Looks for these words, people with these digests and connections with these names.
    ///
    /// # Errors
    /// [`NotSought`]
    pub fn new(words: &str, people: Vec<String>, connections: Vec<String>) -> Result<Self, NotSought> {
        let words = folded(words.trim());
        let letters = words.chars().count();
        // Folding may make two letters of one.
        if letters == 0 || letters > 2 * Self::MOST_LETTERS || words.chars().any(char::is_control) {
            return Err(NotSought::NoWords);
        }
        let sought = Self { words, people, connections };
        if String::from(sought.clone()).len() > Self::MOST_BYTES { Err(NotSought::TooMany) } else { Ok(sought) }
    }

    fn is_in(&self, text: &str) -> bool {
        folded(text).contains(&self.words)
    }

    fn is(&self, party: &Party<'_>) -> bool {
        let is_of = |all: &Vec<String>, name: &str| all.iter().any(|one| one == name);
        match party {
            Party::Person(digest) => is_of(&self.people, digest),
            Party::Connection(name) => self.is_in(name) || is_of(&self.connections, name),
            Party::Other(words) => self.is_in(words),
        }
    }

    /// Whether it is who did something.
    #[must_use]
    pub fn did(&self, event: &Told) -> bool {
        self.is(&event.who())
    }

    /// Whether it is in any words of an event.
    #[must_use]
    pub fn is_told_in(&self, event: &Told) -> bool {
        self.is_in(&event.what())
            || self.is_in(&event.came_of_it())
            || self.did(event)
            || event.object().is_some_and(|object| self.is(&object))
    }
}

/// A text as it is compared: without case, and with the apostrophe that keyboards have.
#[must_use]
pub fn folded(text: &str) -> String {
    text.to_lowercase().replace('’', "'")
}

impl From<Sought> for String {
    fn from(sought: Sought) -> Self {
        let Sought { words, people, connections } = sought;
        let people = people.into_iter().map(|digest| format!("\nperson {digest}"));
        let connections = connections.into_iter().map(|name| format!("\nconnection {name}"));
        people.chain(connections).fold(words, |text, line| text + &line)
    }
}

impl TryFrom<String> for Sought {
    type Error = NotSought;

    fn try_from(text: String) -> Result<Self, NotSought> {
        let mut lines = text.split('\n');
        let words = lines.next().unwrap_or_default();
        let (mut people, mut connections) = (Vec::new(), Vec::new());
        for line in lines {
            match line.split_once(' ') {
                Some(("person", digest)) => people.push(digest.to_owned()),
                Some(("connection", name)) => connections.push(name.to_owned()),
                _ => return Err(NotSought::NoWords),
            }
        }
        Self::new(words, people, connections)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Outcome, ToldActor, ToldEntity},
        *,
    };

    fn told() -> Told {
        Told {
            sequence: 1,
            time: 1_790_000_000_000,
            class: 6003,
            activity: 2,
            message: "call refused".to_owned(),
            outcome: Outcome::Refused,
            reason: Some("MarketplaceNotInScope".to_owned()),
            actor: Some(ToldActor { kind: "RuntimeToken".to_owned(), name: "acme/laptop".to_owned() }),
            connection: Some("acme-na".to_owned()),
            operation: Some("orders/v0/getOrder".to_owned()),
            marketplaces: vec!["ATVPDKIKX0DER".to_owned()],
            entity: None,
        }
    }

    fn words(text: &str) -> Sought {
        Sought::new(text, vec![], vec![]).unwrap()
    }

    #[test]
    fn words_are_found_where_the_page_has_them_and_nowhere_else() {
        for shown in ["getorder", "ORDER", "marketplace not in", "Refused", "laptop", " Token lap ", "acme-na"] {
            assert!(words(shown).is_told_in(&told()), "{shown}");
        }
        // What the record has besides: the API's name, the message, the namespace, the id of the marketplace.
        for kept in ["v0", "call refused", "acme/laptop", "MarketplaceNotInScope", "ATVPDKIKX0DER", "RuntimeToken"] {
            assert!(!words(kept).is_told_in(&told()), "{kept}");
        }
        assert!(words("laptop").did(&told()) && !words("acme-na").did(&told()));
        let back = Told { operation: None, message: "consent returned by".to_owned(), ..told() };
        assert!(words("seller's consent").is_told_in(&back));
    }

    #[test]
    fn people_and_connections_are_found_by_whom_the_words_fit() {
        let person =
            |name: &str| Told { actor: Some(ToldActor { kind: "Person".to_owned(), name: name.to_owned() }), ..told() };
        let ada = Sought::new("ada@", vec!["hmac-sha256:1".to_owned()], vec![]).unwrap();
        assert!(ada.did(&person("hmac-sha256:1")) && !ada.did(&person("hmac-sha256:2")));
        assert!(!words("hmac").is_told_in(&person("hmac-sha256:1")), "no page shows a digest");
        let north = Sought::new("north america", vec![], vec!["acme-na".to_owned()]).unwrap();
        assert!(north.is_told_in(&told()) && !north.did(&told()));
        let of_another_kind = Told {
            connection: None,
            entity: Some(ToldEntity { kind: "RuntimeToken".to_owned(), name: "acme-na".to_owned() }),
            ..told()
        };
        assert!(!north.is_told_in(&of_another_kind));
    }

    #[test]
    fn what_is_sought_reads_back_and_nothing_endless_is() {
        let sought =
            Sought::new("Ada", vec!["hmac-sha256:1".to_owned()], vec!["na".to_owned(), "eu".to_owned()]).unwrap();
        let text = String::from(sought.clone());
        assert_eq!(text, "ada\nperson hmac-sha256:1\nconnection na\nconnection eu");
        assert_eq!(Sought::try_from(text), Ok(sought));
        for wrong in ["", " ", "\nperson a", "a\rb", "a\n", "a\nperson", "a\nbody x", "a\tb"] {
            assert_eq!(Sought::try_from(wrong.to_owned()), Err(NotSought::NoWords), "{wrong:?}");
        }
        assert_eq!(Sought::new(&"x".repeat(201), vec![], vec![]), Err(NotSought::NoWords));
        let many = (0..400).map(|number| format!("connection-{number}")).collect();
        assert_eq!(Sought::new("connection", vec![], many), Err(NotSought::TooMany));
    }
}
