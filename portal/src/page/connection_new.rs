//! Connecting a seller.

use askama::Template;

use super::{Fault, Field, Marketplace, Place, Shell, parts::faults};

/// `GET …/connections/new`; posts `application`, `region`, `marketplaces.REGION` (once each), `name`, `token` and `how`
/// (`consent`, or `token` for the pasted one) to `…/connections`. Only the boxes of the chosen region count: those of another may be ticked where nobody sees them.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "connection_new.html")]
pub struct ConnectionNew {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// Applications that the Team may connect sellers to. Without any there is no form.
    pub applications: Vec<ApplicationChoice>,
    /// What is wrong with the choice of application.
    pub application_error: Option<String>,
    /// The three regions.
    pub regions: Vec<RegionChoice>,
    /// What is wrong with the choice of region.
    pub region_error: Option<String>,
    /// What is wrong with the choice of marketplaces.
    pub marketplaces_error: Option<String>,
    /// The name people will see; sent as `name`.
    pub name: Field,
    /// What is wrong with the self-authorization token, sent as `token`. It is never shown again.
    pub token_error: Option<String>,
    /// Whom to write to: a mail address.
    pub contact: Option<String>,
}

impl ConnectionNew {
    fn faults(&self) -> Vec<Fault> {
        faults([
            ("name", &self.name.error),
            ("application", &self.application_error),
            ("region", &self.region_error),
            ("marketplaces", &self.marketplaces_error),
            ("token", &self.token_error),
        ])
    }
}

/// An application to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationChoice {
    /// What is sent: `NAMESPACE/NAME`.
    pub value: String,
    /// The name people see.
    pub name: String,
    /// Something to know about it, such as that it is a draft at Amazon.
    pub note: Option<String>,
    /// Whether it is the one chosen.
    pub selected: bool,
}

/// A region to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionChoice {
    /// What is sent: `NA`, `EU` or `FE`.
    pub value: String,
    /// In words, such as `North America`.
    pub name: String,
    /// Its marketplaces.
    pub marketplaces: Vec<MarketplaceChoice>,
    /// Whether it is the one chosen.
    pub selected: bool,
}

/// A marketplace to tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketplaceChoice {
    /// Which; its id is what is sent.
    pub marketplace: Marketplace,
    /// Whether it is ticked.
    pub checked: bool,
}
