//! Writing a bundle.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{File, MANIFEST, MAX_BYTES, MAX_FILES, Manifest, PrivateKey, SIGNATURE, manifest::digest, read::is_path};

/// What goes into a bundle beside manifest and signature, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A bundle that is ready to be kept.
#[derive(Clone, Debug)]
pub struct Made {
    /// The archive.
    pub tar: Vec<u8>,
    /// Its `manifest.json`.
    pub json: Vec<u8>,
    /// The digest of its manifest, by which it is known.
    pub digest: String,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// More than a bundle takes, or a path that none has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("more than a bundle takes")]
pub struct TooLarge;

/// Makes a bundle of `files`, which `manifest` lists from then on, signed with `key`.
///
/// The same input gives the same bytes.
///
/// # Errors
/// [`TooLarge`].
pub fn make(mut manifest: Manifest, files: &Files, key: &PrivateKey) -> Result<Made, TooLarge> {
    if files.len() > MAX_FILES || !files.keys().all(|path| is_path(path)) {
        return Err(TooLarge);
    }
    let file = |(path, content): (&String, &Vec<u8>)| File {
        path: path.clone(),
        bytes: content.len() as u64,
        sha256: digest(content),
    };
    manifest.files = files.iter().map(file).collect();
    manifest.key_id = key.public().id();
    let json = lines(&manifest);
    let signature = lines(&key.sign(&json));
    let mtime = u64::try_from(manifest.created_at.as_second()).unwrap_or_default();
    let mut tar = tar::Builder::new(Vec::new());
    let own = [(MANIFEST, &json), (SIGNATURE, &signature)];
    let all = own.into_iter().chain(files.iter().map(|(path, content)| (path.as_str(), content)));
    for (path, content) in all {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        header.set_mtime(mtime);
        header.set_entry_type(tar::EntryType::Regular);
        // Fails for paths that are refused above, and for a writer that fails.
        tar.append_data(&mut header, path, content.as_slice()).map_err(|_| TooLarge)?;
    }
    let tar = tar.into_inner().map_err(|_| TooLarge)?;
    if tar.len() > MAX_BYTES { Err(TooLarge) } else { Ok(Made { tar, digest: digest(&json), json, manifest }) }
}

#[expect(clippy::expect_used, reason = "fails only for maps whose keys are no text")]
fn lines(value: &impl serde::Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("a manifest is JSON");
    json.push(b'\n');
    json
}
