//! Why a call is refused.

use crds::{AmazonRefusal, NamespacedReference};

use crate::{containment::Containment, holding::RuntimeTokenFault};

/// Why a call is refused. The text goes to the caller: it names what failed, on what, and the way out, and nothing
/// that the caller may not see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No connection in scope has this name, or none is in scope: what one may not see does not exist.
    #[error("no connection {} is in the caller's scope", name.as_deref().unwrap_or("at all"))]
    NotFound {
        /// The name that the caller gave.
        name: Option<String>,
    },
    /// Several connections are in scope and none was named.
    #[error("several connections are in scope; name one in the header OpenTeam-Connection: {}", list(connections))]
    Ambiguous {
        /// All of them, in order.
        connections: Vec<NamespacedReference>,
    },
    /// The presented RuntimeToken is no longer good.
    #[error("RuntimeToken {token}: {fault}")]
    RuntimeToken {
        /// The token's object.
        token: NamespacedReference,
        /// What is wrong with it.
        fault: RuntimeTokenFault,
    },
    /// An incident contains the connection or what it hangs from.
    #[error("{}; ask whoever handles the incident", list(by))]
    Contained {
        /// Everything that contains it.
        by: Vec<Containment>,
    },
    /// The connection cannot be used now: something it needs is missing or was refused.
    #[error("connection {connection} cannot be used: {why}")]
    NotReady {
        /// The connection.
        connection: NamespacedReference,
        /// What is missing.
        why: String,
    },
    /// Amazon refuses what the connection's calls are made with. Only people can mend that.
    #[error("connection {connection} cannot be used: {why}")]
    NotAuthorized {
        /// The connection.
        connection: NamespacedReference,
        /// What Amazon refuses.
        refusal: AmazonRefusal,
        /// What its condition `Authorized` says.
        why: String,
    },
    /// The path is not one that can be forwarded.
    #[error("the request's path is refused: {0}")]
    Path(String),
    /// The query string is not one that can be checked.
    #[error("the request's query is refused: {0}")]
    Query(String),
    /// No SP-API operation has this method and path.
    #[error("{method} on this path is no Selling Partner API operation that OpenTeam knows")]
    OperationUnknown {
        /// The request's method.
        method: String,
    },
    /// An operation that the gateway serves to nobody.
    #[error("{operation} is never served through OpenTeam: {why}")]
    NeverServed {
        /// The operation's name.
        operation: String,
        /// The reason.
        why: &'static str,
    },
    /// The scope or the connection does not allow the operation.
    #[error("{operation} (class {class}) is not allowed by {limit}; its `operations.allow` must name it or its class")]
    OperationNotAllowed {
        /// The operation's name.
        operation: String,
        /// Its class.
        class: &'static str,
        /// What limits it: the connection, the grant or the token.
        limit: String,
    },
    /// The operation wants a marketplace and the request names none.
    #[error("{operation} needs a marketplace: add the query parameter {parameter} with one of {}", list(in_scope))]
    MarketplaceMissing {
        /// The operation's name.
        operation: String,
        /// The parameter as the operation spells it.
        parameter: String,
        /// What the caller may use.
        in_scope: Vec<String>,
    },
    /// A marketplace outside the caller's scope.
    #[error("marketplace {marketplace} is not in the caller's scope, which is {}", list(in_scope))]
    MarketplaceNotInScope {
        /// What the request named, cut to 40 characters.
        marketplace: String,
        /// What the caller may use.
        in_scope: Vec<String>,
    },
    /// Amazon's own token of the connection is not for this caller.
    #[error("the credential of connection {connection} is not handed out: {why}; call through the gateway instead")]
    CredentialNotGiven {
        /// The connection.
        connection: NamespacedReference,
        /// What it takes.
        why: String,
    },
    /// What would have to be checked cannot be checked yet, so it is refused.
    #[error("{operation} is not yet checkable: {why}")]
    NotYetCheckable {
        /// The operation's name.
        operation: String,
        /// What cannot be checked.
        why: &'static str,
    },
}

impl Refusal {
    /// A CamelCase word for logs, events and SP-API's `code`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "ConnectionNotFound",
            Self::Ambiguous { .. } => "ConnectionAmbiguous",
            Self::RuntimeToken { fault, .. } => fault.reason(),
            Self::Contained { .. } => "Contained",
            Self::NotReady { .. } => "ConnectionNotReady",
            Self::NotAuthorized { refusal, .. } => refusal.reason(),
            Self::Path(_) => "InvalidPath",
            Self::Query(_) => "InvalidQuery",
            Self::OperationUnknown { .. } => "OperationUnknown",
            Self::NeverServed { .. } => "OperationNeverServed",
            Self::OperationNotAllowed { .. } => "OperationNotAllowed",
            Self::MarketplaceMissing { .. } => "MarketplaceMissing",
            Self::MarketplaceNotInScope { .. } => "MarketplaceNotInScope",
            Self::CredentialNotGiven { .. } => "CredentialNotGiven",
            Self::NotYetCheckable { .. } => "NotYetCheckable",
        }
    }

    /// How far the decision came; of several refusals the one that came furthest helps the caller most.
    pub(crate) const fn stage(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 0,
            Self::Ambiguous { .. } => 1,
            Self::RuntimeToken { .. } | Self::Contained { .. } => 2,
            Self::NotReady { .. } | Self::NotAuthorized { .. } => 3,
            Self::Path(_) | Self::Query(_) | Self::OperationUnknown { .. } | Self::NeverServed { .. } => 4,
            Self::OperationNotAllowed { .. } | Self::CredentialNotGiven { .. } => 5,
            Self::MarketplaceMissing { .. } | Self::MarketplaceNotInScope { .. } => 6,
            Self::NotYetCheckable { .. } => 7,
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "empty".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
