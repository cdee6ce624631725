//! Orders v0. Without a restricted data token it tells nothing of the buyer, and this emulator takes none.

use crate::{
    goods::{self, Order, Window, WindowNames},
    operations::Asked,
    refusal::Refusal,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

const WINDOW: WindowNames =
    WindowNames { created: ["CreatedAfter", "CreatedBefore"], updated: ["LastUpdatedAfter", "LastUpdatedBefore"] };

/// getOrders. Filters other than marketplace, time and order id are ignored.
pub(crate) fn orders(asked: &Asked<'_>) -> Result<Value, Refusal> {
    if asked.query.has("NextToken") {
        return Err(Refusal::invalid_input("NextToken is not valid."));
    }
    let ids = asked.query.list("AmazonOrderIds");
    let (window, bound) = if ids.is_empty() {
        let window = Window::read(&asked.query, &WINDOW)?;
        let bound = if window.by_update { "LastUpdatedBefore" } else { "CreatedBefore" };
        (window, bound)
    } else {
        (Window::default(), "CreatedBefore")
    };
    let found = goods::orders(asked)
        .into_iter()
        .filter(|order| window.holds(order) && (ids.is_empty() || ids.contains(&order.id.as_str())));
    let until = asked.now.saturating_sub(SignedDuration::from_mins(2)).unwrap_or(asked.now);
    Ok(json!({ "payload": { "Orders": found.map(|order| body(&order)).collect::<Vec<_>>(), bound: until } }))
}

/// getOrder.
pub(crate) fn order(asked: &Asked<'_>) -> Result<Value, Refusal> {
    Ok(json!({ "payload": body(&goods::order_by_path(asked)?) }))
}

/// getOrderItems.
pub(crate) fn items(asked: &Asked<'_>) -> Result<Value, Refusal> {
    let order = goods::order_by_path(asked)?;
    let item = json!({
        "ASIN": order.item.asin,
        "SellerSKU": order.item.sku,
        "OrderItemId": order.item_id,
        "Title": order.item.title,
        "QuantityOrdered": 1,
        "QuantityShipped": u8::from(order.shipped),
        "ProductInfo": { "NumberOfItems": "1" },
        "ItemPrice": money(&order),
        "ConditionId": "New",
        "IsGift": "false",
        "IsTransparency": false,
    });
    Ok(json!({ "payload": { "AmazonOrderId": order.id, "OrderItems": [item] } }))
}

fn body(order: &Order) -> Value {
    json!({
        "AmazonOrderId": order.id,
        "SellerOrderId": order.seller_order_id,
        "PurchaseDate": order.created,
        "LastUpdateDate": order.updated,
        "OrderStatus": if order.shipped { "Shipped" } else { "Unshipped" },
        "FulfillmentChannel": "MFN",
        "SalesChannel": order.marketplace().name(),
        "ShipServiceLevel": "Std",
        "OrderTotal": money(order),
        "NumberOfItemsShipped": u8::from(order.shipped),
        "NumberOfItemsUnshipped": u8::from(!order.shipped),
        "PaymentMethod": "Other",
        "PaymentMethodDetails": ["Standard"],
        "MarketplaceId": order.marketplace().id,
        "ShipmentServiceLevelCategory": "Standard",
        "OrderType": "StandardOrder",
        "IsBusinessOrder": false,
        "IsPrime": false,
        "IsPremiumOrder": false,
        "IsGlobalExpressEnabled": false,
        "IsReplacementOrder": false,
        "IsSoldByAB": false,
        "IsISPU": false,
        "IsAccessPointOrder": false,
        "HasRegulatedItems": false,
    })
}

fn money(order: &Order) -> Value {
    json!({ "CurrencyCode": order.marketplace().currency, "Amount": order.item.price })
}
