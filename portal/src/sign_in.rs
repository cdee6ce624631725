//! Signing in by a code from one's mail (facts: NIST SP 800-63B-4, section 3.1.3.1, on what such a code is good for).
//!
//! Whether an address belongs to anybody shows nowhere: asking for a code is answered before it is looked up, and entering
//! one takes the same time for everybody.

mod code;
mod limits;
mod plan;
mod post;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use audit::{Reason, RefusalCounter, SignIn as SignInEvent, Step, Strangers};
use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use process::mail::EmailAddress;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

pub(crate) use self::post::Post;
use self::{
    code::Code,
    limits::Limits,
    plan::{Asked, Tried},
};
use crate::{
    answer::{Refusal, page, page_with, see_other, set_cookie},
    cookie::{BrowserCookie, LoginCookie, SessionCookie},
    keys::{hash, random},
    network,
    page::{Field, Limited, Shell, SignIn, SignInCode},
    portal::{Ask, Fields, Portal, browser_of},
    session::{self, ABSOLUTE},
};

/// Requests for a code that wait to be looked up.
const WAITING: usize = 1024;
/// When the answer to a code is given: longer than finding out takes, so that the time tells nothing.
const ANSWER_AFTER: Duration = Duration::from_millis(300);
/// What is said of a code that is not taken, whatever the reason.
const NOT_TAKEN: &str =
    "That is not the code from the newest mail, or it is used up. Look again, or start over to get another.";

/// Somebody asked for a code.
pub(crate) struct Request {
    email: String,
    /// Hash of what the browser holds.
    browser: String,
    /// Id of the browser, where the person has signed in with it before.
    known: Option<String>,
    from: IpAddr,
}

/// The door: what waits to be looked up, and who is too fast.
pub(crate) struct Door {
    limits: Limits,
    /// Requests of known browsers by themselves: no flood of others is before them.
    known: Sender<Request>,
    others: Sender<Request>,
    strangers: Mutex<RefusalCounter>,
}

/// The other end of the door.
pub(crate) struct Requests {
    known: Receiver<Request>,
    others: Receiver<Request>,
}

impl Door {
    pub(crate) fn new() -> (Self, Requests) {
        let ((known, known_requests), (others, other_requests)) = (channel(WAITING), channel(WAITING));
        let door = Self { limits: Limits::default(), known, others, strangers: Mutex::default() };
        (door, Requests { known: known_requests, others: other_requests })
    }

    /// Counts something fruitless of whom nobody knows.
    pub(crate) fn stranger(&self, from: IpAddr, reason: &'static str) {
        let mut counter = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        counter.add(from, Reason::new(reason), Timestamp::now());
    }

    /// Records what was counted, once a second, for as long as the future is polled.
    pub(crate) async fn tell(&self, recorder: &audit::Recorder) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.limits.forget_old();
            let due = self.strangers.lock().unwrap_or_else(PoisonError::into_inner).due(Timestamp::now());
            due.into_iter().for_each(|counted| recorder.record_later(Strangers(counted)));
        }
    }

    /// Everything that was counted, at the end.
    pub(crate) fn flush(&self, recorder: &audit::Recorder) {
        let all = self.strangers.lock().unwrap_or_else(PoisonError::into_inner).all();
        all.into_iter().for_each(|counted| recorder.record_later(Strangers(counted)));
    }
}

/// `GET /sign-in`.
pub(crate) fn form(ask: &Ask) -> Response<Body> {
    let next = own_path(ask.parameters().one("next"));
    page(&SignIn { shell: Shell::default(), email: Field::default(), next })
}

/// `POST /sign-in`: answered before anything is looked up.
pub(crate) fn request(ask: &Ask, form: &Fields) -> Result<Response<Body>, Refusal> {
    let portal = &ask.portal;
    let typed = form.text("email");
    let next = own_path(form.one("next"));
    let Ok(address) = typed.parse::<EmailAddress>() else {
        let error = "Enter the whole address, such as ada@acme.example.";
        let again = SignIn { shell: Shell::default(), email: Field::wrong(typed, error), next };
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &again, &Vec::new()));
    };
    let email = address.as_str().to_lowercase();
    let known = known_browser(portal, ask, &email);
    let may = match &known {
        Some(browser) => portal.door.limits.may_ask_again(browser),
        None => portal.door.limits.may_ask(network::network(ask.from)),
    };
    if !may {
        portal.door.stranger(ask.from, "TooManyCodes");
        return Ok(limited(portal));
    }
    let secret = random()?;
    let request = Request { email: email.clone(), browser: hash(&secret), known, from: ask.from };
    let lane = if request.known.is_some() { &portal.door.known } else { &portal.door.others };
    if lane.try_send(request).is_err() {
        return Err(Refusal::Unavailable);
    }
    let mut response = see_other("/sign-in/code");
    set_cookie(&mut response, LoginCookie { secret, email, next }.set(&portal.keys));
    Ok(response)
}

/// The id of the browser that asks, if the person of this address has signed in with it before.
fn known_browser(portal: &Portal, ask: &Ask, email: &str) -> Option<String> {
    let cookie = BrowserCookie::of(&ask.headers, &portal.keys)?;
    if cookie.user != portal.keys.user_name(email) {
        return None;
    }
    let user = portal.users.get(&cookie.user)?;
    plan::known(&user.spec, &hash(&cookie.secret), ask.now).map(|browser| browser.id.clone())
}

/// `GET /sign-in/code`.
pub(crate) fn code_form(ask: &Ask) -> Response<Body> {
    match LoginCookie::of(&ask.headers, &ask.portal.keys) {
        Some(login) => page(&code_page(login.email, None)),
        None => see_other("/sign-in"),
    }
}

fn code_page(email: String, error: Option<&str>) -> SignInCode {
    let minutes = u32::try_from(plan::CODE_LIFE.as_mins()).unwrap_or_default();
    let code = Field { value: String::new(), error: error.map(str::to_owned) };
    SignInCode { shell: Shell::default(), email, minutes, code }
}

/// `POST /sign-in/code`.
pub(crate) async fn enter(ask: &Ask, form: &Fields) -> Result<Response<Body>, Refusal> {
    let answer_at = Instant::now() + ANSWER_AFTER;
    let portal = &ask.portal;
    let Some(login) = LoginCookie::of(&ask.headers, &portal.keys) else { return Ok(see_other("/sign-in")) };
    let Some(code) = Code::read(form.one("code")) else {
        let error = "A code has 8 letters and digits, such as K7QM-2XWD. It is in the mail.";
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &code_page(login.email, Some(error)), &Vec::new()));
    };
    if !portal.door.limits.may_try(network::network(ask.from)) {
        portal.door.stranger(ask.from, "TooManyTries");
        return Ok(limited(portal));
    }
    let signed = sign_in(ask, &login, &code).await;
    sleep_until(answer_at).await;
    match signed? {
        Some((session, browser)) => {
            let mut response = see_other(login.next.as_deref().unwrap_or("/"));
            set_cookie(&mut response, session.set(&portal.keys));
            set_cookie(&mut response, browser.set(&portal.keys));
            set_cookie(&mut response, LoginCookie::clear());
            Ok(response)
        }
        None => Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &code_page(login.email, Some(NOT_TAKEN)), &Vec::new())),
    }
}

/// Compares the code, and begins a session where it is right.
async fn sign_in(
    ask: &Ask,
    login: &LoginCookie,
    code: &Code,
) -> Result<Option<(SessionCookie, BrowserCookie)>, Refusal> {
    let portal = &ask.portal;
    let name = portal.keys.user_name(&login.email);
    let browser = hash(&login.secret);
    let kept = code.hash(&portal.keys, &browser);
    let is_member = !access::memberships(&ask.index, &login.email).is_empty();
    // By address: under other keys of the portal's the person would have another name.
    let contained = portal.users.is_contained(&login.email);
    if !is_member || contained {
        portal.door.stranger(ask.from, if contained { "Contained" } else { "NotAMember" });
        return Ok(None);
    }
    let (session_secret, browser_secret) = (random()?, random()?);
    let (session_hash, browser_hash) = (hash(&session_secret), hash(&browser_secret));
    let (session_id, browser_id) = (&id(&session_hash), &id(&browser_hash));
    let before = known_browser(portal, ask, &login.email);
    // The session that the person had here ends with the new one.
    let old = SessionCookie::of(&ask.headers, &portal.keys).filter(|old| old.user == name).map(|old| hash(&old.secret));
    let (label, network) = (browser_of(&ask.headers), network::coarse(ask.from));
    let from = portal.keys.network(network::network(ask.from));
    let changed = portal
        .users
        .change(&name, |spec| {
            let tried = plan::enter(spec, &browser, &from, &kept, ask.now);
            if tried == Tried::Right {
                spec.sessions.retain(|session| Some(&session.hash) != old.as_ref());
                let new = session::New { id: session_id, hash: &session_hash };
                session::begin(spec, &new, label.clone(), network.clone(), ask.now);
                let new = session::New { id: browser_id, hash: &browser_hash };
                session::know(spec, before.as_deref(), &new, ask.now);
            }
            tried
        })
        .await;
    let tried = match changed {
        Ok(tried) => tried.unwrap_or(Tried::NoCode),
        // An answer of its own would tell that there was something to write.
        Err(error) => {
            tracing::warn!(error = crate::answer::chain(&error), "a code could not be looked at");
            return Ok(None);
        }
    };
    let person = ask.person(&login.email);
    let event = |step| SignInEvent { person: person.clone(), step };
    let failed = |reason| portal.recorder.record_later(event(Step::LogonFailed(Reason::new(reason))));
    match tried {
        Tried::Right => {
            let digest = session::digest(&session_hash);
            // The session is there, but nobody has it until this is recorded.
            if let Err(error) = portal.recorder.record(event(Step::LoggedOn(digest, ask.now + ABSOLUTE))).await {
                portal
                    .users
                    .change(&name, |spec| {
                        spec.sessions.retain(|session| session.hash != session_hash);
                        spec.browsers.retain(|browser| browser.hash != browser_hash);
                    })
                    .await?;
                return Err(error.into());
            }
            let session = SessionCookie { user: name.clone(), secret: session_secret };
            return Ok(Some((session, BrowserCookie { user: name, secret: browser_secret })));
        }
        Tried::Wrong => failed("WrongCode"),
        Tried::NoCode => failed("NoCode"),
        Tried::Locked => failed("Locked"),
        Tried::LockedNow => {
            failed("WrongCode");
            portal.recorder.record_later(event(Step::Locked(ask.now + plan::LOCK)));
            portal.counts.locked();
            post::lock(portal, &login.email);
        }
    }
    Ok(None)
}

/// `POST /sign-out`.
pub(crate) async fn out(ask: &Ask, visitor: &crate::portal::Visitor) -> Result<Response<Body>, Refusal> {
    let id = &visitor.session.id;
    ask.portal.users.change(&visitor.name, |spec| spec.sessions.retain(|session| session.id != *id)).await?;
    let person = ask.person(&visitor.email);
    let step = Step::LoggedOff(visitor.digest.clone(), Reason::new("SignedOut"));
    ask.portal.recorder.record_later(SignInEvent { person, step });
    let mut response = see_other("/sign-in");
    set_cookie(&mut response, SessionCookie::clear());
    // What this browser still shows of it (Clear Site Data).
    crate::answer::set(&mut response, axum::http::HeaderName::from_static("clear-site-data"), "\"cache\"");
    Ok(response)
}

/// Looks requests up and mails codes, until the door is gone. Those of known browsers wait for no others.
pub(crate) async fn serve(portal: Arc<Portal>, requests: Requests) {
    tokio::join!(lane(&portal, requests.known), lane(&portal, requests.others));
}

async fn lane(portal: &Arc<Portal>, mut requests: Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        if let Err(error) = look_up(portal, &request).await {
            tracing::warn!(error = crate::answer::chain(&error), "a sign-in code was not made");
        }
    }
}

async fn look_up(portal: &Arc<Portal>, request: &Request) -> Result<(), Refusal> {
    let index = portal.index()?;
    if access::memberships(&index, &request.email).is_empty() {
        portal.door.stranger(request.from, "NotAMember");
        return Ok(());
    }
    let name = portal.keys.user_name(&request.email);
    portal.users.ensure(&name, &request.email).await?;
    let code = Code::new()?;
    let kept = code.hash(&portal.keys, &request.browser);
    let now = Timestamp::now();
    let network = portal.keys.network(network::network(request.from));
    let from = plan::From { browser: &request.browser, known: request.known.as_deref(), network: &network };
    let asked = portal.users.change(&name, |spec| plan::ask(spec, &from, &kept, now)).await?;
    let person = audit::Person {
        address: portal.keys.digests.email(&request.email),
        source: audit::Source::Address(request.from),
    };
    let step = match asked {
        Some(Asked::Mail) => {
            post::code(portal, &request.email, &code, request.known.is_some());
            Step::CodeAsked
        }
        Some(Asked::Locked) => Step::CodeRefused(Reason::new("Locked")),
        Some(Asked::TooMany) => Step::CodeRefused(Reason::new("TooManyCodes")),
        None => return Ok(()),
    };
    portal.recorder.record_later(SignInEvent { person, step });
    Ok(())
}

fn limited(portal: &Portal) -> Response<Body> {
    let contact = portal.contact.as_ref().map(ToString::to_string);
    page_with(StatusCode::TOO_MANY_REQUESTS, &Limited { shell: Shell::default(), contact }, &Vec::new())
}

/// Names a session or a browser: a part of the hash, which is no secret.
fn id(hash: &str) -> String {
    hash.chars().take(16).collect()
}

/// Where somebody wanted to go: a path of the portal's own pages, or nowhere.
pub(crate) fn own_path(text: &str) -> Option<String> {
    let (path, _) = text.split_once('?').unwrap_or((text, ""));
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
    let route = crate::route::Route::parse(path)?;
    let shows = route.needs(&axum::http::Method::GET).is_some();
    let leads_back =
        !matches!(route, crate::route::Route::SignIn | crate::route::Route::Code | crate::route::Route::Callback);
    (plain && shows && leads_back && text.len() <= 2048).then(|| text.to_owned())
}

/// 16 hexadecimal digits from the operating system.
pub(crate) fn random_id() -> Result<String, Refusal> {
    Ok(HEXLOWER.encode(&random()?[..8]))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn after_signing_in_one_goes_on_within_the_portal_only() {
        for own in ["/", "/teams/acme/acme", "/teams/acme/acme/activity?before=7", "/sessions"] {
            assert_eq!(own_path(own).as_deref(), Some(own));
        }
        for other in [
            "",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/teams/acme/acme\r\nSet-Cookie: a=b",
            "/sign-in",
            "/sign-in/code",
            "/amazon/callback?state=x",
            "/sign-out",
            "/nowhere",
            "/teams/acme/acme#x",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(other), None, "{other}");
        }
        assert_eq!(own_path(&format!("/?{}", "a".repeat(2050))), None);
    }

    /// What somebody might put where a path is expected.
    fn anything() -> impl Strategy<Value = String> {
        let own = ["/", "/teams/acme/acme", "/sessions", "/amazon/login", "/security", "/teams/../acme"];
        let piece = prop_oneof![
            prop::sample::select(own.to_vec()).prop_map(str::to_owned),
            prop::sample::select(vec![
                "//",
                "\\",
                "..",
                "?",
                "#",
                "@",
                ":",
                "https:",
                "evil.example",
                "\r\n",
                "\t",
                "%2f"
            ])
            .prop_map(str::to_owned),
            "\\PC{0,6}",
        ];
        prop_oneof!["\\PC*", vec(piece, 0..5).prop_map(|pieces| pieces.concat())]
    }

    proptest! {
        /// It goes into `Location` after a sign-in, and into a form before: it stays on the portal whoever made the link, and
        /// the browser takes it for what it was taken for here.
        #[test]
        fn wherever_a_link_wants_to_lead_it_leads_to_a_page_of_the_portal(text in anything()) {
            if let Some(path) = own_path(&text) {
                let own: url::Url = "https://portal.example".parse().unwrap();
                let to = own.join(&path).unwrap();
                prop_assert_eq!(to.origin(), own.origin());
                prop_assert!(to.path() == path.split('?').next().unwrap() && to.fragment().is_none());
                prop_assert!(to.username().is_empty() && to.password().is_none());
                let header = axum::http::HeaderValue::from_str(&path).unwrap();
                prop_assert_eq!(header.to_str().unwrap(), path.as_str());
                let route = crate::route::Route::parse(to.path()).unwrap();
                prop_assert!(route.needs(&axum::http::Method::GET).is_some(), "only a page that is shown");
            }
        }
    }
}
