//! Strangers who ask for codes without end: what it costs, and whom it keeps out.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crds::Role;
use futures::{StreamExt, stream};
use openteam_end_to_end::{House, alone, house};
use reqwest::{Certificate, Client, redirect::Policy};

/// Requests under way at a time.
const AT_ONCE: usize = 64;

/// Where somebody is, and for which address they ask for a code.
type Stranger = (String, String);

/// Asks one portal after the other for these, past the Ingress; how often each status was the answer.
fn flood(house: &House, strangers: impl Iterator<Item = Stranger>) -> BTreeMap<u16, usize> {
    let portals: Vec<_> = (0..House::PORTALS).map(|number| house.portal(number)).collect();
    let host = portals[0].host();
    let client = Client::builder()
        .tls_certs_only([Certificate::from_pem(house.authority().as_bytes()).unwrap()])
        .resolve(host, SocketAddr::from(([127, 0, 0, 1], 0)))
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let urls: Vec<_> = portals.iter().map(|portal| format!("https://{host}:{}/sign-in", portal.port)).collect();
    let asked = stream::iter(strangers.enumerate()).map(|(number, (from, email))| {
        let request = client.post(&urls[number % urls.len()]).header("x-forwarded-for", from);
        let request = request.header("sec-fetch-site", "same-origin").form(&[("email", email)]);
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let statuses = house.block_on(asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>());
    let mut counted = BTreeMap::new();
    for status in statuses {
        *counted.entry(status).or_default() += 1;
    }
    counted
}

/// Somebody new each time, in another network.
fn from_everywhere(name: &str) -> impl Iterator<Item = Stranger> {
    (0_u32..).map(move |number| {
        let [_, b, c, d] = number.to_be_bytes();
        (format!("2001:db8:{b:x}{c:02x}:{d:x}::1"), format!("nobody-{number}@{name}.example"))
    })
}

/// The addresses in all PortalUsers.
fn known(house: &House) -> String {
    house.kubectl().run(&["get", "portalusers", "-n", "openteam-system", "-o", "jsonpath={..spec.email}"]).unwrap()
}

fn makes_no_object(count: usize) {
    let house = alone();
    let tenant = house.tenant("portal-flood");
    let (owner, email) = (house.person("192.0.2.120"), tenant.member(Role::Owner));
    owner.sign_in(&email);
    let before = known(&house);
    let answers = flood(&house, from_everywhere("flood").take(count));
    // As if a code were on its way, or slower. Nothing is worn out.
    assert!(answers.keys().all(|status| [303, 429].contains(status)), "{answers:?}");
    assert!(answers[&303] > 0 && answers[&429] > 0, "{answers:?}");
    // What waited has been looked up: this waits behind it, in both portals.
    for _ in 0..House::PORTALS {
        owner.post("/sign-out", &[]);
        owner.sign_in(&email);
    }
    assert_eq!(known(&house), before, "nobody is kept of whom nobody knows");
}

#[test]
fn strangers_that_nobody_knows_make_no_object() {
    makes_no_object(2_000);
}

#[test]
#[ignore = "takes a minute; cargo xtask test --soak runs it"]
fn soak_100_000_strangers_make_no_object() {
    makes_no_object(100_000);
}

/// Signs somebody in who was not known before, and somebody who was, while strangers come.
fn leave_the_door_open(house: &House, name: &str, strangers: impl Iterator<Item = Stranger> + Send, new: bool) {
    let tenant = house.tenant(name);
    let (known, unknown) = (house.person("192.0.2.121"), house.person("192.0.2.122"));
    let (owner, member) = (tenant.member(Role::Owner), tenant.member(Role::Member));
    known.sign_in(&owner);
    known.post("/sign-out", &[]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(house, strangers.take_while(|_| !over.load(Ordering::Relaxed))));
        // Also where one of these fails.
        let end = OnDrop(&over);
        for _ in 0..3 {
            known.sign_in(&owner);
            known.post("/sign-out", &[]);
        }
        if new {
            unknown.sign_in(&member);
        }
        drop(end);
        let answers = flood.join().unwrap();
        assert!(answers.get(&429).is_some_and(|count| *count > 100), "it was a flood: {answers:?}");
        assert!(answers.keys().all(|status| [303, 429].contains(status)), "{answers:?}");
    });
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_from_one_network_keeps_no_other_out() {
    let house = house();
    let all_addresses_of_it = (0_u32..).map(|number| {
        let email = format!("nobody-{number}@one-network.example");
        (format!("2001:db8:ffff:ffff::{number:x}", number = number & 0xffff), email)
    });
    leave_the_door_open(&house, "portal-one-network", all_addresses_of_it, true);
}

#[test]
fn a_flood_from_everywhere_keeps_no_known_browser_out() {
    let house = alone();
    leave_the_door_open(&house, "portal-everywhere", from_everywhere("everywhere"), false);
}

#[test]
fn a_made_up_address_before_the_proxys_own_word_counts_for_nothing() {
    // In the flood of another test this network would be one of the others that are not told apart.
    let house = alone();
    let lies = (0_u32..60).map(|number| {
        let lie = match number % 4 {
            0 => format!("203.0.113.{number}, "),
            1 => format!("::{number:x},,  , "),
            2 => format!("\u{e9}{number}, "),
            _ => "for=203.0.113.1;by=203.0.113.2, ".repeat(20),
        };
        (format!("{lie}198.18.255.77"), format!("nobody-{number}@lies.example"))
    });
    let answers = flood(&house, lies);
    // Twenty an hour for a network, at each portal.
    let most = 20 * House::PORTALS;
    assert!(answers[&303] <= most && answers[&429] >= 60 - most, "{answers:?}");
    openteam_end_to_end::eventually("the record tells where they were", || {
        // Ten seconds that a flood from everywhere filled may not be over.
        flood(&house, std::iter::once(("203.0.113.9, 198.18.255.77".to_owned(), "nobody@lies.example".to_owned())));
        let journal = serde_json::to_string(&house.journal()).unwrap();
        assert!(!journal.contains("203.0.113."), "and not where they said");
        journal.contains("198.18.255.").then_some(())
    });
}
