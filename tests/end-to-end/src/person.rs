//! Somebody at the portal without a browser: cookies, forms and redirects, by hand.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use reqwest::{
    Certificate, Client, Method, StatusCode,
    header::{COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE},
};

use crate::{House, eventually};

/// One browser of one person.
pub struct Person<'h> {
    house: &'h House,
    client: Client,
    cookies: Mutex<BTreeMap<String, String>>,
    /// Where the Ingress says that the requests come from.
    address: String,
}

/// What the portal answered.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Page {
    /// Where it leads, `Location`.
    #[must_use]
    pub fn leads_to(&self) -> &str {
        self.headers.get(LOCATION).map(|to| to.to_str().unwrap()).unwrap_or_default()
    }

    /// The body, of an answer with 200.
    #[must_use]
    pub fn shown(self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }
}

impl House {
    /// A browser that the portal has never seen, at `address`.
    #[must_use]
    pub fn person(&self, address: &str) -> Person<'_> {
        let authority = Certificate::from_pem(self.ingress().authority().as_bytes()).unwrap();
        let client = Client::builder()
            .tls_certs_only([authority])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Person { house: self, client, cookies: Mutex::default(), address: address.to_owned() }
    }

    /// Somebody signed in.
    #[must_use]
    pub fn signed_in(&self, email: &str) -> Person<'_> {
        let person = self.person("192.0.2.1");
        person.sign_in(email);
        person
    }
}

impl Person<'_> {
    /// A request, with the cookies that this browser has, and `headers` besides.
    pub fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Page {
        let mut request = self.client.request(method, format!("{}{path}", self.house.ingress().url()));
        request = request.header("test-client-address", &self.address);
        let cookies: Vec<String> = self.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        self.house.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status(), answer.headers().clone());
            for set in headers.get_all(SET_COOKIE) {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                match value {
                    "" => self.cookies().remove(name),
                    value => self.cookies().insert(name.to_owned(), value.to_owned()),
                };
            }
            Page { status, headers, body: answer.text().await.unwrap() }
        })
    }

    fn cookies(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cookie of this browser.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies().get(name).cloned()
    }

    /// Gives this browser a cookie.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies().insert(name.to_owned(), value.to_owned());
    }

    /// Takes a cookie away.
    pub fn forget_cookie(&self, name: &str) {
        self.cookies().remove(name);
    }

    /// Opens a page.
    pub fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], None)
    }

    /// Sends a form, as a page of the portal would.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let origin = self.house.ingress().url();
        self.send(Method::POST, path, &[(ORIGIN.as_str(), &origin), ("sec-fetch-site", "same-origin")], Some(body))
    }

    /// Asks for a code and reads it in the mail.
    #[must_use]
    pub fn code(&self, email: &str) -> String {
        let before = self.house.mails_to(email).len();
        let asked = self.post("/sign-in", &[("email", email)]);
        assert_eq!((asked.status, asked.leads_to()), (StatusCode::SEE_OTHER, "/sign-in/code"), "{}", asked.body);
        eventually("the code is in the mail", || {
            let mails = self.house.mails_to(email);
            let mail = mails.get(before..)?.last()?.clone();
            code_in(&mail.text)
        })
    }

    /// Signs in with a code from the mail.
    pub fn sign_in(&self, email: &str) {
        let code = self.code(email);
        let entered = self.post("/sign-in/code", &[("code", &code)]);
        assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", entered.body);
    }

    /// Signs in and accepts the membership of a Team.
    pub fn join(&self, team: &str) {
        let accepted = self.post(&format!("/teams/{team}/{team}/accept"), &[]);
        assert_eq!(accepted.status, StatusCode::SEE_OTHER, "{}", accepted.body);
    }
}

/// The code in a mail: `ABCD-EFGH`.
fn code_in(text: &str) -> Option<String> {
    let is_half = |half: &str| half.len() == 4 && half.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let word =
        text.split_whitespace().find(|word| word.split_once('-').is_some_and(|(a, b)| is_half(a) && is_half(b)))?;
    Some(word.to_owned())
}
