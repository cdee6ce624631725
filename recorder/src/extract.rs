//! What the journal tells about an incident, for its evidence: [`evidence::wire::Extract`].

use std::{collections::HashSet, io, path::Path};

use evidence::{
    digest,
    wire::{End, Extract, MAX_ANSWER_BYTES, Position},
};
use serde_json::json;

use crate::{
    records::{Found, From, forward},
    view::{Named, View},
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
    let (mut chunk, mut sent, mut expected) = (Vec::new(), 0, None);
    for found in forward(dir, From { sequence: 0, time: asked.since })? {
        let (first, found) = found?;
        let mut flaw = |what: serde_json::Value, chunk: &mut Vec<u8>| {
            at.flaws += 1;
            line(chunk, what.to_string().as_bytes());
        };
        let (stamp, payload) = match found {
            Found::Record(stamp, payload) => (stamp, payload),
            Found::Unreadable { file, offset, bytes } => {
                let segment = file.file_name().map(|name| name.to_string_lossy().into_owned());
                flaw(json!({ "unreadable": { "segment": segment, "offset": offset, "bytes": bytes } }), &mut chunk);
                continue;
            }
        };
        let from = *expected.get_or_insert(first);
        if stamp.sequence > from {
            flaw(json!({ "missing": { "from": from, "to": stamp.sequence - 1 } }), &mut chunk);
        }
        expected = Some(stamp.sequence.max(from) + 1);
        at.sequence = stamp.sequence;
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
            break;
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

/// The digest of a record as it is stored, `None` where there is none of this sequence.
///
/// # Errors
/// What the disk says.
pub fn record_digest(dir: &Path, sequence: u64) -> io::Result<Option<String>> {
    for found in forward(dir, From { sequence, time: i64::MIN })? {
        if let (_, Found::Record(stamp, payload)) = found? {
            return Ok((stamp.sequence == sequence).then(|| digest(&payload)));
        }
    }
    Ok(None)
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
        let Some(View { time, event, .. }) = View::of(payload) else { return false };
        let among = |those: &HashSet<&str>, name: &Option<Named<'_>>| {
            name.as_ref().is_some_and(|it| those.contains(&*it.key()))
        };
        time >= self.since
            && (among(&self.connections, &event.unmapped.connection)
                || among(&self.teams, &event.unmapped.team)
                || event.actor.is_some_and(|actor| self.actors.contains(&*actor.user.name))
                || event.entity.is_some_and(|it| self.entities.contains(format!("{} {}", it.r#type, it.name).as_str())))
    }
}
