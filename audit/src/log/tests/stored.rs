//! Logs in directories.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

use super::super::testing::*;
use super::super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_directory_is_read_plain_or_gzipped() {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in log_of(300).0 {
        if path.starts_with("tile/entries") {
            put(dir.path(), &format!("{path}.gz"), &gzip(&bytes));
        } else {
            put(dir.path(), &path, &bytes);
        }
    }
    let store = Directory(dir.path().to_owned());
    let read = verify(&store, &log_key().verifying_key(), &Options::default(), &mut |_, _| (), &mut |_, _| ());
    assert_eq!(read.unwrap().size, 300);
    assert_eq!(store.read("tile/0/009").unwrap(), None);
    assert_eq!(store.read("checkpoint/tile").unwrap(), None);
}

#[test]
fn nothing_outside_the_directory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "secret", b"secret");
    put(dir.path(), "log/checkpoint", b"checkpoint");
    let store = Directory(dir.path().join("log"));
    assert!(store.read("checkpoint").unwrap().is_some());
    let absolute = dir.path().join("secret").display().to_string();
    for path in ["../secret", "tile/../../secret", "./checkpoint", "..", ".", "", &absolute] {
        assert_eq!(store.read(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
    }
}

#[test]
fn a_file_that_inflates_without_end_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "bomb.gz", &gzip(&vec![0; 64 << 20]));
    put(dir.path(), "broken.gz", b"not gzip");
    let most = usize::try_from(MAX_FILE_BYTES).unwrap();
    put(dir.path(), "most.gz", &gzip(&vec![0; most]));
    put(dir.path(), "long", &vec![0; most + 1]);
    let store = Directory(dir.path().to_owned());
    assert_eq!(store.read("bomb").unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(store.read("long").unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(store.read("most").unwrap().unwrap().len(), most);
    assert!(store.read("broken").is_err());
}
