//! The line between a role and the apiserver, which a test can cut: TLS ends here, so that one watch can be told from
//! another, and everything goes on as it is.

use std::{net::SocketAddr, sync::Arc};

use amazon_emulator::Authority;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What the line does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// It carries everything.
    #[default]
    Whole,
    /// What the apiserver says on watches of this kind (its plural) does not arrive; all else does, lists of the same
    /// kind too.
    Watches(&'static str),
    /// Nothing arrives, on connections open or new, and nobody is told.
    All,
}

/// The line.
pub(crate) struct Line {
    address: SocketAddr,
    ca: String,
    cut: watch::Sender<Cut>,
}

impl Line {
    /// Listens on a free port and passes on to `apiserver`, which `apiserver_ca` (PEM) vouches for.
    pub(crate) async fn start(apiserver: SocketAddr, apiserver_ca: &[u8]) -> Self {
        let authority = Authority::make(&["127.0.0.1".to_owned()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(authority.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(authority.key.as_bytes()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(apiserver_ca) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let cut = watch::Sender::new(Cut::Whole);
        let ends =
            Ends { apiserver, server: Arc::new(server).into(), client: Arc::new(client).into(), cut: cut.subscribe() };
        tokio::spawn(listen(listener, ends));
        Self { address, ca: authority.ca, cut }
    }

    /// Its address, and whom to trust there, PEM.
    pub(crate) fn end(&self) -> (String, &str) {
        (format!("https://{}", self.address), &self.ca)
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }
}

#[derive(Clone)]
struct Ends {
    apiserver: SocketAddr,
    server: TlsAcceptor,
    client: TlsConnector,
    cut: watch::Receiver<Cut>,
}

async fn listen(listener: TcpListener, ends: Ends) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut ends = ends.clone();
        tokio::spawn(async move {
            // Without an answer even to TLS, as on a network that drops everything.
            if ends.cut.wait_for(|cut| *cut != Cut::All).await.is_err() {
                return;
            }
            // A connection that fails is the role's to notice.
            let Ok(role) = ends.server.accept(stream).await else { return };
            let Ok(stream) = TcpStream::connect(ends.apiserver).await else { return };
            let _late_at_worst = stream.set_nodelay(true);
            let name = ServerName::from(ends.apiserver.ip());
            let Ok(apiserver) = ends.client.connect(name, stream).await else { return };
            pass(role, apiserver, ends.cut).await;
        });
    }
}

/// Passes both directions on until either end leaves. A connection carries one request at a time (HTTP/1.1), whose head
/// comes in one piece: so what is said on it is known.
async fn pass(role: impl AsyncRead + AsyncWrite, apiserver: impl AsyncRead + AsyncWrite, cut: watch::Receiver<Cut>) {
    let (mut from_role, mut to_role) = split(role);
    let (mut from_apiserver, mut to_apiserver) = split(apiserver);
    let asked = watch::Sender::new(String::new());
    let mut up_cut = cut.clone();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_role.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]);
            if let Some((line, _)) = text.split_once(" HTTP/1.1\r\n") {
                asked.send_replace(line.to_owned());
            }
            let arrives = up_cut.wait_for(|cut| *cut != Cut::All).await.is_ok();
            if !arrives || to_apiserver.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let mut down_cut = cut;
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_apiserver.read(&mut buffer).await {
            let line = asked.borrow().clone();
            let arrives = down_cut.wait_for(|cut| passes(cut, &line)).await.is_ok();
            if !arrives || to_role.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        let _closed = to_role.shutdown().await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Whether an answer to the request of this line arrives.
fn passes(cut: &Cut, line: &str) -> bool {
    match cut {
        Cut::Whole => true,
        Cut::All => false,
        Cut::Watches(plural) => !(line.contains("watch=true") && line.contains(&format!("/{plural}?"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watches_of_the_kind_are_cut() {
        let cut = Cut::Watches("teams");
        assert!(!passes(&cut, "GET /apis/openteam.dev/v1alpha1/teams?&watch=true&timeoutSeconds=3"));
        assert!(passes(&cut, "GET /apis/openteam.dev/v1alpha1/teams?&limit=1"));
        assert!(passes(&cut, "GET /apis/openteam.dev/v1alpha1/agentgrants?&watch=true"));
        assert!(passes(&Cut::Whole, "GET /apis/openteam.dev/v1alpha1/teams?&watch=true"));
    }
}
