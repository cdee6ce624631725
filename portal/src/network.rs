//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address a request came from. `proxies` stand before the portal, each of which adds to `X-Forwarded-For` whom it was
/// called by; what is further to the left anybody may have written.
pub(crate) fn client(connection: IpAddr, headers: &HeaderMap, proxies: usize) -> IpAddr {
    if proxies == 0 {
        return connection;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let told: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    // With fewer entries than there are proxies somebody went around one: then the connection is all there is to go by.
    let entry = told.len().checked_sub(proxies).map(|at| told[at]);
    entry.and_then(|entry| entry.parse().ok()).unwrap_or(connection)
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

/// As a person is shown it, and the record tells it: an IPv4 /24, an IPv6 /48.
pub(crate) fn coarse(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("{}/24", Ipv4Addr::from(u32::from(address) >> 8 << 8)),
        IpAddr::V6(address) => format!("{}/48", Ipv6Addr::from(u128::from(address) >> 80 << 80)),
    }
}

#[cfg(test)]
mod tests {
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
}
