//! Logs back from where they were copied to, as a directory that can be verified. In a bucket that keeps versions nothing that was put
//! over a file, or deleted it, counts: of what never changes the first version is taken, of checkpoints the largest that the log
//! signed. What was found over them is told.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use audit::{
    Name,
    log::{MAX_FILE_BYTES, SignedCheckpoint, Tile, VerifyingKey, parse_entries_path},
    wire::logs::MAX_NOTE_BYTES,
};
use futures::{StreamExt, TryStreamExt, stream};
use process::storage::{Storage, StorageError, Stored, Version};
use serde::Serialize;
use thiserror::Error;

use crate::{
    Shard,
    log::{DIRECTORY, sync, write_once},
};

/// Files that are asked for at once.
const AT_ONCE: usize = 16;
/// What a log has that changes; everything else is put once.
const CHANGING: [&str; 2] = ["checkpoint", "witnessed"];
/// The key that a log signs with.
const KEY: &str = "vkey";

/// What was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// Files that were there.
    pub files: u64,
    /// What somebody did to them.
    pub tampered: Vec<Tampered>,
}

/// A file that somebody else than a recorder wrote to, or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tampered {
    /// Its name below the place.
    pub file: String,
    /// What was done.
    pub what: What,
}

/// What somebody did to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// It never changes, and has versions that do not agree.
    #[error("something else was put over it; its first version is used")]
    Overwritten,
    /// It was deleted.
    #[error("it was deleted; a version from before is used")]
    Deleted,
    /// The newest of its versions is not the largest checkpoint.
    #[error("an older checkpoint, or none of the log's, was put over it; the largest that the log signed is used")]
    PutBack,
    /// Recorders put nothing of that name or length there.
    #[error("it is no file of a log and stays where it is")]
    Foreign,
}

/// Why nothing more was fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The place.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The disk.
    #[error("{path} cannot be written")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Fetches everything that is in a place to below `to`. What never changes and is there already is not fetched again.
/// `progress` is told how many files are done, of how many.
///
/// # Errors
/// [`FetchError`]; what was fetched before is of use, and the same call goes on from there.
pub async fn fetch(storage: &Storage, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Fetched, FetchError> {
    let all = storage.list("").await?;
    let of = all.len() as u64;
    let mut tampered = Vec::new();
    let mut done = 0;
    // What changes comes last: whoever finds a checkpoint finds what it is about.
    let (changing, fixed): (Vec<_>, Vec<_>) = all.iter().partition(|stored| changes(&stored.name));
    for part in [fixed, changing] {
        let mut fetched =
            stream::iter(part.into_iter().map(|stored| one(storage, stored, to))).buffer_unordered(AT_ONCE);
        while let Some(found) = fetched.try_next().await? {
            tampered.extend(found);
            done += 1;
            progress(done, of);
        }
    }
    tampered.sort_unstable_by(|one, other| one.file.cmp(&other.file));
    if of > 0 {
        sync(to).map_err(|source| FetchError::Disk { path: to.to_owned(), source })?;
    }
    Ok(Fetched { files: of, tampered })
}

fn changes(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| CHANGING.contains(&file))
}

/// Whether recorders put files of this name: `[<pod>/]<shard>/…` with what a log has. No other may be taken for one, nor keep these
/// from being fetched.
fn is_of_a_log(name: &str) -> bool {
    let file = match name.split_once('/') {
        Some((shard, file)) if shard.parse::<Shard>().is_ok() => file,
        Some((pod, rest)) if pod != DIRECTORY && Name::parse(pod).is_ok() => match rest.split_once('/') {
            Some((shard, file)) if shard.parse::<Shard>().is_ok() => file,
            _ => return false,
        },
        _ => return false,
    };
    file == KEY || CHANGING.contains(&file) || Tile::parse(file).is_ok() || parse_entries_path(file).is_ok()
}

async fn one(storage: &Storage, stored: &Stored, to: &Path) -> Result<Option<Tampered>, FetchError> {
    let tampered = |what| Some(Tampered { file: stored.name.clone(), what });
    if !is_of_a_log(&stored.name) {
        return Ok(tampered(What::Foreign));
    }
    let path = to.join(&stored.name);
    let found = if changes(&stored.name) {
        largest(storage, stored, &path).await
    } else if stored.hidden().is_none() && fs::exists(&path).unwrap_or_default() {
        return Ok(None);
    } else {
        first(storage, stored).await
    };
    let (content, found) = match found {
        Ok(found) => found,
        Err(StorageError::TooLong(_)) => return Ok(tampered(What::Foreign)),
        Err(error) => return Err(error.into()),
    };
    write_once(&path, &content).map_err(|source| FetchError::Disk { path, source })?;
    Ok(found.and_then(tampered))
}

/// The first version of what never changes: what was put over it since the place was listed is no more believed than what was before.
async fn first(storage: &Storage, stored: &Stored) -> Result<(Vec<u8>, Option<What>), StorageError> {
    let content = storage.get(&stored.name, stored.first(), MAX_FILE_BYTES).await?;
    let found = match stored.hidden() {
        Some(_) if stored.is_deleted => Some(What::Deleted),
        Some(_) => overwritten(storage, stored, &content).await?,
        None => None,
    };
    Ok((content, found))
}

/// Whether a later version is another content, which tags alone do not tell where a bucket encrypts.
async fn overwritten(storage: &Storage, stored: &Stored, first: &[u8]) -> Result<Option<What>, StorageError> {
    for version in stored.versions.iter().skip(1) {
        match storage.get(&stored.name, Some(version), first.len() as u64).await {
            Ok(content) if content == first => {}
            Ok(_) | Err(StorageError::TooLong(_)) => return Ok(Some(What::Overwritten)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The largest checkpoint that the log signed, of all versions and of what was fetched to `path` before; of some of one size the
/// first.
async fn largest(storage: &Storage, stored: &Stored, path: &Path) -> Result<(Vec<u8>, Option<What>), StorageError> {
    // Fetched before this, or kept from an earlier time.
    let key =
        fs::read_to_string(path.with_file_name(KEY)).ok().and_then(|text| text.trim().parse::<VerifyingKey>().ok());
    let size = |content: &[u8]| {
        let note = SignedCheckpoint::parse(std::str::from_utf8(content).ok()?).ok()?;
        let is_signed = key.as_ref().is_some_and(|key| note.verify(key).is_ok());
        is_signed.then(|| note.checkpoint().size)
    };
    let versions: Vec<Option<&Version>> = match stored.first() {
        Some(_) => stored.versions.iter().map(Some).collect(),
        None => vec![None],
    };
    let mut largest = fs::read(path).ok().and_then(|before| Some((size(&before)?, before)));
    let mut newest = Vec::new();
    let get = |version| async move {
        match storage.get(&stored.name, version, MAX_NOTE_BYTES as u64).await {
            // None of the log's.
            Err(StorageError::TooLong(_)) => Ok(Vec::new()),
            other => other,
        }
    };
    let mut contents = stream::iter(versions.into_iter().map(get)).buffered(AT_ONCE);
    while let Some(content) = contents.try_next().await? {
        if let Some(size) = size(&content)
            && largest.as_ref().is_none_or(|(most, _)| size > *most)
        {
            largest = Some((size, content.clone()));
        }
        newest = content;
    }
    // One that the log did not sign is for the verification to refuse.
    let Some((_, content)) = largest else { return Ok((newest, None)) };
    let found = match () {
        () if stored.is_deleted => Some(What::Deleted),
        () => (newest != content).then_some(What::PutBack),
    };
    Ok((content, found))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        Place,
        export::upload,
        log::testing::{T0, grow, segment},
    };

    #[tokio::test]
    async fn what_was_uploaded_comes_back_as_it_was() {
        let (from, outside, to) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        segment(from.path(), 1..601, T0);
        grow(from.path(), 601, Vec::new());
        let url = process::storage::parse(&format!("file://{}/copy", outside.path().display())).unwrap();
        let storage = Storage::open(&url).unwrap();
        let place = Place::open(from.path()).unwrap();
        upload(&place, &storage, &[], &mut |_, _, _| {}).await.unwrap();
        let mut told = (0, 0);
        let fetched = fetch(&storage, to.path(), &mut |done, of| told = (done, of)).await.unwrap();
        assert_eq!((fetched.files, fetched.tampered.len(), told), (9, 0, (9, 9)));
        let same = |file: &str| {
            let [there, here] = [outside.path().join("copy").join(file), to.path().join(file)].map(fs::read);
            assert_eq!(there.unwrap(), here.unwrap(), "{file}");
        };
        let files = ["2026q4/checkpoint", "2026q4/vkey", "2026q4/tile/entries/002.p/89", "2026q4/tile/1/000.p/2"];
        files.into_iter().for_each(same);
        // What never changes is not fetched again; what was lost is.
        fs::write(to.path().join("2026q4/tile/0/000"), "kept").unwrap();
        fs::remove_file(to.path().join("2026q4/tile/0/001")).unwrap();
        fetch(&storage, to.path(), &mut |_, _| {}).await.unwrap();
        assert_eq!(fs::read(to.path().join("2026q4/tile/0/000")).unwrap(), b"kept");
        same("2026q4/tile/0/001");
    }

    #[tokio::test]
    async fn a_checkpoint_that_was_put_back_does_not_undo_what_was_fetched() {
        let (from, outside, to) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        let url = process::storage::parse(&format!("file://{}", outside.path().display())).unwrap();
        let storage = Storage::open(&url).unwrap();
        let checkpoint = outside.path().join("2026q4/checkpoint");
        let mut older = Vec::new();
        for end in [301, 601] {
            segment(from.path(), if end == 301 { 1..301 } else { 301..601 }, T0);
            grow(from.path(), end, Vec::new());
            upload(&Place::open(from.path()).unwrap(), &storage, &[], &mut |_, _, _| {}).await.unwrap();
            older.push(fs::read(&checkpoint).unwrap());
        }
        fetch(&storage, to.path(), &mut |_, _| {}).await.unwrap();
        for wrong in [&older[0][..], b"no checkpoint"] {
            fs::write(&checkpoint, wrong).unwrap();
            let fetched = fetch(&storage, to.path(), &mut |_, _| {}).await.unwrap();
            let put_back = Tampered { file: "2026q4/checkpoint".to_owned(), what: What::PutBack };
            assert_eq!(fetched.tampered, [put_back]);
            assert_eq!(fs::read(to.path().join("2026q4/checkpoint")).unwrap(), older[1]);
        }
    }

    #[tokio::test]
    async fn what_is_no_file_of_a_log_is_named_and_left_where_it_is() {
        let (outside, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let url = process::storage::parse(&format!("file://{}", outside.path().display())).unwrap();
        let foreign =
            ["log/2026q4/vkey", "pod/log/2026q4/vkey", "pod/2026q4/key", "pod/x/vkey", "2026q4/checkpoint.d/x", "vkey"];
        for name in foreign.into_iter().chain(["pod/2026q4/vkey", "2026q3/tile/0/000"]) {
            let path = outside.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let huge = fs::File::create(outside.path().join("2026q3/tile/0/001")).unwrap();
        huge.set_len(1 << 33).unwrap();
        let fetched = fetch(&Storage::open(&url).unwrap(), to.path(), &mut |_, _| {}).await.unwrap();
        let mut named: Vec<_> = fetched.tampered.iter().map(|it| (it.what, &*it.file)).collect();
        named.sort_unstable_by_key(|(_, file)| *file);
        let mut expected: Vec<_> = foreign.into_iter().chain(["2026q3/tile/0/001"]).collect();
        expected.sort_unstable();
        assert_eq!(named, expected.into_iter().map(|file| (What::Foreign, file)).collect::<Vec<_>>());
        assert!(to.path().join("pod/2026q4/vkey").exists() && to.path().join("2026q3/tile/0/000").exists());
        assert!(!to.path().join("log").exists() && !to.path().join("pod/log").exists());
        for name in ["a/../b", "../2026q4/vkey", "2026q4//vkey", "/2026q4/vkey", "2026q4/", "", "pod/2026q4/tile/0/1"] {
            assert!(!is_of_a_log(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_key_that_was_put_over_the_logs_own_does_not_undo_what_was_fetched() {
        let (from, other, outside, to) =
            (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        let url = process::storage::parse(&format!("file://{}", outside.path().display())).unwrap();
        let storage = Storage::open(&url).unwrap();
        segment(from.path(), 1..301, T0);
        grow(from.path(), 301, Vec::new());
        upload(&Place::open(from.path()).unwrap(), &storage, &[], &mut |_, _, _| {}).await.unwrap();
        fetch(&storage, to.path(), &mut |_, _| {}).await.unwrap();
        let kept = ["vkey", "checkpoint"].map(|file| fs::read(to.path().join("2026q4").join(file)).unwrap());
        segment(other.path(), 1..401, T0);
        grow(other.path(), 401, Vec::new());
        for file in ["vkey", "checkpoint"] {
            fs::copy(other.path().join("log/2026q4").join(file), outside.path().join("2026q4").join(file)).unwrap();
        }
        let fetched = fetch(&storage, to.path(), &mut |_, _| {}).await.unwrap();
        assert_eq!(fetched.tampered.iter().map(|it| it.what).collect::<Vec<_>>(), [What::PutBack]);
        assert_eq!(["vkey", "checkpoint"].map(|file| fs::read(to.path().join("2026q4").join(file)).unwrap()), kept);
    }

    #[tokio::test]
    async fn an_empty_place_is_no_error() {
        let (outside, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let url = process::storage::parse(&format!("file://{}", outside.path().display())).unwrap();
        let fetched = fetch(&Storage::open(&url).unwrap(), &to.path().join("none"), &mut |_, _| {}).await.unwrap();
        assert_eq!(fetched, Fetched::default());
    }
}
