//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address a request came from. `proxies` stand before the portal, each of which adds to `X-Forwarded-For` whom it was
/// called by; what is further to the left anybody may have written.
pub(crate) fn client(connection: IpAddr, headers: &HeaderMap, proxies: usize) -> IpAddr {
    if proxies == 0 {
        return connection;
    }
    // As bytes: what somebody wrote that is no text must not take what the proxies added to the same line with it.
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut told = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    // With fewer entries than there are proxies somebody went around one: then the connection is all there is to go by.
    let entry = told.nth(proxies - 1).and_then(|entry| std::str::from_utf8(entry).ok());
    entry.and_then(|entry| address(entry.trim())).unwrap_or(connection)
}

/// An address as proxies write it: by itself, in brackets, with a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.trim_matches(['[', ']']).parse().ok().or_else(with_port)
}

/// The network an address is in, which limits are for: an IPv4 address by itself, the /64 of an IPv6 one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(bits))
        }
    }
}

/// As a person is shown it: an IPv4 /24, an IPv6 /48.
pub(crate) fn coarse(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("{}/24", Ipv4Addr::from(u32::from(address) >> 8 << 8)),
        IpAddr::V6(address) => format!("{}/48", Ipv6Addr::from(u128::from(address) >> 80 << 80)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn what_proxies_tell_is_believed_and_nothing_before_that() {
        let connection: IpAddr = "10.0.0.9".parse().unwrap();
        for (lines, proxies, expected) in [
            (&[][..], 0, "10.0.0.9"),
            (&["198.51.100.7"], 0, "10.0.0.9"),
            (&["198.51.100.7"], 1, "198.51.100.7"),
            (&["203.0.113.1, 198.51.100.7"], 1, "198.51.100.7"),
            (&["203.0.113.1", "198.51.100.7"], 1, "198.51.100.7"),
            (&["203.0.113.1, 198.51.100.7, 10.0.0.1"], 2, "198.51.100.7"),
            (&["198.51.100.7"], 2, "10.0.0.9"),
            (&["nonsense"], 1, "10.0.0.9"),
            (&[""], 1, "10.0.0.9"),
            (&["2001:db8::1"], 1, "2001:db8::1"),
            (&["[2001:db8::1]"], 1, "2001:db8::1"),
            (&["[2001:db8::1]:443"], 1, "2001:db8::1"),
            (&["198.51.100.7:4711"], 1, "198.51.100.7"),
        ] {
            let headers = lines.iter().map(|line| (X_FORWARDED_FOR, line.parse().unwrap())).collect();
            assert_eq!(client(connection, &headers, proxies).to_string(), expected, "{lines:?} {proxies}");
        }
    }

    #[test]
    fn a_network_is_what_one_person_can_have_many_addresses_of() {
        let of = |text: &str| (network(text.parse().unwrap()).to_string(), coarse(text.parse().unwrap()));
        assert_eq!(of("192.0.2.77"), ("192.0.2.77".into(), "192.0.2.0/24".into()));
        assert_eq!(of("::ffff:192.0.2.77"), ("192.0.2.77".into(), "192.0.2.0/24".into()));
        assert_eq!(of("2001:db8:1:2:3::4"), ("2001:db8:1:2::".into(), "2001:db8:1::/48".into()));
    }

    /// What a header's line may hold, whoever wrote it.
    fn line() -> impl Strategy<Value = HeaderValue> {
        let entry = prop_oneof![
            any::<IpAddr>().prop_map(|address| address.to_string().into_bytes()),
            vec(prop_oneof![Just(b','), Just(b' '), 0x20..0x7f_u8, 0x80..=0xff_u8], 0..40),
        ];
        vec(entry, 0..5).prop_map(|entries| HeaderValue::from_bytes(&entries.join(&b", "[..])).unwrap())
    }

    proptest! {
        /// Whatever a client writes, whether a proxy puts what it adds into the same line or into one of its own.
        #[test]
        fn nobody_makes_up_where_they_are(
            lines in vec(line(), 0..4),
            client in any::<IpAddr>(),
            others in vec(any::<IpAddr>(), 0..4),
            joined in vec(any::<bool>(), 5),
        ) {
            let mut lines = lines;
            for (address, joined) in [client].iter().chain(&others).zip(&joined) {
                match lines.pop() {
                    Some(line) if *joined => {
                        let line = [line.as_bytes(), b", ", address.to_string().as_bytes()].concat();
                        lines.push(HeaderValue::from_bytes(&line).unwrap());
                    }
                    line => {
                        lines.extend(line);
                        lines.push(address.to_string().parse().unwrap());
                    }
                }
            }
            let headers = lines.into_iter().map(|line| (X_FORWARDED_FOR, line)).collect();
            let connection = "10.0.0.9".parse().unwrap();
            prop_assert_eq!(super::client(connection, &headers, others.len() + 1), client);
            prop_assert_eq!(super::client(connection, &headers, 0), connection);
        }

        /// Whoever has a network of IPv6 has 2^64 addresses of it.
        #[test]
        fn all_addresses_of_a_network_are_one(address in any::<Ipv6Addr>(), other in any::<u64>()) {
            prop_assume!(address.to_ipv4_mapped().is_none());
            let other = Ipv6Addr::from(u128::from(address) >> 64 << 64 | u128::from(other));
            prop_assume!(other.to_ipv4_mapped().is_none());
            prop_assert_eq!(network(address.into()), network(other.into()));
        }
    }
}
