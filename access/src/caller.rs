//! Who calls, once that is proven.

use std::fmt;

use crds::NamespacedReference;

/// A caller whose credential was verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A pod, by its ServiceAccount. The apiserver vouched for the token (TokenReview).
    ServiceAccount(NamespacedReference),
    /// The holder of a RuntimeToken's text.
    RuntimeToken(NamespacedReference),
}

impl Caller {
    /// The namespace that the caller's connections are in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self {
            Self::ServiceAccount(object) | Self::RuntimeToken(object) => &object.namespace,
        }
    }

    /// The connection that the caller means by `NAME` or `NAMESPACE/NAME`.
    #[must_use]
    pub fn connection(&self, named: &str) -> NamespacedReference {
        let (namespace, name) = named.split_once('/').unwrap_or((self.namespace(), named));
        NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount(object) => write!(f, "ServiceAccount {object}"),
            Self::RuntimeToken(object) => write!(f, "RuntimeToken {object}"),
        }
    }
}
