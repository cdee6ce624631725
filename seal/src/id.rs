//! Ids that are written as hex.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// `N` bytes, written as `2 N` lower-case hex digits. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexId<const N: usize>(pub(crate) [u8; N]);

/// Names a sealing key pair or a key-encryption key: 16 hex digits, computed from the key itself.
pub type KeyId = HexId<8>;

/// Names a cluster for good: 32 hex digits, random, made with the keyset and restored with it.
pub type ClusterId = HexId<16>;

/// A text is not an id of the expected length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is {digits} lower-case hex digits")]
pub struct NotAnId {
    digits: usize,
}

impl<const N: usize> FromStr for HexId<N> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = NotAnId { digits: 2 * N };
        // Before decoding, so that a huge text costs nothing.
        if text.len() != wrong.digits {
            return Err(wrong);
        }
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong)?;
        bytes.try_into().map(Self).map_err(|_| wrong)
    }
}

impl<const N: usize> fmt::Display for HexId<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl<const N: usize> fmt::Debug for HexId<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_exactly_one_spelling() {
        let id: KeyId = "00ff10abcdef0123".parse().unwrap();
        assert_eq!(id.to_string(), "00ff10abcdef0123");
        for refused in [
            "",
            "00ff10abcdef012",
            "00ff10abcdef01234",
            "00FF10ABCDEF0123",
            "00ff10abcdef012g",
            " 0ff10abcdef0123",
            "+0ff10abcdef0123",
        ] {
            assert!(refused.parse::<KeyId>().is_err(), "{refused:?}");
        }
    }
}
