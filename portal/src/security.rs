//! The security page, and security.txt.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use jiff::SignedDuration;

use crate::{
    answer::{Refusal, page, text},
    page::{Fact, Security, Shell, Status, Tone, security_txt},
    portal::{Ask, Visitor},
    shown,
};

/// When security.txt is to be asked for again.
const EXPIRES: SignedDuration = SignedDuration::from_hours(24 * 180);

/// `GET /security`.
pub(crate) fn show(ask: &Ask, visitor: Option<&Visitor>) -> Response<Body> {
    let portal = &ask.portal;
    page(&Security {
        shell: visitor.map_or_else(Shell::default, |visitor| shown::shell(ask, visitor)),
        contact: portal.contact.as_ref().map(ToString::to_string),
        facts: visitor.map(|_| facts(ask)).unwrap_or_default(),
        staleness_seconds: u32::try_from(portal.staleness_limit.as_secs()).unwrap_or(u32::MAX),
    })
}

/// How it is now, as far as this process knows.
fn facts(ask: &Ask) -> Vec<Fact> {
    let fact = |name: &str, good: bool, yes: &str, no: &str| Fact {
        name: name.to_owned(),
        status: if good { Status::new(Tone::Good, "Yes") } else { Status::new(Tone::Bad, "No") },
        text: if good { yes } else { no }.to_owned(),
    };
    let recorder = &ask.portal.recorder;
    vec![
        fact(
            "What happens is recorded",
            recorder.is_available(),
            "The recorder took what this page’s server gave it last.",
            "The recorder does not answer. Nothing that must be recorded happens until it does.",
        ),
        fact(
            "Kubernetes keeps to our policies",
            ask.portal.policies.standing().is_ok(),
            "All admission policies stand as they were released.",
            "An admission policy is missing or was altered. Tell whoever runs OpenTeam.",
        ),
        // Else there would be no page.
        fact("What you see is current", true, "Everything shown was proven current within seconds.", ""),
    ]
}

/// `GET /.well-known/security.txt` (RFC 9116), where there is somebody to write to.
pub(crate) fn txt(ask: &Ask) -> Result<Response<Body>, Refusal> {
    let contact = ask.portal.contact.as_ref().ok_or(Refusal::NotFound)?;
    let expires = ask.now.checked_add(EXPIRES).map_err(|_| Refusal::Bug)?;
    let file = security_txt(&format!("mailto:{contact}"), expires, &ask.portal.public_url);
    Ok(text(StatusCode::OK, "text/plain; charset=utf-8", file))
}
