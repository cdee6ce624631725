//! Where a program runs: on the machine, or in the node's namespaces.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::spawn::tethered;

/// Where to run a program.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The machine, as it is.
    Machine,
    /// The namespaces and cgroups of a node.
    Node {
        /// The script that enters the cgroups.
        join: PathBuf,
        /// The list of cgroups.
        cgroups: PathBuf,
        /// The machine's pid of the node's first process.
        init: u32,
    },
}

impl Place {
    /// A command for `program` there. In a node its working directory is `/`.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match self {
            Self::Machine => tethered(program),
            Self::Node { join, cgroups, init } => {
                let mut command = tethered("sh");
                command.arg(join).arg(cgroups).args(["nsenter", "-t", &init.to_string()]);
                command.args(["-m", "-p", "-n", "-u", "-i", "-C", "--"]).arg(program);
                command
            }
        }
    }
}
