//! Entry bundles: up to 256 entries, each as its length in two bytes, big-endian, and its bytes (c2sp.org/tlog-tiles).

use thiserror::Error;

/// Bytes that do not end where an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the entry bundle ends within an entry")]
pub struct NotABundle;

/// Appends an entry; says false, and appends nothing, if it is longer than 65,535 bytes.
#[must_use]
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    bundle.extend(length.to_be_bytes());
    bundle.extend(entry);
    true
}

/// The entries of a bundle, in order.
///
/// # Errors
/// [`NotABundle`] if it is cut.
pub fn entries(bundle: &[u8]) -> Result<Vec<&[u8]>, NotABundle> {
    let mut found = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(NotABundle)?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(NotABundle)?;
        found.push(entry);
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order() {
        let mut bundle = Vec::new();
        let longest = vec![7; 65_535];
        for entry in [&b"one"[..], b"", &longest] {
            assert!(push_entry(&mut bundle, entry));
        }
        assert!(!push_entry(&mut bundle, &[0; 65_536]));
        assert_eq!(bundle[..5], *b"\0\x03one");
        assert_eq!(entries(&bundle).unwrap(), [&b"one"[..], b"", &longest]);
        assert!(entries(b"").unwrap().is_empty());
    }

    #[test]
    fn a_cut_bundle_is_none() {
        let mut bundle = Vec::new();
        assert!(push_entry(&mut bundle, b"entry"));
        for length in 1..bundle.len() {
            assert_eq!(entries(&bundle[..length]), Err(NotABundle), "{length}");
        }
    }
}
