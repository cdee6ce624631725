//! What a place has, with every version of it: in a bucket with versioning, which Object Lock needs, nothing that is put over a
//! file or deletes it takes away the file that was there.

use std::{collections::BTreeMap, time::Duration};

use futures::TryStreamExt;
use object_store::{path::Path, signer::SignedUrlOptions};
use serde::Deserialize;
use url::form_urlencoded;

use super::{Storage, StorageError};
use crate::answer;

/// How long a signed question may be asked.
const ASK_WITHIN: Duration = Duration::from_secs(60);
/// How long an answer may take: it names a thousand versions at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A thousand names of a thousand bytes, each of which may be written as three, with what is said of each.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// The id of the one version of a file in a place that keeps none.
const ONLY: &str = "null";

/// A version of a file, in a place that keeps versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub(super) id: String,
    /// The same for the same content.
    tag: String,
}

/// A file of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name below the place.
    pub name: String,
    /// Oldest first; none in a place that keeps none.
    pub versions: Vec<Version>,
    /// Whether it was deleted, which hides its versions.
    pub is_deleted: bool,
}

impl Stored {
    /// The first version, where something else was put under the name later, or it was deleted.
    #[must_use]
    pub fn hidden(&self) -> Option<&Version> {
        let first = self.first()?;
        (self.is_deleted || self.versions.iter().any(|other| other.tag != first.tag)).then_some(first)
    }

    /// The first version; none in a place that keeps none.
    #[must_use]
    pub fn first(&self) -> Option<&Version> {
        self.versions.first().filter(|first| first.id != ONLY || self.versions.len() > 1 || self.is_deleted)
    }
}

/// An answer to ListObjectVersions (Amazon S3 API reference).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    #[serde(default, rename = "Version")]
    versions: Vec<ListedVersion>,
    #[serde(default, rename = "DeleteMarker")]
    deletions: Vec<Deletion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedVersion {
    key: String,
    version_id: String,
    #[serde(rename = "ETag")]
    e_tag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Deletion {
    key: String,
    is_latest: bool,
}

impl Storage {
    /// Everything whose name begins with `prefix`, by name.
    ///
    /// # Errors
    /// [`StorageError`]
    pub async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StorageError> {
        let unreadable = |source| StorageError::Unreadable { place: self.location(prefix), source };
        if self.signer.is_some() {
            return self.versions(prefix).await.map_err(unreadable);
        }
        let listed = self.store.list(Some(&self.prefix)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| unreadable(Box::new(error)))?;
        let names = listed.iter().filter_map(|meta| self.name(meta.location.as_ref()));
        let mut stored: Vec<_> = names
            .filter(|name| name.starts_with(prefix))
            .map(|name| Stored { name, versions: Vec::new(), is_deleted: false })
            .collect();
        stored.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(stored)
    }

    /// A key's name below the place.
    fn name(&self, key: &str) -> Option<String> {
        let below = key.strip_prefix(self.prefix.as_ref())?;
        let below = if self.prefix.as_ref().is_empty() { below } else { below.strip_prefix('/')? };
        (!below.is_empty()).then(|| below.to_owned())
    }

    async fn versions(&self, prefix: &str) -> Result<Vec<Stored>, Box<dyn std::error::Error + Send + Sync>> {
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
        let keys =
            if self.prefix.as_ref().is_empty() { prefix.to_owned() } else { format!("{}/{prefix}", self.prefix) };
        let mut all: BTreeMap<String, Stored> = BTreeMap::new();
        let mut from: Option<(String, String)> = None;
        loop {
            let mut query = vec![("versions", String::new()), ("prefix", keys.clone())];
            // A name may hold what XML has no words for.
            query.push(("encoding-type", "url".to_owned()));
            if let Some((key, version)) = from {
                query.extend([("key-marker", key), ("version-id-marker", version)]);
            }
            let listed = self.ask(&http, query).await?;
            for version in listed.versions {
                let Some(stored) = self.entry(&mut all, &decoded(&version.key)) else { continue };
                // Newest first, as they come.
                stored.versions.insert(0, Version { id: version.version_id, tag: version.e_tag });
            }
            for deletion in listed.deletions.iter().filter(|deletion| deletion.is_latest) {
                if let Some(stored) = self.entry(&mut all, &decoded(&deletion.key)) {
                    stored.is_deleted = true;
                }
            }
            if !listed.is_truncated {
                return Ok(all.into_values().filter(|stored| !stored.versions.is_empty()).collect());
            }
            let key = listed.next_key_marker.ok_or("its answer ends in the middle")?;
            from = Some((decoded(&key), listed.next_version_id_marker.unwrap_or_default()));
        }
    }

    fn entry<'a>(&self, all: &'a mut BTreeMap<String, Stored>, key: &str) -> Option<&'a mut Stored> {
        let name = self.name(key)?;
        let new = || Stored { name: name.clone(), versions: Vec::new(), is_deleted: false };
        Some(all.entry(name.clone()).or_insert_with(new))
    }

    /// object_store has no such question, but signs it as its own.
    async fn ask(
        &self,
        http: &reqwest::Client,
        query: Vec<(&str, String)>,
    ) -> Result<Listed, Box<dyn std::error::Error + Send + Sync>> {
        let signer = self.signer.as_ref().ok_or("it keeps no versions")?;
        let options = SignedUrlOptions::new().with_query(query);
        let url = signer.signed_url_opts(reqwest::Method::GET, &Path::default(), ASK_WITHIN, &options).await?;
        // Its address is as good as the credentials that signed it.
        let without_url = reqwest::Error::without_url;
        let answer = http.get(url).send().await.map_err(without_url)?.error_for_status().map_err(without_url)?;
        let body = answer::read(answer, MAX_ANSWER_BYTES).await?.ok_or("its answer is too long")?;
        Ok(quick_xml::de::from_reader(&body[..])?)
    }
}

/// A key of an answer with `encoding-type=url`, as forms encode values.
fn decoded(key: &str) -> String {
    form_urlencoded::parse(key.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded() {
        for (key, expected) in [
            ("POD/2026q4/tile/0/000.p/7", "POD/2026q4/tile/0/000.p/7"),
            ("POD%2F2026q4%2Fvkey", "POD/2026q4/vkey"),
            ("a+b%26c%3Dd%01%2B", "a b&c=d\u{1}+"),
            ("", ""),
        ] {
            assert_eq!(decoded(key), expected);
        }
    }

    #[test]
    fn an_answer_is_read_with_deletions_between_versions() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>logs</Name><Prefix>a/</Prefix>
            <KeyMarker/><VersionIdMarker/><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
            <NextKeyMarker>a/2</NextKeyMarker><NextVersionIdMarker>v1</NextVersionIdMarker>
            <DeleteMarker><Key>a/1</Key><VersionId>d</VersionId><IsLatest>true</IsLatest></DeleteMarker>
            <Version><Key>a/1</Key><VersionId>v</VersionId><IsLatest>false</IsLatest><ETag>"x"</ETag><Size>1</Size></Version>
            <DeleteMarker><Key>a/2</Key><VersionId>d</VersionId><IsLatest>false</IsLatest></DeleteMarker>
            <Version><Key>a/2</Key><VersionId>v1</VersionId><IsLatest>true</IsLatest><ETag>"y"</ETag><Size>1</Size></Version>
            </ListVersionsResult>"#;
        let listed: Listed = quick_xml::de::from_str(text).unwrap();
        assert!(listed.is_truncated);
        assert_eq!(listed.next_key_marker.as_deref(), Some("a/2"));
        assert_eq!(listed.next_version_id_marker.as_deref(), Some("v1"));
        let keys: Vec<_> = listed.versions.iter().map(|it| (&*it.key, &*it.version_id, &*it.e_tag)).collect();
        assert_eq!(keys, [("a/1", "v", "\"x\""), ("a/2", "v1", "\"y\"")]);
        assert_eq!(listed.deletions.iter().map(|it| it.is_latest).collect::<Vec<_>>(), [true, false]);
        let empty: Listed =
            quick_xml::de::from_str("<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
                .unwrap();
        assert!(empty.versions.is_empty() && !empty.is_truncated);
    }

    #[test]
    fn what_was_put_over_a_file_or_deleted_it_hides_its_first_version() {
        let version = |id: &str, tag: &str| Version { id: id.to_owned(), tag: tag.to_owned() };
        let stored = |versions, is_deleted| Stored { name: "a".to_owned(), versions, is_deleted };
        let (first, same, other) = (version("1", "x"), version("2", "x"), version("3", "y"));
        assert_eq!(stored(vec![], false).hidden(), None);
        assert_eq!(stored(vec![first.clone()], false).hidden(), None);
        assert_eq!(stored(vec![first.clone(), same.clone()], false).hidden(), None);
        assert_eq!(stored(vec![first.clone(), other.clone()], false).hidden(), Some(&first));
        assert_eq!(stored(vec![first.clone(), other, same.clone()], false).hidden(), Some(&first));
        assert_eq!(stored(vec![first.clone(), same], true).hidden(), Some(&first));
        assert_eq!(stored(vec![version(ONLY, "x")], false).first(), None);
        assert_eq!(stored(vec![first.clone()], false).first(), Some(&first));
    }

    #[tokio::test]
    async fn a_directory_tells_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let url = crate::storage::parse(&format!("file://{}", directory.path().display())).unwrap();
        let storage = Storage::open(&url).unwrap();
        for name in ["b/2", "a", "b/1"] {
            storage.put_new(name, name.as_bytes()).await.unwrap();
        }
        let names = async |prefix| {
            let stored = storage.list(prefix).await.unwrap();
            stored.into_iter().map(|stored| stored.name).collect::<Vec<_>>()
        };
        assert_eq!(names("").await, ["a", "b/1", "b/2"]);
        assert_eq!(names("b/").await, ["b/1", "b/2"]);
        assert_eq!(storage.get("b/1", None, 3).await.unwrap(), b"b/1");
        assert!(matches!(storage.get("b/1", None, 2).await, Err(StorageError::TooLong(_))));
        assert!(matches!(storage.get("c", None, 9).await, Err(StorageError::Unreadable { .. })));
    }
}
