//! One mail, by one connection (RFC 5321, over TLS by RFC 8314 or 3207).
//!
//! Not by lettre's transport: with that, one address that a server refuses keeps every other from being written to.

use std::{fs, io, path::Path, str::FromStr};

use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
    commands::{self, Data, Rcpt},
    extension::ClientId,
};
use url::Url;

use super::{Account, Mail, MailError, Sent, message};

/// Where TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// With the connection (`smtps://`, RFC 8314).
    Wrapped,
    /// By the command STARTTLS (`smtp://`, RFC 3207); a server that does not offer it is told nothing.
    StartTls,
}

/// A server that mail is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// Its host, which its certificate must name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where TLS begins.
    pub tls: SmtpTls,
}

impl FromStr for SmtpServer {
    type Err = &'static str;

    /// `smtps://HOST` or `smtp://HOST`, each with `:PORT` where it is not 465 or 587. The error does not repeat the text,
    /// which may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Url = text.parse().map_err(|_| "it is no address")?;
        let (tls, usual) = match url.scheme() {
            "smtps" => (SmtpTls::Wrapped, 465),
            "smtp" => (SmtpTls::StartTls, 587),
            _ => return Err("it does not begin with smtps:// or smtp://"),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it is an address without a host")?;
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            return Err("its host is neither a name nor an IPv4 address");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user name and password belong into Secret openteam-smtp, not here");
        }
        if !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some() {
            return Err("an address here has no path, query or fragment");
        }
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(usual), tls })
    }
}

impl std::fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.tls {
            SmtpTls::Wrapped => "smtps",
            SmtpTls::StartTls => "smtp",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Gives a mail to the server.
pub(super) async fn send(account: &Account, mail: &Mail) -> Result<Sent, MailError> {
    if mail.to.is_empty() {
        return Err(MailError::NoRecipient);
    }
    let text = message::written(mail, &account.from)?;
    let mut connection = connect(account).await?;
    let done = hand_over(&mut connection, account, mail, &text).await;
    // Says QUIT where it still can. What it answers changes nothing: the mail is taken, or is not.
    connection.abort().await;
    done
}

async fn connect(account: &Account) -> Result<AsyncSmtpConnection, MailError> {
    let Account { server, from, .. } = account;
    let credentials = credentials(&account.credentials)?;
    let tls = tls(account)?;
    // A name for EHLO: what the mail comes from. A pod's own name says nothing to anybody.
    let hello = ClientId::Domain(from.domain().to_owned());
    let to = (server.host.as_str(), server.port);
    let mut connection = match server.tls {
        SmtpTls::Wrapped => AsyncSmtpConnection::connect_tokio1(to, Some(account.limit), &hello, Some(tls), None)
            .await
            .map_err(broke)?,
        SmtpTls::StartTls => {
            let mut plain = AsyncSmtpConnection::connect_tokio1(to, Some(account.limit), &hello, None, None)
                .await
                .map_err(broke)?;
            if !plain.can_starttls() {
                plain.abort().await;
                return Err(MailError::NotTrusted);
            }
            plain.starttls(tls, &hello).await.map_err(broke)?;
            plain
        }
    };
    if !connection.is_encrypted() {
        return Err(MailError::NotTrusted);
    }
    if let Some(credentials) = credentials {
        let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        if let Err(error) = login {
            connection.abort().await;
            return Err(match error.status().map(u16::from) {
                // 421: it is closing, whatever it was asked.
                Some(421) => MailError::NotNow(421),
                Some(code) => MailError::LoginRefused(code),
                None if error.is_client() => MailError::LoginRefused(0),
                None => broke(error),
            });
        }
    }
    Ok(connection)
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    account: &Account,
    mail: &Mail,
    text: &[u8],
) -> Result<Sent, MailError> {
    let from = commands::Mail::new(Some(account.from.inner().clone()), Vec::new());
    connection.command(from).await.map_err(refused)?;
    let mut refusals = Vec::new();
    for address in &mail.to {
        match connection.command(Rcpt::new(address.inner().clone(), Vec::new())).await.map_err(refused) {
            Ok(_) => {}
            Err(error @ (MailError::NotNow(421) | MailError::Unreachable)) => return Err(error),
            Err(error) => refusals.push(error),
        }
    }
    if refusals.len() == mail.to.len() {
        // Any that may be taken later makes another attempt worth it.
        let later = refusals.iter().find(|error| error.retry() == super::Retry::Later);
        return Err(later.or(refusals.first()).copied().unwrap_or(MailError::NoRecipient));
    }
    connection.command(Data).await.map_err(refused)?;
    connection.message(text).await.map_err(refused)?;
    Ok(Sent { left_out: refusals.len() })
}

/// What a failure of the connection itself means.
fn broke(error: lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(_) => refused(error),
        None if error.is_timeout() => MailError::TimedOut,
        None if error.is_tls() || is_about_tls(&error) => MailError::NotTrusted,
        None => MailError::Unreachable,
    }
}

/// A handshake's failure arrives as a failure to connect or to read, with rustls' own error at the bottom.
fn is_about_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What the server's refusal of a command means.
fn refused(error: lettre::transport::smtp::Error) -> MailError {
    match error.status().map(u16::from) {
        // RFC 4954, 6.: it wants a login, or another one.
        Some(code @ (530 | 534 | 535 | 538)) => MailError::LoginRefused(code),
        Some(code @ 400..500) => MailError::NotNow(code),
        Some(code) => MailError::Refused(code),
        None => broke_off(&error),
    }
}

fn broke_off(error: &lettre::transport::smtp::Error) -> MailError {
    if error.is_timeout() { MailError::TimedOut } else { MailError::Unreachable }
}

fn tls(account: &Account) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(account.server.host.clone());
    if let Some(pem) = &account.authorities {
        let authorities = Certificate::from_pem(pem.as_bytes()).map_err(|_| MailError::NotTrusted)?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authorities);
    }
    builder.build_rustls().map_err(|_| MailError::NotTrusted)
}

/// What is mounted now; nothing, if there is neither file.
fn credentials(directory: &Path) -> Result<Option<Credentials>, MailError> {
    let read = |name: &str| match fs::read_to_string(directory.join(name)) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err(MailError::NoCredentials),
    };
    match (read("username")?, read("password")?) {
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user, password))),
        (None, None) => Ok(None),
        _ => Err(MailError::NoCredentials),
    }
}
