//! Signing in: what works, what does not, and what a stranger learns of it.

use openteam_end_to_end::{Person, eventually, house};
use reqwest::{Method, StatusCode};

fn signed_in(person: &Person<'_>) -> bool {
    person.get("/sessions").status == StatusCode::OK
}

#[test]
fn a_member_signs_in_with_the_code_from_the_mail_and_out_again() {
    let house = house();
    let tenant = house.tenant("sign-in");
    let email = tenant.member(crds::Role::Owner);
    let person = house.person("192.0.2.10");
    assert_eq!(person.get("/teams/sign-in/sign-in").leads_to(), "/sign-in?next=%2Fteams%2Fsign-in%2Fsign-in");
    let asked =
        person.post("/sign-in", &[("email", &email.to_uppercase()), ("next", "/teams/sign-in/sign-in/members")]);
    assert_eq!(asked.leads_to(), "/sign-in/code");
    let code = eventually("the code is mailed", || {
        let mail = house.mails_to(&email).pop()?;
        assert!(!mail.subject.contains('-') || !mail.text.is_empty());
        mail.text.split_whitespace().find(|word| word.len() == 9 && word.as_bytes()[4] == b'-').map(str::to_owned)
    });
    let wrong = person.post("/sign-in/code", &[("code", "0000-0000")]);
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("not the code") && !wrong.body.contains("0000-0000"));
    let entered = person.post("/sign-in/code", &[("code", &code.to_lowercase().replace('-', " "))]);
    assert_eq!((entered.status, entered.leads_to()), (StatusCode::SEE_OTHER, "/teams/sign-in/sign-in/members"));
    assert!(person.get("/teams/sign-in/sign-in/members").shown().contains("/accept"), "a membership is accepted first");
    person.join("sign-in");
    assert!(person.get("/teams/sign-in/sign-in/members").shown().contains(&email));

    // A second time, and in another browser, it is no code.
    let other = house.person("192.0.2.11");
    other.set_cookie("__Host-login", &person.cookie("__Host-browser").unwrap());
    assert_eq!(other.post("/sign-in/code", &[("code", &code)]).leads_to(), "/sign-in");

    let cookie = person.cookie("__Host-sid").unwrap();
    assert_eq!(person.post("/sign-out", &[]).leads_to(), "/sign-in");
    person.set_cookie("__Host-sid", &cookie);
    assert!(!signed_in(&person), "a session that was ended does not come back");
    for word in ["sign-in code asked for", "sign-in failed", "signed in", "signed out"] {
        eventually("it is recorded", || {
            let events = house.journal();
            events.iter().any(|event| event["event"]["message"] == word).then_some(())
        });
    }
    let journal = serde_json::to_string(&house.journal()).unwrap();
    assert!(!journal.contains(&email), "no address is in the record");
}

#[test]
fn an_address_that_nobody_knows_is_answered_alike_and_makes_no_object() {
    let house = house();
    let tenant = house.tenant("unknown-address");
    let known = house.person("192.0.2.20");
    let unknown = house.person("192.0.2.21");
    let email = tenant.member(crds::Role::Member);
    drop(known.code(&email));
    let asked = unknown.post("/sign-in", &[("email", "nobody@unknown-address.example")]);
    assert_eq!((asked.status, asked.leads_to()), (StatusCode::SEE_OTHER, "/sign-in/code"));
    let page = |person: &Person<'_>, email: &str| person.get("/sign-in/code").shown().replace(email, "ADDRESS");
    assert_eq!(page(&known, &email), page(&unknown, "nobody@unknown-address.example"));
    let entered = |person: &Person<'_>, email: &str| {
        let page = person.post("/sign-in/code", &[("code", "0000-0000")]);
        (page.status, page.body.replace(email, "ADDRESS"))
    };
    assert_eq!(entered(&known, &email), entered(&unknown, "nobody@unknown-address.example"));
    let users = house.kubectl().run(&["get", "portalusers", "-n", "openteam-system", "-o", "yaml"]).unwrap();
    assert!(users.contains(&email) && !users.contains("nobody@"), "a PortalUser is for members only");
}

#[test]
fn a_stranger_locks_nobody_out_of_a_browser_they_know() {
    let house = house();
    let tenant = house.tenant("locked-out");
    let email = tenant.member(crds::Role::Owner);
    let owner = house.person("192.0.2.30");
    owner.sign_in(&email);
    owner.post("/sign-out", &[]);
    let stranger = house.person("198.51.100.30");
    for _ in 0..2 {
        drop(stranger.code(&email));
        for _ in 0..5 {
            let tried = stranger.post("/sign-in/code", &[("code", "0000-0000")]);
            assert_eq!(tried.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    eventually("the person is told", || {
        house.mails_to(&email).iter().any(|mail| mail.subject.contains("locked")).then_some(())
    });
    let before = house.mails_to(&email).len();
    stranger.post("/sign-in", &[("email", &email)]);
    owner.sign_in(&email);
    assert!(signed_in(&owner));
    assert_eq!(house.mails_to(&email).len(), before + 1, "the stranger got no mail any more");
}

#[test]
fn sessions_are_listed_ended_and_shared_by_all_portals() {
    let house = house();
    let tenant = house.tenant("many-sessions");
    let email = tenant.member(crds::Role::Member);
    let (first, second) = (house.person("192.0.2.40"), house.person("192.0.2.41"));
    first.sign_in(&email);
    second.sign_in(&email);
    // Requests go to the portals in turn.
    for _ in 0..4 {
        assert!(signed_in(&first) && signed_in(&second));
    }
    let list = first.get("/sessions").shown();
    assert!(list.contains("192.0.2.0/24"));
    assert_eq!(first.post("/sessions/end-others", &[]).status, StatusCode::SEE_OTHER);
    eventually("the other session is over everywhere", || (0..4).all(|_| !signed_in(&second)).then_some(()));
    assert!(signed_in(&first));
}

#[test]
fn a_form_of_another_site_does_nothing() {
    let house = house();
    let tenant = house.tenant("cross-site");
    let person = house.person("192.0.2.50");
    person.sign_in(&tenant.member(crds::Role::Owner));
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[],
    ] {
        let answer = person.send(Method::POST, "/sign-out", headers, Some(String::new()));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{headers:?}");
    }
    assert!(signed_in(&person));
}

#[test]
fn every_answer_carries_the_headers_that_keep_it_here() {
    let house = house();
    let person = house.person("192.0.2.60");
    for path in ["/sign-in", "/security", "/nowhere", "/teams/a/b", "/.well-known/security.txt"] {
        let answer = person.get(path);
        let header =
            |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(header("strict-transport-security"), "max-age=31536000", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
    }
    let text = person.get("/.well-known/security.txt");
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
    assert!(text.body.contains("Contact: mailto:"), "{}", text.body);
    let large = person.post("/sign-in", &[("email", &"a".repeat(70_000))]);
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}
