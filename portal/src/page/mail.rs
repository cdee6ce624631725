//! Mails about signing in, each as text and as HTML. Neither has a link that signs in: a code is typed.

use askama::Template;

/// The code. Kept in memory only as long as the mail is sent.
#[derive(Template)]
#[template(path = "mail/code.txt", escape = "none")]
pub struct CodeMail<'a> {
    /// As it is typed, such as `K7QM-2XWD`.
    pub code: &'a str,
    /// How long it is good, in minutes.
    pub minutes: u32,
    /// The portal's origin, such as `https://portal.acme.example`.
    pub origin: &'a str,
}

#[derive(Template)]
#[template(path = "mail/code.html")]
struct CodeHtml<'a> {
    code: &'a str,
    minutes: u32,
    origin: &'a str,
}

impl CodeMail<'_> {
    /// The mail's subject. Without the code: subjects show on locked screens and in logs of mail servers.
    pub const SUBJECT: &'static str = "Your OpenTeam sign-in code";

    /// The text part.
    #[must_use]
    pub fn text(&self) -> String {
        self.render().unwrap_or_default()
    }

    /// The HTML part.
    #[must_use]
    pub fn html(&self) -> String {
        let Self { code, minutes, origin } = *self;
        CodeHtml { code, minutes, origin }.render().unwrap_or_default()
    }
}

/// Too many wrong codes: signing in by code is locked for the address.
#[derive(Template)]
#[template(path = "mail/lock.txt", escape = "none")]
pub struct LockMail<'a> {
    /// How many wrong codes in a row.
    pub failures: u32,
    /// The portal's origin.
    pub origin: &'a str,
    /// When it opens by itself, in minutes, if it does.
    pub minutes: Option<u32>,
    /// Whom to write to: a mail address.
    pub contact: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/lock.html")]
struct LockHtml<'a> {
    failures: u32,
    origin: &'a str,
    minutes: Option<u32>,
    contact: Option<&'a str>,
}

impl LockMail<'_> {
    /// The mail's subject.
    pub const SUBJECT: &'static str = "OpenTeam: signing in with your address is locked";

    /// The text part.
    #[must_use]
    pub fn text(&self) -> String {
        self.render().unwrap_or_default()
    }

    /// The HTML part.
    #[must_use]
    pub fn html(&self) -> String {
        let Self { failures, origin, minutes, contact } = *self;
        LockHtml { failures, origin, minutes, contact }.render().unwrap_or_default()
    }
}
