//! References and the scope that grants and tokens share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object of the same namespace, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// The object's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

impl LocalReference {
    /// A reference to `name`.
    #[must_use]
    pub fn to(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

/// An object of any namespace, by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NamespacedReference {
    /// The object's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The object's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// Whether a text can be the name of one of our objects or of a namespace: letters of a DNS subdomain (RFC 1123), at most
/// 63 of them, the first and the last no punctuation. So no name is `..`, which in an address is something else.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'-' || b == b'.')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().next_back().is_some_and(plain)
}

/// A text that is not `NAMESPACE/NAME`. It is not repeated: where a reference is expected a secret may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not NAMESPACE/NAME, both names of Kubernetes objects")]
pub struct NotAReference;

impl std::str::FromStr for NamespacedReference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let (namespace, name) = text.split_once('/').ok_or(NotAReference)?;
        if is_name(namespace) && is_name(name) {
            Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
        } else {
            Err(NotAReference)
        }
    }
}

impl std::fmt::Display for NamespacedReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Which SP-API operations may be called. Without it: those that only read and give no personal or financial data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.allow.all(o, !has(self.deny) || !(o in self.deny))")
    .message("operations: the same entry is in allow and in deny; take it out of one of them")
    .reason(kube::core::Reason::FieldValueInvalid))]
pub struct Operations {
    /// Classes (`read`, `write`, `financial`, `restricted`) and operations by name (`searchOrders`, or
    /// `orders/2026-01-01/searchOrders` where the short name is not unique). An empty list allows nothing.
    #[schemars(length(max = 64), inner(length(min = 1, max = 120)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allow: Vec<String>,
    /// The same forms; what is denied here is refused even where `allow` names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 120)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub deny: Vec<String>,
}

/// How callers reach Amazon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Through the gateway, which checks, records and can stop every call. Amazon's own token stays inside.
    #[default]
    Proxy,
    /// Also with Amazon's own access token, where a caller asks for it. It cannot be taken back: Amazon honours it for up
    /// to an hour whatever is contained meanwhile, in every marketplace of the seller and for everything that the
    /// application may do there, and OpenTeam sees nothing of it.
    Credential,
}

/// What a grant or a token lets its holder use. What works is the part that the Team and the connection allow too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Names of AmazonConnections of the same namespace and Team. An empty list grants nothing.
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub connections: Vec<String>,
    /// Amazon's marketplace ids, such as `ATVPDKIKX0DER`. An empty list grants nothing.
    #[schemars(length(max = 64), inner(length(max = 20), regex(pattern = r"^A[A-Z0-9]{9,19}$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub marketplace_ids: Vec<String>,
    /// Which operations; without it only those of class `read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
    /// `Credential` lets the holder also have Amazon's own access token of a connection that says the same, if this scope
    /// is all of that connection: its marketplaces and its operations. Such a token works for up to an hour even if the
    /// connection is contained, this object deleted or its own time over. Leave it at `Proxy` unless you must.
    #[serde(default)]
    pub access: Access,
}
