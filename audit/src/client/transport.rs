//! How a request reaches a recorder.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{StatusCode, Url, header::CONTENT_TYPE};

use crate::wire::{self, Acknowledged, Refused};

/// Why a recorder has not stored a request.
#[derive(Debug)]
pub enum Failure {
    /// It could not be reached, or cannot store it now.
    Unavailable,
    /// This event is at fault, the others are not.
    Event {
        /// Which, from 0.
        index: usize,
        /// What the recorder said.
        reason: String,
    },
    /// There is no room for this event here, and may be at another recorder.
    NoRoom {
        /// Which, from 0.
        index: usize,
        /// What the recorder said.
        reason: String,
    },
}

/// The answer to a request under way.
pub type Posted<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Brings requests to recorders.
pub trait Transport: Send + Sync {
    /// Brings `count` events, one a line, to a recorder. `Ok` says that they are on its disk.
    fn post<'a>(&'a self, recorder: &'a Url, lines: Bytes, count: usize, limit: Duration) -> Posted<'a>;
}

/// [`wire`] over HTTPS.
pub struct Https {
    client: Arc<dyn Fn() -> reqwest::Client + Send + Sync>,
}

impl Https {
    /// Over the client that `client` gives, which is asked for each request, so that a renewed client certificate is used.
    pub fn new(client: impl Fn() -> reqwest::Client + Send + Sync + 'static) -> Self {
        Self { client: Arc::new(client) }
    }

    async fn send(&self, recorder: &Url, lines: Bytes, count: usize, limit: Duration) -> Result<(), Failure> {
        let host = recorder.host_str().unwrap_or_default();
        let unavailable = |why: &dyn std::fmt::Display| {
            tracing::debug!(recorder = host, "recorder did not acknowledge: {why}");
            Failure::Unavailable
        };
        let url = recorder.join(wire::EVENTS_PATH).map_err(|error| unavailable(&error))?;
        let request = (self.client)().post(url).header(CONTENT_TYPE, wire::CONTENT_TYPE).timeout(limit).body(lines);
        let response = request.send().await.map_err(|error| unavailable(&Chain(&error)))?;
        match response.status() {
            StatusCode::OK => {
                let answer: Acknowledged = response.json().await.map_err(|error| unavailable(&Chain(&error)))?;
                if answer.acknowledged == count {
                    Ok(())
                } else {
                    Err(unavailable(&"it acknowledged another number of events"))
                }
            }
            status @ (StatusCode::BAD_REQUEST | StatusCode::INSUFFICIENT_STORAGE) => {
                let answer: Refused = response.json().await.map_err(|error| unavailable(&Chain(&error)))?;
                match answer.line {
                    Some(line @ 1..) if line <= count => {
                        let (index, reason) = (line - 1, answer.error);
                        let is_full = status == StatusCode::INSUFFICIENT_STORAGE;
                        Err(if is_full { Failure::NoRoom { index, reason } } else { Failure::Event { index, reason } })
                    }
                    _ => Err(unavailable(&"it refused the request as a whole")),
                }
            }
            status => Err(unavailable(&status)),
        }
    }
}

impl Transport for Https {
    fn post<'a>(&'a self, recorder: &'a Url, lines: Bytes, count: usize, limit: Duration) -> Posted<'a> {
        Box::pin(self.send(recorder, lines, count, limit))
    }
}

/// An error with all its sources, as reqwest's own text stops at the first.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
