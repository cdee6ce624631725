//! Catalog Items 2022-04-01. Amazon's catalogue is everybody's; here each seller finds its own items only, so that an
//! answer tells which seller's token asked.

use crate::{
    goods::{self, Item},
    operations::Asked,
    refusal::Refusal,
};
use serde_json::{Value, json};

/// searchCatalogItems: by `identifiers` (ASIN or SKU) or by `keywords`, one of which must be there.
pub(crate) fn search(asked: &Asked<'_>) -> Result<Value, Refusal> {
    if asked.query.has("pageToken") {
        return Err(Refusal::invalid_input("pageToken is not valid."));
    }
    let identifiers = asked.query.list("identifiers");
    let keywords = asked.query.list("keywords");
    let identifier: fn(&Item) -> &str = match (identifiers.is_empty(), asked.query.list("identifiersType").as_slice()) {
        (true, _) => |item| &item.asin,
        (false, ["ASIN"]) => |item| &item.asin,
        (false, ["SKU"]) => |item| &item.sku,
        (false, _) => {
            return Err(Refusal::invalid_input("identifiersType is missing or not supported."));
        }
    };
    if identifiers.is_empty() == keywords.is_empty() {
        return Err(Refusal::invalid_input("Exactly one of identifiers and keywords is required."));
    }
    let found = |item: &Item| {
        let title = item.title.to_lowercase();
        identifiers.contains(&identifier(item)) || keywords.iter().any(|word| title.contains(&word.to_lowercase()))
    };
    let items = goods::items(asked);
    let bodies: Vec<_> = items.iter().filter(|item| found(item)).map(|item| body(asked, item)).collect();
    Ok(json!({
        "numberOfResults": bodies.len(),
        "pagination": {},
        "refinements": { "brands": [], "classifications": [] },
        "items": bodies,
    }))
}

/// getCatalogItem.
pub(crate) fn item(asked: &Asked<'_>) -> Result<Value, Refusal> {
    let items = goods::items(asked);
    let found = items.iter().find(|item| item.asin == asked.id).ok_or_else(|| {
        let ids: Vec<_> = asked.marketplaces.iter().map(|marketplace| marketplace.id).collect();
        Refusal::not_found(&format!("Requested item '{}' not found in marketplace(s) '{}'.", asked.id, ids.join(",")))
    })?;
    Ok(body(asked, found))
}

/// The item with the data sets asked for, `summaries` when none is; those we have nothing for are left out.
fn body(asked: &Asked<'_>, item: &Item) -> Value {
    let id = item.marketplace.id;
    let mut body = json!({ "asin": item.asin });
    let mut included = asked.query.list("includedData");
    if included.is_empty() {
        included.push("summaries");
    }
    for name in included {
        let value = match name {
            "summaries" => json!([{
                "marketplaceId": id,
                "itemName": item.title,
                "brand": asked.seller.seller_id,
                "itemClassification": "BASE_PRODUCT",
            }]),
            "identifiers" => json!([{
                "marketplaceId": id,
                "identifiers": [{ "identifierType": "SKU", "identifier": item.sku }],
            }]),
            "productTypes" => json!([{ "marketplaceId": id, "productType": "DRINKING_CUP" }]),
            _ => continue,
        };
        body[name] = value;
    }
    body
}
