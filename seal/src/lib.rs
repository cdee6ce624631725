//! Turns credentials into ciphertext and back.
//!
//! Two formats, both laid out byte by byte in `docs/formats.md`:
//!
//! - **input** ([`seal_input`], [`open_input`]): anyone who has a public key seals, only the operator opens.
//! - **stored** ([`Keyset::seal`], [`Keyset::open`]): the operator seals what OpenTeam keeps, operator and gateway open.
//!
//! Both bind the ciphertext to the object and field it was made for, and opening fails with one error that says
//! nothing about why ([`OpenError`]). The crate knows no Kubernetes, no clock and no file; randomness is the
//! operating system's, and every function that draws it panics when there is none, as TLS in the same process would.

mod admission;
mod error;
mod field;
#[cfg(test)]
mod hpke_vectors;
mod id;
mod input;
mod keyset;
mod primitive;
mod sealing_key;
mod secret;
mod stored;
#[cfg(test)]
mod vectors;
mod wrap;

pub use admission::{Admission, MAX_CLOCK_LEAD_MS, admit};
pub use error::{OpenError, SealError};
pub use id::{ClusterId, HexId, KeyId, NotAnId};
pub use input::{Binding, MAX_INPUT_TEXT_LEN, OpenedInput, input_key_id, open_input, seal_input};
pub use keyset::{Keyset, KeysetError};
pub use sealing_key::{PrivateKey, PrivateKeyError, PublicKey, PublicKeyError};
pub use secret::{MAX_SECRET_LEN, Secret};
pub use stored::{MAX_DATA_TEXT_LEN, Sealed, StoredBinding};
pub use wrap::{WRAP_TEXT_LEN, wrap_key_id};
