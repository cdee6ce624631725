//! Who did it, and from where.

use std::{borrow::Cow, net::IpAddr};

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Digest, Name, Network, ObjectName, Origin};
use crate::Role;

/// The longest user name that is told as it is.
const LONGEST_USER: usize = 253;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A ServiceAccount, as the apiserver's TokenReview tells it.
    ServiceAccount {
        /// The account.
        account: ObjectName,
        /// Its UID: an account made anew under the old name is another one.
        uid: Option<Uuid>,
        /// The pod the token is bound to.
        pod: Option<Name>,
        /// The token's own id (`authentication.kubernetes.io/credential-id`, without its `JTI=`).
        credential: Option<Uuid>,
    },
    /// Whoever holds a RuntimeToken.
    RuntimeToken {
        /// The token's object.
        token: ObjectName,
        /// [`super::DigestKey::email`] of the member who issued it.
        issuer: Digest,
    },
    /// The process that writes the event.
    Itself,
    /// Not known, as the caller was refused before it was.
    Unknown,
}

impl Actor {
    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> ActorBody<'a> {
        // user.type_id: 0 unknown, 3 system, 4 service (OCSF 1.8.0, object user).
        match self {
            Self::ServiceAccount { account, uid, pod, credential } => ActorBody {
                user: User {
                    r#type: Some("ServiceAccount"),
                    domain: Some(&account.namespace),
                    uid: uid.map(Uid::Object),
                    credential_uid: *credential,
                    ..User::of(4, format!("system:serviceaccount:{}:{}", account.namespace, account.name))
                },
                app_name: pod.as_ref(),
                invoked_by: None,
            },
            Self::RuntimeToken { token, issuer } => ActorBody {
                user: User {
                    r#type: Some("RuntimeToken"),
                    domain: Some(&token.namespace),
                    ..User::of(4, token.to_string())
                },
                app_name: None,
                invoked_by: Some(issuer.as_str()),
            },
            Self::Itself => ActorBody {
                user: User { uid: Some(Uid::Pod(&origin.pod)), ..User::of(3, format!("openteam:{}", origin.role)) },
                app_name: None,
                invoked_by: None,
            },
            Self::Unknown => ActorBody { user: User::of(0, "unknown".to_owned()), app_name: None, invoked_by: None },
        }
    }
}

/// Somebody signed in to the portal, or trying to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// [`super::DigestKey::email`] of the address.
    pub address: Digest,
    /// From where.
    pub source: Source,
}

impl Person {
    pub(super) fn user(&self) -> User<'_> {
        User::person(&self.address)
    }
}

/// Who asked for something: Kubernetes, by the user name that the apiserver gave an admission webhook, or the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A person, in the portal.
    Person(Person),
    /// A ServiceAccount.
    ServiceAccount(ObjectName),
    /// A user whose name is of the letters that names of Kubernetes' are of, such as `kubernetes-admin`.
    Named(String),
    /// Any other user, an e-mail address mostly, which no event holds in the clear: half of the SHA-256 of the name,
    /// hexadecimal. It has no key, since it only keeps the address out of sight: who knows the staff finds the person by
    /// `printf %s NAME | sha256sum`.
    Digest(String),
}

impl Requester {
    /// Takes a user name as it is.
    #[must_use]
    pub fn of(user: &str) -> Self {
        let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        if let Some(account) = account.and_then(|(namespace, name)| ObjectName::parse(namespace, name).ok()) {
            return Self::ServiceAccount(account);
        }
        if user.len() <= LONGEST_USER && user.split(':').all(|part| Name::parse(part).is_ok()) {
            return Self::Named(user.to_owned());
        }
        Self::Digest(HEXLOWER.encode(&Sha256::digest(user.as_bytes())[..16]))
    }

    pub(super) fn body(&self) -> ActorBody<'_> {
        // user.type_id: 1 user, 4 service (OCSF 1.8.0, object user).
        let user = match self {
            Self::Person(person) => person.user(),
            Self::ServiceAccount(account) => User {
                r#type: Some("ServiceAccount"),
                domain: Some(&account.namespace),
                ..User::of(4, format!("system:serviceaccount:{}:{}", account.namespace, account.name))
            },
            Self::Named(name) => User::of(1, name.clone()),
            Self::Digest(digest) => User::of(1, format!("sha256:{digest}")),
        };
        ActorBody { user, app_name: None, invoked_by: None }
    }

    /// From where, if that is known: the apiserver does not tell it.
    pub(super) fn source<'a>(&self, origin: &'a Origin) -> Option<SourceBody<'a>> {
        if let Self::Person(person) = self { Some(person.source.body(origin)) } else { None }
    }
}

/// OCSF's object actor.
#[derive(PartialEq, Serialize)]
pub(super) struct ActorBody<'a> {
    user: User<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<&'a str>,
}

impl ActorBody<'_> {
    pub(super) fn person(address: &Digest) -> Self {
        Self { user: User::person(address), app_name: None, invoked_by: None }
    }
}

/// OCSF's object user.
#[derive(PartialEq, Serialize)]
pub(super) struct User<'a> {
    type_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Uid<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_uid: Option<Uuid>,
}

impl User<'_> {
    /// [`super::DigestKey::email`] of somebody's address.
    pub(super) fn person(address: &Digest) -> Self {
        // user.type_id: 1 user (OCSF 1.8.0, object user).
        Self { r#type: Some("Person"), ..Self::of(1, address.as_str().to_owned()) }
    }

    pub(super) fn of(type_id: u64, name: String) -> Self {
        Self { type_id, r#type: None, name, domain: None, uid: None, credential_uid: None }
    }
}

#[derive(PartialEq, Serialize)]
#[serde(untagged)]
enum Uid<'a> {
    Object(Uuid),
    Pod(&'a Name),
}

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A known caller's address.
    Address(IpAddr),
    /// A network whose callers are only counted.
    Network(Network),
    /// The process that writes the event.
    Itself,
}

impl Source {
    pub(super) fn body(self, origin: &Origin) -> SourceBody<'_> {
        let none = SourceBody { ip: None, name: None, svc_name: None };
        match self {
            Self::Address(address) => SourceBody { ip: Some(address.to_canonical()), ..none },
            Self::Network(network) => SourceBody { name: Some(network.to_string().into()), ..none },
            Self::Itself => SourceBody { name: Some(origin.pod.as_str().into()), svc_name: Some(origin.role), ..none },
        }
    }
}

/// OCSF's object network_endpoint.
#[derive(PartialEq, Serialize)]
pub(super) struct SourceBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    svc_name: Option<Role>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_by_name_unless_that_could_be_an_address_or_a_secret() {
        let account = ObjectName::parse("acme", "agent").unwrap();
        assert_eq!(Requester::of("system:serviceaccount:acme:agent"), Requester::ServiceAccount(account));
        for name in ["kubernetes-admin", "system:admin", "system:serviceaccount", "oidc:jane"] {
            assert_eq!(Requester::of(name), Requester::Named(name.to_owned()));
        }
        for other in [
            "",
            "jane@example.com",
            "oidc:Jane",
            "https://issuer.example#1",
            "system:serviceaccount:acme:Agent",
            "amzn1.oa2-cs.v1.0123",
            &"a".repeat(300),
            "two\nlines",
        ] {
            let Requester::Digest(digest) = Requester::of(other) else { panic!("{other}") };
            assert_eq!(digest.len(), 32);
        }
        // printf %s jane@example.com | sha256sum
        assert_eq!(Requester::of("jane@example.com"), Requester::Digest("8c87b489ce35cf2e2f39f80e282cb2e8".to_owned()));
    }
}
