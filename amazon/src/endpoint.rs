//! Where Amazon's APIs are, and the checked address of one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use url::Url;

use crate::Region;

/// Host of Login with Amazon. SP-API documents no other, in any region.
pub const LWA_HOST: &str = "api.amazon.com";
/// Path of its token endpoint. Amazon's own samples also write `O2`: whoever imitates it ignores the case.
pub const LWA_TOKEN_PATH: &str = "/auth/o2/token";
/// Its token endpoint.
pub const LWA_TOKEN_URL: &str = "https://api.amazon.com/auth/o2/token";

impl Region {
    /// Base address of the Selling Partner API, without a trailing slash.
    ///
    /// Source: SP-API documentation, "SP-API Endpoints".
    #[must_use]
    pub fn selling_partner_api(self, sandbox: bool) -> &'static str {
        match (self, sandbox) {
            (Self::Na, false) => "https://sellingpartnerapi-na.amazon.com",
            (Self::Eu, false) => "https://sellingpartnerapi-eu.amazon.com",
            (Self::Fe, false) => "https://sellingpartnerapi-fe.amazon.com",
            (Self::Na, true) => "https://sandbox.sellingpartnerapi-na.amazon.com",
            (Self::Eu, true) => "https://sandbox.sellingpartnerapi-eu.amazon.com",
            (Self::Fe, true) => "https://sandbox.sellingpartnerapi-fe.amazon.com",
        }
    }
}

/// An address a secret may be sent to: https, a host, no user name, no query, no fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The address as text; of one without a path it ends in `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host, with the port if it is not 443.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The parsed address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// This endpoint's own path, unless it has none: then `path`.
    #[must_use]
    pub fn or_path(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        if url.path() == "/" {
            url.set_path(path);
        }
        url
    }

    /// The address of `path` (starting with `/`) below this endpoint.
    #[must_use]
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotAnAddress)?;
        if url.scheme() != "https" {
            Err(EndpointError::NotHttps)
        } else if !url.username().is_empty() || url.password().is_some() {
            Err(EndpointError::UserInfo)
        } else if url.query().is_some() || url.fragment().is_some() {
            Err(EndpointError::Query)
        } else {
            Ok(Self(url))
        }
    }
}

/// Why a text is no [`Endpoint`]. The text is not repeated: with a user name in it, it could hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Not an absolute address.
    #[error("endpoint is not an absolute address")]
    NotAnAddress,
    /// Another scheme than https.
    #[error("endpoint is not https")]
    NotHttps,
    /// A user name or password before the host.
    #[error("endpoint has a user name or password")]
    UserInfo,
    /// A query or a fragment.
    #[error("endpoint has a query or a fragment")]
    Query,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_own_endpoints_are_endpoints() {
        for region in Region::ALL {
            for sandbox in [false, true] {
                let text = region.selling_partner_api(sandbox);
                let endpoint: Endpoint = text.parse().unwrap();
                assert_eq!(endpoint.as_str(), format!("{text}/"));
                assert_eq!(text.contains("//sandbox."), sandbox);
                assert!(text.contains(&region.as_str().to_lowercase()));
            }
        }
        let lwa: Endpoint = LWA_TOKEN_URL.parse().unwrap();
        assert_eq!(lwa.authority(), LWA_HOST);
        assert_eq!(lwa.or_path("/other").as_str(), LWA_TOKEN_URL);
    }

    #[test]
    fn a_path_is_put_below_the_base_or_taken_where_there_is_none() {
        let bare: Endpoint = "https://lwa.example:8443".parse().unwrap();
        assert_eq!(bare.or_path(LWA_TOKEN_PATH).as_str(), "https://lwa.example:8443/auth/o2/token");
        let based: Endpoint = "https://api.example/base/".parse().unwrap();
        assert_eq!(based.below("/sellers/v1").as_str(), "https://api.example/base/sellers/v1");
    }

    #[test]
    fn what_a_secret_must_not_be_sent_to_is_refused() {
        for (text, error) in [
            ("", EndpointError::NotAnAddress),
            ("api.amazon.com", EndpointError::NotAnAddress),
            ("/auth/o2/token", EndpointError::NotAnAddress),
            ("https://", EndpointError::NotAnAddress),
            ("http://api.amazon.com", EndpointError::NotHttps),
            ("http://127.0.0.1:8080", EndpointError::NotHttps),
            ("file:///etc/hosts", EndpointError::NotHttps),
            ("https://me@api.amazon.com", EndpointError::UserInfo),
            ("https://me:pw@api.amazon.com", EndpointError::UserInfo),
            ("https://api.amazon.com/?x=1", EndpointError::Query),
            ("https://api.amazon.com/#x", EndpointError::Query),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
