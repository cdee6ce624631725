//! The log-in URI: where Amazon sends a seller before it asks for consent ("Website authorization workflow", steps 5 on), and
//! where it sends one who authorizes anew from Amazon's own pages.
//!
//! Opening the page does nothing: whoever sends somebody here has nothing done in their name. A form of the page itself goes on,
//! to Amazon and nowhere else.

use amazon::MARKETPLACES;
use audit::{Change, Kind};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use crds::{NamespacedReference, PendingConsent};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use url::Url;

use super::{CONSENT_LIFE, State, application, comes_back, connecting, connections, remember};
use crate::{
    act,
    answer::{Refusal, page_with, see_other},
    page::{AmazonLogin, PendingConsent as Shown, Problem},
    portal::{Ask, Fields, Visitor},
    shown,
};

/// What Amazon sends that is sent on.
const FIELDS: [&str; 4] = ["amazon_callback_uri", "amazon_state", "selling_partner_id", "version"];
/// Where on Amazon's pages one goes on.
const PATH: &str = "/apps/authorize/";

/// `GET /amazon/login`.
pub(crate) fn hop(ask: &Ask, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    let sent = ask.parameters();
    let callback = callback(ask, sent.one("amazon_callback_uri"))?;
    let seller = Some(sent.text("selling_partner_id")).filter(|seller| super::is_seller(seller));
    let page = AmazonLogin {
        shell: shown::shell(ask, visitor),
        host: callback.host_str().unwrap_or_default().to_owned(),
        consents: choices(ask, visitor, seller.as_deref()),
        seller,
        fields: FIELDS
            .into_iter()
            .filter(|name| sent.has(name))
            .map(|name| (name.to_owned(), sent.text(name)))
            .collect(),
    };
    Ok(page_with(StatusCode::OK, &page, &vec![callback.origin().ascii_serialization()]))
}

/// The consents that this browser began, and the connections of the seller that the person could have renewed.
fn choices(ask: &Ask, visitor: &Visitor, seller: Option<&str>) -> Vec<Shown> {
    let team_name = |team: &NamespacedReference| shown::team_name(&ask.index, team);
    let living = |one: &&PendingConsent| one.session == visitor.session.id && one.expires_at.0 > ask.now;
    let pending: Vec<&PendingConsent> = visitor.user.spec.consents.iter().filter(living).collect();
    let mut shown: Vec<Shown> = pending
        .iter()
        .map(|one| Shown {
            value: format!("pending {}", one.state),
            connection: one.draft.as_ref().map_or_else(|| one.connection.clone(), |draft| draft.display_name.clone()),
            team: team_name(&one.team),
        })
        .collect();
    let Some(seller) = seller else { return shown };
    for (team, role) in access::memberships(&ask.index, &visitor.email) {
        let accepted = ask.portal.membership(&ask.index, visitor, &team).is_some_and(|it| it.is_accepted());
        if !accepted || !access::may(role, access::Action::Connect) {
            continue;
        }
        for (name, connection) in shown::connections(&ask.index, &team) {
            let under_way = pending.iter().any(|one| one.team == team && one.connection == name.name);
            if connection.selling_partner_id() == Some(seller) && !under_way {
                shown.push(Shown {
                    value: format!("connection {}/{}/{}", team.namespace, team.name, name.name),
                    connection: shown::connection_name(connection),
                    team: team_name(&team),
                });
            }
        }
    }
    shown
}

/// `POST /amazon/login`: back to Amazon, with a new `state` for the consent that was chosen.
pub(crate) async fn go_on(ask: &Ask, visitor: &Visitor, form: &Fields) -> Result<Response<Body>, Refusal> {
    let mut callback = callback(ask, form.one("amazon_callback_uri"))?;
    let pending = chosen(ask, visitor, form.one("consent"))?;
    let membership = connecting(ask, visitor, &pending.team)?;
    let id = &application(ask, &pending.application, &membership.team.namespace)?.spec.application_id;
    if !leads_to(&callback, id) {
        return Err(astray());
    }
    let state = State::new(&ask.portal.keys, &visitor.name)?;
    let before = pending.state.clone();
    let renewed = PendingConsent {
        state: state.hash(),
        session: visitor.session.id.clone(),
        expires_at: MicroTime(ask.now + CONSENT_LIFE),
        ..pending
    };
    let name = NamespacedReference { namespace: renewed.team.namespace.clone(), name: renewed.connection.clone() };
    let change = Change::ConsentBegunBy(visitor.requester(ask));
    ask.portal.recorded(act::event(Kind::AmazonConnection, &name, None, &renewed.team.name, change)?).await?;
    ask.portal
        .users
        .change(&visitor.name, |spec| {
            spec.consents.retain(|one| one.state != before);
            remember(spec, renewed.clone(), ask.now);
        })
        .await?;
    {
        let mut query = callback.query_pairs_mut();
        query.append_pair("amazon_state", form.one("amazon_state"));
        query.append_pair("state", &state.0);
        if let Some(uri) = &renewed.redirect_uri {
            query.append_pair("redirect_uri", uri);
        }
        if form.one("version") == "beta" {
            query.append_pair("version", "beta");
        }
    }
    Ok(see_other(callback.as_str()))
}

/// The consent that the form names: one that is under way, or one that begins with it.
fn chosen(ask: &Ask, visitor: &Visitor, value: &str) -> Result<PendingConsent, Refusal> {
    if let Some(state) = value.strip_prefix("pending ") {
        let own = |one: &&PendingConsent| {
            one.state == state && one.session == visitor.session.id && one.expires_at.0 > ask.now
        };
        return visitor.user.spec.consents.iter().find(own).cloned().ok_or(Refusal::NotFound);
    }
    let parts: Vec<&str> = value.strip_prefix("connection ").unwrap_or_default().split('/').collect();
    let [namespace, team, name] = parts[..] else { return Err(Refusal::NotFound) };
    let team = NamespacedReference { namespace: namespace.to_owned(), name: team.to_owned() };
    let membership = connecting(ask, visitor, &team)?;
    let (name, connection) = connections::own(ask, &membership, name)?;
    connections::free(ask, &name, &connection)?;
    let application_name = connection.spec.application_ref.clone();
    let application = application(ask, &application_name, &name.namespace)?;
    if !comes_back(&ask.portal, application) {
        return Err(Refusal::NotFound);
    }
    Ok(PendingConsent {
        state: String::new(),
        session: String::new(),
        expires_at: MicroTime(ask.now),
        team,
        application: application_name,
        connection: name.name,
        connection_uid: connection.metadata.uid.clone(),
        draft: None,
        redirect_uri: application.spec.redirect_uri.clone(),
    })
}

/// Where Amazon wants to go on. Whoever sends somebody here chooses it, so nothing but Amazon's own consent pages will do.
fn callback(ask: &Ask, text: &str) -> Result<Url, Refusal> {
    let own = ask.portal.allow_endpoints.then(|| {
        let applications = ask.index.applications.values().filter_map(access::Entry::read);
        applications.filter_map(|one| one.spec.endpoints.as_ref()?.consent.clone()).collect::<Vec<_>>()
    });
    amazons(text, &own.unwrap_or_default()).ok_or_else(astray)
}

fn astray() -> Refusal {
    let text = "This link does not lead back to Amazon’s page for this application. Nothing was done; start from your Team instead.";
    Refusal::Problem(Problem::BadRequest { text: text.to_owned() })
}

/// Whether an address of Amazon's goes on with the application of this id: Amazon names it in the path. And says nothing
/// that is for us to say.
fn leads_to(callback: &Url, id: &str) -> bool {
    let mut parts = callback.path_segments().into_iter().flatten();
    let ours = |name: &str| ["amazon_state", "redirect_uri", "state", "version"].contains(&name);
    parts.any(|part| part == id) && !callback.query_pairs().any(|(name, _)| ours(&name))
}

/// An address of Amazon's consent pages, or of one of `own`.
fn amazons(text: &str, own: &[String]) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let host = url.host_str()?;
    let plain = url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && url.path().starts_with(PATH);
    let origin = url.origin().ascii_serialization();
    let known = url.port().is_none() && MARKETPLACES.iter().any(|one| one.seller_central == host)
        || own.iter().any(|one| one.trim_end_matches('/') == origin);
    (plain && known).then_some(url)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn one_goes_on_with_the_application_of_the_consent_only() {
        let address =
            |rest: &str| format!("https://sellercentral.amazon.com/apps/authorize/confirm/{rest}").parse().unwrap();
        assert!(leads_to(&address("amzn1.sp.solution.1"), "amzn1.sp.solution.1"));
        assert!(leads_to(&address("amzn1.sp.solution.1?x=y"), "amzn1.sp.solution.1"));
        for other in [
            "amzn1.sp.solution.2",
            "",
            "amzn1.sp.solution.1?state=x",
            "x?amzn1.sp.solution.1",
            "amzn1.sp.solution.1?redirect_uri=x",
        ] {
            assert!(!leads_to(&address(other), "amzn1.sp.solution.1"), "{other}");
        }
    }

    #[test]
    fn one_goes_on_to_amazons_consent_pages_and_nowhere_else() {
        let own = ["https://emulator.example:8443".to_owned()];
        for right in [
            "https://sellercentral.amazon.com/apps/authorize/confirm/amzn1.sp.solution.1",
            "https://sellercentral-europe.amazon.com/apps/authorize/confirm/x?y=z",
            "https://emulator.example:8443/apps/authorize/confirm/x",
        ] {
            assert!(amazons(right, &own).is_some(), "{right}");
        }
        for wrong in [
            "",
            "https://evil.example/apps/authorize/confirm",
            "https://sellercentral.amazon.com.evil.example/apps/authorize/x",
            "https://evil.example#sellercentral.amazon.com/apps/authorize/x",
            "https://sellercentral.amazon.com@evil.example/apps/authorize/x",
            "https://user@sellercentral.amazon.com/apps/authorize/x",
            "http://sellercentral.amazon.com/apps/authorize/x",
            "https://sellercentral.amazon.com:8443/apps/authorize/x",
            "https://sellercentral.amazon.com/gp/redirect?to=/apps/authorize/",
            "https://sellercentral.amazon.com/apps/authorize",
            "https://sellercentral.amazon.com/apps/authorize/../../gp/redirect",
            "https://sellercentral.amazon.com/apps/authorize/x#y",
            "https://emulator.example/apps/authorize/x",
            "//sellercentral.amazon.com/apps/authorize/x",
            "javascript:alert(1)",
        ] {
            assert!(amazons(wrong, &own).is_none(), "{wrong}");
        }
        assert!(amazons("https://emulator.example:8443/apps/authorize/x", &[]).is_none());
    }

    /// Addresses that are nearly Amazon's.
    fn address() -> impl Strategy<Value = String> {
        let schemes =
            vec!["https://", "http://", "//", "https:", "https:\\\\", "javascript:", "HTTPS://", "https:///", ""];
        let hosts = vec![
            "sellercentral.amazon.com",
            "sellercentral.amazon.com.evil.example",
            "evil.example/sellercentral.amazon.com",
            "sellercentral.amazon.com@evil.example",
            "sellercentral.amazon.com:443",
            "sellercentral.amazon.com:8443",
            "sellercentral.amazon.com.",
            "SELLERCENTRAL.AMAZON.COM",
            "emulator.example:8443",
            "emulator.example",
            "evil.example",
        ];
        let paths = vec![
            "/apps/authorize/",
            "/apps/authorize",
            "/apps/../",
            "\\",
            "?",
            "#",
            "@evil.example",
            "%2e%2e/",
            ";",
            "'",
            " ",
        ];
        let (schemes, hosts) = (prop::sample::select(schemes), prop::sample::select(hosts));
        let paths = vec(prop_oneof![prop::sample::select(paths).prop_map(str::to_owned), "\\PC{0,5}"], 0..5);
        (schemes, hosts, paths).prop_map(|(scheme, host, paths)| format!("{scheme}{host}{}", paths.concat()))
    }

    proptest! {
        /// It goes into `Location` with a `state`, and its origin into the policy of the page before: there is nothing in
        /// it but Amazon's consent pages.
        #[test]
        fn whatever_a_link_says_nobody_but_amazon_gets_a_state(text in prop_oneof!["\\PC*", address()]) {
            let own = ["https://emulator.example:8443".to_owned()];
            if let Some(url) = amazons(&text, &own) {
                let written = url.as_str();
                let amazon = MARKETPLACES.iter().map(|one| format!("https://{}", one.seller_central));
                let mut begins = amazon.chain(own).map(|origin| format!("{origin}{PATH}"));
                prop_assert!(begins.any(|begin| written.starts_with(&begin)), "{}", written);
                prop_assert!(!url.path().split('/').any(|part| part == ".." || part == "."), "{}", written);
                prop_assert!(written.bytes().all(|b| b.is_ascii_graphic()) && !written.contains('#'), "{}", written);
                let origin = url.origin().ascii_serialization();
                prop_assert!(!origin.contains([';', ',', ' ', '\'', '*']), "a policy takes it for one word: {}", origin);
            }
        }
    }
}
