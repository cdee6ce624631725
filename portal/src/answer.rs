//! Answers: pages, redirects, refusals, and the headers that all of them have.

use std::sync::Arc;

use askama::Template;
use audit::NotRecorded;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};

use crate::{
    keys::NoRandomness,
    page::{ErrorPage, Problem, Shell},
    users::UsersError,
};

/// Why a request gets no answer of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The page is shown as it is.
    #[error("{0:?}")]
    Problem(Problem),
    /// Not there, or not theirs to see.
    #[error("not found")]
    NotFound,
    /// Something that is needed does not answer; nothing happened.
    #[error("not available")]
    Unavailable,
    /// A bug.
    #[error("bug")]
    Bug,
}

impl From<UsersError> for Refusal {
    fn from(error: UsersError) -> Self {
        tracing::warn!(error = chain(&error), "PortalUser not changed");
        Self::Unavailable
    }
}

impl From<NotRecorded> for Refusal {
    fn from(error: NotRecorded) -> Self {
        tracing::warn!(%error, "not recorded, so nothing happened");
        Self::Unavailable
    }
}

impl From<NoRandomness> for Refusal {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "nothing can be made up");
        Self::Unavailable
    }
}

impl Refusal {
    /// What the apiserver refused, in words for people where it says something they can act on.
    pub(crate) fn api(what: &'static str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 => Self::NotFound,
            kube::Error::Api(status) if status.code == 409 => Self::Problem(Problem::Conflict {
                text: "Somebody changed it at the same moment. Look at it again, then repeat what you did.".to_owned(),
            }),
            kube::Error::Api(status) if [400, 403, 422].contains(&status.code) => {
                tracing::warn!(what, code = status.code, message = %status.message, "the apiserver refused");
                // Our own policies and the webhook say there what is wrong and what to do.
                Self::Problem(Problem::BadRequest { text: told(&status.message) })
            }
            error => {
                tracing::warn!(what, error = chain(error), "the apiserver did not do it");
                Self::Unavailable
            }
        }
    }

    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::NotFound => Problem::NotFound,
            Self::Unavailable => Problem::Unavailable,
            Self::Bug => Problem::Bug,
        }
    }
}

/// What a policy or the webhook of ours says is wrong, which tells people what to do; of other refusals only that there was one.
fn told(message: &str) -> String {
    let ours = ["denied request: ", "denied the request: "].into_iter().find_map(|mark| message.split_once(mark));
    match ours {
        Some((_, text)) => text.chars().take(500).collect(),
        None => "Kubernetes did not take it. Nothing was done; tell whoever runs OpenTeam.".to_owned(),
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}

/// Where a page may send a form besides the portal itself: Amazon's consent page, after a redirect.
pub(crate) type Leave = Vec<String>;

/// A page.
pub(crate) fn page(template: &impl Template) -> Response<Body> {
    page_with(StatusCode::OK, template, &Vec::new())
}

/// A page with a status, from which forms may also leave for these origins.
pub(crate) fn page_with(status: StatusCode, template: &impl Template, leave: &Leave) -> Response<Body> {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                "Something broke on our side.",
            );
        }
    };
    let mut response = text(status, "text/html; charset=utf-8", html);
    set(&mut response, header::CONTENT_SECURITY_POLICY, &policy(leave));
    response
}

/// A text, kept nowhere.
pub(crate) fn text(status: StatusCode, content_type: &'static str, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 303: the browser goes on with GET.
pub(crate) fn see_other(to: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    set(&mut response, header::LOCATION, to);
    response
}

/// A refusal as a page.
pub(crate) fn refused(refusal: Refusal, shell: Shell, back: Option<String>) -> Response<Body> {
    let problem = refusal.problem();
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry = match &problem {
        Problem::TooMany { seconds } => seconds.or(Some(60)),
        Problem::Unavailable => Some(5),
        _ => None,
    };
    let page = ErrorPage { shell, problem, back, reference: None };
    let mut response = page_with(status, &page, &Vec::new());
    if let Some(seconds) = retry {
        set(&mut response, header::RETRY_AFTER, &seconds.to_string());
    }
    response
}

pub(crate) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

pub(crate) fn set_cookie(response: &mut Response<Body>, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The Content Security Policy (level 3, with Trusted Types).
fn policy(leave: &Leave) -> String {
    let leave: String = leave.iter().map(|origin| format!(" {origin}")).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
         form-action 'self'{leave}; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

/// What every answer has, whatever it is. Nothing but assets is kept by anybody.
pub(crate) fn harden(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
        );
    }
}

/// An origin, as a policy names it.
pub(crate) fn origin(address: &str) -> Option<String> {
    let url: url::Url = address.parse().ok()?;
    (url.scheme() == "https").then(|| url.origin().ascii_serialization())
}

/// Something that is there or not, read from the index.
pub(crate) fn found<K>(entry: Option<&access::Entry<K>>) -> Result<&Arc<K>, Refusal> {
    entry.and_then(access::Entry::read).ok_or(Refusal::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_our_rules_say_and_nothing_of_the_clusters_accounts() {
        let policy = "amazonconnections.openteam.dev \"na\" is forbidden: ValidatingAdmissionPolicy 'openteam-freeze' with \
                      binding 'openteam-freeze' denied request: it is contained";
        assert_eq!(told(policy), "it is contained");
        let webhook = "admission webhook \"validate.openteam.dev\" denied the request: spec.region: wrong";
        assert_eq!(told(webhook), "spec.region: wrong");
        let rbac = "teams.openteam.dev \"acme\" is forbidden: User \"system:serviceaccount:openteam-system:openteam-portal\" \
                    cannot patch resource";
        assert!(!told(rbac).contains("serviceaccount"), "{}", told(rbac));
    }

    #[test]
    fn a_policy_lets_forms_leave_for_named_origins_only() {
        assert!(policy(&Vec::new()).contains("form-action 'self'; "));
        let leave = vec!["https://sellercentral.amazon.com".to_owned()];
        assert!(policy(&leave).contains("form-action 'self' https://sellercentral.amazon.com; "));
        assert_eq!(origin("https://a.example:8443/b?c").as_deref(), Some("https://a.example:8443"));
        assert_eq!(origin("http://a.example/"), None);
    }
}
