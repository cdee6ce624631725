//! Who calls: the one credential of a request, verified.

use access::{Caller, Index, RuntimeTokenText};
use audit::{Actor, DigestKey, Name, ObjectName};
use axum::http::{HeaderMap, header};
use crds::NamespacedReference;
use jiff::Timestamp;
use process::authentication::{Reviewer, ServiceAccount, Unauthenticated};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    answer::Denial,
    sealed_token::{self, Grant, SealedTokens},
};

/// The header that names the connection of a direct call.
pub(crate) const CONNECTION_HEADER: &str = "openteam-connection";

/// A caller whose credential was verified just now.
#[derive(Debug)]
pub(crate) struct Known {
    /// For decisions.
    pub(crate) caller: Caller,
    /// For the record.
    pub(crate) actor: Actor,
    /// The only connection the credential is good for, where it was got for one.
    pub(crate) bound_to: Option<NamespacedReference>,
    /// When the credential ends.
    pub(crate) expires_at: Option<Timestamp>,
}

/// The one credential of a request.
///
/// # Errors
/// None, two, or one that is no text. An old `AWS4-HMAC-SHA256` signature is no credential: Amazon ignores it too.
pub(crate) fn credential(headers: &HeaderMap) -> Result<SecretString, Denial> {
    let mut found = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        let text = value.to_str().map_err(|_| Denial::TokenInvalid)?;
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("Bearer") {
            found.push(rest.trim());
        } else if scheme != "AWS4-HMAC-SHA256" {
            return Err(Denial::BadRequest("the authorization header must be Bearer and the token"));
        }
    }
    for value in headers.get_all("x-amz-access-token") {
        found.push(value.to_str().map_err(|_| Denial::TokenInvalid)?.trim());
    }
    match found.as_slice() {
        [] | [""] => Err(Denial::TokenMissing),
        [one] => Ok((*one).into()),
        _ => Err(Denial::BadRequest("the request carries more than one credential; send it once")),
    }
}

/// The connection that a direct caller names, at most once.
pub(crate) fn named_connection(headers: &HeaderMap) -> Result<Option<String>, Denial> {
    let mut values = headers.get_all(CONNECTION_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Denial::BadRequest("the header OpenTeam-Connection is given more than once"));
    }
    let text = value.to_str().map_err(|_| Denial::BadRequest("the header OpenTeam-Connection is no name"))?;
    Ok(Some(text.trim().to_owned()))
}

/// What verifying a credential needs.
pub(crate) struct Verifier {
    pub(crate) reviewer: Reviewer,
    pub(crate) digests: DigestKey,
    pub(crate) sealed_tokens: SealedTokens,
}

impl Verifier {
    /// Verifies a credential of any kind: RuntimeToken, ServiceAccount token, or what `/auth/o2/token` answered with.
    pub(crate) async fn verify(
        &self,
        index: &Index,
        credential: &SecretString,
        now: Timestamp,
    ) -> Result<Known, Denial> {
        let text = credential.expose_secret();
        if !sealed_token::looks_sealed(text) {
            return self.verify_own(index, credential).await;
        }
        let Grant { connection, token, expires_at } =
            self.sealed_tokens.open(text).map_err(|_| Denial::TokenInvalid)?;
        if expires_at <= now {
            return Err(Denial::TokenExpired);
        }
        let known = self.verify_own(index, &token).await?;
        Ok(Known { bound_to: Some(connection), expires_at: Some(expires_at), ..known })
    }

    /// Verifies a caller's own credential: RuntimeToken or ServiceAccount token.
    pub(crate) async fn verify_own(&self, index: &Index, credential: &SecretString) -> Result<Known, Denial> {
        let text = credential.expose_secret();
        if access::looks_like_runtime_token(text) {
            self.runtime_token(index, text)
        } else if looks_like_jwt(text) {
            self.service_account(text).await
        } else {
            Err(Denial::TokenInvalid)
        }
    }

    fn runtime_token(&self, index: &Index, text: &str) -> Result<Known, Denial> {
        let text = RuntimeTokenText::parse(text).map_err(|_| Denial::TokenInvalid)?;
        let caller = access::authenticate(index, &text).ok_or(Denial::TokenInvalid)?;
        let object =
            index.runtime_tokens.get(text.object()).and_then(access::Entry::read).ok_or(Denial::TokenInvalid)?;
        let token =
            ObjectName::parse(&text.object().namespace, &text.object().name).map_err(|_| Denial::TokenInvalid)?;
        let issuer = self.digests.email(&object.spec.issued_by);
        Ok(Known {
            caller,
            actor: Actor::RuntimeToken { token, issuer },
            bound_to: None,
            expires_at: Some(object.spec.expires_at.0),
        })
    }

    async fn service_account(&self, token: &str) -> Result<Known, Denial> {
        let account = self.reviewer.review(token).await.map_err(|error| match error {
            Unauthenticated::Refused { .. } => Denial::TokenInvalid,
            Unauthenticated::Unavailable => {
                Denial::Unavailable { reason: "ApiserverUnavailable", why: error.to_string() }
            }
        })?;
        let actor = actor(&account).ok_or(Denial::TokenInvalid)?;
        Ok(Known {
            caller: Caller::ServiceAccount(account.account),
            actor,
            bound_to: None,
            expires_at: account.expires_at,
        })
    }
}

fn actor(account: &ServiceAccount) -> Option<Actor> {
    Some(Actor::ServiceAccount {
        account: ObjectName::parse(&account.account.namespace, &account.account.name).ok()?,
        uid: account.uid.parse().ok(),
        pod: account.pod.as_deref().and_then(|pod| Name::parse(pod).ok()),
        credential: account
            .credential_id
            .as_deref()
            .and_then(|id| id.strip_prefix("JTI="))
            .and_then(|id| id.parse().ok()),
    })
}

/// Three base64url parts: only such a text is worth a question to the apiserver.
fn looks_like_jwt(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.len() <= 8192
        && text.split('.').count() == 3
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn one_credential_is_taken_from_either_header() {
        for pairs in [
            &[("authorization", "Bearer a.b.c")][..],
            &[("x-amz-access-token", "a.b.c")],
            &[("authorization", "AWS4-HMAC-SHA256 Credential=x"), ("x-amz-access-token", "a.b.c")],
        ] {
            let found = credential(&headers(pairs));
            assert_eq!(found.ok().unwrap().expose_secret(), "a.b.c");
        }
    }

    #[test]
    fn none_or_two_are_refused() {
        for pairs in [
            &[][..],
            &[("authorization", "AWS4-HMAC-SHA256 Credential=x")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Basic eDp5")],
            &[("authorization", "Bearer a.b.c"), ("x-amz-access-token", "a.b.c")],
        ] {
            assert!(credential(&headers(pairs)).is_err(), "{pairs:?}");
        }
        let mut twice = headers(&[("x-amz-access-token", "a.b.c")]);
        twice.append("x-amz-access-token", "a.b.c".parse().unwrap());
        assert!(credential(&twice).is_err());
        let mut twice = headers(&[("openteam-connection", "a")]);
        twice.append("openteam-connection", "a".parse().unwrap());
        assert!(named_connection(&twice).is_err());
    }

    #[test]
    fn only_three_base64url_parts_are_asked_about() {
        assert!(looks_like_jwt("eyJh.eyJp.c2ln"));
        for text in ["", "a", "a.b", "a.b.c.d", "a..c", "a.b.c ", "a.b.c\u{e9}", &"a".repeat(9000)] {
            assert!(!looks_like_jwt(text), "{text:?}");
        }
    }
}
