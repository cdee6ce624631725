//! Other people's implementations of the same formats, as judges of ours.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::super::testing::*;
use super::super::*;

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ct_merkle_has_the_same_roots_and_proofs(size in 1..600_u64, index: u64, old: u64) {
        let (index, old) = (index % size, old % size + 1);
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        (0..size).for_each(|index| theirs.push(index.to_be_bytes().to_vec()));
        let ours = Kept::tree(&(0..size).map(leaf).collect::<Vec<_>>());
        prop_assert_eq!(root_at(size, &ours).unwrap().to_vec(), theirs.root().as_bytes().to_vec());
        let proof = inclusion_proof(index, size, &ours).unwrap();
        let place = usize::try_from(index).unwrap();
        prop_assert_eq!(bytes(&proof), theirs.prove_inclusion(place).as_bytes().to_vec());
        let proof = consistency_proof(old, size, &ours).unwrap();
        let added = usize::try_from(size - old).unwrap();
        prop_assert_eq!(bytes(&proof), theirs.prove_consistency(added).as_bytes().to_vec());
    }

    #[test]
    fn tlog_tiles_reads_our_checkpoints(size: u64, root: [u8; 32]) {
        let ours = Checkpoint { origin: "example.com/log".to_owned(), size, root };
        let theirs = tlog_tiles::Checkpoint::from_bytes(ours.to_string().as_bytes()).unwrap();
        prop_assert_eq!(theirs.origin(), &ours.origin);
        prop_assert_eq!(theirs.size(), size);
        prop_assert_eq!(theirs.hash().0, root);
    }
}

/// Whether the Rust port of Go's package accepts a note signed by the log.
fn accepted(text: &str) -> bool {
    use signed_note::{Note, StandardVerifier, VerifierList};
    let verifier = StandardVerifier::new(&log_key().verifying_key().to_string()).unwrap();
    Note::from_bytes(text.as_bytes())
        .is_ok_and(|note| note.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok())
}

#[test]
fn signed_note_accepts_and_refuses_what_we_do() {
    let good = log_key().sign(&Checkpoint { origin: "example.com/log".to_owned(), size: 70_000, root: [7; 32] });
    let key = log_key().verifying_key();
    let ours = |text: &str| SignedCheckpoint::parse(text).is_ok_and(|note| note.verify(&key).is_ok());
    assert!(accepted(&good) && ours(&good));
    let witness = SigningKey::from_seed("witness.example/w", &[5; 32]).unwrap();
    let note = SignedCheckpoint::parse(&good).unwrap();
    let cosigned = note.with_signature(&witness.cosign(&note, 1_700_000_000)).unwrap();
    assert!(accepted(cosigned.text()) && ours(cosigned.text()));
    for place in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[place] ^= 2;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(!accepted(&text) && !ours(&text), "{place}");
    }
}

#[test]
fn signed_note_writes_what_we_verify() {
    use signed_note::{Note, Signer, StandardSigner};
    let key = log_key().verifying_key();
    let id: String = data_encoding::HEXLOWER.encode(&key.id());
    let seed = text::base64(&[&[1][..], &[1; 32]].concat());
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{}+{id}+{seed}", key.name())).unwrap();
    let checkpoint = Checkpoint { origin: key.name().to_owned(), size: 3, root: [3; 32] };
    let mut note = Note::new(checkpoint.to_string().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer as &dyn Signer]).unwrap();
    let theirs = String::from_utf8(note.to_bytes()).unwrap();
    // Ed25519 is deterministic.
    assert_eq!(theirs, log_key().sign(&checkpoint));
}
