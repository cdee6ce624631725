//! Rotating a client secret while an agent calls.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

use crds::{AmazonApplication, AmazonConnection, annotation::ROTATE};
use serde_json::json;

use crate::{Tenant, US, within};

/// Annotates the tenant's application with a new value, calls all the while at every gateway, and demands that each call is
/// served, until the connection is proven with the new secret and for some calls more.
///
/// # Panics
/// A call is not served, or no new secret comes within two minutes.
pub fn rotate_while_serving(tenant: &Tenant<'_>, value: &str) {
    let house = tenant.house();
    let token = tenant.runtime_token("meanwhile");
    let proven = || {
        let read: AmazonConnection = house.read(&tenant.name, &tenant.connection);
        read.status.and_then(|status| status.proven).map(|proven| proven.client_secret).unwrap_or_default()
    };
    let before = proven();
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for gateway in house.gateways() {
            let (over, served, token) = (&over, &served, &token);
            scope.spawn(move || {
                while !over.load(SeqCst) {
                    let answer = gateway.call(token).orders(US);
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        let annotations = json!({ "metadata": { "annotations": { ROTATE: value } } });
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            house.patch::<AmazonApplication>(&tenant.name, "amazon", &annotations);
            let limit = std::time::Duration::from_secs(120);
            within(limit, "the connection is proven with the new secret", || (proven() > before).then_some(()));
            let so_far = served.load(SeqCst);
            within(limit, "calls go on", || (served.load(SeqCst) > so_far + 20).then_some(()));
        }));
        over.store(true, SeqCst);
        rotated.unwrap();
    });
}
