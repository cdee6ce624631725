//! Looking for secrets where none may be: in files, by `grep`, which goes through hundreds of megabytes for thousands of
//! spellings at once.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use aws_lc_rs::digest::{self, SHA256};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use cluster::{spawn, tethered};
use data_encoding::HEXLOWER;

/// Long enough to be nobody else's, short enough to be whole in a line that was cut.
const PIECE: usize = 36;

/// A secret that must not turn up, as pieces of it would look in any spelling.
pub struct Planted {
    /// What it is, for the message.
    name: String,
    needles: Vec<(&'static str, String)>,
    /// Parts of the paths where it belongs.
    homes: Vec<&'static str>,
}

impl Planted {
    /// Looks for pieces of `secret`, at least 40 random characters: letters, digits, `-` and `_`, which JSON, forms and
    /// URLs leave alone, so that only the encodings of bytes remain. What stands before the last `|` is no secret.
    ///
    /// # Panics
    /// A piece has other characters.
    #[must_use]
    pub fn new(name: &str, secret: &str) -> Self {
        let secret = secret.rsplit('|').next().unwrap_or_default();
        assert!(secret.len() >= PIECE, "{name} is too short to be told from others");
        // Where a line is cut is not known: its beginning shows most often.
        let places = [0, (secret.len() - PIECE) / 2, secret.len() - PIECE];
        let mut needles = Vec::new();
        for from in places {
            let piece = &secret[from..from + PIECE];
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            assert!(piece.bytes().all(plain), "{name} is plain");
            needles.push(("plain", piece.to_owned()));
            needles.extend(encoded(piece.as_bytes()));
        }
        Self { name: name.to_owned(), needles, homes: Vec::new() }
    }

    /// Looks for all of a short text, at least 8 characters, as it is: in other spellings it could not be told from others.
    ///
    /// # Panics
    /// It is shorter.
    #[must_use]
    pub fn short(name: &str, text: &str) -> Self {
        assert!(text.len() >= 8, "{name} is too short to be told from others");
        Self { name: name.to_owned(), needles: vec![("plain", text.to_owned())], homes: Vec::new() }
    }

    /// Looks for a key of 32 bytes.
    #[must_use]
    pub fn key(name: &str, key: &[u8]) -> Self {
        Self { name: name.to_owned(), needles: encoded(key).collect(), homes: Vec::new() }
    }

    /// SHA-256 of each piece, in hexadecimal: for who must look without being handed what it looks for
    /// (`tests/clients/search.py`).
    pub fn digests(&self) -> impl Iterator<Item = String> {
        let plain = self.needles.iter().filter(|(spelling, _)| *spelling == "plain");
        plain.map(|(_, piece)| HEXLOWER.encode(digest::digest(&SHA256, piece.as_bytes()).as_ref()))
    }

    /// Does not look in files in whose path one of these is: there it belongs.
    #[must_use]
    pub fn at_home_in(mut self, homes: &[&'static str]) -> Self {
        self.homes.extend(homes);
        self
    }
}

/// The spellings of bytes of which the search may see a part.
fn encoded(bytes: &[u8]) -> impl Iterator<Item = (&'static str, String)> {
    let hexadecimal =
        [data_encoding::HEXLOWER.encode(bytes), data_encoding::HEXUPPER.encode(bytes)].map(|hex| ("hexadecimal", hex));
    // Where in a group of three bytes it begins is not known: without its edges it looks the same in all three.
    let base64 = (0..3).flat_map(|skip| {
        let length = (bytes.len() - skip) / 3 * 3;
        let standard = BASE64_STANDARD_NO_PAD.encode(&bytes[skip..skip + length]);
        let url = standard.replace('+', "-").replace('/', "_");
        [("base64", standard), ("base64url", url)]
    });
    hexadecimal.into_iter().chain(base64).collect::<Vec<_>>().into_iter()
}

/// What was searched, and what was found.
#[derive(Debug)]
pub struct Searched {
    /// Secrets looked for.
    pub secrets: usize,
    /// Files searched.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Secret, spelling and file of everything found.
    pub found: Vec<String>,
}

/// Searches every file below `directories`, but for those directories whose name is `left_out`. Writes one file into the
/// first of them, for the time of the search: if what is in that one is not found, nothing that is said here is worth
/// anything.
///
/// # Panics
/// The search did not work.
#[must_use]
pub fn search(directories: &[&Path], left_out: &str, secrets: &[Planted]) -> Searched {
    let canary = "canary-".repeat(6);
    let nest = directories[0].join("canary");
    fs::write(&nest, format!("\0\u{e9}{}\"", BASE64_STANDARD_NO_PAD.encode(&canary))).unwrap();
    let of_canary = Planted::new("canary", &canary);
    let all: Vec<&Planted> = secrets.iter().chain([&of_canary]).collect();
    let spelt: BTreeMap<&str, (&Planted, &str)> = all
        .iter()
        .flat_map(|planted| planted.needles.iter().map(|(spelling, needle)| (needle.as_str(), (*planted, *spelling))))
        .collect();

    let mut found: Vec<String> = Vec::new();
    let mut canaries = 0;
    for (path, needle) in grep(directories, left_out, spelt.keys().copied()) {
        let (planted, spelling) = spelt[needle.as_str()];
        if path == nest {
            canaries += 1;
        } else if !planted.homes.iter().any(|home| path.to_string_lossy().contains(home)) {
            found.push(format!("{} ({spelling}) in {}", planted.name, path.display()));
        }
    }
    fs::remove_file(&nest).unwrap();
    assert!(canaries > 0, "the search finds nothing at all");
    found.sort();
    found.dedup();
    let (files, bytes) =
        directories.iter().map(|dir| measure(dir, left_out)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    Searched { secrets: secrets.len(), files, bytes, found }
}

/// Every file with a needle, and the needle.
fn grep<'a>(directories: &[&Path], left_out: &str, needles: impl Iterator<Item = &'a str>) -> Vec<(PathBuf, String)> {
    let mut command = tethered("grep");
    // As bytes, whatever they are; pipes and sockets are no files; a file that goes meanwhile holds nothing.
    command.args(["-r", "-a", "-o", "-F", "-Z", "-s", "-D", "skip", "-f", "-"]);
    command.arg(format!("--exclude-dir={left_out}")).args(directories).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut grep = spawn(command).unwrap();
    let patterns = needles.collect::<Vec<_>>().join("\n");
    let mut stdin = grep.stdin.take().unwrap();
    let writing = thread::spawn(move || stdin.write_all(patterns.as_bytes()));
    let output = grep.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let hit = |line: &str| line.split_once('\0').map(|(path, needle)| (PathBuf::from(path), needle.to_owned()));
    text.lines().filter_map(hit).collect()
}

fn measure(path: &Path, left_out: &str) -> (usize, u64) {
    let Ok(kind) = fs::symlink_metadata(path) else { return (0, 0) };
    if kind.is_file() {
        return (1, kind.len());
    }
    if !kind.is_dir() || path.file_name().is_some_and(|name| name == left_out) {
        return (0, 0);
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| measure(&entry.path(), left_out)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `tests/clients/search.py` over files, each of one text, for a secret of which it is told digests; what it found.
    fn searched_blindly(secret: &Planted, texts: &[String]) -> Vec<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        for (number, text) in texts.iter().enumerate() {
            fs::write(directory.path().join(number.to_string()), text).unwrap();
        }
        let program = "import json, sys; from search import files, found; digests = set(sys.argv[2:]); \
                       print(json.dumps({path.rsplit('/')[-1]: found(text, digests) for path, text in files(sys.argv[1])}))";
        let mut python = tethered("python3");
        python.args(["-c", program]).arg(directory.path()).args(secret.digests());
        python.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients"));
        let output = python.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: BTreeMap<String, Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
        (0..texts.len()).map(|number| found[&number.to_string()].clone()).collect()
    }

    #[test]
    fn who_has_digests_only_finds_every_spelling_too() {
        let secret = "Atza|kQ3-vT0_zXw81LmNbY5hRpUe7SdFgJcA29oViWqKxZt4";
        let (planted, bytes) = (Planted::new("token", secret), secret.as_bytes());
        let escaped = |form: fn(&u8) -> String| bytes.iter().map(form).collect::<String>();
        let base64 = |skip: usize| BASE64_STANDARD_NO_PAD.encode([&b"ab"[..skip], bytes].concat());
        let texts = [
            ("plain", secret.to_owned()),
            ("plain", format!("token={}", &secret[5..41])),
            ("URL", escaped(|byte| format!("%{byte:02x}"))),
            ("JSON", escaped(|byte| format!("\\u{byte:04x}"))),
            ("base64", base64(0)),
            ("base64", base64(1)),
            ("base64", base64(2)),
            ("base64", BASE64_STANDARD_NO_PAD.encode(format!("={}", &secret[5..41]))),
            ("hexadecimal", escaped(|byte| format!("{byte:02X}"))),
            ("", format!("{}x{}", &secret[..20], &secret[20..])),
            ("", planted.digests().collect()),
        ];
        let found = searched_blindly(&planted, &texts.clone().map(|(_, text)| format!("{{\"it\": \"{text}\"}}")));
        for ((spelling, text), found) in texts.iter().zip(found) {
            let expected: &[&str] = if spelling.is_empty() { &[] } else { &[spelling] };
            assert_eq!(found, expected, "{text}");
        }
    }

    const SECRET: &str =
        "prefix|0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-_KLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqr";

    /// What is found of [`SECRET`] in a file of this content.
    fn found_in(content: &[u8]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/left")).unwrap();
        fs::write(directory.path().join("a/file"), content).unwrap();
        fs::write(directory.path().join("a/left/file"), SECRET).unwrap();
        let searched = search(&[directory.path()], "left", &[Planted::new("it", SECRET)]);
        assert_eq!((searched.files, searched.bytes), (1, content.len() as u64));
        searched.found
    }

    #[test]
    fn a_secret_is_found_in_every_spelling_and_at_every_alignment() {
        for before in ["", "a", "ab", "{\"token\":\""] {
            let text = format!("{before}{SECRET}\"}}");
            assert!(!found_in(text.as_bytes()).is_empty());
            for encoded in [
                BASE64_STANDARD_NO_PAD.encode(&text),
                base64::prelude::BASE64_URL_SAFE.encode(&text),
                data_encoding::HEXLOWER.encode(text.as_bytes()),
                data_encoding::HEXUPPER.encode(text.as_bytes()),
            ] {
                assert!(!found_in(encoded.as_bytes()).is_empty(), "{encoded}");
            }
        }
        for text in [SECRET.replace('|', "%7C"), SECRET.replace('|', "\\u007c"), SECRET.replace('|', "%257C")] {
            assert!(!found_in(text.as_bytes()).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_between_bytes_and_where_it_was_cut() {
        let binary = [&[0, 0xff, 0xfe, b'\n', 0][..], SECRET.as_bytes(), &[0, 0x80, b'\n']].concat();
        assert!(!found_in(&binary).is_empty());
        assert!(!found_in(&SECRET.as_bytes()[..50]).is_empty());
        assert!(!found_in(&SECRET.as_bytes()[60..]).is_empty());
    }

    #[test]
    fn another_secret_is_not_found() {
        assert_eq!(found_in(SECRET.to_uppercase().as_bytes()), Vec::<String>::new());
        assert_eq!(found_in(b""), Vec::<String>::new());
    }

    #[test]
    fn a_short_text_is_found_whole() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("it"), "<p>K7QM-2XWD</p>").unwrap();
        fs::write(directory.path().join("part"), "K7QM").unwrap();
        let found = search(&[directory.path()], "left", &[Planted::short("code", "K7QM-2XWD")]).found;
        assert!(matches!(&found[..], [only] if only.ends_with("it")), "{found:?}");
    }

    #[test]
    fn a_key_is_found_where_it_does_not_belong() {
        let key: Vec<u8> = (100..132).collect();
        let directory = tempfile::tempdir().unwrap();
        for file in ["home.json", "elsewhere.log"] {
            let content = format!("{{\"secret\":\"{}\"}}", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&key));
            fs::write(directory.path().join(file), content).unwrap();
        }
        let planted = Planted::key("key", &key).at_home_in(&["home.json"]);
        let found = search(&[directory.path()], "left", &[planted]).found;
        assert!(matches!(&found[..], [only] if only.contains("elsewhere.log")), "{found:?}");
    }
}
