//! A Team at a glance.

use askama::Template;

use super::{Marketplace, Place, Shell, Status, When};

/// `GET /teams/{ns}/{team}`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "team.html")]
pub struct TeamPage {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// Its connections, those that need somebody first.
    pub connections: Vec<ConnectionRow>,
    /// Tokens that end soon.
    pub ending: Vec<EndingToken>,
    /// What to do next, the most important first.
    pub next: Vec<NextStep>,
    /// Whether the person may connect a seller.
    pub may_connect: bool,
    /// Whether the person may issue a token.
    pub may_issue: bool,
}

/// A connection in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its page.
    pub path: String,
    /// The name people see.
    pub name: String,
    /// Amazon's id of the seller, once known.
    pub seller: Option<String>,
    /// The region in words, such as `North America`.
    pub region: String,
    /// What callers may use.
    pub marketplaces: Vec<Marketplace>,
    /// How it is.
    pub status: Status,
    /// When the seller has to consent again.
    pub expires: Option<When>,
    /// Whether it calls Amazon's sandbox.
    pub sandbox: bool,
}

/// A token that ends soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndingToken {
    /// Its name.
    pub name: String,
    /// Who issued it.
    pub creator: String,
    /// When it ends.
    pub expires: When,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// There is no connection yet and the person may make one.
    ConnectSeller,
    /// There is none, and only an Owner may make one.
    AskOwner {
        /// Addresses of the Owners.
        owners: Vec<String>,
    },
    /// A consent was begun and not given, or has to be given again.
    Consent {
        /// The connection's page.
        path: String,
        /// Its name.
        name: String,
        /// Until when, if it still works.
        by: Option<When>,
    },
    /// There is a connection that works, and no token of the person's.
    IssueToken,
}
