//! Where one is signed in.

use askama::Template;

use super::{Shell, When};

/// `GET /sessions`; posts to `/sessions/{id}/end` and `/sessions/end-others`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "sessions.html")]
pub struct Sessions {
    /// Around it.
    pub shell: Shell,
    /// This one first.
    pub sessions: Vec<SessionRow>,
}

impl Sessions {
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.here)
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Names it in a path; not the secret.
    pub id: String,
    /// Browser and system, such as `Firefox on Linux`.
    pub device: String,
    /// The network it was begun from.
    pub network: String,
    /// Since when.
    pub began: When,
    /// When it was last used.
    pub last_use: When,
    /// When it ends at the latest.
    pub ends: When,
    /// Whether it is the one that asks.
    pub here: bool,
}
