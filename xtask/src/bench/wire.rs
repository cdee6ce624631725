//! One connection of the load generator: HTTP/1.1 over TLS with next to nothing around it, so that what is measured is
//! the other end.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A server keeps places for each address; callers come from several, as they would in a cluster.
const ADDRESSES: usize = 4;
const BUFFER: usize = 32 * 1024;
/// Longer heads are no answer of ours.
const LONGEST_HEAD: usize = 16 * 1024;

/// A server on loopback.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) port: u16,
    /// The name in its certificate.
    pub(crate) host: String,
    /// The authority to trust, PEM.
    pub(crate) ca: String,
}

impl Server {
    /// For connections to it.
    pub(crate) fn tls(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(self.ca.as_bytes()) {
            roots.add(authority.map_err(|error| anyhow::anyhow!("the authority is no PEM: {error}"))?)?;
        }
        Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }

    /// A GET as SP-API's clients send it.
    pub(crate) fn get(&self, target: &str, token: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nuser-agent: openteam-bench\r\naccept: application/json\r\n\
             x-amz-access-token: {token}\r\n\r\n",
            self.host
        )
    }

    /// A GET as browsers send it, by way of a proxy.
    pub(crate) fn page(&self, target: &str, cookie: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nuser-agent: openteam-bench\r\naccept: text/html\r\n\
             cookie: {cookie}\r\nsec-fetch-site: same-origin\r\nx-forwarded-for: 192.0.2.1\r\n\r\n",
            self.host
        )
    }

    /// A form as SP-API's clients post it to Login with Amazon.
    pub(crate) fn post_form(&self, target: &str, form: &str) -> String {
        format!(
            "POST {target} HTTP/1.1\r\nhost: {}\r\nuser-agent: openteam-bench\r\naccept: application/json\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            self.host,
            form.len()
        )
    }
}

/// A connection, kept alive.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// The `number`th connection to `server`.
    pub(crate) async fn open(server: &Server, tls: &Arc<ClientConfig>, number: usize) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let from = Ipv4Addr::new(127, 0, 0, 1 + (number % ADDRESSES) as u8);
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], server.port))).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(server.host.clone())?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.context("TLS handshake")?;
        Ok(Self { stream, buffer: vec![0; BUFFER] })
    }

    /// Sends a request, and leaves the answer unread.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends a request, reads the whole answer and tells its status. The body is not kept.
    pub(crate) async fn call(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.send(request).await?;
        let mut filled = 0;
        let head = loop {
            if filled > LONGEST_HEAD {
                bail!("the answer's head does not end");
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the connection was closed");
            }
            let from = filled.saturating_sub(3);
            filled += read;
            if let Some(at) = self.buffer[from..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break from + at + 4;
            }
        };
        let (status, length) = head_of(&self.buffer[..head])?;
        let mut left = length.checked_sub(filled - head).context("more came than was announced")?;
        while left > 0 {
            let most = left.min(BUFFER);
            let read = self.stream.read(&mut self.buffer[..most]).await?;
            if read == 0 {
                bail!("the answer broke off");
            }
            left -= read;
        }
        Ok(status)
    }
}

/// Status and length of an answer.
fn head_of(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head).context("the answer's head is no text")?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).context("the answer has no status")?;
    let lines = head.split("\r\n").skip(1);
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    });
    Ok((status, length.context("the answer does not tell its length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_head_tells_status_and_length() {
        let head = b"HTTP/1.1 403 Forbidden\r\ncontent-type: x\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(head_of(head).unwrap(), (403, 12));
        assert!(head_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(head_of(b"nonsense").is_err());
    }
}
