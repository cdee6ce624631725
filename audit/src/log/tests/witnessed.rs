//! What a witness cosigns and what it refuses, and receipts.

use super::super::testing::*;
use super::super::*;

/// The log's checkpoint at a size, and how it got there from an older one.
fn grown(old: u64, size: u64) -> (SignedCheckpoint, Vec<Hash>) {
    let log = log_of(size);
    (log.checkpoint(), consistency_proof(old, size, &StoredTiles(&log)).unwrap())
}

fn asked(remembered: Option<u64>, old: u64, proof: &[Hash], note: &SignedCheckpoint) -> Result<Checkpoint, AddRefused> {
    let last = remembered.map(|size| log_of(size).checkpoint().checkpoint().clone());
    add_checkpoint(last.as_ref(), old, proof, note, &log_key().verifying_key())
}

#[test]
fn a_log_that_grows_is_cosigned() {
    for (old, size) in [(0, 0), (0, 1), (0, 300), (1, 2), (3, 300), (256, 300), (299, 300), (300, 300)] {
        let (note, proof) = grown(old, size);
        let remembered = if old == 0 { None } else { Some(old) };
        assert_eq!(asked(remembered, old, &proof, &note).as_ref(), Ok(note.checkpoint()), "{old} {size}");
    }
    // A log that was empty when it was seen first.
    let (note, proof) = grown(0, 5);
    assert!(asked(Some(0), 0, &proof, &note).is_ok());
}

#[test]
fn what_does_not_extend_the_last_checkpoint_is_refused() {
    let (note, proof) = grown(100, 300);
    let key = log_key().verifying_key();
    let status = |refused: Result<Checkpoint, AddRefused>| refused.unwrap_err().status();
    assert_eq!(asked(Some(200), 100, &proof, &note), Err(AddRefused::Conflict { size: 200 }));
    assert_eq!(asked(None, 100, &proof, &note), Err(AddRefused::Conflict { size: 0 }));
    assert_eq!(asked(Some(100), 0, &[], &note), Err(AddRefused::Conflict { size: 100 }));
    assert_eq!(status(asked(Some(200), 100, &proof, &note)), 409);
    assert_eq!(asked(Some(100), 301, &proof, &note), Err(AddRefused::OldAbove));
    assert_eq!(status(asked(Some(301), 301, &proof, &note)), 400);
    assert_eq!(asked(Some(100), 100, &[], &note), Err(AddRefused::Proof));
    assert_eq!(asked(Some(100), 100, &proof[1..], &note), Err(AddRefused::Proof));
    assert_eq!(asked(None, 0, &proof, &note), Err(AddRefused::Proof));
    assert_eq!(status(asked(None, 0, &proof, &note)), 422);
    // The log went on from another history.
    let other = Checkpoint { origin: key.name().to_owned(), size: 100, root: [7; 32] };
    assert_eq!(add_checkpoint(Some(&other), 100, &proof, &note, &key), Err(AddRefused::Proof));
    // It shows two roots for one size.
    let other = Checkpoint { size: 300, ..other };
    assert_eq!(add_checkpoint(Some(&other), 300, &[], &note, &key), Err(AddRefused::Conflict { size: 300 }));
    // An empty log has one root only.
    let empty = Checkpoint { size: 0, ..other };
    let empty = SignedCheckpoint::parse(&log_key().sign(&empty)).unwrap();
    assert!(add_checkpoint(None, 0, &[], &empty, &key).is_err());
}

#[test]
fn what_the_log_did_not_sign_is_refused() {
    let (note, proof) = grown(0, 300);
    let refused = |key: &SigningKey| add_checkpoint(None, 0, &proof, &note, &key.verifying_key()).unwrap_err();
    let stranger = SigningKey::from_seed("example.com/log", &[9; 32]).unwrap();
    assert_eq!((refused(&stranger), refused(&stranger).status()), (AddRefused::Signature, 403));
    let elsewhere = SigningKey::from_seed("example.com/other", &[1; 32]).unwrap();
    assert_eq!((refused(&elsewhere), refused(&elsewhere).status()), (AddRefused::UnknownOrigin, 404));
    let other = Checkpoint { origin: "example.com/other".to_owned(), size: 0, root: EMPTY_ROOT };
    let key = log_key().verifying_key();
    assert_eq!(add_checkpoint(Some(&other), 0, &proof, &note, &key), Err(AddRefused::UnknownOrigin));
}

#[test]
fn a_request_is_written_and_read() {
    let (note, proof) = grown(100, 300);
    let request = AddCheckpoint { old: 100, proof, note };
    let text = request.to_string();
    assert!(text.starts_with("old 100\n"));
    assert_eq!(AddCheckpoint::parse(&text), Ok(request.clone()));
    let hash = text.lines().nth(1).unwrap();
    let many = AddCheckpoint { proof: vec![[1; 32]; 63], ..request.clone() };
    assert!(AddCheckpoint::parse(&many.to_string()).is_ok());
    let too_many = AddCheckpoint { proof: vec![[1; 32]; 64], ..request };
    for bad in [
        String::new(),
        too_many.to_string(),
        text.replace("old 100", "old 0100"),
        text.replace("old 100", "old -1"),
        text.replace("old 100", "old  100"),
        text.replace("old 100", "size 100"),
        text.replacen('\n', "\r\n", 1),
        text.replacen("\n\n", "\n", 1),
        text.replace(hash, &hash[4..]),
        text.replace(hash, &hash.replace('=', "")),
        text.trim_end().to_owned(),
    ] {
        assert_eq!(AddCheckpoint::parse(&bad), Err(AddRefused::Malformed), "{bad:?}");
    }
    assert_eq!(AddRefused::Malformed.status(), 400);
}

fn receipt(index: u64, size: u64) -> Receipt {
    let log = log_of(size);
    Receipt { index, proof: inclusion_proof(index, size, &StoredTiles(&log)).unwrap(), checkpoint: log.checkpoint() }
}

#[test]
fn a_receipt_proves_its_entry_and_no_other() {
    let key = log_key().verifying_key();
    for (index, size) in [(0, 1), (0, 300), (299, 300), (256, 300), (255, 256)] {
        let receipt = receipt(index, size);
        assert_eq!(receipt.verify(&entry_text(index), &key, None), Ok(()));
        assert_eq!(receipt.verify(&entry_text(index + 1), &key, None), Err(BadReceipt::Entry));
        let moved = Receipt { index: index + 1, ..receipt.clone() };
        assert_eq!(moved.verify(&entry_text(index), &key, None), Err(BadReceipt::Entry));
        assert_eq!(Receipt::parse(&receipt.to_string()), Ok(receipt));
    }
    let stranger = SigningKey::from_seed("example.com/log", &[9; 32]).unwrap().verifying_key();
    let unsigned = receipt(0, 1).verify(&entry_text(0), &stranger, None);
    assert_eq!(unsigned, Err(BadReceipt::Log(BadSignature::Absent)));
}

#[test]
fn a_receipt_may_have_to_be_witnessed() {
    let (key, mut receipt) = (log_key().verifying_key(), receipt(7, 300));
    let witness = SigningKey::from_seed("witness.example/w", &[5; 32]).unwrap();
    let cosigner = witness.verifying_key().cosigner();
    let unwitnessed = receipt.verify(&entry_text(7), &key, Some(&cosigner));
    assert_eq!(unwitnessed, Err(BadReceipt::Witness(BadSignature::Absent)));
    receipt.checkpoint = receipt.checkpoint.with_signature(&witness.cosign(&receipt.checkpoint, 5)).unwrap();
    assert_eq!(receipt.verify(&entry_text(7), &key, Some(&cosigner)), Ok(()));
}

#[test]
fn what_is_no_receipt_is_refused() {
    let text = receipt(7, 300).to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 7\n"));
    let extra = text.replacen("index", "extra AAAA\nindex", 1);
    assert_eq!(Receipt::parse(&extra), Receipt::parse(&text));
    for bad in [
        text.replace("@v1", "@v2"),
        text.replace("index 7", "index 07"),
        text.replace("index 7", "index"),
        text.replacen("index", "extra A\nindex", 1),
        text.replacen("index", "extra AAAA\nextra AAAA\nindex", 1),
        text.replacen("\n\n", "\n", 1),
        format!(" {text}"),
    ] {
        assert_eq!(Receipt::parse(&bad), Err(NotAReceipt), "{bad:?}");
    }
}
