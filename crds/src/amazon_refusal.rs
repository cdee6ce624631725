//! What Amazon refuses for good: the words that conditions, errors and the record share.

use std::fmt;

/// What Amazon refuses, and goes on refusing until people change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmazonRefusal {
    /// The refresh token: the seller took the authorization back, it ran out, or it is another application's.
    AuthorizationRevoked,
    /// The application's client id or client secret.
    ApplicationSecretRejected,
    /// Something else.
    AmazonRefused,
}

impl AmazonRefusal {
    const ALL: [Self; 3] = [Self::AuthorizationRevoked, Self::ApplicationSecretRejected, Self::AmazonRefused];

    /// A CamelCase word for conditions, errors and events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::AuthorizationRevoked => "AuthorizationRevoked",
            Self::ApplicationSecretRejected => "ApplicationSecretRejected",
            Self::AmazonRefused => "AmazonRefused",
        }
    }

    /// The refusal that a condition's reason names.
    #[must_use]
    pub fn of_reason(reason: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.reason() == reason)
    }
}

impl fmt::Display for AmazonRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthorizationRevoked => {
                "Amazon refuses the connection's authorization: the seller must authorize the application again"
            }
            Self::ApplicationSecretRejected => {
                "Amazon refuses the application's client id or client secret: its operators must renew it"
            }
            Self::AmazonRefused => "Amazon refuses the connection's credentials",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_its_refusal_and_no_other_word_does() {
        for one in AmazonRefusal::ALL {
            assert_eq!(AmazonRefusal::of_reason(one.reason()), Some(one));
        }
        for other in ["", "Refreshed", "AmazonUnreachable", "authorizationrevoked"] {
            assert_eq!(AmazonRefusal::of_reason(other), None);
        }
    }
}
