//! The two ways sealing and opening fail.

use crate::secret::MAX_SECRET_LEN;

/// A sealed value did not open.
///
/// Deliberately without detail: whether text, key, binding or tag was wrong would help only who is probing. The
/// caller names the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed value does not open")]
pub struct OpenError;

/// A secret cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Nothing was given.
    #[error("secret to seal is empty")]
    Empty,
    /// More than [`MAX_SECRET_LEN`] bytes were given.
    #[error("secret to seal is longer than {MAX_SECRET_LEN} bytes")]
    TooLong,
}
