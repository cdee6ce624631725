//! Making a digest: what recorders say, what the witness remembers, who may do what.

use std::time::Duration;

use audit::wire::digest::{Asked, DIGEST_PATH, Digest, MAX_DIGEST_BYTES};
use jiff::Timestamp;
use process::{
    answer,
    certificate::chain,
    checkpoints::Checkpoints,
    review::{Access, OfRecorder, ReviewDigest, WitnessedLog},
};
use reqwest::StatusCode;
use url::Url;
use uuid::Uuid;

/// A recorder reads all of its record for it.
const ANSWER_LIMIT: Duration = Duration::from_secs(1800);
/// What a ConfigMap has room for (1 MiB, Kubernetes), less what else is in it and a margin.
const MAX_JSON_BYTES: usize = 700 * 1024;

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub(super) enum DigestError {
    /// A recorder is waited for.
    #[error("recorder {pod} gives no digest: {why}")]
    Recorder { pod: String, why: String },
    /// It does not become JSON.
    #[error("digest cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Asks each recorder; one after the other, since calls wait for their disks.
pub(super) async fn ask(
    recorders: &[(String, Url)],
    http: &(dyn Fn() -> reqwest::Client + Send + Sync),
    from: Timestamp,
    may_lack: bool,
) -> Result<Vec<OfRecorder>, DigestError> {
    let mut all = Vec::new();
    for (pod, url) in recorders {
        let (digest, missing) = match one(url, http(), from).await {
            Ok(digest) => (Some(digest), None),
            Err(why) if may_lack => (None, Some(why)),
            Err(why) => return Err(DigestError::Recorder { pod: pod.clone(), why }),
        };
        all.push(OfRecorder { pod: pod.clone(), digest, missing });
    }
    Ok(all)
}

async fn one(url: &Url, http: reqwest::Client, from: Timestamp) -> Result<Digest, String> {
    let failed = |error: reqwest::Error| chain(&error.without_url());
    let mut url = url.join(DIGEST_PATH).map_err(|error| error.to_string())?;
    let Asked { since } = Asked { since: from.as_millisecond() };
    url.query_pairs_mut().append_pair("since", &since.to_string());
    let answer = http.get(url).timeout(ANSWER_LIMIT).send().await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(answer.status().to_string());
    }
    let read = answer::read(answer, MAX_DIGEST_BYTES).await.map_err(failed)?;
    let read = read.ok_or_else(|| format!("longer than {MAX_DIGEST_BYTES} bytes"))?;
    serde_json::from_slice(&read).map_err(|_| "its answer is none".to_owned())
}

/// The digest, and its JSON: as many Teams as there is room for.
pub(super) fn made(
    from: Timestamp,
    to: Timestamp,
    recorders: Vec<OfRecorder>,
    known: &Checkpoints,
    access: Access,
) -> Result<(ReviewDigest, String), DigestError> {
    let is_whole = |one: &OfRecorder| one.digest.as_ref().is_some_and(Digest::is_verified);
    let witnessed = known.logs.values().map(|log| {
        let checkpoint = log.note.checkpoint();
        // The third line of a checkpoint (C2SP tlog-checkpoint).
        let root = log.note.body().lines().nth(2).unwrap_or_default().to_owned();
        WitnessedLog { origin: checkpoint.origin.clone(), size: checkpoint.size, root }
    });
    let mut content = ReviewDigest {
        uid: Uuid::now_v7(),
        from,
        to,
        is_verified: recorders.iter().all(is_whole) && agree(&recorders, known),
        recorders,
        witnessed: witnessed.collect(),
        access,
    };
    loop {
        let json = serde_json::to_string(&content).map_err(DigestError::Json)?;
        let teams = content.access.teams.len();
        if json.len() <= MAX_JSON_BYTES || teams == 0 {
            return Ok((content, json));
        }
        content.access.teams.truncate(teams / 2);
        content.access.more_teams += (teams - teams / 2) as u64;
    }
}

/// Whether recorders verified no less of each log than the witness remembers, and that root where it is the same size. A log that
/// was deleted as a whole, since its time was over, is in neither.
fn agree(recorders: &[OfRecorder], known: &Checkpoints) -> bool {
    let verified = recorders.iter().filter_map(|one| one.digest.as_ref()).flat_map(|digest| &digest.logs);
    verified.into_iter().all(|log| {
        let Some(witnessed) = known.logs.values().find(|it| it.note.checkpoint().origin == log.origin) else {
            // It is younger than a minute, or what it says is its name is none.
            return !log.origin.is_empty() || log.size == 0;
        };
        let size = witnessed.note.checkpoint().size;
        size < log.size || (size == log.size && witnessed.note.body().lines().nth(2) == Some(&log.root))
    })
}
