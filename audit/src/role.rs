//! The five roles, and who is speaking on a mutually authenticated connection.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Name;

/// What a process of OpenTeam is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reconciles, opens credentials, signs role certificates.
    Operator,
    /// Advises the apiserver on admissions.
    Webhook,
    /// Serves people.
    Portal,
    /// Serves agents and jobs.
    Gateway,
    /// Keeps the record.
    Recorder,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Operator, Self::Webhook, Self::Portal, Self::Gateway, Self::Recorder];

    /// The role in lower case, as in certificates, events and the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Webhook => "webhook",
            Self::Portal => "portal",
            Self::Gateway => "gateway",
            Self::Recorder => "recorder",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NotAPeer;

    fn from_str(text: &str) -> Result<Self, NotAPeer> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotAPeer)
    }
}

/// The process at the other end, as its role certificate names it.
///
/// Its text is the certificate's URI SAN, `openteam://ROLE/POD`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// What it is.
    pub role: Role,
    /// The pod it runs in, in OpenTeam's own namespace.
    pub pod: Name,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "openteam://{}/{}", self.role, self.pod)
    }
}

impl FromStr for Peer {
    type Err = NotAPeer;

    fn from_str(uri: &str) -> Result<Self, NotAPeer> {
        let (role, pod) = uri.strip_prefix("openteam://").and_then(|rest| rest.split_once('/')).ok_or(NotAPeer)?;
        Ok(Self { role: role.parse()?, pod: Name::parse(pod).map_err(|_| NotAPeer)? })
    }
}

/// A text that names no role or no pod. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("role identity is not of the form openteam://ROLE/POD")]
pub struct NotAPeer;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_reads_back_from_its_uri() {
        for role in Role::ALL {
            let uri = format!("openteam://{role}/{role}-7c9f-x2");
            assert_eq!(uri.parse::<Peer>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn other_uris_name_nobody() {
        for uri in [
            "",
            "gateway/pod",
            "openteam://gateway",
            "openteam://gateway/",
            "openteam:///pod",
            "openteam://Gateway/pod",
            "openteam://admin/pod",
            "openteam://gateway/pod/extra",
            "openteam://gateway/POD",
            "openteam://gateway/pod?x=1",
            "OPENTEAM://gateway/pod",
            "https://gateway/pod",
        ] {
            assert_eq!(uri.parse::<Peer>(), Err(NotAPeer), "{uri}");
        }
    }
}
