//! RuntimeTokens: issued, used, revoked.

use crds::Role;
use openteam_end_to_end::{Page, US, eventually, house};
use reqwest::StatusCode;

/// The token's text in the page that shows it once.
fn text(page: &Page) -> String {
    let from = page.body.find("otrt_").expect("the text is shown");
    page.body[from..].chars().take_while(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).collect()
}

#[test]
fn a_token_is_issued_used_listed_and_revoked() {
    let house = house();
    let tenant = house.tenant("portal-token");
    let person = house.person("192.0.2.80");
    let email = tenant.member(Role::Member);
    person.sign_in(&email);
    person.join("portal-token");
    let team = "/teams/portal-token/portal-token";
    let form = |name: &str, lifetime: &str| {
        person.post(
            &format!("{team}/tokens"),
            &[
                ("name", name),
                ("connection", "portal-token-na"),
                ("marketplaces.portal-token-na", US),
                ("operations", "read"),
                ("lifetime", lifetime),
            ],
        )
    };
    for (name, lifetime) in [("", "1h"), ("nightly", "2160h"), ("nightly", ""), ("Ü", "1h"), ("nightly", "0s")] {
        let refused = form(name, lifetime);
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name} {lifetime}");
        assert!(!refused.body.contains("otrt_"));
    }
    let issued = form("nightly", "1h");
    assert_eq!(issued.status, StatusCode::OK, "{}", issued.body);
    let token = text(&issued);
    eventually("the token opens the connection", || {
        (house.gateway(0).call(&token).orders(US).status == 200).then_some(())
    });
    let list = person.get(&format!("{team}/tokens")).shown();
    assert!(list.contains("nightly") && list.contains(&email) && !list.contains("otrt_"), "{list}");
    assert_eq!(form("nightly", "1h").status, StatusCode::CONFLICT);
    // Nobody else's to revoke: a Member's are the Member's and the Owners'.
    assert_eq!(person.post(&format!("{team}/tokens/nightly/revoke"), &[]).status, StatusCode::SEE_OTHER);
    eventually("the token opens nothing", || (house.gateway(0).call(&token).orders(US).status == 403).then_some(()));
}

#[test]
fn all_tokens_are_revoked_by_who_types_the_teams_name() {
    let house = house();
    let tenant = house.tenant("portal-revoke");
    let person = house.person("192.0.2.81");
    person.sign_in(&tenant.member(Role::Owner));
    person.join("portal-revoke");
    let team = "/teams/portal-revoke/portal-revoke";
    for name in ["one", "two"] {
        let fields = [
            ("name", name),
            ("connection", "portal-revoke-na"),
            ("marketplaces.portal-revoke-na", US),
            ("operations", "read"),
            ("lifetime", "1h"),
        ];
        assert_eq!(person.post(&format!("{team}/tokens"), &fields).status, StatusCode::OK);
    }
    let left = || house.kubectl().run(&["get", "runtimetokens", "-n", "portal-revoke", "-o", "name"]).unwrap();
    let all = format!("{team}/tokens/revoke-all");
    for typed in [&[][..], &[("confirm", "portal")]] {
        assert_eq!(person.post(&all, typed).status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(left().lines().count(), 2);
    eventually("the portal has seen both", || {
        person.get(&format!("{team}/tokens")).shown().contains("one of the 2").then_some(())
    });
    assert_eq!(person.post(&all, &[("confirm", "portal-revoke")]).status, StatusCode::SEE_OTHER);
    assert_eq!(left(), "");
}
