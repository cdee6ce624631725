//! What the sellers sold: made up from seller and marketplace alone, so that wherever a piece of it turns up it tells
//! whose it is.

use crate::{
    marketplace::{MARKETPLACES, Marketplace},
    operations::Asked,
    query::Query,
    refusal::Refusal,
};
use jiff::{SignedDuration, Timestamp};

/// Orders each seller has in each of its marketplaces.
const ORDERS: u32 = 3;

/// Items each seller offers in each of its marketplaces.
const ITEMS: u32 = 2;

/// An order id in Amazon's 3-7-7 form: 101 and the marketplace's position in [`MARKETPLACES`], the seller's number in the
/// seed (from 1), the order's number (1 to 3). `102-0000001-0000003` is the first seller's third order in Canada.
#[must_use]
pub fn order_id(seller_number: usize, marketplace: &Marketplace, order: u32) -> String {
    let position = MARKETPLACES.iter().position(|known| known == marketplace).unwrap_or_default();
    format!("{}-{seller_number:07}-{order:07}", 101 + position)
}

/// An ASIN of ten characters: `B0`, the marketplace's country, the seller's number in the seed (from 1), the item's number
/// (1 or 2). `B0CA001002` is the first seller's second item in Canada.
#[must_use]
pub fn asin(seller_number: usize, marketplace: &Marketplace, item: u32) -> String {
    format!("B0{}{seller_number:03}{item:03}", marketplace.country)
}

/// An item for sale.
pub(crate) struct Item {
    pub(crate) marketplace: &'static Marketplace,
    pub(crate) asin: String,
    pub(crate) sku: String,
    pub(crate) title: String,
    pub(crate) price: String,
}

impl Item {
    fn new(asked: &Asked<'_>, marketplace: &'static Marketplace, number: u32) -> Self {
        let (seller, country) = (&asked.seller.seller_id, marketplace.country);
        Self {
            marketplace,
            asin: asin(asked.seller_number, marketplace, number),
            sku: format!("{seller}-{country}-{number}"),
            title: format!("Mug {number} of seller {seller} in marketplace {country} {}", marketplace.id),
            price: format!("{}.50", 10 + number),
        }
    }
}

/// The seller's items in the marketplaces asked for.
pub(crate) fn items(asked: &Asked<'_>) -> Vec<Item> {
    let in_one = |marketplace| (1..=ITEMS).map(move |number| Item::new(asked, marketplace, number));
    asked.marketplaces.iter().copied().flat_map(in_one).collect()
}

/// An order of one item.
pub(crate) struct Order {
    pub(crate) id: String,
    /// The seller's own name for it.
    pub(crate) seller_order_id: String,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) shipped: bool,
    pub(crate) item_id: String,
    pub(crate) item: Item,
    /// Made up, and shown only where Amazon shows it.
    pub(crate) buyer: String,
}

impl Order {
    pub(crate) fn marketplace(&self) -> &'static Marketplace {
        self.item.marketplace
    }

    fn new(asked: &Asked<'_>, marketplace: &'static Marketplace, number: u32) -> Self {
        let (seller, country) = (&asked.seller.seller_id, marketplace.country);
        let before = |hours: u32| {
            let by = SignedDuration::from_hours(hours.into());
            asked.started.checked_sub(by).unwrap_or(asked.started)
        };
        let id = order_id(asked.seller_number, marketplace, number);
        Self {
            seller_order_id: format!("{seller}-{country}-{number}"),
            created: before(6 * number),
            updated: before(6 * number - 1),
            shipped: number > 1,
            item_id: id.replace('-', ""),
            item: Item::new(asked, marketplace, (number - 1) % ITEMS + 1),
            buyer: format!("Buyer of order {number} from {seller} in {country}"),
            id,
        }
    }
}

/// The seller's orders in the marketplaces asked for.
pub(crate) fn orders(asked: &Asked<'_>) -> Vec<Order> {
    let in_one = |marketplace| (1..=ORDERS).map(move |number| Order::new(asked, marketplace, number));
    asked.marketplaces.iter().copied().flat_map(in_one).collect()
}

/// The order the path names.
pub(crate) fn order_by_path(asked: &Asked<'_>) -> Result<Order, Refusal> {
    let lengths: Vec<_> = asked.id.split('-').map(str::len).collect();
    if lengths != [3, 7, 7] || !asked.id.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) {
        return Err(Refusal::invalid_input("orderId is not an order identifier in 3-7-7 format."));
    }
    let not_found = || Refusal::not_found("The requested order does not exist.");
    orders(asked).into_iter().find(|order| order.id == asked.id).ok_or_else(not_found)
}

/// Names of the four time parameters, which the two versions of Orders spell differently.
pub(crate) struct WindowNames {
    pub(crate) created: [&'static str; 2],
    pub(crate) updated: [&'static str; 2],
}

/// Which times are asked for: one of created and updated, from and until.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) by_update: bool,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Window {
    /// Exactly one of created-after and updated-after must be there, and no bound of the other kind.
    pub(crate) fn read(query: &Query, names: &WindowNames) -> Result<Self, Refusal> {
        let [created, updated] = [names.created[0], names.updated[0]];
        let by_update = match (query.has(created), query.has(updated)) {
            (true, false) => false,
            (false, true) => true,
            _ => {
                return Err(Refusal::invalid_input(&format!("Exactly one of {created} and {updated} is required.")));
            }
        };
        let ([after, before], others) =
            if by_update { (names.updated, names.created) } else { (names.created, names.updated) };
        if let Some(other) = others.into_iter().find(|other| query.has(other)) {
            return Err(Refusal::invalid_input(&format!("{other} cannot be set together with {after}.")));
        }
        Ok(Self { by_update, after: query.time(after)?, before: query.time(before)? })
    }

    pub(crate) fn holds(&self, order: &Order) -> bool {
        let time = if self.by_update { order.updated } else { order.created };
        self.after.is_none_or(|after| after <= time) && self.before.is_none_or(|before| time <= before)
    }
}
