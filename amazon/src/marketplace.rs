//! Marketplaces and the regions they are served from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A selling region; each has its own regional endpoint, and a seller's consent covers exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Region {
    /// North America: Canada, United States, Mexico, Brazil.
    Na,
    /// Europe, Middle East, Africa and India.
    Eu,
    /// Far East: Singapore, Australia, Japan.
    Fe,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 3] = [Self::Na, Self::Eu, Self::Fe];

    /// The name as written in objects and documents: `NA`, `EU` or `FE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Na => "NA",
            Self::Eu => "EU",
            Self::Fe => "FE",
        }
    }

    /// The marketplaces known to belong to this region.
    pub fn marketplaces(self) -> impl Iterator<Item = &'static Marketplace> {
        MARKETPLACES.iter().filter(move |m| m.region == self)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|region| region.as_str() == text).ok_or(UnknownRegion)
    }
}

/// The text names no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("region is none of NA, EU, FE")]
pub struct UnknownRegion;

/// A marketplace's id, such as `ATVPDKIKX0DER`: an `A`, then 9 to 19 capital letters or digits.
///
/// Deliberately not an enum of the known ones: sellers also take part in others (non-Amazon channels), and Amazon adds more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarketplaceId(String);

impl MarketplaceId {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is known about it, if it is one of [`MARKETPLACES`].
    #[must_use]
    pub fn known(&self) -> Option<&'static Marketplace> {
        Marketplace::by_id(&self.0)
    }
}

impl fmt::Display for MarketplaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for MarketplaceId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for MarketplaceId {
    type Err = InvalidMarketplaceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for MarketplaceId {
    type Error = InvalidMarketplaceId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rest = text.strip_prefix('A').ok_or(InvalidMarketplaceId)?;
        let fits = (9..=19).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if fits { Ok(Self(text)) } else { Err(InvalidMarketplaceId) }
    }
}

impl From<MarketplaceId> for String {
    fn from(id: MarketplaceId) -> Self {
        id.0
    }
}

/// The text has not the form of a marketplace id. It is not repeated here: it came from outside and may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("marketplace id is not an A followed by 9 to 19 capital letters or digits")]
pub struct InvalidMarketplaceId;

/// One of Amazon's own marketplaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marketplace {
    /// Two letters as Amazon's documentation writes them (`UK`, where the API itself says `GB`).
    pub country: &'static str,
    /// The marketplace id.
    pub id: &'static str,
    /// Where its API is served.
    pub region: Region,
    /// Host of its Seller Central, where a seller's consent page is (`/apps/authorize/consent`).
    pub seller_central: &'static str,
}

impl Marketplace {
    /// The marketplace with this id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        MARKETPLACES.iter().find(|m| m.id == id)
    }

    /// The marketplace of this country, in capitals; the United Kingdom is both `UK` and `GB`.
    #[must_use]
    pub fn by_country(code: &str) -> Option<&'static Self> {
        let code = if code == "GB" { "UK" } else { code };
        MARKETPLACES.iter().find(|m| m.country == code)
    }

    /// Its id as the checked type.
    #[must_use]
    pub fn marketplace_id(&self) -> MarketplaceId {
        MarketplaceId(self.id.to_owned())
    }
}

const fn row(country: &'static str, id: &'static str, region: Region, seller_central: &'static str) -> Marketplace {
    Marketplace { country, id, region, seller_central }
}

/// Amazon's marketplaces. Ids and regions: SP-API documentation, "Marketplace IDs"; hosts: its consent samples.
pub const MARKETPLACES: [Marketplace; 23] = {
    use Region::{Eu, Fe, Na};
    const EUROPE: &str = "sellercentral-europe.amazon.com";
    [
        row("CA", "A2EUQ1WTGCTBG2", Na, "sellercentral.amazon.ca"),
        row("US", "ATVPDKIKX0DER", Na, "sellercentral.amazon.com"),
        row("MX", "A1AM78C64UM0Y8", Na, "sellercentral.amazon.com.mx"),
        row("BR", "A2Q3Y263D00KWC", Na, "sellercentral.amazon.com.br"),
        row("IE", "A28R8C7NBKEWEA", Eu, "sellercentral.amazon.ie"),
        row("ES", "A1RKKUPIHCS9HS", Eu, EUROPE),
        row("UK", "A1F83G8C2ARO7P", Eu, EUROPE),
        row("FR", "A13V1IB3VIYZZH", Eu, EUROPE),
        row("BE", "AMEN7PMS3EDWL", Eu, "sellercentral.amazon.com.be"),
        row("NL", "A1805IZSGTT6HS", Eu, "sellercentral.amazon.nl"),
        row("DE", "A1PA6795UKMFR9", Eu, EUROPE),
        row("IT", "APJ6JRA9NG5V4", Eu, EUROPE),
        row("SE", "A2NODRKZP88ZB9", Eu, "sellercentral.amazon.se"),
        row("ZA", "AE08WJ6YKNBMC", Eu, "sellercentral.amazon.co.za"),
        row("PL", "A1C3SOZRARQ6R3", Eu, "sellercentral.amazon.pl"),
        row("EG", "ARBP9OOSHTCHU", Eu, "sellercentral.amazon.eg"),
        row("TR", "A33AVAJ2PDY3EV", Eu, "sellercentral.amazon.com.tr"),
        row("SA", "A17E79C6D8DWNP", Eu, "sellercentral.amazon.sa"),
        row("AE", "A2VIGQ35RCS4UG", Eu, "sellercentral.amazon.ae"),
        row("IN", "A21TJRUUN4KGV", Eu, "sellercentral.amazon.in"),
        row("SG", "A19VAU5U5O7RUS", Fe, "sellercentral.amazon.sg"),
        row("AU", "A39IBJ37TRP1C6", Fe, "sellercentral.amazon.com.au"),
        row("JP", "A1VC38T7YXB528", Fe, "sellercentral.amazon.co.jp"),
    ]
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_a_valid_id_and_none_repeats() {
        let ids: BTreeSet<_> = MARKETPLACES.iter().map(|m| MarketplaceId::from_str(m.id).unwrap()).collect();
        let countries: BTreeSet<_> = MARKETPLACES.iter().map(|m| m.country).collect();
        assert_eq!((ids.len(), countries.len()), (23, 23));
        let per_region = Region::ALL.map(|region| region.marketplaces().count());
        assert_eq!(per_region, [4, 16, 3]);
    }

    #[test]
    fn the_united_kingdom_has_two_codes() {
        let uk = Marketplace::by_country("UK").unwrap();
        assert_eq!(Marketplace::by_country("GB"), Some(uk));
        assert_eq!(Marketplace::by_id(uk.id), Some(uk));
        assert_eq!(Marketplace::by_country("uk"), None);
        assert_eq!(Marketplace::by_country(""), None);
    }

    #[test]
    fn ids_outside_the_table_are_valid_but_not_known() {
        let id = MarketplaceId::from_str("A38D8NSA03LJTC").unwrap();
        assert_eq!(id.known(), None);
    }

    #[test]
    fn texts_that_are_no_id_are_refused() {
        for text in [
            "",
            "A",
            "A12345678",
            "A12345678901234567890",
            "BTVPDKIKX0DER",
            "atvpdkikx0der",
            "ATVPDKIKX0DER ",
            " ATVPDKIKX0DER",
            "ATVPDKIKX0DER,A2EUQ1WTGCTBG2",
            "ATVPDKIKX0DÉR",
            "ATVPDKIKX0DER\n",
        ] {
            assert_eq!(text.parse::<MarketplaceId>(), Err(InvalidMarketplaceId), "{text:?}");
        }
        assert!(serde_json::from_str::<MarketplaceId>("\"us\"").is_err());
    }

    #[test]
    fn regions_read_back_as_written_and_nothing_else_does() {
        for region in Region::ALL {
            assert_eq!(region.to_string().parse(), Ok(region));
            assert_eq!(serde_json::to_string(&region).unwrap(), format!("\"{region}\""));
        }
        for text in ["na", "US", "", "NA ", "EU,NA"] {
            assert_eq!(text.parse::<Region>(), Err(UnknownRegion));
        }
    }
}
