//! The access token that `/auth/o2/token` answers with: the caller's own token and the connection it is for, sealed.
//!
//! All replicas derive the same key from the keyset, so any of them opens it; none keeps anything. Inside is the
//! caller's token, which is checked anew at every use: what is sealed here opens nothing by itself.
//!
//! `otga_` and base64url of: key id[8] ‖ day u32 BE ‖ nonce[12] ‖ AES-256-GCM(expiry u64 BE ‖ len u16 BE ‖ namespace ‖
//! len u16 BE ‖ name ‖ token), with key id and day as associated data.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use crds::NamespacedReference;
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use seal::{KeyId, Keyset};
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

/// Keys kept ready: today's and yesterday's, of the keyset's few keys.
const MOST_CIPHERS: usize = 16;

/// Seals and opens grants.
pub(crate) struct SealedTokens {
    keyset: Arc<Keyset>,
    /// Of keys that have opened or sealed something; a stranger's text must not push them out.
    ciphers: Mutex<HashMap<(KeyId, u32), Arc<Aes256Gcm>>>,
}

impl SealedTokens {
    pub(crate) fn new(keyset: Arc<Keyset>) -> Self {
        Self { keyset, ciphers: Mutex::default() }
    }

    /// Seals a grant. `None` only if the names are absurdly long or the system has no randomness.
    pub(crate) fn seal(&self, grant: &Grant, now: Timestamp) -> Option<SecretString> {
        let id = self.keyset.active_id();
        let day = u32::try_from(now.as_second() / 86_400).ok()?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(data_encoding::HEXLOWER.decode(id.to_string().as_bytes()).ok()?);
        header.extend(day.to_be_bytes());
        let mut plain = Zeroizing::new(Vec::with_capacity(plain_len(grant)));
        plain.extend(u64::try_from(grant.expires_at.as_second()).ok()?.to_be_bytes());
        for part in [&grant.connection.namespace, &grant.connection.name] {
            plain.extend(u16::try_from(part.len()).ok()?.to_be_bytes());
            plain.extend(part.as_bytes());
        }
        plain.extend(grant.token.expose_secret().as_bytes());
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let cipher = self.cipher(id, day)?;
        let sealed = cipher.encrypt(&nonce.into(), Payload { msg: &plain, aad: &header }).ok()?;
        self.keep(id, day, cipher);
        let bytes = [header.as_slice(), &nonce, &sealed].concat();
        Some(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)).into())
    }

    /// Opens what [`SealedTokens::seal`] made.
    pub(crate) fn open(&self, text: &str) -> Result<Grant, NotOurs> {
        let encoded = text.strip_prefix(PREFIX).filter(|text| text.len() <= LONGEST).ok_or(NotOurs)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| NotOurs)?;
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(NotOurs)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(NotOurs)?;
        let id = data_encoding::HEXLOWER.encode(&header[..KEY_ID]).parse().map_err(|_| NotOurs)?;
        let day = u32::from_be_bytes(header[KEY_ID..].try_into().map_err(|_| NotOurs)?);
        let cipher = self.cipher(id, day).ok_or(NotOurs)?;
        let plain = cipher.decrypt(&(*nonce).into(), Payload { msg: sealed, aad: header }).map_err(|_| NotOurs)?;
        self.keep(id, day, cipher);
        let plain = Zeroizing::new(plain);
        parse(&plain).ok_or(NotOurs)
    }

    /// One key a day, so that random nonces never come near repeating under one key.
    fn cipher(&self, id: KeyId, day: u32) -> Option<Arc<Aes256Gcm>> {
        if let Some(kept) = self.kept().get(&(id, day)) {
            return Some(kept.clone());
        }
        let key = self.keyset.derive(&format!("openteam.dev/gateway-access-token/v1/{day}"), id)?;
        Some(Arc::new(Aes256Gcm::new_from_slice(key.as_slice()).ok()?))
    }

    fn keep(&self, id: KeyId, day: u32, cipher: Arc<Aes256Gcm>) {
        let mut kept = self.kept();
        if kept.contains_key(&(id, day)) {
            return;
        }
        if kept.len() >= MOST_CIPHERS {
            kept.clear();
        }
        kept.insert((id, day), cipher);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<(KeyId, u32), Arc<Aes256Gcm>>> {
        self.ciphers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for all of it, so that it does not grow and leave a token in freed memory.
fn plain_len(grant: &Grant) -> usize {
    let Grant { connection, token, .. } = grant;
    8 + 2 + connection.namespace.len() + 2 + connection.name.len() + token.expose_secret().len()
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

    fn new() -> SealedTokens {
        SealedTokens::new(Arc::new(Keyset::generate(0)))
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_799_996_400).unwrap()
    }

    #[test]
    fn any_replica_with_the_keyset_opens_it() {
        let keyset = Arc::new(Keyset::generate(0));
        let other_replica = Keyset::parse(keyset.to_json().expose_secret()).unwrap();
        let text = SealedTokens::new(keyset).seal(&grant(), now()).unwrap();
        let opened = SealedTokens::new(Arc::new(other_replica)).open(text.expose_secret()).ok().unwrap();
        assert_eq!(opened.connection, grant().connection);
        assert_eq!(opened.token.expose_secret(), grant().token.expose_secret());
        assert_eq!(opened.expires_at, grant().expires_at);
    }

    #[test]
    fn a_changed_or_foreign_one_does_not_open() {
        let tokens = new();
        let text = tokens.seal(&grant(), now()).unwrap();
        let text = text.expose_secret();
        assert!(new().open(text).is_err());
        for at in PREFIX.len()..text.len() {
            let mut changed = text.to_owned();
            let other = if &changed[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert!(tokens.open(&changed).is_err(), "character {at}");
        }
        for length in 0..text.len() {
            assert!(tokens.open(&text[..length]).is_err(), "length {length}");
        }
        assert!(tokens.open(&format!("{PREFIX}{}", "A".repeat(LONGEST + 1))).is_err());
    }

    #[test]
    fn only_keys_that_opened_something_are_kept_and_not_for_ever() {
        let tokens = new();
        let text = tokens.seal(&grant(), now()).unwrap();
        assert_eq!(tokens.kept().len(), 1);
        for day in 0..100_u32 {
            // A stranger knows the key's id, which every token shows, and can name any day.
            let mut bytes = BASE64URL_NOPAD.decode(&text.expose_secret().as_bytes()[PREFIX.len()..]).unwrap();
            bytes[KEY_ID..HEADER].copy_from_slice(&day.to_be_bytes());
            assert!(tokens.open(&format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))).is_err());
        }
        assert_eq!(tokens.kept().len(), 1);
        for day in 1..100 {
            let then = Timestamp::from_second(now().as_second() + day * 86_400).unwrap();
            tokens.seal(&grant(), then).unwrap();
            assert!(tokens.kept().len() <= MOST_CIPHERS);
        }
        assert!(tokens.open(text.expose_secret()).is_ok());
    }

    #[test]
    fn it_does_not_show_what_is_inside() {
        let text = new().seal(&grant(), now()).unwrap();
        let bytes = BASE64URL_NOPAD.decode(&text.expose_secret().as_bytes()[PREFIX.len()..]).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"caller" || window == b"acme-n"));
    }
}
