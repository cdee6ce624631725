//! Numbers and hashes as the texts of a log write them, each in one way only.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::Hash;

/// A decimal number without sign and without a zero in front.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    text.parse().ok().filter(|_| canonical)
}

/// A hash in padded base64 (RFC 4648 §4).
pub(super) fn hash(text: &str) -> Option<Hash> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// The same, written.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The bytes of padded base64.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// Most hashes in a proof: a tree of 2⁶⁴ leaves has no more levels below its root (c2sp.org/tlog-witness says 63).
pub(super) const MAX_PROOF_HASHES: usize = 63;

/// The lines of hashes up to the first empty line, and what follows it.
pub(super) fn hashes(text: &str) -> Option<(Vec<Hash>, &str)> {
    let mut proof = Vec::new();
    let mut rest = text;
    loop {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        if line.is_empty() {
            return Some((proof, rest));
        }
        if proof.len() == MAX_PROOF_HASHES {
            return None;
        }
        proof.push(hash(line)?);
    }
}
