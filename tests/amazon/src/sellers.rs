//! Sellers v1.

use crate::{operations::Asked, refusal::Refusal};
use serde_json::{Value, json};

/// getMarketplaceParticipations. Every inner field is required by the model; the seller's id is not among them, so the
/// store's name tells it.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all operations")]
pub(crate) fn participations(asked: &Asked<'_>) -> Result<Value, Refusal> {
    let entries: Vec<_> = asked
        .marketplaces
        .iter()
        .map(|marketplace| {
            json!({
                "marketplace": {
                    "id": marketplace.id,
                    "name": marketplace.name(),
                    "countryCode": marketplace.country,
                    "defaultCurrencyCode": marketplace.currency,
                    "defaultLanguageCode": marketplace.language,
                    "domainName": format!("www.{}", marketplace.domain),
                },
                "participation": {
                    "isParticipating": true,
                    "hasSuspendedListings": asked.seller.suspended.iter().any(|id| id == marketplace.id),
                },
                "storeName": format!("Store of {} in {}", asked.seller.seller_id, marketplace.country),
            })
        })
        .collect();
    Ok(json!({ "payload": entries }))
}
