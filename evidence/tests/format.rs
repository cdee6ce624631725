//! A bundle as it is made, and everything that somebody could do to it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, os::unix::fs::symlink, path::Path};

use jiff::Timestamp;
use openteam_evidence::{
    Bundle, Counts, Expected, FORMAT, Fault, Files, Incident, Journal, MAX_BYTES, Made, Maker, Manifest, PrivateKey,
    Reason, Trust, Unreadable, digest, make,
};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32]).unwrap()
}

fn manifest(sequence: u32, previous: Option<&str>) -> Manifest {
    let incident = |text: &str| text.to_owned();
    Manifest {
        format: FORMAT.to_owned(),
        cluster: "000102030405060708090a0b0c0d0e0f".to_owned(),
        incident: Incident {
            namespace: incident("openteam-system"),
            name: incident("inc-7"),
            uid: incident("7c9f7a2e-0000-4000-8000-000000000000"),
        },
        sequence,
        previous: previous.map(str::to_owned),
        reason: Reason::Contained,
        created_at: Timestamp::from_second(1_790_000_000).unwrap(),
        made_by: Maker { pod: "openteam-operator-0".to_owned(), version: "0.1.0".to_owned() },
        key_id: String::new(),
        journal: vec![Journal {
            recorder: "openteam-recorder-0".to_owned(),
            sequence: 2,
            digest: digest(b"{\"b\":2}"),
            since: Timestamp::UNIX_EPOCH,
            records: 2,
            kept: 2,
            flaws: 0,
        }],
        counts: Counts { objects: 1, records: 2, ..Counts::default() },
        missing: Vec::new(),
        omitted: vec!["ciphertext".to_owned()],
        files: Vec::new(),
    }
}

fn files() -> Files {
    let long = format!("objects/AgentGrant/acme/{}.yaml", "n".repeat(200));
    [
        ("access.json".to_owned(), b"{\"grants\": []}".to_vec()),
        ("incident.yaml".to_owned(), b"kind: Incident\n".to_vec()),
        ("journal/openteam-recorder-0.jsonl".to_owned(), b"{\"a\":1}\n{\"b\":2}\n".to_vec()),
        ("objects/Team/acme/acme.yaml".to_owned(), b"kind: Team\n".to_vec()),
        (long, b"kind: AgentGrant\n".to_vec()),
        ("use.json".to_owned(), b"[]".to_vec()),
    ]
    .into()
}

fn made() -> Made {
    make(manifest(1, None), &files(), &key(1)).unwrap()
}

fn verify(tar: &[u8]) -> Vec<Fault> {
    Bundle::read_tar(tar).unwrap().verify(&Expected::default()).faults
}

/// The bundle with its files changed and its manifest and signature left.
fn with(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let bundle = Bundle::read_tar(&made().tar).unwrap();
    let mut files: Vec<_> = bundle.files().map(|(path, content)| (path.to_owned(), content.to_vec())).collect();
    change(&mut files);
    archive(&files)
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        tar.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An archive of one entry whose header says anything.
fn entry(path: &str, kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(512 + 1024, 0);
    bytes
}

fn unpack(files: &[(String, Vec<u8>)], into: &Path) {
    for (path, content) in files {
        let at = into.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
}

#[test]
fn a_bundle_verifies_and_the_same_input_gives_the_same_bytes() {
    let (one, two) = (made(), made());
    assert_eq!(one.tar, two.tar);
    let bundle = Bundle::read_tar(&one.tar).unwrap();
    assert_eq!(bundle.digest(), one.digest);
    let report = bundle.verify(&Expected::default());
    assert_eq!((&report.faults[..], report.trust), (&[][..], Trust::Unknown));
    assert_eq!(report.key_id, Some(key(1).public().id()));
    let keys = [key(2).public(), key(1).public()];
    let expected = Expected {
        keys: Some(&keys),
        journal_record: Some(&digest(b"{\"b\":2}")),
        digest: Some(&one.digest),
        ..Expected::default()
    };
    let report = bundle.verify(&expected);
    assert_eq!((&report.faults[..], report.trust), (&[][..], Trust::Known));
    assert_eq!(report.checked.len(), 6, "{:?}", report.checked);
}

#[test]
fn a_directory_with_the_same_files_is_the_same_bundle() {
    let made = made();
    let files: Vec<_> = Bundle::read_tar(&made.tar).unwrap().files().map(|(a, b)| (a.to_owned(), b.to_vec())).collect();
    let directory = tempfile::tempdir().unwrap();
    unpack(&files, directory.path());
    let bundle = Bundle::read(directory.path()).unwrap();
    assert_eq!(bundle.digest(), made.digest);
    assert_eq!(bundle.verify(&Expected::default()).faults, []);
    fs::write(directory.path().join("use.json"), "[1]").unwrap();
    fs::write(directory.path().join("objects/extra.yaml"), "a: 1").unwrap();
    let faults = Bundle::read(directory.path()).unwrap().verify(&Expected::default()).faults;
    assert!(
        matches!(&faults[..], [Fault::Changed { path, .. }, Fault::Added(added)]
        if path == "use.json" && added == "objects/extra.yaml"),
        "{faults:?}"
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &made.tar).unwrap();
    assert_eq!(Bundle::read(file.path()).unwrap().verify(&Expected::default()).faults, []);
}

#[test]
fn any_changed_byte_is_named_or_the_archive_is_refused() {
    let good = made();
    for at in 0..good.tar.len() {
        let mut tar = good.tar.clone();
        tar[at] ^= 1;
        let Ok(bundle) = Bundle::read_tar(&tar) else { continue };
        let report = bundle.verify(&Expected::default());
        let same = bundle.files().eq(Bundle::read_tar(&good.tar).unwrap().files());
        // Padding of a header, such as a file's time, is no evidence; every byte of a file is.
        assert!(same || !report.faults.is_empty(), "byte {at}");
    }
}

#[test]
fn a_file_that_is_edited_dropped_added_or_moved_is_named() {
    let edited = with(|files| files[3].1[0] ^= 1);
    assert!(
        matches!(&verify(&edited)[0], Fault::Changed { path, .. } if path == "incident.yaml"),
        "{:?}",
        verify(&edited)
    );
    let dropped = with(|files| drop(files.remove(2)));
    assert_eq!(verify(&dropped), [Fault::Gone("access.json".to_owned())]);
    let added = with(|files| files.push(("zz.json".to_owned(), b"{}".to_vec())));
    assert_eq!(verify(&added), [Fault::Added("zz.json".to_owned())]);
    let moved = with(|files| files.swap(2, 3));
    assert_eq!(verify(&moved), [Fault::OutOfOrder("incident.yaml".to_owned())]);
    let renamed = with(|files| files[2].0 = "accesses.json".to_owned());
    assert_eq!(verify(&renamed), [Fault::Gone("access.json".to_owned()), Fault::Added("accesses.json".to_owned())]);
    let swapped = with(|files| {
        let content = files[2].1.clone();
        files[2].1 = std::mem::replace(&mut files[3].1, content);
    });
    assert_eq!(verify(&swapped).iter().filter(|fault| matches!(fault, Fault::Changed { .. })).count(), 2);
}

#[test]
fn another_signature_or_key_is_named() {
    let other = make(manifest(1, None), &files(), &key(2)).unwrap();
    let other_signature = Bundle::read_tar(&other.tar).unwrap().files().nth(1).unwrap().1.to_vec();
    // The signature of another manifest, by another key.
    let swapped = with(|files| files[1].1 = other_signature);
    assert_eq!(verify(&swapped), [Fault::NotSigned(key(2).public().id())]);
    // Another key signs the same manifest anew: whole in itself, but it names the first one.
    let resigned = with(|files| files[1].1 = serde_json::to_vec(&key(2).sign(&files[0].1)).unwrap());
    let faults = verify(&resigned);
    assert!(matches!(&faults[..], [Fault::OtherKeyNamed { .. }]), "{faults:?}");
    // Everything made anew by another key is found by who knows the right one.
    let bundle = Bundle::read_tar(&other.tar).unwrap();
    assert_eq!(bundle.verify(&Expected::default()).faults, []);
    let report = bundle.verify(&Expected { keys: Some(&[key(1).public()]), ..Expected::default() });
    assert_eq!((report.faults, report.trust), (vec![Fault::UnknownKey(key(2).public().id())], Trust::Unknown));
    let none = with(|files| files[1].1 = b"{}".to_vec());
    assert_eq!(verify(&none), [Fault::Signature]);
}

#[test]
fn a_manifest_of_another_form_is_refused() {
    let no_json = with(|files| files[0].1 = b"{".to_vec());
    assert!(matches!(verify(&no_json)[..], [Fault::Manifest(_)]));
    for change in [
        |manifest: &mut Manifest| manifest.format = "openteam.dev/evidence/v2".to_owned(),
        |manifest: &mut Manifest| manifest.sequence = 0,
        |manifest: &mut Manifest| manifest.sequence = 2,
        |manifest: &mut Manifest| manifest.previous = Some("x".to_owned()),
        |manifest: &mut Manifest| manifest.previous = Some("a".repeat(64)),
    ] {
        let mut manifest = manifest(1, None);
        change(&mut manifest);
        let made = make(manifest, &files(), &key(1)).unwrap();
        assert!(matches!(verify(&made.tar)[..], [Fault::Manifest(_)]));
    }
}

#[test]
fn the_chain_shows_a_bundle_of_another_incident_and_one_that_is_left_out() {
    let first = made();
    let second = make(manifest(2, Some(&first.digest)), &files(), &key(1)).unwrap();
    let third = make(manifest(3, Some(&second.digest)), &files(), &key(1)).unwrap();
    let read = |made: &Made| Bundle::read_tar(&made.tar).unwrap();
    let after = |made: &Made, previous: &Made| {
        read(made).verify(&Expected { previous: Some(&read(previous)), ..Expected::default() }).faults
    };
    assert_eq!(after(&second, &first), []);
    assert_eq!(after(&third, &second), []);
    assert!(matches!(after(&third, &first)[..], [Fault::Chain(_)]));
    assert!(matches!(after(&first, &first)[..], [Fault::Chain(_)]));
    let mut other = manifest(1, None);
    other.incident.name = "inc-8".to_owned();
    assert!(matches!(after(&second, &make(other, &files(), &key(1)).unwrap())[..], [Fault::Chain(_)]));
}

#[test]
fn a_record_or_digest_that_is_not_the_bundles_is_named() {
    let bundle = Bundle::read_tar(&made().tar).unwrap();
    let other = "a".repeat(64);
    let faults = bundle.verify(&Expected { journal_record: Some(&other), ..Expected::default() }).faults;
    assert_eq!(faults, [Fault::Position(other.clone())]);
    let faults = bundle.verify(&Expected { digest: Some(&other), ..Expected::default() }).faults;
    assert!(matches!(&faults[..], [Fault::OtherDigest { .. }]));
}

#[test]
fn files_that_are_not_what_their_names_say_are_named() {
    for (path, content) in [
        ("a.json", "{"),
        ("a.jsonl", "{}\n{\n"),
        ("a.jsonl", "{}\n\n{}\n"),
        ("a.yaml", "a: ["),
        ("a.sh", "echo"),
        ("a", ""),
    ] {
        let files = [(path.to_owned(), content.as_bytes().to_vec())].into();
        let made = make(manifest(1, None), &files, &key(1)).unwrap();
        assert!(
            matches!(&verify(&made.tar)[..], [Fault::Form { path: named, .. }] if named == path),
            "{path} {content}"
        );
    }
}

#[test]
fn an_archive_that_is_cut_or_goes_on_is_refused() {
    let tar = made().tar;
    for length in (0..tar.len()).step_by(97).chain([tar.len() - 1, tar.len() - 512, tar.len() - 1024]) {
        assert!(Bundle::read_tar(&tar[..length]).is_err(), "cut at {length} of {}", tar.len());
    }
    let mut more = tar.clone();
    more.extend_from_slice(&tar);
    assert!(matches!(Bundle::read_tar(&more), Err(Unreadable::Trailing)));
    let mut odd = tar.clone();
    odd.push(0);
    assert!(matches!(Bundle::read_tar(&odd), Err(Unreadable::Trailing)));
    assert!(matches!(Bundle::read_tar(&vec![0; 1024]), Err(Unreadable::Without("manifest.json"))));
    let unsigned = with(|files| drop(files.remove(1)));
    assert!(matches!(Bundle::read_tar(&unsigned), Err(Unreadable::Without("manifest.sig"))));
}

#[test]
fn paths_links_doubles_and_giants_are_refused() {
    for path in
        ["../a.json", "/etc/a.json", "a/../b.json", "./a.json", "a//b.json", ".a.json", "a/.b", "a\nb.json", "a\\b"]
    {
        let refused = Bundle::read_tar(&entry(path, tar::EntryType::Regular, 0));
        assert!(matches!(refused, Err(Unreadable::Path { .. })), "{path:?}: {refused:?}");
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::Fifo,
        tar::EntryType::Block,
        tar::EntryType::Char,
    ] {
        let refused = Bundle::read_tar(&entry("a.json", kind, 0));
        assert!(matches!(refused, Err(Unreadable::NotAFile { .. })), "{kind:?}: {refused:?}");
    }
    for size in [513, 1 << 20, 1 << 40, u64::from(u32::MAX)] {
        let refused = Bundle::read_tar(&entry("a.json", tar::EntryType::Regular, size));
        assert!(matches!(refused, Err(Unreadable::Cut)), "{size}: {refused:?}");
    }
    let twice = with(|files| files.push(("use.json".to_owned(), b"[]".to_vec())));
    assert!(matches!(Bundle::read_tar(&twice), Err(Unreadable::Twice { .. })));
    assert!(matches!(Bundle::read_tar(&vec![0; MAX_BYTES + 1]), Err(Unreadable::TooLarge)));
    let giant = [("a.json".to_owned(), vec![b' '; MAX_BYTES])].into();
    assert!(make(manifest(1, None), &giant, &key(1)).is_err());
    let outside = [("../a.json".to_owned(), Vec::new())].into();
    assert!(make(manifest(1, None), &outside, &key(1)).is_err());
}

#[test]
fn a_directory_with_a_link_or_a_hidden_file_is_refused() {
    let all: Vec<_> = Bundle::read_tar(&made().tar).unwrap().files().map(|(a, b)| (a.to_owned(), b.to_vec())).collect();
    let directory = || {
        let directory = tempfile::tempdir().unwrap();
        unpack(&all, directory.path());
        directory
    };
    let linked = directory();
    fs::remove_file(linked.path().join("use.json")).unwrap();
    symlink("/etc/hostname", linked.path().join("use.json")).unwrap();
    assert!(matches!(Bundle::read(linked.path()), Err(Unreadable::NotAFile { .. })));
    let up = directory();
    symlink("..", up.path().join("objects/up")).unwrap();
    assert!(matches!(Bundle::read(up.path()), Err(Unreadable::NotAFile { .. })));
    let hidden = directory();
    fs::write(hidden.path().join(".hidden.json"), "{}").unwrap();
    assert!(matches!(Bundle::read(hidden.path()), Err(Unreadable::Path { .. })));
    let large = directory();
    fs::File::create(large.path().join("large.json")).unwrap().set_len(MAX_BYTES as u64 + 1).unwrap();
    assert!(matches!(Bundle::read(large.path()), Err(Unreadable::TooLarge)));
    assert!(matches!(Bundle::read(&directory().path().join("none")), Err(Unreadable::Disk { .. })));
}
