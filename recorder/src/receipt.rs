//! Receipts: the proof that a record is in a log, as a file of its own (c2sp.org/tlog-proof).

use std::io;

use audit::log::{
    BadReceipt, HashSource, Receipt, SignedCheckpoint, Store, StoredTiles, TILE_WIDTH, Tile, VerifyingKey, entries,
    entries_path, inclusion_proof,
};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    Shard,
    log::Stamp,
    place::{Place, note, opened},
    verify::{Expected, Verdict},
};

/// How much later than its event's id was made a record may have been stored, at most, for it to be found by the id: clocks of
/// writers and recorders differ, and events wait for a recorder.
const SLACK_MILLISECONDS: i64 = 10 * 60 * 1000;

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That with this number of the recorder.
    Sequence(u64),
    /// That of the event with this `metadata.uid`.
    Uid(Uuid),
}

/// A record with its receipt.
#[derive(Clone, Debug)]
pub struct Received {
    /// The log it is in.
    pub shard: Shard,
    /// The proof, towards the newest checkpoint that was cosigned if that covers it, else the newest that was signed.
    pub receipt: Receipt,
    /// The record: the bytes that are the entry, without a line end.
    pub record: Vec<u8>,
    /// Whether the checkpoint is one that was cosigned.
    pub is_witnessed: bool,
}

/// Why there is no receipt.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// No log has such a record, or no checkpoint covers it yet.
    #[error("no signed log here has such a record; one that was stored a moment ago is signed within a second")]
    NotFound,
    /// Its files cannot be read, or lack what the proof needs.
    #[error("the log {shard} cannot be read")]
    Unread {
        /// The log.
        shard: Shard,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The proof does not lead to the checkpoint: the log is not whole.
    #[error("the log {shard} is not whole: {why}")]
    Broken {
        /// The log.
        shard: Shard,
        /// How so.
        why: BadReceipt,
    },
}

/// Makes the receipt of a record. It is checked before it is given out, with the key that is beside the log.
///
/// # Errors
/// [`ReceiptError`]
pub fn receipt(place: &Place, wanted: Wanted) -> Result<Received, ReceiptError> {
    for shard in place.shards().iter().copied().rev() {
        let unread = |source| ReceiptError::Unread { shard, source };
        let store = place.store(shard);
        let Some(newest) = note(&*store, "checkpoint").map_err(unread)? else { continue };
        let size = newest.checkpoint().size;
        let found = match wanted {
            Wanted::Sequence(sequence) => by_sequence(&*store, size, sequence).map_err(unread)?,
            Wanted::Uid(uid) => by_uid(place, &*store, shard, size, uid).map_err(unread)?,
        };
        let Some((index, record)) = found else { continue };
        let witnessed = note(&*store, "witnessed").map_err(unread)?;
        let covering = witnessed.filter(|note| (index + 1..=size).contains(&note.checkpoint().size));
        let is_witnessed = covering.is_some();
        let checkpoint = covering.unwrap_or(newest);
        let tiles = Grown { store: &*store, size };
        let proof = inclusion_proof(index, checkpoint.checkpoint().size, &tiles);
        let proof = proof.map_err(|error| unread(error.into()))?;
        let receipt = Receipt { index, proof, checkpoint };
        if let Some(key) = crate::place::own_key(&*store).map_err(unread)? {
            receipt.verify(&record, &key, None).map_err(|why| ReceiptError::Broken { shard, why })?;
        }
        return Ok(Received { shard, receipt, record, is_witnessed });
    }
    Err(ReceiptError::NotFound)
}

/// Checks a receipt against what is known from elsewhere; `own` is the key that is beside the log, if that is at hand, and
/// counts for nothing from outside.
///
/// # Errors
/// [`BadReceipt`]; without any key of this log, that it is not signed by one.
pub fn check_receipt(
    receipt: &Receipt,
    record: &[u8],
    expected: &Expected,
    own: Option<&VerifyingKey>,
) -> Result<Verdict, BadReceipt> {
    let given = expected.key(&receipt.checkpoint.checkpoint().origin);
    let verdict = if given.is_some() { Verdict::Whole } else { Verdict::Alone };
    let key = given.or(own).ok_or(BadReceipt::Log(audit::log::BadSignature::Absent))?;
    receipt.verify(record, key, expected.witness.as_ref())?;
    // Of two roots for one size one is a lie.
    let known = expected.checkpoints.iter().flat_map(|known| known.logs.values()).map(|log| log.note.checkpoint());
    let signed = receipt.checkpoint.checkpoint();
    let contradicts = |other: &audit::log::Checkpoint| {
        other.origin == signed.origin && other.size == signed.size && other.root != signed.root
    };
    if known.into_iter().any(contradicts) { Err(BadReceipt::Entry) } else { Ok(verdict) }
}

/// The key that is beside the log of a checkpoint, if that is in this place.
///
/// # Errors
/// What the disk says.
pub fn key_beside(place: &Place, checkpoint: &SignedCheckpoint) -> io::Result<Option<VerifyingKey>> {
    match Shard::parted(&checkpoint.checkpoint().origin) {
        Some((_, shard)) => crate::place::own_key(&*place.store(shard)),
        None => Ok(None),
    }
}

fn by_sequence(store: &dyn Store, size: u64, sequence: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let Some(opened) = opened(store, size)? else { return Ok(None) };
    let index = sequence.checked_sub(opened.first_sequence).map(|it| it + 1).filter(|index| *index < size);
    let Some(index) = index else { return Ok(None) };
    let bundle = bundle(store, size, index / TILE_WIDTH)?;
    let entries = entries(&bundle).map_err(io::Error::other)?;
    let entry = entries.get(usize::try_from(index % TILE_WIDTH).unwrap_or(0));
    Ok(entry.filter(|entry| Stamp::of(entry).is_some_and(|it| it.sequence == sequence)).map(|it| (index, it.to_vec())))
}

/// Looks for an event by its id, from the newest bundle on. The id begins with the time it was made at (RFC 9562, version 7).
fn by_uid(place: &Place, store: &dyn Store, shard: Shard, size: u64, uid: Uuid) -> io::Result<Option<(u64, Vec<u8>)>> {
    let made = uid.get_timestamp().map(|time| {
        let (seconds, nanoseconds) = time.to_unix();
        seconds.cast_signed().saturating_mul(1000) + i64::from(nanoseconds / 1_000_000)
    });
    let times = place.times(shard)?;
    let needle = format!("\"uid\":\"{uid}\"");
    for index in (0..size.div_ceil(TILE_WIDTH)).rev() {
        let within = usize::try_from(index).ok().and_then(|index| times.get(index));
        let is_other = made.zip(within).is_some_and(|(made, (from, to))| {
            *to < made - SLACK_MILLISECONDS || *from > made.saturating_add(24 * 3600 * 1000 + SLACK_MILLISECONDS)
        });
        if is_other {
            continue;
        }
        let bundle = bundle(store, size, index)?;
        for (place, entry) in entries(&bundle).map_err(io::Error::other)?.into_iter().enumerate() {
            if std::str::from_utf8(entry).is_ok_and(|entry| entry.contains(&needle)) && has_uid(entry, &uid) {
                return Ok(Some((index * TILE_WIDTH + place as u64, entry.to_vec())));
            }
        }
    }
    Ok(None)
}

/// Objects have a `uid` too.
fn has_uid(record: &[u8], uid: &Uuid) -> bool {
    serde_json::from_slice::<serde_json::Value>(record)
        .is_ok_and(|record| record["event"]["metadata"]["uid"] == uid.to_string())
}

fn bundle(store: &dyn Store, size: u64, index: u64) -> io::Result<Vec<u8>> {
    let width = TILE_WIDTH.min(size.saturating_sub(index * TILE_WIDTH));
    let path = entries_path(index, u16::try_from(width).unwrap_or(256));
    store.read(&path)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, path))
}

/// The tiles of a log of this size, whatever smaller size a proof is for.
struct Grown<'a> {
    store: &'a dyn Store,
    size: u64,
}

impl HashSource for Grown<'_> {
    type Error = io::Error;

    fn tile(&self, tile: Tile) -> io::Result<Vec<u8>> {
        let hashes = self.size.checked_shr(8 * u32::from(tile.level)).unwrap_or(0);
        let there = hashes.saturating_sub(tile.index * TILE_WIDTH).min(TILE_WIDTH);
        StoredTiles(self.store).tile(Tile { width: u16::try_from(there).unwrap_or(256).max(tile.width), ..tile })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use audit::log::SigningKey;
    use process::checkpoints::{Checkpoints, Witnessed};
    use tempfile::TempDir;

    use super::*;
    use crate::log::testing::{T0, T1, grow, segment, segment_of, signed};

    fn witness() -> SigningKey {
        SigningKey::from_seed("witness.c", &[7; 32]).unwrap()
    }

    /// Cosigns the newest checkpoint of a shard.
    fn cosign(dir: &TempDir, shard: &str) {
        let note = signed(dir.path(), shard);
        let note = note.with_signature(&witness().cosign(&note, 1)).unwrap();
        fs::write(dir.path().join("log").join(shard).join("witnessed"), note.text()).unwrap();
    }

    fn key(dir: &TempDir, shard: &str) -> VerifyingKey {
        fs::read_to_string(dir.path().join("log").join(shard).join("vkey")).unwrap().parse().unwrap()
    }

    #[test]
    fn every_record_has_a_receipt_that_a_stranger_can_check() {
        let dir = TempDir::new().unwrap();
        segment(dir.path(), 1..301, T0);
        segment(dir.path(), 301..601, T1);
        grow(dir.path(), 501, Vec::new());
        cosign(&dir, "2027q1");
        cosign(&dir, "2026q4");
        grow(dir.path(), 601, Vec::new());
        let place = Place::open(dir.path()).unwrap();
        for (sequence, shard, is_witnessed) in [
            (1, "2026q4", true),
            (255, "2026q4", true),
            (300, "2026q4", true),
            (301, "2027q1", true),
            (500, "2027q1", true),
            (501, "2027q1", false),
            (600, "2027q1", false),
        ] {
            let given = receipt(&place, Wanted::Sequence(sequence)).unwrap();
            assert_eq!((given.shard.to_string(), given.is_witnessed), (shard.to_owned(), is_witnessed), "{sequence}");
            assert_eq!(Stamp::of(&given.record).unwrap().sequence, sequence);
            let read = Receipt::parse(&given.receipt.to_string()).unwrap();
            let witness = witness().verifying_key().cosigner();
            read.verify(&given.record, &key(&dir, shard), is_witnessed.then_some(&witness)).unwrap();
        }
        for none in [0, 601] {
            assert!(matches!(receipt(&place, Wanted::Sequence(none)), Err(ReceiptError::NotFound)));
        }
    }

    #[test]
    fn an_event_is_found_by_its_own_id_and_by_no_objects() {
        let dir = TempDir::new().unwrap();
        let (event, object) = (Uuid::now_v7(), Uuid::now_v7());
        let record = |sequence: u64, uid: Uuid| {
            format!(
                r#"{{"writer":{{"role":"portal","pod":"p"}},"time":{T0},"sequence":{sequence},"event":{{"entity":{{"uid":"{object}"}},"metadata":{{"uid":"{uid}"}}}}}}"#
            )
        };
        segment_of(dir.path(), 1, &[record(1, Uuid::now_v7()), record(2, event), record(3, Uuid::now_v7())]);
        grow(dir.path(), 4, Vec::new());
        let place = Place::open(dir.path()).unwrap();
        assert_eq!(receipt(&place, Wanted::Uid(event)).unwrap().receipt.index, 2);
        assert!(matches!(receipt(&place, Wanted::Uid(object)), Err(ReceiptError::NotFound)));
    }

    #[test]
    fn a_receipt_counts_by_a_key_from_elsewhere_and_falls_by_any_other() {
        let dir = TempDir::new().unwrap();
        segment(dir.path(), 1..301, T0);
        grow(dir.path(), 301, Vec::new());
        cosign(&dir, "2026q4");
        let place = Place::open(dir.path()).unwrap();
        let Received { receipt: given, record, .. } = receipt(&place, Wanted::Sequence(7)).unwrap();
        let own = key_beside(&place, &given.checkpoint).unwrap();
        let nothing = Expected::default();
        assert_eq!(check_receipt(&given, &record, &nothing, own.as_ref()), Ok(Verdict::Alone));
        assert!(matches!(check_receipt(&given, &record, &nothing, None), Err(BadReceipt::Log(_))));
        let keys = vec![key(&dir, "2026q4")];
        let known = Expected { keys, witness: Some(witness().verifying_key().cosigner()), ..Expected::default() };
        assert_eq!(check_receipt(&given, &record, &known, None), Ok(Verdict::Whole));
        let mut edited = record.clone();
        edited[20] ^= 1;
        assert_eq!(check_receipt(&given, &edited, &known, None), Err(BadReceipt::Entry));
        let other = SigningKey::from_seed("witness.c", &[8; 32]).unwrap().verifying_key().cosigner();
        let other = Expected { witness: Some(other), ..known.clone() };
        assert!(matches!(check_receipt(&given, &record, &other, None), Err(BadReceipt::Witness(_))));
        // The witness saw another root.
        let key = SigningKey::from_seed("audit.c/recorder-0/2026q4", &[1; 32]).unwrap();
        let mut forged = given.checkpoint.checkpoint().clone();
        forged.root[0] ^= 1;
        let note = SignedCheckpoint::parse(&key.sign(&forged)).unwrap();
        let logs = [("recorder-0.2026q4".to_owned(), Witnessed { note, key: key.verifying_key() })].into();
        let checkpoints = Some(Checkpoints { cluster: "c".to_owned(), held: None, witness: None, logs });
        let split = Expected { checkpoints, ..known };
        assert_eq!(check_receipt(&given, &record, &split, None), Err(BadReceipt::Entry));
    }
}
