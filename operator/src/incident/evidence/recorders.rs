//! The recorders, as evidence needs them: `evidence::wire`.

use std::{collections::VecDeque, fmt, time::Duration};

use bytes::Bytes;
use evidence::{
    BundleName, Usage,
    wire::{END_BEGINS, EVIDENCE_PATH, EXTRACT_PATH, End, Extract, Position},
};
use futures::StreamExt;
use reqwest::{Response, StatusCode};
use url::Url;

/// Small answers, and each piece of a long one.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// A whole journal.
const EXTRACT_LIMIT: Duration = Duration::from_secs(900);
/// The longest line that a recorder sends: an event and what it adds.
const LINE_BYTES: usize = 64 * 1024;

/// Why a recorder was of no help.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecorderError {
    /// It did not answer, or not as it should.
    #[error("recorder {pod} did not answer: {why}")]
    Unavailable { pod: String, why: String },
    /// Its disk has no room.
    #[error("recorder {pod} has no room on its disk")]
    Full { pod: String },
}

/// A recorder.
struct One {
    pod: String,
    url: Url,
}

/// All recorders.
pub(crate) struct Recorders {
    all: Vec<One>,
    client: Box<dyn Fn() -> reqwest::Client + Send + Sync>,
}

impl fmt::Debug for Recorders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pods()).finish()
    }
}

/// What became of a bundle.
pub(super) enum Kept {
    /// These keep it.
    By(Vec<String>),
    /// One of them keeps another one of this sequence.
    Other,
}

/// The newest lines, as many as there is room for.
pub(super) struct Newest {
    lines: VecDeque<Bytes>,
    bytes: usize,
    room: usize,
}

impl Newest {
    pub(super) fn new(room: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, room }
    }

    fn push(&mut self, line: &[u8]) {
        self.bytes += line.len() + 1;
        self.lines.push_back(Bytes::copy_from_slice(line));
        while self.bytes > self.room
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + 1;
        }
    }

    /// How many there are, and they themselves as a file.
    pub(super) fn into_file(self) -> (u64, Vec<u8>) {
        let (count, mut file) = (self.lines.len() as u64, Vec::with_capacity(self.bytes));
        for line in self.lines {
            file.extend_from_slice(&line);
            file.push(b'\n');
        }
        (count, file)
    }
}

impl Recorders {
    /// Those that a StatefulSet of so many replicas has: one is asked at its Service, several each at its own name.
    pub(crate) fn new(
        base: Url,
        namespace: &str,
        replicas: u32,
        client: impl Fn() -> reqwest::Client + Send + Sync + 'static,
    ) -> Self {
        let all = process::record::replicas(&base, namespace, replicas);
        let all = all.into_iter().map(|(pod, url)| One { pod, url }).collect();
        Self { all, client: Box::new(client) }
    }

    /// Their pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|one| one.pod.as_str())
    }

    /// Whether one of these pods answers.
    pub(super) async fn any_answers(&self, pods: &[String]) -> bool {
        for one in self.all.iter().filter(|one| pods.contains(&one.pod)) {
            if self.names_at(one).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// The bundles that each keeps, of those that answer.
    pub(super) async fn names(&self) -> Vec<(String, Vec<BundleName>)> {
        let mut all = Vec::new();
        for one in &self.all {
            match self.names_at(one).await {
                Ok(names) => all.push((one.pod.clone(), names)),
                Err(error) => tracing::debug!(%error, "recorder does not tell what it keeps"),
            }
        }
        all
    }

    async fn names_at(&self, one: &One) -> Result<Vec<BundleName>, RecorderError> {
        let failed = failed(one);
        let url = join(one, EVIDENCE_PATH)?;
        let answer = (self.client)().get(url).timeout(ANSWER_LIMIT).send().await.map_err(&failed)?;
        let text = right(one, answer, StatusCode::OK)?.text().await.map_err(&failed)?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// A kept bundle.
    pub(super) async fn fetch(&self, pod: &str, name: &BundleName) -> Result<Vec<u8>, RecorderError> {
        let gone = || RecorderError::Unavailable { pod: pod.to_owned(), why: "there is no such recorder".to_owned() };
        let one = self.all.iter().find(|one| one.pod == pod).ok_or_else(gone)?;
        let url = join(one, &format!("{EVIDENCE_PATH}{name}"))?;
        let answer = (self.client)().get(url).timeout(ANSWER_LIMIT).send().await.map_err(failed(one))?;
        Ok(right(one, answer, StatusCode::OK)?.bytes().await.map_err(failed(one))?.into())
    }

    /// Has every recorder keep a bundle. One is enough.
    pub(super) async fn keep(&self, name: &BundleName, tar: Bytes) -> Result<Kept, RecorderError> {
        let (mut pods, mut failure) = (Vec::new(), None);
        for one in &self.all {
            match self.keep_at(one, name, tar.clone()).await {
                Ok(true) => pods.push(one.pod.clone()),
                // The first decides; the others are asked after it.
                Ok(false) if pods.is_empty() => return Ok(Kept::Other),
                Ok(false) => tracing::error!(pod = one.pod, %name, "recorder keeps another bundle of this sequence"),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if pods.is_empty() => Err(error),
            _ => Ok(Kept::By(pods)),
        }
    }

    async fn keep_at(&self, one: &One, name: &BundleName, tar: Bytes) -> Result<bool, RecorderError> {
        let url = join(one, &format!("{EVIDENCE_PATH}{name}"))?;
        let answer = (self.client)().put(url).timeout(ANSWER_LIMIT).body(tar).send().await.map_err(failed(one))?;
        match answer.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            StatusCode::INSUFFICIENT_STORAGE => Err(RecorderError::Full { pod: one.pod.clone() }),
            status => Err(RecorderError::Unavailable { pod: one.pod.clone(), why: status.to_string() }),
        }
    }

    /// What the journal of one of them has, counted and, as far as there is room, kept.
    pub(super) async fn extract(
        &self,
        pod: &str,
        asked: &Extract,
        usage: &mut Usage,
        newest: &mut Newest,
    ) -> Result<Position, RecorderError> {
        let unavailable = |why: &str| RecorderError::Unavailable { pod: pod.to_owned(), why: why.to_owned() };
        let one = self.all.iter().find(|one| one.pod == pod).ok_or_else(|| unavailable("there is no such recorder"))?;
        let url = join(one, EXTRACT_PATH)?;
        let request = (self.client)().post(url).timeout(EXTRACT_LIMIT).json(asked);
        let answer = right(one, request.send().await.map_err(failed(one))?, StatusCode::OK)?;
        let mut pieces = answer.bytes_stream();
        let mut rest: Vec<u8> = Vec::new();
        let mut end = None;
        while let Some(piece) = pieces.next().await {
            rest.extend_from_slice(&piece.map_err(failed(one))?);
            let mut from = 0;
            while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
                let line = &rest[from..from + length];
                if end.is_some() {
                    return Err(unavailable("it goes on behind its end"));
                }
                if line.starts_with(END_BEGINS) {
                    let last: End = serde_json::from_slice(line).map_err(|_| unavailable("its end is no end"))?;
                    end = Some(last.end);
                } else {
                    usage.count(line);
                    newest.push(line);
                }
                from += length + 1;
            }
            rest.drain(..from);
            if rest.len() > LINE_BYTES {
                return Err(unavailable("it sends lines without end"));
            }
        }
        end.filter(|_| rest.is_empty()).ok_or_else(|| unavailable("the answer broke off"))
    }
}

fn join(one: &One, path: &str) -> Result<Url, RecorderError> {
    one.url.join(path).map_err(|error| RecorderError::Unavailable { pod: one.pod.clone(), why: error.to_string() })
}

fn failed(one: &One) -> impl Fn(reqwest::Error) -> RecorderError {
    |error| RecorderError::Unavailable { pod: one.pod.clone(), why: process::certificate::chain(&error.without_url()) }
}

fn right(one: &One, answer: Response, wanted: StatusCode) -> Result<Response, RecorderError> {
    if answer.status() == wanted {
        return Ok(answer);
    }
    Err(RecorderError::Unavailable { pod: one.pod.clone(), why: answer.status().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_as_far_as_there_is_room() {
        let mut newest = Newest::new(8);
        for line in ["aaa", "bb", "cc", "d"] {
            newest.push(line.as_bytes());
        }
        assert_eq!(newest.into_file(), (3, b"bb\ncc\nd\n".to_vec()));
        let mut none = Newest::new(2);
        none.push(b"long");
        assert_eq!(none.into_file(), (0, Vec::new()));
    }
}
