//! The log-in hop: Amazon sends the seller here before it asks for consent.

use askama::Template;

use super::Shell;

/// `GET /amazon/login`; posts `fields` and `consent` there, and goes on to Amazon.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "amazon_login.html")]
pub struct AmazonLogin {
    /// Around it.
    pub shell: Shell,
    /// The host it goes on to, checked to be Amazon's.
    pub host: String,
    /// The seller that Amazon names, if it does.
    pub seller: Option<String>,
    /// What Amazon sent, to be posted: names and values.
    pub fields: Vec<(String, String)>,
    /// The consents this browser began; one of them is sent as `consent`. Without any there is nothing to go on with.
    pub consents: Vec<PendingConsent>,
}

/// A consent under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingConsent {
    /// What is sent.
    pub value: String,
    /// The connection's name.
    pub connection: String,
    /// The Team's name.
    pub team: String,
}
