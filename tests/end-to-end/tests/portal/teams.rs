//! Who sees what, and may do what, by role and Team.

use crds::Role;
use openteam_end_to_end::{Person, eventually, house};
use reqwest::StatusCode;

/// Whether a page is shown, refused by role, or not there.
fn status(person: &Person<'_>, path: &str) -> u16 {
    person.get(path).status.as_u16()
}

#[test]
fn promise_1_only_members_see_a_team_and_only_its_owners_connect_sellers() {
    let house = house();
    let tenant = house.tenant("portal-roles");
    let other = house.tenant("portal-others");
    let sign_in = |email: &str| {
        let person = house.person("192.0.2.70");
        person.sign_in(email);
        person
    };
    let people = [Role::Owner, Role::Member, Role::Viewer].map(|role| {
        let person = sign_in(&tenant.member(role));
        person.join("portal-roles");
        person
    });
    let stranger = sign_in(&other.member(Role::Owner));
    stranger.join("portal-others");
    let team = "/teams/portal-roles/portal-roles";
    for (path, owner, member, viewer) in [
        (team.to_owned(), 200, 200, 200),
        (format!("{team}/members"), 200, 200, 200),
        (format!("{team}/tokens"), 200, 200, 200),
        (format!("{team}/activity"), 200, 200, 200),
        (format!("{team}/activity/export?as=csv"), 200, 200, 200),
        (format!("{team}/connections/portal-roles-na"), 200, 200, 200),
        (format!("{team}/connections/new"), 200, 403, 403),
        (format!("{team}/tokens/new"), 200, 200, 403),
        (format!("{team}/contain"), 200, 403, 403),
        (format!("{team}/connections/portal-roles-na/contain"), 200, 403, 403),
        (format!("{team}/connections/none"), 404, 404, 404),
    ] {
        let seen: Vec<u16> = people.iter().map(|person| status(person, &path)).collect();
        assert_eq!(seen, [owner, member, viewer], "{path}");
        assert_eq!(status(&stranger, &path), 404, "{path}: to others it does not exist");
        assert!(!stranger.get(&path).body.contains("portal-roles"), "{path}");
    }
    // By name of the own namespace another Team's connection is not reached either.
    assert_eq!(status(&stranger, "/teams/portal-others/portal-others/connections/portal-roles-na"), 404);
    for (path, fields) in [
        (format!("{team}/connections"), &[("name", "X")][..]),
        (format!("{team}/connections/portal-roles-na/consent"), &[]),
        (format!("{team}/connections/portal-roles-na/renew"), &[]),
        (format!("{team}/connections/portal-roles-na/name"), &[("name", "X")]),
        (format!("{team}/connections/portal-roles-na/token"), &[("token", "Atzr|fake")]),
        (format!("{team}/contain"), &[("incident", "inc-1")]),
        (format!("{team}/tokens/revoke-all"), &[]),
    ] {
        for person in &people[1..] {
            assert_eq!(person.post(&path, fields).status, StatusCode::FORBIDDEN, "{path}");
        }
        assert_eq!(stranger.post(&path, fields).status, StatusCode::NOT_FOUND, "{path}");
    }
    let connection = house.kubectl().run(&["get", "amzc", "-n", "portal-roles", "-o", "yaml"]).unwrap();
    assert!(!connection.contains("openteam.dev/renew") && !connection.contains("openteam.dev/disable"), "{connection}");
}

#[test]
fn promise_1_who_leaves_a_team_is_out_at_once_and_comes_back_by_accepting_anew() {
    let house = house();
    let tenant = house.tenant("portal-leaver");
    let email = tenant.member(Role::Member);
    let person = house.person("192.0.2.71");
    person.sign_in(&email);
    person.join("portal-leaver");
    let team = "/teams/portal-leaver/portal-leaver";
    assert_eq!(status(&person, team), 200);
    tenant.change_members(|members| members.retain(|member| member.email != email));
    eventually("the Team is not there any more", || (0..4).all(|_| status(&person, team) == 404).then_some(()));
    let home = person.get("/").shown();
    assert!(home.contains("no Team") || home.contains("any Team"), "a friendly page: {home}");
}

#[test]
fn random_requests_break_nothing() {
    let house = house();
    let tenant = house.tenant("portal-random");
    let person = house.person("192.0.2.72");
    person.sign_in(&tenant.member(Role::Owner));
    person.join("portal-random");
    let team = "/teams/portal-random/portal-random";
    let long = "x".repeat(3000);
    let odd =
        ["", "%00", "é", "<script>", "a&b=c", "../..", "\u{202e}", "A1".repeat(50).as_str(), &long].map(str::to_owned);
    for value in &odd {
        for path in [
            format!("{team}/connections"),
            format!("{team}/connections/portal-random-na/name"),
            format!("{team}/connections/portal-random-na/token"),
            format!("{team}/connections/portal-random-na/delete"),
            format!("{team}/tokens"),
            "/sign-in".to_owned(),
            "/sign-in/code".to_owned(),
            "/amazon/login".to_owned(),
        ] {
            let fields = [
                "name",
                "application",
                "region",
                "marketplaces.NA",
                "token",
                "confirm",
                "connection",
                "operations",
                "lifetime",
                "email",
                "next",
                "code",
                "amazon_callback_uri",
                "consent",
                "how",
            ];
            let fields = fields.map(|name| (name, value.as_str()));
            let answer = person.post(&path, &fields);
            assert!(answer.status.as_u16() < 500, "{path} {value:?}: {}", answer.status);
            assert!(!answer.body.contains("<script>a"), "{path}");
        }
        let query: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let activity = format!(
            "{team}/activity?connection={query}&what={query}&outcome={query}&who={query}&from={query}&to={query}&text={query}"
        );
        assert!(person.get(&activity).status.as_u16() < 500, "{activity}");
        for path in ["/amazon/callback", "/amazon/login", "/sign-in", "/", team] {
            let answer = person.get(&format!("{path}?state={query}&spapi_oauth_code={query}&selling_partner_id={query}&done={query}&next={query}&before={query}"));
            assert!(answer.status.as_u16() < 500, "{path} {value:?}: {}", answer.status);
        }
    }
    assert_eq!(house.ingress().broken(), Vec::<String>::new());
}
