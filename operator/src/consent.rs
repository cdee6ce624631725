//! How a seller consents, and what becomes of it.

use crds::{AmazonApplication, AmazonConnection};

use crate::subject::reference;

/// Amazon's consent page for a connection.
pub(crate) fn link(connection: &AmazonConnection, application: &AmazonApplication, allow_endpoints: bool) -> String {
    access::consent_page(&connection.spec, application, allow_endpoints)
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

    #[test]
    fn a_seller_is_told_where_to_consent_and_what_to_do_with_the_token() {
        let mut na = AmazonConnection::new("na", Default::default());
        na.metadata.namespace = Some("acme".into());
        let told = how(&na, Some(&AmazonApplication::new("app", Default::default())), false);
        assert!(told.contains("https://sellercentral.amazon.com/apps/authorize/consent?"), "{told}");
        assert!(told.contains("openteam seal --for amazonconnection/acme/na"), "{told}");
        assert!(how(&na, None, false).contains("openteam seal"));
    }
}
