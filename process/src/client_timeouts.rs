//! Limits on how long a client may let us wait: for the rest of its request, and for taking our answer.
//!
//! Without them a few thousand connections that neither go on nor end would keep everybody else out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::BoxError;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A request's body that must have arrived as a whole by a deadline.
pub(crate) struct Timely<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
}

impl<B> Timely<B> {
    pub(crate) fn new(body: B, limit: Duration) -> Self {
        Self { body, deadline: Box::pin(sleep(limit)) }
    }
}

impl<B: Body + Unpin> Body for Timely<B>
where
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        // The deadline first: a body that comes in drops is always ready, and never done.
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err("the request's body did not arrive in time".into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose other end must take something of what is written at least so often.
pub(crate) struct Taken<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    pub(crate) const fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
    }

    fn limited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limited(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limited(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.limited(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.limited(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    /// A body, or a client, that gives and takes so many pieces at once and then nothing more.
    struct Stalls(usize);

    impl Stalls {
        fn piece(&mut self) -> Poll<()> {
            match self.0.checked_sub(1) {
                Some(left) => {
                    self.0 = left;
                    Poll::Ready(())
                }
                None => Poll::Pending,
            }
        }
    }

    impl Body for Stalls {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<&'static [u8]>, Infallible>>> {
            ready!(self.piece());
            Poll::Ready(Some(Ok(Frame::data(b"x"))))
        }
    }

    impl AsyncWrite for Stalls {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            ready!(self.piece());
            Poll::Ready(Ok(bytes.len().min(1)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    async fn frames(pieces: usize, limit: Duration) -> (usize, BoxError) {
        let mut body = Timely::new(Stalls(pieces), limit);
        let mut count = 0;
        loop {
            // As a network does it: lets the clock be looked at between two pieces.
            tokio::task::yield_now().await;
            match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                Some(Ok(_)) => count += 1,
                Some(Err(error)) => return (count, error),
                None => panic!("it has no end"),
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_or_never_ends_is_given_up_at_the_deadline() {
        let (count, error) = frames(3, SHORT).await;
        assert_eq!(count, 3);
        assert!(error.to_string().contains("in time"), "{error}");
        // Each piece is in time, the whole is not.
        let (count, _) = frames(usize::MAX, SHORT).await;
        assert!(count > 3);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_more_is_given_up() {
        let mut stream = Taken::new(Stalls(2), SHORT);
        for _ in 0..2 {
            assert_eq!(poll_fn(|context| Pin::new(&mut stream).poll_write(context, b"answer")).await.unwrap(), 1);
        }
        let error = poll_fn(|context| Pin::new(&mut stream).poll_write(context, b"answer")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut stream = Taken::new(Stalls(0), SHORT);
        let error = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
