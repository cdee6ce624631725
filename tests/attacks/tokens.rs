//! Credentials that look like good ones. Each is refused in Amazon's words, at both doors, and Amazon hears nothing.

use crds::RuntimeToken;
use openteam_end_to_end::{Tenant, US, eventually, house};
use serde_json::{Value, json};

use crate::{orders, refused};

/// Whether the tenant's connection opens with this; `mark` is what Amazon must not hear.
fn opens_nothing(tenant: &Tenant<'_>, mark: &str, credential: &str) {
    let house = tenant.house();
    for gateway in house.gateways() {
        let headers = format!("x-amz-access-token: {credential}\r\n");
        let answer = gateway.raw(orders(&gateway, mark, &headers).as_bytes());
        refused(&answer, 403, "Unauthorized");
        assert!(answer.text.contains("The access token you provided is revoked, malformed or invalid."));
        let exchanged = gateway.exchange(&format!("{}/{}~{credential}", tenant.name, tenant.connection));
        assert_eq!((exchanged.status, &exchanged.json()["error"]), (400, &json!("invalid_grant")), "{mark}");
        assert!(!answer.text.contains(credential) && !exchanged.text.contains(credential));
    }
    assert_eq!(house.amazon().heard(&format!("mark={mark}")), []);
}

/// The token with one character changed to another of its alphabet.
fn with_another(text: &str, at: usize) -> String {
    let other = if &text[at..=at] == "b" { "c" } else { "b" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn a_runtime_token_with_any_character_changed_is_refused() {
    let house = house();
    let tenant = house.tenant("checksum");
    let token = tenant.runtime_token("good");
    // The checksum, the secret, the names; and what the checksum says is whole but nobody issued.
    let (last, secret) = (token.len() - 1, token.len() - 20);
    for changed in [
        with_another(&token, last),
        with_another(&token, secret),
        token.replacen("_good_", "_goad_", 1),
        token.replacen("checksum", "chocksum", 1),
        token[..last].to_owned(),
        format!("{token}a"),
        token.to_uppercase(),
    ] {
        opens_nothing(&tenant, "checksum", &changed);
    }
    let (_unapplied, unknown) = tenant.runtime_token_of("unknown", &tenant.member(crds::Role::Member), &[US], "1h");
    opens_nothing(&tenant, "checksum", &unknown);
    house.gateway(0).call(&token).orders(US).is_served();
}

#[test]
fn a_runtime_token_ends_with_its_object_and_does_not_return_with_its_name() {
    let house = house();
    let tenant = house.tenant("object");
    let old = tenant.runtime_token("nightly");
    house.delete::<RuntimeToken>("object", "nightly");
    for gateway in house.gateways() {
        eventually("the deleted token is refused", || (gateway.call(&old).orders(US).status == 403).then_some(()));
    }
    let new = tenant.runtime_token("nightly");
    assert_ne!(old, new);
    opens_nothing(&tenant, "object", &old);
}

#[test]
fn a_service_account_token_outside_its_time_is_refused() {
    let house = house();
    let tenant = house.tenant("times");
    let token = tenant.agent_token();
    let now = jiff::Timestamp::now().as_second();
    let at = |from: i64, to: i64| {
        house.signed_anew(&token, |claims| {
            claims["iat"] = json!(from);
            claims["nbf"] = json!(from);
            claims["exp"] = json!(to);
        })
    };
    opens_nothing(&tenant, "times", &at(now - 7200, now - 3600));
    opens_nothing(&tenant, "times", &at(now + 3600, now + 7200));
    // The same by the same way is good in its time: it is the time that is refused.
    house.gateway(0).call(&at(now - 60, now + 3600)).orders(US).is_served();
}

#[test]
fn a_service_account_token_for_another_is_refused() {
    let house = house();
    let tenant = house.tenant("claims");
    let token = tenant.agent_token();
    let with = |change: fn(&mut Value)| house.signed_anew(&token, change);
    for forged in [
        with(|claims| claims["aud"] = json!(["openteam"])),
        with(|claims| claims["aud"] = json!(["https://kubernetes.default.svc"])),
        with(|claims| claims["aud"] = json!([])),
        with(|claims| drop(claims.as_object_mut().map(|claims| claims.remove("aud")))),
        with(|claims| claims["iss"] = json!("https://elsewhere.example")),
        with(|claims| claims["kubernetes.io"]["serviceaccount"]["uid"] = json!("00000000-0000-0000-0000-000000000000")),
    ] {
        opens_nothing(&tenant, "claims", &forged);
    }
    // Nor without a signature, in any of the ways that say so.
    let claims = token.split('.').nth(1).unwrap();
    for unsigned in [
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.AA"),
        format!("{}.{claims}.{}", token.split('.').next().unwrap(), "A".repeat(86)),
    ] {
        opens_nothing(&tenant, "claims", &unsigned);
    }
}

#[test]
fn a_token_of_the_same_account_in_another_namespace_finds_nothing_here() {
    let house = house();
    let (ours, theirs) = (house.tenant("namespace"), house.tenant("namesake"));
    let token = theirs.agent_token();
    for gateway in house.gateways() {
        gateway.call(&token).on("namespace/namespace-na").orders(US).is_refused(404, "ConnectionNotFound");
        gateway.call(&token).on("namespace-na").orders(US).is_refused(404, "ConnectionNotFound");
        let exchanged = gateway.exchange(&format!("namespace/{}~{token}", ours.connection));
        assert_eq!((exchanged.status, &exchanged.json()["error"]), (400, &json!("invalid_grant")));
    }
    assert_eq!(house.amazon().refreshes_of(&ours.seller), 1, "only the operator's, that proved the connection");
}
