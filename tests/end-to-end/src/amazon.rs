//! Amazon, as the house knows it: the emulator behind a tapped line, and sellers to hand out.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use amazon_emulator::{
    Application, Authority, Call, Change, Clock, Emulator, Grant, Identity, Listeners, Seed, Seller, Switches,
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
const SELLERS: usize = 40;

/// The emulated Amazon, and what it knows.
pub struct Amazon {
    emulator: Emulator,
    wire: Wire,
    authority: String,
    application: Application,
    /// Every seller takes part in US, CA and MX.
    sellers: Vec<Seller>,
    taken: Mutex<usize>,
}

impl Amazon {
    pub(crate) async fn start() -> Self {
        let authority = Authority::make(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let made_up = Seed::made_up().unwrap();
        let application = made_up.applications[0].clone();
        let seller =
            |_| Seller { client_id: application.client_id.clone(), ..Seed::made_up().unwrap().sellers.remove(0) };
        let sellers: Vec<Seller> = (0..SELLERS).map(seller).collect();
        let seed = Seed { sellers: sellers.clone(), ..made_up };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let identity = Identity::from_pem(&authority.certificate, &authority.key).unwrap();
        let listeners = Listeners { tls: any, identity, control: any, plain: Some(any) };
        let emulator = Emulator::serve(seed, Clock::system(), listeners).await.unwrap();
        let plain = emulator.plain_url().unwrap();
        let port = plain.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
        let wire = Wire::start(&authority, SocketAddr::from(([127, 0, 0, 1], port))).await;
        Self { emulator, wire, authority: authority.ca, application, sellers, taken: Mutex::new(0) }
    }

    /// A seller that nobody else has, and its number, which is part of its order ids.
    pub(crate) fn take_seller(&self) -> (usize, Seller) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let seller = self.sellers.get(*taken).expect("a seller is left; raise SELLERS").clone();
        *taken += 1;
        (*taken, seller)
    }

    /// `spec.endpoints` of an AmazonApplication: LWA directly, SP-API by the tapped line.
    pub(crate) fn endpoints(&self) -> crds::Endpoints {
        crds::Endpoints {
            lwa: Some(self.emulator.https_url()),
            selling_partner_api: Some(self.wire.url()),
            ca_bundle: Some(self.authority.clone()),
        }
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

    /// The switches. Only for who is [`crate::alone`]: they are for all sellers.
    #[must_use]
    pub fn switches(&self) -> &Switches {
        self.emulator.switches()
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

/// The switch that takes a seller's grant back; for that seller only, so it disturbs no other test.
#[must_use]
pub fn revoked(seller: &Seller) -> Change {
    Change { grants: [(seller.seller_id.clone(), Grant::Revoked)].into(), ..Change::default() }
}
