//! Mail by the SMTP server of the settings, over TLS or not at all.
//!
//! What sends keeps its own queue: [`Mailer::send`] tries once, and its errors say whether trying again can help. They hold
//! fixed words and a reply's code only: servers repeat addresses in their answers.

mod address;
mod message;
mod smtp;

#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, time::Duration};

use prometheus_client::metrics::{counter::Counter, family::Family};

pub use address::{EmailAddress, NotAnAddress};
pub use smtp::{SmtpServer, SmtpTls};

use crate::{metrics::Metrics, settings::Settings};

/// How long one attempt may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What a mail is about; a word for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// An incident, to whom it concerns.
    Incident,
    /// The seller is asked to authorize anew.
    Consent,
    /// Amazon says that a seller took an authorization back.
    Revoked,
    /// Somebody signs in to the portal: a code, or that no code is taken any more.
    SignIn,
    /// A RuntimeToken is about to end.
    TokenExpiry,
    /// The record is to be reviewed.
    Review,
}

impl MailKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Incident, Self::Consent, Self::Revoked, Self::SignIn, Self::TokenExpiry, Self::Review];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Consent => "consent",
            Self::Revoked => "revoked",
            Self::SignIn => "sign-in",
            Self::TokenExpiry => "token-expiry",
            Self::Review => "review",
        }
    }
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Names what it tells, for as long as OpenTeam runs, such as `incident/UID/3`. The Message-ID is made from it, so a mail
    /// that was sent twice can be recognised as one. Never shown.
    pub id: String,
    /// What it is about.
    pub kind: MailKind,
    /// To whom; all of them see each other.
    pub to: Vec<EmailAddress>,
    /// A line. Line ends and other control characters become spaces.
    pub subject: String,
    /// What is read.
    pub text: String,
    /// The same with links, for readers that show it.
    pub html: Option<String>,
}

/// That the server has taken a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Sent {
    /// How many of the addresses the server did not take: whoever is left was told.
    pub left_out: usize,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Later, as it is.
    Later,
    /// Not before somebody changes something.
    Never,
}

/// Why a mail was not sent. Nobody was told: it is all addresses or none, but for [`Sent::left_out`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// `smtpUrl` and `smtpFrom` are not set.
    #[error("mail is not set up: set smtpUrl and smtpFrom")]
    NotConfigured,
    /// There is no address to write to, or none that is one.
    #[error("mail has no address that can be written to")]
    NoRecipient,
    /// The mail cannot be put into its form.
    #[error("mail cannot be written")]
    Unwritable,
    /// User name and password are mounted and cannot be read, or one of them is missing.
    #[error("user name and password of the SMTP server cannot be read")]
    NoCredentials,
    /// The server cannot be reached, or broke off.
    #[error("SMTP server cannot be reached")]
    Unreachable,
    /// The server did not answer in time.
    #[error("SMTP server does not answer in time")]
    TimedOut,
    /// The server's certificate is not that of its host by an authority that is trusted, or it speaks no TLS.
    #[error("SMTP server has no encrypted connection that can be trusted")]
    NotTrusted,
    /// The server does not take user name and password.
    #[error("SMTP server refuses user name and password ({0})")]
    LoginRefused(u16),
    /// The server refused for now.
    #[error("SMTP server refuses for now ({0})")]
    NotNow(u16),
    /// The server refused for good.
    #[error("SMTP server refuses ({0})")]
    Refused(u16),
}

impl MailError {
    /// A CamelCase word, for statuses and events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotConfigured => "MailNotConfigured",
            Self::NoRecipient => "NoRecipient",
            Self::Unwritable => "MailUnwritable",
            Self::NoCredentials => "NoSmtpCredentials",
            Self::Unreachable => "SmtpUnreachable",
            Self::TimedOut => "SmtpTimedOut",
            Self::NotTrusted => "SmtpNotTrusted",
            Self::LoginRefused(_) => "SmtpLoginRefused",
            Self::NotNow(_) => "SmtpRefusedForNow",
            Self::Refused(_) => "SmtpRefused",
        }
    }

    /// Whether trying again can help. Refused credentials may be replaced at any time.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::NotConfigured | Self::NoRecipient | Self::Unwritable | Self::Refused(_) => Retry::Never,
            Self::NoCredentials
            | Self::Unreachable
            | Self::TimedOut
            | Self::NotTrusted
            | Self::LoginRefused(_)
            | Self::NotNow(_) => Retry::Later,
        }
    }
}

/// Where mail goes, and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    server: SmtpServer,
    from: EmailAddress,
    /// PEM of the only authorities that are trusted; the system's without it.
    authorities: Option<String>,
    /// A directory with the files `username` and `password`.
    credentials: PathBuf,
    /// How long one attempt may take, from the first packet to the server's last word.
    limit: Duration,
}

/// Sends mail. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    account: Option<Account>,
    mails: Family<[(&'static str, &'static str); 2], Counter>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Mailer {
    /// One for what the settings say. `credentials` is a directory with the files `username` and `password`, as a Secret of
    /// type `kubernetes.io/basic-auth` is mounted; they are read at every connection, so a change counts at once. Without
    /// both files nobody logs in.
    #[must_use]
    pub fn new(settings: &Settings, credentials: PathBuf, metrics: &Metrics) -> Self {
        let mails = metrics.register("mails", "Attempts to send a mail, by how they ended", Family::default());
        let account = settings.smtp_url.clone().zip(settings.smtp_from.clone());
        let account = account.map(|(server, from)| Account {
            server,
            from,
            authorities: settings.smtp_ca_bundle.clone(),
            credentials,
            limit: LIMIT,
        });
        let own = Self { account, mails };
        // There from the start, as 0: an alert on an increase does not see a counter that begins with its first failure.
        for kind in MailKind::ALL {
            for outcome in ["sent", "later", "failed"] {
                drop(own.mails.get_or_create(&[("kind", kind.as_str()), ("outcome", outcome)]));
            }
        }
        own
    }

    /// Whether there is a server to send by.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.account.is_some()
    }

    /// Tries once to send a mail, for 30 s at most.
    ///
    /// An address that the server refuses keeps nobody else from being told ([`Sent::left_out`]); only if it takes none,
    /// that is an error. One that was ended or dropped in the middle may have been sent.
    ///
    /// # Errors
    /// [`MailError`]; [`MailError::retry`] says whether trying again can help.
    pub async fn send(&self, mail: &Mail) -> Result<Sent, MailError> {
        let sent = match &self.account {
            None => Err(MailError::NotConfigured),
            Some(account) => match tokio::time::timeout(account.limit, smtp::send(account, mail)).await {
                Ok(done) => done,
                Err(_) => Err(MailError::TimedOut),
            },
        };
        let outcome = match &sent {
            Ok(_) => "sent",
            Err(error) if error.retry() == Retry::Later => "later",
            Err(_) => "failed",
        };
        self.mails.get_or_create(&[("kind", mail.kind.as_str()), ("outcome", outcome)]).inc();
        sent
    }
}
