//! Amazon for the benches: the emulator where it is asked seldom, a bare server where the calls go.

use anyhow::Context;
use crds::Endpoints;
use end_to_end::{House, US};
use serde_json::json;

use super::bare::{Bare, Beyond, Canned, Served};

/// A call that lists orders in the United States.
pub(crate) const ORDERS: &str = "/orders/v0/orders?MarketplaceIds=ATVPDKIKX0DER&CreatedAfter=2020-01-01T00:00:00Z";
/// A call that is answered with [`DOCUMENT_BYTES`].
pub(crate) const DOCUMENT: &str = "/catalog/2022-04-01/items/B000000001?marketplaceIds=ATVPDKIKX0DER";
pub(crate) const DOCUMENT_BYTES: usize = 200 * 1024 * 1024;
const LISTED: usize = 5;

/// A running Amazon.
pub(crate) struct Amazon {
    pub(crate) upstream: Bare,
    /// For an AmazonApplication: Login with Amazon is the emulator, the Selling Partner API is `upstream`, which asks the
    /// emulator about everything but [`ORDERS`] and [`DOCUMENT`].
    pub(crate) endpoints: Endpoints,
}

/// Starts the bare server on core 1.
pub(crate) fn start(house: &House) -> anyhow::Result<Amazon> {
    let emulator = house.amazon().endpoints();
    let url = emulator.selling_partner_api.clone().context("the emulator has no address")?;
    let ca = emulator.ca_bundle.clone().context("the emulator has no authority")?;
    let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    let served = Served {
        canned: vec![Canned { path: path(ORDERS), headers: headers(), body: orders() }],
        document: Some((path(DOCUMENT), DOCUMENT_BYTES)),
        beyond: Some(Beyond { url, ca: ca.clone() }),
    };
    let upstream = Bare::start(1, &served)?;
    let address = format!("https://{}:{}", upstream.server.host, upstream.server.port);
    let bundle = format!("{ca}\n{}", upstream.server.ca);
    let endpoints = Endpoints { selling_partner_api: Some(address), ca_bundle: Some(bundle), ..emulator };
    Ok(Amazon { upstream, endpoints })
}

fn headers() -> Vec<(String, String)> {
    [
        ("content-type", "application/json"),
        ("x-amzn-requestid", "8e2c3c1e-0f6f-4a51-9d0c-6c1f2f1f3b44"),
        ("x-amzn-ratelimit-limit", "0.0167"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn orders() -> String {
    let order = |number: usize| {
        json!({
            "AmazonOrderId": format!("101-0000001-{number:07}"),
            "PurchaseDate": "2026-11-01T10:00:00Z",
            "LastUpdateDate": "2026-11-02T10:00:00Z",
            "OrderStatus": "Shipped",
            "FulfillmentChannel": "AFN",
            "SalesChannel": "Amazon.com",
            "OrderTotal": { "CurrencyCode": "USD", "Amount": "42.00" },
            "NumberOfItemsShipped": 1,
            "NumberOfItemsUnshipped": 0,
            "MarketplaceId": US,
        })
    };
    json!({ "payload": { "Orders": (1..=LISTED).map(order).collect::<Vec<_>>() } }).to_string()
}
