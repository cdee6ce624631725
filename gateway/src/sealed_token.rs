//! The access token that `/auth/o2/token` answers with: the caller's own token and the connection it is for, sealed.
//!
//! All replicas derive the same key from the keyset, so any of them opens it; none keeps anything. Inside is the
//! caller's token, which is checked anew at every use: what is sealed here opens nothing by itself.
//!
//! `otga_` and base64url of: key id[8] ‖ day u32 BE ‖ nonce[12] ‖ AES-256-GCM(expiry u64 BE ‖ len u16 BE ‖ namespace ‖
//! len u16 BE ‖ name ‖ token), with key id and day as associated data.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use crds::NamespacedReference;
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use seal::Keyset;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

const PREFIX: &str = "otga_";
const KEY_ID: usize = 8;
const HEADER: usize = KEY_ID + 4;
const NONCE: usize = 12;
/// Longest text; a ServiceAccount token is about 1 KiB.
const LONGEST: usize = 16 * 1024;

/// What a sealed token holds.
pub(crate) struct Grant {
    /// The connection it is good for, and no other.
    pub(crate) connection: NamespacedReference,
    /// The caller's own token.
    pub(crate) token: SecretString,
    /// When it ends, which is no later than the caller's token does.
    pub(crate) expires_at: Timestamp,
}

/// Not one of our tokens, changed, or of another cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOurs;

/// Whether a credential claims to be one of these.
pub(crate) fn looks_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Seals a grant. `None` only if the names are absurdly long or the system has no randomness.
pub(crate) fn seal(keyset: &Keyset, grant: &Grant, now: Timestamp) -> Option<SecretString> {
    let id = keyset.active_id();
    let day = u32::try_from(now.as_second() / 86_400).ok()?;
    let mut header = Vec::with_capacity(HEADER);
    header.extend(data_encoding::HEXLOWER.decode(id.to_string().as_bytes()).ok()?);
    header.extend(day.to_be_bytes());
    let mut plain = Zeroizing::new(Vec::new());
    plain.extend(u64::try_from(grant.expires_at.as_second()).ok()?.to_be_bytes());
    for part in [&grant.connection.namespace, &grant.connection.name] {
        plain.extend(u16::try_from(part.len()).ok()?.to_be_bytes());
        plain.extend(part.as_bytes());
    }
    plain.extend(grant.token.expose_secret().as_bytes());
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).ok()?;
    let sealed = cipher(keyset, id, day)?.encrypt(&nonce.into(), Payload { msg: &plain, aad: &header }).ok()?;
    let bytes = [header.as_slice(), &nonce, &sealed].concat();
    Some(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)).into())
}

/// Opens what [`seal`] made.
pub(crate) fn open(keyset: &Keyset, text: &str) -> Result<Grant, NotOurs> {
    let encoded = text.strip_prefix(PREFIX).filter(|text| text.len() <= LONGEST).ok_or(NotOurs)?;
    let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| NotOurs)?;
    let (header, rest) = bytes.split_at_checked(HEADER).ok_or(NotOurs)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(NotOurs)?;
    let id = data_encoding::HEXLOWER.encode(&header[..KEY_ID]).parse().map_err(|_| NotOurs)?;
    let day = u32::from_be_bytes(header[KEY_ID..].try_into().map_err(|_| NotOurs)?);
    let plain = cipher(keyset, id, day)
        .ok_or(NotOurs)?
        .decrypt(&(*nonce).into(), Payload { msg: sealed, aad: header })
        .map_err(|_| NotOurs)?;
    let plain = Zeroizing::new(plain);
    parse(&plain).ok_or(NotOurs)
}

fn parse(plain: &[u8]) -> Option<Grant> {
    let (expiry, rest) = plain.split_first_chunk::<8>()?;
    let (namespace, rest) = text(rest)?;
    let (name, token) = text(rest)?;
    Some(Grant {
        connection: NamespacedReference { namespace, name },
        token: std::str::from_utf8(token).ok()?.into(),
        expires_at: Timestamp::from_second(i64::try_from(u64::from_be_bytes(*expiry)).ok()?).ok()?,
    })
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

/// One key a day, so that random nonces never come near repeating under one key.
fn cipher(keyset: &Keyset, id: seal::KeyId, day: u32) -> Option<Aes256Gcm> {
    let key = keyset.derive(&format!("openteam.dev/gateway-access-token/v1/{day}"), id)?;
    Aes256Gcm::new_from_slice(key.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            connection: NamespacedReference { namespace: "acme".into(), name: "acme-na".into() },
            token: "a.caller's.token".into(),
            expires_at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_799_996_400).unwrap()
    }

    #[test]
    fn any_replica_with_the_keyset_opens_it() {
        let keyset = Keyset::generate(0);
        let other_replica = Keyset::parse(keyset.to_json().expose_secret()).unwrap();
        let text = seal(&keyset, &grant(), now()).unwrap();
        let opened = open(&other_replica, text.expose_secret()).ok().unwrap();
        assert_eq!(opened.connection, grant().connection);
        assert_eq!(opened.token.expose_secret(), grant().token.expose_secret());
        assert_eq!(opened.expires_at, grant().expires_at);
    }

    #[test]
    fn a_changed_or_foreign_one_does_not_open() {
        let keyset = Keyset::generate(0);
        let text = seal(&keyset, &grant(), now()).unwrap();
        let text = text.expose_secret();
        assert!(open(&Keyset::generate(0), text).is_err());
        for at in PREFIX.len()..text.len() {
            let mut changed = text.to_owned();
            let other = if &changed[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert!(open(&keyset, &changed).is_err(), "character {at}");
        }
        for length in 0..text.len() {
            assert!(open(&keyset, &text[..length]).is_err(), "length {length}");
        }
        assert!(open(&keyset, &format!("{PREFIX}{}", "A".repeat(LONGEST + 1))).is_err());
    }

    #[test]
    fn it_does_not_show_what_is_inside() {
        let text = seal(&Keyset::generate(0), &grant(), now()).unwrap();
        let bytes = BASE64URL_NOPAD.decode(&text.expose_secret().as_bytes()[PREFIX.len()..]).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"caller" || window == b"acme-n"));
    }
}
