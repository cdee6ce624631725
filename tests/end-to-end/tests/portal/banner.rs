//! Containing from the portal, and what everybody then sees.

use crds::Role;
use openteam_end_to_end::{eventually, house};
use reqwest::StatusCode;

#[test]
fn an_owner_contains_and_every_page_says_so_until_it_is_restored() {
    let house = house();
    let tenant = house.tenant("portal-contain");
    let (owner, viewer) = (house.person("192.0.2.90"), house.person("192.0.2.91"));
    let email = tenant.member(Role::Owner);
    owner.sign_in(&email);
    owner.join("portal-contain");
    viewer.sign_in(&tenant.member(Role::Viewer));
    viewer.join("portal-contain");
    let team = "/teams/portal-contain/portal-contain";
    let path = format!("{team}/connections/portal-contain-na/contain");
    assert!(owner.get(&path).shown().contains("agent"), "what stops is shown");
    assert_eq!(owner.post(&path, &[("incident", "Not A Name")]).status, StatusCode::UNPROCESSABLE_ENTITY);
    let contained = owner.post(&path, &[("incident", "inc-portal"), ("why", "A laptop was stolen.")]);
    assert_eq!(contained.status, StatusCode::SEE_OTHER, "{}", contained.body);
    for person in [&owner, &viewer] {
        for page in [team.to_owned(), format!("{team}/tokens"), format!("{team}/connections/portal-contain-na")] {
            eventually("the banner says who, why and which incident", || {
                let shown = person.get(&page).shown();
                let all = ["inc-portal", "A laptop was stolen.", email.as_str()];
                all.iter().all(|text| shown.contains(text)).then_some(())
            });
        }
    }
    for action in ["consent", "renew", "test"] {
        let answer = owner.post(&format!("{team}/connections/portal-contain-na/{action}"), &[]);
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action}: frozen");
    }
    let incident =
        house.kubectl().run(&["get", "incident", "inc-portal", "-n", "openteam-system", "-o", "yaml"]).unwrap();
    assert!(incident.contains("A laptop was stolen.") && incident.contains(&email), "{incident}");
    eventually("it is recorded who did it", || {
        house
            .journal()
            .iter()
            .any(|event| event["event"]["message"].as_str().is_some_and(|text| text.starts_with("contained by")))
            .then_some(())
    });
    // Restoring is not the portal's.
    for path in ["restore", "restored"] {
        assert_eq!(
            owner.post(&format!("{team}/connections/portal-contain-na/{path}"), &[]).status,
            StatusCode::NOT_FOUND
        );
    }
}
