//! The SMTP server that the house mails by.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
};

use cluster::{binaries::go_program, free_port, spawn, tethered};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{House, eventually, raw};

/// A mail that it took.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// The sender it was given.
    pub from: String,
    /// The addresses it was given.
    pub to: Vec<String>,
    /// Who had logged in.
    pub user: String,
    /// Without its angle brackets.
    pub message_id: String,
    /// As a reader shows it.
    pub subject: String,
    /// As a reader shows it.
    pub text: String,
}

impl Received {
    /// The code to sign in to the portal with, if it brings one: alone in its line, as `K7QM-2XWD`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        let is_code = |word: &&str| {
            let plain =
                |half: &str| half.len() == 4 && half.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            word.split_once('-').is_some_and(|(first, second)| plain(first) && plain(second))
        };
        self.text.lines().map(str::trim).find(is_code)
    }
}

/// The server; ends when dropped.
pub struct Mailbox {
    child: Child,
    smtps: u16,
    smtp: u16,
    http: u16,
    authority: PathBuf,
}

impl Mailbox {
    pub(crate) fn start(dir: &Path) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mailbox");
        let program = go_program(&source, "mailbox").unwrap();
        let [smtps, smtp, http] = [(); 3].map(|()| free_port().unwrap());
        let authority = dir.join("mailbox.crt");
        let log = File::create(dir.join("mailbox.log")).unwrap();
        let mut command = tethered(program);
        command
            .arg(format!("-smtps=127.0.0.1:{smtps}"))
            .arg(format!("-smtp=127.0.0.1:{smtp}"))
            .arg(format!("-http=127.0.0.1:{http}"))
            .arg(format!("-ca={}", authority.display()))
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mailbox = Self { child: spawn(command).unwrap(), smtps, smtp, http, authority };
        eventually("the mailbox is up", || {
            raw::plain_get(http, "/switches").filter(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        mailbox
    }

    /// Setting `smtpUrl`: `smtps` or `smtp`, for STARTTLS.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        let port = if scheme == "smtps" { self.smtps } else { self.smtp };
        format!("{scheme}://localhost:{port}")
    }

    /// Where its mail can be read, as people do: an origin.
    #[must_use]
    pub fn page(&self) -> String {
        format!("http://localhost:{}", self.http)
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn authority(&self) -> String {
        fs::read_to_string(&self.authority).unwrap()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl House {
    /// Everything that was mailed.
    #[must_use]
    pub fn mails(&self) -> Vec<Received> {
        let url = format!("http://127.0.0.1:{}/mails", self.mailbox().http);
        self.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.get(url).send().await.unwrap().json().await.unwrap()
        })
    }

    /// What was mailed to an address.
    #[must_use]
    pub fn mails_to(&self, address: &str) -> Vec<Received> {
        self.mails().into_iter().filter(|mail| mail.to.iter().any(|to| to == address)).collect()
    }

    /// Sets the mailbox's switches (`tests/mailbox/box.go`). Only for who is [`crate::alone`].
    pub fn set_mailbox(&self, switches: &Value) {
        let url = format!("http://127.0.0.1:{}/switches", self.mailbox().http);
        let status = self.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.put(url).json(switches).send().await.unwrap().status()
        });
        assert!(status.is_success(), "{switches}: {status}");
    }

    /// The mailbox takes every mail.
    pub(crate) fn reset_mailbox(&self) {
        self.set_mailbox(&json!({}));
    }
}
