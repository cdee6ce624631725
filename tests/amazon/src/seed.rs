//! Who exists: applications registered with Amazon, and sellers that authorized them.

use crate::marketplace::{Marketplace, Region};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// A text that must not show in logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Everything an emulator starts with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// Region served to a `Host` that is none of Amazon's own; NA unless said otherwise.
    #[serde(default)]
    pub region: Region,
    /// Registered applications.
    pub applications: Vec<Application>,
    /// Sellers, each with one authorization.
    pub sellers: Vec<Seller>,
}

/// An application registered with Amazon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// `amzn1.sp.solution.<uuid>`.
    pub application_id: String,
    /// LWA's client identifier, `amzn1.application-oa2-client.<32 hex>`; not secret.
    pub client_id: String,
    /// LWA's client secret.
    pub client_secret: Secret,
}

/// A seller, and the refresh token it once authorized an application with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seller {
    /// Amazon's merchant token, such as `A1EXAMPLE00001`.
    pub seller_id: String,
    /// LWA's refresh token: `Atzr`, a bar, and some 350 characters.
    pub refresh_token: Secret,
    /// The application authorized.
    pub client_id: String,
    /// The region the authorization is for.
    pub region: Region,
    /// Ids of the marketplaces taken part in, all of that region.
    pub marketplaces: Vec<String>,
    /// Those of them where listings are suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<String>,
}

/// Why a seed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Not YAML (or JSON), or not of this shape. What stood there is left out: it may be a secret.
    #[error("seed is not valid{}", place.map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default())]
    Parse {
        /// Line and column, when known.
        place: Option<(usize, usize)>,
    },
    /// It could not be written as YAML.
    #[error("could not write the seed as yaml")]
    Write(#[source] serde_yaml::Error),
    /// Two things that must differ are the same.
    #[error("{what} of {whose} is already taken")]
    Taken {
        /// The field.
        what: &'static str,
        /// The later owner.
        whose: String,
    },
    /// A seller authorized an application that is not in the seed.
    #[error("client id of seller {seller} belongs to no application")]
    NoApplication {
        /// The seller's id.
        seller: String,
    },
    /// A marketplace is unknown, of another region, or suspended without being taken part in.
    #[error("marketplace {marketplace} of seller {seller} is not one of its region")]
    Marketplace {
        /// The marketplace's id.
        marketplace: String,
        /// The seller's id.
        seller: String,
    },
    /// The operating system gives no random bytes.
    #[error("could not get random bytes")]
    Random(#[source] getrandom::Error),
}

impl Seed {
    /// Reads YAML; JSON is YAML too.
    ///
    /// # Errors
    /// When it is not of this shape or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        let seed: Self = serde_yaml::from_str(text)
            .map_err(|error| SeedError::Parse { place: error.location().map(|at| (at.line(), at.column())) })?;
        seed.check()?;
        Ok(seed)
    }

    /// Writes YAML, secrets included.
    ///
    /// # Errors
    /// Only when the YAML library fails.
    pub fn to_yaml(&self) -> Result<String, SeedError> {
        serde_yaml::to_string(self).map_err(SeedError::Write)
    }

    /// Says whether the seed contradicts itself.
    ///
    /// # Errors
    /// With the first contradiction.
    pub fn check(&self) -> Result<(), SeedError> {
        let mut taken = BTreeSet::new();
        let mut unique = |what: &'static str, value: &str, whose: &str| {
            let free = taken.insert((what, value.to_owned()));
            if free { Ok(()) } else { Err(SeedError::Taken { what, whose: whose.to_owned() }) }
        };
        for application in &self.applications {
            unique("client id", &application.client_id, &application.application_id)?;
            unique("application id", &application.application_id, &application.application_id)?;
        }
        for seller in &self.sellers {
            unique("seller id", &seller.seller_id, &seller.seller_id)?;
            unique("refresh token", seller.refresh_token.expose(), &seller.seller_id)?;
            if !self.applications.iter().any(|one| one.client_id == seller.client_id) {
                return Err(SeedError::NoApplication { seller: seller.seller_id.clone() });
            }
            for id in &seller.marketplaces {
                if Marketplace::find(id).is_none_or(|known| known.region != seller.region) {
                    return Err(seller.wrong_marketplace(id));
                }
            }
            for id in &seller.suspended {
                if !seller.marketplaces.contains(id) {
                    return Err(seller.wrong_marketplace(id));
                }
            }
        }
        Ok(())
    }

    /// One application and two NA sellers, the first in US, CA and MX, the second in US and CA, with secrets of Amazon's
    /// shapes made up on the spot.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn made_up() -> Result<Self, SeedError> {
        let client_id = format!("amzn1.application-oa2-client.{}", random_text(32, HEX)?);
        let application = Application {
            application_id: format!("amzn1.sp.solution.{}", uuid::Uuid::new_v4()),
            client_id: client_id.clone(),
            client_secret: client_secret()?,
        };
        let seller = |marketplaces: &[&str]| -> Result<Seller, SeedError> {
            Ok(Seller {
                seller_id: format!("A{}", random_text(13, CAPITALS)?),
                refresh_token: token("Atzr").map_err(SeedError::Random)?,
                client_id: client_id.clone(),
                region: Region::NA,
                marketplaces: marketplaces.iter().map(ToString::to_string).collect(),
                suspended: Vec::new(),
            })
        };
        let sellers = vec![
            seller(&["ATVPDKIKX0DER", "A2EUQ1WTGCTBG2", "A1AM78C64UM0Y8"])?,
            seller(&["ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"])?,
        ];
        Ok(Self { region: Region::NA, applications: vec![application], sellers })
    }
}

impl Seller {
    fn wrong_marketplace(&self, id: &str) -> SeedError {
        SeedError::Marketplace { marketplace: id.to_owned(), seller: self.seller_id.clone() }
    }
}

const HEX: &[u8] = b"0123456789abcdef";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
const URL_SAFE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A client secret of today's shape.
pub(crate) fn client_secret() -> Result<Secret, SeedError> {
    Ok(Secret(format!("amzn1.oa2-cs.v1.{}", random_text(64, HEX)?)))
}

/// `PREFIX|` and as many characters as make 353, the length seen on live access tokens; LWA promises at least 350.
pub(crate) fn token(prefix: &str) -> Result<Secret, getrandom::Error> {
    let text = random_characters(353 - prefix.len() - 1, URL_SAFE)?;
    Ok(Secret(format!("{prefix}|{text}")))
}

/// So many letters and digits of an alphabet of 32.
pub(crate) fn random_capitals(length: usize) -> Result<String, getrandom::Error> {
    random_characters(length, CAPITALS)
}

fn random_text(length: usize, alphabet: &[u8]) -> Result<String, SeedError> {
    random_characters(length, alphabet).map_err(SeedError::Random)
}

/// The alphabets' sizes divide 256, so the remainder is uniform.
fn random_characters(length: usize, alphabet: &[u8]) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}
