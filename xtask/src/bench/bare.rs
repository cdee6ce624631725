//! A server with nothing to it: axum over TLS, answering bytes it was given. It is what the gateway is compared with, and
//! it stands in for Amazon where the emulator, which looks at everything, would be the slowest part.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Stdio},
    sync::Arc,
};

use amazon_emulator::{Authority, Identity};
use anyhow::Context;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts},
};
use cluster::{spawn, tethered};
use futures::{StreamExt, stream};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{process, wire::Server};

/// What is served.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) canned: Vec<Canned>,
    /// A path that is answered with so many bytes.
    pub(crate) document: Option<(String, usize)>,
    /// Who is asked about everything else.
    pub(crate) beyond: Option<Beyond>,
}

/// An answer that is always the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Canned {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Another server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beyond {
    pub(crate) url: String,
    pub(crate) ca: String,
}

/// A bare server, running until dropped.
pub(crate) struct Bare {
    child: Child,
    pub(crate) server: Server,
}

impl Bare {
    /// Starts one on a core.
    pub(crate) fn start(core: usize, served: &Served) -> anyhow::Result<Self> {
        let mut words = process::on_core(core);
        words.extend([process::own_path()?.display().to_string(), "bench-bare".to_owned()]);
        let mut command = tethered(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        child.stdin.take().context("no standard input")?.write_all(&serde_json::to_vec(served)?)?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        let server = serde_json::from_str(&line).context("the bare server did not start")?;
        Ok(Self { child, server })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // What fails here has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// [`Canned`], parsed.
struct Prepared {
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

struct Shared {
    canned: Vec<Prepared>,
    document: Option<(String, usize)>,
    beyond: Option<(String, reqwest::Client)>,
}

/// The server itself: [`Served`] on standard input, its [`Server`] on standard output, then until it is killed.
pub(crate) fn serve() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let served: Served = serde_json::from_str(&text)?;
    // As the gateway has it: one worker for each core it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(served))
}

async fn listen(served: Served) -> anyhow::Result<()> {
    let authority = Authority::make(&["localhost".to_owned()])?;
    let acceptor = Identity::from_pem(&authority.certificate, &authority.key)?.acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Server { port: listener.local_addr()?.port(), host: "localhost".to_owned(), ca: authority.ca };
    println!("{}", serde_json::to_string(&server)?);
    let router = Router::new().fallback(answer).with_state(Arc::new(shared(served)?));
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let stream = acceptor.accept(stream).await?;
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?;
            anyhow::Ok(())
        });
    }
}

fn shared(served: Served) -> anyhow::Result<Shared> {
    let canned = |Canned { path, headers, body }: Canned| {
        let headers = headers.into_iter().map(|(name, value)| Ok((name.parse()?, value.parse()?)));
        anyhow::Ok(Prepared { path, headers: headers.collect::<anyhow::Result<_>>()?, body: Bytes::from(body) })
    };
    let beyond = served.beyond.map(|beyond| {
        let authorities = reqwest::Certificate::from_pem_bundle(beyond.ca.as_bytes())?;
        let client = reqwest::Client::builder().tls_certs_only(authorities).no_proxy().build()?;
        anyhow::Ok((beyond.url, client))
    });
    Ok(Shared {
        canned: served.canned.into_iter().map(canned).collect::<anyhow::Result<_>>()?,
        document: served.document,
        beyond: beyond.transpose()?,
    })
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    if let Some(Prepared { headers, body, .. }) = shared.canned.iter().find(|one| one.path == path) {
        let (headers, body) = (headers.clone(), body.clone());
        // As every handler does that looks at what it was sent.
        let _sent = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        let mut response = Response::new(Body::from(body));
        response.headers_mut().extend(headers);
        return response;
    }
    if let Some((_, length)) = shared.document.as_ref().filter(|(one, _)| one == path) {
        return document(*length);
    }
    let (asked, _) = request.into_parts();
    beyond(&shared, asked).await.unwrap_or_else(|| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

fn document(length: usize) -> Response<Body> {
    const PIECE: usize = 64 * 1024;
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::iter((0..length.div_ceil(PIECE)).map(move |number| {
        let left = length - number * PIECE;
        Ok::<_, std::convert::Infallible>(piece.slice(..left.min(PIECE)))
    }));
    let mut response = Response::new(Body::from_stream(pieces.boxed()));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

async fn beyond(shared: &Shared, mut asked: Parts) -> Option<Response<Body>> {
    let (url, client) = shared.beyond.as_ref()?;
    asked.headers.remove(header::HOST);
    let request = client.request(asked.method, format!("{url}{}", asked.uri)).headers(asked.headers);
    let answer = request.send().await.ok()?;
    let mut response = Response::default();
    *response.status_mut() = answer.status();
    let passed = answer.headers().iter().filter(|(name, _)| **name == header::CONTENT_TYPE);
    response.headers_mut().extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    *response.body_mut() = Body::from(answer.bytes().await.ok()?);
    Some(response)
}
