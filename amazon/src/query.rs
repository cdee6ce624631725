//! Raw query strings: read for what they choose, forwarded with the rest of their bytes untouched.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{InvalidMarketplaceId, MarketplaceId, Operation, Place};

/// The pairs of a query string, decoded, in the order sent.
#[derive(Debug, Default)]
pub struct Query<'q> {
    pairs: Vec<Pair<'q>>,
}

/// One `name=value`; without `=` the value is empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Pair<'q> {
    /// The bytes as sent.
    pub raw: &'q str,
    /// The name, decoded.
    pub name: String,
    /// The value, decoded.
    pub value: String,
}

/// Why a query is refused. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QueryError {
    /// A byte that RFC 3986 does not let a query contain, or `;`, which some servers take for `&`.
    #[error("query contains a character that must be percent-encoded")]
    Character,
    /// A `%` without two hexadecimal digits.
    #[error("query contains an invalid percent-encoding")]
    Escape,
    /// Percent-encoded bytes that are not UTF-8.
    #[error("query contains percent-encoded bytes that are not utf-8")]
    NotUtf8,
    /// A percent-encoded control character.
    #[error("query contains an encoded control character")]
    Control,
    /// A marketplace parameter, whatever its spelling, holds something else.
    #[error("query names a marketplace by what is not a marketplace id")]
    Marketplace(#[source] InvalidMarketplaceId),
}

/// The marketplaces a query names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedMarketplaces {
    /// All ids in all spellings and in `granularityId`: each must be in scope.
    pub all: BTreeSet<MarketplaceId>,
    /// Those among them that Amazon will read from [`Query::forwarded`]. Empty when the operation takes none from its query,
    /// however many the caller wrote there: then the query ties the call to no marketplace.
    pub effective: BTreeSet<MarketplaceId>,
}

impl<'q> Query<'q> {
    /// Reads a raw query, without its `?`. `+` is a space; empty pieces (`&&`) are no pairs.
    ///
    /// # Errors
    ///
    /// [`QueryError`], for the first character, encoding or control character that is refused.
    pub fn parse(raw: &'q str) -> Result<Self, QueryError> {
        let pairs = raw
            .split('&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                Ok(Pair { raw: piece, name: decode(name)?, value: decode(value)? })
            })
            .collect::<Result<_, QueryError>>()?;
        Ok(Self { pairs })
    }

    /// The pairs.
    #[must_use]
    pub fn pairs(&self) -> &[Pair<'q>] {
        &self.pairs
    }

    /// The marketplaces named: by any spelling (`marketplaceIds`, `MarketplaceId`, `marketplace_ids`, …), repeated or in one
    /// list, and by `granularityId` where the operation takes it.
    ///
    /// # Errors
    ///
    /// [`QueryError::Marketplace`], if one of them is no marketplace id.
    pub fn marketplaces(&self, operation: &Operation) -> Result<NamedMarketplaces, QueryError> {
        let mut named = NamedMarketplaces::default();
        let selectors: Vec<String> = operation
            .other_selectors
            .iter()
            .filter(|s| s.place == Place::Query && s.name == "granularityId")
            .map(|s| folded(s.name))
            .collect();
        for pair in &self.pairs {
            if pair.names_marketplace() || selectors.contains(&folded(&pair.name)) {
                named.all.extend(pair.marketplace_ids()?);
            }
        }
        for pair in self.effective_pairs(operation) {
            named.effective.extend(pair.marketplace_ids()?);
        }
        Ok(named)
    }

    /// The query to send on: of the marketplace pairs only those in the model's spelling, everything else byte for byte.
    ///
    /// Amazon ignores a spelling it does not know, and without a marketplace some operations answer for all. So where the
    /// caller named marketplaces in foreign spellings only, the first of these is sent on under the model's name.
    #[must_use]
    pub fn forwarded(&self, operation: &Operation) -> String {
        let modelled = operation.marketplace_query_parameter().map(|p| p.name);
        let effective = self.effective_pairs(operation);
        let mut pieces = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            if !pair.names_marketplace() {
                pieces.push(pair.raw.to_owned());
            } else if effective.iter().any(|kept| std::ptr::eq(*kept, pair)) {
                let value = pair.raw.split_once('=').map_or("", |(_, value)| value);
                pieces.push(format!("{}={value}", modelled.unwrap_or_default()));
            }
        }
        pieces.join("&")
    }

    /// The marketplace pairs to be sent on: those with a value in the model's spelling; else those in the first foreign one.
    fn effective_pairs(&self, operation: &Operation) -> Vec<&Pair<'q>> {
        let Some(modelled) = operation.marketplace_query_parameter() else {
            return Vec::new();
        };
        let named: Vec<&Pair<'q>> =
            self.pairs.iter().filter(|pair| pair.names_marketplace() && pair.pieces().next().is_some()).collect();
        let spelling =
            named.iter().find(|pair| pair.name == modelled.name).or(named.first()).map(|pair| pair.name.clone());
        named.into_iter().filter(|pair| Some(&pair.name) == spelling.as_ref()).collect()
    }
}

impl Pair<'_> {
    /// Whether it is a marketplace parameter in any spelling. Prefixes count, so that `marketplaceIds[0]` does; no SP-API
    /// parameter starts so and means something else.
    fn names_marketplace(&self) -> bool {
        folded(&self.name).starts_with("marketplaceid")
    }

    /// The value's comma-separated pieces that are not empty.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &str> {
        self.value.split(',').map(str::trim).filter(|piece| !piece.is_empty())
    }

    fn marketplace_ids(&self) -> Result<Vec<MarketplaceId>, QueryError> {
        self.pieces().map(|piece| piece.parse().map_err(QueryError::Marketplace)).collect()
    }
}

/// A parameter name without what spellings differ in: letters and digits only, in lower case.
pub(crate) fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn decode(raw: &str) -> Result<String, QueryError> {
    let bytes = raw.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).ok_or(QueryError::Escape)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(QueryError::Escape);
                }
            }
            // Not allowed raw by RFC 3986 or, as for the brackets, allowed by nobody's parser but sent by many.
            b'"' | b'#' | b';' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                return Err(QueryError::Character);
            }
            0x21..=0x7e => {}
            _ => return Err(QueryError::Character),
        }
    }
    let spaced = raw.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().map_err(|_| QueryError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(QueryError::Control);
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::find;

    const US: &str = "ATVPDKIKX0DER";
    const CA: &str = "A2EUQ1WTGCTBG2";

    fn operation(path: &str) -> &'static Operation {
        find("GET", path).unwrap().operation
    }

    fn orders_v0() -> &'static Operation {
        operation("/orders/v0/orders")
    }

    fn search_orders() -> &'static Operation {
        operation("/orders/2026-01-01/orders")
    }

    fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<MarketplaceId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    fn named(operation: &Operation, raw: &str) -> NamedMarketplaces {
        Query::parse(raw).unwrap().marketplaces(operation).unwrap()
    }

    fn forwarded(operation: &Operation, raw: &str) -> String {
        Query::parse(raw).unwrap().forwarded(operation)
    }

    #[test]
    fn pairs_are_decoded_once_and_keep_their_raw_bytes() {
        let query = Query::parse("a=1+2%2B&b&&c%20d=%C3%A9%253D=&").unwrap();
        let pairs: Vec<_> = query.pairs().iter().map(|p| (p.raw, p.name.as_str(), p.value.as_str())).collect();
        assert_eq!(pairs, [("a=1+2%2B", "a", "1 2+"), ("b", "b", ""), ("c%20d=%C3%A9%253D=", "c d", "é%3D=")]);
        assert!(Query::parse("").unwrap().pairs().is_empty());
    }

    #[test]
    fn garbage_is_refused() {
        for (raw, error) in [
            ("a=%", QueryError::Escape),
            ("a=%1", QueryError::Escape),
            ("a=%zz", QueryError::Escape),
            ("%=1", QueryError::Escape),
            ("a=%ff", QueryError::NotUtf8),
            ("%c0%af=1", QueryError::NotUtf8),
            ("a=%00", QueryError::Control),
            ("a=1%0d%0aX:y", QueryError::Control),
            ("a=%7f", QueryError::Control),
            ("a=1;b=2", QueryError::Character),
            ("a=1#b", QueryError::Character),
            ("a=1 2", QueryError::Character),
            ("a=é", QueryError::Character),
            ("a=\n", QueryError::Character),
            ("a={}", QueryError::Character),
            ("a=x|y", QueryError::Character),
            ("a=\\", QueryError::Character),
        ] {
            assert_eq!(Query::parse(raw).unwrap_err(), error, "{raw:?}");
        }
    }

    #[test]
    fn every_spelling_and_every_list_form_is_read() {
        for name in [
            "MarketplaceIds",
            "marketplaceIds",
            "marketplaceId",
            "MarketplaceId",
            "marketplace_ids",
            "MARKETPLACE_ID",
            "marketplaceIds%5B0%5D",
            "marketplaceIds[]",
            "%6DarketplaceIds",
            "MarketplaceId.Id.1",
        ] {
            let raw = format!("x=1&{name}={US}");
            let named = named(orders_v0(), &raw);
            assert_eq!((named.all, named.effective), (ids([US]), ids([US])), "{name}");
        }
        for raw in [
            format!("MarketplaceIds={US},{CA}"),
            format!("MarketplaceIds={US}%2C{CA}"),
            format!("MarketplaceIds={US}&MarketplaceIds={CA}"),
            format!("MarketplaceIds=+{US}%2c+{CA},"),
        ] {
            assert_eq!(named(orders_v0(), &raw).effective, ids([US, CA]), "{raw}");
        }
    }

    #[test]
    fn spellings_that_disagree_are_all_checked() {
        let raw = format!("MarketplaceIds={US}&marketplace_ids={CA}");
        let named = named(orders_v0(), &raw);
        assert_eq!(named.all, ids([US, CA]));
        assert_eq!(named.effective, ids([US]));
        assert_eq!(forwarded(orders_v0(), &raw), format!("MarketplaceIds={US}"));
    }

    #[test]
    fn what_is_no_marketplace_id_is_refused_in_every_spelling() {
        for value in [
            "us",
            "atvpdkikx0der",
            "%5B%22ATVPDKIKX0DER%22%5D",
            "ATVPDKIKX0DER%252CA2EUQ1WTGCTBG2",
            "ATVPDKIKX0DER%3BA2EUQ1WTGCTBG2",
            "ATVPDKIKX0DER+A2EUQ1WTGCTBG2",
            "*",
        ] {
            for name in ["MarketplaceIds", "marketplace_id"] {
                let raw = format!("{name}={value}");
                let query = Query::parse(&raw).unwrap();
                let error = query.marketplaces(orders_v0()).unwrap_err();
                assert_eq!(error, QueryError::Marketplace(InvalidMarketplaceId), "{raw}");
            }
        }
    }

    #[test]
    fn the_granularity_of_an_inventory_summary_is_a_marketplace() {
        let summaries = operation("/fba/inventory/v1/summaries");
        let raw = format!("granularityType=Marketplace&granularityId={CA}&marketplaceIds={US}");
        let both = named(summaries, &raw);
        assert_eq!((both.all, both.effective), (ids([US, CA]), ids([US])));
        assert_eq!(forwarded(summaries, &raw), raw);
        assert_eq!(named(summaries, &format!("granularity_id={CA}")).all, ids([CA]));
        assert_eq!(named(orders_v0(), "granularityId=anything"), NamedMarketplaces::default());
    }

    #[test]
    fn a_marketplace_that_the_operation_does_not_take_ties_it_to_nothing() {
        let order = operation("/orders/v0/orders/1");
        let raw = format!("marketplaceIds={US}&x=1");
        let named = named(order, &raw);
        assert_eq!((named.all, named.effective), (ids([US]), BTreeSet::new()));
        assert_eq!(forwarded(order, &raw), "x=1");
    }

    #[test]
    fn four_spellings_at_once_are_forwarded_as_one() {
        let raw = format!(
            "MarketplaceId={US}&MarketplaceIds={US}&CreatedAfter=2026-01-01T00%3A00%3A00Z&marketplace_ids={US}&marketplaceIds={US}"
        );
        let rest = "CreatedAfter=2026-01-01T00%3A00%3A00Z";
        assert_eq!(forwarded(orders_v0(), &raw), format!("MarketplaceIds={US}&{rest}"));
        assert_eq!(forwarded(search_orders(), &raw), format!("{rest}&marketplaceIds={US}"));
    }

    #[test]
    fn a_foreign_spelling_alone_is_forwarded_under_the_models_name() {
        for raw in [
            format!("MarketplaceIds={CA}&x=%2f+1"),
            format!("marketplaceIds=&MarketplaceIds={CA}&x=%2f+1"),
            format!("MarketplaceIds={CA}&x=%2f+1&marketplaceIds=,"),
            format!("MarketplaceIds={CA}&x=%2f+1&marketplace_id={US}"),
        ] {
            let sent = forwarded(search_orders(), &raw);
            assert_eq!(sent, format!("marketplaceIds={CA}&x=%2f+1"), "{raw}");
            assert_eq!(named(search_orders(), &raw).effective, ids([CA]), "{raw}");
        }
    }

    #[test]
    fn an_empty_marketplace_parameter_names_none_and_is_dropped() {
        for raw in ["marketplaceIds", "marketplaceIds=", "marketplaceIds=,%2C+"] {
            assert_eq!(named(search_orders(), raw), NamedMarketplaces::default());
            assert_eq!(forwarded(search_orders(), raw), "");
        }
    }

    proptest! {
        /// What is sent on names exactly the effective ids, all of which were checked, and nothing of the rest is changed.
        #[test]
        fn what_is_forwarded_was_checked(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "(m|M)arketplace_?(i|I)ds?=(ATVPDKIKX0DER)?(,|%2C)?(A2EUQ1WTGCTBG2)?",
                    "[a-l]{1,5}=[a-zA-Z0-9+.~,%]{0,9}",
                ],
                0..8,
            ),
            index in 0..370_usize,
        ) {
            let operation = &crate::operations()[index];
            let raw = pieces.join("&");
            let Ok(query) = Query::parse(&raw) else { return Ok(()) };
            // An id glued to another is no id: refused before anything is sent.
            let Ok(named) = query.marketplaces(operation) else { return Ok(()) };
            prop_assert!(named.effective.is_subset(&named.all));
            let takes = operation.marketplace_query_parameter();
            prop_assert_eq!(named.effective.is_empty(), named.all.is_empty() || takes.is_none());
            let sent = query.forwarded(operation);
            let again = Query::parse(&sent).unwrap();
            let read: BTreeSet<MarketplaceId> = again
                .pairs()
                .iter()
                .filter(|p| takes.is_some_and(|t| t.name == p.name))
                .flat_map(|p| p.marketplace_ids().unwrap())
                .collect();
            prop_assert_eq!(&read, &named.effective);
            let rest = |q: &Query<'_>| -> Vec<String> {
                q.pairs().iter().filter(|p| !p.names_marketplace()).map(|p| p.raw.to_owned()).collect()
            };
            prop_assert_eq!(rest(&query), rest(&again));
        }
    }
}
