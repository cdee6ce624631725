//! Bytes as an attacker would send them, past any HTTP client's good manners.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpSocket;

use crate::House;

/// How long an answer may take before a test gives up on it.
const LIMIT: Duration = Duration::from_secs(15);

/// Everything that came back on one connection.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// As it came.
    pub text: String,
}

impl RawAnswer {
    /// The statuses of all answers, in order.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        let answers = self.text.split("HTTP/1.").skip(1);
        answers.filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
    }

    /// The status of the only answer.
    ///
    /// # Panics
    /// There is none, or more than one.
    #[must_use]
    pub fn status(&self) -> u16 {
        match *self.statuses() {
            [status] => status,
            _ => panic!("one answer expected:\n{}", self.text),
        }
    }

    /// Whether the answer's error has this code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.text.contains(&format!("\"code\":\"{code}\""))
    }
}

/// A connection on which a test says what it likes, when it likes.
pub struct RawConnection(StreamOwned<ClientConnection, TcpStream>);

impl RawConnection {
    /// Opens one whose system keeps next to nothing of what is not read or taken.
    pub(crate) fn open(house: &House, config: Arc<ClientConfig>, host: &str, port: u16) -> Self {
        let socket = house.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket.set_send_buffer_size(4096).unwrap();
            socket.connect(([127, 0, 0, 1], port).into()).await.unwrap().into_std().unwrap()
        });
        socket.set_nonblocking(false).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        Self(StreamOwned::new(ClientConnection::new(config, name).unwrap(), socket))
    }

    /// Says something; waits for as long as the other side takes nothing. Whether it was still there.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).is_ok()
    }

    /// Everything that comes until the other side closes.
    pub fn hear(&mut self) -> RawAnswer {
        RawAnswer { text: read(&mut self.0) }
    }
}

/// For connections to who has a certificate by these authorities, PEM.
pub(crate) fn trusting(authorities: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Sends `bytes` over TLS and reads until the other side closes.
pub(crate) fn send(config: Arc<ClientConfig>, host: &str, port: u16, bytes: &[u8]) -> RawAnswer {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.set_write_timeout(Some(LIMIT)).unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), socket);
    // A server that has refused already may no longer take the rest; what it said is still to be read.
    let _sent = stream.write_all(bytes).and_then(|()| stream.flush());
    RawAnswer { text: read(&mut stream) }
}

/// `GET` over plain HTTP on loopback; `None` if nobody answers.
pub(crate) fn plain_get(port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    Some(read(&mut socket))
}

fn read(stream: &mut impl Read) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    // Many a refusal ends in a reset, or in an end of TLS without a word.
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
