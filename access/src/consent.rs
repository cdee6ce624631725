//! Where a seller consents, and whether one has already.

use amazon::{Marketplace, Region};
use crds::{
    AmazonApplication, AmazonConnection, AmazonConnectionSpec, NamespacedReference,
    condition::{AUTHORIZED, is_true},
};

use crate::{
    Index,
    endpoint::{amazon_region, own_endpoints},
};

/// Amazon's consent page for a connection: Seller Central of the first of its marketplaces that is known, else of the first
/// of its region; one consent covers the region (SP-API documentation, "Website authorization workflow"). An application in
/// draft needs `version=beta`. Without `state` and `redirect_uri`.
#[must_use]
pub fn consent_page(
    connection: &AmazonConnectionSpec,
    application: &AmazonApplication,
    allow_endpoints: bool,
) -> String {
    let own = own_endpoints(application, allow_endpoints).ok().flatten();
    let host = match own.and_then(|own| own.consent.clone()) {
        Some(own) => own,
        None => format!("https://{}", seller_central(connection)),
    };
    let beta = if application.spec.draft { "&version=beta" } else { "" };
    format!("{host}/apps/authorize/consent?application_id={}{beta}", application.spec.application_id)
}

fn seller_central(connection: &AmazonConnectionSpec) -> &'static str {
    let region = amazon_region(connection.region);
    // The region's largest, where none is named that is known.
    let default = match region {
        Region::Na => "sellercentral.amazon.com",
        Region::Eu => "sellercentral-europe.amazon.com",
        Region::Fe => "sellercentral.amazon.co.jp",
    };
    let known = connection.marketplace_ids.iter().find_map(|id| Marketplace::by_id(id));
    known.filter(|known| known.region == region).map_or(default, |known| known.seller_central)
}

/// Another connection that Amazon accepts of this seller, by the same application in the same region: a second one would be
/// the same grant under another name. `name` itself does not count.
#[must_use]
pub fn same_seller<'a>(
    index: &'a Index,
    application: &NamespacedReference,
    region: crds::Region,
    sandbox: bool,
    seller: &str,
    name: &NamespacedReference,
) -> Option<(&'a NamespacedReference, &'a AmazonConnection)> {
    let all = index.connections.iter().filter_map(|(other, entry)| Some((other, entry.read()?.as_ref())));
    let mut found = all.filter(|(other, connection)| {
        *other != name
            && connection.is_for(application, region, sandbox, seller)
            && connection.status.as_ref().is_some_and(|status| is_true(&status.conditions, AUTHORIZED))
    });
    let first = found.next()?;
    // One that whoever asks may see says more than one that they may not.
    Some(
        found
            .find(|(other, _)| other.namespace == name.namespace)
            .filter(|_| first.0.namespace != name.namespace)
            .unwrap_or(first),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(region: crds::Region, marketplaces: &[&str]) -> AmazonConnectionSpec {
        let marketplace_ids = marketplaces.iter().map(ToString::to_string).collect();
        AmazonConnectionSpec { region, marketplace_ids, ..AmazonConnectionSpec::default() }
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
            let link = consent_page(&connection(region, marketplaces), &application(false), false);
            assert_eq!(link, format!("https://{host}/apps/authorize/consent?application_id=amzn1.sp.solution.1"));
        }
    }

    #[test]
    fn a_draft_says_so_and_an_own_address_counts_only_where_that_is_allowed() {
        let na = connection(crds::Region::Na, &["ATVPDKIKX0DER"]);
        assert!(
            consent_page(&na, &application(true), false).ends_with("?application_id=amzn1.sp.solution.1&version=beta")
        );
        let mut elsewhere = application(false);
        let consent = Some("https://emulator.example".to_owned());
        elsewhere.spec.endpoints = Some(crds::Endpoints { consent, ..crds::Endpoints::default() });
        assert!(consent_page(&na, &elsewhere, true).starts_with("https://emulator.example/apps/authorize/consent?"));
        assert!(consent_page(&na, &elsewhere, false).starts_with("https://sellercentral.amazon.com/apps/"));
    }
}
