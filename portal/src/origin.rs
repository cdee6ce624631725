//! Whether a request that changes something comes from the portal's own pages.
//!
//! By `Sec-Fetch-Site` (W3C, Fetch Metadata), as Go's `http.CrossOriginProtection`; by `Origin` where a browser does not
//! send that.

use axum::http::{HeaderMap, HeaderName, Method, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A request from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request comes from another page than the portal's")]
pub(crate) struct CrossOrigin;

/// Refuses what changes something and was begun by another site. `own` is the portal's origin.
pub(crate) fn check(method: &Method, headers: &HeaderMap, own: &str) -> Result<(), CrossOrigin> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return Ok(());
    }
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next().is_some())
    };
    match one(SEC_FETCH_SITE) {
        (_, true) => return Err(CrossOrigin),
        (Some(site), false) => {
            // `none`: by the person's own hand, such as from a bookmark.
            return if site == "same-origin" || site == "none" { Ok(()) } else { Err(CrossOrigin) };
        }
        (None, false) => {}
    }
    match one(header::ORIGIN) {
        (Some(origin), false) if origin == own => Ok(()),
        (Some(_), _) => Err(CrossOrigin),
        // No browser; without a cookie it can do nothing in anybody's name.
        (None, _) if !headers.contains_key(header::COOKIE) => Ok(()),
        (None, _) => Err(CrossOrigin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_portals_own_pages_change_something() {
        for (pairs, passes) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "")], false),
            (&[("sec-fetch-site", "SAME-ORIGIN")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://portal.example")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], true),
            (&[("origin", "https://portal.example")], true),
            (&[("origin", "https://portal.example:443")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "http://portal.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://portal.example"), ("origin", "https://evil.example")], false),
            (&[("cookie", "__Host-sid=x")], false),
            (&[("cookie", "__Host-sid=x"), ("origin", "https://portal.example")], true),
            (&[], true),
        ] {
            let headers = headers(pairs);
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert_eq!(check(&method, &headers, "https://portal.example").is_ok(), passes, "{method} {pairs:?}");
            }
            assert!(check(&Method::GET, &headers, "https://portal.example").is_ok());
        }
    }
}
