//! An e-mail address that can stand in a header and in an SMTP command.

use std::{fmt, str::FromStr};

use lettre::Address;

/// An address, `local@domain`, of ASCII without quotes and spaces: whatever else RFC 5321 allows is nobody's address, and is
/// how addresses smuggle headers and commands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(Address);

/// A text that is none. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no e-mail address of letters, digits and signs (a domain in other letters is written as xn--…)")]
pub struct NotAnAddress;

impl EmailAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    pub(super) fn inner(&self) -> &Address {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let plain = |c: char| c.is_ascii_graphic() && !r#""\<>(),:;[]"#.contains(c);
        if text.len() > 254 || !text.chars().all(plain) {
            return Err(NotAnAddress);
        }
        text.parse().map(Self).map_err(|_| NotAnAddress)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Logs are written with it: whose address it is, is nobody's business there.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}
