//! Work that nobody waits for, on a thread that leaves the processor to those whom somebody waits for.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;

/// How much it gives way (setpriority(2)): with the processor busy it gets a tenth of what others do, so that it never stands
/// still either.
const NICE: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

/// A thread; it ends with the last work when this is dropped.
#[derive(Debug)]
pub(crate) struct Background(mpsc::Sender<Work>);

impl Background {
    /// Starts it under this name.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (give, work) = mpsc::channel::<Work>();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // On Linux it is the thread's own; who may not give way does not.
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::debug!(%error, "work in the background has the priority of everything else");
            }
            // Whoever gave work that panics is told by its channel's end.
            work.into_iter().for_each(|work| drop(catch_unwind(AssertUnwindSafe(work))));
        })?;
        Ok(Self(give))
    }

    /// Does some work, which may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let ended = || io::Error::other("work in the background panicked");
        let (tell, done) = oneshot::channel();
        let work = Box::new(move || drop(tell.send(work())));
        self.0.send(work).map_err(|_| ended())?;
        done.await.map_err(|_| ended())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_works_in_turn_and_gives_way() {
        let background = Background::start("test").unwrap();
        let nice = || Ok(rustix::process::getpriority_process(None)?);
        assert_eq!(background.run(nice).await.unwrap(), NICE);
        assert_ne!(nice().unwrap(), NICE);
        let failed = background.run(|| Err::<(), _>(io::Error::other("wrong"))).await.unwrap_err();
        assert_eq!(failed.to_string(), "wrong");
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_what_follows_is_done() {
        let background = Background::start("test").unwrap();
        assert!(background.run(|| -> io::Result<()> { panic!("a test's") }).await.is_err());
        assert_eq!(background.run(|| Ok(7)).await.unwrap(), 7);
    }
}
