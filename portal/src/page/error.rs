//! Pages that say why not.

use askama::Template;

use super::Shell;

/// Any answer that is a refusal or a failure.
#[derive(Clone, Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Around it.
    pub shell: Shell,
    /// What is wrong.
    pub problem: Problem,
    /// Where to go on; the home page if nowhere better.
    pub back: Option<String>,
    /// Names the request in the logs, for who asks for help.
    pub reference: Option<String>,
}

/// What is wrong. [`Problem::status`] is the answer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// 400: the request cannot be read, or came from another site.
    BadRequest {
        /// What to do, in a sentence.
        text: String,
    },
    /// 403: seen, but not allowed.
    Forbidden {
        /// What was wanted, such as `connect a seller`.
        wanted: String,
        /// Which role may, such as `Owner`.
        needed: String,
        /// Addresses of who has it, if the person may see them.
        who: Vec<String>,
    },
    /// 403: contained, so that it cannot be changed.
    Contained {
        /// What to do, in a sentence.
        text: String,
    },
    /// 404: there is no such page, or it is not the person's to see.
    NotFound,
    /// 405: the path takes no such request.
    Method,
    /// 409: somebody else was faster.
    Conflict {
        /// What to do, in a sentence.
        text: String,
    },
    /// 413: more than 64 KiB.
    TooLarge,
    /// 429: too fast.
    TooMany {
        /// How long to wait, in seconds.
        seconds: Option<u64>,
    },
    /// 500: a bug.
    Bug,
    /// 503: something OpenTeam needs does not answer; nothing happened.
    Unavailable,
}

impl Problem {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest { .. } => 400,
            Self::Forbidden { .. } | Self::Contained { .. } => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Conflict { .. } => 409,
            Self::TooLarge => 413,
            Self::TooMany { .. } => 429,
            Self::Bug => 500,
            Self::Unavailable => 503,
        }
    }

    const fn heading(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "That did not work",
            Self::Forbidden { .. } => "Your role does not allow this",
            Self::Contained { .. } => "This is contained",
            Self::NotFound => "There is nothing here",
            Self::Method => "This page takes no such request",
            Self::Conflict { .. } => "Somebody changed this meanwhile",
            Self::TooLarge => "That is too long",
            Self::TooMany { .. } => "A little slower, please",
            Self::Bug => "Something broke on our side",
            Self::Unavailable => "Not available for a moment",
        }
    }
}
