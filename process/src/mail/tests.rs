//! Against a server that says what the test wants; the real one is in the tests of the whole product.

use std::{fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::*;

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn mail(to: &[&str]) -> Mail {
    Mail {
        id: "incident/1/opened".to_owned(),
        kind: MailKind::Incident,
        to: to.iter().map(|text| address(text)).collect(),
        subject: "Incident inc-7".to_owned(),
        text: "acme/na is contained.\n.\nA line that is a dot is a line.\n".to_owned(),
        html: None,
    }
}

/// Header fields, unfolded, and the body of a mail as it is sent.
fn written(mail: &Mail) -> (Vec<String>, String) {
    let bytes = message::written(mail, &address("openteam@example.com")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    (head.split("\r\n").map(str::to_owned).collect(), body.to_owned())
}

fn field<'a>(head: &'a [String], name: &str) -> &'a str {
    let mut those = head.iter().filter_map(|line| line.strip_prefix(&format!("{name}: ")));
    let value = those.next().unwrap_or_else(|| panic!("{name} in {head:?}"));
    assert_eq!(those.next(), None, "one {name}");
    value
}

#[test]
fn a_mail_has_what_a_reader_and_another_machine_need() {
    let (head, body) = written(&mail(&["a@example.com", "b@example.com"]));
    assert_eq!(field(&head, "From"), "OpenTeam <openteam@example.com>");
    assert_eq!(field(&head, "To"), "a@example.com, b@example.com");
    assert_eq!(field(&head, "Subject"), "Incident inc-7");
    assert_eq!(field(&head, "Auto-Submitted"), "auto-generated");
    assert!(field(&head, "Content-Type").starts_with("text/plain"), "{head:?}");
    assert_eq!(body.lines().next(), Some("acme/na is contained."));
    let date = field(&head, "Date");
    assert!(date.ends_with("+0000"), "{date}");
    let both = Mail { html: Some("<p>acme/na</p>".to_owned()), ..mail(&["a@example.com"]) };
    let (head, body) = written(&both);
    assert!(field(&head, "Content-Type").starts_with("multipart/alternative"), "{head:?}");
    assert!(body.contains("acme/na is contained.") && body.contains("<p>acme/na</p>"), "{body}");
}

#[test]
fn a_mail_that_is_sent_again_has_the_same_message_id_and_another_has_another() {
    let id = |mail: &Mail| field(&written(mail).0, "Message-ID").to_owned();
    let first = mail(&["a@example.com"]);
    let again = Mail { text: "Said otherwise.".to_owned(), ..first.clone() };
    assert_eq!(id(&first), id(&again));
    assert!(id(&first).starts_with("<openteam.") && id(&first).ends_with("@example.com>"), "{}", id(&first));
    let other = Mail { id: "incident/1/closed".to_owned(), ..first.clone() };
    assert_ne!(id(&first), id(&other));
    let hostile = Mail { id: "a>\r\nBcc: x@evil.example\r\n\r\n<".to_owned(), ..first };
    assert!(id(&hostile).chars().all(|c| c.is_ascii_alphanumeric() || "<>.@".contains(c)), "{}", id(&hostile));
}

#[test]
fn nothing_that_is_told_becomes_a_header_or_ends_the_mail() {
    let names = |mail: &Mail| -> Vec<String> {
        let (head, _) = written(mail);
        head.iter().map(|line| line.split_once(": ").map_or(line.as_str(), |it| it.0).to_owned()).collect()
    };
    let usual = names(&mail(&["a@example.com"]));
    for text in [
        "inc-7\r\nBcc: x@evil.example",
        "inc-7\nBcc: x@evil.example",
        "inc-7\rBcc: x@evil.example",
        "inc-7\r\n\r\nBody",
        "=?utf-8?q?inc=0d=0aBcc:_x@evil.example?=",
        "inc-7\u{2028}Bcc: x@evil.example\u{85}\u{0}",
        &"Größe ".repeat(100),
        &format!("{}\r\nBcc: x@evil.example", "x".repeat(990)),
    ] {
        let hostile = Mail { subject: text.to_owned(), ..mail(&["a@example.com"]) };
        assert_eq!(names(&hostile), usual, "{text:?}");
    }
    let hostile = Mail { text: "hello\r\n.\r\nMAIL FROM:<x@evil.example>\r\n".to_owned(), ..mail(&["a@example.com"]) };
    assert_eq!(names(&hostile), usual);
}

#[test]
fn what_could_carry_more_than_an_address_is_none() {
    for text in ["a@example.com", "first.last+tag@sub.example.com", "o'neil@example.com", "a@xn--bcher-kva.example"] {
        assert_eq!(address(text).as_str(), text);
    }
    assert_eq!(address("a@sub.example.com").domain(), "sub.example.com");
    for text in [
        "",
        "a",
        "@example.com",
        "a@",
        "a@b@example.com",
        "a b@example.com",
        "a@example.com\r\nRCPT TO:<x@evil.example>",
        "a@example.com\n",
        "a@example.com>",
        "<a@example.com>",
        "A <a@example.com>",
        "a@example.com,b@example.com",
        "a@example.com;b@example.com",
        "\"a\\\r\n\"@example.com",
        "\"a b\"@example.com",
        "a@[127.0.0.1]",
        "a\u{0}@example.com",
        "ä@example.com",
        "a@bücher.example",
        &format!("a@{}.example", "x".repeat(260)),
    ] {
        assert_eq!(text.parse::<EmailAddress>(), Err(NotAnAddress), "{text:?}");
        assert!(text.len() < 4 || !NotAnAddress.to_string().contains(text), "{text:?}");
    }
    assert!(!format!("{:?}", mail(&["a@example.com"])).contains("a@example.com"));
}

/// What a server does, and what it was told.
#[derive(Clone, Default)]
struct Script {
    /// What is answered to a line with this in it, instead of what is usual; an empty answer is silence.
    answers: Vec<(&'static str, &'static str)>,
    /// Whether EHLO offers STARTTLS.
    starttls: bool,
}

struct Server {
    port: u16,
    authority: String,
    heard: JoinHandle<Vec<String>>,
}

impl Script {
    fn answering(answers: &[(&'static str, &'static str)]) -> Self {
        Self { answers: answers.to_vec(), starttls: true }
    }

    async fn start(self, tls: SmtpTls) -> Server {
        crate::start::provide_tls();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let mut heard = Vec::new();
            let (mut stream, _) = listener.accept().await.unwrap();
            if tls == SmtpTls::StartTls {
                stream.write_all(b"220 ready\r\n").await.unwrap();
                if !self.talk(&mut stream, &mut heard, true).await {
                    return heard;
                }
            }
            let Ok(mut stream) = acceptor.accept(stream).await else {
                heard.push("no handshake".to_owned());
                return heard;
            };
            heard.push("TLS".to_owned());
            if tls == SmtpTls::Wrapped {
                stream.write_all(b"220 ready\r\n").await.unwrap();
            }
            self.talk(&mut stream, &mut heard, false).await;
            heard
        });
        Server { port, authority, heard }
    }

    /// Whether TLS begins now.
    async fn talk(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        heard: &mut Vec<String>,
        plain: bool,
    ) -> bool {
        let mut stream = BufReader::new(stream);
        let mut in_data = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return false;
            }
            let line = line.trim_end().to_owned();
            heard.push(line.clone());
            if in_data && line != "." {
                continue;
            }
            let usual = match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" if plain && self.starttls => "250-localhost\r\n250 STARTTLS",
                "EHLO" => "250-localhost\r\n250 AUTH PLAIN LOGIN",
                "STARTTLS" => "220 go",
                "AUTH" => "235 welcome",
                "DATA" => "354 speak",
                "QUIT" => "221 bye",
                _ => "250 fine",
            };
            let answer = self.answers.iter().find(|(with, _)| line.contains(with)).map_or(usual, |it| it.1);
            in_data = answer.starts_with("354");
            if !answer.is_empty() && stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return false;
            }
            if answer.starts_with("220 go") {
                return true;
            }
            if answer.starts_with("221") || answer.starts_with("421") {
                return false;
            }
        }
    }
}

impl Server {
    fn account(&self, tls: SmtpTls, credentials: &Path) -> Account {
        Account {
            server: SmtpServer { host: "localhost".to_owned(), port: self.port, tls },
            from: address("openteam@example.com"),
            authorities: Some(self.authority.clone()),
            credentials: credentials.to_owned(),
            limit: Duration::from_secs(10),
        }
    }
}

fn mailer(account: Account) -> Mailer {
    Mailer { account: Some(account), mails: Family::default() }
}

/// What comes of a mail to two, and what the server heard.
async fn tried(script: Script, tls: SmtpTls) -> (Result<Sent, MailError>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("username"), "openteam\n").unwrap();
    fs::write(directory.path().join("password"), "hunter2").unwrap();
    let server = script.start(tls).await;
    let mut account = server.account(tls, directory.path());
    account.limit = Duration::from_secs(2);
    let done = mailer(account).send(&mail(&["a@example.com", "b@example.com"])).await;
    (done, server.heard.await.unwrap())
}

const FINE: Result<Sent, MailError> = Ok(Sent { left_out: 0 });

#[tokio::test]
async fn a_mail_is_handed_over_inside_tls_only() {
    for tls in [SmtpTls::Wrapped, SmtpTls::StartTls] {
        let (done, heard) = tried(Script::answering(&[]), tls).await;
        assert_eq!(done, FINE, "{heard:#?}");
        let began = heard.iter().position(|line| line == "TLS").unwrap();
        assert!(heard[..began].iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"), "{heard:#?}");
        for line in [
            // \0openteam\0hunter2
            "AUTH PLAIN AG9wZW50ZWFtAGh1bnRlcjI=",
            "MAIL FROM:<openteam@example.com>",
            "RCPT TO:<b@example.com>",
            "Subject: Incident inc-7",
            "..",
            "QUIT",
        ] {
            assert!(heard[began..].iter().any(|it| it == line), "{line} in {heard:#?}");
        }
    }
}

#[tokio::test]
async fn a_server_without_starttls_is_told_nothing() {
    let (done, heard) = tried(Script { starttls: false, ..Script::default() }, SmtpTls::StartTls).await;
    assert_eq!(done, Err(MailError::NotTrusted));
    assert!(heard.iter().all(|line| line.starts_with("EHLO") || line == "QUIT"), "{heard:#?}");
}

#[tokio::test]
async fn a_server_that_only_says_it_is_the_right_one_is_told_nothing() {
    for tls in [SmtpTls::Wrapped, SmtpTls::StartTls] {
        let directory = tempfile::tempdir().unwrap();
        for (host, authority) in [("127.0.0.1", None), ("localhost", Some(include_str!("../settings/authority.pem")))] {
            let server = Script::answering(&[]).start(tls).await;
            let mut account = server.account(tls, directory.path());
            account.server.host = host.to_owned();
            if let Some(authority) = authority {
                account.authorities = Some(authority.to_owned());
            }
            assert_eq!(
                mailer(account).send(&mail(&["a@example.com"])).await,
                Err(MailError::NotTrusted),
                "{host} {tls:?}"
            );
            let heard = server.heard.await.unwrap();
            assert!(!heard.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{heard:#?}");
        }
    }
}

#[tokio::test]
async fn what_a_server_answers_says_whether_to_try_again() {
    use MailError::{LoginRefused, NotNow, Refused, TimedOut, Unreachable};
    for (answers, expected) in [
        (&[("AUTH", "535 no hunter2 here")][..], Err(LoginRefused(535))),
        (&[("AUTH", "454 later")], Err(LoginRefused(454))),
        (&[("AUTH", "421 closing")], Err(NotNow(421))),
        (&[("MAIL", "530 log in first")], Err(LoginRefused(530))),
        (&[("MAIL", "450 busy")], Err(NotNow(450))),
        (&[("MAIL", "550 not from you")], Err(Refused(550))),
        (&[("RCPT TO:<a@", "550 no a@example.com")], Ok(Sent { left_out: 1 })),
        (&[("RCPT TO:<b@", "451 greylisted")], Ok(Sent { left_out: 1 })),
        (&[("RCPT", "550 nobody")], Err(Refused(550))),
        (&[("RCPT", "450 greylisted")], Err(NotNow(450))),
        (&[("RCPT TO:<a@", "550 nobody"), ("RCPT TO:<b@", "450 greylisted")], Err(NotNow(450))),
        (&[("RCPT TO:<b@", "421 closing")], Err(NotNow(421))),
        (&[("DATA", "554 no")], Err(Refused(554))),
        (&[("DATA", "nonsense")], Err(Unreachable)),
        (&[("DATA", "354 speak"), ("A line", "")], FINE),
        (&[("QUIT", "500 what")], FINE),
        (&[("MAIL", "")], Err(TimedOut)),
    ] {
        let (done, heard) = tried(Script::answering(answers), SmtpTls::Wrapped).await;
        assert_eq!(done, expected, "{answers:?}: {heard:#?}");
        if let Err(error) = done {
            let said = format!("{error} {error:?} {}", error.reason());
            assert!(!said.contains("hunter2") && !said.contains('@'), "{said}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_refused_is_not_written_to_and_the_others_are() {
    let (done, heard) = tried(Script::answering(&[("RCPT TO:<a@", "550 no")]), SmtpTls::Wrapped).await;
    assert_eq!(done, Ok(Sent { left_out: 1 }));
    assert!(heard.iter().any(|line| line == "DATA"), "{heard:#?}");
}

#[tokio::test]
async fn credentials_are_read_anew_each_time_and_half_of_them_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let login = async || {
        let server = Script::answering(&[]).start(SmtpTls::Wrapped).await;
        let account = server.account(SmtpTls::Wrapped, directory.path());
        let done = mailer(account).send(&mail(&["a@example.com"])).await;
        server.heard.abort();
        match server.heard.await {
            Ok(heard) => (done, heard.into_iter().find(|line| line.starts_with("AUTH"))),
            Err(_) => (done, None),
        }
    };
    assert_eq!(login().await.0, FINE, "a server that lets everybody in");
    write("username", "openteam");
    assert_eq!(login().await.0, Err(MailError::NoCredentials));
    for (password, expected) in [("one", "AG9wZW50ZWFtAG9uZQ=="), ("two\n", "AG9wZW50ZWFtAHR3bw==")] {
        write("password", password);
        let server = Script::answering(&[]).start(SmtpTls::Wrapped).await;
        let account = server.account(SmtpTls::Wrapped, directory.path());
        assert_eq!(mailer(account).send(&mail(&["a@example.com"])).await, FINE);
        let heard = server.heard.await.unwrap();
        assert!(heard.contains(&format!("AUTH PLAIN {expected}")), "{heard:#?}");
    }
}

#[tokio::test]
async fn nobody_is_written_to_where_there_is_no_server_or_no_address() {
    let metrics = Metrics::new(audit::Role::Operator);
    let none = Mailer::new(&Settings::default(), PathBuf::from("/none"), &metrics);
    assert!(!none.is_configured());
    assert_eq!(none.send(&mail(&["a@example.com"])).await, Err(MailError::NotConfigured));
    let text = metrics.text();
    for line in [
        "openteam_mails_total{kind=\"incident\",outcome=\"failed\"} 1\n",
        "openteam_mails_total{kind=\"consent\",outcome=\"later\"} 0\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let server = SmtpServer { host: "localhost".to_owned(), port: 1, tls: SmtpTls::Wrapped };
    let from = address("openteam@example.com");
    let limit = Duration::from_secs(5);
    let there = mailer(Account { server, from, authorities: None, credentials: PathBuf::from("/none"), limit });
    assert_eq!(there.send(&mail(&[])).await, Err(MailError::NoRecipient));
    assert_eq!(there.send(&mail(&["a@example.com"])).await, Err(MailError::Unreachable));
}
