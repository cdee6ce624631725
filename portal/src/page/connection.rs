//! A connection, and how its consent goes on.

use askama::Template;
use serde::Serialize;

use super::{Fault, Field, Marketplace, Place, Shell, Status, When, parts::faults};

/// `GET …/connections/{name}`.
#[derive(Clone, Debug, Template)]
#[template(path = "connection.html")]
pub struct Connection {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// The object's name, which paths and clients use.
    pub name: String,
    /// The name people see.
    pub display_name: String,
    /// How it is.
    pub status: Status,
    /// The same in a sentence, with what to do.
    pub summary: String,
    /// Consent, Exchange, Verified, Ready; empty where there is nothing to follow.
    pub steps: Vec<Step>,
    /// Whether the page follows the steps as they go on.
    pub live: bool,
    /// The region in words, such as `North America`.
    pub region: String,
    /// Amazon's id of the seller, once known.
    pub seller: Option<String>,
    /// The application's name.
    pub application: String,
    /// The regional endpoint.
    pub endpoint: String,
    /// Whether it calls Amazon's sandbox.
    pub sandbox: bool,
    /// What callers may use, and what the seller has.
    pub marketplaces: Vec<MarketplaceRow>,
    /// When the seller consented.
    pub authorized: Option<When>,
    /// When the seller has to consent again.
    pub expires: Option<When>,
    /// Until when one of Amazon's own access tokens works that was handed out.
    pub exposed_until: Option<When>,
    /// Which tokens and agents may use it.
    pub users: Vec<ConnectionUser>,
    /// What the person may do.
    pub may: ConnectionMay,
    /// The name to be, posted as `name` to `PATH/name`.
    pub rename: Field,
    /// What was wrong with a pasted self-authorization token, posted as `token` to `PATH/token`.
    pub token_error: Option<String>,
    /// Whether it came by YAML: the portal then renames and deletes nothing.
    pub from_yaml: bool,
}

impl Connection {
    fn path(&self) -> String {
        format!("{}/connections/{}", self.place.path(), self.name)
    }

    fn faults(&self) -> Vec<Fault> {
        faults([("token", &self.token_error), ("name", &self.rename.error)])
    }
}

/// What a person may do with a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionMay {
    /// Go to Amazon's consent page or paste a token: the first time or again.
    pub consent: bool,
    /// Ask the contacts for a new consent.
    pub renew: bool,
    /// Ask Amazon now whether it works.
    pub test: bool,
    /// Give it another name.
    pub rename: bool,
    /// Contain it.
    pub contain: bool,
    /// Delete it.
    pub delete: bool,
}

/// A step of connecting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `Consent`, `Exchange`, `Verified` or `Ready`.
    pub title: String,
    /// How far it is.
    pub state: StepState,
    /// One sentence about it.
    pub text: String,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It is behind us.
    Done,
    /// It is under way.
    Now,
    /// It comes later.
    Later,
    /// It failed, and the text says what to do.
    Failed,
}

impl StepState {
    /// As the style sheet and the script name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Later => "later",
            Self::Failed => "failed",
        }
    }

    /// As it is read out.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Now => "Under way",
            Self::Later => "Not yet",
            Self::Failed => "Failed",
        }
    }
}

/// A marketplace of the seller's or of the connection's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketplaceRow {
    /// Which.
    pub marketplace: Marketplace,
    /// Whether callers may use it.
    pub allowed: bool,
    /// What Amazon says about the seller there.
    pub status: Status,
}

/// Who may use a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionUser {
    /// `Runtime token` or `Agent`.
    pub kind: String,
    /// The token's or grant's name.
    pub name: String,
    /// Who issued the token, or which ServiceAccount the agent is.
    pub who: String,
    /// How it is.
    pub status: Status,
    /// When it ends.
    pub expires: Option<When>,
}

/// What a server-sent event of `…/events` says: the `data` of one is [`LiveStatus::to_json`], on one line. It is text that
/// the script puts into the page, never HTML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveStatus {
    tone: &'static str,
    word: String,
    summary: String,
    /// As many as the page has, in its order.
    steps: Vec<LiveStep>,
    /// Whether nothing more will come: the page then shows itself anew.
    over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LiveStep {
    state: &'static str,
    word: &'static str,
    text: String,
}

impl LiveStatus {
    /// The state as the page shows it. When it is `over`, the page that comes next must not be `live`.
    #[must_use]
    pub fn new(status: &Status, summary: &str, steps: &[Step], over: bool) -> Self {
        let step = |it: &Step| LiveStep { state: it.state.as_str(), word: it.state.word(), text: it.text.clone() };
        let (tone, word) = (status.tone.as_str(), status.word.clone());
        Self { tone, word, summary: summary.to_owned(), steps: steps.iter().map(step).collect(), over }
    }

    /// As the script reads it, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and a bool: nothing that serde_json could refuse.
        serde_json::to_string(self).unwrap_or_default()
    }
}
