//! Plaintext that was opened.

use std::str::Utf8Error;

use secrecy::{ExposeSecret, SecretBox};

use crate::error::SealError;

/// Longest secret either format takes, in bytes. Refresh tokens and keys stay under 3 KiB.
pub const MAX_SECRET_LEN: usize = 8192;

/// Opened bytes: wiped on drop, redacted in `Debug`. Unlike `secrecy`'s slice and string it cannot be cloned.
#[derive(Debug)]
pub struct Secret(SecretBox<[u8]>);

impl Secret {
    /// Copies into an allocation of exactly the right size; growing or shrinking one would leave plaintext behind.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self(SecretBox::new(bytes.into()))
    }

    /// The bytes. Lend them on; do not keep copies.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// When they are not UTF-8; the error holds a position, no content.
    pub fn expose_text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.expose())
    }
}

pub(crate) fn check_len(secret: &[u8]) -> Result<(), SealError> {
    match secret.len() {
        0 => Err(SealError::Empty),
        1..=MAX_SECRET_LEN => Ok(()),
        _ => Err(SealError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_content_nor_length() {
        let shown = |bytes| format!("{:?}", Secret::copy_of(bytes));
        assert!(shown(b"hunter2").contains("REDACTED"));
        assert_eq!(shown(b"hunter2"), shown(b"a longer one"));
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(Secret::copy_of(b"abc").expose_text(), Ok("abc"));
        assert!(Secret::copy_of(&[0xff]).expose_text().is_err());
    }
}
