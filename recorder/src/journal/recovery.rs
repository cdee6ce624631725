//! Finding the end of a journal, after a crash too.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use crate::frame::{Piece, Pieces, Record};

/// What opening a journal found wrong with its last segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of an incomplete write at the end, which were cut off.
    pub cut_bytes: u64,
    /// Unreadable bytes before records that can be read. They are left in place, and the journal goes on in a
    /// new segment.
    pub damaged_bytes: u64,
}

/// Where appending goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The segment's first sequence number, which names it.
    pub first_sequence: u64,
    /// Its length.
    pub length: u64,
    /// The next record's sequence number.
    pub next_sequence: u64,
}

/// The file of the segment that starts with this sequence number.
pub(super) fn segment_path(dir: &Path, first_sequence: u64) -> PathBuf {
    dir.join(format!("journal-{first_sequence:020}.otj"))
}

/// The segments in `dir`, oldest first, with their first sequence numbers.
pub(crate) fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_prefix("journal-").and_then(|name| name.strip_suffix(".otj"));
        if let Some(first) = digits.filter(|digits| digits.len() == 20).and_then(|digits| digits.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads the last segment, and cuts off what follows its last frame if nothing readable does.
///
/// Unreadable bytes with a readable record after them are no torn write that may be cut: something acknowledged
/// could be among the records behind.
pub(super) fn recover(dir: &Path) -> io::Result<(Recovery, End)> {
    let mut recovery = Recovery::default();
    let Some((first_sequence, path)) = segments(dir)?.pop() else {
        return Ok((recovery, End { first_sequence: 1, length: 0, next_sequence: 1 }));
    };
    let mut end = End { first_sequence, length: 0, next_sequence: first_sequence };
    for piece in Pieces::new(File::open(&path)?) {
        match piece? {
            Piece::Frame { offset, payload } => {
                end.length = offset + 8 + payload.len() as u64;
                match serde_json::from_slice::<Record>(&payload) {
                    Ok(record) if record.sequence >= end.next_sequence => {
                        end.next_sequence = record.sequence + 1;
                    }
                    _ => recovery.damaged_bytes += 8 + payload.len() as u64,
                }
            }
            Piece::Unreadable { bytes, at_end: false, .. } => recovery.damaged_bytes += bytes,
            Piece::Unreadable { offset, bytes, at_end: true } => {
                recovery.cut_bytes = bytes;
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(offset)?;
                file.sync_all()?;
            }
        }
    }
    // A segment without a single readable sequence would be named like the one that follows it.
    if recovery.damaged_bytes > 0 && end.next_sequence > first_sequence {
        end = End { first_sequence: end.next_sequence, length: 0, next_sequence: end.next_sequence };
    }
    Ok((recovery, end))
}
