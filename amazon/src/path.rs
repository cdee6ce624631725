//! From a raw request path to the operation it means, or to why it must not be sent on.
//!
//! The gateway forwards the raw bytes, so the danger is a path that *we* read as one operation and some server further on,
//! decoding once more or tidying dots and slashes away, as another. Hence: only what RFC 3986 lets a path contain, no dot
//! segment in any depth of percent-encoding, and every decoding of a path must mean the same operation or none.
//!
//! An encoded slash inside a value is allowed (SKUs have them) as long as that rule holds. `;` is an ordinary character of
//! SP-API values, not the start of a matrix parameter; but as servers exist that cut a segment there, what is before it must
//! not be dots either.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use thiserror::Error;

use crate::operation::Segment;
use crate::{Operation, operations};

/// A path of an operation.
#[derive(Debug)]
pub struct Match<'p> {
    /// The operation.
    pub operation: &'static Operation,
    /// Its path parameters, in the order of the template.
    pub parameters: Vec<Parameter<'p>>,
}

impl Match<'_> {
    /// The path parameter of this name, such as `sellerId`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter<'_>> {
        self.parameters.iter().find(|p| p.name == name)
    }
}

/// The value of a path parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter<'p> {
    /// Its name in the template.
    pub name: &'static str,
    /// The bytes as sent, never empty.
    pub raw: &'p str,
    /// Percent-decoded once. May contain `/`.
    pub decoded: Cow<'p, str>,
}

/// Why a path is not matched. Says nothing of the path itself, which may hold order or buyer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not start with a slash.
    #[error("path does not start with a slash")]
    NotAbsolute,
    /// Two slashes in a row, a slash at the end, or nothing but a slash.
    #[error("path has an empty segment")]
    EmptySegment,
    /// A byte that RFC 3986 does not let a path contain: non-ASCII, control, space, backslash, `?`, `#`, `|`, `{`….
    #[error("path contains a character that must be percent-encoded")]
    Character,
    /// A `%` without two hexadecimal digits.
    #[error("path contains an invalid percent-encoding")]
    Escape,
    /// Percent-encoded bytes that are not UTF-8, at any depth of encoding.
    #[error("path contains percent-encoded bytes that are not utf-8")]
    NotUtf8,
    /// A percent-encoded control character or backslash, at any depth of encoding.
    #[error("path contains an encoded control character or backslash")]
    EncodedControl,
    /// Percent-encoded more than eight times over; each layer costs work, and nobody means so many.
    #[error("path is percent-encoded too many times over")]
    TooDeep,
    /// `.` or `..`, at any depth of encoding, also within an encoded slash or before a `;`.
    #[error("path contains a dot segment")]
    DotSegment,
    /// Decoded, it is the path of another operation.
    #[error("path means another operation once it is decoded")]
    Ambiguous,
    /// No operation has this method and path.
    #[error("no operation has this method and path")]
    Unknown,
}

/// The operation a request means.
///
/// `method` is in capitals; `raw_path` is the path as sent, without query. A literal segment goes before a parameter, without
/// coming back: `GET …/subscriptions/X/testNotification` is unknown, although `{subscriptionId}` would fit.
///
/// # Errors
///
/// [`PathError`], the first rule that is broken.
pub fn find<'p>(method: &str, raw_path: &'p str) -> Result<Match<'p>, PathError> {
    check_characters(raw_path)?;
    let path = raw_path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
    let segments: Vec<&str> = path.split('/').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(PathError::EmptySegment);
    }
    let decodings = decodings(raw_path)?;
    if decodings.iter().any(|text| has_dot_segment(text)) {
        return Err(PathError::DotSegment);
    }
    let operation = lookup(method, &segments).ok_or(PathError::Unknown)?;
    for decoded in &decodings {
        // Whoever decodes slashes may also merge them.
        let segments: Vec<&str> = decoded.split('/').filter(|s| !s.is_empty()).collect();
        if lookup(method, &segments).is_some_and(|other| !std::ptr::eq(other, operation)) {
            return Err(PathError::Ambiguous);
        }
    }
    let parameters = operation
        .segments()
        .zip(&segments)
        .filter_map(|(template, raw)| match template {
            Segment::Literal(_) => None,
            Segment::Parameter(name) => Some((name, *raw)),
        })
        .map(|(name, raw)| {
            let decoded = decode(raw)?;
            Ok(Parameter { name, raw, decoded })
        })
        .collect::<Result<_, PathError>>()?;
    Ok(Match { operation, parameters })
}

/// `pchar` of RFC 3986 section 3.3, and the slash.
fn check_characters(path: &str) -> Result<(), PathError> {
    let bytes = path.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).ok_or(PathError::Escape)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(PathError::Escape);
                }
            }
            b'/' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => return Err(PathError::Character),
        }
    }
    Ok(())
}

const DEPTH_LIMIT: usize = 8;

/// The path, and what it becomes by decoding again and again until nothing changes.
fn decodings(raw: &str) -> Result<Vec<Cow<'_, str>>, PathError> {
    let mut all = vec![Cow::Borrowed(raw)];
    let mut text = raw.to_owned();
    loop {
        let next = decode(&text)?;
        if next == text {
            return Ok(all);
        }
        if all.len() > DEPTH_LIMIT {
            return Err(PathError::TooDeep);
        }
        if next.chars().any(|c| c.is_control() || c == '\\') {
            return Err(PathError::EncodedControl);
        }
        text = next.into_owned();
        all.push(Cow::Owned(text.clone()));
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, PathError> {
    percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| PathError::NotUtf8)
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let before = segment.split(';').next().unwrap_or(segment);
        before == "." || before == ".."
    })
}

#[derive(Default)]
struct Node {
    literals: BTreeMap<&'static str, Self>,
    parameter: Option<Box<Self>>,
    operations: Vec<&'static Operation>,
}

static TREE: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node::default();
    for operation in operations() {
        let mut node = &mut root;
        for segment in operation.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        node.operations.push(operation);
    }
    root
});

fn lookup(method: &str, segments: &[&str]) -> Option<&'static Operation> {
    let mut node = &*TREE;
    for segment in segments {
        node = match node.literals.get(segment) {
            Some(literal) => literal,
            None => node.parameter.as_deref()?,
        };
    }
    node.operations.iter().find(|operation| operation.method.as_str() == method).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_template_is_found_and_gives_its_parameters() {
        for operation in operations() {
            let path = operation.path.replace('{', "%7B").replace('}', "%7D");
            let found = find(operation.method.as_str(), &path).unwrap();
            assert!(std::ptr::eq(found.operation, operation), "{operation}");
            for parameter in &found.parameters {
                assert_eq!(parameter.decoded, format!("{{{}}}", parameter.name));
            }
            assert_eq!(found.parameters.len(), operation.path.matches('{').count());
        }
    }

    #[test]
    fn values_keep_their_raw_bytes() {
        let path = "/listings/2021-08-01/items/A3EXAMPLE/A%2FB%20c;v=1+%C3%A9:@";
        let found = find("GET", path).unwrap();
        assert_eq!(found.operation.operation_id, "getListingsItem");
        assert_eq!(found.parameter("sellerId").unwrap().raw, "A3EXAMPLE");
        let sku = found.parameter("sku").unwrap();
        assert_eq!(sku.raw, "A%2FB%20c;v=1+%C3%A9:@");
        assert_eq!(sku.decoded, "A/B c;v=1+é:@");
        assert_eq!(found.parameter("SKU"), None);
        // A value that is itself percent-encoded, as some inbound operations want it, and one with dots that are no segment.
        for sku in ["A%252FB", "50%25", "..a", "a..", "...", "a.%2Fb"] {
            let path = format!("/listings/2021-08-01/items/A3EXAMPLE/{sku}");
            assert_eq!(find("GET", &path).unwrap().parameter("sku").unwrap().raw, sku);
        }
    }

    #[test]
    fn a_literal_goes_before_a_parameter() {
        let preview = "/fba/outbound/2020-07-01/fulfillmentOrders/preview";
        assert_eq!(find("POST", preview).unwrap().operation.operation_id, "getFulfillmentPreview");
        assert_eq!(find("GET", preview).unwrap_err(), PathError::Unknown);
        let other = "/fba/outbound/2020-07-01/fulfillmentOrders/Preview";
        assert_eq!(find("GET", other).unwrap().operation.operation_id, "getFulfillmentOrder");
    }

    #[test]
    fn paths_of_no_operation_are_unknown() {
        for (method, path) in [
            ("GET", "/orders"),
            ("GET", "/orders/v0"),
            ("GET", "/Orders/v0/orders"),
            ("GET", "/orders/v0/orders/1/address/x"),
            ("GET", "/orders/v0/orders;x=1"),
            ("GET", "/%6Frders/v0/orders"),
            ("GET", "/orders%2Fv0%2Forders"),
            ("POST", "/orders/v0/orders"),
            ("get", "/orders/v0/orders"),
            ("HEAD", "/orders/v0/orders"),
            ("OPTIONS", "/orders/v0/orders"),
            ("", "/orders/v0/orders"),
            ("GET", "/auth/o2/token"),
            ("GET", "/openteam/v1/connections"),
        ] {
            assert_eq!(find(method, path).unwrap_err(), PathError::Unknown, "{method} {path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for (path, error) in [
            ("", PathError::NotAbsolute),
            ("orders/v0/orders", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("https://example.com/orders/v0/orders", PathError::NotAbsolute),
            ("/", PathError::EmptySegment),
            ("//orders/v0/orders", PathError::EmptySegment),
            ("/orders//v0/orders", PathError::EmptySegment),
            ("/orders/v0/orders/", PathError::EmptySegment),
            ("/orders/v0/orders//", PathError::EmptySegment),
            ("/orders/v0/orders?x=1", PathError::Character),
            ("/orders/v0/orders#x", PathError::Character),
            ("/orders/v0/orders/a b", PathError::Character),
            ("/orders/v0/orders/a\\b", PathError::Character),
            ("/orders/v0/orders/a\tb", PathError::Character),
            ("/orders/v0/orders/a\0", PathError::Character),
            ("/orders/v0/orders/é", PathError::Character),
            ("/orders/v0/orders/a|b", PathError::Character),
            ("/orders/v0/orders/{orderId}", PathError::Character),
            ("/orders/v0/orders/\"1\"", PathError::Character),
            ("/orders/v0/orders/<1>", PathError::Character),
            ("/orders/v0/orders/%", PathError::Escape),
            ("/orders/v0/orders/1%2", PathError::Escape),
            ("/orders/v0/orders/%zz", PathError::Escape),
            ("/orders/v0/orders/%u002e", PathError::Escape),
            ("/orders/v0/orders/%+1", PathError::Escape),
            ("/orders/v0/orders/%ff", PathError::NotUtf8),
            ("/orders/v0/orders/%c0%ae%c0%ae", PathError::NotUtf8),
            ("/orders/v0/orders/%25c0%25ae", PathError::NotUtf8),
            ("/orders/v0/orders/%e0%80%af", PathError::NotUtf8),
            ("/orders/v0/orders/%00", PathError::EncodedControl),
            ("/orders/v0/orders/1%0d%0aHost:x", PathError::EncodedControl),
            ("/orders/v0/orders/%250a", PathError::EncodedControl),
            ("/orders/v0/orders/%7f", PathError::EncodedControl),
            ("/orders/v0/orders/%c2%85", PathError::EncodedControl),
            ("/orders/v0/orders/..%5c1", PathError::EncodedControl),
            ("/orders/v0/orders/%255c", PathError::EncodedControl),
        ] {
            assert_eq!(find("GET", path).unwrap_err(), error, "{path:?}");
        }
    }

    #[test]
    fn dot_segments_are_refused_in_every_disguise() {
        for segment in [
            ".",
            "..",
            "%2e",
            "%2E%2e",
            ".%2e",
            "%252e%252e",
            "%25252e.",
            "..;",
            "..;x=1",
            ".;x",
            "%2e%2e%3bx",
            "..%2f",
            "x%2f..",
            "x%2f..%2fy",
            "x%252f%252e%252e%252fy",
            "%2f..",
            "x%2f.%2fy",
        ] {
            for path in [
                format!("/orders/v0/orders/{segment}"),
                format!("/orders/v0/orders/1/{segment}/address"),
                format!("/{segment}/orders/v0/orders"),
                format!("/listings/2021-08-01/items/A3EXAMPLE/{segment}"),
            ] {
                assert_eq!(find("GET", &path).unwrap_err(), PathError::DotSegment, "{path}");
            }
        }
    }

    #[test]
    fn eight_layers_of_encoding_are_the_most() {
        let deep = |layers: usize| format!("/orders/v0/orders/%{}41", "25".repeat(layers - 1));
        assert!(find("GET", &deep(8)).is_ok());
        for layers in [9, 10, 3000] {
            assert_eq!(find("GET", &deep(layers)).unwrap_err(), PathError::TooDeep);
        }
    }

    #[test]
    fn a_value_that_decodes_to_another_operation_is_refused() {
        for path in [
            "/orders/v0/orders/1%2Faddress",
            "/orders/v0/orders/1%252Faddress",
            "/orders/v0/orders/1%2F%2FbuyerInfo",
            "/orders/v0/orders/1%2forderItems%2fbuyerInfo",
            "/listings/2021-08-01/items/A3EXAMPLE%2FSKU",
            "/reports/2021-06-30/reports/%2F",
            "/finances/transfers/2024-06-01/payouts/%2565xpected",
        ] {
            let error = find("GET", path).unwrap_err();
            assert!(matches!(error, PathError::Ambiguous | PathError::Unknown), "{path}: {error}");
        }
        assert_eq!(find("GET", "/orders/v0/orders/1%2Faddress").unwrap_err(), PathError::Ambiguous);
        // A server that decodes first would take this for a deletion of another kind.
        assert_eq!(
            find("DELETE", "/fba/inventory/v1/items/a%2Fb").unwrap().operation.operation_id,
            "deleteInventoryItem"
        );
    }

    /// `text` with each byte percent-encoded `depth` times.
    fn encoded(text: &str, depth: &[usize]) -> String {
        text.bytes()
            .zip(depth.iter().cycle())
            .map(|(byte, depth)| match depth {
                0 => char::from(byte).to_string(),
                depth => format!("%{}{byte:02x}", "25".repeat(depth - 1)),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn no_path_with_a_dot_segment_in_any_encoding_matches(
            index in 0..370_usize,
            at in 0..12_usize,
            dots in "\\.{1,2}",
            tail in prop_oneof![Just(""), Just(";"), Just(";a=b")],
            slashes in prop_oneof![Just(("", "")), Just(("x/", "")), Just(("", "/x")), Just(("x/", "/x"))],
            depth in proptest::collection::vec(0..4_usize, 1..8),
            replace in any::<bool>(),
        ) {
            let operation = &operations()[index];
            let path = operation.path.replace(['{', '}'], "");
            let mut segments: Vec<String> = path[1..].split('/').map(str::to_owned).collect();
            let hidden = format!("{}{dots}{tail}{}", slashes.0, slashes.1);
            let hidden = encoded(&hidden, &depth);
            let at = at % segments.len();
            if replace {
                segments[at] = hidden;
            } else {
                segments.insert(at, hidden);
            }
            let path = format!("/{}", segments.join("/"));
            prop_assert_eq!(find(operation.method.as_str(), &path).unwrap_err(), PathError::DotSegment);
        }

        #[test]
        fn any_text_is_answered_without_a_panic(path in "\\PC*", method in "[A-Z]{0,7}") {
            let _ = find(&method, &path);
            let _ = find("GET", &format!("/orders/v0/orders/{path}"));
        }

        /// The gateway builds its request with this parser.
        #[test]
        fn an_accepted_path_goes_through_a_url_parser_unchanged(value in "[!-~]{1,12}") {
            let path = format!("/listings/2021-08-01/items/A3EXAMPLE/{value}");
            if find("GET", &path).is_ok() {
                let url = url::Url::parse(&format!("https://example.com{path}")).unwrap();
                prop_assert_eq!(url.path(), path.as_str());
                prop_assert_eq!((url.query(), url.fragment()), (None, None));
            }
        }

        #[test]
        fn a_properly_encoded_value_comes_back_as_it_was(value in "[a-zA-Z0-9 _|é日\"<>-]{1,40}") {
            let raw: String = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).to_string();
            let path = format!("/listings/2021-08-01/items/A3EXAMPLE/{raw}");
            let found = find("GET", &path).unwrap();
            let sku = found.parameter("sku").unwrap();
            prop_assert_eq!(sku.decoded.as_ref(), value.as_str());
            prop_assert_eq!(sku.raw, raw.as_str());
        }
    }
}
