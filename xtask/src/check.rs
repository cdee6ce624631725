//! Steps with a name, a result and a time, told while they run.

use std::{
    io::Write,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

/// One step that was done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    /// What it is called.
    pub(crate) name: String,
    /// Whether it did what it must.
    pub(crate) ok: bool,
    /// How long it took, in milliseconds.
    pub(crate) ms: u128,
}

/// All steps of a task, in order.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    /// Does a step. Its name is told at once, a sign of life every ten seconds, the result at the end.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        println!("\n== {name}");
        let _ = std::io::stdout().flush();
        let started = Instant::now();
        let (done, waiting) = mpsc::channel::<()>();
        let result = thread::scope(|scope| {
            scope.spawn(move || {
                while waiting.recv_timeout(Duration::from_secs(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    println!("   … {} s", started.elapsed().as_secs());
                }
            });
            let result = work();
            drop(done);
            result
        });
        let ms = started.elapsed().as_millis();
        match &result {
            Ok(_) => println!("   ok, {ms} ms"),
            Err(error) => println!("   FAILED after {ms} ms: {error:#}"),
        }
        self.0.push(Step { name: name.to_owned(), ok: result.is_ok(), ms });
        result
    }

    /// The steps done so far.
    pub(crate) fn done(&self) -> &[Step] {
        &self.0
    }
}

/// Indents real output, so that it reads apart from ours.
pub(crate) fn show(output: &str) {
    for line in output.trim_end().lines() {
        println!("   | {line}");
    }
}
