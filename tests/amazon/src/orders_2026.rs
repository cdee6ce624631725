//! Orders 2026-01-01. Here a plain access token gets the buyer's personal data, if `includedData` asks for it.

use crate::{
    goods::{self, Order, Window, WindowNames},
    operations::Asked,
    refusal::Refusal,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

const WINDOW: WindowNames =
    WindowNames { created: ["createdAfter", "createdBefore"], updated: ["lastUpdatedAfter", "lastUpdatedBefore"] };

/// searchOrders; without `marketplaceIds`, in all marketplaces of the seller. Filters other than marketplace and time are
/// ignored.
pub(crate) fn search(asked: &Asked<'_>) -> Result<Value, Refusal> {
    if asked.query.has("paginationToken") {
        return Err(Refusal::invalid_input("paginationToken is not valid."));
    }
    let window = Window::read(&asked.query, &WINDOW)?;
    let bound = if window.by_update { "lastUpdatedBefore" } else { "createdBefore" };
    let until = asked.now.saturating_sub(SignedDuration::from_mins(2)).unwrap_or(asked.now);
    let included = asked.query.list("includedData");
    let found = goods::orders(asked).into_iter().filter(|order| window.holds(order));
    Ok(json!({ "orders": found.map(|order| body(&order, &included)).collect::<Vec<_>>(), bound: until }))
}

/// getOrder.
pub(crate) fn order(asked: &Asked<'_>) -> Result<Value, Refusal> {
    let order = goods::order_by_path(asked)?;
    Ok(json!({ "order": body(&order, &asked.query.list("includedData")) }))
}

/// The order with the data sets asked for; those we have nothing for are left out.
fn body(order: &Order, included: &[&str]) -> Value {
    let marketplace = order.marketplace();
    let money = json!({ "amount": order.item.price, "currencyCode": marketplace.currency });
    let mut body = json!({
        "orderId": order.id,
        "orderAliases": [{ "aliasId": order.seller_order_id, "aliasType": "SELLER_ORDER_ID" }],
        "createdTime": order.created,
        "lastUpdatedTime": order.updated,
        "programs": [],
        "salesChannel": {
            "channelName": "AMAZON",
            "marketplaceId": marketplace.id,
            "marketplaceName": marketplace.name(),
        },
        "orderItems": [{
            "orderItemId": order.item_id,
            "quantityOrdered": 1,
            "product": {
                "asin": order.item.asin,
                "title": order.item.title,
                "sellerSku": order.item.sku,
                "price": { "unitPrice": money },
            },
        }],
    });
    let extra = |name: &str| match name {
        "BUYER" => Some((
            "buyer",
            json!({
                "buyerName": order.buyer,
                "buyerEmail": format!("{}@buyers.invalid", order.item_id),
            }),
        )),
        "RECIPIENT" => Some((
            "recipient",
            json!({
                "deliveryAddress": {
                    "name": order.buyer,
                    "addressLine1": format!("{} Made-up Street", order.item_id),
                    "city": "Nowhere",
                    "postalCode": "00000",
                    "countryCode": marketplace.country,
                },
            }),
        )),
        "PROCEEDS" => Some(("proceeds", json!({ "grandTotal": money }))),
        "FULFILLMENT" => Some((
            "fulfillment",
            json!({
                "fulfillmentStatus": if order.shipped { "SHIPPED" } else { "UNSHIPPED" },
                "fulfilledBy": "MERCHANT",
            }),
        )),
        _ => None,
    };
    for (field, value) in included.iter().filter_map(|name| extra(name)) {
        body[field] = value;
    }
    body
}
