//! Which Teams one belongs to.

use askama::Template;

use super::{Shell, Status};

/// The person's Teams. `GET /`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "teams.html")]
pub struct Teams {
    /// Around it.
    pub shell: Shell,
    /// Each of them; those not yet accepted first.
    pub teams: Vec<TeamRow>,
}

/// A Team of the person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamRow {
    /// Its overview, `/teams/NAMESPACE/TEAM`.
    pub path: String,
    /// The name people see.
    pub name: String,
    /// `Owner`, `Member` or `Viewer`.
    pub role: String,
    /// How many connections it has.
    pub connections: usize,
    /// Whether the person has accepted the membership.
    pub accepted: bool,
    /// How it is, in all.
    pub status: Status,
}

/// Signed in, of no Team. `GET /`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "no_team.html")]
pub struct NoTeam {
    /// Around it.
    pub shell: Shell,
    /// The address signed in with.
    pub email: String,
    /// Whom to write to: a mail address.
    pub contact: Option<String>,
}

/// Asks to accept a membership before anything of the Team is shown; posts to `PATH/accept`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "accept.html")]
pub struct Accept {
    /// Around it.
    pub shell: Shell,
    /// The Team's overview, `/teams/NAMESPACE/TEAM`.
    pub path: String,
    /// The name people see.
    pub team: String,
    /// `Owner`, `Member` or `Viewer`.
    pub role: String,
    /// The address signed in with.
    pub email: String,
}
