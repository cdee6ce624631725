//! Where Amazon is for a connection.

use amazon::{Endpoint, LWA_TOKEN_URL};
use crds::{AmazonApplication, AmazonConnectionSpec, Endpoints, Region};

/// The addresses a connection's calls go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Login with Amazon's token endpoint.
    pub lwa: Endpoint,
    /// The regional SP-API.
    pub selling_partner_api: Endpoint,
    /// PEM of the authorities to trust instead of the system's.
    pub ca_bundle: Option<String>,
}

/// Why a connection has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// The application names its own, and this process was not started to believe that.
    #[error("spec.endpoints names other addresses than Amazon's, and OpenTeam runs without --allow-endpoints")]
    NotAllowed,
    /// One of them is no address for a secret.
    #[error("spec.endpoints.{field} cannot be used: {why}")]
    Unusable {
        /// The field.
        field: &'static str,
        /// Why.
        why: amazon::EndpointError,
    },
}

impl EndpointFault {
    /// The reason in conditions.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed => "EndpointNotAllowed",
            Self::Unusable { .. } => "EndpointUnusable",
        }
    }
}

/// An application's own endpoints, where it has any and they are allowed.
///
/// # Errors
/// It has some, and they are not.
pub fn own_endpoints(application: &AmazonApplication, allowed: bool) -> Result<Option<&Endpoints>, EndpointFault> {
    match &application.spec.endpoints {
        Some(own) if *own != Endpoints::default() && !allowed => Err(EndpointFault::NotAllowed),
        own => Ok(own.as_ref()),
    }
}

/// Amazon's region of a connection's.
#[must_use]
pub const fn amazon_region(region: Region) -> amazon::Region {
    match region {
        Region::Na => amazon::Region::Na,
        Region::Eu => amazon::Region::Eu,
        Region::Fe => amazon::Region::Fe,
    }
}

/// The addresses of a connection: Amazon's by region and sandbox, or the application's own.
///
/// # Errors
/// [`EndpointFault`], in words for the owner of the application.
pub fn addresses(
    connection: &AmazonConnectionSpec,
    application: &AmazonApplication,
    allowed: bool,
) -> Result<Addresses, EndpointFault> {
    let own = own_endpoints(application, allowed)?;
    let region = amazon_region(connection.region);
    let parse = |field, own: Option<&String>, default: &str| {
        own.map_or(default, String::as_str).parse().map_err(|why| EndpointFault::Unusable { field, why })
    };
    Ok(Addresses {
        lwa: parse("lwa", own.and_then(|own| own.lwa.as_ref()), LWA_TOKEN_URL)?,
        selling_partner_api: parse(
            "sellingPartnerApi",
            own.and_then(|own| own.selling_partner_api.as_ref()),
            region.selling_partner_api(connection.sandbox),
        )?,
        ca_bundle: own.and_then(|own| own.ca_bundle.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(endpoints: Option<Endpoints>) -> AmazonApplication {
        let mut application = AmazonApplication::default();
        application.spec.endpoints = endpoints;
        application
    }

    fn own_api(address: &str) -> AmazonApplication {
        application(Some(Endpoints { selling_partner_api: Some(address.to_owned()), ..Endpoints::default() }))
    }

    #[test]
    fn amazons_addresses_follow_region_and_sandbox() {
        for (region, sandbox, host) in [
            (Region::Na, false, "sellingpartnerapi-na.amazon.com"),
            (Region::Eu, false, "sellingpartnerapi-eu.amazon.com"),
            (Region::Fe, true, "sandbox.sellingpartnerapi-fe.amazon.com"),
        ] {
            let spec = AmazonConnectionSpec { region, sandbox, ..AmazonConnectionSpec::default() };
            let found = addresses(&spec, &application(None), false).unwrap();
            assert_eq!(found.selling_partner_api.authority(), host);
            assert_eq!(found.lwa.authority(), "api.amazon.com");
            assert_eq!(found.ca_bundle, None);
        }
    }

    #[test]
    fn an_applications_own_addresses_need_the_processes_permission() {
        let spec = AmazonConnectionSpec::default();
        let own = own_api("https://amazon.example:8443");
        assert_eq!(addresses(&spec, &own, false), Err(EndpointFault::NotAllowed));
        let found = addresses(&spec, &own, true).unwrap();
        assert_eq!(found.selling_partner_api.authority(), "amazon.example:8443");
        assert_eq!(found.lwa.authority(), "api.amazon.com", "what it does not name is Amazon's");
        let bundle = Endpoints { ca_bundle: Some("pem".to_owned()), ..Endpoints::default() };
        assert_eq!(addresses(&spec, &application(Some(bundle)), false), Err(EndpointFault::NotAllowed));
        assert!(addresses(&spec, &application(Some(Endpoints::default())), false).is_ok(), "an empty one names none");
    }

    #[test]
    fn no_secret_is_sent_to_an_address_that_is_not_https() {
        let spec = AmazonConnectionSpec::default();
        for address in ["http://amazon.example", "https://me:pw@amazon.example", "amazon.example", ""] {
            let fault = addresses(&spec, &own_api(address), true).unwrap_err();
            assert_eq!(fault.reason(), "EndpointUnusable", "{address}");
            assert!(fault.to_string().contains("sellingPartnerApi"), "{fault}");
        }
    }
}
