//! Logs back from where they were copied to, as a directory that can be verified. In a bucket that keeps versions nothing that was put
//! over a file, or deleted it, counts: of what never changes the first version is taken, of checkpoints the largest that the log
//! signed. What was found over them is told.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use audit::log::{SignedCheckpoint, VerifyingKey};
use futures::{StreamExt, TryStreamExt, stream};
use process::storage::{Storage, StorageError, Stored, Version};
use serde::Serialize;
use thiserror::Error;

use crate::log::{sync, write_once};

/// Files that are asked for at once.
const AT_ONCE: usize = 16;
/// What a log has that changes; everything else is put once.
const CHANGING: [&str; 2] = ["checkpoint", "witnessed"];

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
    /// It never changes, and something else was put over it.
    #[error("something else was put over it; its first version is used")]
    Overwritten,
    /// It was deleted.
    #[error("it was deleted; a version from before is used")]
    Deleted,
    /// The newest of its versions is not the largest checkpoint.
    #[error("an older checkpoint, or none of the log's, was put over it; the largest that the log signed is used")]
    PutBack,
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
    /// A name that leads out of the directory.
    #[error("{0} is no name of a log's file")]
    Name(String),
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

async fn one(storage: &Storage, stored: &Stored, to: &Path) -> Result<Option<Tampered>, FetchError> {
    let relative = Path::new(&stored.name);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(FetchError::Name(stored.name.clone()));
    }
    let path = to.join(relative);
    let tampered = |what| Some(Tampered { file: stored.name.clone(), what });
    let (content, found) = if changes(&stored.name) {
        largest(storage, stored, fs::read(&path).ok()).await?
    } else if let Some(first) = stored.hidden() {
        let content = storage.get(&stored.name, Some(first)).await?;
        let found =
            if stored.is_deleted { Some(What::Deleted) } else { overwritten(storage, stored, &content).await? };
        (content, found)
    } else if fs::exists(&path).unwrap_or_default() {
        return Ok(None);
    } else {
        (storage.get(&stored.name, None).await?, None)
    };
    write_once(&path, &content).map_err(|source| FetchError::Disk { path, source })?;
    Ok(found.and_then(tampered))
}

/// Whether the newest version is another content, which its tag alone does not tell where a bucket encrypts.
async fn overwritten(storage: &Storage, stored: &Stored, first: &[u8]) -> Result<Option<What>, FetchError> {
    let newest = storage.get(&stored.name, stored.versions.last()).await?;
    Ok((newest != first).then_some(What::Overwritten))
}

/// The largest checkpoint that the log signed, of all versions and of what was fetched before.
async fn largest(
    storage: &Storage,
    stored: &Stored,
    before: Option<Vec<u8>>,
) -> Result<(Vec<u8>, Option<What>), FetchError> {
    let versions: Vec<Option<&Version>> = match &stored.versions[..] {
        [_, _, ..] => stored.versions.iter().map(Some).collect(),
        [only] if stored.is_deleted => vec![Some(only)],
        _ => vec![None],
    };
    let key = key(storage, stored).await?;
    let size = |content: &[u8]| {
        let note = SignedCheckpoint::parse(std::str::from_utf8(content).ok()?).ok()?;
        let is_signed = key.as_ref().is_some_and(|key| note.verify(key).is_ok());
        is_signed.then(|| note.checkpoint().size)
    };
    let mut largest = before.and_then(|before| Some((size(&before)?, before)));
    let mut newest = (None, Vec::new());
    let get = |version| storage.get(&stored.name, version);
    let mut contents = stream::iter(versions.into_iter().map(get)).buffered(AT_ONCE);
    while let Some(content) = contents.try_next().await? {
        let size = size(&content);
        if let Some(size) = size
            && largest.as_ref().is_none_or(|(most, _)| size >= *most)
        {
            largest = Some((size, content.clone()));
        }
        newest = (size, content);
    }
    // One that the log did not sign is for the verification to refuse.
    let Some((most, content)) = largest else { return Ok((newest.1, None)) };
    let found = match newest.0 {
        _ if stored.is_deleted => Some(What::Deleted),
        Some(size) if size == most => None,
        _ => Some(What::PutBack),
    };
    Ok((content, found))
}

/// The first version of the key beside a log's checkpoint.
async fn key(storage: &Storage, checkpoint: &Stored) -> Result<Option<VerifyingKey>, FetchError> {
    let directory = checkpoint.name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let name = if directory.is_empty() { "vkey".to_owned() } else { format!("{directory}/vkey") };
    let listed = storage.list(&name).await?;
    let Some(stored) = listed.iter().find(|stored| stored.name == name) else { return Ok(None) };
    let content = storage.get(&name, stored.hidden()).await?;
    Ok(std::str::from_utf8(&content).ok().and_then(|text| text.trim().parse().ok()))
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
    async fn an_empty_place_is_no_error() {
        let (outside, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let url = process::storage::parse(&format!("file://{}", outside.path().display())).unwrap();
        let fetched = fetch(&Storage::open(&url).unwrap(), &to.path().join("none"), &mut |_, _| {}).await.unwrap();
        assert_eq!(fetched, Fetched::default());
    }
}
