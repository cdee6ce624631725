//! The evidence bundle of an incident: its format, its signature, and checking both with nothing else at hand.
//!
//! A bundle is a tar archive, or a directory with the same files, laid out in `docs/formats.md`. `manifest.json` names every
//! other file with its SHA-256, `manifest.sig` is an Ed25519 signature of the manifest, and each manifest holds the digest of
//! the one before. [`make`] writes one, [`Bundle::read`] refuses whatever is no bundle, [`Bundle::verify`] names what is wrong
//! with one.
//!
//! The crate knows no Kubernetes, no network and no clock.

mod key;
mod make;
mod manifest;
mod name;
mod read;
mod usage;
mod verify;
pub mod wire;

pub use key::{NotAKey, PrivateKey, PublicKey, Signature};
pub use make::{Files, Made, TooLarge, make};
pub use manifest::{Counts, FORMAT, File, Incident, Journal, Maker, Manifest, Missing, Reason, digest};
pub use name::{BundleName, NotABundleName};
pub use read::{Bundle, Unreadable};
pub use usage::{Actor, ConnectionUse, Usage, Use};
pub use verify::{Expected, Fault, Report, Trust};

/// The manifest's place in a bundle.
pub const MANIFEST: &str = "manifest.json";
/// Its signature's.
pub const SIGNATURE: &str = "manifest.sig";
/// The largest bundle, in bytes: what an operator and a recorder can hold in memory beside their work.
pub const MAX_BYTES: usize = 48 * 1024 * 1024;
/// Most files in one.
pub const MAX_FILES: usize = 20_000;
