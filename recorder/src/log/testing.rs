//! Logs for the tests of what reads them.

use std::{fs, ops::Range, path::Path};

use audit::log::{Checkpoint, SignedCheckpoint};
use jiff::Timestamp;

use super::{Outside, growing::Growing};
use crate::frame::push;

/// Within 2026q4.
pub(crate) const T0: i64 = 1_796_000_000_000;
/// Within 2027q1.
pub(crate) const T1: i64 = 1_800_000_000_000;
pub(crate) const POD: &str = "recorder-0";

/// A segment of the journal with these records.
pub(crate) fn segment_of(dir: &Path, first: u64, records: &[String]) {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| assert!(push(&mut bytes, record.as_bytes())));
    fs::write(dir.join(format!("journal-{first:020}.otj")), bytes).unwrap();
}

/// A segment with records of these numbers, a second apart.
pub(crate) fn segment(dir: &Path, sequences: Range<u64>, from: i64) {
    let first = sequences.start;
    let record = |sequence: u64| {
        let time = from + sequence.cast_signed() * 1000;
        let writer = r#"{"role":"gateway","pod":"gateway-0"}"#;
        format!(r#"{{"writer":{writer},"time":{time},"sequence":{sequence},"event":{{"n":{sequence}}}}}"#)
    };
    segment_of(dir, first, &sequences.map(record).collect::<Vec<_>>());
}

/// Makes logs of what is in the journal below `durable`, as a recorder does that starts, signs and ends. How many troubles
/// it met.
pub(crate) fn grow(dir: &Path, durable: u64, remembered: Vec<Checkpoint>) -> usize {
    let now = Timestamp::from_millisecond(T0).unwrap();
    let outside = Outside { cluster: "c".to_owned(), remembered };
    let (mut growing, troubles) = Growing::open(dir, &outside, POD, durable, now).unwrap();
    growing.follow(durable, now).unwrap();
    growing.sign().unwrap();
    troubles.len()
}

/// The newest checkpoint of a shard.
pub(crate) fn signed(dir: &Path, shard: &str) -> SignedCheckpoint {
    SignedCheckpoint::parse(&fs::read_to_string(dir.join("log").join(shard).join("checkpoint")).unwrap()).unwrap()
}
