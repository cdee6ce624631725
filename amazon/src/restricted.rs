//! Restricted data asked for by query, on operations that answer without it otherwise.

use crate::query::folded;
use crate::{Operation, Query};

/// Whether the query asks for buyers' personal data: by `dataElements`, on any operation, or by `includedData` (and A+
/// Content's `includedDataSet`) with a value that is not known to be harmless there. Any spelling counts.
///
/// Such a call needs the right to restricted data even where [`Operation::class`] is another.
#[must_use]
pub fn asks_restricted(operation: &Operation, query: &Query<'_>) -> bool {
    let harmless = harmless_data(operation);
    query.pairs().iter().any(|pair| {
        let name = folded(&pair.name);
        name.starts_with("dataelement")
            || (name.starts_with("includeddata") && pair.pieces().any(|value| !harmless.contains(&value)))
    })
}

/// The data sets without personal data, reviewed against each model. What is missing here is restricted.
fn harmless_data(operation: &Operation) -> &'static [&'static str] {
    match (operation.api, operation.version) {
        // Missing on purpose: BUYER, RECIPIENT; FULFILLMENT, whose gift message Amazon counts as personal data ("Access Orders
        // PII"); TAX and PAYMENT, which describe the buyer's registrations and means of payment.
        ("orders", "2026-01-01") => {
            &["CANCELLATION", "EXPENSE", "FULFILLMENT_ORDERS", "PACKAGES", "PROCEEDS", "PROMOTION"]
        }
        // The public catalogue; `vendorDetails` are the caller's own.
        ("catalog-items", "2022-04-01") => &[
            "attributes",
            "classifications",
            "dimensions",
            "identifiers",
            "images",
            "productTypes",
            "relationships",
            "salesRanks",
            "summaries",
            "vendorDetails",
        ],
        ("catalog-items", "2020-12-01") => &[
            "attributes",
            "identifiers",
            "images",
            "productTypes",
            "salesRanks",
            "summaries",
            "variations",
            "vendorDetails",
        ],
        // The seller's own listings.
        ("listings-items", "2021-08-01") => &[
            "attributes",
            "fulfillmentAvailability",
            "identifiers",
            "issues",
            "offers",
            "procurement",
            "productTypes",
            "relationships",
            "summaries",
        ],
        // The seller's own texts and pictures.
        ("aplus-content", "2020-11-01") => &["CONTENTS", "METADATA"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{find, operations};

    fn asks(path: &str, query: &str) -> bool {
        let query = Query::parse(query).unwrap();
        asks_restricted(find("GET", path).unwrap().operation, &query)
    }

    const ORDERS: &str = "/orders/2026-01-01/orders";

    #[test]
    fn data_about_buyers_is_restricted_in_every_spelling() {
        for query in [
            "includedData=BUYER",
            "includedData=RECIPIENT",
            "includedData=FULFILLMENT",
            "includedData=TAX",
            "includedData=PAYMENT",
            "includedData=PACKAGES,BUYER",
            "includedData=PACKAGES%2CBUYER",
            "includedData=PACKAGES&includedData=BUYER",
            "includedData=PACKAGES&IncludedData=BUYER",
            "included_data=BUYER",
            "includedData%5B0%5D=BUYER",
            "%69ncludedData=BUYER",
            "includedData=+BUYER+",
            "includedData=%42UYER",
            "includedData=buyer",
            "includedData=packages",
            "includedData=NEW_IN_2027",
            "dataElements=buyerInfo",
            "data_elements=",
            "DataElements",
        ] {
            assert!(asks(ORDERS, query), "{query}");
        }
    }

    #[test]
    fn reviewed_values_are_harmless_on_their_own_api_only() {
        assert!(!asks(ORDERS, "includedData=PACKAGES,PROCEEDS&includedData=PROMOTION"));
        assert!(!asks(ORDERS, "createdAfter=2026-01-01&includedData="));
        assert!(!asks(ORDERS, ""));
        let catalog = "/catalog/2022-04-01/items";
        assert!(!asks(catalog, "includedData=summaries,attributes"));
        assert!(asks(catalog, "includedData=summaries,variations"));
        assert!(asks(catalog, "includedData=PACKAGES"));
        assert!(asks(ORDERS, "includedData=summaries"));
        assert!(!asks("/aplus/2020-11-01/contentDocuments/K", "includedDataSet=CONTENTS"));
        assert!(asks("/aplus/2020-11-01/contentDocuments/K", "includedDataSet=BUYER"));
    }

    #[test]
    fn unreviewed_operations_have_no_harmless_value_and_none_has_data_elements() {
        let mut reviewed = 0;
        for operation in operations() {
            let asks = |raw| asks_restricted(operation, &Query::parse(raw).unwrap());
            assert!(asks("dataElements=shippingAddress"), "{operation}");
            assert!(asks("includedData=BUYER"), "{operation}");
            assert!(!asks("marketplaceIds=ATVPDKIKX0DER"), "{operation}");
            if harmless_data(operation).is_empty() {
                assert!(asks("includedData=summaries"), "{operation}");
            } else {
                reviewed += 1;
            }
        }
        assert_eq!(reviewed, 2 + 2 + 2 + 5 + 10);
    }
}
