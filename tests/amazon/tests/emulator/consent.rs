//! The consent page, as a seller's browser and an application meet it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::world::{Answer, World, send};
use openteam_amazon_emulator::{Change, Clock, Registration};
use reqwest::{Response, Url};
use std::collections::HashMap;

const CALLBACK: &str = "https://portal.example/amazon/callback";
const SECOND: &str = "https://portal.example/second?with=query";
const LOGIN: &str = "https://portal.example/amazon/login";

fn registered() -> Registration {
    Registration { redirect_uris: vec![CALLBACK.to_owned(), SECOND.to_owned()], ..Registration::default() }
}

/// What a browser may do, step by step; it follows nothing by itself.
struct Browser {
    world: World,
}

impl Browser {
    async fn new(registration: Registration) -> Self {
        Self::at(Clock::system(), registration).await
    }

    async fn at(clock: Clock, registration: Registration) -> Self {
        let browser = Self { world: World::at(clock).await };
        browser.register(Some(registration));
        browser
    }

    fn register(&self, registration: Option<Registration>) {
        let client = self.world.seller(1).client_id.clone();
        let change = Change { registrations: [(client, registration)].into(), ..Change::default() };
        self.world.emulator.switches().apply(change).unwrap();
    }

    fn application(&self) -> String {
        self.world.seed.applications[0].application_id.clone()
    }

    async fn page(&self, more: &[(&str, &str)]) -> Response {
        let application = self.application();
        let all = [&[("application_id", application.as_str()), ("state", "s&1")], more].concat();
        self.world.get("/apps/authorize/consent").query(&all).send().await.unwrap()
    }

    async fn press(&self, decision: &str, more: &[(&str, &str)]) -> Response {
        let (application, seller) = (self.application(), self.world.seller(1).seller_id.clone());
        let mut form = HashMap::from([
            ("application_id", application.as_str()),
            ("state", "s&1"),
            ("seller", &seller),
            ("user", "primary"),
            ("decision", decision),
        ]);
        form.extend(more.iter().copied());
        let url = format!("{}/apps/authorize/consent", self.world.emulator.https_url());
        self.world.client.post(url).form(&form).send().await.unwrap()
    }

    async fn exchange(&self, code: &str, more: &[(&'static str, &str)]) -> Answer {
        let mut all: HashMap<_, _> = self.world.refresh_parameters(1).into_iter().collect();
        all.remove("refresh_token");
        all.insert("grant_type", "authorization_code".to_owned());
        all.insert("code", code.to_owned());
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        send(self.world.login().form(&all)).await
    }
}

/// Where an answer leads, and the parameters there.
fn location(answer: &Response) -> (String, HashMap<String, String>) {
    assert_eq!(answer.status(), 302);
    let mut url = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let query = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.to_string(), query)
}

/// The number of the error that a page shows.
async fn fault(answer: Response) -> String {
    assert_eq!(answer.status(), 400);
    let text = answer.text().await.unwrap();
    let (_, rest) = text.split_once("Error code: <strong>").unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_consent_leads_back_with_state_seller_and_a_code_that_gives_a_refresh_token_once() {
    let browser = Browser::new(registered()).await;
    let page = browser.page(&[("redirect_uri", CALLBACK)]).await;
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    let text = page.text().await.unwrap();
    assert!(text.contains(&browser.application()) && text.contains("the emulated Amazon"), "{text}");
    assert!(text.contains("name=\"state\" value=\"s&amp;1\""), "{text}");
    assert!(text.contains(&browser.world.seller(2).seller_id), "which seller it is can be chosen");
    assert!(!text.contains(&browser.world.seller(3).seller_id), "of another application");

    let (to, query) = location(&browser.press("authorize", &[("redirect_uri", CALLBACK)]).await);
    assert_eq!(to, CALLBACK);
    assert_eq!((query["state"].as_str(), &query["selling_partner_id"]), ("s&1", &browser.world.seller(1).seller_id));
    let code = &query["spapi_oauth_code"];
    let granted = browser.exchange(code, &[("redirect_uri", CALLBACK)]).await;
    assert_eq!((granted.status.as_u16(), granted.header("cache-control")), (200, Some("no-store")));
    let refresh_token = granted.body["refresh_token"].as_str().unwrap();
    assert_ne!(refresh_token, browser.world.seller(1).refresh_token.expose());
    let mut with: HashMap<_, _> = browser.world.refresh_parameters(1).into_iter().collect();
    with.insert("refresh_token", refresh_token.to_owned());
    assert_eq!(send(browser.world.login().form(&with)).await.status, 200);

    let again = browser.exchange(code, &[("redirect_uri", CALLBACK)]).await;
    assert_eq!((again.status.as_u16(), &again.body["error"]), (400, &"invalid_grant".into()));
    assert_eq!(again.body["error_description"], "The request has an invalid grant parameter : code");
    assert_eq!(browser.world.emulator.codes(), std::slice::from_ref(code));
}

#[tokio::test]
async fn a_code_is_bound_to_its_application_its_redirect_uri_and_five_minutes() {
    let clock = Clock::at("2026-11-27T10:00:00Z".parse().unwrap());
    let browser = Browser::at(clock, registered()).await;
    let seller = browser.world.seller(1).seller_id.clone();
    let code = || browser.world.emulator.code(&seller, CALLBACK).unwrap();
    let refused = async |code: &str, more: &[(&'static str, &str)]| {
        let answer = browser.exchange(code, more).await;
        (
            answer.status.as_u16(),
            answer.body["error"].as_str().unwrap().to_owned(),
            answer.body["error_description"].clone(),
        )
    };
    let of_code = || (400, "invalid_grant".to_owned(), "The request has an invalid grant parameter : code".into());
    let one = code();
    let (status, error, description) = refused(one.expose(), &[("redirect_uri", SECOND)]).await;
    assert_eq!((status, error.as_str()), (400, "invalid_grant"));
    assert!(description.as_str().unwrap().contains("redirect_uri"), "{description}");
    let other = browser.world.refresh_parameters(3);
    let foreign = [("client_id", other[2].1.as_str()), ("client_secret", other[3].1.as_str())];
    assert_eq!(refused(one.expose(), &foreign).await, of_code());
    assert_eq!(refused("NOSUCHCODE", &[]).await, of_code());
    assert_eq!(refused(one.expose(), &[("client_secret", "wrong")]).await.1, "invalid_client");
    let advance = |seconds| {
        let change = Change { advance_seconds: seconds, ..Change::default() };
        browser.world.emulator.switches().apply(change).unwrap();
    };
    advance(299);
    assert_eq!(browser.exchange(one.expose(), &[]).await.status, 200, "a wrong try takes nothing away");
    let old = code();
    advance(300);
    assert_eq!(refused(old.expose(), &[]).await, of_code());
}

#[tokio::test]
async fn what_is_registered_decides_and_each_fault_has_its_number() {
    let browser = Browser::new(registered()).await;
    let (to, query) = location(&browser.press("authorize", &[]).await);
    assert_eq!(to, CALLBACK, "the first that is registered");
    assert!(query.contains_key("spapi_oauth_code"));
    let (_, query) = location(&browser.press("authorize", &[("redirect_uri", SECOND)]).await);
    assert_eq!(query["with"], "query", "what it has stays");

    let elsewhere = [("redirect_uri", "https://elsewhere.example/")];
    assert_eq!(fault(browser.page(&elsewhere).await).await, "MD5101");
    assert_eq!(fault(browser.press("authorize", &elsewhere).await).await, "MD5101");
    assert_eq!(fault(browser.page(&[("redirect_uri", "https://portal.example/#x")]).await).await, "MD5110");
    assert_eq!(fault(browser.page(&[("application_id", "amzn1.sp.solution.none")]).await).await, "MD1000");
    assert_eq!(fault(browser.press("authorize", &[("user", "secondary")]).await).await, "SPDC8143");
    let stranger = browser.world.seller(3).seller_id.clone();
    assert_eq!(fault(browser.press("authorize", &[("seller", &stranger)]).await).await, "MD9999");
    assert_eq!(fault(browser.press("sing", &[]).await).await, "MD9999");
    browser.register(Some(Registration { draft: true, ..registered() }));
    assert_eq!(fault(browser.page(&[]).await).await, "MD1000");
    assert_eq!(browser.page(&[("version", "beta")]).await.status(), 200);
    assert_eq!(fault(browser.press("authorize", &[]).await).await, "MD1000");
    browser.register(None);
    assert_eq!(fault(browser.page(&[]).await).await, "MD9100");
    assert_eq!(browser.world.emulator.codes().len(), 2, "no fault gave a code");
}

#[tokio::test]
async fn a_refusal_gives_no_code_and_by_itself_comes_back_to_nobody() {
    let browser = Browser::new(registered()).await;
    let cancelled = browser.press("cancel", &[]).await;
    assert_eq!(cancelled.status(), 200);
    assert!(cancelled.text().await.unwrap().contains("Nothing was authorized"));
    browser.register(Some(Registration { cancel_returns: true, ..registered() }));
    let (to, query) = location(&browser.press("cancel", &[]).await);
    assert_eq!(to, CALLBACK);
    assert_eq!(query, HashMap::from([("error".into(), "access_denied".into()), ("state".into(), "s&1".into())]));
    assert!(browser.world.emulator.codes().is_empty());
}

#[tokio::test]
async fn with_a_log_in_uri_the_way_back_leads_by_it_and_once() {
    let hop = Registration { login_uri: Some(LOGIN.to_owned()), draft: true, ..registered() };
    let browser = Browser::new(hop).await;
    let (to, query) = location(&browser.press("authorize", &[("version", "beta")]).await);
    assert_eq!((to.as_str(), query["version"].as_str()), (LOGIN, "beta"));
    assert_eq!(query["selling_partner_id"], browser.world.seller(1).seller_id);
    assert!(browser.world.emulator.codes().is_empty(), "not yet");
    let back = &query["amazon_callback_uri"];
    let expected = format!("{}/apps/authorize/confirm/{}", browser.world.emulator.https_url(), browser.application());
    assert_eq!(*back, expected);

    let return_with = async |more: &[(&str, &str)]| {
        let state = [("amazon_state", query["amazon_state"].as_str()), ("state", "mine")];
        browser.world.client.get(back).query(&[&state, more].concat()).send().await.unwrap()
    };
    let (to, last) = location(&return_with(&[("version", "beta")]).await);
    assert_eq!((to.as_str(), last["state"].as_str()), (CALLBACK, "mine"));
    assert_eq!(browser.exchange(&last["spapi_oauth_code"], &[]).await.status, 200);
    assert_eq!(fault(return_with(&[("version", "beta")]).await).await, "MD9999", "once");
    let unknown = browser.world.client.get(back).query(&[("amazon_state", "unknown")]);
    assert_eq!(fault(unknown.send().await.unwrap()).await, "MD9999");
}

#[tokio::test]
async fn a_consent_after_a_revocation_works_and_what_was_before_stays_dead() {
    let browser = Browser::new(registered()).await;
    let seller = browser.world.seller(1).seller_id.clone();
    let before = browser.world.token(1).await;
    browser.world.emulator.switches().revoke(&seller).unwrap();
    assert_eq!(browser.world.refresh(1).await.status, 400);
    let code = browser.world.emulator.code(&seller, CALLBACK).unwrap();
    let granted = browser.exchange(code.expose(), &[]).await;
    assert_eq!(granted.status, 200);
    assert_eq!(browser.world.refresh(1).await.status, 400, "the old refresh token");
    let participations = "/sellers/v1/marketplaceParticipations";
    assert_eq!(browser.world.call(&before, participations, &[]).await.status, 403, "the old access token");
    let token = granted.body["access_token"].as_str().unwrap();
    assert_eq!(browser.world.call(token, participations, &[]).await.status, 200);
}

#[tokio::test]
async fn a_page_shows_nothing_of_a_request_as_markup() {
    let browser = Browser::new(registered()).await;
    let page = browser.page(&[("state", "\"><script>alert(1)</script>")]).await;
    let text = page.text().await.unwrap();
    assert!(!text.contains("<script") && text.contains("&lt;script"), "{text}");
}

#[tokio::test]
async fn whoever_runs_the_test_gets_codes_by_the_control_api() {
    let browser = Browser::new(registered()).await;
    let control = format!("{}/control/codes", browser.world.emulator.control_url());
    let seller = browser.world.seller(1).seller_id.clone();
    let wanted = serde_json::json!({ "seller": seller, "redirectUri": CALLBACK });
    let code = send(browser.world.client.post(&control).json(&wanted)).await;
    assert_eq!(code.status, 200);
    let code = code.body["code"].as_str().unwrap();
    assert_eq!(send(browser.world.client.get(&control)).await.body, serde_json::json!([code]));
    assert_eq!(browser.exchange(code, &[("redirect_uri", CALLBACK)]).await.status, 200);
    let stranger = serde_json::json!({ "seller": "nobody", "redirectUri": CALLBACK });
    assert_eq!(send(browser.world.client.post(&control).json(&stranger)).await.status, 400);
}
