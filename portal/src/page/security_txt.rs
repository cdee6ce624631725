//! `/.well-known/security.txt` (RFC 9116).

use std::fmt::Write as _;

use jiff::Timestamp;

/// The file. `contact` is a URI (`mailto:` or `https:`), `expires` less than a year ahead (RFC 9116 section 2.5.5),
/// `origin` the portal's, without a slash at its end. A line break in what is given ends the line's text there.
#[must_use]
pub fn security_txt(contact: &str, expires: Timestamp, origin: &str) -> String {
    let mut text = String::new();
    for (field, value) in [
        ("Contact", contact.to_owned()),
        ("Expires", expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("Preferred-Languages", "en".to_owned()),
        ("Canonical", format!("{origin}/.well-known/security.txt")),
        ("Policy", format!("{origin}/security")),
    ] {
        let line = value.lines().next().unwrap_or_default();
        // Lines end with CRLF or LF (section 2.2); writing to a string does not fail.
        let _ = writeln!(text, "{field}: {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_txt_has_each_field_once() {
        let expires = "2027-11-01T12:00:00.5Z".parse().unwrap();
        let text = security_txt("mailto:security@openteam.example", expires, "https://portal.openteam.example");
        assert_eq!(
            text,
            "Contact: mailto:security@openteam.example\n\
             Expires: 2027-11-01T12:00:00Z\n\
             Preferred-Languages: en\n\
             Canonical: https://portal.openteam.example/.well-known/security.txt\n\
             Policy: https://portal.openteam.example/security\n"
        );
    }

    #[test]
    fn a_contact_cannot_bring_fields_of_its_own() {
        let text =
            security_txt("mailto:a@b.example\nContact: mailto:evil@c.example", Timestamp::UNIX_EPOCH, "https://p");
        assert_eq!(text.matches("Contact:").count(), 1);
        assert!(!text.contains("evil"));
    }
}
