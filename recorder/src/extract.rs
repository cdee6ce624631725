//! What the journal tells about an incident, for its evidence: [`evidence::wire::Extract`].

use std::{
    collections::HashSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use evidence::{
    digest,
    wire::{End, Extract, MAX_ANSWER_BYTES, Position},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    frame::{Piece, Pieces},
    journal::segments,
};

/// What is sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Goes through the journal of `dir` and gives what was asked for to `send`, in pieces of whole lines, until that says
/// `false`. Blocks on the disk.
pub(crate) fn extract(
    dir: &Path,
    recorder: &str,
    asked: &Extract,
    send: &mut dyn FnMut(Vec<u8>) -> bool,
) -> io::Result<()> {
    let wanted = Wanted::new(asked);
    let mut at = Position {
        recorder: recorder.to_owned(),
        sequence: 0,
        digest: digest(b""),
        records: 0,
        flaws: 0,
        is_cut: false,
    };
    let segments = since(segments(dir)?, asked.since)?;
    let last = segments.len().saturating_sub(1);
    let (mut chunk, mut sent, mut expected) = (Vec::new(), 0, None);
    'all: for (index, (first, path)) in segments.into_iter().enumerate() {
        for piece in Pieces::new(File::open(&path)?) {
            let mut flaw = |what: serde_json::Value, chunk: &mut Vec<u8>| {
                at.flaws += 1;
                line(chunk, what.to_string().as_bytes());
            };
            let segment = || path.file_name().map(|name| name.to_string_lossy().into_owned());
            let payload = match piece? {
                Piece::Unreadable { at_end: true, .. } if index == last => continue,
                Piece::Unreadable { offset, bytes, .. } => {
                    let what = json!({ "unreadable": { "segment": segment(), "offset": offset, "bytes": bytes } });
                    flaw(what, &mut chunk);
                    continue;
                }
                Piece::Frame { offset, payload } => match serde_json::from_slice::<Stored>(&payload) {
                    Ok(stored) => {
                        let from = *expected.get_or_insert(first);
                        if stored.sequence > from {
                            flaw(json!({ "missing": { "from": from, "to": stored.sequence - 1 } }), &mut chunk);
                        }
                        expected = Some(stored.sequence.max(from) + 1);
                        at.sequence = stored.sequence;
                        payload
                    }
                    Err(_) => {
                        let bytes = payload.len() + 8;
                        let what = json!({ "unreadable": { "segment": segment(), "offset": offset, "bytes": bytes } });
                        flaw(what, &mut chunk);
                        continue;
                    }
                },
            };
            if wanted.has(&payload) {
                sent += payload.len() as u64 + 1;
                if sent > MAX_ANSWER_BYTES {
                    at.is_cut = true;
                } else {
                    at.records += 1;
                    line(&mut chunk, &payload);
                }
            }
            at.digest = digest(&payload);
            if chunk.len() >= CHUNK_BYTES && !send(std::mem::take(&mut chunk)) {
                return Ok(());
            }
            if at.is_cut {
                break 'all;
            }
        }
    }
    line(&mut chunk, &serde_json::to_vec(&End { end: at })?);
    send(chunk);
    Ok(())
}

fn line(chunk: &mut Vec<u8>, content: &[u8]) {
    chunk.extend_from_slice(content);
    chunk.push(b'\n');
}

/// Without the segments whose records are all older.
fn since(mut segments: Vec<(u64, PathBuf)>, since: i64) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut start = 0;
    for (index, (_, path)) in segments.iter().enumerate().rev() {
        let first = Pieces::new(File::open(path)?).next().transpose()?;
        let Some(Piece::Frame { payload, .. }) = first else { continue };
        if serde_json::from_slice::<Stored>(&payload).is_ok_and(|stored| stored.time < since) {
            start = index;
            break;
        }
    }
    Ok(segments.split_off(start))
}

/// The digest of a record as it is stored, `None` where there is none of this sequence.
///
/// # Errors
/// What the disk says.
pub fn record_digest(dir: &Path, sequence: u64) -> io::Result<Option<String>> {
    let segments = segments(dir)?;
    let Some((_, path)) = segments.iter().rev().find(|(first, _)| *first <= sequence) else { return Ok(None) };
    for piece in Pieces::new(File::open(path)?) {
        if let Piece::Frame { payload, .. } = piece?
            && serde_json::from_slice::<Stored>(&payload).is_ok_and(|stored| stored.sequence == sequence)
        {
            return Ok(Some(digest(&payload)));
        }
    }
    Ok(None)
}

/// What every record has.
#[derive(Deserialize)]
struct Stored {
    time: i64,
    sequence: u64,
}

/// The part of a record that is asked about.
#[derive(Deserialize)]
struct Record<'a> {
    time: i64,
    #[serde(borrow)]
    event: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    unmapped: Unmapped<'a>,
    #[serde(borrow, default)]
    actor: Actor<'a>,
    #[serde(borrow, default)]
    entity: Option<Entity<'a>>,
}

#[derive(Default, Deserialize)]
struct Unmapped<'a> {
    #[serde(borrow, default)]
    team: Option<Name<'a>>,
    #[serde(borrow, default)]
    connection: Option<Name<'a>>,
}

#[derive(Deserialize)]
struct Name<'a> {
    namespace: &'a str,
    name: &'a str,
}

#[derive(Default, Deserialize)]
struct Actor<'a> {
    #[serde(borrow, default)]
    user: User<'a>,
}

#[derive(Default, Deserialize)]
struct User<'a> {
    #[serde(default)]
    name: &'a str,
}

#[derive(Deserialize)]
struct Entity<'a> {
    r#type: &'a str,
    name: &'a str,
}

struct Wanted<'a> {
    since: i64,
    connections: HashSet<&'a str>,
    teams: HashSet<&'a str>,
    actors: HashSet<&'a str>,
    entities: HashSet<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(asked: &'a Extract) -> Self {
        let set = |them: &'a [String]| them.iter().map(String::as_str).collect();
        Self {
            since: asked.since,
            connections: set(&asked.connections),
            teams: set(&asked.teams),
            actors: set(&asked.actors),
            entities: set(&asked.entities),
        }
    }

    fn has(&self, payload: &[u8]) -> bool {
        let Ok(Record { time, event }) = serde_json::from_slice::<Record<'_>>(payload) else { return false };
        let among = |those: &HashSet<&str>, name: &Option<Name<'_>>| {
            name.as_ref().is_some_and(|name| those.contains(format!("{}/{}", name.namespace, name.name).as_str()))
        };
        time >= self.since
            && (among(&self.connections, &event.unmapped.connection)
                || among(&self.teams, &event.unmapped.team)
                || self.actors.contains(event.actor.user.name)
                || event.entity.is_some_and(|it| self.entities.contains(format!("{} {}", it.r#type, it.name).as_str())))
    }
}
