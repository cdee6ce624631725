//! Records of the journal, in order, while it is written to.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    frame::{HEADER_BYTES, Piece, Pieces},
    journal::segments,
};

/// What every record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Stamp {
    /// When it was stored, in milliseconds since 1970.
    pub(crate) time: i64,
    /// Its number.
    pub(crate) sequence: u64,
}

impl Stamp {
    /// That of a payload, if it is a record.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// Where following stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Everything that is durable was visited.
    Caught,
    /// The visitor wanted no more than what is before the record of this time, which is given to it again.
    Wanted(Timestamp),
    /// Records from the next one on, up to before this number, are not in the journal.
    Gap(u64),
}

/// What is given a record, and says with its time that it wants no more.
pub(crate) type Visit<'a> = dyn FnMut(Stamp, &[u8]) -> io::Result<ControlFlow<Timestamp>> + 'a;

/// Goes through a journal once, and remembers how far it came.
pub(crate) struct Follower {
    dir: PathBuf,
    next: u64,
    /// The segment that the next record is looked for in, and where.
    at: (u64, u64),
}

impl Follower {
    /// From the record with the number `next` on.
    pub(crate) fn new(dir: &Path, next: u64) -> Self {
        Self { dir: dir.to_owned(), next, at: (0, 0) }
    }

    /// The number of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Gives the records with numbers below `durable` to `visit`.
    pub(crate) fn catch_up(&mut self, durable: u64, visit: &mut Visit<'_>) -> io::Result<Stopped> {
        while self.next < durable {
            let segments = segments(&self.dir)?;
            let later = segments.iter().map(|(first, _)| *first).find(|first| *first > self.next);
            let Some((first, path)) = segments.into_iter().rev().find(|(first, _)| *first <= self.next) else {
                return Ok(Stopped::Gap(later.unwrap_or(durable)));
            };
            if self.at.0 != first {
                self.at = (first, 0);
            }
            let start = self.at.1;
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(start))?;
            for piece in Pieces::new(file) {
                let Piece::Frame { offset, payload } = piece? else { continue };
                let Some(stamp) = Stamp::of(&payload) else { continue };
                if stamp.sequence >= durable {
                    // Its write may be taken back yet.
                    break;
                }
                if stamp.sequence > self.next {
                    return Ok(Stopped::Gap(stamp.sequence));
                }
                if stamp.sequence == self.next {
                    if let ControlFlow::Break(time) = visit(stamp, &payload)? {
                        return Ok(Stopped::Wanted(time));
                    }
                    self.next += 1;
                }
                self.at.1 = start + offset + (HEADER_BYTES + payload.len()) as u64;
            }
            if self.next < durable && later != Some(self.next) {
                return Ok(Stopped::Gap(later.unwrap_or(durable)));
            }
        }
        Ok(Stopped::Caught)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::frame::push;

    fn record(sequence: u64) -> Vec<u8> {
        format!(r#"{{"writer":{{}},"time":{},"sequence":{sequence},"event":{{}}}}"#, sequence * 10).into_bytes()
    }

    fn segment(dir: &TempDir, first: u64, sequences: &[u64]) {
        let mut bytes = Vec::new();
        sequences.iter().for_each(|sequence| assert!(push(&mut bytes, &record(*sequence))));
        fs::write(dir.path().join(format!("journal-{first:020}.otj")), bytes).unwrap();
    }

    fn all(follower: &mut Follower, durable: u64) -> (Vec<u64>, Stopped) {
        let mut seen = Vec::new();
        let stopped = follower.catch_up(durable, &mut |stamp, payload| {
            assert_eq!((stamp.time, payload), (stamp.sequence as i64 * 10, &record(stamp.sequence)[..]));
            seen.push(stamp.sequence);
            Ok(ControlFlow::Continue(()))
        });
        (seen, stopped.unwrap())
    }

    #[test]
    fn what_is_durable_is_visited_once_however_it_grows() {
        let dir = TempDir::new().unwrap();
        let mut follower = Follower::new(dir.path(), 1);
        assert_eq!(all(&mut follower, 1), (vec![], Stopped::Caught));
        segment(&dir, 1, &[1, 2, 3]);
        assert_eq!(all(&mut follower, 3), (vec![1, 2], Stopped::Caught));
        segment(&dir, 1, &[1, 2, 3, 4]);
        segment(&dir, 5, &[5, 6]);
        assert_eq!(all(&mut follower, 6), (vec![3, 4, 5], Stopped::Caught));
        assert_eq!(all(&mut follower, 7), (vec![6], Stopped::Caught));
        assert_eq!(all(&mut Follower::new(dir.path(), 4), 7), (vec![4, 5, 6], Stopped::Caught));
    }

    #[test]
    fn a_gap_is_told_and_passed_over_when_one_wants() {
        let dir = TempDir::new().unwrap();
        segment(&dir, 3, &[3, 5]);
        segment(&dir, 9, &[9]);
        let mut follower = Follower::new(dir.path(), 1);
        for (expected, gap) in [(vec![], 3), (vec![3], 5), (vec![5], 9)] {
            assert_eq!(all(&mut follower, 10), (expected, Stopped::Gap(gap)));
            follower = Follower::new(dir.path(), gap);
        }
        assert_eq!(all(&mut follower, 12), (vec![9], Stopped::Gap(12)), "said to be durable, and absent");
    }

    #[test]
    fn who_wants_no_more_is_given_the_same_one_again() {
        let dir = TempDir::new().unwrap();
        segment(&dir, 1, &[1, 2, 3]);
        let mut follower = Follower::new(dir.path(), 1);
        let stopped = follower.catch_up(4, &mut |stamp, _| {
            Ok(if stamp.sequence == 2 { ControlFlow::Break(Timestamp::UNIX_EPOCH) } else { ControlFlow::Continue(()) })
        });
        assert_eq!((stopped.unwrap(), follower.next()), (Stopped::Wanted(Timestamp::UNIX_EPOCH), 2));
        assert_eq!(all(&mut follower, 4), (vec![2, 3], Stopped::Caught));
    }
}
