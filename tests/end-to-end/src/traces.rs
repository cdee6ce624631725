//! Where the roles' traces go: an OTLP endpoint that keeps every byte, to be searched at the end.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// The endpoint.
pub(crate) struct Traces {
    address: SocketAddr,
    file: PathBuf,
}

impl Traces {
    /// Listens on a free port and keeps what is exported in `file`.
    pub(crate) async fn start(file: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Mutex::new(OpenOptions::new().create(true).append(true).open(file).unwrap()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A role that is killed in the middle of an export takes it with it.
                tokio::spawn(serve(stream, kept.clone()));
            }
        });
        Self { address, file: file.to_owned() }
    }

    /// What roles are told.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far, as text as far as it is text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.file).unwrap()).into_owned()
    }
}

/// Takes one export after the other, heads too: a credential could be in a header.
async fn serve(stream: TcpStream, kept: Arc<Mutex<File>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let from = head.len();
            if stream.read_until(b'\n', &mut head).await.ok()? == 0 {
                return None;
            }
            let line = String::from_utf8_lossy(&head[from..]).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        {
            let mut file = kept.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&head).and_then(|()| file.write_all(&body)).ok()?;
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
            .await
            .ok()?;
    }
}
