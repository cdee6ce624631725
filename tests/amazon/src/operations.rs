//! The operations served: where they are, what they ask for, who answers.

use crate::{
    catalog, marketplace::Marketplace, orders_2026, orders_v0, query::Query, refusal::Refusal, seed::Seller, sellers,
};
use axum::http::Method;
use jiff::Timestamp;
use serde_json::Value;

/// One operation; all are GET.
pub(crate) struct Operation {
    /// Its name in the ledger: section, version, operation id (operation ids alone repeat).
    pub(crate) name: &'static str,
    /// `{}` stands for one segment, the id.
    path: &'static str,
    /// Calls per second of the default usage plan, as `x-amzn-RateLimit-Limit` has it.
    pub(crate) rate: &'static str,
    pub(crate) marketplaces: Option<MarketplaceParameter>,
    pub(crate) answer: fn(&Asked<'_>) -> Result<Value, Refusal>,
}

/// The query parameter that names marketplaces; other spellings are ignored.
pub(crate) struct MarketplaceParameter {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) max: usize,
}

/// A call that may be answered: its token is good for this seller in this region.
pub(crate) struct Asked<'a> {
    pub(crate) seller: &'a Seller,
    /// Position in the seed, from 1.
    pub(crate) seller_number: usize,
    /// Those named; all the seller takes part in when none is.
    pub(crate) marketplaces: Vec<&'static Marketplace>,
    /// The id in the path, decoded; empty when the path has none.
    pub(crate) id: String,
    pub(crate) query: Query,
    pub(crate) now: Timestamp,
    /// When the emulator started; what it sells was ordered before.
    pub(crate) started: Timestamp,
}

const fn marketplaces(name: &'static str, required: bool, max: usize) -> Option<MarketplaceParameter> {
    Some(MarketplaceParameter { name, required, max })
}

/// Paths, parameters and rates as Amazon's published models have them.
const OPERATIONS: [Operation; 8] = [
    Operation {
        name: "sellers/v1/getMarketplaceParticipations",
        path: "/sellers/v1/marketplaceParticipations",
        rate: "0.016",
        marketplaces: None,
        answer: sellers::participations,
    },
    Operation {
        name: "orders/v0/getOrders",
        path: "/orders/v0/orders",
        rate: "0.0167",
        marketplaces: marketplaces("MarketplaceIds", true, 50),
        answer: orders_v0::orders,
    },
    Operation {
        name: "orders/v0/getOrder",
        path: "/orders/v0/orders/{}",
        rate: "0.5",
        marketplaces: None,
        answer: orders_v0::order,
    },
    Operation {
        name: "orders/v0/getOrderItems",
        path: "/orders/v0/orders/{}/orderItems",
        rate: "0.5",
        marketplaces: None,
        answer: orders_v0::items,
    },
    Operation {
        name: "orders/2026-01-01/searchOrders",
        path: "/orders/2026-01-01/orders",
        rate: "0.0056",
        marketplaces: marketplaces("marketplaceIds", false, 50),
        answer: orders_2026::search,
    },
    Operation {
        name: "orders/2026-01-01/getOrder",
        path: "/orders/2026-01-01/orders/{}",
        rate: "0.5",
        marketplaces: None,
        answer: orders_2026::order,
    },
    Operation {
        name: "catalog/2022-04-01/searchCatalogItems",
        path: "/catalog/2022-04-01/items",
        rate: "2.0",
        marketplaces: marketplaces("marketplaceIds", true, 1),
        answer: catalog::search,
    },
    Operation {
        name: "catalog/2022-04-01/getCatalogItem",
        path: "/catalog/2022-04-01/items/{}",
        rate: "2.0",
        // The model sets no limit; this one is ours.
        marketplaces: marketplaces("marketplaceIds", true, 50),
        answer: catalog::item,
    },
];

/// The operation at this path, and the raw id in the path.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Option<(&'static Operation, &'a str)> {
    if method != Method::GET {
        return None;
    }
    OPERATIONS.iter().find_map(|operation| matches(operation.path, path).map(|id| (operation, id)))
}

/// The segment standing for `{}`, empty when the pattern has none; `None` when the path is another.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let mut id = "";
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected == "{}" && !segment.is_empty() {
            id = segment;
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_its_segments() {
        let name = |path| find(&Method::GET, path).map(|(operation, id)| (operation.name, id));
        assert_eq!(name("/orders/v0/orders"), Some(("orders/v0/getOrders", "")));
        assert_eq!(name("/orders/v0/orders/1-2"), Some(("orders/v0/getOrder", "1-2")));
        assert_eq!(name("/orders/v0/orders/1-2/orderItems"), Some(("orders/v0/getOrderItems", "1-2")));
        for other in [
            "/",
            "/orders/v0",
            "/orders/v0/orders/",
            "/orders/v0/orders/1/address",
            "/Orders/v0/orders",
            "//orders/v0/orders",
            "/orders/v0/orders/1/orderItems/2",
            "/orders/v0/orders//orderItems",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
        assert!(find(&Method::POST, "/orders/v0/orders").is_none());
    }
}
