//! An emulator with three sellers, and a client that trusts it.

use openteam_amazon_emulator::{Application, Clock, Emulator, Region, Secret, Seed, Seller};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, redirect::Policy};
use serde_json::Value;

pub(crate) const US: &str = "ATVPDKIKX0DER";
pub(crate) const CA: &str = "A2EUQ1WTGCTBG2";
pub(crate) const MX: &str = "A1AM78C64UM0Y8";
pub(crate) const BR: &str = "A2Q3Y263D00KWC";
pub(crate) const DE: &str = "A1PA6795UKMFR9";
pub(crate) const EU_HOST: &str = "sellingpartnerapi-eu.amazon.com";
pub(crate) const AFTER: (&str, &str) = ("CreatedAfter", "2020-01-01");

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) seed: Seed,
    pub(crate) client: Client,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.json().await.expect("the body is JSON") }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("header values are text"))
    }

    /// Status, code and details of an SP-API error.
    pub(crate) fn refusal(&self) -> (u16, &str, &str) {
        let error = &self.body["errors"][0];
        let text = |name: &str| error[name].as_str().expect("an error has code and details");
        (self.status.as_u16(), text("code"), text("details"))
    }
}

impl World {
    /// Sellers: NA (US, CA, MX), NA (US, CA) and EU (GB, DE), the last of an application of its own.
    pub(crate) async fn new() -> Self {
        Self::at(Clock::system()).await
    }

    pub(crate) async fn at(clock: Clock) -> Self {
        Self::serving(Region::NA, clock).await
    }

    /// Other hosts than Amazon's are served as this region.
    pub(crate) async fn serving(region: Region, clock: Clock) -> Self {
        let mut seed = Seed::made_up().expect("there is randomness");
        let made_up = Seed::made_up().expect("there is randomness");
        let application: Application = made_up.applications.into_iter().next().expect("one application");
        seed.region = region;
        seed.sellers.push(Seller {
            seller_id: "A0EUROPEANSELL".to_owned(),
            refresh_token: Secret::new(format!("{}|{}", "Atzr", "e".repeat(348))),
            client_id: application.client_id.clone(),
            region: Region::EU,
            marketplaces: vec!["A1F83G8C2ARO7P".to_owned(), DE.to_owned()],
            suspended: vec![DE.to_owned()],
        });
        seed.applications.push(application);
        let emulator = Emulator::start_at(seed.clone(), clock).await.expect("the emulator starts");
        let ca = Certificate::from_pem(emulator.ca_pem().expect("it has its own").as_bytes()).expect("the CA is PEM");
        let client = Client::builder()
            .tls_certs_only([ca])
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .expect("the client is right");
        Self { emulator, seed, client }
    }

    pub(crate) fn seller(&self, number: usize) -> &Seller {
        &self.seed.sellers[number - 1]
    }

    fn application(&self, client_id: &str) -> &Application {
        self.seed.applications.iter().find(|one| one.client_id == client_id).expect("seeded")
    }

    /// The right parameters of a refresh for this seller.
    pub(crate) fn refresh_parameters(&self, number: usize) -> Vec<(&'static str, String)> {
        let seller = self.seller(number);
        let secret = self.application(&seller.client_id).client_secret.expose().to_owned();
        vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", seller.refresh_token.expose().to_owned()),
            ("client_id", seller.client_id.clone()),
            ("client_secret", secret),
        ]
    }

    pub(crate) fn login(&self) -> RequestBuilder {
        self.client.post(format!("{}/auth/o2/token", self.emulator.https_url()))
    }

    pub(crate) async fn refresh(&self, number: usize) -> Answer {
        send(self.login().form(&self.refresh_parameters(number))).await
    }

    pub(crate) async fn token(&self, number: usize) -> String {
        let answer = self.refresh(number).await;
        answer.body["access_token"].as_str().expect("the refresh is granted").to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.emulator.https_url()))
    }

    /// A call with this token and these parameters.
    pub(crate) async fn call(&self, token: &str, path: &str, parameters: &[(&str, &str)]) -> Answer {
        send(self.get(path).header("x-amz-access-token", token).query(parameters)).await
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.expect("the emulator answers")).await
}

/// The texts under this key of every element.
pub(crate) fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().map(|one| one[key].as_str().expect("a text")).collect()
}
