//! The portal's cookies. Each carries what proves that the portal made it, so that made-up ones cost nothing but that.
//!
//! All of them are `__Host-` cookies (RFC 6265bis, "Cookie Name Prefixes"): over TLS, for this host alone, no script reads
//! them. `SameSite=Lax`, because people come back from Amazon by a link.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cookie::{Cookie, SameSite, time::Duration};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::{Keys, NAME_BYTES, Purpose, TAG_BYTES};

const SESSION: &str = "__Host-sid";
const LOGIN: &str = "__Host-login";
const BROWSER: &str = "__Host-browser";
/// How long a browser stays known after its last sign-in.
pub(crate) const BROWSER_DAYS: i64 = 180;

/// Who is signed in: the name of a PortalUser and the session's secret.
#[derive(Clone, Debug)]
pub(crate) struct SessionCookie {
    pub(crate) user: String,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// What a browser that asked for a code holds.
#[derive(Clone, Debug)]
pub(crate) struct LoginCookie {
    pub(crate) secret: Zeroizing<[u8; 32]>,
    /// The address that the code was asked for, in lower case.
    pub(crate) email: String,
    /// The path that the person wanted to go to.
    pub(crate) next: Option<String>,
}

/// What a known browser holds.
#[derive(Clone, Debug)]
pub(crate) struct BrowserCookie {
    pub(crate) user: String,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

impl SessionCookie {
    pub(crate) fn of(headers: &HeaderMap, keys: &Keys) -> Option<Self> {
        let (user, secret) = user_and_secret(&open(headers, SESSION, keys, Purpose::Session)?)?;
        Some(Self { user, secret })
    }

    /// Until the browser is closed; the session itself ends by time.
    pub(crate) fn set(&self, keys: &Keys) -> Option<HeaderValue> {
        header(SESSION, &value(keys, Purpose::Session, &[&name(&self.user)?, &*self.secret]), None)
    }

    pub(crate) fn clear() -> Option<HeaderValue> {
        header(SESSION, "", Some(Duration::ZERO))
    }
}

impl LoginCookie {
    pub(crate) fn of(headers: &HeaderMap, keys: &Keys) -> Option<Self> {
        let body = open(headers, LOGIN, keys, Purpose::Login)?;
        let (secret, rest) = body.split_first_chunk()?;
        let (email, next) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
        let next = (!next.is_empty()).then(|| next.to_owned());
        Some(Self { secret: Zeroizing::new(*secret), email: email.to_owned(), next })
    }

    pub(crate) fn set(&self, keys: &Keys) -> Option<HeaderValue> {
        let next = self.next.as_deref().unwrap_or_default();
        let value = value(keys, Purpose::Login, &[&*self.secret, self.email.as_bytes(), b"\0", next.as_bytes()]);
        header(LOGIN, &value, Some(Duration::minutes(15)))
    }

    pub(crate) fn clear() -> Option<HeaderValue> {
        header(LOGIN, "", Some(Duration::ZERO))
    }
}

impl BrowserCookie {
    pub(crate) fn of(headers: &HeaderMap, keys: &Keys) -> Option<Self> {
        let (user, secret) = user_and_secret(&open(headers, BROWSER, keys, Purpose::Browser)?)?;
        Some(Self { user, secret })
    }

    pub(crate) fn set(&self, keys: &Keys) -> Option<HeaderValue> {
        let value = value(keys, Purpose::Browser, &[&name(&self.user)?, &*self.secret]);
        header(BROWSER, &value, Some(Duration::days(BROWSER_DAYS)))
    }
}

fn name(user: &str) -> Option<[u8; NAME_BYTES]> {
    HEXLOWER.decode(user.as_bytes()).ok()?.try_into().ok()
}

fn user_and_secret(body: &[u8]) -> Option<(String, Zeroizing<[u8; 32]>)> {
    let (user, secret) = body.split_first_chunk::<NAME_BYTES>()?;
    Some((HEXLOWER.encode(user), Zeroizing::new(secret.try_into().ok()?)))
}

/// Base64url of the parts and their tag.
fn value(keys: &Keys, purpose: Purpose, parts: &[&[u8]]) -> String {
    let mut body = Zeroizing::new(parts.concat());
    let tag = keys.mac(purpose, &body);
    body.extend_from_slice(&tag[..TAG_BYTES]);
    BASE64_URL_SAFE_NO_PAD.encode(&*body)
}

/// The parts of a cookie that the portal made.
fn open(headers: &HeaderMap, name: &str, keys: &Keys, purpose: Purpose) -> Option<Zeroizing<Vec<u8>>> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found = lines.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
    let cookie = found.next()?;
    // Two of one name: one of them is somebody else's.
    if found.next().is_some() {
        return None;
    }
    let mut body = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(cookie.value()).ok()?);
    let at = body.len().checked_sub(TAG_BYTES)?;
    let tag = body.split_off(at);
    let same: bool = tag.ct_eq(&keys.mac(purpose, &body)[..TAG_BYTES]).into();
    same.then_some(body)
}

fn header(name: &'static str, value: &str, lives: Option<Duration>) -> Option<HeaderValue> {
    let mut cookie = Cookie::new(name, value);
    cookie.set_path("/");
    cookie.set_secure(true);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_max_age(lives);
    let mut header = HeaderValue::try_from(cookie.to_string()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn sent(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(pair).unwrap())])
    }

    #[test]
    fn a_cookie_comes_back_as_it_was_set_and_only_under_the_same_key() {
        let keys = Keys::of(1);
        let user = keys.user_name("ada@acme.example");
        let cookie = SessionCookie { user: user.clone(), secret: Zeroizing::new([7; 32]) };
        let set = cookie.set(&keys).unwrap();
        let text = set.to_str().unwrap();
        for part in ["__Host-sid=", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("Max-Age") && !text.contains("Domain") && set.is_sensitive());
        let back = SessionCookie::of(&sent(&set), &keys).unwrap();
        assert_eq!((back.user, back.secret), (user.clone(), Zeroizing::new([7; 32])));
        assert!(SessionCookie::of(&sent(&set), &Keys::of(2)).is_none());
        let login =
            LoginCookie { secret: Zeroizing::new([8; 32]), email: "ada@acme.example".into(), next: Some("/x".into()) };
        let back = LoginCookie::of(&sent(&login.set(&keys).unwrap()), &keys).unwrap();
        assert_eq!(
            (back.email.as_str(), *back.secret, back.next.as_deref()),
            ("ada@acme.example", [8; 32], Some("/x"))
        );
        let browser = BrowserCookie { user, secret: Zeroizing::new([9; 32]) };
        assert!(BrowserCookie::of(&sent(&browser.set(&keys).unwrap()), &keys).is_some());
    }

    #[test]
    fn a_changed_foreign_or_doubled_cookie_is_none() {
        let keys = Keys::of(1);
        let cookie = SessionCookie { user: keys.user_name("a@b.example"), secret: Zeroizing::new([7; 32]) };
        let good = sent(&cookie.set(&keys).unwrap());
        let text = good[header::COOKIE].to_str().unwrap().to_owned();
        for at in "__Host-sid=".len()..text.len() {
            let mut changed = text.clone();
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(changed).unwrap())]);
            assert!(SessionCookie::of(&headers, &keys).is_none(), "byte {at}");
        }
        for wrong in
            ["", "__Host-sid=", "__Host-sid=AAAA", "__Host-sid=é", &text.replace("-sid", "-browser"), &text[1..]]
        {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(wrong.as_bytes()).unwrap())]);
            assert!(SessionCookie::of(&headers, &keys).is_none(), "{wrong}");
            assert!(BrowserCookie::of(&headers, &keys).is_none(), "of another purpose: {wrong}");
        }
        let twice = format!("{text}; __Host-sid=AAAA");
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(twice).unwrap())]);
        assert!(SessionCookie::of(&headers, &keys).is_none());
    }

    /// Names that matter, and others.
    fn named() -> impl Strategy<Value = String> {
        prop_oneof![Just(SESSION.to_owned()), Just(LOGIN.to_owned()), Just(BROWSER.to_owned()), "[ -~]{0,20}"]
    }

    proptest! {
        /// Whatever a `Cookie` header holds, with or without the portal's own somewhere in it: it is one that the portal made,
        /// or none.
        #[test]
        fn a_cookie_header_of_anything_is_read_without_a_panic(
            lines in vec(vec(0x20..=0x7e_u8, 0..200), 0..4),
            bytes in vec(prop_oneof![0x20..=0x7e_u8, 0x80..=0xff_u8], 0..200),
            pairs in vec((named(), "[ -~]{0,80}"), 0..8),
        ) {
            let keys = Keys::of(1);
            let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            let all = lines.into_iter().chain([bytes, pairs.join("; ").into_bytes()]);
            let headers =
                all.map(|line| (header::COOKIE, HeaderValue::from_bytes(&line).unwrap())).collect::<HeaderMap>();
            prop_assert!(SessionCookie::of(&headers, &keys).is_none());
            prop_assert!(LoginCookie::of(&headers, &keys).is_none());
            prop_assert!(BrowserCookie::of(&headers, &keys).is_none());
        }

        /// A header's value ends nowhere but where it should, and no attribute of it comes from what somebody typed.
        #[test]
        fn what_a_cookie_carries_cannot_leave_it(email in "[^\0]*", next in "[^\0]+", secret in any::<[u8; 32]>()) {
            let keys = Keys::of(1);
            let cookie = LoginCookie { secret: Zeroizing::new(secret), email, next: Some(next) };
            let set = cookie.set(&keys).unwrap();
            let (value, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            let value = value.strip_prefix("__Host-login=").unwrap();
            prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=900");
            let back = LoginCookie::of(&sent(&set), &keys).unwrap();
            prop_assert_eq!((back.email, back.next, back.secret), (cookie.email, cookie.next, cookie.secret));
        }

        /// Swapping parts of two people's cookies makes neither.
        #[test]
        fn of_two_cookies_no_third_is_made(at in 1..85_usize, first in any::<[u8; 32]>(), second in any::<[u8; 32]>()) {
            let keys = Keys::of(1);
            let of = |name: &str, secret| {
                let cookie = SessionCookie { user: keys.user_name(name), secret: Zeroizing::new(secret) };
                let set = cookie.set(&keys).unwrap();
                set.to_str().unwrap().split([';', '=']).nth(1).unwrap().to_owned()
            };
            let (ada, bob) = (of("ada@acme.example", first), of("bob@acme.example", second));
            let mixed = format!("{}{}", &ada[..at], &bob[at..]);
            prop_assume!(mixed != ada && mixed != bob);
            let header = HeaderValue::try_from(format!("{SESSION}={mixed}")).unwrap();
            let headers = HeaderMap::from_iter([(header::COOKIE, header)]);
            prop_assert!(SessionCookie::of(&headers, &keys).is_none());
        }
    }
}
