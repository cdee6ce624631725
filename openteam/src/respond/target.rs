//! Naming the objects that an incident is about.

use std::{fmt, str::FromStr};

use crds::NamespacedReference;

/// A kind that can be contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    AmazonApplication,
    Team,
    AmazonConnection,
    AgentGrant,
    RuntimeToken,
}

impl Kind {
    /// From what hangs everything else down to what hangs nothing.
    pub(crate) const ALL: [Self; 5] =
        [Self::AmazonApplication, Self::Team, Self::AmazonConnection, Self::AgentGrant, Self::RuntimeToken];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AmazonApplication => "AmazonApplication",
            Self::Team => "Team",
            Self::AmazonConnection => "AmazonConnection",
            Self::AgentGrant => "AgentGrant",
            Self::RuntimeToken => "RuntimeToken",
        }
    }

    /// As kubectl takes it: the kind, its plural or its short name, whatever the case.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let singular = text.strip_suffix('s').unwrap_or(&text);
        match singular {
            "amza" => Some(Self::AmazonApplication),
            "amzc" => Some(Self::AmazonConnection),
            _ => Self::ALL.into_iter().find(|kind| kind.as_str().to_ascii_lowercase() == singular),
        }
    }
}

/// One object: `KIND/NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) object: NamespacedReference,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, object) = text.split_once('/').ok_or("it must be KIND/NAMESPACE/NAME, such as amzc/acme/acme-na")?;
        let kind = Kind::parse(kind).ok_or_else(|| {
            format!(
                "{kind} cannot be contained; AmazonApplication (amza), Team, AmazonConnection (amzc), AgentGrant and \
                 RuntimeToken can"
            )
        })?;
        let object = object.parse().map_err(|_| format!("{object} is not NAMESPACE/NAME"))?;
        Ok(Self { kind, object })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.object)
    }
}

/// An incident's name, as annotations list it.
pub(crate) fn incident(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
        return Err("an incident's name is letters, digits, - _ and ., at most 63, such as inc-7".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        for text in ["amzc/acme/na", "AmazonConnection/acme/na", "amazonconnections/acme/na"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), "AmazonConnection acme/na", "{text}");
        }
        assert_eq!("team/acme/acme".parse::<Target>().unwrap().kind, Kind::Team);
        for text in ["acme/na", "pod/acme/na", "amzc/acme", "amzc", "", "amzc/ACME/na"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_incident_cannot_look_like_two_or_like_a_restoration() {
        assert!(incident("inc-7").is_ok());
        for text in ["", "inc-7,inc-8", "inc-7/2026", "inc 7", &"x".repeat(64)] {
            assert!(incident(text).is_err(), "{text}");
        }
    }
}
