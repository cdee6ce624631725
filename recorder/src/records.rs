//! Records in their order, wherever they are: in the bundles of logs, and from the journal those that fill no bundle yet.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use audit::log::{Directory, Store, TILE_WIDTH, entries, entries_path};

use crate::{
    frame::{Piece, Pieces},
    journal::segments,
    log::{Stamp, shards},
};

/// A part of the record.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record.
    Record(Stamp, Vec<u8>),
    /// Bytes that hold none.
    Unreadable {
        /// Where.
        file: PathBuf,
        /// From where in it.
        offset: u64,
        /// How many.
        bytes: u64,
    },
}

/// The full bundles of a shard, and the last one of a closed shard.
#[derive(Clone, Debug)]
pub(crate) struct Bundled {
    pub(crate) dir: PathBuf,
    /// The number of the record that is leaf 1; leaf 0 is none.
    pub(crate) first: u64,
    /// Leaves.
    pub(crate) size: u64,
    /// Of each bundle the earliest and the latest time of its records.
    times: Vec<(i64, i64)>,
}

impl Bundled {
    /// Those of `root`, oldest first.
    pub(crate) fn all(root: &Path) -> io::Result<Vec<Self>> {
        shards(root)?.into_iter().filter_map(|(_, dir)| Self::of(dir).transpose()).collect()
    }

    /// `None` where it was deleted meanwhile.
    fn of(dir: PathBuf) -> io::Result<Option<Self>> {
        let Some((first, closed)) = crate::log::begins(&dir)? else { return Ok(None) };
        let times = crate::log::times(&dir)?;
        let size = closed.unwrap_or(times.len() as u64 * TILE_WIDTH);
        Ok(Some(Self { dir, first, size, times }))
    }

    /// The number behind its last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.size.saturating_sub(1)
    }

    /// How many bundles.
    pub(crate) fn count(&self) -> u64 {
        self.size.div_ceil(TILE_WIDTH)
    }

    /// The bundle that a record is in.
    pub(crate) fn bundle_of(&self, sequence: u64) -> u64 {
        (sequence - self.first + 1) / TILE_WIDTH
    }

    /// The earliest and latest time of a bundle's records, where that is known.
    pub(crate) fn times(&self, bundle: u64) -> Option<(i64, i64)> {
        self.times.get(usize::try_from(bundle).ok()?).copied()
    }

    /// Whether a bundle may have records of these times, in milliseconds since 1970.
    pub(crate) fn is_within(&self, bundle: u64, times: &Range<i64>) -> bool {
        self.times(bundle).is_none_or(|(from, to)| to >= times.start && from < times.end)
    }

    /// A bundle's bytes, and the file they are in.
    pub(crate) fn content(&self, bundle: u64) -> io::Result<(PathBuf, Vec<u8>)> {
        let width = TILE_WIDTH.min(self.size - bundle * TILE_WIDTH) as u16;
        let path = entries_path(bundle, width);
        let file = self.dir.join(&path);
        match Directory(self.dir.clone()).read(&path)? {
            Some(content) => Ok((file, content)),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is missing", file.display()))),
        }
    }

    /// The records of a bundle.
    pub(crate) fn records(&self, bundle: u64) -> io::Result<Vec<Found>> {
        let (file, content) = self.content(bundle)?;
        let unreadable = |offset, bytes| vec![Found::Unreadable { file: file.clone(), offset, bytes }];
        let Ok(entries) = entries(&content) else { return Ok(unreadable(0, content.len() as u64)) };
        let skipped = usize::from(bundle == 0);
        Ok(entries
            .into_iter()
            .skip(skipped)
            .flat_map(|entry| match Stamp::of(entry) {
                Some(stamp) => vec![Found::Record(stamp, entry.to_vec())],
                None => unreadable(0, entry.len() as u64),
            })
            .collect())
    }
}

/// Where to begin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct From {
    /// With this number, or later.
    pub(crate) sequence: u64,
    /// Parts that are older as a whole are left out, in milliseconds since 1970.
    pub(crate) time: i64,
}

/// Everything below `root` in order, each with the number that its part begins with. An incomplete end of the journal is left
/// out: it is being written, or was when the power failed. Blocks on the disk.
pub(crate) fn forward(root: &Path, from: From) -> io::Result<Forward> {
    let mut forward =
        Forward { root: root.to_owned(), from, parts: VecDeque::new(), ready: VecDeque::new(), segment: None };
    forward.plan()?;
    Ok(forward)
}

/// See [`forward`].
pub(crate) struct Forward {
    root: PathBuf,
    /// What is before it was given already.
    from: From,
    parts: VecDeque<Part>,
    ready: VecDeque<(u64, Found)>,
    segment: Option<Segment>,
}

enum Part {
    Bundles(Box<Bundled>, u64),
    Segment { first: u64, path: PathBuf, is_last: bool },
}

struct Segment {
    first: u64,
    path: PathBuf,
    is_last: bool,
    pieces: Pieces<File>,
}

impl Forward {
    /// What there is from where it is on. Bundles are listed after the journal, so that what leaves it is found in them.
    fn plan(&mut self) -> io::Result<()> {
        let segments = segments(&self.root)?;
        let bundled = Bundled::all(&self.root)?;
        let covered = bundled.iter().map(Bundled::end).max().unwrap_or(0).max(self.from.sequence);
        self.parts = bundled
            .into_iter()
            .filter(|shard| shard.end() > self.from.sequence && shard.count() > 0)
            .map(|shard| {
                let bundle = if self.from.sequence <= shard.first { 0 } else { shard.bundle_of(self.from.sequence) };
                Part::Bundles(Box::new(shard), bundle)
            })
            .collect();
        let last = segments.len().saturating_sub(1);
        let begin = segments.iter().rposition(|(first, _)| *first <= covered).unwrap_or(0);
        self.parts.extend(segments.into_iter().enumerate().skip(begin).map(|(index, (first, path))| Part::Segment {
            first,
            path,
            is_last: index == last,
        }));
        Ok(())
    }

    /// The next of what is ready, or of the next part.
    fn advance(&mut self) -> io::Result<Option<(u64, Found)>> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(Some(found));
            }
            if let Some(segment) = &mut self.segment {
                match segment.pieces.next().transpose()? {
                    Some(Piece::Unreadable { at_end: true, .. }) if segment.is_last => self.segment = None,
                    Some(piece) => return Ok(Some((segment.first, segment.found(piece)))),
                    None => self.segment = None,
                }
                continue;
            }
            match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Segment { first, path, is_last }) => match File::open(&path) {
                    Ok(file) => self.segment = Some(Segment { first, path, is_last, pieces: Pieces::new(file) }),
                    // It is in bundles by now.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !is_last => self.plan()?,
                    Err(error) => return Err(error),
                },
                Some(Part::Bundles(shard, bundle)) => {
                    let (first, is_old) = (shard.first, shard.times(bundle).is_some_and(|(_, to)| to < self.from.time));
                    if !is_old {
                        let part = if bundle == 0 { first } else { first + bundle * TILE_WIDTH - 1 };
                        self.ready.extend(shard.records(bundle)?.into_iter().map(|found| (part, found)));
                    } else {
                        self.from.sequence = self.from.sequence.max(first + (bundle + 1) * TILE_WIDTH - 1);
                    }
                    if bundle + 1 < shard.count() {
                        self.parts.push_front(Part::Bundles(shard, bundle + 1));
                    }
                }
            }
        }
    }
}

impl Iterator for Forward {
    type Item = io::Result<(u64, Found)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance().transpose()? {
                Ok((_, Found::Record(stamp, _))) if stamp.sequence < self.from.sequence => {}
                Ok((first, found)) => {
                    if let Found::Record(stamp, _) = &found {
                        self.from.sequence = stamp.sequence + 1;
                    }
                    return Some(Ok((first, found)));
                }
                Err(error) => {
                    // Once told, it is over.
                    self.parts.clear();
                    self.ready.clear();
                    self.segment = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Segment {
    fn found(&self, piece: Piece) -> Found {
        match piece {
            Piece::Frame { offset, payload } => match Stamp::of(&payload) {
                Some(stamp) => Found::Record(stamp, payload),
                None => Found::Unreadable { file: self.path.clone(), offset, bytes: 8 + payload.len() as u64 },
            },
            Piece::Unreadable { offset, bytes, .. } => Found::Unreadable { file: self.path.clone(), offset, bytes },
        }
    }
}
