//! Marketplaces as people know them: a flag and a country.

/// A marketplace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marketplace {
    /// Amazon's id, such as `ATVPDKIKX0DER`.
    pub id: String,
    /// Two letters of its country, `UK` or `GB` for the United Kingdom; empty if not known.
    pub country: String,
}

impl Marketplace {
    /// A marketplace of a country.
    #[must_use]
    pub fn new(id: impl Into<String>, country: impl Into<String>) -> Self {
        Self { id: id.into(), country: country.into() }
    }

    /// The country's flag, of regional indicators (Unicode, UTS 51); a globe if the country is not known.
    #[must_use]
    pub fn flag(&self) -> String {
        let code = if self.country == "UK" { "GB" } else { self.country.as_str() };
        let letter = |byte: u8| char::from_u32(0x1F1E6 + u32::from(byte.checked_sub(b'A')?)).filter(|_| byte <= b'Z');
        match code.as_bytes() {
            &[a, b] => letter(a).zip(letter(b)).map_or_else(globe, |(a, b)| [a, b].iter().collect()),
            _ => globe(),
        }
    }

    /// The country's name; the code or the id where it has none here.
    #[must_use]
    pub fn name(&self) -> &str {
        let known = NAMES.iter().find(|(code, _)| *code == self.country);
        match known {
            Some((_, name)) => name,
            None if self.country.is_empty() => "Other marketplace",
            None => &self.country,
        }
    }
}

fn globe() -> String {
    "\u{1F310}".to_owned()
}

/// The countries of Amazon's marketplaces.
const NAMES: [(&str, &str); 24] = [
    ("AE", "United Arab Emirates"),
    ("AU", "Australia"),
    ("BE", "Belgium"),
    ("BR", "Brazil"),
    ("CA", "Canada"),
    ("DE", "Germany"),
    ("EG", "Egypt"),
    ("ES", "Spain"),
    ("FR", "France"),
    ("GB", "United Kingdom"),
    ("IE", "Ireland"),
    ("IN", "India"),
    ("IT", "Italy"),
    ("JP", "Japan"),
    ("MX", "Mexico"),
    ("NL", "Netherlands"),
    ("PL", "Poland"),
    ("SA", "Saudi Arabia"),
    ("SE", "Sweden"),
    ("SG", "Singapore"),
    ("TR", "Türkiye"),
    ("UK", "United Kingdom"),
    ("US", "United States"),
    ("ZA", "South Africa"),
];

#[cfg(test)]
mod tests {
    use amazon::MARKETPLACES;

    use super::*;

    #[test]
    fn every_marketplace_of_amazons_has_a_name_and_a_flag() {
        for known in MARKETPLACES {
            let shown = Marketplace::new(known.id, known.country);
            assert_ne!(shown.name(), known.country);
            assert_ne!(shown.flag(), globe());
        }
    }

    #[test]
    fn a_country_nobody_knows_is_a_globe() {
        for country in ["", "U", "USA", "u$", "üß", "1Z"] {
            assert_eq!(Marketplace::new("A38D8NSA03LJTC", country).flag(), globe());
        }
        assert_eq!(Marketplace::new("A38D8NSA03LJTC", "").name(), "Other marketplace");
        assert_eq!(Marketplace::new("A1F83G8C2ARO7P", "UK").flag(), Marketplace::new("A1F83G8C2ARO7P", "GB").flag());
    }
}
