//! The code that is mailed: 8 characters of 32, 40 bits.

use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::{Keys, NoRandomness, Purpose, random};

/// Crockford's base32: without letters that are taken for others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 8;

/// A code, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code(Zeroizing<String>);

impl Code {
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        let random = random()?;
        Ok(Self(Zeroizing::new(
            random[..LENGTH].iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect(),
        )))
    }

    /// What somebody entered: in any case, with spaces or hyphens, and with letters that look like others.
    pub(crate) fn read(entered: &str) -> Option<Self> {
        let mut code = Zeroizing::new(String::with_capacity(LENGTH));
        for letter in entered.chars().filter(|letter| !letter.is_whitespace() && *letter != '-') {
            let letter = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            if code.len() == LENGTH || !letter.is_ascii() || !ALPHABET.contains(&(letter as u8)) {
                return None;
            }
            code.push(letter);
        }
        (code.len() == LENGTH).then_some(Self(code))
    }

    /// As people read it: `ABCD-EFGH`.
    pub(crate) fn shown(&self) -> Zeroizing<String> {
        let (first, last) = self.0.split_at(LENGTH / 2);
        Zeroizing::new(format!("{first}-{last}"))
    }

    /// What is kept of it, bound to the browser that asked.
    pub(crate) fn hash(&self, keys: &Keys, browser: &str) -> String {
        let value = Zeroizing::new(format!("{browser}\0{}", *self.0));
        HEXLOWER.encode(&keys.mac(Purpose::Code, value.as_bytes()))
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}

/// Compares what was kept with what was entered, in constant time.
pub(super) fn same(kept: &str, entered: &str) -> bool {
    kept.as_bytes().ct_eq(entered.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Code::read("ABCD-EFG0").unwrap();
        for typed in ["abcdefg0", " AbCd efgO ", "abcd - efg0", "a-b-c-d-e-f-g-0"] {
            assert_eq!(Code::read(typed), Some(code.clone()), "{typed}");
        }
        assert_eq!(Code::read("il000000"), Code::read("11000000"));
        for wrong in ["", "ABCD", "ABCDEFGHJ", "ABCDEFGU", "ABCDEFG!", "ÄBCDEFGH", "ABCD\u{301}EFG"] {
            assert_eq!(Code::read(wrong), None, "{wrong}");
        }
        assert_eq!(*code.shown(), "ABCD-EFG0");
        assert_eq!(format!("{code:?}"), "Code");
    }

    #[test]
    fn codes_are_random_and_use_all_letters() {
        let codes: std::collections::BTreeSet<String> =
            (0..500).map(|_| Code::new().unwrap().shown().to_string()).collect();
        assert_eq!(codes.len(), 500);
        let letters: std::collections::BTreeSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(letters.len(), 33, "32 and the hyphen");
    }

    #[test]
    fn what_is_kept_depends_on_code_browser_and_key() {
        let (code, other) = (Code::read("ABCDEFGH").unwrap(), Code::read("ABCDEFGJ").unwrap());
        let kept = code.hash(&Keys::of(1), "browser");
        assert!(same(&kept, &code.hash(&Keys::of(1), "browser")));
        for differs in
            [other.hash(&Keys::of(1), "browser"), code.hash(&Keys::of(2), "browser"), code.hash(&Keys::of(1), "other")]
        {
            assert!(!same(&kept, &differs));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_entered_is_a_code_of_the_alphabet_or_none(text in "\\PC{0,20}", close in "[0-9A-Za-z \u{a0}-]{8,12}") {
            for text in [text, close] {
                if let Some(code) = Code::read(&text) {
                    prop_assert!(code.0.len() == LENGTH && code.0.bytes().all(|letter| ALPHABET.contains(&letter)));
                    prop_assert_eq!(Code::read(&code.shown()), Some(code));
                }
            }
        }
    }
}
