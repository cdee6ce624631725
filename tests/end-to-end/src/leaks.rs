//! Looking for secrets where none may be.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

use crate::House;

/// A secret that must not turn up, as pieces of it would look in any spelling.
pub struct Planted {
    /// What it is, for the message.
    name: String,
    needles: Vec<(&'static str, String)>,
}

/// Long enough to be nobody else's, short enough to be whole in a line that was cut.
const PIECE: usize = 36;

impl Planted {
    /// Looks for a piece of `secret`, at least 40 random characters, from the middle: those are letters, digits, `-` and
    /// `_`, which JSON, forms and URLs leave alone, so that only the encodings of bytes remain.
    ///
    /// # Panics
    /// The piece has other characters.
    #[must_use]
    pub fn new(name: &str, secret: &str) -> Self {
        let from = (secret.len() - PIECE) / 2;
        let piece = &secret[from..from + PIECE];
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(piece.bytes().all(plain), "{name} has a plain middle");
        let mut needles =
            vec![("plain", piece.to_owned()), ("hexadecimal", data_encoding::HEXLOWER.encode(piece.as_bytes()))];
        // Where in a group of three bytes it begins is not known: without its edges it looks the same in all three.
        for skip in 0..3 {
            let aligned = &piece.as_bytes()[skip..skip + (PIECE - 3)];
            let standard = BASE64_STANDARD_NO_PAD.encode(aligned);
            let url = standard.replace('+', "-").replace('/', "_");
            needles.extend([("base64", standard), ("base64url", url)]);
        }
        Self { name: name.to_owned(), needles }
    }

    /// How it is spelt in `bytes`, if it is there.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(bytes);
        let (spelling, _) = self.needles.iter().find(|(_, needle)| text.contains(needle.as_str()))?;
        Some(format!("{} ({spelling})", self.name))
    }
}

impl House {
    /// Every file below etcd's data, the logs of all processes and the journal, that holds one of the secrets.
    #[must_use]
    pub fn files_with(&self, secrets: &[Planted]) -> Vec<String> {
        let mut found = Vec::new();
        search(self.state_dir(), secrets, &mut found);
        found
    }
}

fn search(dir: &Path, secrets: &[Planted], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            search(&path, secrets, found);
            continue;
        }
        // A file may go while it is looked for; then it holds nothing.
        let Ok(bytes) = fs::read(&path) else { continue };
        let hits = secrets.iter().filter_map(|secret| secret.found_in(&bytes));
        found.extend(hits.map(|hit| format!("{}: {hit}", path.display())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "prefix|0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-_KLMNOPQ";

    #[test]
    fn a_secret_is_found_in_every_spelling_and_at_every_alignment() {
        let planted = Planted::new("it", SECRET);
        for before in ["", "a", "ab", "{\"token\":\""] {
            let text = format!("{before}{SECRET}\"}}");
            assert!(planted.found_in(text.as_bytes()).is_some());
            assert!(planted.found_in(BASE64_STANDARD_NO_PAD.encode(&text).as_bytes()).is_some(), "{before}");
            assert!(planted.found_in(base64::prelude::BASE64_URL_SAFE.encode(&text).as_bytes()).is_some(), "{before}");
            assert!(planted.found_in(data_encoding::HEXLOWER.encode(text.as_bytes()).as_bytes()).is_some());
        }
        assert!(planted.found_in(SECRET.replace('|', "%7C").as_bytes()).is_some());
        assert!(planted.found_in(SECRET.replace('|', "\\u007c").as_bytes()).is_some());
    }

    #[test]
    fn another_secret_is_not_found() {
        let planted = Planted::new("it", SECRET);
        assert_eq!(planted.found_in(SECRET.to_uppercase().as_bytes()), None);
        assert_eq!(planted.found_in(b""), None);
    }
}
