//! What somebody tries with what belongs to others: sessions, cookies, consents, addresses.

use std::thread;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crds::Role;
use openteam_end_to_end::{House, Page, Person, Tenant, eventually, house, repository};
use reqwest::{Method, StatusCode};

fn is_signed_in(person: &Person<'_>) -> bool {
    let page = person.get("/sessions");
    assert!(page.status == StatusCode::OK || page.leads_to().starts_with("/sign-in"), "{}", page.status);
    page.status == StatusCode::OK
}

fn signed_in<'h>(house: &'h House, tenant: &Tenant<'_>, role: Role, address: &str) -> Person<'h> {
    let person = house.person(address);
    person.sign_in(&tenant.member(role));
    person.join(&tenant.name);
    person
}

/// Method and path of every row of the reviewed matrix, and whether a stranger gets an answer.
fn matrix() -> Vec<(Method, String, bool)> {
    let text = std::fs::read_to_string(repository().join("portal/src/route_matrix.txt")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("method"));
    let read = |line: &str| {
        let [method, path, stranger, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        (method.parse().unwrap(), path.to_owned(), stranger == "yes")
    };
    let rows: Vec<_> = rows.map(read).collect();
    assert!(rows.len() >= 40, "{}", rows.len());
    rows
}

#[test]
fn promise_1_without_a_session_or_with_a_foreign_one_no_route_gives_or_does_anything() {
    let house = house();
    let tenant = house.tenant("portal-matrix");
    let other = house.tenant("portal-matrix-others");
    drop(tenant.runtime_token("t"));
    let owner = signed_in(&house, &tenant, Role::Owner, "192.0.2.130");
    let elsewhere = signed_in(&house, &tenant, Role::Owner, "192.0.2.129");
    let foreigner = signed_in(&house, &other, Role::Owner, "192.0.2.131");
    let nobody = house.person("192.0.2.132");
    let with_a_made_up_session = house.person("192.0.2.133");
    with_a_made_up_session.set_cookie("__Host-sid", &BASE64_URL_SAFE_NO_PAD.encode([7; 64]));
    let state = || {
        let kinds = "amazonconnections,runtimetokens,sealedcredentials,teams,agentgrants";
        let columns = "custom-columns=N:.metadata.name,U:.metadata.uid,A:.metadata.annotations,G:.metadata.generation";
        house.kubectl().run(&["get", kinds, "-n", &tenant.name, "-o", columns]).unwrap()
    };
    let before = state();
    let sessions = owner.get("/sessions").shown();
    let id = sessions.split("/sessions/").find_map(|rest| rest.split_once("/end\"")).unwrap().0.to_owned();

    let mut of_a_team = 0;
    for (method, path, is_for_strangers) in matrix() {
        let path = path.replace("/ns/acme", &format!("/{0}/{0}", tenant.name));
        let path = path.replace("/connections/na", &format!("/connections/{}", tenant.connection));
        let path = path.replace("/sessions/a1/", &format!("/sessions/{id}/"));
        let ask = |person: &Person<'_>| -> Page {
            let fields =
                if method == Method::POST { Some("name=x&confirm=x&incident=inc-x&why=x".to_owned()) } else { None };
            person.send(method.clone(), &path, &[("sec-fetch-site", "same-origin")], fields)
        };
        for person in [&nobody, &with_a_made_up_session] {
            let page = ask(person);
            let status = page.status.as_u16();
            if is_for_strangers {
                assert!(status < 500, "{method} {path}: {status}");
            } else {
                // What Amazon answered is taken from its own browser only: that is 422, with words.
                let to_sign_in = status == 303 && page.leads_to().starts_with("/sign-in");
                assert!(to_sign_in || status == 422 && path == "/amazon/callback", "{method} {path}: {status}");
            }
            assert!(!page.body.contains(&tenant.name), "{method} {path}");
        }
        if path.starts_with("/teams/") {
            let page = ask(&foreigner);
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{method} {path}");
            assert!(!page.body.contains(&format!("/{}", tenant.connection)), "{method} {path}");
            of_a_team += 1;
        }
        if path.starts_with("/sessions/") && path.contains(&id) {
            let status = ask(&foreigner).status;
            assert!(status == StatusCode::NOT_FOUND || status == StatusCode::SEE_OTHER, "{method} {path}: {status}");
        }
        // By no other method either.
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let page = foreigner.send(method.clone(), &path, &[("sec-fetch-site", "same-origin")], None);
            assert!(page.status.is_client_error(), "{method} {path}: {}", page.status);
        }
    }
    assert!(of_a_team >= 25, "{of_a_team}");
    assert_eq!(state(), before, "nothing was changed");
    assert!(is_signed_in(&owner) && is_signed_in(&elsewhere), "nobody's session was ended by somebody else");
}

#[test]
fn promise_1_of_two_peoples_cookies_no_third_is_made() {
    let house = house();
    let (tenant, other) = (house.tenant("portal-swap"), house.tenant("portal-swap-others"));
    let ada = signed_in(&house, &tenant, Role::Owner, "192.0.2.134");
    let bob = signed_in(&house, &other, Role::Owner, "192.0.2.135");
    let bytes = |person: &Person<'_>, name: &str| BASE64_URL_SAFE_NO_PAD.decode(person.cookie(name).unwrap()).unwrap();
    let (adas, bobs) = (bytes(&ada, "__Host-sid"), bytes(&bob, "__Host-sid"));
    assert_eq!((adas.len(), bobs.len()), (64, 64), "name, secret, proof");
    let thief = house.person("192.0.2.136");
    for at in [16, 32, 48, 56] {
        for mixed in [[&adas[..at], &bobs[at..]].concat(), [&bobs[..at], &adas[at..]].concat()] {
            thief.set_cookie("__Host-sid", &BASE64_URL_SAFE_NO_PAD.encode(mixed));
            assert!(!is_signed_in(&thief), "{at}");
        }
    }
    // Ada's name, with the secret and the proof of what Bob's browser holds for another purpose.
    let browser = bytes(&bob, "__Host-browser");
    for wrong in [browser.clone(), [&adas[..16], &browser[16..]].concat(), [&adas[..48], &browser[48..]].concat()] {
        thief.set_cookie("__Host-sid", &BASE64_URL_SAFE_NO_PAD.encode(wrong));
        assert!(!is_signed_in(&thief));
    }
    // One of two cookies is somebody else's: whose is not guessed.
    let sid = |person: &Person<'_>| person.cookie("__Host-sid").unwrap();
    thief.forget_cookie("__Host-sid");
    for both in [[sid(&ada), sid(&bob)], [sid(&bob), sid(&ada)], [sid(&ada), sid(&ada)], [sid(&ada), "x".to_owned()]] {
        let cookies = format!("__Host-sid={}; __Host-sid={}", both[0], both[1]);
        let page = thief.send(Method::GET, "/sessions", &[("cookie", &cookies)], None);
        assert_eq!((page.status, page.leads_to()), (StatusCode::SEE_OTHER, "/sign-in?next=%2Fsessions"));
    }
    assert!(is_signed_in(&ada) && is_signed_in(&bob));
}

/// Sends the browser to Amazon for a new connection; the `state` it goes with.
fn begin(person: &Person<'_>, team: &str, name: &str) -> String {
    let application = format!("{team}/amazon");
    let begun = person.post(
        &format!("/teams/{team}/{team}/connections"),
        &[
            ("name", name),
            ("application", &application),
            ("region", "NA"),
            ("marketplaces.NA", openteam_end_to_end::US),
        ],
    );
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.body);
    let to: url::Url = begun.leads_to().parse().unwrap();
    to.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

/// What Amazon sends the browser back with; the code is made up.
fn callback(house: &House, state: &str, seller: &str) -> String {
    let code: String = std::iter::repeat_with(fastrand::alphanumeric).take(40).collect();
    house.plant("made-up authorization code", &code);
    format!("/amazon/callback?state={state}&selling_partner_id={seller}&spapi_oauth_code={code}")
}

fn codes_given(house: &House, namespace: &str) -> usize {
    let fields = "jsonpath={range .items[*]}{.spec.field}{\"\\n\"}{end}";
    let text = house.kubectl().run(&["get", "sealedcredentials", "-n", namespace, "-o", fields]).unwrap();
    text.lines().filter(|field| *field == "AuthorizationCode").count()
}

#[test]
fn a_consents_state_is_good_once_however_many_bring_it_at_a_time() {
    let house = house();
    let tenant = house.tenant("portal-once");
    let owner = signed_in(&house, &tenant, Role::Owner, "192.0.2.137");
    let state = begin(&owner, "portal-once", "Once");
    // Both portals are asked, in turn.
    let paths: Vec<_> = (0..12).map(|_| callback(&house, &state, "A1MADEUPSELLER")).collect();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let all: Vec<_> = paths.iter().map(|path| scope.spawn(|| owner.get(path).status.as_u16())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 422].contains(status)), "{statuses:?}");
    assert_eq!(codes_given(&house, "portal-once"), 1);
    let later = owner.get(&callback(&house, &state, "A1MADEUPSELLER"));
    assert_eq!(later.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!later.body.contains(&state), "a state is in no page");
    assert_eq!(codes_given(&house, "portal-once"), 1);
}

#[test]
fn a_consents_state_is_of_one_person_and_of_one_browser() {
    let house = house();
    let tenant = house.tenant("portal-state");
    let other = house.tenant("portal-state-others");
    let owner = signed_in(&house, &tenant, Role::Owner, "192.0.2.138");
    let elsewhere = signed_in(&house, &tenant, Role::Owner, "192.0.2.139");
    let member = signed_in(&house, &tenant, Role::Member, "192.0.2.140");
    let foreigner = signed_in(&house, &other, Role::Owner, "192.0.2.141");
    let (nobody, state) = (house.person("192.0.2.142"), begin(&owner, "portal-state", "Mine"));
    for person in [&elsewhere, &member, &foreigner, &nobody] {
        let page = person.get(&callback(&house, &state, "A1MADEUPSELLER"));
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.body.contains("belongs to another browser or person"), "{}", page.body);
    }
    // A stranger has somebody else bring what the stranger began: their own seller is not connected to another's Team.
    let theirs = begin(&foreigner, "portal-state-others", "Theirs");
    assert_eq!(owner.get(&callback(&house, &theirs, "A1MADEUPSELLER")).status, StatusCode::UNPROCESSABLE_ENTITY);
    for wrong in ["", "x", &state[1..], &format!("{state}A"), &state.to_uppercase(), &format!("{state}&state={theirs}")]
    {
        let page = owner.get(&callback(&house, wrong, "A1MADEUPSELLER"));
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    assert_eq!((codes_given(&house, "portal-state"), codes_given(&house, "portal-state-others")), (0, 0));
    // None of these used it up.
    let page = owner.get(&callback(&house, &state, "A1MADEUPSELLER"));
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    assert_eq!(page.leads_to(), "/teams/portal-state/portal-state/connections/mine");
    assert_eq!(codes_given(&house, "portal-state"), 1);
}

#[test]
fn a_consent_of_who_is_no_owner_any_more_does_nothing() {
    let house = house();
    let tenant = house.tenant("portal-demoted");
    let owner = signed_in(&house, &tenant, Role::Owner, "192.0.2.143");
    let state = begin(&owner, "portal-demoted", "Late");
    let email = tenant.member(Role::Owner);
    tenant.change_members(|members| {
        members.iter_mut().filter(|one| one.email == email).for_each(|one| one.role = Role::Member);
    });
    let form = "/teams/portal-demoted/portal-demoted/connections/new";
    eventually("both portals know", || (0..4).all(|_| owner.get(form).status == StatusCode::FORBIDDEN).then_some(()));
    let page = owner.get(&callback(&house, &state, "A1MADEUPSELLER"));
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert_eq!(codes_given(&house, "portal-demoted"), 0);
}

#[test]
fn the_log_in_address_leads_to_amazon_and_nowhere_else() {
    let house = house();
    let tenant = house.tenant("portal-hop");
    let owner = signed_in(&house, &tenant, Role::Owner, "192.0.2.144");
    drop(begin(&owner, "portal-hop", "Hop"));
    for wrong in [
        "",
        "https://evil.example/apps/authorize/confirm/x",
        "https://sellercentral.amazon.com@evil.example/apps/authorize/confirm/x",
        "https://sellercentral.amazon.com.evil.example/apps/authorize/confirm/x",
        "http://sellercentral.amazon.com/apps/authorize/confirm/x",
        "https://sellercentral.amazon.com/gp/redirect",
        "javascript:alert(1)//sellercentral.amazon.com/apps/authorize/",
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("amazon_callback_uri", wrong), ("amazon_state", "x")])
            .finish();
        assert_eq!(owner.get(&format!("/amazon/login?{query}")).status, StatusCode::BAD_REQUEST, "{wrong}");
        let fields = [("amazon_callback_uri", wrong), ("amazon_state", "x"), ("consent", "pending x")];
        let posted = owner.post("/amazon/login", &fields);
        assert_eq!((posted.status, posted.leads_to()), (StatusCode::BAD_REQUEST, ""), "{wrong}");
    }
    let right = "https://sellercentral.amazon.com/apps/authorize/confirm/x";
    let page = owner.get(&format!("/amazon/login?amazon_callback_uri={right}&amazon_state=x"));
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' https://sellercentral.amazon.com; "), "{policy}");
    // Somebody else's consent, or none, is not chosen.
    for consent in ["", "pending x", "connection portal-hop/portal-hop/none", "connection a/b/c", "connection ../../.."]
    {
        let fields = [("amazon_callback_uri", right), ("amazon_state", "x"), ("consent", consent)];
        assert_eq!(owner.post("/amazon/login", &fields).status, StatusCode::NOT_FOUND, "{consent}");
    }
}
