//! The check of a whole log finds what was done to it, and says what.

use super::super::testing::*;
use super::super::*;

fn check_with(log: &Files, options: &Options) -> Result<Verified, Vec<Flaw>> {
    let found = [1, 3].map(|threads| {
        let options = Options { threads, ..options.clone() };
        verify(log, &log_key().verifying_key(), &options, &mut |_, _| (), &mut |_, _| ())
    });
    assert_eq!(found[0], found[1], "the number of threads changes nothing");
    found[0].clone().map_err(|flaws| flaws.named)
}

fn check(log: &Files) -> Result<Verified, Vec<Flaw>> {
    check_with(log, &Options::default())
}

fn said(log: &Files) -> Vec<String> {
    check(log).unwrap_err().iter().map(Flaw::to_string).collect()
}

/// Such a log with one byte of a file changed.
fn changed(log: &Files, path: &str, place: usize) -> Files {
    let mut log = log.clone();
    log.0.get_mut(path).unwrap()[place] ^= 1;
    log
}

#[test]
fn a_log_of_any_size_is_found_good_and_read_in_order() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1_000, 65_536, 70_000] {
        let log = log_of(size);
        let (mut read, mut done) = (0, Vec::new());
        let verified = verify(
            &log,
            &log_key().verifying_key(),
            &Options::default(),
            &mut |now, of| done.push((now, of)),
            &mut |index, entry| {
                assert_eq!((index, entry), (read, &entry_text(index)[..]));
                read += 1;
            },
        )
        .unwrap();
        assert_eq!((verified.size, read), (size, size));
        assert_eq!(verified.root, log.checkpoint().checkpoint().root);
        assert!(done.is_sorted() && done.last().is_none_or(|last| *last == (size, size)), "{done:?}");
    }
}

#[test]
fn a_changed_entry_is_named() {
    let log = log_of(600);
    // "entry 256" is 11 bytes with its length.
    let log = changed(&log, "tile/entries/001", 11 * 2 + 10);
    assert_eq!(said(&log), ["entry 258 does not hash to what tile/0/001 says"]);
}

#[test]
fn a_changed_hash_is_named_with_what_follows_from_it() {
    let log = changed(&log_of(600), "tile/0/001", 32 * 3);
    let expected = [
        "entry 259 does not hash to what tile/0/001 says",
        "tile/1/000.p/2 does not follow from the tiles below: its hash 1 is not the root of tile/0/001",
    ];
    assert_eq!(said(&log), expected);
    let log = changed(&log_of(600), "tile/0/002.p/88", 0);
    let root = "the root of the tiles is not the one of the checkpoint, which has 600 entries";
    assert_eq!(said(&log), ["entry 512 does not hash to what tile/0/002.p/88 says", root]);
    let log = changed(&log_of(600), "tile/1/000.p/2", 0);
    let tile = "tile/1/000.p/2 does not follow from the tiles below: its hash 0 is not the root of tile/0/000";
    assert_eq!(said(&log), [tile, root]);
}

#[test]
fn a_full_upper_tile_is_checked_too() {
    let log = changed(&log_of(70_000), "tile/1/000", 32 * 255);
    let expected = [
        "tile/1/000 does not follow from the tiles below: its hash 255 is not the root of tile/0/255",
        "tile/2/000.p/1 does not follow from the tiles below: its hash 0 is not the root of tile/1/000",
    ];
    assert_eq!(said(&log), expected);
}

/// Whoever rewrites an entry and everything above it cannot sign.
#[test]
fn a_log_rewritten_throughout_does_not_have_its_root() {
    let mut log = log_of(600);
    let signed = log.0["checkpoint"].clone();
    let mut edge = Edge::new();
    let mut tiles = Vec::new();
    for index in 0..600 {
        let entry = if index == 5 { b"entry X".to_vec() } else { entry_text(index) };
        edge.push(leaf_hash(&entry), &mut tiles);
    }
    tiles.extend(edge.partial_tiles());
    log.0.extend(tiles.into_iter().map(|(tile, bytes)| (tile.path(), bytes)));
    log.0.get_mut("tile/entries/000").unwrap()[9 * 5 + 8] = b'X';
    assert_eq!(log.0["checkpoint"], signed);
    assert_eq!(check(&log), Err(vec![Flaw::Root { size: 600 }]));
}

#[test]
fn every_byte_of_every_file_matters() {
    let log = log_of(300);
    for (path, bytes) in &log.0 {
        for place in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            assert!(check(&changed(&log, path, place)).is_err(), "{path} {place}");
        }
    }
}

#[test]
fn missing_and_cut_files_are_named() {
    let whole = log_of(600);
    for path in whole.0.keys() {
        let mut log = whole.clone();
        log.0.remove(path);
        assert_eq!(check(&log), Err(vec![Flaw::Missing { path: path.clone() }]), "{path}");
    }
    let cut = |path: &str, by: usize| {
        let mut log = whole.clone();
        let bytes = log.0.get_mut(path).unwrap();
        bytes.truncate(bytes.len() - by);
        check(&log).unwrap_err()
    };
    let bundle = |found, cut| Flaw::Bundle { path: "tile/entries/001".to_owned(), expected: 256, found, cut };
    assert_eq!(cut("tile/entries/001", 11), [bundle(255, false)]);
    assert_eq!(cut("tile/entries/001", 1), [bundle(255, true)]);
    let length = |path: &str, expected, found| Flaw::Length { path: path.to_owned(), expected, found };
    assert_eq!(cut("tile/0/001", 32), [length("tile/0/001", 8_192, 8_160)]);
    assert_eq!(cut("tile/1/000.p/2", 1), [length("tile/1/000.p/2", 64, 63)]);
    assert!(matches!(cut("checkpoint", 1)[..], [Flaw::Checkpoint(_)]));
    let mut log = whole.clone();
    assert!(push_entry(log.0.get_mut("tile/entries/002.p/88").unwrap(), b"one more"));
    assert!(matches!(check(&log).unwrap_err()[..], [Flaw::Bundle { expected: 88, found: 89, .. }]));
}

#[test]
fn swapped_tiles_and_bundles_are_noticed() {
    let swapped = |one: &str, two: &str| {
        let mut log = log_of(600);
        let (a, b) = (log.0[one].clone(), log.0[two].clone());
        log.0.extend([(one.to_owned(), b), (two.to_owned(), a)]);
        check(&log).unwrap_err()
    };
    let flaws = swapped("tile/entries/000", "tile/entries/001");
    assert_eq!(flaws.len(), 512);
    assert!(flaws.iter().all(|flaw| matches!(flaw, Flaw::Entry { .. })));
    let flaws = swapped("tile/0/000", "tile/0/001");
    assert_eq!(flaws.iter().filter(|flaw| matches!(flaw, Flaw::Tile { .. })).count(), 2);
}

#[test]
fn flaws_are_counted_when_there_are_too_many_to_name() {
    let mut log = log_of(2_048);
    for bundle in 0..8 {
        log.0.insert(entries_path(bundle, 256), log_of(256).0[&entries_path(0, 256)].clone());
    }
    let key = log_key().verifying_key();
    let flaws = verify(&log, &key, &Options::default(), &mut |_, _| (), &mut |_, _| ()).unwrap_err();
    assert_eq!((flaws.named.len(), flaws.more), (1_000, 7 * 256 - 1_000));
    assert!(flaws.to_string().ends_with("\nand 792 more"));
}

#[test]
fn a_forged_checkpoint_is_refused() {
    let mut log = log_of(300);
    let true_one = log.checkpoint().checkpoint().clone();
    let stranger = SigningKey::from_seed("example.com/log", &[9; 32]).unwrap();
    log.0.insert("checkpoint".to_owned(), stranger.sign(&true_one).into_bytes());
    assert!(matches!(check(&log).unwrap_err()[..], [Flaw::Signature { why: BadSignature::Absent, .. }]));
    let other = SigningKey::from_seed("example.com/other", &[1; 32]).unwrap();
    let elsewhere = Checkpoint { origin: "example.com/other".to_owned(), ..true_one.clone() };
    log.0.insert("checkpoint".to_owned(), other.sign(&elsewhere).into_bytes());
    assert!(matches!(check(&log).unwrap_err()[..], [Flaw::Origin { .. }]));
    log.0.insert("checkpoint".to_owned(), b"nothing".to_vec());
    assert_eq!(check(&log), Err(vec![Flaw::Checkpoint(NotACheckpoint::Note)]));
    log.0.insert("checkpoint".to_owned(), b"\xff\n".to_vec());
    assert_eq!(check(&log), Err(vec![Flaw::Checkpoint(NotACheckpoint::Note)]));
    // Signed, but of other entries; and of fewer, whose partial tiles are gone.
    log.sign(&Checkpoint { root: [1; 32], ..true_one.clone() });
    assert_eq!(check(&log), Err(vec![Flaw::Root { size: 300 }]));
    log.sign(&Checkpoint { size: 0, ..true_one });
    assert_eq!(check(&log), Err(vec![Flaw::Root { size: 0 }]));
}

#[test]
fn a_log_that_went_back_or_changed_its_past_is_found_out() {
    let at = |size| log_of(size).checkpoint().checkpoint().clone();
    let log = log_of(600);
    let remembering = |remembered: Vec<Checkpoint>| check_with(&log, &Options { remembered, ..Options::default() });
    assert!(remembering([0, 1, 255, 256, 257, 512, 599, 600].map(at).to_vec()).is_ok());
    assert_eq!(remembering(vec![at(601)]), Err(vec![Flaw::RolledBack { remembered: 601, size: 600 }]));
    for size in [0, 1, 256, 512, 599, 600] {
        let other = Checkpoint { root: [7; 32], ..at(size) };
        assert_eq!(remembering(vec![at(3), other]), Err(vec![Flaw::Rewritten { size }]));
    }
    let elsewhere = Checkpoint { origin: "example.com/other".to_owned(), ..at(3) };
    assert!(matches!(remembering(vec![elsewhere]).unwrap_err()[..], [Flaw::Remembered { .. }]));
    // A broken tile is not taken for a rewritten log.
    let broken = changed(&log, "tile/0/000", 0);
    let flaws = check_with(&broken, &Options { remembered: vec![at(3)], ..Options::default() }).unwrap_err();
    assert!(flaws.contains(&Flaw::Unproven { size: 3 }) && !flaws.contains(&Flaw::Rewritten { size: 3 }), "{flaws:?}");
}

#[test]
fn a_witness_can_be_demanded() {
    let witness = SigningKey::from_seed("witness.example/w", &[5; 32]).unwrap();
    let mut log = log_of(300);
    let options = Options { witness: Some(witness.verifying_key().cosigner()), ..Options::default() };
    let not_cosigned = check_with(&log, &options).unwrap_err();
    assert!(matches!(not_cosigned[..], [Flaw::NotCosigned { why: BadSignature::Absent, .. }]));
    let note = log.checkpoint();
    let cosigned = note.with_signature(&witness.cosign(&note, 1_700_000_000)).unwrap();
    log.0.insert("checkpoint".to_owned(), cosigned.text().as_bytes().to_vec());
    assert_eq!(check_with(&log, &options).unwrap().checkpoint, cosigned);
}

#[test]
fn a_range_is_checked_up_to_the_root_and_nothing_else_is_read() {
    let whole = log_of(70_000);
    let ranged = |log: &Files, range| {
        let mut read = Vec::new();
        let options = Options { range: Some(range), ..Options::default() };
        let key = log_key().verifying_key();
        let verified = verify(log, &key, &options, &mut |_, _| (), &mut |index, _| read.push(index));
        verified.map(|_| read).map_err(|flaws| flaws.named)
    };
    for range in [0..0, 0..1, 255..257, 300..1_000, 65_535..65_537, 69_999..70_000, 0..70_000] {
        assert_eq!(ranged(&whole, range.clone()), Ok(range.collect()));
    }
    let needed = ["checkpoint", "tile/0/001", "tile/entries/001", "tile/1/000"];
    let mut few = whole.clone();
    few.0.retain(|path, _| needed.contains(&&path[..]) || path.contains(".p/") && !path.contains("entries"));
    assert_eq!(ranged(&few, 300..310), Ok((300..310).collect()));
    for path in needed.iter().skip(1).chain(&["tile/2/000.p/1", "tile/1/001.p/17", "tile/0/273.p/112"]) {
        assert!(ranged(&changed(&few, path, 9), 300..310).is_err(), "{path}");
    }
    let outside = |from, to| Err(vec![Flaw::Range { from, to, size: 70_000 }]);
    assert_eq!(ranged(&whole, 69_999..70_001), outside(69_999, 70_001));
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may ask for")]
    let reversed = ranged(&whole, 5..4);
    assert_eq!(reversed, outside(5, 4));
}

/// As a log may remove partial tiles and bundles once the full ones are there.
#[test]
fn full_files_stand_in_for_partial_ones() {
    let old = log_of(300).0["checkpoint"].clone();
    let mut log = log_of(600);
    log.0.insert("checkpoint".to_owned(), old);
    log.0.retain(|path, _| !path.contains(".p/"));
    log.0.insert("tile/1/000.p/1".to_owned(), log_of(300).0["tile/1/000.p/1"].clone());
    assert_eq!(check(&log).unwrap().size, 300);
}
