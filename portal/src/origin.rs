//! Whether a request that changes something comes from the portal's own pages.
//!
//! By `Sec-Fetch-Site` (W3C, Fetch Metadata), as Go's `http.CrossOriginProtection`; by `Origin` where a browser does not
//! send that. A test holds it against Go's and names all in which it differs.

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
    use std::{
        collections::BTreeMap,
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    const OWN: &str = "https://portal.example";

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
                assert_eq!(check(&method, &headers, OWN).is_ok(), passes, "{method} {pairs:?}");
            }
            assert!(check(&Method::GET, &headers, OWN).is_ok());
        }
    }

    /// What Go's `http.CrossOriginProtection` does with a request that the portal does the other with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Differs {
        /// Go takes whatever has neither header for no browser. With a cookie it is refused here: without one it can do
        /// nothing in anybody's name, with one it is a browser from before 2023 or somebody who holds a cookie and no
        /// browser.
        CookieAlone,
        /// Go takes an empty `Sec-Fetch-Site` for none, and the first of two. No browser sends those.
        OddSite,
        /// Go takes an empty `Origin` for none, and the first of two. No browser sends those.
        OddOrigin,
        /// Go compares the host in `Origin` with `Host`. Here the whole origin must be the portal's: `http:` is not it,
        /// however the proxy before the portal answers there, and no more is another host by which it is reached.
        OtherSpelling,
        /// Go refuses what comes by another `Host` than the origin's: it does not know its own origin, as the portal does
        /// by its setting. A proxy may call the portal as it likes.
        OtherHost,
    }

    #[derive(serde::Serialize)]
    struct Case {
        method: &'static str,
        host: &'static str,
        headers: Vec<(&'static str, &'static str)>,
    }

    /// Every combination of these.
    fn cases() -> Vec<Case> {
        let sites: [&[&str]; 10] = [
            &[],
            &[""],
            &["same-origin"],
            &["none"],
            &["same-site"],
            &["cross-site"],
            &["SAME-ORIGIN"],
            &["same-origin, cross-site"],
            &["same-origin", "cross-site"],
            &["cross-site", "same-origin"],
        ];
        let origins: [&[&str]; 15] = [
            &[],
            &[""],
            &["null"],
            &["https://portal.example"],
            &["http://portal.example"],
            &["https://portal.example:443"],
            &["https://PORTAL.example"],
            &["https://portal.example/"],
            &["https://portal.example@evil.example"],
            &["https://evil.example@portal.example"],
            &["https://evil.example"],
            &["https://portal.example.evil.example"],
            &["https://portal.example, https://evil.example"],
            &["https://portal.example", "https://evil.example"],
            &["https://evil.example", "https://portal.example"],
        ];
        let mut cases = Vec::new();
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND"] {
            for host in ["portal.example", "portal.example:443", "evil.example", "10.0.0.7:8443"] {
                for site in sites {
                    for origin in origins {
                        for cookie in [&[][..], &["__Host-sid=x"]] {
                            let all = [("sec-fetch-site", site), ("origin", origin), ("cookie", cookie)];
                            let headers = all
                                .into_iter()
                                .flat_map(|(name, values)| values.iter().map(move |value| (name, *value)));
                            cases.push(Case { method, host, headers: headers.collect() });
                        }
                    }
                }
            }
        }
        cases
    }

    fn lets_pass_in_go(cases: &[Case]) -> Vec<bool> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/origin/main.go");
        let mut go = Command::new("go")
            .args(["run", program])
            .env("GOTOOLCHAIN", "local")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs Go 1.26 or later on the PATH");
        go.stdin.take().unwrap().write_all(&serde_json::to_vec(cases).unwrap()).unwrap();
        let output = go.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// By what the portal differs where it does; `None` for what nobody has thought of.
    fn why(case: &Case, passes_here: bool) -> Option<Differs> {
        let values = |name: &str| -> Vec<&str> {
            case.headers.iter().filter(|(found, _)| *found == name).map(|(_, value)| *value).collect()
        };
        match (&values("sec-fetch-site")[..], &values("origin")[..], passes_here) {
            ([], [OWN], true) => (case.host != "portal.example").then_some(Differs::OtherHost),
            (_, _, true) => None,
            ([""] | [_, _, ..], _, false) => Some(Differs::OddSite),
            ([_], _, false) => None,
            ([], [], false) => (!values("cookie").is_empty()).then_some(Differs::CookieAlone),
            ([], [""] | [_, _, ..], false) => Some(Differs::OddOrigin),
            ([], [_], false) => Some(Differs::OtherSpelling),
        }
    }

    #[test]
    fn the_portal_decides_as_gos_standard_library_but_for_what_is_named_here() {
        let cases = cases();
        let go = lets_pass_in_go(&cases);
        assert_eq!(go.len(), cases.len());
        let (mut alike, mut found) = ([0, 0], BTreeMap::new());
        for (case, passes_in_go) in cases.iter().zip(go) {
            let method = Method::from_bytes(case.method.as_bytes()).unwrap();
            let mut sent = headers(&case.headers);
            sent.insert(header::HOST, case.host.parse().unwrap());
            let passes = check(&method, &sent, OWN).is_ok();
            if passes == passes_in_go {
                alike[usize::from(passes)] += 1;
                continue;
            }
            let safe = ["GET", "HEAD", "OPTIONS"].contains(&case.method);
            let why = why(case, passes).filter(|_| !safe);
            let why = why.unwrap_or_else(|| panic!("Go says {passes_in_go}: {}", serde_json::to_string(case).unwrap()));
            *found.entry(why).or_insert(0) += 1;
        }
        assert!(alike.iter().all(|count| *count > 1000), "{alike:?}");
        // None of the reasons is idle.
        let all =
            [Differs::CookieAlone, Differs::OddSite, Differs::OddOrigin, Differs::OtherSpelling, Differs::OtherHost];
        assert!(found.keys().copied().eq(all), "{found:?}");
    }
}
