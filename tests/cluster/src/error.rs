//! What can go wrong, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a cluster, an image or a tool is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// A verb: `read`, `write`, …
        doing: &'static str,
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start `{program}`")]
    Start {
        /// Its name or path.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ran and said no.
    #[error("`{command}` failed ({status}): {output}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status, in words.
        status: String,
        /// What it wrote, trimmed.
        output: String,
    },
    /// A part of the cluster ended or did not become ready.
    #[error("{part} {why}; the end of its log:\n{log}")]
    NotReady {
        /// Which part.
        part: String,
        /// `ended (…)` or `was not ready after …`.
        why: String,
        /// The last lines it wrote.
        log: String,
    },
    /// A condition was not met in time.
    #[error("{what} was not true within {limit:?}")]
    TimedOut {
        /// The condition.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// Programs are missing, and this process cannot install them.
    #[error(
        "missing on this machine: {missing}. Install them (Debian, as root: apt-get install {packages}), \
         or use a cluster of your own with `--context NAME`"
    )]
    Missing {
        /// Programs or files, comma-separated.
        missing: String,
        /// The Debian packages that bring them, as arguments of apt-get.
        packages: String,
    },
    /// This machine cannot do it.
    #[error("{0}; use a cluster of your own with `--context NAME`")]
    Unsupported(String),
    /// A certificate could not be made.
    #[error("cannot make the certificate of {name}")]
    Certificate {
        /// Whose.
        name: String,
        /// The library's reason.
        source: rcgen::Error,
    },
}

impl Error {
    /// For `map_err` after an operation on a file.
    pub(crate) fn file(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { doing, path, source }
    }
}
