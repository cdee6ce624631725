//! Coming back from Amazon without a connection.

use askama::Template;

use super::Shell;

/// `GET /amazon/callback` when it cannot go on.
#[derive(Clone, Debug, Template)]
#[template(path = "consent_return.html")]
pub struct ConsentReturn {
    /// Around it.
    pub shell: Shell,
    /// What went wrong.
    pub problem: ConsentProblem,
    /// Where to start again: the form or the connection's page.
    pub again: Option<String>,
}

/// Why a consent came to nothing. Nothing was stored in any of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentProblem {
    /// The seller said no, or Amazon shows an error of its own.
    Refused {
        /// What Amazon said, if anything.
        said: Option<String>,
    },
    /// It took longer than five minutes.
    Expired,
    /// The answer was used already: the page was loaded again, or opened twice.
    Reused,
    /// This browser, or this person, did not ask for it: possibly a trick.
    Foreign,
    /// The request lacks what Amazon sends, or has it twice.
    Malformed,
    /// Another seller consented than the connection is for.
    OtherSeller {
        /// The connection's name.
        connection: String,
        /// The seller it is for.
        expected: String,
        /// The seller who consented.
        consented: String,
    },
    /// The seller is connected already, to the same application in the same region.
    Duplicate {
        /// The seller.
        seller: String,
        /// Name and page of the other connection, if the person may see it.
        other: Option<(String, String)>,
    },
}

impl ConsentProblem {
    fn heading(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "Amazon did not give access",
            Self::Expired => "That took too long",
            Self::Reused => "This answer was used already",
            Self::Foreign => "This did not start here",
            Self::Malformed => "Amazon’s answer is not complete",
            Self::OtherSeller { .. } => "That was another seller",
            Self::Duplicate { .. } => "This seller is connected already",
        }
    }
}
