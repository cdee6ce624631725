//! Amazon, as the house knows it: the emulator behind a tapped line, and sellers to hand out.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use amazon_emulator::{
    Application, Authority, Call, Change, Clock, Counters, Emulator, Grant, Identity, Listeners, Secret, Seed, Seller,
    Switches,
};

use crate::wire::{Heard, Wire};

/// The marketplace of the United States.
pub const US: &str = "ATVPDKIKX0DER";
/// The marketplace of Canada.
pub const CA: &str = "A2EUQ1WTGCTBG2";
/// The marketplace of Mexico.
pub const MX: &str = "A1AM78C64UM0Y8";
/// The marketplace of Germany, in another region than the sellers here.
pub const DE: &str = "A1PA6795UKMFR9";

/// More than any test binary takes.
const SELLERS: usize = 240;

/// Applications besides the one that most tests share, each with a seller.
const APPLICATIONS: usize = 40;

/// The emulated Amazon, and what it knows.
pub struct Amazon {
    emulator: Emulator,
    /// Before the Selling Partner API.
    wire: Wire,
    /// Before Login with Amazon.
    login: Wire,
    authority: String,
    application: Application,
    /// Every seller takes part in US, CA and MX.
    sellers: Vec<Seller>,
    taken: Mutex<usize>,
    /// Each of the applications that nobody shares is that of the seller at its place behind the others, and of one more.
    applications: Vec<Application>,
    applications_taken: Mutex<usize>,
    /// Certificate and key for `localhost`, PEM.
    identity: (String, String),
}

impl Amazon {
    pub(crate) async fn start() -> Self {
        let authority = Authority::make(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let made_up = Seed::made_up().unwrap();
        let application = made_up.applications[0].clone();
        let seller =
            |_| Seller { client_id: application.client_id.clone(), ..Seed::made_up().unwrap().sellers.remove(0) };
        let mut sellers: Vec<Seller> = (0..SELLERS).map(seller).collect();
        let mut applications = Vec::new();
        for _ in 0..APPLICATIONS {
            let mut own = Seed::made_up().unwrap();
            applications.push(own.applications.remove(0));
            sellers.push(own.sellers.remove(0));
        }
        // Behind them a second one of each, for who connects more than one.
        for application in &applications {
            let other = Seed::made_up().unwrap().sellers.remove(0);
            sellers.push(Seller { client_id: application.client_id.clone(), ..other });
        }
        let all = [&made_up.applications[..], &applications[..]].concat();
        let seed = Seed { sellers: sellers.clone(), applications: all, ..made_up };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let identity = Identity::from_pem(&authority.certificate, &authority.key).unwrap();
        let listeners = Listeners { tls: any, identity, control: any, plain: Some(any) };
        let emulator = Emulator::serve(seed, Clock::system(), listeners).await.unwrap();
        let plain = emulator.plain_url().unwrap();
        let port = plain.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
        let plain = SocketAddr::from(([127, 0, 0, 1], port));
        let (wire, login) = (Wire::start(&authority, plain).await, Wire::start(&authority, plain).await);
        let identity = (authority.certificate, authority.key);
        let (taken, applications_taken, authority) = (Mutex::new(0), Mutex::new(0), authority.ca);
        Self {
            emulator,
            wire,
            login,
            authority,
            application,
            sellers,
            taken,
            applications,
            applications_taken,
            identity,
        }
    }

    /// An application that nobody else has, its seller, and the seller's number.
    pub(crate) fn take_application(&self) -> (Application, usize, Seller) {
        let mut taken = self.applications_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let application = self.applications.get(*taken).expect("an application is left; raise APPLICATIONS").clone();
        let at = SELLERS + *taken;
        *taken += 1;
        (application, at + 1, self.sellers[at].clone())
    }

    /// Who sells with an application.
    pub(crate) fn sellers_of(&self, application: &Application) -> Vec<Seller> {
        self.sellers.iter().filter(|one| one.client_id == application.client_id).cloned().collect()
    }

    /// Certificate and key for `localhost`, PEM, by the authority of [`Self::endpoints`].
    pub(crate) fn identity(&self) -> &(String, String) {
        &self.identity
    }

    /// The authority of [`Self::endpoints`], PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The emulator itself.
    #[must_use]
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Every client secret that there was.
    pub(crate) fn client_secrets(&self) -> Vec<String> {
        let seeded = [&self.application].into_iter().chain(&self.applications).map(|one| one.client_secret.clone());
        seeded.chain(self.emulator.rotated_secrets()).map(|secret| secret.expose().to_owned()).collect()
    }

    /// A seller that nobody else has, and its number, which is part of its order ids.
    pub(crate) fn take_seller(&self) -> (usize, Seller) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let seller = self.sellers[..SELLERS].get(*taken).expect("a seller is left; raise SELLERS").clone();
        *taken += 1;
        (*taken, seller)
    }

    /// `spec.endpoints` of an AmazonApplication: each by a line that can be torn.
    #[must_use]
    pub fn endpoints(&self) -> crds::Endpoints {
        crds::Endpoints {
            lwa: Some(self.login.url()),
            selling_partner_api: Some(self.wire.url()),
            ca_bundle: Some(self.authority.clone()),
            ..crds::Endpoints::default()
        }
    }

    /// Where sellers consent: an origin, and another site than the portal is, for a browser.
    #[must_use]
    pub fn consent_url(&self) -> String {
        self.emulator.https_url().replace("localhost", "127.0.0.1")
    }

    /// The one application registered.
    #[must_use]
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// Address of the tapped SP-API.
    #[must_use]
    pub fn url(&self) -> String {
        self.wire.url()
    }

    /// Tears the line to the Selling Partner API, or mends it. Only for who is [`crate::alone`].
    pub fn tear(&self, torn: bool) {
        self.wire.tear(torn);
    }

    /// The same of the line to Login with Amazon.
    pub fn tear_login(&self, torn: bool) {
        self.login.tear(torn);
    }

    /// The switches. Only for who is [`crate::alone`]: they are for all sellers.
    #[must_use]
    pub fn switches(&self) -> &Switches {
        self.emulator.switches()
    }

    /// Makes so many of a seller's next calls exceed its quota; it disturbs no other test.
    pub fn throttle(&self, seller: &Seller, calls: u32) {
        let throttled = [(seller.seller_id.clone(), calls)].into();
        self.switches().apply(Change { throttled, ..Change::default() }).unwrap();
    }

    /// Answers being trickled right now.
    #[must_use]
    pub fn open_streams(&self) -> u64 {
        self.emulator.counters().open_streams
    }

    /// The last 1000 calls, of every test.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.emulator.calls()
    }

    /// How many calls there were, of every test.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.emulator.counters()
    }

    /// How often a seller's refresh token was used.
    #[must_use]
    pub fn refreshes_of(&self, seller: &Seller) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.operation == "lwa" && call.seller.as_ref() == Some(&seller.seller_id))
            .count()
    }

    /// The requests that came over the line with `mark` in path or query.
    #[must_use]
    pub fn heard(&self, mark: &str) -> Vec<Heard> {
        self.wire.heard().into_iter().filter(|one| one.target().contains(mark)).collect()
    }

    /// Every access token that Amazon handed out.
    #[must_use]
    pub fn access_tokens(&self) -> Vec<String> {
        self.emulator.access_tokens()
    }

    /// Every seller's credentials.
    #[must_use]
    pub fn sellers(&self) -> &[Seller] {
        &self.sellers
    }

    /// Every access token that came over the line.
    #[must_use]
    pub fn access_tokens_seen(&self) -> Vec<String> {
        let mut seen: Vec<String> =
            self.wire.heard().iter().flat_map(|one| one.all("x-amz-access-token")).map(str::to_owned).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

/// The switch by which a seller ends one refresh token, and no other.
#[must_use]
pub fn ended(refresh_token: &Secret) -> Change {
    Change { ended: vec![refresh_token.clone()], ..Change::default() }
}

/// The switch that takes a seller's grant back; for that seller only, so it disturbs no other test.
#[must_use]
pub fn revoked(seller: &Seller) -> Change {
    Change { grants: [(seller.seller_id.clone(), Grant::Revoked)].into(), ..Change::default() }
}
