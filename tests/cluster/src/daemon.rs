//! One long-running part of a cluster.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::place::Place;
use crate::spawn;
use crate::state::State;
use crate::{Error, wait};

/// A running program with its log; killed on drop.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    place: Place,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    child: Child,
}

/// What can be sent to a daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Stop,
    Continue,
}

impl Daemon {
    /// Starts `program` in `place`; its output goes to `logs/NAME.log`.
    pub(crate) fn start(
        state: &State,
        place: &Place,
        name: &'static str,
        program: impl Into<PathBuf>,
        args: Vec<String>,
    ) -> Result<Self, Error> {
        let (program, log) = (program.into(), state.path("logs").join(format!("{name}.log")));
        let child = launch(state, place, &program, &args, &log)?;
        Ok(Self { name, place: place.clone(), program, args, log, child })
    }

    /// Kills the program and starts it again as it was.
    pub(crate) fn restart(&mut self, state: &State) -> Result<(), Error> {
        self.end();
        self.child = launch(state, &self.place, &self.program, &self.args, &self.log)?;
        Ok(())
    }

    /// Waits until `ready`.
    ///
    /// # Errors
    /// The daemon ended, or `limit` passed: either with the end of its log.
    pub(crate) fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<(), Error> {
        let mut ended = None;
        let in_time = wait::until(limit, || {
            ended = self.child.try_wait().map_err(Error::file("watch the process of", &self.program))?;
            Ok::<_, Error>(ended.is_some() || ready())
        })?;
        let why = match ended {
            Some(status) => format!("ended ({status})"),
            None if in_time => return Ok(()),
            None => format!("was not ready after {limit:?}"),
        };
        Err(Error::NotReady { part: self.name.to_owned(), why, log: tail(&self.log) })
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// It is no longer there.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let own = self.child.id();
        match (self.inner(), signal) {
            (Some(inner), Signal::Stop) => kill("-STOP", &[inner]),
            (Some(inner), Signal::Continue) => kill("-CONT", &[inner, own]),
            (None, Signal::Stop) => kill("-STOP", &[own]),
            (None, Signal::Continue) => kill("-CONT", &[own]),
        }
    }

    /// The program's pid where `nsenter` stands before it, in a node. That one waits for the program, stops itself when the
    /// program stops, and has to be woken with it.
    fn inner(&self) -> Option<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).ok()?;
        let in_node = matches!(self.place, Place::Node { .. });
        children.split_whitespace().next().filter(|_| in_node)?.parse().ok()
    }

    /// Kills the program and returns when it is gone, its ports with it: in a node that is when `nsenter`, left alive, has
    /// seen its end. A failure here means that it had ended on its own.
    fn end(&mut self) {
        if let Some(inner) = self.inner() {
            drop(kill("-KILL", &[inner]));
            drop(kill("-CONT", &[self.child.id()]));
        } else {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// Sends a signal by the shell's own `kill`: a bare Debian has no program of that name.
fn kill(signal: &str, pids: &[u32]) -> Result<(), Error> {
    let mut command = Command::new("sh");
    command.args(["-c", "kill \"$@\"", "kill", signal]).args(pids.iter().map(u32::to_string));
    spawn::run(command).map(drop)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(state: &State, place: &Place, program: &Path, args: &[String], log: &Path) -> Result<Child, Error> {
    let out = File::options().create(true).append(true).open(log).map_err(Error::file("open", log))?;
    let err = out.try_clone().map_err(Error::file("open", log))?;
    let mut command = place.command(program);
    command.args(args).current_dir(state.dir()).stdout(out).stderr(err);
    let child = spawn::spawn(command)?;
    state.list_process(child.id())?;
    Ok(child)
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
