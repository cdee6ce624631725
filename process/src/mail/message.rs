//! A mail in the form of RFC 5322.

use data_encoding::HEXLOWER;
use lettre::{
    Message,
    message::{
        Mailbox, MultiPart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use sha2::{Digest, Sha256};

use super::{EmailAddress, Mail, MailError};

/// The name beside the address it comes from.
const SENDER: &str = "OpenTeam";

/// Header fields and body, as they are sent.
pub(super) fn written(mail: &Mail, from: &EmailAddress) -> Result<Vec<u8>, MailError> {
    let mut builder = Message::builder()
        .from(Mailbox::new(Some(SENDER.to_owned()), from.inner().clone()))
        .subject(one_line(&mail.subject))
        .message_id(Some(message_id(&mail.id, from)))
        .date_now()
        // RFC 3834, 5.: so that nobody's absence note answers it.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    for address in &mail.to {
        builder = builder.to(Mailbox::new(None, address.inner().clone()));
    }
    let message = match &mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
        None => builder.header(ContentType::TEXT_PLAIN).body(mail.text.clone()),
    };
    message.map(|message| message.formatted()).map_err(|_| MailError::Unwritable)
}

/// The same for the same id.
pub(super) fn message_id(id: &str, from: &EmailAddress) -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(id.as_bytes())[..16]);
    format!("<openteam.{digest}@{}>", from.domain())
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
