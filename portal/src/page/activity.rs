//! What happened in a Team, as the record has it.

use askama::Template;

use super::{Fault, Field, Place, Shell, Status, When, parts::faults};

/// `GET …/activity`; its form gets the same address with `connection`, `what`, `outcome`, `who`, `from`, `to` and `text`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "activity.html")]
pub struct Activity {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// What is looked for. Where something in it is wrong there are no events.
    pub filter: ActivityFilter,
    /// What is looked for, each with where it is not.
    pub loosened: Vec<Loosened>,
    /// The newest first.
    pub events: Vec<ActivityEvent>,
    /// Where older ones are.
    pub older: Option<String>,
    /// Where newer ones are.
    pub newer: Option<String>,
    /// Whether there may be more where was looked.
    pub is_partial: bool,
    /// Where files of what the filter shows are: comma-separated values, and JSON lines.
    pub exports: Option<[String; 2]>,
    /// Whether the record cannot be asked now.
    pub unavailable: bool,
}

impl Activity {
    fn faults(&self) -> Vec<Fault> {
        let filter = &self.filter;
        faults([
            ("connection", &filter.connection.error),
            ("what", &filter.what.error),
            ("outcome", &filter.outcome.error),
            ("who", &filter.who.error),
            ("from", &filter.from.error),
            ("to", &filter.to.error),
            ("text", &filter.text.error),
        ])
    }

    fn path(&self) -> String {
        format!("{}/activity", self.place.path())
    }
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// A connection.
    pub connection: Select,
    /// What it is about.
    pub what: Select,
    /// What came of it.
    pub outcome: Select,
    /// Who did it.
    pub who: Field,
    /// Who it may be, to choose instead of typing.
    pub suggested: Vec<String>,
    /// The first day.
    pub from: Field,
    /// The last day.
    pub to: Field,
    /// Words in it.
    pub text: Field,
    /// Whether anything is looked for.
    pub is_used: bool,
}

/// A field with things to choose from, besides anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// The things.
    pub choices: Vec<Choice>,
    /// What is wrong with what was chosen.
    pub error: Option<String>,
}

/// Something to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// In words.
    pub label: String,
    /// Whether it is the one chosen.
    pub selected: bool,
}

/// Something that is looked for, to be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loosened {
    /// What, such as `Outcome: Refused`.
    pub words: String,
    /// Where it is left out.
    pub path: String,
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
