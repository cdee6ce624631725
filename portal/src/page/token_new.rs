//! Issuing a runtime token.

use askama::Template;

use super::{Fault, Field, MarketplaceChoice, Place, Shell, parts::faults};

/// `GET …/tokens/new`; posts `name`, `connection`, `marketplaces.CONNECTION` (once each), `operations` (once each) and
/// `lifetime` to `…/tokens`. Only the boxes of the chosen connection count.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "token_new.html")]
pub struct TokenNew {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// What it is for; becomes the object's name.
    pub name: Field,
    /// Connections it could open. Without any there is no form.
    pub connections: Vec<ConnectionChoice>,
    /// What is wrong with the choice of connection.
    pub connection_error: Option<String>,
    /// What is wrong with the choice of marketplaces.
    pub marketplaces_error: Option<String>,
    /// What it could do.
    pub classes: Vec<ClassChoice>,
    /// What is wrong with the choice of classes.
    pub operations_error: Option<String>,
    /// How long it could live.
    pub lifetimes: Vec<LifetimeChoice>,
    /// What is wrong with the choice of lifetime.
    pub lifetime_error: Option<String>,
    /// The Team's limit in words, such as `24 hours`.
    pub limit: String,
    /// Whether the person may connect a seller, where there is no connection.
    pub may_connect: bool,
}

impl TokenNew {
    fn faults(&self) -> Vec<Fault> {
        faults([
            ("name", &self.name.error),
            ("connection", &self.connection_error),
            ("marketplaces", &self.marketplaces_error),
            ("operations", &self.operations_error),
            ("lifetime", &self.lifetime_error),
        ])
    }
}

/// A connection to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionChoice {
    /// What is sent: the object's name.
    pub name: String,
    /// The name people see.
    pub display_name: String,
    /// Its marketplaces.
    pub marketplaces: Vec<MarketplaceChoice>,
    /// Something to know, such as that it does not work now.
    pub note: Option<String>,
    /// Whether it is the one chosen.
    pub selected: bool,
}

/// A class of operations to tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassChoice {
    /// Which.
    pub class: OperationClass,
    /// Whether it is ticked.
    pub checked: bool,
}

/// The classes of operations that gateways serve, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationClass {
    /// `read`.
    Read,
    /// `financial`.
    Financial,
}

impl OperationClass {
    /// What is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Financial => "financial",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Financial => "Money",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Read => "Orders, catalog, inventory, reports. No buyers’ personal data, no money.",
            Self::Financial => "Read settlements, balances and invoices.",
        }
    }
}

/// A lifetime to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifetimeChoice {
    /// What is sent, such as `24h`.
    pub value: String,
    /// In words, such as `1 day`.
    pub label: String,
    /// Whether it is the one chosen.
    pub selected: bool,
}
