//! The web page of the mailbox, which in the demo is what a person reads mail by.

use std::path::PathBuf;

use openteam_end_to_end::{House, house};
use process::{
    mail::{Mail, MailKind, Mailer},
    metrics::Metrics,
    settings::Settings,
};
use serde_json::{Value, json};

/// Mails as a role of the house would.
fn send(house: &House, to: &str, subject: &str, html: Option<&str>) {
    let settings = Settings::read(&house.state_dir().join("house/settings")).unwrap();
    let mailer = Mailer::new(&settings, PathBuf::new(), &Metrics::new(audit::Role::Portal));
    let mail = Mail {
        id: format!("test/{subject}"),
        kind: MailKind::Incident,
        to: vec![to.parse().unwrap()],
        subject: subject.to_owned(),
        text: format!("This is {subject}.\n<script>document.title = 'run'</script>\n"),
        html: html.map(str::to_owned),
    };
    let sent = house.block_on(mailer.send(&mail)).unwrap();
    assert_eq!(sent.left_out, 0);
}

#[test]
fn mail_is_read_in_a_browser_and_nothing_in_it_runs_or_is_fetched() {
    let house = house();
    let hostile = "<h1>Hello</h1><p style='color: red'>HTML</p><script>parent.document.title = 'run'</script>\
                   <img src='https://tracker.example/pixel.gif' alt=''><a target='_top' href='https://evil.example/'>here</a>";
    send(&house, "ada@mailbox.example", "the first", None);
    send(&house, "ada@mailbox.example", "the second <b>&amp;", Some(hostile));
    send(&house, "bob@mailbox.example", "another", None);
    house.browse("mailbox", &json!({}), |what, _| {
        assert_eq!(what, "send");
        send(&house, "ada@mailbox.example", "the third", None);
        Value::Null
    });
}
