//! Who belongs to a Team.

use askama::Template;

use super::{Place, Shell, When};

/// `GET …/members`. Read-only: members come by YAML.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "members.html")]
pub struct Members {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// Everybody.
    pub members: Vec<MemberRow>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The address.
    pub email: String,
    /// `Owner`, `Member` or `Viewer`.
    pub role: String,
    /// When the membership was accepted.
    pub accepted: Option<When>,
    /// Whether it is who looks.
    pub you: bool,
    /// Whether the person was contained: nothing of theirs works.
    pub contained: bool,
}
