//! Who did it, and from where.

use std::net::IpAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Digest, Name, Network, ObjectName, Origin};

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
    pub(super) fn to_json(&self, origin: &Origin) -> Value {
        // user.type_id: 0 unknown, 3 system, 4 service (OCSF 1.8.0, object user).
        match self {
            Self::ServiceAccount { account, uid, pod, credential } => json!({
                "user": {
                    "type_id": 4,
                    "type": "ServiceAccount",
                    "name": format!("system:serviceaccount:{}:{}", account.namespace, account.name),
                    "domain": account.namespace,
                    "uid": uid,
                    "credential_uid": credential,
                },
                "app_name": pod,
            }),
            Self::RuntimeToken { token, issuer } => json!({
                "user": {
                    "type_id": 4,
                    "type": "RuntimeToken",
                    "name": token.to_string(),
                    "domain": token.namespace,
                },
                "invoked_by": issuer.as_str(),
            }),
            Self::Itself => json!({
                "user": {
                    "type_id": 3,
                    "name": format!("openteam:{}", origin.role),
                    "uid": origin.pod,
                },
            }),
            Self::Unknown => json!({ "user": { "type_id": 0, "name": "unknown" } }),
        }
    }
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
    pub(super) fn to_json(self, origin: &Origin) -> Value {
        match self {
            Self::Address(address) => json!({ "ip": address.to_canonical() }),
            Self::Network(network) => json!({ "name": network.to_string() }),
            Self::Itself => json!({ "name": origin.pod, "svc_name": origin.role }),
        }
    }
}
