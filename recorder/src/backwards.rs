//! Reading the record from its end, within bounds.
//!
//! First the journal's part. Frames can be told apart from any byte on ([`crate::frame`]), so a segment is read in blocks from its
//! end: what a block begins in the middle of belongs to the block before. What is in bundles is read from there.

use std::{
    fs::File,
    io,
    ops::{ControlFlow, Range},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    frame::{Piece, Pieces},
    journal::segments,
    log::Stamp,
    records::{Bundled, Found},
};

/// What is read at once; longer than any frame.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// How much may be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Of the journal's bytes.
    pub(crate) bytes: u64,
    /// Of time.
    pub(crate) time: Duration,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The journal begins here.
    AtTheBeginning,
    /// The visitor had enough.
    Enough,
    /// The budget is used up; records with this sequence and later ones were visited.
    Bounded(u64),
}

/// Gives the records of `dir` to `visit`, newest first, from the last one with a sequence below `before` on. A block is
/// visited at least, however small the budget. Blocks on the disk.
pub(crate) fn backwards(
    dir: &Path,
    before: Option<u64>,
    budget: Budget,
    visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Ended> {
    backwards_within(dir, before, &(i64::MIN..i64::MAX), budget, visit)
}

/// The same, but that bundles whose records are all of other times than `times`, in milliseconds since 1970, are left out.
/// Other records of other times are visited.
pub(crate) fn backwards_within(
    dir: &Path,
    before: Option<u64>,
    times: &Range<i64>,
    budget: Budget,
    visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Ended> {
    let mut walk = Walk { begun: Instant::now(), budget, before, times, last: None, bytes: 0, visit };
    // In this order: what leaves the journal meanwhile is found in bundles.
    let segments = segments(dir)?;
    let bundled = Bundled::all(dir)?;
    let covered = bundled.iter().map(Bundled::end).max().unwrap_or(0);
    for (_, path) in segments.iter().rev().filter(|(first, _)| before.is_none_or(|before| *first < before)) {
        match walk.segment(path, covered) {
            Ok(Some(ended)) => return Ok(ended),
            Ok(None) => {}
            // It is in bundles by now, of which some may be newer than the list.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return backwards_within(dir, walk.before, times, budget, visit);
            }
            Err(error) => return Err(error),
        }
    }
    for shard in bundled.iter().rev() {
        if let Some(ended) = walk.shard(shard)? {
            return Ok(ended);
        }
    }
    Ok(Ended::AtTheBeginning)
}

struct Walk<'a> {
    begun: Instant,
    budget: Budget,
    /// What was visited already, or not asked for.
    before: Option<u64>,
    /// Bundles of other times are left out.
    times: &'a Range<i64>,
    /// The lowest number that was visited.
    last: Option<u64>,
    bytes: u64,
    visit: &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>,
}

impl Walk<'_> {
    /// Why reading ends before another block, if something was visited.
    fn bounded(&self) -> Option<Ended> {
        let last = self.last?;
        (self.bytes >= self.budget.bytes || self.begun.elapsed() >= self.budget.time).then_some(Ended::Bounded(last))
    }

    fn visit(&mut self, sequence: Option<u64>, payload: &[u8]) -> Option<Ended> {
        self.before = sequence.or(self.before);
        (self.visit)(payload).is_break().then_some(Ended::Enough)
    }

    /// The records of a segment that are in no bundle.
    fn segment(&mut self, path: &Path, covered: u64) -> io::Result<Option<Ended>> {
        // Until the first record below it was found.
        let mut above = self.before;
        let file = File::open(path)?;
        let mut end = file.metadata()?.len();
        while end > 0 {
            if let Some(ended) = self.bounded() {
                return Ok(Some(ended));
            }
            let start = end.saturating_sub(BLOCK_BYTES);
            let block = read(&file, start, end)?;
            let mut frames = Pieces::new(&block[..]).filter_map(|piece| match piece {
                Ok(Piece::Frame { offset, payload }) => Some((start + offset, payload)),
                _ => None,
            });
            let Some((offset, first)) = frames.next() else {
                end = start;
                continue;
            };
            end = if start == 0 { 0 } else { offset };
            let lowest = sequence(&first);
            // Where to begin is found by the first frame of each block.
            if above.is_some_and(|above| lowest.is_some_and(|lowest| lowest >= above)) {
                continue;
            }
            self.bytes += block.len() as u64;
            let payloads: Vec<Vec<u8>> = [first].into_iter().chain(frames.map(|(_, payload)| payload)).collect();
            for payload in payloads.iter().rev() {
                let number = sequence(payload);
                if above.is_some_and(|above| number.is_none_or(|it| it >= above)) {
                    continue;
                }
                if number.is_some_and(|number| number < covered) {
                    return Ok(None);
                }
                above = None;
                if let Some(ended) = self.visit(number, payload) {
                    return Ok(Some(ended));
                }
            }
            self.last = lowest.or(self.last);
        }
        Ok(None)
    }

    fn shard(&mut self, shard: &Bundled) -> io::Result<Option<Ended>> {
        let before = self.before.unwrap_or(u64::MAX).min(shard.end());
        if before <= shard.first {
            return Ok(None);
        }
        for bundle in (0..=shard.bundle_of(before - 1)).rev() {
            if !shard.is_within(bundle, self.times) {
                continue;
            }
            if let Some(ended) = self.bounded() {
                return Ok(Some(ended));
            }
            for found in shard.records(bundle)?.into_iter().rev() {
                let Found::Record(stamp, payload) = found else { continue };
                if stamp.sequence >= before {
                    continue;
                }
                self.bytes += payload.len() as u64;
                if let Some(ended) = self.visit(Some(stamp.sequence), &payload) {
                    return Ok(Some(ended));
                }
                self.last = Some(stamp.sequence);
            }
        }
        Ok(None)
    }
}

fn sequence(payload: &[u8]) -> Option<u64> {
    Stamp::of(payload).map(|stamp| stamp.sequence)
}

/// What is there of these bytes; a segment that is being written to may have been cut meanwhile.
fn read(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
    let mut filled = 0;
    while filled < block.len() {
        match file.read_at(&mut block[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    block.truncate(filled);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use audit::{Name, Peer, Role};
    use tempfile::TempDir;

    use super::*;
    use crate::frame::{Record, push};

    const AMPLE: Budget = Budget { bytes: u64::MAX, time: Duration::MAX };

    /// Frames of records with these sequences, each padded to about `bytes`.
    fn frames(sequences: std::ops::Range<u64>, bytes: usize) -> Vec<u8> {
        let writer = Peer { role: Role::Gateway, pod: Name::parse("gateway-0").unwrap() };
        let writer = serde_json::to_string(&writer).unwrap();
        let mut all = Vec::new();
        for sequence in sequences {
            let event = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
            let mut payload = String::new();
            Record::write(&mut payload, &writer, 7, sequence, &event);
            assert!(push(&mut all, payload.as_bytes()));
        }
        all
    }

    fn segment(dir: &TempDir, first: u64, content: &[u8]) {
        fs::write(dir.path().join(format!("journal-{first:020}.otj")), content).unwrap();
    }

    /// The sequences that are visited, `most` of them at most, and why it ended.
    fn visited(dir: &TempDir, before: Option<u64>, budget: Budget, most: usize) -> (Vec<u64>, Ended) {
        let mut seen = Vec::new();
        let ended = backwards(dir.path(), before, budget, &mut |payload| {
            seen.push(sequence(payload).unwrap());
            if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (seen, ended.unwrap())
    }

    fn down(from: u64, to: u64) -> Vec<u64> {
        (to..=from).rev().collect()
    }

    #[test]
    fn every_record_is_visited_once_newest_first_wherever_blocks_end() {
        let dir = TempDir::new().unwrap();
        assert_eq!(visited(&dir, None, AMPLE, 9), (vec![], Ended::AtTheBeginning));
        // Three blocks and a bit, of frames that fit into a block in no whole number; then a small segment, and an empty one.
        segment(&dir, 1, &frames(1..331, 10_000));
        segment(&dir, 331, &frames(331..340, 10));
        segment(&dir, 340, &[]);
        assert_eq!(visited(&dir, None, AMPLE, 999), (down(339, 1), Ended::AtTheBeginning));
        for before in [1, 2, 100, 200, 330, 331, 332, 339] {
            assert_eq!(visited(&dir, Some(before), AMPLE, 999).0, down(before - 1, 1), "{before}");
        }
        assert_eq!(visited(&dir, Some(u64::MAX), AMPLE, 3), (down(339, 337), Ended::Enough));
        assert_eq!(visited(&dir, Some(200), AMPLE, 3), (down(199, 197), Ended::Enough));
    }

    #[test]
    fn with_the_smallest_budget_one_comes_to_the_beginning_all_the_same() {
        let dir = TempDir::new().unwrap();
        segment(&dir, 1, &frames(1..331, 10_000));
        segment(&dir, 331, &frames(331..340, 10));
        for budget in [Budget { bytes: 0, ..AMPLE }, Budget { time: Duration::ZERO, ..AMPLE }] {
            let (mut all, mut before, mut parts) = (Vec::new(), None, 0);
            loop {
                let (seen, ended) = visited(&dir, before, budget, 999);
                all.extend(seen);
                parts += 1;
                match ended {
                    Ended::Bounded(next) => before = Some(next),
                    other => break assert_eq!(other, Ended::AtTheBeginning),
                }
            }
            assert_eq!(all, down(339, 1));
            assert!(parts >= 4, "{parts}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let dir = TempDir::new().unwrap();
        let mut content = frames(1..331, 10_000);
        let (length, middle) = (content.len(), content.len() / 2);
        // A hole longer than a block, garbage in front, and a write that was cut off.
        content[middle..middle + 1_200_000].fill(0xff);
        content[..20].fill(0xff);
        content.truncate(length - 5);
        segment(&dir, 1, &content);
        let (seen, ended) = visited(&dir, None, AMPLE, 999);
        assert_eq!(ended, Ended::AtTheBeginning);
        assert!(seen.is_sorted_by(|a, b| a > b) && seen.len() > 200, "{seen:?}");
        assert_eq!((seen[0], *seen.last().unwrap()), (329, 2));
    }
}
