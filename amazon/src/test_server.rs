//! A real TLS server for the tests of the clients: one certificate of its own, one fixed answer, all requests kept.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};

use crate::Endpoint;
use crate::http::Limits;

#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, with the connection kept open.
    Silence,
    /// Nothing, with the connection closed.
    HangUp,
    /// Part of a body, with the connection closed.
    HalfBody,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
                .into_bytes(),
        )
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 307 x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    }
}

pub(crate) struct Server {
    port: u16,
    ca_pem: String,
    limits: Limits,
    requests: Arc<Mutex<Vec<String>>>,
    _accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answer: Answer) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.serialize_der().try_into().unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        // Only where silence is the point is the time to wait for it short.
        let total = match answer {
            Answer::Silence => Duration::from_millis(300),
            _ => Duration::from_secs(30),
        };
        let kept = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, answer.clone(), Arc::clone(&kept)));
            }
        });
        Self {
            port,
            ca_pem: cert.pem(),
            limits: Limits { connect: Duration::from_secs(30), total },
            requests,
            _accepting: accepting,
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        format!("https://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub(crate) fn ca_pem(&self) -> &[u8] {
        self.ca_pem.as_bytes()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The only request, head and body.
    pub(crate) fn request(&self) -> String {
        let requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        requests[0].clone()
    }
}

/// An address where nobody listens.
pub(crate) async fn unused_endpoint() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    format!("https://127.0.0.1:{port}").parse().unwrap()
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, answer: Answer, requests: Arc<Mutex<Vec<String>>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut seen = Vec::new();
    while !complete(&seen) {
        match stream.read_buf(&mut seen).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    requests.lock().unwrap().push(String::from_utf8(seen).unwrap());
    let bytes = match answer {
        Answer::Bytes(bytes) => bytes,
        Answer::HalfBody => b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n{".to_vec(),
        Answer::HangUp => return,
        Answer::Silence => std::future::pending().await,
    };
    // The client may have seen enough and gone.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

fn complete(seen: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(seen) else {
        return false;
    };
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    body.len() >= length
}
