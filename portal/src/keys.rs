//! The portal's keys, and what is made with them.

use std::{
    io,
    path::{Path, PathBuf},
};

use audit::DigestKey;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a PortalUser's name before they are written in hexadecimal digits.
pub(crate) const NAME_BYTES: usize = 16;
/// Bytes of what proves that the portal made a cookie.
pub(crate) const TAG_BYTES: usize = 16;

/// What an HMAC is for: none stands for another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The name of a PortalUser.
    UserName,
    /// A sign-in code.
    Code,
    /// The cookie of a session.
    Session,
    /// The cookie of a browser that asked for a code.
    Login,
    /// The cookie of a known browser.
    Browser,
    /// The `state` of a consent.
    Consent,
    /// A network, in a PortalUser.
    Network,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::UserName => b"user-name\0",
            Self::Code => b"code\0",
            Self::Session => b"session\0",
            Self::Login => b"login\0",
            Self::Browser => b"browser\0",
            Self::Consent => b"consent\0",
            Self::Network => b"network\0",
        }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read.
    #[error("{path} cannot be read: the operator makes Secret openteam-portal, is it mounted?")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not of 32 bytes.
    #[error("{0} is not a key of 32 bytes")]
    Length(PathBuf),
}

/// The portal's keys.
pub(crate) struct Keys {
    portal: Zeroizing<[u8; 32]>,
    /// Digests of e-mail addresses in events, as gateways make them.
    pub(crate) digests: DigestKey,
}

impl Keys {
    /// Reads `portal.key` and `digest.key`.
    pub(crate) fn read(directory: &Path) -> Result<Self, KeysError> {
        let digests = DigestKey::new(*read(&directory.join("digest.key"))?);
        Ok(Self { portal: read(&directory.join("portal.key"))?, digests })
    }

    #[cfg(test)]
    pub(crate) fn of(byte: u8) -> Self {
        Self { portal: Zeroizing::new([byte; 32]), digests: DigestKey::new([byte; 32]) }
    }

    /// HMAC-SHA-256 (RFC 2104) under the portal's key.
    pub(crate) fn mac(&self, purpose: Purpose, value: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.portal).expect("HMAC takes a key of any length");
        mac.update(purpose.label());
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    /// What stands for a network in a PortalUser.
    pub(crate) fn network(&self, network: std::net::IpAddr) -> String {
        HEXLOWER.encode(&self.mac(Purpose::Network, network.to_string().as_bytes())[..NAME_BYTES])
    }

    /// The name of the PortalUser of an address in lower case: nobody finds an address by it, or a name for one.
    pub(crate) fn user_name(&self, email: &str) -> String {
        HEXLOWER.encode(&self.mac(Purpose::UserName, email.as_bytes())[..NAME_BYTES])
    }
}

fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let bytes = std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| KeysError::Unreadable { path: path.into(), source })?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeysError::Length(path.into()))?;
    Ok(Zeroizing::new(key))
}

/// SHA-256 of a secret of 256 bits, in hexadecimal digits: what of it is kept.
pub(crate) fn hash(secret: &[u8; 32]) -> String {
    HEXLOWER.encode(&Sha256::digest(secret))
}

/// 32 bytes of the operating system's randomness.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub(crate) struct NoRandomness;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_made_for_one_purpose_serves_another() {
        use Purpose::*;
        let keys = Keys::of(1);
        let all = [UserName, Code, Session, Login, Browser, Consent, Network].map(|purpose| keys.mac(purpose, b"same"));
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
        assert_ne!(Keys::of(2).user_name("ada@acme.example"), keys.user_name("ada@acme.example"));
        assert!(crds::is_name(&keys.user_name("ada@acme.example")));
    }

    #[test]
    fn keys_are_of_32_bytes_and_an_error_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let error = || Keys::read(directory.path()).map(drop).unwrap_err().to_string();
        assert!(error().contains("digest.key cannot be read"), "{}", error());
        std::fs::write(directory.path().join("digest.key"), [1; 32]).unwrap();
        std::fs::write(directory.path().join("portal.key"), [1; 31]).unwrap();
        assert!(error().contains("portal.key is not a key"), "{}", error());
        std::fs::write(directory.path().join("portal.key"), [1; 32]).unwrap();
        assert_eq!(Keys::read(directory.path()).unwrap().user_name("a"), Keys::of(1).user_name("a"));
    }
}
