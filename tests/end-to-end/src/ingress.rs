//! What stands before the portal, as an Ingress does in a cluster: TLS ends here and begins anew towards the portal, whose
//! certificate is checked. Every answer is kept as a file, beside everything else that is searched at the end.

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use amazon_emulator::Authority;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use futures::TryStreamExt;
use process::serve::From;
use reqwest::{
    Certificate, StatusCode,
    header::{ACCEPT_ENCODING, CONNECTION, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::portal::HOST;

/// What a test says of where its browser is, since all of them are on this machine.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("test-client-address");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The cookie of a session.
const SESSION: &str = "__Host-sid=";

/// The way to the portal's replicas, request by request in turn: what one knows, all must.
pub struct Ingress {
    port: u16,
    authority: String,
    kept: Arc<Kept>,
}

/// What came through.
struct Kept {
    answers: PathBuf,
    count: AtomicUsize,
    portals: OnceLock<(reqwest::Client, Vec<u16>)>,
    /// Method, path and status of what no portal may answer.
    broken: Mutex<Vec<String>>,
    /// The values of all session cookies.
    sessions: Mutex<Vec<String>>,
}

impl Ingress {
    /// Listens, and keeps answers in `answers`; where the portals are is said later, as they are told this address.
    pub(crate) async fn start(answers: PathBuf) -> Self {
        fs::create_dir_all(&answers).unwrap();
        let made = Authority::make(&["localhost".to_owned()]).unwrap();
        let chain = CertificateDer::pem_slice_iter(made.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let tls = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Kept {
            answers,
            count: AtomicUsize::default(),
            portals: OnceLock::new(),
            broken: Mutex::default(),
            sessions: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(kept.clone());
        tokio::spawn(process::serve::serve(listener, move || tls.clone(), router, CancellationToken::new()));
        Self { port, authority: made.ca, kept }
    }

    /// Where the portals are, on loopback, and by which authority's word (PEM).
    pub(crate) fn lead_to(&self, portals: Vec<u16>, authority: &str) {
        let client = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(authority.as_bytes()).unwrap()])
            .resolve(HOST, SocketAddr::from(([127, 0, 0, 1], 0)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        assert!(self.kept.portals.set((client, portals)).is_ok(), "it is said once");
    }

    /// Setting `publicUrl`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The directory with every answer, one a file: `NUMBER.METHOD.LAST-PART-OF-THE-PATH.STATUS`.
    #[must_use]
    pub fn answers(&self) -> &Path {
        &self.kept.answers
    }

    /// How many answers there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.count.load(Ordering::Relaxed)
    }

    /// Every answer with a status of 500 and above.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.kept.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of every session cookie that was given.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.kept.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Passes a request on and the answer back, piece by piece as it comes.
async fn pass(State(kept): State<Arc<Kept>>, request: Request) -> Response {
    let Some((client, portals)) = kept.portals.get() else { return away() };
    let number = kept.count.fetch_add(1, Ordering::Relaxed);
    let from = request.extensions().get::<From>().map(|from| from.0.ip().to_string());
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    pass_on(&mut headers, from);
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let url = format!("https://{HOST}:{}{target}", portals[number % portals.len()]);
    let asked = client.request(head.method.clone(), url).headers(headers);
    let asked = asked.body(reqwest::Body::wrap_stream(body.into_data_stream())).send();
    let Ok(answer) = asked.await else { return away() };

    let (method, path) = (head.method.as_str(), head.uri.path());
    let file = kept.begin(number, method, path, answer.status(), answer.headers());
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = answer.headers().clone();
        // How long this connection lives and how bodies are cut is not the portal's to say.
        headers.remove(CONNECTION);
        headers.remove(TRANSFER_ENCODING);
    }
    let pieces = answer.bytes_stream().inspect_ok(move |piece| (&file).write_all(piece).unwrap());
    response.body(Body::from_stream(pieces)).unwrap()
}

/// What this Ingress itself says where no portal answers.
fn away() -> Response {
    Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::from("no portal answers")).unwrap()
}

/// Makes a request's headers those that a proxy sends.
fn pass_on(headers: &mut HeaderMap, from: Option<String>) {
    // What is compressed could not be searched.
    headers.remove(ACCEPT_ENCODING);
    headers.remove(CONNECTION);
    let claimed = headers.remove(CLIENT_ADDRESS).and_then(|value| value.to_str().ok().map(str::to_owned));
    if let Some(address) = claimed.or(from) {
        headers.append(FORWARDED_FOR, HeaderValue::from_str(&address).unwrap());
    }
}

impl Kept {
    /// Begins the file of an answer. Of the request only method and path are in it: a query may hold a code.
    fn begin(&self, number: usize, method: &str, path: &str, status: StatusCode, headers: &HeaderMap) -> File {
        let list = |list: &Mutex<Vec<String>>, line: String| {
            list.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        };
        if status.is_server_error() {
            list(&self.broken, format!("{method} {path}: {status}"));
        }
        let mut text = format!("{method} {path}\n{status}\n");
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            text += &format!("{name}: {value}\n");
            let session = (name == SET_COOKIE).then(|| value.strip_prefix(SESSION)?.split(';').next()).flatten();
            if let Some(session) = session.filter(|session| !session.is_empty()) {
                list(&self.sessions, session.to_owned());
            }
        }
        let last: String =
            path.rsplit('/').next().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("{number:06}.{method}.{last:.40}.{}", status.as_u16());
        let mut file = File::create(self.answers.join(name)).unwrap();
        file.write_all(format!("{text}\n").as_bytes()).unwrap();
        file
    }
}
