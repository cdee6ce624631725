//! What OpenTeam promises, for everyone.

use askama::Template;

use super::{Shell, Status};

/// `GET /security`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "security.html")]
pub struct Security {
    /// Around it.
    pub shell: Shell,
    /// Whom to write to about security: a mail address.
    pub contact: Option<String>,
    /// How it is now; for the signed-in only.
    pub facts: Vec<Fact>,
    /// After how many seconds a gateway that does not see the cluster refuses everything.
    pub staleness_seconds: u32,
}

/// Something that is so now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// In a sentence.
    pub text: String,
}
