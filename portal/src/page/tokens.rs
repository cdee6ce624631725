//! Runtime tokens of a Team.

use askama::Template;

use super::{Fault, Field, Marketplace, Place, Shell, Status, When, parts::faults};

/// `GET …/tokens`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "tokens.html")]
pub struct Tokens {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// Those that work first.
    pub tokens: Vec<TokenRow>,
    /// Whether the person may issue one.
    pub may_issue: bool,
    /// Whether `POST …/tokens/revoke-all` is allowed; how many that would end.
    pub may_revoke_all: Option<usize>,
    /// What was typed to confirm that; the Team's name would be right.
    pub confirm: Field,
}

impl Tokens {
    fn faults(&self) -> Vec<Fault> {
        faults([("confirm", &self.confirm.error)])
    }
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// Who issued it.
    pub creator: String,
    /// Whether that is who looks.
    pub yours: bool,
    /// Names of the connections it opens.
    pub connections: Vec<String>,
    /// Where.
    pub marketplaces: Vec<Marketplace>,
    /// Which operations: classes and names.
    pub operations: Vec<String>,
    /// When it was last used.
    pub last_use: LastUse,
    /// When it ends.
    pub expires: When,
    /// How it is, such as `Issuer left the Team`.
    pub status: Status,
    /// The same in a sentence, where there is something to say.
    pub note: Option<String>,
    /// Whether the person may revoke it.
    pub may_revoke: bool,
    /// Whether the person may contain it.
    pub may_contain: bool,
}

/// When a token was last used, as the record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastUse {
    /// Then.
    At(When),
    /// The record has no use of it.
    Never,
    /// The record cannot be asked now.
    Unknown,
}
