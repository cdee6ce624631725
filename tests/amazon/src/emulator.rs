//! The emulator as a whole: its listeners, and a handle for tests.

use crate::{
    Authority, AuthorityError, Call, Clock, Counters, Identity, PostError, RotateError, Secret, Seed, SeedError,
    SwitchError, Switches,
    amazon::{self, Amazon},
    control, listener, rotation,
};
use axum::Router;
use jiff::Timestamp;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};

/// Where to listen, and with which certificate.
#[derive(Debug)]
pub struct Listeners {
    /// LWA and SP-API over TLS.
    pub tls: SocketAddr,
    /// What the TLS listener shows.
    pub identity: Identity,
    /// The control API, plain HTTP.
    pub control: SocketAddr,
    /// LWA and SP-API over plain HTTP, for the clients that can do it.
    pub plain: Option<SocketAddr>,
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed contradicts itself.
    #[error("could not use the seed")]
    Seed(#[from] SeedError),
    /// There is no certificate.
    #[error("could not get a certificate")]
    Authority(#[from] AuthorityError),
    /// An address is taken or not ours.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

/// A running emulator; it ends when dropped.
pub struct Emulator {
    amazon: Arc<Amazon>,
    ca: Option<String>,
    tls: SocketAddr,
    control: SocketAddr,
    plain: Option<SocketAddr>,
    listeners: JoinSet<()>,
}

impl Emulator {
    /// Starts one on free loopback ports, with a certificate for `localhost` and `127.0.0.1` by an authority of its own.
    ///
    /// # Errors
    /// When the seed contradicts itself, or no port is free.
    pub async fn start(seed: Seed) -> Result<Self, StartError> {
        Self::start_at(seed, Clock::system()).await
    }

    /// As [`Emulator::start`], with another clock.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub async fn start_at(seed: Seed, clock: Clock) -> Result<Self, StartError> {
        let authority = Authority::make(&["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let identity = Identity::from_pem(&authority.certificate, &authority.key)?;
        let listeners = Listeners { tls: any, identity, control: any, plain: None };
        let mut emulator = Self::serve(seed, clock, listeners).await?;
        emulator.ca = Some(authority.ca);
        Ok(emulator)
    }

    /// Starts one where told.
    ///
    /// # Errors
    /// When the seed contradicts itself, or an address cannot be listened on.
    pub async fn serve(seed: Seed, clock: Clock, on: Listeners) -> Result<Self, StartError> {
        seed.check()?;
        let amazon = Arc::new(Amazon::new(seed, Arc::new(clock)));
        let router = Router::new().fallback(amazon::answer).with_state(Arc::clone(&amazon));
        let mut listeners = JoinSet::new();

        let (tls_listener, tls) = bind(on.tls).await?;
        let (control_listener, control) = bind(on.control).await?;
        let mut plain = None;
        if let Some(address) = on.plain {
            let (listener, address) = bind(address).await?;
            plain = Some(address);
            listeners.spawn(listener::serve(listener, None, router.clone()));
        }
        listeners.spawn(listener::serve(tls_listener, Some(on.identity.acceptor()), router));
        listeners.spawn(listener::serve(control_listener, None, control::router(Arc::clone(&amazon))));
        Ok(Self { amazon, ca: None, tls, control, plain, listeners })
    }

    /// Where LWA and SP-API are, such as `https://localhost:40123`.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://localhost:{}", self.tls.port())
    }

    /// The authority to trust, PEM; `None` when someone else's certificate is served.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// The same as [`Emulator::https_url`] over plain HTTP, if that was asked for.
    #[must_use]
    pub fn plain_url(&self) -> Option<String> {
        self.plain.map(|address| format!("http://localhost:{}", address.port()))
    }

    /// Where the control API is, such as `http://localhost:40124`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://localhost:{}", self.control.port())
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> &Switches {
        &self.amazon.switches
    }

    /// How many calls there were.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.amazon.ledger.counters()
    }

    /// The last 1000 calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.amazon.ledger.calls()
    }

    /// Every access token handed out so far, to be looked for where none may be.
    #[must_use]
    pub fn access_tokens(&self) -> Vec<String> {
        self.amazon.access_tokens()
    }

    /// Makes a new secret for a client, as a developer does in the console; the notice goes to its queue, on the runtime that
    /// this is polled on.
    ///
    /// # Errors
    /// When no queue is registered for it.
    pub async fn rotate(&self, client: &str) -> Result<(), RotateError> {
        self.amazon.rotate(client)
    }

    /// The notices of a client's new secrets so far, oldest first, sent or held back.
    #[must_use]
    pub fn notices(&self, client: &str) -> Vec<String> {
        self.amazon.switches.notices(client)
    }

    /// The notice that a client's secret ends at `at`.
    #[must_use]
    pub fn expiry_notice(&self, client: &str, at: Timestamp) -> String {
        rotation::expiry(client, at, self.amazon.clock.now()).to_string()
    }

    /// Puts a message into the queue that is registered for a client.
    ///
    /// # Errors
    /// When there is none, or it does not take the message.
    pub async fn post(&self, client: &str, body: &str) -> Result<(), PostError> {
        self.amazon.post(client, body).await
    }

    /// Every client secret made by rotation, to be looked for where none may be.
    #[must_use]
    pub fn rotated_secrets(&self) -> Vec<Secret> {
        self.amazon.switches.rotated_secrets()
    }

    /// The code that the consent page would give for this seller.
    ///
    /// # Errors
    /// When the seller is unknown.
    pub fn code(&self, seller: &str, redirect_uri: &str) -> Result<Secret, SwitchError> {
        self.amazon.code(seller, redirect_uri)
    }

    /// Every code that was given, to be looked for where none may be.
    #[must_use]
    pub fn codes(&self) -> Vec<String> {
        self.amazon.consents.codes()
    }

    /// Every refresh token that a code was exchanged for, likewise.
    #[must_use]
    pub fn exchanged(&self) -> Vec<Secret> {
        self.amazon.consents.refresh_tokens()
    }

    /// Its clock, which can be moved.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.amazon.clock
    }

    /// Waits until a listener ends, which it does only by a bug.
    pub async fn ended(&mut self) {
        let _ended = self.listeners.join_next().await;
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
