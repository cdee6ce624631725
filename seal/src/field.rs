//! The encodings that both formats share: joined fields inside, base64url outside.

use data_encoding::BASE64URL_NOPAD;

use crate::error::OpenError;

/// Each field as its length (u64, big-endian) and its bytes, one after the other.
///
/// Plain joining would let a namespace `a` with name `bc` pass for `ab` with `c`; with lengths, two lists of fields
/// give the same bytes only when they are the same list.
pub(crate) fn join(fields: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(fields.iter().map(|field| 8 + field.len()).sum());
    for field in fields {
        joined.extend_from_slice(&(field.len() as u64).to_be_bytes());
        joined.extend_from_slice(field);
    }
    joined
}

/// Base64url without padding (RFC 4648 §5).
pub(crate) fn to_text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Characters that [`to_text`] makes of `len` bytes.
pub(crate) const fn text_len(len: usize) -> usize {
    (len * 8).div_ceil(6)
}

/// The bytes of a text. Refuses padding, spaces, line ends and stray trailing bits, so that a value has one spelling;
/// looks at the length first, so that a huge text costs nothing.
pub(crate) fn from_text(text: &str, max_text_len: usize) -> Result<Vec<u8>, OpenError> {
    if text.len() > max_text_len {
        return Err(OpenError);
    }
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| OpenError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_joined_bytes() {
        let lists: [&[&[u8]]; 6] = [&[b"a", b"bc"], &[b"ab", b"c"], &[b"abc", b""], &[b"", b"abc"], &[b"abc"], &[]];
        for (i, one) in lists.iter().enumerate() {
            for other in &lists[i + 1..] {
                assert_ne!(join(one), join(other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_text_has_exactly_one_spelling() {
        assert_eq!(to_text(&[0xfb, 0xf0]), "-_A");
        assert_eq!(from_text("-_A", 3).unwrap(), [0xfb, 0xf0]);
        for refused in ["-_A=", "+/A", "-_B", "-_A\n", " -_A", "-_", "-_AA"] {
            assert_eq!(from_text(refused, 3), Err(OpenError), "{refused:?}");
        }
    }

    #[test]
    fn text_len_is_what_to_text_makes() {
        for len in 0..9 {
            assert_eq!(text_len(len), to_text(&vec![0; len]).len());
        }
    }
}
