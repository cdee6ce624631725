//! What is around every page.

use super::{Status, When};

/// Who is signed in, where they are, what is contained, and what just happened. The default is for nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shell {
    /// Address of who is signed in.
    pub email: Option<String>,
    /// The Teams of theirs to switch among.
    pub teams: Vec<TeamLink>,
    /// The Team whose page this is.
    pub team: Option<Place>,
    /// What is contained that they may know of.
    pub banners: Vec<Banner>,
    /// What the last form did, said once.
    pub flash: Option<Status>,
}

impl Shell {
    /// Whether the page is of a Team whose namespace and name these are.
    fn is_at(&self, link: &TeamLink) -> bool {
        self.team.as_ref().is_some_and(|place| place.namespace == link.namespace && place.name == link.name)
    }

    /// The mark of the current one in a list of links.
    pub(super) fn current(&self, link: &TeamLink) -> &'static str {
        if self.is_at(link) { "true" } else { "false" }
    }
}

/// A Team to go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamLink {
    /// Its namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The name people see.
    pub display_name: String,
}

impl TeamLink {
    /// Its overview.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/teams/{}/{}", self.namespace, self.name)
    }
}

/// The Team whose page is shown, and what the person is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The name people see.
    pub display_name: String,
    /// `Owner`, `Member` or `Viewer`.
    pub role: String,
    /// Whether the person may contain the Team.
    pub may_contain: bool,
}

impl Place {
    /// Its overview, under which its other pages are.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/teams/{}/{}", self.namespace, self.name)
    }
}

/// Something contained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// What, in words, such as `Connection Acme, North America`.
    pub what: String,
    /// Who did it, if that is known.
    pub who: Option<String>,
    /// When, if that is known.
    pub when: Option<When>,
    /// The incidents it is contained by, such as `inc-7`.
    pub incidents: String,
    /// What was given as the reason.
    pub why: Option<String>,
    /// Whom to write to.
    pub contact: Option<String>,
}
