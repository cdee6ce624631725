//! What a journal asks of a disk, so that a test can be one that fails.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// A segment open for appending.
pub(super) trait Segment: Send {
    /// Appends at the end; on an error any part of `bytes` may have been.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// Shortens the file and makes that survive.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Segment for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.metadata()?.len() < length {
            // Setting the length would fill the hole with zeroes and hide that acknowledged records are gone.
            return Err(io::Error::other("segment is shorter than what was stored in it"));
        }
        self.set_len(length)?;
        self.sync_all()
    }
}

pub(super) type Open = dyn FnMut(&Path) -> io::Result<Box<dyn Segment>> + Send;

/// The directory the segments are in.
pub(super) struct Disk {
    /// Opens a segment, making it if absent.
    pub open: Box<Open>,
    /// A segment that a write would make longer than this is followed by a new one.
    pub segment_bytes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            // Else a new file's name may be lost with the power, and the file with it.
            if let Some(dir) = path.parent() {
                File::open(dir)?.sync_all()?;
            }
            Ok(Box::new(file) as Box<dyn Segment>)
        };
        Self { open: Box::new(open), segment_bytes: 64 * 1024 * 1024 }
    }
}
