//! The line between the gateway and Amazon, tapped: TLS ends here, every byte the gateway sends is kept, and everything
//! goes on to the emulator as it is. So a test sees what Amazon would have seen, tokens included.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amazon_emulator::Authority;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// What came over each connection, oldest first.
type Tape = Arc<Mutex<Vec<Vec<u8>>>>;

/// The tapped line.
pub(crate) struct Wire {
    address: SocketAddr,
    tape: Tape,
    torn: watch::Sender<bool>,
}

/// One request as it arrived at Amazon, without its body: the few that a test sends end as headers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Method, target and version.
    pub line: String,
    /// Names in lower case and values, in order.
    pub headers: Vec<(String, String)>,
}

impl Heard {
    fn parse(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { line, headers: lines.filter(|line| !line.is_empty()).map(header).collect() }
    }

    /// The request's path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// All values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Wire {
    /// Listens on a free port, as `authority` names it, and passes on to `amazon`, in plain HTTP.
    pub(crate) async fn start(authority: &Authority, amazon: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(authority.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(authority.key.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tape = Tape::default();
        let torn = watch::Sender::new(false);
        tokio::spawn(listen(listener, acceptor, amazon, tape.clone(), torn.subscribe()));
        Self { address, tape, torn }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Tears the line, or mends it: torn, every connection on it ends, and none is taken.
    pub(crate) fn tear(&self, torn: bool) {
        self.torn.send_replace(torn);
    }

    /// Every request, in order within its connection.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = |bytes: &Vec<u8>| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            // The last piece is empty, or a request that has not come through yet.
            let mut heads: Vec<_> = text.split("\r\n\r\n").map(Heard::parse).collect();
            heads.pop();
            heads
        };
        tape.iter().flat_map(heads).collect()
    }
}

async fn listen(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    amazon: SocketAddr,
    tape: Tape,
    mut wanted: watch::Receiver<bool>,
) {
    let (address, torn) = (listener.local_addr().unwrap(), wanted.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = async { drop(wanted.wait_for(|torn| *torn).await) } => {
                drop(listener);
                if wanted.wait_for(|torn| !torn).await.is_err() {
                    return;
                }
                listener = again(address).await;
                continue;
            }
        };
        let Ok((stream, _)) = accepted else { return };
        let (acceptor, tape, mut torn) = (acceptor.clone(), tape.clone(), torn.clone());
        tokio::spawn(async move {
            let connection = async {
                // A connection that fails is the caller's to notice.
                let Ok(gateway) = acceptor.accept(stream).await else { return };
                let Ok(amazon) = TcpStream::connect(amazon).await else { return };
                if amazon.set_nodelay(true).is_ok() {
                    pass(gateway, amazon, &tape).await;
                }
            };
            tokio::select! {
                () = connection => {}
                _ = torn.wait_for(|torn| *torn) => {}
            }
        });
    }
}

/// The listener again. Somebody may have been given its port meanwhile for a moment.
async fn again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Passes both directions on until either end leaves.
async fn pass(gateway: impl AsyncRead + AsyncWrite, amazon: impl AsyncRead + AsyncWrite, tape: &Tape) {
    let (mut from_gateway, mut to_gateway) = split(gateway);
    let (mut from_amazon, mut to_amazon) = split(amazon);
    let number = {
        let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.push(Vec::new());
        tape.len() - 1
    };
    let up = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_gateway.read(&mut buffer).await {
            let bytes = &buffer[..length];
            tape.lock().unwrap_or_else(PoisonError::into_inner)[number].extend(bytes);
            if to_amazon.write_all(bytes).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let _ended = copy(&mut from_amazon, &mut to_gateway).await;
        let _closed = to_gateway.shutdown().await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
