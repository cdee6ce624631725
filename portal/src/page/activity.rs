//! What happened in a Team, as the record has it.

use askama::Template;

use super::{Place, Shell, Status, When};

/// `GET …/activity`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "activity.html")]
pub struct Activity {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// The newest first.
    pub events: Vec<ActivityEvent>,
    /// Where older ones are.
    pub older: Option<String>,
    /// Where newer ones are.
    pub newer: Option<String>,
    /// Whether the record cannot be asked now.
    pub unavailable: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityEvent {
    /// When.
    pub at: When,
    /// Who: an address, a token, an agent, `OpenTeam`.
    pub who: String,
    /// What, in words.
    pub what: String,
    /// On what, if on something.
    pub object: Option<String>,
    /// What came of it.
    pub outcome: Status,
}
