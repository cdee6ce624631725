//! A copy of logs that anybody can check: plain files of c2sp.org/tlog-tiles, a directory for each log.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use audit::log::{SignedCheckpoint, Store, bundles_of, entries, entries_path, forgotten, tiles_of};
use process::storage::{Storage, StorageError};
use serde::Serialize;
use thiserror::Error;

use crate::{
    Shard,
    log::{sync, write_once},
    place::{Place, note, text},
};

/// A log that was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// Its name.
    pub origin: String,
    /// Entries of its checkpoint.
    pub size: u64,
    /// Entries of the newest that was cosigned; 0 where there is none.
    pub witnessed: u64,
    /// Files that were written; the others were there from before.
    pub written: u64,
    /// Where it is.
    pub at: PathBuf,
}

/// Why logs were not copied.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A disk failed.
    #[error("{path} cannot be read or written")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// It is not there.
    #[error("there is no log {0} here")]
    Unknown(Shard),
    /// Part of a log is not there, or not as it should be: `audit verify` says what is wrong.
    #[error("log {shard} is not whole: {path}")]
    Incomplete {
        /// The log.
        shard: Shard,
        /// Under its prefix.
        path: String,
    },
    /// The place outside refused, or has something else under a name.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is a copy already, of another log or of what this one does not contain. Nothing of it is overwritten.
    #[error("{at} holds a copy that this log does not continue: {why}")]
    Contradicts {
        /// The copy.
        at: PathBuf,
        /// How so.
        why: String,
    },
}

/// Copies logs to below `to`, all if none is named. What is there from an earlier time stays and is not written again: the
/// copy is complete once its checkpoint is written, which comes last. `progress` is told how many files of a log are done, of
/// how many. Blocks on both disks.
///
/// # Errors
/// [`ExportError`]; what was copied before is of use, and the same call goes on from there.
pub fn export(
    place: &Place,
    to: &Path,
    shards: &[Shard],
    progress: &mut dyn FnMut(Shard, u64, u64),
) -> Result<Vec<Exported>, ExportError> {
    let chosen = chosen(place, shards)?.into_iter();
    chosen.map(|shard| one(&*place.store(shard), shard, &to.join(shard.to_string()), progress)).collect()
}

fn one(
    store: &dyn Store,
    shard: Shard,
    at: &Path,
    progress: &mut dyn FnMut(Shard, u64, u64),
) -> Result<Exported, ExportError> {
    let disk = |source| ExportError::Disk { path: at.to_owned(), source };
    let lacks = |path: &str| ExportError::Incomplete { shard, path: path.to_owned() };
    // First the older one: a checkpoint that is signed meanwhile covers it.
    let witnessed = note(store, "witnessed").map_err(disk)?;
    let newest = note(store, "checkpoint").map_err(disk)?.ok_or_else(|| lacks("checkpoint"))?;
    let key = text(store, "vkey").map_err(disk)?.ok_or_else(|| lacks("vkey"))?;
    continues(store, &newest, at)?;
    let size = newest.checkpoint().size;
    let of = (bundles_of(size).count() + tiles_of(size).count()) as u64;
    let (mut done, mut written) = (0, 0);
    let mut copy = |path: String, is_right: &dyn Fn(&[u8]) -> bool| {
        let file = at.join(&path);
        // A file of a power failure can have its name and not its content.
        if !fs::read(&file).is_ok_and(|there| is_right(&there)) {
            let bytes = store.read(&path).map_err(disk)?.filter(|bytes| is_right(bytes)).ok_or_else(|| lacks(&path))?;
            write_once(&file, &bytes).map_err(|source| ExportError::Disk { path: file, source })?;
            written += 1;
        }
        done += 1;
        progress(shard, done, of);
        Ok::<_, ExportError>(())
    };
    for (bundle, width) in bundles_of(size) {
        let whole = |bytes: &[u8]| entries(bytes).is_ok_and(|entries| entries.len() == usize::from(width));
        copy(entries_path(bundle, width), &whole)?;
    }
    for tile in tiles_of(size) {
        copy(tile.path(), &|bytes| bytes.len() == usize::from(tile.width) * 32)?;
    }
    fs::create_dir_all(at).map_err(disk)?;
    sync(at).map_err(disk)?;
    let small = |name: &str, content: &str| {
        let path = at.join(name);
        write_once(&path, content.as_bytes()).map_err(|source| ExportError::Disk { path, source })
    };
    small("vkey", &key)?;
    small("checkpoint", newest.text())?;
    // One that is newer than what was copied is for the next time.
    let witnessed = witnessed.filter(|note| note.checkpoint().size <= size);
    if let Some(note) = &witnessed {
        small("witnessed", note.text())?;
    }
    sync(at).map_err(disk)?;
    let origin = newest.checkpoint().origin.clone();
    let witnessed = witnessed.map_or(0, |note| note.checkpoint().size);
    Ok(Exported { origin, size, witnessed, written, at: at.to_owned() })
}

/// The same files as one tar archive, for who reaches the disk by a pipe alone: `checkpoint` of each log behind what it is
/// about. Blocks on the disk.
///
/// # Errors
/// [`ExportError`]; what was written until then is no whole archive.
pub fn archive(
    place: &Place,
    to: &mut dyn io::Write,
    shards: &[Shard],
    progress: &mut dyn FnMut(Shard, u64, u64),
) -> Result<(), ExportError> {
    let disk = |source| ExportError::Disk { path: PathBuf::from("-"), source };
    let mut archive = tar::Builder::new(to);
    for whole in wanted(place, shards)? {
        let mut put = |path: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("{}/{path}", whole.shard), content).map_err(disk)
        };
        for (done, path) in whole.fixed.iter().enumerate() {
            put(path, &whole.read(path)?)?;
            progress(whole.shard, done as u64 + 1, whole.fixed.len() as u64);
        }
        whole.last.iter().try_for_each(|(name, content)| put(name, content.as_bytes()))?;
    }
    archive.finish().map_err(disk)
}

/// The same files to a place outside: those that never change once and overwriting nothing, `checkpoint` last and in the place of an
/// older one.
///
/// # Errors
/// [`ExportError`]; what was put before is of use, and the same call goes on from there.
pub async fn upload(
    place: &Place,
    storage: &Storage,
    shards: &[Shard],
    progress: &mut dyn FnMut(Shard, u64, u64),
) -> Result<(), ExportError> {
    for whole in wanted(place, shards)? {
        let at = |path: &str| format!("{}/{path}", whole.shard);
        for (done, path) in whole.fixed.iter().enumerate() {
            storage.put_new(&at(path), &whole.read(path)?).await?;
            progress(whole.shard, done as u64 + 1, whole.fixed.len() as u64);
        }
        for (name, content) in &whole.last {
            match *name {
                "vkey" => storage.put_new(&at(name), content.as_bytes()).await?,
                _ => storage.put(&at(name), content.as_bytes()).await?,
            }
        }
    }
    Ok(())
}

/// The files of one log.
struct Whole {
    shard: Shard,
    store: Box<dyn Store>,
    /// Those that never change.
    fixed: Vec<String>,
    /// Names and contents of the others, `checkpoint` last.
    last: Vec<(&'static str, String)>,
}

impl Whole {
    fn read(&self, path: &str) -> Result<Vec<u8>, ExportError> {
        let disk = |source| ExportError::Disk { path: PathBuf::from(path), source };
        let lacks = || ExportError::Incomplete { shard: self.shard, path: path.to_owned() };
        self.store.read(path).map_err(disk)?.ok_or_else(lacks)
    }
}

fn wanted(place: &Place, shards: &[Shard]) -> Result<Vec<Whole>, ExportError> {
    chosen(place, shards)?.into_iter().map(|shard| files(place, shard)).collect()
}

/// Those of the shards that are there, in their order; all if none is named.
fn chosen(place: &Place, shards: &[Shard]) -> Result<Vec<Shard>, ExportError> {
    let all = place.shards();
    if let Some(unknown) = shards.iter().find(|shard| !all.contains(shard)) {
        return Err(ExportError::Unknown(*unknown));
    }
    Ok(all.iter().filter(|shard| shards.is_empty() || shards.contains(shard)).copied().collect())
}

fn files(place: &Place, shard: Shard) -> Result<Whole, ExportError> {
    let store = place.store(shard);
    let disk = |source| ExportError::Disk { path: PathBuf::from(shard.to_string()), source };
    let lacks = |path: &str| ExportError::Incomplete { shard, path: path.to_owned() };
    // First the older one: a checkpoint that is signed meanwhile covers it.
    let witnessed = note(&*store, "witnessed").map_err(disk)?;
    let newest = note(&*store, "checkpoint").map_err(disk)?.ok_or_else(|| lacks("checkpoint"))?;
    let key = text(&*store, "vkey").map_err(disk)?.ok_or_else(|| lacks("vkey"))?;
    let size = newest.checkpoint().size;
    let bundles = bundles_of(size).map(|(bundle, width)| entries_path(bundle, width));
    let fixed = bundles.chain(tiles_of(size).map(|tile| tile.path())).collect();
    let mut last = vec![("vkey", key)];
    last.extend(
        witnessed.filter(|note| note.checkpoint().size <= size).map(|note| ("witnessed", note.text().to_owned())),
    );
    last.push(("checkpoint", newest.text().to_owned()));
    Ok(Whole { shard, store, fixed, last })
}

/// Whether what was copied before is contained in this log. Two that contradict each other are evidence, which one must not
/// lose by copying once more.
fn continues(store: &dyn Store, newest: &SignedCheckpoint, at: &Path) -> Result<(), ExportError> {
    for name in ["checkpoint", "witnessed"] {
        let path = at.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ExportError::Disk { path, source }),
        };
        let contradicts = |why: String| ExportError::Contradicts { at: at.to_owned(), why };
        let before = SignedCheckpoint::parse(&text).map_err(|error| contradicts(error.to_string()))?;
        if let Some(flaw) = forgotten(store, before.checkpoint(), newest.checkpoint()) {
            return Err(contradicts(flaw.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        log::testing::{T0, grow, segment},
        verify::{Expected, Part, Verdict, verify},
    };

    fn copy(from: &TempDir, to: &TempDir) -> Result<Vec<Exported>, ExportError> {
        export(&Place::open(from.path()).unwrap(), to.path(), &[], &mut |_, _, _| {})
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
        }
        all.sort();
        all
    }

    #[test]
    fn an_archive_has_the_files_of_a_copy() {
        let (from, to, unpacked) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        segment(from.path(), 1..601, T0);
        grow(from.path(), 601, Vec::new());
        copy(&from, &to).unwrap();
        let mut bytes = Vec::new();
        archive(&Place::open(from.path()).unwrap(), &mut bytes, &[], &mut |_, _, _| {}).unwrap();
        tar::Archive::new(&bytes[..]).unpack(unpacked.path()).unwrap();
        let relative = |dir: &TempDir| -> Vec<(PathBuf, Vec<u8>)> {
            let all = files(dir.path()).into_iter();
            all.map(|path| (path.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(path).unwrap())).collect()
        };
        assert_eq!(relative(&unpacked), relative(&to));
    }

    #[test]
    fn a_copy_is_plain_whole_and_goes_on_where_it_ended() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        segment(from.path(), 1..601, T0);
        grow(from.path(), 601, Vec::new());
        let all = copy(&from, &to).unwrap();
        assert_eq!((all.len(), all[0].size, &*all[0].origin), (1, 601, "audit.c/recorder-0/2026q4"));
        let log = to.path().join("2026q4");
        let names: Vec<_> = files(&log).iter().map(|it| it.strip_prefix(&log).unwrap().display().to_string()).collect();
        let expected = [
            "checkpoint",
            "tile/0/000",
            "tile/0/001",
            "tile/0/002.p/89",
            "tile/1/000.p/2",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002.p/89",
            "vkey",
        ];
        assert_eq!(names, expected, "no key that signs, nothing compressed");
        assert_eq!(all[0].written, 7);
        let report = verify(
            &Place::open(to.path()).unwrap(),
            &Expected { now: Timestamp::UNIX_EPOCH, ..Expected::default() },
            &Part::default(),
            &mut |_, _, _| {},
        );
        assert_eq!(report.unwrap().verdict(), Verdict::Alone);

        assert_eq!(copy(&from, &to).unwrap()[0].written, 0);
        fs::write(log.join("tile/0/001"), "cut").unwrap();
        fs::remove_file(log.join("tile/entries/000")).unwrap();
        assert_eq!(copy(&from, &to).unwrap()[0].written, 2);

        segment(from.path(), 601..651, T0);
        grow(from.path(), 651, Vec::new());
        let again = copy(&from, &to).unwrap();
        assert_eq!((again[0].size, again[0].written), (651, 2), "a partial bundle and its tile");
    }

    #[test]
    fn a_copy_of_what_the_log_does_not_contain_is_not_overwritten() {
        let (from, to, other) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        segment(from.path(), 1..401, T0);
        grow(from.path(), 401, Vec::new());
        copy(&from, &to).unwrap();
        let kept = fs::read(to.path().join("2026q4/checkpoint")).unwrap();
        segment(other.path(), 1..301, T0);
        grow(other.path(), 301, Vec::new());
        assert!(matches!(copy(&other, &to), Err(ExportError::Contradicts { .. })));
        assert_eq!(fs::read(to.path().join("2026q4/checkpoint")).unwrap(), kept);
    }

    #[test]
    fn a_log_that_is_not_whole_gives_no_checkpoint() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        segment(from.path(), 1..601, T0);
        grow(from.path(), 601, Vec::new());
        let place = Place::open(from.path()).unwrap();
        fs::remove_file(from.path().join("log/2026q4/tile/entries/001.gz")).unwrap();
        let failed = export(&place, to.path(), &[], &mut |_, _, _| {});
        assert!(matches!(failed, Err(ExportError::Incomplete { path, .. }) if path == "tile/entries/001"));
        assert!(!to.path().join("2026q4/checkpoint").exists());
        let unknown = export(&place, to.path(), &["2026q3".parse().unwrap()], &mut |_, _, _| {});
        assert!(matches!(unknown, Err(ExportError::Unknown(_))));
    }
}
