//! The words an event may hold. Each is either from a fixed list, or of a shape no secret of ours fits.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// The name of a Kubernetes object, namespace or pod: an RFC 1123 subdomain of at most 253 characters.
///
/// The labels are lower case letters, digits and inner hyphens, so no JSON web token, runtime token or token of
/// Amazon's is one. A client secret of Login with Amazon would be (`amzn1.oa2-cs…`), hence names with the
/// label `amzn1` are refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// Takes `text` if it is a name.
    ///
    /// # Errors
    /// [`NotAName`] for everything else; the error does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let label = |label: &str| {
            label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label != "amzn1"
        };
        let fits = text.len() <= 253 && text.split('.').all(label);
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAName { length: text.len() }) }
    }

    /// The nearest name to a text that a responder typed in an emergency, an incident's mostly: none is left out of the
    /// record. `Incident 42` is told as `incident-42`, and what has no letter or could be a secret as `unnamed`.
    #[must_use]
    pub fn spelt(text: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let text: String = text.chars().map(plain).take(63).collect();
        Self::parse(text.trim_matches('-')).unwrap_or_else(|_| Self("unnamed".to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A text that is no Kubernetes name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("text of {length} bytes is not a Kubernetes name")]
pub struct NotAName {
    /// Its length; the text itself is not repeated.
    pub length: usize,
}

/// A namespaced object. Its text is `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: Name,
    /// The object in it.
    pub name: Name,
}

impl ObjectName {
    /// Takes both parts as they come from the apiserver.
    ///
    /// # Errors
    /// [`NotAName`] when one of them is none.
    pub fn parse(namespace: &str, name: &str) -> Result<Self, NotAName> {
        Ok(Self { namespace: Name::parse(namespace)?, name: Name::parse(name)? })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl std::str::FromStr for ObjectName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (namespace, name) = text.split_once('/').ok_or(NotAName { length: text.len() })?;
        Self::parse(namespace, name)
    }
}

/// One of Amazon's marketplaces: `A` and 9 to 19 upper case letters or digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketplaceId(String);

impl MarketplaceId {
    /// Takes `text` if it has the shape of a marketplace id; the list of ids is not closed.
    ///
    /// # Errors
    /// [`NotAMarketplace`] for everything else.
    pub fn parse(text: &str) -> Result<Self, NotAMarketplace> {
        let fits = (10..=20).contains(&text.len())
            && text.starts_with('A')
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAMarketplace) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no marketplace id. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("text is not a marketplace id")]
pub struct NotAMarketplace;

/// Why something was refused or failed: a word of the program's own, such as `MarketplaceNotInScope`.
///
/// Being `&'static` it cannot carry anything a caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(&'static str);

impl Reason {
    /// A reason, in the `CamelCase` that Kubernetes gives the reasons of its conditions.
    pub const fn new(word: &'static str) -> Self {
        Self(word)
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Ties the events of one request together: its intent, the refresh it needed, its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Correlation(pub Uuid);

impl Correlation {
    /// A new one. Not secret: it may be told to the caller.
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

/// What belongs together in the record: whose event it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The Team.
    pub team: ObjectName,
    /// The Team's UID, when known: a Team made anew under the old name is another tenant.
    pub team_uid: Option<Uuid>,
    /// The AmazonConnection, when there is one.
    pub connection: Option<ObjectName>,
}

/// A source network: what is left of an address that is counted and not kept, /24 of IPv4 and /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first four groups of an IPv6 address.
    V6([u16; 4]),
    /// All networks beyond those that a [`crate::RefusalCounter`] tells apart.
    Others,
}

impl Network {
    /// The network of an address; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(f, "{a}.{b}.{c}.0/24"),
            Self::V6([a, b, c, d]) => {
                write!(f, "{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            Self::Others => f.write_str("others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_names_are_taken() {
        for name in ["a", "acme-na", "gateway-7c9f8d-x2x4z", "0", "a.b-c.d", &"a".repeat(253)] {
            assert_eq!(Name::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn every_incident_is_told_however_it_was_typed() {
        for (text, name) in [
            ("inc-7", "inc-7"),
            ("Incident 42", "incident-42"),
            ("inc_8", "inc-8"),
            ("\u{1f525}", "unnamed"),
            ("-x-", "x"),
            (" (lost laptop)", "lost-laptop"),
            ("", "unnamed"),
            ("--", "unnamed"),
            ("amzn1", "unnamed"),
            (&"a".repeat(80), &"a".repeat(63)),
        ] {
            assert_eq!(Name::spelt(text).as_str(), name);
        }
    }

    #[test]
    fn what_could_be_a_secret_is_no_name() {
        let hex = "0123456789abcdef".repeat(4);
        for text in [
            String::new(),
            "a".repeat(254),
            "a b".into(),
            "UPPER".into(),
            "-a".into(),
            "a-".into(),
            "a..b".into(),
            ".a".into(),
            "a\n".into(),
            "someone@example.com".into(),
            format!("{}|{hex}", "Atzr"),
            format!("{}|{hex}", "atza"),
            format!("amzn1.oa2-cs.v1.{hex}"),
            format!("x.amzn1.oa2-cs.v1.{hex}"),
            format!("otrt_acme_bot_{hex}"),
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln".into(),
        ] {
            assert_eq!(Name::parse(&text), Err(NotAName { length: text.len() }), "{text}");
        }
    }

    #[test]
    fn only_the_shape_of_a_marketplace_is_one() {
        for id in ["ATVPDKIKX0DER", "A1F83G8C2ARO7P", "A2EUQ1WTGCTBG2"] {
            assert_eq!(MarketplaceId::parse(id).unwrap().as_str(), id);
        }
        for text in ["", "US", "ATVPDKIK", "BTVPDKIKX0DER", "atvpdkikx0der", "ATVPDKIKX0DER,A1F83", &"A".repeat(21)] {
            assert_eq!(MarketplaceId::parse(text), Err(NotAMarketplace), "{text}");
        }
    }

    #[test]
    fn a_network_forgets_the_host() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(Network::of(address.parse().unwrap()).to_string(), network);
        }
    }
}
