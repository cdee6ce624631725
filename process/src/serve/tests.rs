use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::{sync::Notify, task::JoinSet};

use super::*;

/// An authority, and what it signs.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Signer {
    fn new() -> Self {
        crate::start::provide_tls();
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = parameters.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(parameters, key), certificate: signed.der().clone(), pem: signed.pem() }
    }

    /// A new certificate for localhost, and the configuration that serves it.
    fn certificate(&self) -> (CertificateDer<'static>, Arc<ServerConfig>) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = parameters.signed_by(&key, &self.issuer).unwrap().der().clone();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.clone()], private).unwrap();
        (leaf, Arc::new(config))
    }

    fn client(&self, at: SocketAddr) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([authority]).resolve("localhost", at).no_proxy().build().unwrap()
    }

    /// The certificate that a new connection is shown.
    async fn shown(&self, at: SocketAddr) -> CertificateDer<'static> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(at).await.unwrap();
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_renewed_under_load_fails_no_call() {
    let signer = Arc::new(Signer::new());
    let (listener, at) = listener().await;
    let served = Arc::new(ArcSwap::from(signer.certificate().1));
    let shutdown = CancellationToken::new();
    let router = Router::new().route("/", get(|| async { "ok" }));
    let tls = served.clone();
    let serving = tokio::spawn(serve(listener, move || tls.load_full(), router, shutdown.clone()));

    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for number in 0..6 {
        let (signer, stop, calls) = (signer.clone(), stop.clone(), calls.clone());
        load.spawn(async move {
            let mut client = signer.client(at);
            while !stop.load(Ordering::SeqCst) {
                // Half of the callers keep their connection, half come with a new one each time.
                if number % 2 == 0 {
                    client = signer.client(at);
                }
                let answer = client.get(format!("https://localhost:{}/", at.port())).send().await.unwrap();
                assert_eq!(answer.text().await.unwrap(), "ok");
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for _ in 0..10 {
        let (leaf, config) = signer.certificate();
        served.store(config);
        assert_eq!(signer.shown(at).await, leaf, "a new connection is shown the new certificate");
        let before = calls.load(Ordering::SeqCst);
        while calls.load(Ordering::SeqCst) < before + 30 {
            assert!(!load.is_empty() && load.try_join_next().is_none(), "a caller ended");
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_calls_in_flight_end_well_and_no_new_connection_is_taken() {
    let signer = Signer::new();
    let (listener, at) = listener().await;
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, release) = (begun.clone(), release.clone());
        move || async move {
            begun.notify_one();
            release.notified().await;
            "whole"
        }
    };
    let shutdown = CancellationToken::new();
    let config = signer.certificate().1;
    let router = Router::new().route("/", get(handler));
    let serving = tokio::spawn(serve(listener, move || config.clone(), router, shutdown.clone()));
    let client = signer.client(at);
    let call = tokio::spawn(async move { client.get(format!("https://localhost:{}/", at.port())).send().await });
    begun.notified().await;
    shutdown.cancel();
    while TcpStream::connect(at).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished() && !call.is_finished(), "the call in flight is waited for");
    release.notify_one();
    assert_eq!(call.await.unwrap().unwrap().text().await.unwrap(), "whole");
    serving.await.unwrap();
}
