//! The table of all operations of the Selling Partner API, read once from `data/operations.json`.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'static"))]
    struct File {
        operations: Vec<Operation>,
    }
    serde_json::from_str::<File>(include_str!("../data/operations.json"))
        .expect("the embedded table is checked by a test")
        .operations
});

/// All operations, 370 in the models of 2026-08-05. No (method, path) repeats.
#[must_use]
pub fn operations() -> &'static [Operation] {
    &OPERATIONS
}

/// One operation as Amazon's models describe it, and the few columns added by hand (`meta` in the file names each).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The API's short name, such as `orders` or `product-pricing`.
    pub api: &'static str,
    /// The API's version, such as `v0` or `2026-01-01`.
    pub version: &'static str,
    /// Amazon's name for it. Not unique: 31 repeat between APIs and versions.
    pub operation_id: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path template, such as `/orders/v0/orders/{orderId}`; a parameter is always a whole segment.
    pub path: &'static str,
    /// Requests per second of the default usage plan; `None` where the model publishes none.
    pub rate: Option<f64>,
    /// Requests that may be made at once before `rate` applies.
    pub burst: Option<f64>,
    /// Request parameters that carry marketplace ids.
    #[serde(rename = "mp")]
    pub marketplace_parameters: Vec<MarketplaceParameter>,
    /// Whether Amazon's Tokens API guide lists it as needing a restricted data token.
    #[serde(rename = "rdt")]
    pub restricted_data: RestrictedData,
    /// Must only be sent to a sandbox host.
    #[serde(default)]
    pub sandbox_only: bool,
    /// The LWA scope of an operation that is called with the application's own token instead of a seller's.
    #[serde(default)]
    pub grantless_scope: Option<&'static str>,
    /// Other request fields that act as, or hide, a choice of marketplace.
    #[serde(default, rename = "alt")]
    pub other_selectors: Vec<Selector>,
    /// `nextToken`, when given, must be the only query parameter.
    #[serde(default)]
    pub next_token_exclusive: bool,
    /// Answers with a pre-signed address, whose payload passes by any proxy.
    #[serde(default)]
    pub presigned: bool,
    /// Up to four fields of the answer that hold marketplace ids; `[]` marks an array.
    #[serde(default, rename = "respMp")]
    pub response_marketplaces: Vec<&'static str>,
}

impl Operation {
    /// The query parameter that carries the marketplace ids, as the model spells it. None has two.
    #[must_use]
    pub fn marketplace_query_parameter(&self) -> Option<&MarketplaceParameter> {
        self.marketplace_parameters.iter().find(|parameter| parameter.place == Place::Query)
    }

    /// Segments of the path template, without the leading slash.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        self.path[1..].split('/').map(|text| match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(name) => Segment::Parameter(name),
            None => Segment::Literal(text),
        })
    }
}

/// `METHOD /path/{template}`, unique in the table.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// One segment of a path template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(&'static str),
    Parameter(&'static str),
}

/// The HTTP methods the Selling Partner API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "each is its own explanation")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method in capitals, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request parameter that carries one or more marketplace ids.
#[derive(Debug, Deserialize)]
pub struct MarketplaceParameter {
    /// The name; in a body the dotted path to it, `[]` marking an array.
    pub name: &'static str,
    /// Where it is.
    #[serde(rename = "in")]
    pub place: Place,
    /// Amazon refuses the call without it.
    pub required: bool,
    /// It takes several ids.
    #[serde(default)]
    pub array: bool,
    /// How many it takes at most.
    #[serde(default)]
    pub max: Option<u32>,
}

/// Where a request parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is its own explanation")]
pub enum Place {
    Query,
    Body,
    Header,
}

/// A request field that is not called marketplace, and yet chooses one.
#[derive(Debug, Deserialize)]
pub struct Selector {
    /// The field's name.
    pub name: &'static str,
    /// Where it is.
    #[serde(rename = "in")]
    pub place: Place,
}

/// Whether an operation is on Amazon's list of those that need a restricted data token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub enum RestrictedData {
    /// Not on it.
    No,
    /// On it.
    Yes,
    /// On it for some report types only.
    SomeReportTypes,
    /// The list and the models disagree.
    Unclear,
}

impl TryFrom<serde_json::Value> for RestrictedData {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match (value.as_bool(), value.as_str()) {
            (Some(false), _) => Ok(Self::No),
            (Some(true), _) => Ok(Self::Yes),
            (_, Some("restrictedReportTypesOnly")) => Ok(Self::SomeReportTypes),
            (_, Some("unclear")) => Ok(Self::Unclear),
            _ => Err("rdt is neither a boolean nor a known word"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn count(of: impl Fn(&Operation) -> bool) -> usize {
        operations().iter().filter(|o| of(o)).count()
    }

    #[test]
    fn all_370_operations_parse_and_none_repeats() {
        assert_eq!(operations().len(), 370);
        let unique: BTreeSet<_> = operations().iter().map(ToString::to_string).collect();
        assert_eq!(unique.len(), 370);
    }

    #[test]
    fn the_columns_hold_what_the_models_say() {
        assert_eq!(count(|o| o.method == Method::Get), 186);
        assert_eq!(count(|o| o.restricted_data == RestrictedData::Yes), 28);
        assert_eq!(count(|o| o.restricted_data == RestrictedData::SomeReportTypes), 1);
        assert_eq!(count(|o| o.restricted_data == RestrictedData::Unclear), 1);
        assert_eq!(count(|o| o.sandbox_only), 9);
        assert_eq!(count(|o| o.grantless_scope.is_some()), 8);
        assert_eq!(count(|o| o.next_token_exclusive), 2);
        assert_eq!(count(|o| o.presigned), 6);
        assert_eq!(count(|o| o.rate.is_some()), 300);
        assert_eq!(count(|o| o.marketplace_query_parameter().is_some()), 108);
        assert_eq!(count(|o| !o.marketplace_parameters.is_empty()), 143);
        let tied = |o: &Operation| {
            !(o.marketplace_parameters.is_empty() && o.other_selectors.is_empty() && o.response_marketplaces.is_empty())
        };
        assert_eq!(count(|o| !tied(o)), 177);
    }

    #[test]
    fn paths_have_the_form_the_matcher_relies_on() {
        for operation in operations() {
            assert!(operation.path.starts_with('/'), "{operation}");
            for segment in operation.segments() {
                let text = match segment {
                    Segment::Literal(text) | Segment::Parameter(text) => text,
                };
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                assert!(!text.is_empty() && text.bytes().all(plain), "{operation}");
            }
            let in_query = operation.marketplace_parameters.iter().filter(|p| p.place == Place::Query);
            assert!(in_query.count() <= 1, "{operation}");
        }
    }

    #[test]
    fn words_nobody_decided_about_are_refused() {
        for text in ["\"sometimes\"", "null", "1", "[]"] {
            assert!(serde_json::from_str::<RestrictedData>(text).is_err(), "{text}");
        }
    }
}
