//! Evidence bundles beside the journal: kept once and for good, past `fsync`, by names that say what is in them.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use evidence::{Bundle, BundleName, Expected, MAX_BYTES};
use rustix::fs::{FallocateFlags, fallocate};
use thiserror::Error;

/// Where they are, below the journal's directory.
const DIRECTORY: &str = "evidence";
/// A bundle on its way to the disk. No bundle has such a name.
const PARTIAL: &str = "partial";
/// Room that is given up for a bundle when the disk is full: the journal must not have taken everything by then.
const RESERVE: &str = "reserve";
/// Of the disk's size at most this part is held back.
const RESERVED_PART: u64 = 64;

/// The kept bundles.
#[derive(Debug)]
pub struct Shelf {
    dir: PathBuf,
    /// Held by who writes.
    writing: Mutex<()>,
}

/// What became of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk now.
    Now,
    /// It was already.
    Before,
    /// There is another one of this incident and sequence already, and there can be one only.
    Other(BundleName),
}

/// Why a bundle was not kept.
#[derive(Debug, Error)]
pub enum KeepError {
    /// It is no whole bundle, or not the one of this name. The text names nothing that is in it.
    #[error("not the bundle that its name says: {0}")]
    NotThatBundle(String),
    /// The disk has no room for it, the reserve included.
    #[error("evidence's disk is full")]
    Full,
    /// The disk failed.
    #[error("evidence's disk failed")]
    Disk(#[source] io::Error),
}

impl Shelf {
    /// The shelf of the journal in `journal`, made if absent.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(journal: &Path) -> io::Result<Self> {
        let shelf = Self::of(journal);
        fs::create_dir_all(&shelf.dir)?;
        File::open(journal)?.sync_all()?;
        shelf.reserve();
        Ok(shelf)
    }

    /// The same for who only reads.
    #[must_use]
    pub fn of(journal: &Path) -> Self {
        Self { dir: journal.join(DIRECTORY), writing: Mutex::default() }
    }

    /// The names of all bundles, those of an incident in the order of their sequence.
    ///
    /// # Errors
    /// What the disk says; a shelf that was never made is empty.
    pub fn names(&self) -> io::Result<Vec<BundleName>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().to_str().and_then(|name| name.parse::<BundleName>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// A bundle's bytes; `None` where it is not kept.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, name: &BundleName) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name.to_string())) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a bundle. Blocks on the disk.
    ///
    /// # Errors
    /// [`KeepError`]; nothing was kept then.
    pub fn keep(&self, name: &BundleName, tar: &[u8]) -> Result<Kept, KeepError> {
        check(name, tar)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.names().map_err(KeepError::Disk)?;
        if names.contains(name) {
            return Ok(Kept::Before);
        }
        if let Some(other) = names.into_iter().find(|other| other.is_of_the_same_sequence(name)) {
            return Ok(Kept::Other(other));
        }
        let written = match self.write(name, tar) {
            Err(error) if is_full(&error) => {
                // Gone or never there: then there is no more room than before.
                let _ = fs::remove_file(self.dir.join(RESERVE));
                self.write(name, tar)
            }
            written => written,
        };
        if written.is_err() {
            let _ = fs::remove_file(self.dir.join(PARTIAL));
        }
        self.reserve();
        match written {
            Ok(()) => Ok(Kept::Now),
            Err(error) if is_full(&error) => Err(KeepError::Full),
            Err(error) => Err(KeepError::Disk(error)),
        }
    }

    fn write(&self, name: &BundleName, tar: &[u8]) -> io::Result<()> {
        let partial = self.dir.join(PARTIAL);
        let mut file = File::create(&partial)?;
        file.write_all(tar)?;
        file.sync_all()?;
        fs::rename(&partial, self.dir.join(name.to_string()))?;
        File::open(&self.dir)?.sync_all()
    }

    /// Holds room back, as far as there is some.
    fn reserve(&self) {
        let path = self.dir.join(RESERVE);
        let reserved = || -> io::Result<()> {
            let disk = rustix::fs::statvfs(&self.dir)?;
            let bytes = (disk.f_blocks * disk.f_frsize / RESERVED_PART).min(MAX_BYTES as u64);
            if bytes == 0 || fs::metadata(&path).is_ok_and(|meta| meta.len() == bytes) {
                return Ok(());
            }
            let file = File::create(&path)?;
            Ok(fallocate(&file, FallocateFlags::empty(), 0, bytes)?)
        };
        if let Err(error) = reserved() {
            let _ = fs::remove_file(&path);
            tracing::warn!(%error, "no room is held back for evidence: the disk is full, or does not do that");
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Only what is whole is kept, and under its own name. Whose key it is, is for readers to say.
fn check(name: &BundleName, tar: &[u8]) -> Result<(), KeepError> {
    let not = |why: String| KeepError::NotThatBundle(why);
    let bundle = Bundle::read_tar(tar).map_err(|_| not("it cannot be read".to_owned()))?;
    let report = bundle.verify(&Expected { digest: Some(&name.digest), ..Expected::default() });
    if !report.is_whole() {
        return Err(not(format!("{} faults", report.faults.len())));
    }
    let is_it = report.manifest.is_some_and(|manifest| BundleName::of(&manifest, &report.digest) == *name);
    if is_it { Ok(()) } else { Err(not("another incident or sequence".to_owned())) }
}
