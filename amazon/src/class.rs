//! The class of each operation: what a scope's `operations` may name instead of single operations.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::{Method, Operation, RestrictedData};

/// What an operation does to whom. Each operation has exactly one.
///
/// Restricted goes before financial, financial before read. A call that *changes* something in a financial API (a payout, a
/// wallet transfer, an invoice) is [`Class::Write`]: reading accounts must never bring the right to move money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Asks, changes nothing, and answers without the data of the classes below.
    Read,
    /// Changes something.
    Write,
    /// Reads money matters: settlements, balances, invoices.
    Financial,
    /// Handles buyers' personal data, whether it reads or changes it.
    Restricted,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Financial, Self::Restricted];

    /// The name as a scope spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Financial => "financial",
            Self::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or(UnknownClass)
    }
}

/// The text names no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("class is none of read, write, financial, restricted")]
pub struct UnknownClass;

const FINANCIAL_APIS: [&str; 5] =
    ["finances", "invoices", "seller-wallet", "vendor-direct-fulfillment-payments", "vendor-invoices"];

/// Without a restricted data token these answer with the personal data left out, and OpenTeam never sends one for them.
const ORDERS_V0_WITHOUT_PERSONAL_DATA: [&str; 3] = ["getOrders", "getOrder", "getOrderItems"];

/// POSTs that only ask, each reviewed against Amazon's description. Not here, and so [`Class::Write`], is whatever starts a
/// job, keeps a document, makes a label or may change something by its body (`batchInventory`), and the PUTs of shipping v2
/// that only list. `retrieveShippingLabel` prints the buyer's address.
const ASKING_POSTS: [(&str, &str, &str); 21] = [
    // Says whether items would be accepted.
    ("amazon-warehousing-and-distribution", "2024-05-09", "checkInboundEligibility"),
    // Checks a document against ASINs; stores nothing.
    ("aplus-content", "2020-11-01", "validateContentDocumentAsinRelations"),
    // Lists free handover times; scheduling is another call.
    ("easy-ship", "2022-03-23", "listHandoverSlots"),
    // Previews and delivery promises of an order that is not made.
    ("fulfillment-outbound", "2020-07-01", "getFulfillmentPreview"),
    ("fulfillment-outbound", "2020-07-01", "deliveryOffers"),
    ("fulfillment-outbound", "2026-07-04", "getOrderPreview"),
    ("fulfillment-outbound", "2026-07-04", "getOffers"),
    // Services and fields a shipment would have; buying is createShipment.
    ("merchant-fulfillment", "v0", "getEligibleShipmentServices"),
    ("merchant-fulfillment", "v0", "getAdditionalSellerInputs"),
    // Fee estimates.
    ("product-fees", "v0", "getMyFeesEstimateForSKU"),
    ("product-fees", "v0", "getMyFeesEstimateForASIN"),
    ("product-fees", "v0", "getMyFeesEstimates"),
    // Batches of GETs.
    ("product-pricing", "v0", "getItemOffersBatch"),
    ("product-pricing", "v0", "getListingOffersBatch"),
    ("product-pricing", "2022-05-01", "getFeaturedOfferExpectedPriceBatch"),
    ("product-pricing", "2022-05-01", "getCompetitiveSummary"),
    // Searches with the filter in the body.
    ("replenishment", "2022-11-07", "getSellingPartnerMetrics"),
    ("replenishment", "2022-11-07", "listOfferMetrics"),
    ("replenishment", "2022-11-07", "listOffers"),
    // Free capacity of a service resource.
    ("services", "v1", "getRangeSlotCapacity"),
    ("services", "v1", "getFixedSlotCapacity"),
];

/// Why an operation is served to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NeverServed {
    /// It takes the application's own token, which would reach beyond any seller.
    #[error("operation acts for the application, not for one seller")]
    Grantless,
    /// It would hand out a token that the gateway cannot take back or scope.
    #[error("operation hands out restricted data tokens")]
    RestrictedDataToken,
    /// It exists in the sandbox only, and the connection is to production.
    #[error("operation is for the sandbox only")]
    SandboxOnly,
}

impl Operation {
    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        let without_personal_data = self.api == "orders"
            && self.version == "v0"
            && ORDERS_V0_WITHOUT_PERSONAL_DATA.contains(&self.operation_id);
        if self.restricted_data != RestrictedData::No && !without_personal_data {
            Class::Restricted
        } else if self.method == Method::Get {
            if FINANCIAL_APIS.contains(&self.api) { Class::Financial } else { Class::Read }
        } else if self.method == Method::Post && self.only_asks() {
            Class::Read
        } else {
            Class::Write
        }
    }

    /// Whether, and why, it is served to nobody, whatever a scope says.
    #[must_use]
    pub fn never_served(&self, sandbox: bool) -> Option<NeverServed> {
        if self.grantless_scope.is_some() {
            Some(NeverServed::Grantless)
        } else if self.operation_id == "createRestrictedDataToken" {
            Some(NeverServed::RestrictedDataToken)
        } else if self.sandbox_only && !sandbox {
            Some(NeverServed::SandboxOnly)
        } else {
            None
        }
    }

    fn only_asks(&self) -> bool {
        ASKING_POSTS.contains(&(self.api, self.version, self.operation_id))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::operations;

    fn class_of(method: &str, path: &str) -> Class {
        crate::find(method, path).unwrap().operation.class()
    }

    /// Set `UPDATE_GOLDEN=1` to write the file anew, and then read the difference.
    #[test]
    fn every_operation_has_the_class_the_golden_file_says() {
        let mut seen = String::new();
        for operation in operations() {
            writeln!(seen, "{operation} → {}", operation.class()).unwrap();
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/classes.golden");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(file, &seen).unwrap();
        }
        let golden = std::fs::read_to_string(file).unwrap();
        for (seen, golden) in seen.lines().zip(golden.lines()) {
            assert_eq!(seen, golden);
        }
        assert_eq!(seen.lines().count(), golden.lines().count());
        assert_eq!(golden.lines().count(), 370);
    }

    #[test]
    fn each_reviewed_post_exists_and_is_a_post() {
        for (api, version, id) in ASKING_POSTS {
            let found: Vec<_> =
                operations().iter().filter(|o| (o.api, o.version, o.operation_id) == (api, version, id)).collect();
            assert_eq!(found.len(), 1, "{api}/{version}/{id}");
            assert_eq!(found[0].method, Method::Post, "{api}/{version}/{id}");
            assert_eq!(found[0].class(), Class::Read, "{api}/{version}/{id}");
        }
        for api in FINANCIAL_APIS {
            assert!(operations().iter().any(|o| o.api == api), "{api}");
        }
    }

    #[test]
    fn what_changes_something_is_never_read() {
        for (method, path) in [
            ("POST", "/reports/2021-06-30/reports"),
            ("POST", "/dataKiosk/2023-11-15/queries"),
            ("POST", "/feeds/2021-06-30/documents"),
            ("POST", "/externalFulfillment/inventory/2024-09-11/inventories"),
            ("POST", "/shipping/v1/shipments/S/containers/T/label"),
            ("PUT", "/shipping/v2/carrierAccounts"),
            ("PATCH", "/listings/2021-08-01/items/S/K"),
            ("DELETE", "/reports/2021-06-30/reports/R"),
        ] {
            assert_eq!(class_of(method, path), Class::Write, "{method} {path}");
        }
    }

    #[test]
    fn reading_accounts_does_not_bring_the_right_to_move_money() {
        let wallet = "/finances/transfers/wallet/2024-03-01/transactions";
        assert_eq!(class_of("GET", wallet), Class::Financial);
        assert_eq!(class_of("POST", wallet), Class::Write);
        let payouts = "/finances/transfers/2024-06-01/payouts";
        assert_eq!(class_of("GET", payouts), Class::Financial);
        assert_eq!(class_of("POST", payouts), Class::Write);
        assert!(operations().iter().all(|o| o.class() != Class::Financial || o.method == Method::Get));
    }

    #[test]
    fn only_three_of_the_orders_that_need_a_token_are_read() {
        assert_eq!(class_of("GET", "/orders/v0/orders"), Class::Read);
        assert_eq!(class_of("GET", "/orders/v0/orders/1"), Class::Read);
        assert_eq!(class_of("GET", "/orders/v0/orders/1/orderItems"), Class::Read);
        for path in [
            "/orders/v0/orders/1/address",
            "/orders/v0/orders/1/buyerInfo",
            "/orders/v0/orders/1/orderItems/buyerInfo",
            "/orders/v0/orders/1/regulatedInfo",
            "/reports/2021-06-30/documents/1",
            "/vendor/directFulfillment/orders/v1/purchaseOrders",
        ] {
            assert_eq!(class_of("GET", path), Class::Restricted, "{path}");
        }
    }

    #[test]
    fn what_acts_for_the_application_is_served_to_nobody() {
        let reason = |method, path, sandbox| crate::find(method, path).unwrap().operation.never_served(sandbox);
        let secret = "/applications/2023-11-30/clientSecret";
        assert_eq!(reason("POST", secret, true), Some(NeverServed::Grantless));
        let destinations = "/notifications/v1/destinations";
        assert_eq!(reason("GET", destinations, false), Some(NeverServed::Grantless));
        let tokens = "/tokens/2021-03-01/restrictedDataToken";
        assert_eq!(reason("POST", tokens, true), Some(NeverServed::RestrictedDataToken));
        let items = "/fba/inventory/v1/items";
        assert_eq!(reason("POST", items, false), Some(NeverServed::SandboxOnly));
        assert_eq!(reason("POST", items, true), None);
        assert_eq!(reason("GET", "/orders/v0/orders", false), None);
        let refused = operations().iter().filter(|o| o.never_served(false).is_some());
        assert_eq!(refused.count(), 8 + 1 + 9);
    }

    #[test]
    fn classes_read_back_as_written_and_nothing_else_does() {
        for class in Class::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        for text in ["", "Read", "READ", "reads", "read,write", "*", "all"] {
            assert_eq!(text.parse::<Class>(), Err(UnknownClass), "{text}");
        }
    }
}
