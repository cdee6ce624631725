//! Places outside the cluster that files are put into once and for good: a directory, or a bucket that speaks S3.

mod versions;

use std::{fmt, sync::Arc};

use object_store::{
    GetOptions, ObjectStore, PutMode, PutOptions,
    aws::{AmazonS3Builder, Checksum},
    local::LocalFileSystem,
    path::Path,
    signer::Signer,
};
use url::Url;

pub use versions::{Stored, Version};

/// Why a place cannot be used. Its text names the place and none of its credentials.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It is no address of a place.
    #[error("{0} is neither s3://BUCKET/PATH nor file:///DIRECTORY")]
    NotAPlace(String),
    /// The place refused to be read, or did not answer.
    #[error("{place} cannot be read")]
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place refused to be written to, or did not answer.
    #[error("{place} cannot be written to")]
    Unavailable {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is longer than anything that is asked for.
    #[error("{0} is too long for what it should be")]
    TooLong(String),
    /// There is something else under the name already.
    #[error("{0} is there already and is something else")]
    Taken(String),
}

/// A place.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// Where it may keep versions: what signs a question about them.
    signer: Option<Arc<dyn Signer>>,
    prefix: Path,
    url: String,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({})", self.url)
    }
}

/// Whether a text is the address of a place, as far as that can be told without asking it.
///
/// # Errors
/// [`StorageError::NotAPlace`].
pub fn parse(text: &str) -> Result<Url, StorageError> {
    let wrong = || StorageError::NotAPlace(format!("{text:?}"));
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let fits = match url.scheme() {
        "s3" => url.host_str().is_some_and(|bucket| !bucket.is_empty()) && url.port().is_none(),
        "file" => url.host_str().is_none_or(str::is_empty) && url.path().len() > 1,
        _ => false,
    };
    if fits && plain { Ok(url) } else { Err(wrong()) }
}

impl Storage {
    /// The place at an address. For S3 region, credentials and endpoint are in the environment, in the variables that all of
    /// Amazon's tools read (`AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ENDPOINT_URL` …).
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(url: &Url) -> Result<Self, StorageError> {
        let text = url.as_str().trim_end_matches('/').to_owned();
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| {
            let place = text.clone();
            StorageError::Unavailable { place, source }
        };
        let (store, signer, prefix): (Arc<dyn ObjectStore>, Option<Arc<dyn Signer>>, _) = if url.scheme() == "file" {
            let directory = url.to_file_path().map_err(|()| StorageError::NotAPlace(text.clone()))?;
            std::fs::create_dir_all(&directory).map_err(|error| unavailable(Box::new(error)))?;
            let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| unavailable(Box::new(error)))?;
            (Arc::new(store.with_fsync(true)), None, Path::default())
        } else {
            // A bucket with Object Lock takes nothing without a checksum; the others check it.
            let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_checksum_algorithm(Checksum::SHA256);
            let store = Arc::new(builder.build().map_err(|error| unavailable(Box::new(error)))?);
            let prefix = Path::parse(url.path().trim_matches('/')).map_err(|error| unavailable(Box::new(error)))?;
            (store.clone(), Some(store), prefix)
        };
        Ok(Self { store, signer, prefix, url: text })
    }

    /// Where a file of this name is.
    #[must_use]
    pub fn location(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// Puts a file, in the place of one that was there before.
    ///
    /// # Errors
    /// [`StorageError`]
    pub async fn put(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let put = self.store.put_opts(&self.path(name), content.to_vec().into(), PutOptions::default()).await;
        put.map(drop).map_err(|error| StorageError::Unavailable { place: self.location(name), source: Box::new(error) })
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(name.split('/').map(Into::into)).collect()
    }

    /// Reads a file, or a version of it, of so many bytes at most.
    ///
    /// # Errors
    /// [`StorageError`], where there is none too.
    pub async fn get(&self, name: &str, version: Option<&Version>, most: u64) -> Result<Vec<u8>, StorageError> {
        let unreadable = |error| StorageError::Unreadable {
            place: self.location(name),
            source: Box::<object_store::Error>::new(error),
        };
        let options = GetOptions { version: version.map(|version| version.id.clone()), ..GetOptions::default() };
        let found = self.store.get_opts(&self.path(name), options).await.map_err(unreadable)?;
        // Whoever can put files must not fill the memory of those who read them.
        if found.meta.size > most {
            return Err(StorageError::TooLong(self.location(name)));
        }
        Ok(found.bytes().await.map_err(unreadable)?.to_vec())
    }

    /// Whether a file, or a version of it, has this content.
    async fn has(&self, name: &str, version: Option<&Version>, content: &[u8]) -> Result<bool, StorageError> {
        match self.get(name, version, content.len() as u64).await {
            Ok(found) => Ok(found == content),
            Err(StorageError::TooLong(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a file where there is none of the name; one with the same content is as good. So is a first version with it, in a
    /// place that keeps versions: what was put over it hides it and takes nothing away.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was overwritten.
    pub async fn put_new(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        let unavailable = |error: object_store::Error| StorageError::Unavailable {
            place: self.location(name),
            source: Box::new(error),
        };
        let path = self.path(name);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path, content.to_vec().into(), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                if self.has(name, None, content).await? {
                    return Ok(());
                }
                let stored = self.list(name).await?;
                let first = stored.iter().find(|stored| stored.name == name).and_then(Stored::hidden);
                match first {
                    Some(first) if self.has(name, Some(first), content).await? => {
                        tracing::error!(
                            file = self.location(name),
                            "something else was put over it; its first version stays"
                        );
                        Ok(())
                    }
                    _ => Err(StorageError::Taken(self.location(name))),
                }
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buckets_and_directories_are_places() {
        for text in ["s3://bucket", "s3://bucket/a/b", "file:///srv/evidence"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "evidence",
            "/srv/evidence",
            "s3://",
            "s3:///path",
            "s3://key:secret@bucket/path",
            "s3://bucket/path?x=1",
            "file:///",
            "file://host/srv",
            "https://bucket.example",
            "memory:///",
        ] {
            assert!(matches!(parse(text), Err(StorageError::NotAPlace(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_is_put_once_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("not/there/yet");
        let url = parse(&format!("file://{}", at.display())).unwrap();
        let storage = Storage::open(&url).unwrap();
        storage.put_new("a.tar", b"one").await.unwrap();
        storage.put_new("a.tar", b"one").await.unwrap();
        storage.put_new("b/c.json", b"two").await.unwrap();
        assert!(matches!(storage.put_new("a.tar", b"two").await, Err(StorageError::Taken(_))));
        assert_eq!(std::fs::read(at.join("a.tar")).unwrap(), b"one");
        assert_eq!(std::fs::read(at.join("b/c.json")).unwrap(), b"two");
        assert_eq!(storage.location("a.tar"), format!("file://{}/a.tar", at.display()));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_said() {
        let url = parse("file:///dev/null/evidence").unwrap();
        assert!(matches!(Storage::open(&url), Err(StorageError::Unavailable { .. })));
    }
}
