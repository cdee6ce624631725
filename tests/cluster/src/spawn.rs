//! Children that die with this process.
//!
//! Linux can signal a child when its parent dies (`PR_SET_PDEATHSIG`), which holds for SIGKILL of the parent too. The
//! "parent" is the *thread* that forked, though: a test thread ends long before its cluster should. So every child is
//! forked by one thread that lives as long as the process.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::Error;

type Request = (Command, Sender<io::Result<Child>>);

static FORKER: LazyLock<Sender<Request>> = LazyLock::new(|| {
    let (requests, inbox) = channel::<Request>();
    // With a name of its own: one without would carry that of the test that happens to need it first. Where it cannot be
    // started, every request is told that it has ended.
    drop(thread::Builder::new().name("forker".to_owned()).spawn(move || {
        for (mut command, answer) in inbox {
            // Whoever asked may have gone: then the handle is dropped and the child stays tethered to this thread.
            drop(answer.send(command.spawn()));
        }
    }));
    requests
});

/// A command for `program` that the kernel kills when this process dies. In a process group of its own, so that Ctrl-C in
/// the terminal reaches the owner only, which then decides the order in which things end.
pub fn tethered(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).process_group(0).stdin(Stdio::null());
    // Not everybody's PATH has the places where Debian keeps iptables and runc.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// Starts a [`tethered`] command.
///
/// # Errors
/// It could not be started.
pub fn spawn(command: Command) -> Result<Child, Error> {
    let program = line(&command);
    let (answer, reply) = channel();
    let gone = || io::Error::other("the forking thread has ended");
    FORKER
        .send((command, answer))
        .map_err(|_| gone())
        .and_then(|()| reply.recv().map_err(|_| gone())?)
        .map_err(|source| Error::Start { program, source })
}

/// Runs a [`tethered`] command to its end and returns what it wrote, whatever its status.
pub(crate) fn output(mut command: Command) -> Result<Output, Error> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = line(&command);
    spawn(command)?.wait_with_output().map_err(|source| Error::Start { program, source })
}

/// Runs a [`tethered`] command and returns its standard output.
///
/// # Errors
/// A status other than 0, with what it wrote.
pub(crate) fn run(command: Command) -> Result<String, Error> {
    let text = line(&command);
    checked(text, &output(command)?)
}

/// Standard output of a command that succeeded.
pub(crate) fn checked(command: String, output: &Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if said.is_empty() {
        said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    Err(Error::Failed { command, status: output.status.to_string(), output: said })
}

/// The command line as a person would have typed it, without the tether.
pub(crate) fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let skip = if words.first().is_some_and(|word| word == "setpriv") { 4 } else { 0 };
    words.get(skip..).unwrap_or_default().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_says_which_and_why() {
        let mut command = tethered("sh");
        command.args(["-c", "echo because >&2; exit 3"]);
        let said = run(command).unwrap_err().to_string();
        assert!(said.starts_with("`sh -c echo because"), "{said}");
        assert!(said.ends_with("(exit status: 3): because"), "{said}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert!(run(tethered("/no/such/program")).unwrap_err().to_string().contains("/no/such/program"));
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut sleep = tethered("sleep");
        sleep.arg("600");
        let mut child = thread::spawn(move || spawn(sleep)).join().unwrap().unwrap();
        let mut look = tethered("true");
        look.stdout(Stdio::null());
        // By the time another child has come and gone, a signal for the asking thread's end would have arrived.
        output(look).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
