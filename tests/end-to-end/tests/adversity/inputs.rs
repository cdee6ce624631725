//! Ciphertext that is garbled, foreign, or for a key that is no more: refused with what to do, and nothing else suffers.

use amazon_emulator::Change;
use crds::{SealedCredential, SealedCredentialState, StoredCredential};
use openteam_end_to_end::{House, US, alone, eventually, house};
use seal::Keyset;
use serde_json::json;

/// What the operator says of an input that it refuses: reason and message.
fn refusal(house: &House, namespace: &str, name: &str) -> (String, String) {
    eventually("the input is refused", || {
        let sealed: SealedCredential = house.read(namespace, name);
        let status = sealed.status.filter(|status| status.observed_generation == sealed.metadata.generation)?;
        assert_ne!(status.state, Some(SealedCredentialState::Accepted), "{name}");
        (status.state == Some(SealedCredentialState::Refused))
            .then(|| (status.reason.unwrap(), status.message.unwrap()))
    })
}

#[test]
fn an_input_that_does_not_open_is_refused_with_what_to_do() {
    let house = house();
    let tenant = house.tenant("garbled");
    let good: SealedCredential = house.read("garbled", "garbled-na-refresh-token");
    let text = good.spec.ciphertext.clone();
    let apply = |name: &str, ciphertext: String| {
        let mut sealed = SealedCredential::new(name, good.spec.clone());
        sealed.metadata.namespace = Some("garbled".to_owned());
        sealed.spec.ciphertext = ciphertext;
        house.apply(&sealed);
        let said = refusal(&house, "garbled", name);
        assert!(!said.1.contains(&text[20..40]), "it repeats no ciphertext: {said:?}");
        said
    };
    let other = |character: char| if character == 'A' { 'B' } else { 'A' };
    let changed = |at: usize| -> String {
        text.chars().enumerate().map(|(n, one)| if n == at { other(one) } else { one }).collect()
    };
    let is = |(reason, message): (String, String), expected: &str, says: &str| {
        assert_eq!(reason, expected, "{message}");
        assert!(message.contains(says), "{message}");
    };
    is(apply("short", "AAAA".to_owned()), "InvalidText", "not what `openteam seal` prints");
    is(
        apply("cut", text[..(text.len() - 4) / 4 * 4].to_owned()),
        "CannotOpen",
        "changed, or sealed for something else",
    );
    is(apply("last", changed(text.len() - 2)), "CannotOpen", "changed, or sealed for something else");
    is(apply("middle", changed(text.len() / 2)), "CannotOpen", "changed, or sealed for something else");
    // Another cluster's key, or one that was retired here, is one that this cluster does not have.
    is(apply("foreign", changed(9)), "UnknownSealingKey", "which this cluster does not have: seal it again");

    tenant.wait_until_ready(&tenant.connection);
    house.gateway(0).call(&tenant.agent_token()).orders(US).is_served();
}

#[test]
fn a_stored_credential_that_does_not_open_stops_its_connection_and_no_other() {
    let house = alone();
    let (tenant, other) = (house.tenant("damaged"), house.tenant("undamaged"));
    let token = tenant.runtime_token("nightly");
    let name = format!("amazonconnection.{}.refreshtoken", tenant.connection);
    let stored: StoredCredential = house.read("damaged", &name);
    // Sealed as it should be, but under the keyset of another cluster.
    let binding = seal::StoredBinding {
        namespace: "damaged",
        kind: "AmazonConnection",
        name: &tenant.connection,
        field: "RefreshToken",
        generation: u64::try_from(stored.spec.generation).unwrap(),
    };
    let foreign = Keyset::generate(0).seal(&binding, b"Atzr|nobody's").unwrap();
    for spec in [json!({ "wrap": "AAAA" }), json!({ "data": foreign.data, "wrap": foreign.wrap })] {
        house.patch::<StoredCredential>("damaged", &name, &json!({ "spec": spec }));
        // The token that the gateways have is as good as before; when it ends, another is needed.
        house.amazon().switches().apply(Change { advance_seconds: 3601, ..Change::default() }).unwrap();
        for gateway in house.gateways() {
            let answer = eventually("it is refused", || {
                Some(gateway.call(&token).orders(US)).filter(|answer| answer.status != 200)
            });
            assert!(
                matches!(answer.code().as_str(), "CredentialDoesNotOpen" | "CredentialNotVerified" | "NotReady"),
                "{}",
                answer.text
            );
        }
        house.gateway(0).call(&other.agent_token()).orders(US).is_served();
    }
    // Sealing it again mends it.
    house.seal("amazonconnection/damaged/damaged-na", "refresh-token", tenant.seller.refresh_token.expose());
    for gateway in house.gateways() {
        eventually("it is served again", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    }
}
