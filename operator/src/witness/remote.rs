//! A recorder's logs, and what it has of writers, over the network: `audit::wire::{logs, writers}`.

use std::{io, sync::Arc, time::Duration};

use audit::{
    log::{HashSource, SignedCheckpoint, Tile, VerifyingKey},
    wire::{
        logs::{LOGS_PATH, Log, Logs, MAX_NOTE_BYTES},
        writers::{MAX_WRITERS_BYTES, WRITERS_PATH, Writers},
    },
};
use process::answer;
use reqwest::StatusCode;
use tokio::runtime::Handle;
use url::Url;

/// An answer, however small.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The longest list of logs: some hundred bytes for each quarter and epoch.
const MAX_LIST_BYTES: usize = 1024 * 1024;

/// One recorder.
#[derive(Clone)]
pub(crate) struct Remote {
    url: Url,
    http: Arc<dyn Fn() -> reqwest::Client + Send + Sync>,
}

impl Remote {
    pub(crate) fn new(url: Url, http: Arc<dyn Fn() -> reqwest::Client + Send + Sync>) -> Self {
        Self { url, http }
    }

    /// What logs it has.
    pub(super) async fn logs(&self) -> Result<Vec<Log>, String> {
        let list = self.read(LOGS_PATH, MAX_LIST_BYTES).await?;
        let logs: Logs = serde_json::from_slice(&list).map_err(|_| "its list is none".to_owned())?;
        Ok(logs.logs)
    }

    /// Which numbers of writers' runs it has.
    pub(crate) async fn writers(&self) -> Result<Writers, String> {
        let told = self.read(WRITERS_PATH, MAX_WRITERS_BYTES).await?;
        serde_json::from_slice(&told).map_err(|_| "its answer is none".to_owned())
    }

    /// A log's newest checkpoint, and the key that the recorder says is its own.
    pub(super) async fn head(&self, shard: &str) -> Result<(SignedCheckpoint, VerifyingKey), String> {
        let text = async |name: &str| {
            let bytes = self.read(&format!("{LOGS_PATH}/{shard}/{name}"), MAX_NOTE_BYTES).await?;
            String::from_utf8(bytes).map_err(|_| format!("its {name} is no text"))
        };
        let note = SignedCheckpoint::parse(&text("checkpoint").await?).map_err(|error| error.to_string())?;
        let key = text("vkey").await?.trim_end().parse::<VerifyingKey>().map_err(|error| error.to_string())?;
        Ok((note, key))
    }

    /// Brings it a cosignature.
    pub(super) async fn keep_witnessed(&self, shard: &str, note: &str) -> Result<(), String> {
        let url = self.join(&format!("{LOGS_PATH}/{shard}/witnessed"))?;
        let request = (self.http)().put(url).timeout(ANSWER_LIMIT).body(note.to_owned());
        match request.send().await.map_err(failed)?.status() {
            StatusCode::NO_CONTENT => Ok(()),
            status => Err(status.to_string()),
        }
    }

    /// The hashes of a log, for who blocks on them.
    pub(super) fn tiles(&self, shard: &str) -> Tiles {
        Tiles { remote: self.clone(), shard: shard.to_owned(), runtime: Handle::current() }
    }

    fn join(&self, path: &str) -> Result<Url, String> {
        self.url.join(path).map_err(|error| error.to_string())
    }

    async fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, String> {
        let request = (self.http)().get(self.join(path)?).timeout(ANSWER_LIMIT);
        let answer = request.send().await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(format!("{path}: {}", answer.status()));
        }
        let read = answer::read(answer, most).await.map_err(failed)?;
        read.ok_or_else(|| format!("{path}: longer than {most} bytes"))
    }
}

fn failed(error: reqwest::Error) -> String {
    process::certificate::chain(&error.without_url())
}

/// See [`Remote::tiles`].
pub(super) struct Tiles {
    remote: Remote,
    shard: String,
    runtime: Handle,
}

impl HashSource for Tiles {
    type Error = io::Error;

    fn tile(&self, tile: Tile) -> io::Result<Vec<u8>> {
        let path = format!("{LOGS_PATH}/{}/{}", self.shard, tile.path());
        self.runtime.block_on(self.remote.read(&path, 8192)).map_err(io::Error::other)
    }
}
