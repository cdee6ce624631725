//! Ports for programs that must be told theirs.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::TcpListener,
};

use crate::Error;

/// Below the ports that the kernel gives to outgoing connections (32768 and up on Linux): a port from there, free a moment
/// ago, may be somebody's own end of a connection when the program listens.
const RANGE: std::ops::Range<u16> = 15_000..32_000;
const TRIES: u32 = 1000;

/// A loopback port that nobody listens on.
///
/// # Errors
/// There is none, or nothing can be listened on.
pub fn free_port() -> Result<u16, Error> {
    let mut last = None;
    for _ in 0..TRIES {
        let port = RANGE.start + (random() % u64::from(RANGE.end - RANGE.start)) as u16;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(why) => last = Some(why),
        }
    }
    Err(Error::Unsupported(format!("no loopback port is free ({last:?})")))
}

/// Different in every process: several test binaries start at once.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_lie_below_those_of_outgoing_connections_and_differ() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert!(ports.iter().all(|port| RANGE.contains(port)));
        assert!(ports.len() > 40, "{ports:?}");
    }
}
