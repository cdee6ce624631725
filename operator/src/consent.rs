//! How a seller consents, and what becomes of it.

use amazon::{Marketplace, Region};
use crds::{AmazonApplication, AmazonConnection};

use crate::subject::reference;

/// Amazon's consent page for a connection: Seller Central of the first of its marketplaces that is known, else of the first
/// of its region; one consent covers the region (SP-API documentation, "Website authorization workflow"). An application in
/// draft needs `version=beta`.
pub(crate) fn link(connection: &AmazonConnection, application: &AmazonApplication, allow_endpoints: bool) -> String {
    let own = access::own_endpoints(application, allow_endpoints).ok().flatten();
    let host = match own.and_then(|own| own.consent.clone()) {
        Some(own) => own,
        None => format!("https://{}", seller_central(connection)),
    };
    let beta = if application.spec.draft { "&version=beta" } else { "" };
    format!("{host}/apps/authorize/consent?application_id={}{beta}", application.spec.application_id)
}

fn seller_central(connection: &AmazonConnection) -> &'static str {
    let region = match connection.spec.region {
        crds::Region::Na => Region::Na,
        crds::Region::Eu => Region::Eu,
        crds::Region::Fe => Region::Fe,
    };
    // The region's largest, where none is named that is known.
    let default = match region {
        Region::Na => "sellercentral.amazon.com",
        Region::Eu => "sellercentral-europe.amazon.com",
        Region::Fe => "sellercentral.amazon.co.jp",
    };
    let known = connection.spec.marketplace_ids.iter().find_map(|id| Marketplace::by_id(id));
    known.filter(|known| known.region == region).map_or(default, |known| known.seller_central)
}

/// The command that seals a new refresh token for a connection.
pub(crate) fn seal(connection: &AmazonConnection) -> String {
    format!("`openteam seal --for amazonconnection/{}`", reference(&connection.metadata))
}

/// What must be done for a new refresh token, in words.
pub(crate) fn how(
    connection: &AmazonConnection,
    application: Option<&AmazonApplication>,
    allow_endpoints: bool,
) -> String {
    let seal = seal(connection);
    match application {
        Some(application) => format!(
            "have the seller authorize the application again at {}, then seal the new refresh token with {seal}",
            link(connection, application, allow_endpoints)
        ),
        None => format!("have the seller authorize the application again, then seal the new refresh token with {seal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(region: crds::Region, marketplaces: &[&str]) -> AmazonConnection {
        let mut connection = AmazonConnection::new("na", Default::default());
        connection.metadata.namespace = Some("acme".into());
        connection.spec.region = region;
        connection.spec.marketplace_ids = marketplaces.iter().map(ToString::to_string).collect();
        connection
    }

    fn application(draft: bool) -> AmazonApplication {
        let mut application = AmazonApplication::new("app", Default::default());
        application.spec.application_id = "amzn1.sp.solution.1".into();
        application.spec.draft = draft;
        application
    }

    #[test]
    fn a_seller_consents_where_its_seller_central_is() {
        use crds::Region::{Eu, Fe, Na};
        for (region, marketplaces, host) in [
            (Na, &["A2EUQ1WTGCTBG2"][..], "sellercentral.amazon.ca"),
            (Na, &["A000000000", "A1AM78C64UM0Y8"], "sellercentral.amazon.com.mx"),
            (Na, &[], "sellercentral.amazon.com"),
            (Eu, &["A1PA6795UKMFR9"], "sellercentral-europe.amazon.com"),
            (Eu, &["A33AVAJ2PDY3EV"], "sellercentral.amazon.com.tr"),
            // Of another region it says nothing.
            (Eu, &["ATVPDKIKX0DER"], "sellercentral-europe.amazon.com"),
            (Fe, &["A000000000"], "sellercentral.amazon.co.jp"),
        ] {
            let link = link(&connection(region, marketplaces), &application(false), false);
            assert_eq!(link, format!("https://{host}/apps/authorize/consent?application_id=amzn1.sp.solution.1"));
        }
    }

    #[test]
    fn a_draft_says_so_and_an_own_address_counts_only_where_that_is_allowed() {
        let na = connection(crds::Region::Na, &["ATVPDKIKX0DER"]);
        assert!(link(&na, &application(true), false).ends_with("?application_id=amzn1.sp.solution.1&version=beta"));
        let mut elsewhere = application(false);
        let consent = Some("https://emulator.example".to_owned());
        elsewhere.spec.endpoints = Some(crds::Endpoints { consent, ..crds::Endpoints::default() });
        assert!(link(&na, &elsewhere, true).starts_with("https://emulator.example/apps/authorize/consent?"));
        assert!(link(&na, &elsewhere, false).starts_with("https://sellercentral.amazon.com/apps/"));
        assert!(how(&na, Some(&elsewhere), true).contains("openteam seal --for amazonconnection/acme/na"));
    }
}
