//! A token's text, shown once.

use askama::Template;
use secrecy::{ExposeSecret, SecretString};

use super::{Place, Shell, When, snippet};

/// The answer to `POST …/tokens`. The page holds the secret: keep it out of every cache and log.
#[derive(Template)]
#[template(path = "token_issued.html")]
pub struct TokenIssued {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// The token's name.
    pub name: String,
    /// The text.
    pub token: SecretString,
    /// When it ends.
    pub expires: When,
    /// The gateway's address, without a slash at its end.
    pub gateway: String,
    /// Whom to trust for it: certificates as PEM.
    pub authority: String,
    /// The connection's name, without its namespace.
    pub connection: String,
    /// The marketplace that the calls below name.
    pub marketplace: String,
}

impl TokenIssued {
    fn text(&self) -> &str {
        self.token.expose_secret()
    }

    /// The calls to paste, by client.
    pub(super) fn clients(&self) -> Vec<snippet::Client> {
        snippet::clients(self)
    }
}
