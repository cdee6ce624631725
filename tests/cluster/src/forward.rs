//! A way into a node's network, which nothing else connects to the machine's.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::daemon::Daemon;
use crate::place::Place;
use crate::state::State;

/// A loopback port of this machine whose connections end at an address in the node; closed on drop.
///
/// The file system is what machine and node share: `socat` in the node listens on a Unix socket, a thread here copies.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    _inner: Daemon,
}

impl Forward {
    /// To `target`, `ADDRESS:PORT` as the node sees it: a pod's or a Service's.
    pub(crate) fn start(state: &State, place: &Place, target: &str) -> Result<Self, Error> {
        let cannot = |source| Error::File { doing: "listen on", path: "127.0.0.1".into(), source };
        let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let socket = state.path(&format!("{}.sock", address.port()));
        let args = vec![format!("UNIX-LISTEN:{},fork,mode=600", socket.display()), format!("TCP:{target}")];
        let mut inner = Daemon::start(state, place, "socat", "socat", args)?;
        inner.wait_until(Duration::from_secs(10), || socket.exists())?;
        let closed = Arc::new(AtomicBool::new(false));
        let flag = closed.clone();
        thread::spawn(move || serve(&listener, &socket, &flag));
        Ok(Self { address, closed, _inner: inner })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes the thread in `accept`, so that it sees the flag and closes the port.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(listener: &TcpListener, socket: &Path, closed: &AtomicBool) {
    for client in listener.incoming() {
        if closed.load(Ordering::Acquire) {
            return;
        }
        // A connection that fails is closed, as a port with nothing behind it would be.
        if let Ok(client) = client {
            drop(relay(client, socket));
        }
    }
}

fn relay(client: TcpStream, socket: &Path) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(socket)?;
    let (mut to_server, mut from_client) = (server.try_clone()?, client.try_clone()?);
    let (mut from_server, mut to_client) = (server, client);
    thread::spawn(move || {
        drop(io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    thread::spawn(move || {
        drop(io::copy(&mut from_server, &mut to_client));
        drop(to_client.shutdown(Shutdown::Write));
    });
    Ok(())
}
