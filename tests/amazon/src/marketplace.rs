//! The 23 marketplaces and the three regions.

use serde::{Deserialize, Serialize};

/// A region of the Selling Partner API, each with a host of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Region {
    /// North America and Brazil.
    #[default]
    NA,
    /// Europe, Middle East, India, South Africa.
    EU,
    /// Japan, Australia, Singapore.
    FE,
}

impl Region {
    /// The region whose production host this is; a port is ignored. `None` for any other host.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        [
            ("sellingpartnerapi-na.amazon.com", Self::NA),
            ("sellingpartnerapi-eu.amazon.com", Self::EU),
            ("sellingpartnerapi-fe.amazon.com", Self::FE),
        ]
        .into_iter()
        .find_map(|(known, region)| name.eq_ignore_ascii_case(known).then_some(region))
    }
}

/// What getMarketplaceParticipations tells of a marketplace.
#[derive(Debug, PartialEq, Eq)]
pub struct Marketplace {
    /// Amazon's id, such as `ATVPDKIKX0DER`.
    pub id: &'static str,
    /// ISO 3166-1 alpha-2, so `GB` where Amazon's documentation says UK.
    pub country: &'static str,
    /// The region whose host serves it.
    pub region: Region,
    /// Domain of the shop, without `www.`.
    pub domain: &'static str,
    /// ISO 4217.
    pub currency: &'static str,
    /// Language and country, such as `en_US`.
    pub language: &'static str,
}

impl Marketplace {
    /// The marketplace with this id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        MARKETPLACES.iter().find(|known| known.id == id)
    }

    /// The shop's name, such as `Amazon.com.mx`.
    #[must_use]
    pub fn name(&self) -> String {
        self.domain.replacen('a', "A", 1)
    }
}

const fn marketplace(
    id: &'static str,
    country: &'static str,
    region: Region,
    domain: &'static str,
    currency: &'static str,
    language: &'static str,
) -> Marketplace {
    Marketplace { id, country, region, domain, currency, language }
}

/// All of them, NA first. The position is part of every made-up order id ([`crate::order_id`]), so new ones go last.
#[rustfmt::skip]
pub const MARKETPLACES: [Marketplace; 23] = [
    marketplace("ATVPDKIKX0DER",  "US", Region::NA, "amazon.com",    "USD", "en_US"),
    marketplace("A2EUQ1WTGCTBG2", "CA", Region::NA, "amazon.ca",     "CAD", "en_CA"),
    marketplace("A1AM78C64UM0Y8", "MX", Region::NA, "amazon.com.mx", "MXN", "es_MX"),
    marketplace("A2Q3Y263D00KWC", "BR", Region::NA, "amazon.com.br", "BRL", "pt_BR"),
    marketplace("A28R8C7NBKEWEA", "IE", Region::EU, "amazon.ie",     "EUR", "en_IE"),
    marketplace("A1RKKUPIHCS9HS", "ES", Region::EU, "amazon.es",     "EUR", "es_ES"),
    marketplace("A1F83G8C2ARO7P", "GB", Region::EU, "amazon.co.uk",  "GBP", "en_GB"),
    marketplace("A13V1IB3VIYZZH", "FR", Region::EU, "amazon.fr",     "EUR", "fr_FR"),
    marketplace("AMEN7PMS3EDWL",  "BE", Region::EU, "amazon.com.be", "EUR", "fr_BE"),
    marketplace("A1805IZSGTT6HS", "NL", Region::EU, "amazon.nl",     "EUR", "nl_NL"),
    marketplace("A1PA6795UKMFR9", "DE", Region::EU, "amazon.de",     "EUR", "de_DE"),
    marketplace("APJ6JRA9NG5V4",  "IT", Region::EU, "amazon.it",     "EUR", "it_IT"),
    marketplace("A2NODRKZP88ZB9", "SE", Region::EU, "amazon.se",     "SEK", "sv_SE"),
    marketplace("AE08WJ6YKNBMC",  "ZA", Region::EU, "amazon.co.za",  "ZAR", "en_ZA"),
    marketplace("A1C3SOZRARQ6R3", "PL", Region::EU, "amazon.pl",     "PLN", "pl_PL"),
    marketplace("ARBP9OOSHTCHU",  "EG", Region::EU, "amazon.eg",     "EGP", "ar_EG"),
    marketplace("A33AVAJ2PDY3EV", "TR", Region::EU, "amazon.com.tr", "TRY", "tr_TR"),
    marketplace("A17E79C6D8DWNP", "SA", Region::EU, "amazon.sa",     "SAR", "ar_SA"),
    marketplace("A2VIGQ35RCS4UG", "AE", Region::EU, "amazon.ae",     "AED", "en_AE"),
    marketplace("A21TJRUUN4KGV",  "IN", Region::EU, "amazon.in",     "INR", "en_IN"),
    marketplace("A19VAU5U5O7RUS", "SG", Region::FE, "amazon.sg",     "SGD", "en_SG"),
    marketplace("A39IBJ37TRP1C6", "AU", Region::FE, "amazon.com.au", "AUD", "en_AU"),
    marketplace("A1VC38T7YXB528", "JP", Region::FE, "amazon.co.jp",  "JPY", "ja_JP"),
];
